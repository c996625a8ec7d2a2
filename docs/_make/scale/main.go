// Command scale measures the work queue, writes the figures as JSON and fills the tables of
// docs/scale.md. Run it in the project's root on a quiet machine.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"garb/internal/safefile"
	"garb/internal/scale"
)

const usage = `Usage: scale [flags] [PICTURES]

Runs 1, 2, 4 and 8 workers on copies of the pictures in the folder PICTURES, measures the
queue without them, writes the figures to docs/_make/scale/measured.json, and fills the tables
of docs/scale.md. Without PICTURES it only fills in the tables, from the figures that are there.

  make build && go run ./docs/_make/scale PICTURES
  go run ./docs/_make/scale

`

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

// options are the values of the flags.
type options struct {
	program  string
	pictures int
	names    int
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.StringVar(&o.program, "garb", "bin/garb", "the program")
	flags.IntVar(&o.pictures, "pictures", 20_000, "number of pictures that the workers classify")
	flags.IntVar(&o.names, "names", 640_000, "number of pictures to measure the queue with, which do not exist")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		m, err := measure(ctx, o, flags.Arg(0))
		if err != nil {
			return err
		}
		err = safefile.Write(scale.MeasuredFile, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(m)
		})
		if err != nil {
			return err
		}
	}
	return scale.FillInPage(".")
}
