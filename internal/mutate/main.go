// The mutate command does mutation testing: it makes small changes (mutants) to the
// source of a package, one at a time, and runs the package's tests on each. A change
// that no test notices is printed: it is a missing test, dead code, or makes no
// difference.
//
//	go run ./internal/mutate -sample 50 -seed 1 ./nn
//
// The source tree is left alone: the go command reads changed files from elsewhere
// (its flag -overlay). A mutant that does not compile does not count, and one whose
// tests do not end in time is killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

// options are what the command's flags set.
type options struct {
	files    *regexp.Regexp // names of the files to mutate
	sample   int            // mutants of each package; 0 takes all
	seed     uint64         // chooses the sample
	parallel int            // mutants tested at a time
	timeout  time.Duration  // of tests of one mutant; 0 takes a multiple of their time without a change
	minimum  float64        // percent of mutants that tests must kill
	packages []string       // whose tests run, beside the mutated one's
	pattern  *regexp.Regexp // names of the tests that run
	skipped  *regexp.Regexp // names of those that do not; nil for none
	short    bool
}

var errUsage = errors.New("usage: mutate [flags] PACKAGES")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// run tests the mutants of the packages that args name, and prints survivors and scores.
func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, errUsage)
		flags.PrintDefaults()
	}
	flags.IntVar(&o.sample, "sample", 0, "test `N` mutants of each package, chosen at random (0 tests all)")
	flags.Uint64Var(&o.seed, "seed", 1, "choose the sample by this `number`")
	flags.IntVar(&o.parallel, "parallel", 1, "test `N` mutants at a time")
	flags.DurationVar(&o.timeout, "timeout", 0,
		"stop the tests of a mutant after this `time` (0: ten seconds and five times what they take without a change)")
	flags.Float64Var(&o.minimum, "min", 0, "fail if the tests of a package kill less than this `percentage`")
	files := flags.String("files", "", "change only files whose names match this `pattern`")
	tests := flags.String("tests", "", "run the tests of these `packages` too, separated by commas")
	runOnly := flags.String("run", "", "run only tests whose names match this `pattern`")
	skip := flags.String("skip", "", "skip tests whose names match this `pattern`")
	flags.BoolVar(&o.short, "short", false, "run the tests with -short")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errUsage
	}
	if *tests != "" {
		o.packages = strings.Split(*tests, ",")
	}
	var errs [3]error
	o.files, errs[0] = regexp.Compile(*files)
	o.pattern, errs[1] = regexp.Compile(*runOnly)
	if *skip != "" {
		o.skipped, errs[2] = regexp.Compile(*skip)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}

	packages, err := list(ctx, flags.Args()...)
	if err != nil {
		return err
	}
	var failed []string
	for _, p := range packages {
		s, err := testMutants(ctx, p, o, out)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		fmt.Fprintf(out, "%s: %s\n", p.ImportPath, s)
		if s.percent() < o.minimum {
			failed = append(failed, p.ImportPath)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("less than %g %% killed: %s", o.minimum, strings.Join(failed, ", "))
	}
	return nil
}
