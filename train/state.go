package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"garb/internal/safefile"
	"garb/internal/tfevents"
	"garb/nn"
	"garb/tensor"
)

// The files of a run's folder.
const (
	configFile  = "config.json"
	historyFile = "history.csv"
	stateFile   = "state.safetensors"
	reportFile  = "report.html"
	plotsFolder = "plots"
	// eventFile has a fixed name where other programs put the time and the host, so that
	// a run that is resumed goes on in the same file.
	eventFile   = "events.out.tfevents.0.garb"
	eventFolder = "tensorboard"
	stateKey    = "garb.run"
)

// position is where a run stands, beside its weights: what is written to the state.
type position struct {
	Config Config `json:"config"`
	Data   string `json:"data_digest"`
	// Teachers are the digests of Config.Teachers.
	Teachers []string `json:"teachers,omitempty"`
	// OwnDigest is that of Config.Weights, where they are those of a network of its own.
	OwnDigest string  `json:"own_digest,omitempty"`
	History   []Epoch `json:"history"`
	// Best is the epoch of History that Config.Monitor prefers: its weights are kept, and
	// patience counts from it.
	Best Epoch `json:"best"`
	// BestRight has a 1 for each validation picture that Best was right about, else a
	// 0: runs are compared picture by picture.
	BestRight string `json:"best_right"`
	// Step is the number of steps done of the epoch under way, whose sums follow.
	Step    int           `json:"step"`
	Loss    float64       `json:"loss"` // times pictures
	Right   int           `json:"right"`
	Seen    int           `json:"seen"`
	Elapsed time.Duration `json:"elapsed"`
}

// epoch is the number of the epoch under way, or to be begun.
func (p *position) epoch() int { return len(p.History) + 1 }

// done reports whether there is nothing left to do.
func (p *position) done() bool {
	return p.epoch() > p.Config.Epochs ||
		p.Config.Patience > 0 && len(p.History)-max(p.Best.Epoch, p.Config.ProbeEpochs) >= p.Config.Patience
}

// prefixed puts a prefix before the names of tensors.
func prefixed(into tensor.Map, prefix string, m tensor.Map) {
	for name, t := range m {
		into[prefix+name] = t
	}
}

// under are the weights below a prefix.
type under struct {
	w      nn.Weights
	prefix string
}

func (u under) Tensor(name string) (*tensor.Tensor, error) { return u.w.Tensor(u.prefix + name) }

// saveState writes all that it takes to go on: all or nothing.
func (r *run) saveState() error {
	text, err := json.Marshal(r.position)
	if err != nil {
		return err
	}
	all := tensor.Map{}
	for _, v := range r.moving() {
		all["variable/"+v.Name] = tensor.FromSlice(v.Value, v.Shape...)
	}
	prefixed(all, probePrefix, r.probe)
	prefixed(all, "optimizer/", r.optimizer.State(r.variables))
	if r.average != nil {
		prefixed(all, "average/", r.average.State(r.variables))
	}
	return tensor.WriteFile(filepath.Join(r.Config.Out, stateFile), map[string]string{stateKey: string(text)}, all,
		tensor.Float32)
}

// moving are the variables that steps change.
func (r *run) moving() []*nn.Variable {
	return append(r.trainer.Variables(), r.trainer.Statistics()...)
}

// restore takes up the run where its state left it.
func (r *run) restore(f *tensor.File, p position) error {
	if p.Data != r.Data {
		return fmt.Errorf("the pictures in %s are not those that the run was begun with; bring them back, or begin "+
			"another run", r.Config.Data)
	}
	if !slices.Equal(p.Teachers, r.Teachers) {
		return fmt.Errorf("the teachers %v are not the models that the run was begun with; bring them back, or "+
			"begin another run", r.Config.Teachers)
	}
	if p.OwnDigest != r.OwnDigest {
		return fmt.Errorf("%s is not the file that the run was begun with; bring it back, or begin another run",
			r.Config.Weights)
	}
	if err := r.resumeAfterProbe(f, p); err != nil {
		return err
	}
	for _, v := range r.moving() {
		t, err := f.Tensor("variable/" + v.Name)
		if err != nil || len(t.Data) != len(v.Value) {
			return fmt.Errorf("%s is of another network: %s is missing or of another size", stateFile, v.Name)
		}
		copy(v.Value, t.Data)
	}
	if err := r.optimizer.Restore(r.variables, under{f, "optimizer/"}); err != nil {
		return err
	}
	if r.average != nil {
		if err := r.average.Restore(r.variables, under{f, "average/"}); err != nil {
			return err
		}
	}
	p.Config = r.Config // which may have more epochs
	r.position = p
	r.trainer.SetSteps(r.stepsDone())
	return nil
}

// readState reads the state of a run's folder; ok is false if there is none.
func readState(folder string) (f *tensor.File, p position, ok bool, err error) {
	f, err = tensor.ReadFile(filepath.Join(folder, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, p, false, nil
	}
	if err != nil {
		return nil, p, false, err
	}
	if err := json.Unmarshal([]byte(f.Metadata[stateKey]), &p); err != nil {
		return nil, p, false, fmt.Errorf("%s: it is not the state of a run: %w", filepath.Join(folder, stateFile), err)
	}
	return f, p, true, nil
}

// ReadConfig returns the settings of the run in a folder, so that it can be taken up.
func ReadConfig(folder string) (Config, error) {
	var c Config
	text, err := os.ReadFile(filepath.Join(folder, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is not the folder of a run: it has no %s", folder, configFile)
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Join(folder, configFile), err)
	}
	c.Out = folder // it may have been moved
	return c, nil
}

func (r *run) writeConfig() error {
	return safefile.Write(filepath.Join(r.Config.Out, configFile), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r.Config)
	})
}

// writeHistory writes history.csv, with Keras's names for the columns.
func (r *run) writeHistory() error {
	return safefile.Write(filepath.Join(r.Config.Out, historyFile), func(w io.Writer) error {
		var b strings.Builder
		b.WriteString("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds")
		for _, f := range r.History[0].Sources {
			name := strings.Map(func(c rune) rune {
				if c == ',' || c == '"' || c < ' ' { // what a CSV field would have to quote
					return '_'
				}
				return c
			}, f.Name)
			fmt.Fprintf(&b, ",val_loss %s,val_accuracy %[1]s", name)
		}
		if len(r.Config.Other) > 0 {
			b.WriteString(",other_auroc")
		}
		b.WriteString("\n")
		for _, e := range r.History {
			fmt.Fprintf(&b, "%d,%.6f,%.6f,%.6f,%.6f,%g,%.3f", e.Epoch, e.Loss, e.Accuracy,
				e.ValidationLoss, e.ValidationAccuracy, e.LearningRate, e.Duration.Seconds())
			for _, f := range e.Sources {
				fmt.Fprintf(&b, ",%.6f,%.6f", f.Loss, f.Accuracy)
			}
			if len(r.Config.Other) > 0 {
				fmt.Fprintf(&b, ",%.6f", e.OtherAUROC)
			}
			b.WriteString("\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// writeEvents brings the event file up to date with the history, if it is asked for:
// each epoch is one event, once. It also mends what a run left behind that was killed
// between its state and its event, or as it wrote one.
func (r *run) writeEvents() error {
	if !r.Config.TensorBoard {
		return nil
	}
	folder := filepath.Join(r.Config.Out, eventFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, eventFile)
	last, err := tfevents.Truncate(path, int64(len(r.History)))
	if err != nil {
		return err
	}
	var events []tfevents.Event
	for _, e := range r.History[last:] {
		events = append(events, tfevents.Event{Step: int64(e.Epoch), Time: time.Now(), Scalars: []tfevents.Scalar{
			{Tag: "loss/train", Value: e.Loss}, {Tag: "loss/validation", Value: e.ValidationLoss},
			{Tag: "accuracy/train", Value: e.Accuracy}, {Tag: "accuracy/validation", Value: e.ValidationAccuracy},
			{Tag: "learning_rate", Value: e.LearningRate},
		}})
	}
	return tfevents.Append(path, events...)
}
