package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/train"
)

// trainDisplay prints the progress and the result of a run.
type trainDisplay struct {
	command     *cobra.Command
	out         io.Writer // for the table of epochs and the result
	bar         *counter
	epochBar    *stepBar
	headPrinted bool
	dataPrinted bool // the data set was described by an earlier run of the sweep
	fromFiles   bool // features were given as files
	used        int  // pictures
	tally       *dataset.Tally
}

func newTrainDisplay(c *cobra.Command, out io.Writer) *trainDisplay {
	return &trainDisplay{command: c, out: out}
}

func (d *trainDisplay) progress() train.Progress {
	return train.Progress{
		Data: func(data *dataset.Data, splits *dataset.Splits) {
			if !d.dataPrinted {
				sayNotes(d.command, data)
				sayDivision(d.command, splits)
			}
		},
		Scanned: func(used int, tally *dataset.Tally) { d.used, d.tally = used, tally },
		FeatureFiles: func(vectors int) func(int) {
			d.fromFiles = true
			d.endPictures()
			d.bar = newCheckCounter(d.command, vectors)
			return d.bar.add
		},
		Pictures: func(total int) func() {
			d.endPictures()
			d.bar = newCounter(d.command, "pictures", total)
			return func() { d.bar.add(1) }
		},
		Features: func(n train.FeatureCounts) {
			d.endPictures()
			note := detail
			if d.fromFiles { // also if none of them is a picture's
				note = say
			}
			note(d.command, "features: %d from files, %d from the cache, %d computed", n.Stored, n.Cached, n.Computed)
		},
		Step: func(s train.Step) {
			d.endPictures()
			if d.epochBar == nil {
				d.epochBar = newStepBar(d.command, s)
			}
			d.epochBar.show(s)
		},
		Epoch: func(e train.Epoch) {
			d.endPictures()
			if d.epochBar != nil {
				d.epochBar.finish()
				d.epochBar = nil
			}
			if !d.headPrinted {
				d.headPrinted = true
				fmt.Fprintln(d.out, "epoch    loss  accuracy  val loss  val accuracy   seconds"+formatSourceHeads(e))
			}
			mark := ""
			if e.Best {
				mark = "  best so far"
			}
			fmt.Fprintf(d.out, "%5d  %6.4f    %.4f    %6.4f        %.4f  %8.1f%s%s\n", e.Epoch, e.Loss, e.Accuracy,
				e.ValidationLoss, e.ValidationAccuracy, e.Duration.Seconds(), formatSourceCells(e), mark)
		},
	}
}

// columnWidth is the maximum width of a data set's column.
const columnWidth = 16

// formatSourceHeads returns the heads of the columns that formatSourceCells fills.
func formatSourceHeads(e train.Epoch) string {
	var b strings.Builder
	for _, f := range e.Sources {
		name := []rune(escape(f.Name))
		if len(name) > columnWidth {
			name = append([]rune("…"), name[len(name)-columnWidth+1:]...)
		}
		fmt.Fprintf(&b, "  %6s", string(name))
	}
	if e.OtherAUROC > 0 {
		b.WriteString("  other AUROC")
	}
	return b.String()
}

// formatSourceCells returns the validation accuracy on each data set, if there are several,
// and the AUROC against other pictures.
func formatSourceCells(e train.Epoch) string {
	var b strings.Builder
	for _, f := range e.Sources {
		fmt.Fprintf(&b, "  %*.4f", min(max(6, len([]rune(escape(f.Name)))), columnWidth), f.Accuracy)
	}
	if e.OtherAUROC > 0 {
		fmt.Fprintf(&b, "  %11.4f", e.OtherAUROC)
	}
	return b.String()
}

func (d *trainDisplay) endPictures() {
	if d.bar != nil {
		d.bar.finish()
		d.bar = nil
	}
}

// stop ends all progress bars.
func (d *trainDisplay) stop() {
	d.endPictures()
	if d.epochBar != nil {
		d.epochBar.finish()
		d.epochBar = nil
	}
}

// end prints the result of the run in a folder, or how to resume a run that was stopped.
func (d *trainDisplay) end(folder string, result *train.Result, err error) error {
	d.stop()
	if err != nil {
		if state := filepath.Join(folder, "state.safetensors"); errors.Is(err, context.Canceled) && exists(state) {
			say(d.command, "garb: the run is saved; resume it with  garb train --resume %s", folder)
		}
		return err
	}
	if result.Stopped {
		fmt.Fprintf(d.out, "\nstopped after epoch %d: no improvement since epoch %d (--patience)\n", result.Epochs,
			result.Best.Epoch)
	}
	fmt.Fprintf(d.out, "\nbest      epoch %d, validation accuracy %.3f\n", result.Best.Epoch,
		result.Best.ValidationAccuracy)
	d.printTest(result)
	if a := result.Acceptance; a != nil {
		d.printAcceptance(a)
		d.sayLookalikes(result.Lookalikes)
	}
	fmt.Fprintf(d.out, "model     %s\n", result.Checkpoint)
	fmt.Fprintf(d.out, "report    %s\n", result.Report)
	fmt.Fprintf(d.out, "try       garb classify --model %s PICTURE\n", folder)
	d.close()
	return nil
}

// printTest prints the accuracy on the test pictures, and on those of each data set.
func (d *trainDisplay) printTest(result *train.Result) {
	if result.TestCount > 0 {
		interval := evaluate.Wilson(result.TestRight, result.TestCount)
		fmt.Fprintf(d.out, "test      accuracy %.3f on %s (95 %% interval %.3f to %.3f)\n", result.Test,
			count(result.TestCount, "picture"), interval[0], interval[1])
	}
	for _, s := range result.Sources {
		interval := evaluate.Wilson(int(math.Round(s.Accuracy*float64(s.Count))), s.Count)
		fmt.Fprintf(d.out, "          %s: accuracy %.3f on %s (%.3f to %.3f)\n", escape(s.Name), s.Accuracy,
			count(s.Count, "picture"), interval[0], interval[1])
	}
}

// printAcceptance prints the share of pictures that a model accepts.
func (d *trainDisplay) printAcceptance(a *model.Acceptance) {
	fmt.Fprintf(d.out, "accepts   %.1f %% of the validation pictures (method %s)\n", 100*a.Validation.Value(), a.Method)
	for _, o := range a.Others {
		fmt.Fprintf(d.out, "          %.1f %% of %s of %s (95 %% interval %.1f to %.1f %%)\n", 100*o.Value(),
			count(o.Count, "picture"), escape(o.Name), 100*o.Low(), 100*o.High())
	}
	if !a.Measured() {
		fmt.Fprintln(d.out, "          not measured on other pictures; use --other to name some")
	}
}

// sayLookalikes lists the pictures of --other that the model accepts. They may show one of
// the classes after all.
func (d *trainDisplay) sayLookalikes(all []train.Lookalike) {
	if len(all) == 0 {
		return
	}
	say(d.command, "garb: the model accepts %s of --other; check whether they show one of the classes:",
		count(len(all), "picture"))
	for i, l := range all {
		if i == shownSkips && !isSet(d.command, verboseFlag) {
			say(d.command, "garb:   and %d more; --verbose lists them", len(all)-i)
			break
		}
		say(d.command, "garb:   %s: %s %.0f %%", escape(l.Path), escape(l.Class), 100*l.Probability)
	}
}

// close lists the pictures that were skipped, and ends with their number.
func (d *trainDisplay) close() {
	if d.tally != nil {
		printSkips(d.command, d.tally)
		say(d.command, "%s", d.tally.Summary(d.used))
	}
}
