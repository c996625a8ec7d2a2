// Bench measures garb and its peers in turn, in one run: ONNX Runtime, OpenVINO, Keras and PyTorch on
// the same networks with the same weights, Pillow on the same pictures, FastAPI as a service, and a cold
// process of garb itself.
//
// It prints a table, and writes it as JSON with -json. Each side of a comparison is a worker process
// that waits for its standard input while the other works. Both are confined to the same cores, and
// their outputs are compared before anything is timed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"
)

// config has the options of the command line.
type config struct {
	rows   *regexp.Regexp
	rounds int           // turns of each side in a comparison
	turn   time.Duration // length of one side's turn, at least one run
	starts int           // cold processes, for each cold row
	garb   string        // the garb command to start cold
	python string        // the Python that has the peers
	models string        // the file whose table of models is replaced; empty: none
	json   string        // the file to write the results to; empty: none
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerArgument {
		if err := runWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench worker:", err)
			os.Exit(1)
		}
		return
	}
	c, err := parseFlags(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (config, error) {
	var c config
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	rows := flags.String("rows", "", "measure only rows whose name matches this regular `expression`")
	flags.IntVar(&c.rounds, "rounds", 7, "turns of each side in a comparison")
	flags.DurationVar(&c.turn, "turn", 400*time.Millisecond, "length of one side's turn, at least one run")
	flags.IntVar(&c.starts, "starts", 20, "cold processes, for each cold row")
	flags.StringVar(&c.garb, "garb", "bin/garb", "the garb command to start cold")
	flags.StringVar(&c.python, "python", defaultPython(),
		"the `command` of a Python that has the peers; GARB_PYTHON if set")
	flags.StringVar(&c.json, "json", "", "also write the results to this `file`")
	flags.StringVar(&c.models, "models", "",
		"write the rows models/ into the table of this `file`, as docs/convert.md has it")
	flags.Parse(args) // exits on an error
	var err error
	if c.rows, err = regexp.Compile(*rows); err != nil {
		return c, fmt.Errorf("-rows: %w", err)
	}
	if c.rounds < 1 || c.starts < 1 || c.turn <= 0 || flags.NArg() > 0 {
		return c, fmt.Errorf("-rounds, -starts and -turn must be positive, and there are no arguments besides flags")
	}
	return c, nil
}

func defaultPython() string {
	if python := os.Getenv("GARB_PYTHON"); python != "" {
		return python
	}
	return "python3"
}

// run measures the selected rows one after another and reports them.
func run(ctx context.Context, c config) error {
	b, err := newBench(c)
	if err != nil {
		return err
	}
	defer b.close()
	report := newReport()
	for _, row := range table {
		if !c.rows.MatchString(row.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", row.name)
		r, err := row.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		r.Row = row.name
		r.judge(row.target)
		report.Rows = append(report.Rows, r)
	}
	if len(report.Rows) == 0 {
		return fmt.Errorf("no row matches %q", c.rows)
	}
	if err := report.print(os.Stdout); err != nil {
		return err
	}
	if c.models != "" {
		if err := writeModels(c.models, report); err != nil {
			return err
		}
	}
	if c.json == "" {
		return nil
	}
	return report.writeJSON(c.json)
}
