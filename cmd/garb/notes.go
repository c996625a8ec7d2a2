package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"garb/internal/kernel"
	"garb/weights"
)

// A command answers on standard output. What it tells people beside the answer goes
// to standard error, one line each, through one of these:
//
//   - errors and warnings are always written: fmt.Fprintf to c.ErrOrStderr(), as complain does
//   - say writes information, such as a closing line; --quiet silences it
//   - detail writes what only --verbose shows: timings, cache folders, decisions
//   - progressTo is where bars and counters draw; --quiet silences it

// The flags that every command has for how much it says.
const (
	quietFlag   = "quiet"
	verboseFlag = "verbose"
)

// addNoteFlags adds --quiet and --verbose to a command and all below it.
func addNoteFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.BoolP(quietFlag, "q", false, "show errors only: no progress, no closing lines")
	flags.BoolP(verboseFlag, "v", false, "show more: timings, cache folders, what was decided")
}

// errQuietAndVerbose is the error of a command that was given both flags.
var errQuietAndVerbose = errors.New("--quiet and --verbose exclude each other; give one of them")

// checkNoteFlags reports whether the flags contradict each other.
func checkNoteFlags(c *cobra.Command) error {
	if isSet(c, quietFlag) && isSet(c, verboseFlag) {
		return errQuietAndVerbose
	}
	return nil
}

// isSet reports whether a flag of yes or no, of c or inherited by it, is yes.
func isSet(c *cobra.Command, name string) bool {
	f := c.Flag(name)
	return f != nil && f.Value.String() == "true"
}

// say writes a line of information to standard error, unless --quiet was given. The
// line break is added.
func say(c *cobra.Command, format string, values ...any) {
	fmt.Fprintf(escapingWriter{progressTo(c)}, format+"\n", values...)
}

// detail writes a line to standard error if --verbose was given. The line break is
// added.
func detail(c *cobra.Command, format string, values ...any) {
	if isSet(c, verboseFlag) && !isSet(c, quietFlag) {
		fmt.Fprintf(escapingWriter{c.ErrOrStderr()}, format+"\n", values...)
	}
}

// describeMachine shows with --verbose what runs here, and where it keeps things.
func describeMachine(c *cobra.Command) {
	detail(c, "program    %s", readBuild().line())
	threads := count(runtime.GOMAXPROCS(0), "thread")
	detail(c, "machine    %s/%s, kernels %s, %s", runtime.GOOS, runtime.GOARCH, kernel.ActiveLevel(), threads)
	home, err := weights.Home()
	if err != nil {
		home = err.Error()
	}
	detail(c, "cache      %s", home)
}

// progressTo returns where c shows its progress: standard error, or nowhere with
// --quiet.
func progressTo(c *cobra.Command) io.Writer {
	if isSet(c, quietFlag) {
		return io.Discard
	}
	return c.ErrOrStderr()
}

// count writes a number of things in the singular or the plural: "1 picture",
// "2 pictures", "0 classes". It knows the regular plurals of English.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	switch {
	case strings.HasSuffix(thing, "s"), strings.HasSuffix(thing, "x"),
		strings.HasSuffix(thing, "tch"), strings.HasSuffix(thing, "sh"):
		thing += "es"
	case strings.HasSuffix(thing, "y") && !strings.HasSuffix(thing, "ay") && !strings.HasSuffix(thing, "ey"):
		thing = strings.TrimSuffix(thing, "y") + "ies"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
