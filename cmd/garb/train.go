package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"garb/evaluate"
	"garb/train"
)

func newTrainCommand() *cobra.Command {
	config := train.Default()
	var bare backboneFlags
	command := &cobra.Command{
		Use:   "train --data DIR [flags]",
		Short: "Train a classifier on folders of pictures",
		Long: `Train a classifier. DIR holds train, validation and, if you have it, test; each has
one folder of pictures for each class.

The backbone stays as it is: its features of all pictures are computed once and
kept, so that another run takes seconds. A softmax head is trained on them; the
epoch with the best validation accuracy is the model. The run's folder gets
config.json, history.csv and checkpoints/, each of which is a model.`,
		Example: `  garb train --data pictures
  garb train --data pictures --out runs/slow --learning-rate 0.0003 --epochs 60
  garb train --data pictures --backbone xception --size 299`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("train takes its folder by --data, not %q", args[0])
			}
			if config.Data == "" {
				return errors.New("train needs --data, a folder with train and validation below it")
			}
			_, spec, err := bare.architecture()
			if err != nil {
				return err
			}
			config.Backbone, config.Weights, config.Preprocessing = bare.backbone, bare.weights, spec
			if config.Out == "" {
				config.Out = filepath.Join("runs", filepath.Base(filepath.Clean(config.Data))+"-"+time.Now().Format("20060102-150405"))
			}
			return config.Validate()
		},
		RunE: func(c *cobra.Command, _ []string) error { return trainRun(c, config) },
	}
	flags := command.Flags()
	flags.StringVar(&config.Data, "data", "", "folder with train, validation and, if you have it, test")
	flags.StringVar(&config.Out, "out", "", "folder of the run (default runs/DATA-TIME)")
	flags.Float64Var(&config.LearningRate, "learning-rate", config.LearningRate, "learning rate of Adam")
	flags.IntVar(&config.Epochs, "epochs", config.Epochs, "times to go over the training pictures")
	flags.IntVar(&config.Batch, "batch", config.Batch, "pictures in a step")
	flags.Uint64Var(&config.Seed, "seed", config.Seed, "seed of the order of pictures; the same seed gives the same model")
	bare.add(command, config.Backbone)
	return command
}

func trainRun(c *cobra.Command, config train.Config) error {
	out, errOut := c.OutOrStdout(), c.ErrOrStderr()
	var bar *counter
	result, err := train.Run(c.Context(), config, train.Progress{
		Features: func(total int) func() {
			bar = newCounter(errOut, "features", total)
			return func() { bar.add(1) }
		},
		Epoch: func(e train.Epoch) {
			if e.Epoch == 1 {
				bar.finish()
				fmt.Fprintln(out, "epoch    loss  accuracy  val loss  val accuracy")
			}
			mark := ""
			if e.Best {
				mark = "  best so far"
			}
			fmt.Fprintf(out, "%5d  %6.4f    %.4f    %6.4f        %.4f%s\n", e.Epoch, e.Loss, e.Accuracy, e.ValidationLoss, e.ValidationAccuracy, mark)
		},
	})
	if err != nil {
		if bar != nil {
			bar.finish()
		}
		return err
	}
	if n := len(result.Skipped); n > 0 {
		fmt.Fprintf(errOut, "garb: skipped, since they cannot be read (%d):\n", n)
		for _, err := range result.Skipped {
			fmt.Fprintf(errOut, "  %s\n", strings.TrimSpace(err.Error()))
		}
	}
	fmt.Fprintf(out, "\nbest      epoch %d, validation accuracy %.3f\n", result.Best.Epoch, result.Best.ValidationAccuracy)
	if result.TestCount > 0 {
		interval := evaluate.Wilson(result.TestRight, result.TestCount)
		fmt.Fprintf(out, "test      accuracy %.3f of %d pictures (95 %% interval %.3f to %.3f)\n", result.Test, result.TestCount, interval[0], interval[1])
	}
	fmt.Fprintf(out, "model     %s\n", result.Checkpoint)
	fmt.Fprintf(out, "try       garb classify --model %s PICTURE\n", config.Out)
	return nil
}
