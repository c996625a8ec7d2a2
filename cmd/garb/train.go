package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"garb/train"
)

const trainHelp = `Train a classifier on a data set.

` + dataHelp + `

--group-by and --group-pattern keep related pictures, such as those of one contributor,
in the same split. Otherwise accuracy is overestimated. --folds K --fold I trains on fold
I of a K-fold cross-validation.

Repeat --data to train on several data sets. Each is split on its own, and the best epoch
is the one with the highest mean validation score over the data sets. --other names
folders of pictures that show none of the classes: the network learns to refuse them, and
the acceptance threshold is chosen on them. Without --other, the model derives the
acceptance from its own features or logits, and reports that this was not measured.

By default the backbone is frozen: its features are computed once for each picture and
cached, so that the next run takes seconds, and only a head is trained. --features takes
them from files that garb features wrote, perhaps on many machines. --fine-tune all trains
the backbone too. Augmentation applies to training pictures only.

--backbone takes the name of a built-in network, the name of a network from
keras.applications (see garb models list), a Keras or ONNX file, a model or a run. For the
last four, the features are the input of the classifier, or the output of the layer that
--features-at names.

The run's folder holds config.json, history.csv, report.html, checkpoints/ (each one is a
model; the newest has the best validation score) and state.safetensors. --resume continues
from that state, after Ctrl-C or to train for more epochs. --tensorboard writes event
files for TensorBoard as well.`

const trainExamples = `  garb train --data pictures
  garb train --data table.csv --images photos --group-by sender_id --exclude "Not sure,Skip"
  garb train --data pictures.zip --merge polo=t-shirt,hoodie=longsleeve
  garb train --data pictures --backbone converted.safetensors --fine-tune all
  garb train --data pictures --backbone keras-efficientnetb0
  garb train --data pictures --backbone xception --size 150 --inner 100 --dropout 0.2
  garb train --data pictures --fine-tune all --optimizer adamw --schedule cosine \
      --crop-min 0.65 --horizontal-flip --average 0.995 --epochs 16 --out runs/fine
  garb train --data studio --data street:0.5 --other cats --other walls --refusal "no garment"
  garb train --resume runs/fine --epochs 20
  garb train --config runs/fine/config.json --seed 2   # the same settings in a new run
  garb train --data pictures --tensorboard --out runs/mine   # tensorboard --logdir runs
  garb train --data pictures --features features.safetensors   # of garb features
  garb train --data pictures --coverage 0.95   # then: garb classify --coverage --model runs/mine photo.jpg
  garb train --data shoes-or-hats --binary --backbone small-cnn --optimizer sgd \
      --learning-rate 0.002 --momentum 0.8 --batch 20`

func newTrainCommand() *cobra.Command {
	t := newTrainFlags()
	var resume string
	command := &cobra.Command{
		Use:     "train --data DATA [flags]",
		Short:   "Train a classifier on labelled pictures",
		Long:    trainHelp,
		Example: trainExamples,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("train takes its data set as --data, not as the argument %q", args[0])
			case resume == "":
				return t.finish(c)
			case t.path != "":
				return errors.New("--resume and --config exclude each other: a run is resumed with its own settings")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			display := newTrainDisplay(c, c.OutOrStdout())
			if resume == "" {
				t.describe(c)
				result, err := train.Run(c.Context(), t.config, display.progress())
				return display.end(t.config.Out, result, err)
			}
			config, err := t.readRun(c, resume)
			if err != nil {
				return err
			}
			t.describe(c)
			result, err := train.Resume(c.Context(), config, display.progress())
			return display.end(resume, result, err)
		},
	}
	t.add(command)
	command.Flags().StringVar(&resume, "resume", "",
		"continue the run in this folder with its own settings; only --epochs, --features and --tensorboard may change")
	return command
}
