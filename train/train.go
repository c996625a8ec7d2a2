// Package train makes a classifier from a folder of pictures: a pretrained backbone,
// frozen or trained with the head, epoch by epoch, with checkpoints, and a state to
// go on from.
package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"garb/backbone"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// Epoch is a row of history.csv.
type Epoch struct {
	Epoch              int           `json:"epoch"`
	Loss               float64       `json:"loss"`
	Accuracy           float64       `json:"accuracy"` // on the training pictures as they were shown
	ValidationLoss     float64       `json:"val_loss"`
	ValidationAccuracy float64       `json:"val_accuracy"`
	LearningRate       float64       `json:"learning_rate"` // of its last step
	Duration           time.Duration `json:"duration"`
	// Sources are the figures of each data set of several; the two above are their means.
	Sources []SourceFigures `json:"sources,omitempty"`
	// OtherAUROC is the probability that a validation picture is taken for a class sooner
	// than one of the other pictures, with ties counted as half; 0 without other pictures.
	OtherAUROC float64 `json:"other_auroc,omitempty"`
	Best       bool    `json:"best"` // the best so far, as Config.Monitor says: it was kept
}

// Step is how an epoch goes.
type Step struct {
	Epoch, Epochs  int
	Step, Steps    int
	Loss, Accuracy float64 // means over the epoch so far
	// PicturesPerSecond is the speed since the run began or was taken up, and Remaining
	// the time that the run needs at that speed.
	PicturesPerSecond float64
	Remaining         time.Duration
}

// Result is what a run came to.
type Result struct {
	Best       Epoch
	Epochs     int    // that were run
	Checkpoint string // path of the best epoch's model
	Report     string // path of the page that shows how it did
	Test       float64
	TestCount  int // 0 if there is no test split
	TestRight  int // of TestCount
	// Sources are the test figures of each data set of several.
	Sources []SourceFigures
	Used    int            // pictures of all splits that could be read
	Tally   *dataset.Tally // what gave no picture
	// Acceptance is how the model judges whether a picture shows any of its classes; nil if
	// it does not.
	Acceptance *model.Acceptance
	// Lookalikes are the other pictures that the model accepts.
	Lookalikes []Lookalike
	Stopped    bool // by its patience
}

// Progress is told how a run goes; any function may be nil.
type Progress struct {
	// Data is called once with the data set as it was read and divided.
	Data func(*dataset.Data, *dataset.Splits)
	// Scanned is called once all pictures were read, with the number of those that are
	// used and with what gave none.
	Scanned func(used int, tally *dataset.Tally)
	// Pictures is called once with the number of pictures of all splits; it returns
	// what to call as each is read, from several goroutines.
	Pictures func(total int) (done func())
	Step     func(Step)
	Epoch    func(Epoch)
}

// errNoPictures says that a split has nothing to learn from.
var errNoPictures = errors.New("none of the pictures could be read")

// DivergedError says that the loss, or a weight, became infinite or NaN.
type DivergedError struct {
	Epoch, Step  int
	LearningRate float64
	Checkpoint   string // the best so far, "" if there is none
}

func (e *DivergedError) Error() string {
	kept := "no epoch was finished"
	if e.Checkpoint != "" {
		kept = "the best model so far is " + e.Checkpoint
	}
	return fmt.Sprintf("training: the loss of epoch %d, step %d is not a number, at the learning rate %v: use a "+
		"smaller one, or --clip-norm 1; %s",
		e.Epoch, e.Step, e.LearningRate, kept)
}

// Run trains. Interrupted, it finishes the step, writes its state and returns ctx's
// error: Resume goes on from there. The same settings, pictures and weights give the
// same model, to the bit on one kind of CPU.
func Run(ctx context.Context, c Config, p Progress) (*Result, error) {
	if _, err := os.Stat(filepath.Join(c.Out, stateFile)); err == nil {
		return nil,
			fmt.Errorf("%s holds another run; go on with it by --resume, choose another folder with --out, or "+
				"remove it", c.Out)
	}
	if _, err := model.BestCheckpoint(c.Out); err == nil {
		return nil,
			fmt.Errorf("%s holds the checkpoints of another run; choose another folder with --out, or remove it",
				c.Out)
	}
	r, err := newRun(ctx, c, p)
	if err != nil {
		return nil, err
	}
	return r.fit(ctx, p)
}

// Resume goes on with the run in c.Out, which may have been stopped at any moment: it
// comes to the bits that it would have come to. c may differ from the run's settings
// in the number of epochs only. A run that was stopped before its first state begins
// anew.
func Resume(ctx context.Context, c Config, p Progress) (*Result, error) {
	before, err := ReadConfig(c.Out)
	if err != nil {
		return nil, err
	}
	if changed := Differences(c, before); len(changed) > 0 {
		return nil, fmt.Errorf("the run in %s was begun with other settings: %v; only the number of epochs may change",
			c.Out, changed)
	}
	f, state, ok, err := readState(c.Out)
	if err != nil {
		return nil, err
	}
	if ok {
		state.Config.Epochs = c.Epochs
		if state.done() {
			return nil, fmt.Errorf("the run in %s has done its %d epochs; raise --epochs to go on", c.Out,
				len(state.History))
		}
	}
	r, err := newRun(ctx, c, p)
	if err != nil {
		return nil, err
	}
	if ok {
		if err := r.restore(f, state); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Out, err)
		}
	}
	return r.fit(ctx, p)
}

// split is one part of the data set, ready for the network.
type split struct {
	source
	set     *dataset.Set
	digests []string // of the pictures
	from    []int    // the source of each picture, see Config.sources; Config.Other follow
}

// empty reports whether the data set has no such split.
func (s *split) empty() bool { return s.set == nil }

// run is a training under way.
type run struct {
	position
	architecture backbone.Architecture
	weights      nn.Weights // of the backbone, before training
	digest       string     // of the backbone's file, if a model may refer to it
	frozen       bool       // the network in training is the head
	classes      []string

	train, validation, test split
	// Pictures of none of the classes that are not trained on.
	otherValidation, otherTest split
	sampling                   []float64 // see shares
	tally                      *dataset.Tally
	used                       int // pictures
	teachers                   []*model.Classifier
	probe                      tensor.Map // the head that the probe came to, once it has ended

	graph     *nn.Graph // what is trained, as it answers
	trainer   *nn.Trainer
	variables []*nn.Variable
	optimizer nn.Optimizer
	average   *nn.Average
	schedule  nn.Schedule
}

// fit goes through the epochs that are left.
func (r *run) fit(ctx context.Context, p Progress) (*Result, error) {
	if err := r.writeEvents(); err != nil {
		return nil, err
	}
	speed := &speed{began: time.Now()}
	for !r.done() {
		if err := r.epochOf(ctx, p, speed); err != nil {
			return nil, err
		}
		validated, err := r.measure(ctx)
		if err != nil {
			return nil, r.stopped(ctx, fmt.Errorf("training: measuring epoch %d on validation: %w", r.epoch(), err))
		}
		if math.IsNaN(validated.loss) {
			return nil, &DivergedError{r.epoch(), r.stepsPerEpoch(), r.rate(r.stepsPerEpoch() - 1), r.best()}
		}
		e := Epoch{
			Epoch: r.epoch(), Loss: r.Loss / float64(r.Seen), Accuracy: float64(r.Right) / float64(r.Seen),
			ValidationLoss: validated.loss, ValidationAccuracy: validated.accuracy, Sources: validated.sources,
			OtherAUROC:   validated.otherAUROC(r.Config.method()),
			LearningRate: r.rate(r.stepsPerEpoch() - 1), Duration: r.Elapsed,
		}
		e.Best = r.Best.Epoch == 0 || r.Config.prefers(e, r.Best)
		if e.Best {
			r.Best, r.BestRight = e, validated.right
			if err := r.checkpoint(ctx, e, validated); err != nil {
				return nil, r.stopped(ctx, fmt.Errorf("training: keeping the model of epoch %d: %w", e.Epoch, err))
			}
		}
		r.History = append(r.History, e)
		r.Step, r.Loss, r.Right, r.Seen, r.Elapsed = 0, 0, 0, 0, 0
		if err := r.endProbe(); err != nil {
			return nil, err
		}
		// In this order, so that no event is of an epoch that a resumed run does again.
		for _, write := range []func() error{r.saveState, r.writeHistory, r.writeEvents} {
			if err := write(); err != nil {
				return nil, err
			}
		}
		if p.Epoch != nil {
			p.Epoch(e)
		}
	}
	return r.finish(ctx)
}

// prefers reports whether epoch a is better than epoch b in what is monitored, or equal
// in that and better in the other figure. This one rule decides which epoch is kept, is
// marked as the best so far, and starts the count of patience again.
func (c Config) prefers(a, b Epoch) bool {
	accuracy := cmp.Compare(a.ValidationAccuracy, b.ValidationAccuracy)
	loss := cmp.Compare(b.ValidationLoss, a.ValidationLoss) // positive: a's is smaller
	if c.Monitor == "loss" {
		return cmp.Or(loss, accuracy) > 0
	}
	return cmp.Or(accuracy, loss) > 0
}

// best is the path of the best checkpoint, "" if there is none.
func (r *run) best() string {
	path, err := model.BestCheckpoint(r.Config.Out)
	if err != nil {
		return ""
	}
	return path
}

// stopped returns the error that ended a run, after it has saved where an interrupted run
// stands. An error that is not the interruption is returned with it.
func (r *run) stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if errors.Is(err, ctx.Err()) {
		err = ctx.Err()
	} else {
		err = errors.Join(ctx.Err(), err)
	}
	return errors.Join(err, r.saveState())
}

// rate is the learning rate of a step of the epoch under way.
func (r *run) rate(step int) float64 {
	if r.probing() {
		return r.Config.probeRate()
	}
	perEpoch, probe := r.stepsPerEpoch(), r.Config.ProbeEpochs
	return r.schedule((r.epoch()-1-probe)*perEpoch+step, (r.Config.Epochs-probe)*perEpoch)
}

// current are the weights that training has come to: the averages, if there are any.
func (r *run) current() nn.Weights {
	if r.average != nil {
		return r.average.Over(r.trainer, r.variables)
	}
	return r.trainer
}

// finish looks at the test split, once, with the best model as anybody would open it,
// and writes the report.
func (r *run) finish(ctx context.Context) (*Result, error) {
	result := &Result{
		Best: r.Best, Epochs: len(r.History), Checkpoint: r.best(), Used: r.used, Tally: r.tally,
		Stopped: len(r.History) < r.Config.Epochs,
	}
	if r.Config.Candidate {
		return result, nil
	}
	classifier, err := model.Open(result.Checkpoint, model.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	result.Acceptance = classifier.Description().Acceptance
	f, err := tensor.ReadFile(result.Checkpoint)
	if err != nil {
		return nil, err
	}
	outputs := max(r.outputs(), len(r.classes)) // a binary network's file has two
	plan, err := nn.Compile(r.network(r.Config.Preprocessing, outputs, 0), nn.Overlay{Top: f, Below: r.weights},
		nn.Options{})
	if err != nil {
		return nil, err
	}
	d := evaluate.Document{Folder: r.Config.Out, Title: filepath.Base(r.Config.Out),
		Model: filepath.Base(result.Checkpoint), About: classifier.Description()}
	names := sourceNames(r.Config.sources())
	for _, part := range []struct {
		name string
		*split
	}{{"validation", &r.validation}, {"test", &r.test}} {
		if part.empty() {
			continue
		}
		began := time.Now()
		outputs, err := outputsOf(ctx, plan, part.split)
		if err != nil {
			return nil, err
		}
		logits := rows(classLogits(outputs, tensor.Len(plan.OutputShape()), len(r.classes)), len(r.classes))
		var predictions [][]model.Prediction
		for _, row := range logits {
			predictions = append(predictions, classifier.Predictions(row))
		}
		p := evaluate.Summarize(r.classes, part.set, part.digests, predictions)
		p.Seconds = time.Since(began).Seconds()
		d.Parts = append(d.Parts, evaluate.Part{Name: part.name, Report: p})
		if part.name == "test" {
			result.Test, result.TestCount = p.Accuracy, p.Count
			result.TestRight = int(math.Round(p.Accuracy * float64(p.Count)))
		}
		for source, name := range names {
			one := &dataset.Set{Folder: part.set.Folder, Classes: part.set.Classes}
			var digests []string
			var predicted [][]model.Prediction
			for i, from := range part.from {
				if from == source {
					one.Samples, digests = append(one.Samples, part.set.Samples[i]), append(digests, part.digests[i])
					predicted = append(predicted, predictions[i])
				}
			}
			if len(names) == 1 || len(one.Samples) == 0 {
				continue
			}
			p := evaluate.Summarize(r.classes, one, digests, predicted)
			d.Parts = append(d.Parts, evaluate.Part{Name: part.name + " of " + name, Report: p})
			if part.name == "test" {
				result.Sources = append(result.Sources, SourceFigures{Name: name, Count: p.Count, Loss: p.LogLoss,
					Accuracy: p.Accuracy})
			}
		}
	}
	if result.Lookalikes, err = r.lookalikes(ctx, plan, classifier); err != nil {
		return nil, err
	}
	if d.Curves, err = evaluate.ReadCurves(r.Config.Out); err != nil {
		return nil, err
	}
	for _, skip := range r.tally.Skips() {
		if !skip.Reason.Ignored() {
			d.Skipped = append(d.Skipped, skip.Message)
		}
	}
	for name, chart := range evaluate.Charts(d.Curves) {
		folder := filepath.Join(r.Config.Out, plotsFolder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		if err := safefile.Write(filepath.Join(folder, name+".svg"), chart.WriteSVG); err != nil {
			return nil, err
		}
	}
	result.Report = filepath.Join(r.Config.Out, reportFile)
	return result, safefile.Write(result.Report, func(w io.Writer) error { return evaluate.WritePage(ctx, w, d) })
}
