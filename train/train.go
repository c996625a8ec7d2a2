// Package train trains classifiers on labelled pictures: a new head on a pretrained backbone,
// which is frozen or fine-tuned with it. A run writes a checkpoint for each best epoch, and its
// state, from which it can be resumed. A sweep compares several runs.
package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"garb/backbone"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// Epoch is a row of history.csv.
type Epoch struct {
	Epoch              int           `json:"epoch"`
	Loss               float64       `json:"loss"`
	Accuracy           float64       `json:"accuracy"` // on the training views, during the epoch
	ValidationLoss     float64       `json:"val_loss"`
	ValidationAccuracy float64       `json:"val_accuracy"`
	LearningRate       float64       `json:"learning_rate"` // of its last step
	Duration           time.Duration `json:"duration"`
	// Sources are the figures of each data set of several; the two above are their means.
	Sources []SourceFigures `json:"sources,omitempty"`
	// OtherAUROC is the area under the ROC curve of the acceptance, which tells validation
	// pictures from other pictures; 0 without other pictures.
	OtherAUROC float64 `json:"other_auroc,omitempty"`
	Best       bool    `json:"best"` // the best so far by Config.Monitor: its model was saved
}

// Step reports the progress of an epoch after one of its steps.
type Step struct {
	Epoch, Epochs  int
	Step, Steps    int
	Loss, Accuracy float64 // means over the epoch so far
	// PicturesPerSecond is the speed since the run began or was resumed, and Remaining the
	// estimated time until its last epoch ends.
	PicturesPerSecond float64
	Remaining         time.Duration
}

// Result is the outcome of a run.
type Result struct {
	Best       Epoch
	Epochs     int    // number of epochs that were trained
	Checkpoint string // path of the best epoch's model
	Report     string // path of the report
	Test       float64
	TestCount  int // 0 if there is no test split
	TestRight  int // of TestCount
	// Sources are the test figures of each data set, if there are several.
	Sources []SourceFigures
	Used    int            // pictures of all splits that could be read
	Tally   *dataset.Tally // files that were skipped, by reason
	// Acceptance is how the model judges whether a picture shows any of its classes; nil if
	// it does not.
	Acceptance *model.Acceptance
	// Lookalikes are the other pictures that the model accepts.
	Lookalikes []Lookalike
	Stopped    bool // ended early, by Config.Patience
}

// Progress holds functions that are called as a run proceeds; any of them may be nil.
type Progress struct {
	// Data is called once for each data set, after it was read and divided.
	Data func(*dataset.Data, *dataset.Splits)
	// Scanned is called once all pictures were read, with the number of those that are
	// used and the tally of skipped files.
	Scanned func(used int, tally *dataset.Tally)
	// FeatureFiles is called once with the number of vectors in the files of Config.Features, if there
	// are any, before their content is checked. It returns a function that is called with the number of
	// vectors in each block that was checked.
	FeatureFiles func(vectors int) (checked func(vectors int))
	// Pictures is called once with the number of pictures of all splits. It returns a
	// function that is called as each is read, from several goroutines.
	Pictures func(total int) (done func())
	// Features is called once after the pictures were read, if the backbone is frozen. Pictures
	// that are augmented count in no number.
	Features func(FeatureCounts)
	Step     func(Step)
	Epoch    func(Epoch)
}

// errNoPictures says that no picture of a set can be used.
var errNoPictures = errors.New("none of the pictures could be read")

// DivergedError says that the loss, or a weight, became infinite or NaN.
type DivergedError struct {
	Epoch, Step  int
	LearningRate float64
	Checkpoint   string // the best so far, "" if there is none
}

func (e *DivergedError) Error() string {
	best := "no epoch was finished"
	if e.Checkpoint != "" {
		best = "the best model so far is " + e.Checkpoint
	}
	return fmt.Sprintf("training diverged: the loss is not a number in epoch %d, step %d, at the learning rate %v; %s",
		e.Epoch, e.Step, e.LearningRate, best)
}

// RunExistsError says that the folder of a new run holds another run already.
type RunExistsError struct {
	Folder    string
	Resumable bool // it has a state from which Resume can continue
}

func (e *RunExistsError) Error() string {
	if e.Resumable {
		return e.Folder + " holds another run"
	}
	return e.Folder + " holds the checkpoints of another run"
}

// RunFinishedError says that a run has trained all of its epochs: there is nothing to resume.
type RunFinishedError struct {
	Folder string
	Epochs int
}

func (e *RunFinishedError) Error() string {
	return fmt.Sprintf("the run in %s has finished its %d epochs", e.Folder, e.Epochs)
}

// Run trains a classifier. When ctx is cancelled, it finishes the step, saves its state and
// returns ctx's error; Resume continues from there. The same settings, pictures and weights
// give the same model, to the bit on one kind of CPU.
//
// Errors include *RunExistsError, *LockedError if another process writes the folder, and
// *DivergedError.
func Run(ctx context.Context, c Config, p Progress) (*Result, error) {
	// Before the preparation, which takes long on a large data set, and before the advice to remove
	// a run, which may be live.
	if err := checkUnlocked(c.Out); err != nil {
		return nil, err
	}
	if err := checkNew(c.Out); err != nil {
		return nil, err
	}
	r, err := prepare(ctx, c, p)
	if err != nil {
		return nil, err // and leave no folder
	}
	if err = os.MkdirAll(c.Out, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(c.Out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkNew(c.Out); err != nil {
		return nil, err // another process has trained here in the meantime
	}
	if err := r.createFiles(); err != nil {
		return nil, err
	}
	return r.fit(ctx, p)
}

// checkNew returns an error if the folder holds a run that has finished an epoch.
func checkNew(folder string) error {
	if _, err := os.Stat(filepath.Join(folder, stateFile)); err == nil {
		return &RunExistsError{folder, true}
	}
	if _, err := model.BestCheckpoint(folder); err == nil {
		return &RunExistsError{folder, false}
	}
	return nil
}

// Resume continues the run in c.Out, which may have been interrupted at any time, and gives
// the same model, to the bit, as an uninterrupted run. Only the number of epochs in c may
// differ from the run's settings. A run without a saved state starts again.
//
// Errors include *RunFinishedError, *LockedError if another process writes the folder, and
// *DivergedError.
func Resume(ctx context.Context, c Config, p Progress) (*Result, error) {
	before, err := ReadConfig(c.Out)
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(c.Out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if changed := Differences(c, before); len(changed) > 0 {
		return nil, fmt.Errorf("the run in %s was started with other settings: %v; only the number of epochs may "+
			"change", c.Out, changed)
	}
	f, state, ok, err := readState(c.Out)
	if err != nil {
		return nil, err
	}
	if ok {
		state.Config.Epochs = c.Epochs
		if state.done() {
			return nil, &RunFinishedError{c.Out, len(state.History)}
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

// split is one split of the data, ready for the network.
type split struct {
	loader
	set     *dataset.Set
	digests []string // of the pictures
	from    []int    // index of each picture's data set in Config.sources, continued by Config.Other
}

// empty reports whether the data has no such split.
func (s *split) empty() bool { return s.set == nil }

// run is a training run in progress.
type run struct {
	runState
	architecture backbone.Architecture
	weights      nn.Weights // of the backbone, before training
	digest       string     // of the backbone's file, if a model may refer to it
	frozen       bool       // only the head is trained, on features
	classes      []string

	train, validation, test split
	// Pictures of none of the classes that are not trained on.
	otherValidation, otherTest split
	sampling                   []float64 // see computeShares
	tally                      *dataset.Tally
	used                       int // number of pictures that could be read
	teachers                   []*model.Classifier
	probe                      tensor.Map // the head after the probe, once that has ended

	graph     *nn.Graph // of what is trained, for inference
	trainer   *nn.Trainer
	variables []*nn.Variable
	optimizer nn.Optimizer
	average   *nn.Average
	schedule  nn.Schedule
}

// fit trains the remaining epochs.
func (r *run) fit(ctx context.Context, p Progress) (*Result, error) {
	if err := r.writeEvents(); err != nil {
		return nil, err
	}
	speed := &speed{began: time.Now()}
	for !r.done() {
		if err := r.trainEpoch(ctx, p, speed); err != nil {
			return nil, err
		}
		e, err := r.endEpoch(ctx)
		if err != nil {
			return nil, err
		}
		if p.Epoch != nil {
			p.Epoch(e)
		}
	}
	return r.finish(ctx)
}

// endEpoch validates the network after an epoch, saves the model if it is the best so far, and
// writes the state and the history.
func (r *run) endEpoch(ctx context.Context) (Epoch, error) {
	rate := r.learningRate(r.stepsPerEpoch() - 1)
	m, err := r.measure(ctx)
	if err != nil {
		return Epoch{}, r.saveIfInterrupted(ctx, fmt.Errorf("training: validation of epoch %d: %w", r.epoch(), err))
	}
	if math.IsNaN(m.loss) {
		return Epoch{}, &DivergedError{r.epoch(), r.stepsPerEpoch(), rate, r.bestCheckpoint()}
	}
	e := Epoch{
		Epoch: r.epoch(), Loss: r.Loss / float64(r.Seen), Accuracy: float64(r.Right) / float64(r.Seen),
		ValidationLoss: m.loss, ValidationAccuracy: m.accuracy, Sources: m.sources,
		OtherAUROC: m.otherAUROC(r.Config.method()), LearningRate: rate, Duration: r.Elapsed,
	}
	e.Best = r.Best.Epoch == 0 || r.Config.prefers(e, r.Best)
	if e.Best {
		r.Best, r.BestRight = e, m.right
		if err = r.saveCheckpoint(ctx, e, m); err != nil {
			err = fmt.Errorf("training: saving the model of epoch %d: %w", e.Epoch, err)
			return Epoch{}, r.saveIfInterrupted(ctx, err)
		}
	}
	r.History = append(r.History, e)
	r.Step, r.Loss, r.Right, r.Seen, r.Elapsed = 0, 0, 0, 0, 0
	if err := r.endProbe(); err != nil {
		return Epoch{}, err
	}
	// The state comes first: a resumed run repeats no epoch that has an event.
	for _, write := range []func() error{r.saveState, r.writeHistory, r.writeEvents} {
		if err := write(); err != nil {
			return Epoch{}, err
		}
	}
	return e, nil
}

// prefers reports whether epoch a is better than epoch b in the monitored figure, or equal in
// it and better in the other. This rule decides whose model is saved, which epoch is marked as
// the best so far, and when the count of patience starts again.
func (c Config) prefers(a, b Epoch) bool {
	accuracy := cmp.Compare(a.ValidationAccuracy, b.ValidationAccuracy)
	loss := cmp.Compare(b.ValidationLoss, a.ValidationLoss) // positive: a's is smaller
	if c.Monitor == MonitorLoss {
		return cmp.Or(loss, accuracy) > 0
	}
	return cmp.Or(accuracy, loss) > 0
}

// bestCheckpoint returns the path of the best checkpoint, "" if there is none.
func (r *run) bestCheckpoint() string {
	path, err := model.BestCheckpoint(r.Config.Out)
	if err != nil {
		return ""
	}
	return path
}

// saveIfInterrupted returns the error that ended a run. If ctx was cancelled it saves the run's
// state first, and returns ctx's error too.
func (r *run) saveIfInterrupted(ctx context.Context, err error) error {
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

// learningRate returns the learning rate of a step of the current epoch.
func (r *run) learningRate(step int) float64 {
	if r.probing() {
		return r.Config.probeRate()
	}
	perEpoch, probe := r.stepsPerEpoch(), r.Config.ProbeEpochs
	return r.schedule((r.epoch()-1-probe)*perEpoch+step, (r.Config.Epochs-probe)*perEpoch)
}

// currentWeights returns the weights after the last step, or their moving average if there is one.
func (r *run) currentWeights() nn.Weights {
	if r.average != nil {
		return r.average.Over(r.trainer, r.variables)
	}
	return r.trainer
}
