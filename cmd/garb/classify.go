package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"garb"
	"garb/dataset"
)

func newClassifyCommand() *cobra.Command {
	var (
		model  string
		top    int
		asJSON bool
	)
	command := &cobra.Command{
		Use:   "classify [flags] PICTURE|DIR|- ...",
		Short: "Say what is in pictures",
		Long: `Say what is in pictures: files, all pictures below folders, or - for standard
input. A quoted pattern such as 'pics/*.jpg' is expanded. JPEG, PNG, GIF, WebP, BMP, AVIF and HEIC are told by their content.

One bad picture does not stop the others. The exit code is 0 when all were
answered, 1 when some could not be, 2 when the command was used wrongly.`,
		Example: `  garb classify photo.jpg
  garb classify --top 3 wardrobe/
  garb classify 'wardrobe/*-front.jpg'
  garb classify --model imagenet --json photo.jpg | jq .class
  curl -s https://example.org/shirt.jpg | garb classify -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("classify needs a picture, a folder of pictures, or - for standard input")
			}
			if top < 1 {
				return fmt.Errorf("--top %d: there is at least one class to show", top)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			all, tally, err := sources(c, args)
			if err != nil {
				return err
			}
			return classify(c, all, tally, model, top, asJSON)
		},
	}
	command.Flags().StringVar(&model, "model", garb.Clothing, "model: a file, a run's folder, clothing or imagenet")
	command.Flags().IntVar(&top, "top", 3, "how many classes to show")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return command
}

// modelName is a model as answers name it.
type modelName struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// pictureAnswer is a line of classify --json.
type pictureAnswer struct {
	Picture     string            `json:"picture"`
	Class       string            `json:"class"`
	Probability float64           `json:"probability"`
	Predictions []garb.Prediction `json:"predictions"`
	Model       modelName         `json:"model"`
}

// pictureError is a line of --json about a picture without an answer.
type pictureError struct {
	Picture string `json:"picture"`
	Error   failed `json:"error"`
}

func classify(c *cobra.Command, all []source, tally *dataset.Tally, model string, top int, asJSON bool) error {
	classifier, err := garb.Open(model, garb.Options{Threads: threadsFor(all)})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(c.OutOrStdout())
	lines := json.NewEncoder(out)
	name := modelName{classifier.Name(), classifier.Digest()}
	failures := 0
	err = each(c.Context(), all, c.InOrStdin(), classifier.Limits(),
		func(ctx context.Context, data []byte) ([]garb.Prediction, error) {
			return classifier.Classify(ctx, data)
		},
		func(a answered[[]garb.Prediction]) (err error) {
			defer func() { err = errors.Join(err, out.Flush()) }()
			if a.err != nil {
				failures++
				tally.Add(dataset.ReasonOf(a.err), a.source.name, message(a.err))
				if asJSON {
					return lines.Encode(pictureError{a.source.name, failedBy(a.err)})
				}
				complain(c.ErrOrStderr(), a.source.name, a.err)
				return nil
			}
			shown := a.value[:min(top, len(a.value))]
			if asJSON {
				best := a.value[0]
				return lines.Encode(pictureAnswer{a.source.name, best.Class, best.Probability, shown, name})
			}
			return printAnswer(out, a.source.name, shown, coloured(c.OutOrStdout()))
		})
	if err != nil {
		return err
	}
	return closeSources(c, all, failures, tally)
}

// barWidth is the length of a bar for certainty, in characters.
const barWidth = 20

// printAnswer writes a picture's name and a line for each class with a bar.
func printAnswer(w io.Writer, name string, shown []garb.Prediction, colour bool) error {
	width := 0
	for _, p := range shown {
		width = max(width, len([]rune(p.Class)))
	}
	fmt.Fprintln(w, name)
	for i, p := range shown {
		full := int(math.Round(p.Probability * barWidth))
		bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
		line := fmt.Sprintf("  %s%s  %5.1f %%  %s", p.Class, strings.Repeat(" ", width-len([]rune(p.Class))), 100*p.Probability, bar)
		if colour && i == 0 {
			line = "\x1b[1m" + line + "\x1b[0m"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
