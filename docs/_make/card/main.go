// Command card measures the built-in models on the held-out pictures, writes the figures as
// JSON, and fills them into MODEL_CARD.md and README.md. Run it in the project's root.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"garb/internal/card"
	"garb/model"
)

const usage = `Usage: card [flags] MODELDATA

Measures the models on the held-out pictures in MODELDATA, the folder that
docs/_make/modeldata makes, writes the figures to a JSON file and fills them into the
marked parts of MODEL_CARD.md. With --validation it measures on the validation parts, for
choosing a model, and leaves the card unchanged.

  go run ./docs/_make/card MODELDATA
  go run ./docs/_make/card MODELDATA --clothing runs/a --garments runs/b --seeds runs/a,runs/c,runs/d
  go run ./docs/_make/card MODELDATA --validation --clothing runs/a --garments "" --out figures.json
  go run ./docs/_make/card MODELDATA --validation --clothing runs/trial --other-class other --garments ""

`

// measured is the file with the figures of MODEL_CARD.md. A test compares the card with it.
const measured = "docs/_make/card/measured.json"

// drawnCount is the number of drawn pictures of nothing.
const drawnCount = 200

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
	clothing, garments, seeds, other, out, card string
	validation                                  bool
	drawnSeed                                   uint64
	threads                                     int
	folder                                      string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("card", flag.ContinueOnError)
	flags.StringVar(&o.clothing, "clothing", model.Clothing,
		"model of the ten classes: a built-in name, a run's folder or a file; \"\" for none")
	flags.StringVar(&o.garments, "garments", "garments", "model of all kinds, likewise")
	flags.StringVar(&o.seeds, "seeds", "",
		"comma-separated runs with the recipe of --clothing and other seeds, for the spread of the test accuracy")
	flags.StringVar(&o.other, "other-class", "",
		"class of the models that means \"none of the others\": the acceptance is 1 minus its probability")
	flags.BoolVar(&o.validation, "validation", false,
		"measure on the validation parts instead of the held-out pictures")
	flags.Uint64Var(&o.drawnSeed, "drawn-seed", 2026, "seed of the drawn pictures of nothing: another than training's")
	flags.IntVar(&o.threads, "threads", 0, "threads of the network; 0: one for each core")
	flags.StringVar(&o.out, "out", "", "file for the figures as JSON (default "+measured+", with --validation none)")
	flags.StringVar(&o.card, "card", "MODEL_CARD.md", "the card to fill in, with README.md; \"\" for neither")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	var folders []string
	for len(args) > 0 { // flags may come before and after the folder
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		if args = flags.Args(); len(args) > 0 {
			folders, args = append(folders, args[0]), args[1:]
		}
	}
	if len(folders) != 1 {
		return o, errors.New("give one folder, that docs/_make/modeldata made: card [flags] MODELDATA")
	}
	o.folder = folders[0]
	if o.clothing == "" && o.garments == "" {
		return o, errors.New("no model to measure: both --clothing and --garments are \"\"")
	}
	if o.validation {
		o.card = ""
	} else if o.out == "" {
		o.out = measured
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	m := card.Measured{Digests: map[string]string{}, Command: "go run ./docs/_make/card MODELDATA"}
	if o.validation {
		m.Command += " --validation"
	}
	for _, which := range []struct {
		name, reference string
		ten             bool
	}{{"clothing", o.clothing, true}, {"garments", o.garments, false}} {
		if which.reference == "" {
			continue
		}
		model, err := model.Open(which.reference, model.Options{Threads: o.threads})
		if err != nil {
			return err
		}
		measure := card.Options{Folder: o.folder, Name: which.name, Ten: which.ten, Validation: o.validation,
			Other:     o.other,
			DrawnSeed: o.drawnSeed, Drawn: drawnCount, Progress: func(what string) { log.Print(what) }}
		figures, err := card.Measure(ctx, model, measure)
		if err != nil {
			return err
		}
		m.Digests[which.name] = model.Digest()
		m.Figures = append(m.Figures, figures...)
		if which.ten && o.seeds != "" {
			if figures, err = seeds(ctx, o, measure); err != nil {
				return err
			}
			m.Figures = append(m.Figures, figures...)
		}
	}
	for _, f := range m.Figures {
		fmt.Printf("%-36s %-44s %s\n", f.Key, f, f.Target)
	}
	return write(o, m)
}

// seeds measures runs of one recipe, with different seeds, on the test pictures.
func seeds(ctx context.Context, o options, measure card.Options) ([]card.Figure, error) {
	var accuracies, all []card.Figure
	measure.TestOnly = true
	for _, reference := range strings.Split(o.seeds, ",") {
		model, err := model.Open(reference, model.Options{Threads: o.threads})
		if err != nil {
			return nil, err
		}
		figures, err := card.Measure(ctx, model, measure)
		if err != nil {
			return nil, err
		}
		f := figures[0] // the accuracy comes first
		f.Key = fmt.Sprintf("%s.seeds.run-%d", measure.Name, len(all)+1)
		f.Title, f.Target = fmt.Sprintf("seed %d of the recipe: accuracy", len(all)+1), ""
		accuracies, all = append(accuracies, f), append(all, f)
	}
	return append(all, card.Seeds(measure.Name, accuracies)...), nil
}

// write writes the figures and fills the card.
func write(o options, m card.Measured) error {
	if o.out != "" {
		text, err := json.MarshalIndent(m, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.out, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.card == "" {
		return nil
	}
	for _, page := range []string{o.card, "README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		filled, err := m.Fill(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		if err := os.WriteFile(page, []byte(filled), 0o644); err != nil {
			return err
		}
	}
	return nil
}
