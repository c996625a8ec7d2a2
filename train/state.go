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
	// eventFile has a fixed name, without the time and host that other programs put in it, so
	// that a resumed run continues the same file.
	eventFile   = "events.out.tfevents.0.garb"
	eventFolder = "tensorboard"
	stateKey    = "garb.run"
)

// runState is the progress of a run, which is saved together with its weights.
type runState struct {
	Config Config `json:"config"`
	Data   string `json:"data_digest"`
	// Teachers are the digests of Config.Teachers.
	Teachers []string `json:"teachers,omitempty"`
	// OwnDigest is the digest of Config.Weights, if Config.Backbone is backbone.OwnName.
	OwnDigest string  `json:"own_digest,omitempty"`
	History   []Epoch `json:"history"`
	// Best is the best epoch of History by Config.Monitor. Its model is saved, and patience
	// counts from it.
	Best Epoch `json:"best"`
	// BestRight has a "1" for each validation picture that Best classified correctly, else a
	// "0", so that runs can be compared picture by picture.
	BestRight string `json:"best_right"`
	// Step is the number of finished steps of the current epoch. The fields that follow are
	// sums over these steps.
	Step    int           `json:"step"`
	Loss    float64       `json:"loss"` // of all pictures
	Right   int           `json:"right"`
	Seen    int           `json:"seen"`
	Elapsed time.Duration `json:"elapsed"`
}

// epoch returns the number of the current epoch, or of the next one between epochs.
func (p *runState) epoch() int { return len(p.History) + 1 }

// done reports whether the run has finished.
func (p *runState) done() bool {
	return p.epoch() > p.Config.Epochs ||
		p.Config.Patience > 0 && len(p.History)-max(p.Best.Epoch, p.Config.ProbeEpochs) >= p.Config.Patience
}

// copyPrefixed adds the tensors of m to another map, with a prefix before their names.
func copyPrefixed(to tensor.Map, prefix string, m tensor.Map) {
	for name, t := range m {
		to[prefix+name] = t
	}
}

// prefixedWeights gives access to the weights whose names have a prefix, by the rest of their names.
type prefixedWeights struct {
	weights nn.Weights
	prefix  string
}

// Tensor returns the tensor of the given name behind the prefix.
func (p prefixedWeights) Tensor(name string) (*tensor.Tensor, error) {
	return p.weights.Tensor(p.prefix + name)
}

// saveState atomically writes the state from which the run can be resumed.
func (r *run) saveState() error {
	text, err := json.Marshal(r.runState)
	if err != nil {
		return err
	}
	all := tensor.Map{}
	for _, v := range r.changingVariables() {
		all["variable/"+v.Name] = tensor.FromSlice(v.Value, v.Shape...)
	}
	copyPrefixed(all, probePrefix, r.probe)
	copyPrefixed(all, "optimizer/", r.optimizer.State(r.variables))
	if r.average != nil {
		copyPrefixed(all, "average/", r.average.State(r.variables))
	}
	return tensor.WriteFile(filepath.Join(r.Config.Out, stateFile), map[string]string{stateKey: string(text)}, all,
		tensor.Float32)
}

// changingVariables returns the variables that steps change.
func (r *run) changingVariables() []*nn.Variable {
	return append(r.trainer.Variables(), r.trainer.Statistics()...)
}

// restore continues the run from its saved state.
func (r *run) restore(f *tensor.File, p runState) error {
	changed := ""
	switch {
	case p.Data != r.Data:
		changed = "the pictures in " + r.Config.Data
	case !slices.Equal(p.Teachers, r.Teachers):
		changed = fmt.Sprintf("the teachers %v", r.Config.Teachers)
	case p.OwnDigest != r.OwnDigest:
		changed = "the weights in " + r.Config.Weights
	}
	if changed != "" {
		return fmt.Errorf("%s have changed since the run was started; restore them, or start another run", changed)
	}
	if err := r.resumeAfterProbe(f, p); err != nil {
		return err
	}
	for _, v := range r.changingVariables() {
		t, err := f.Tensor("variable/" + v.Name)
		if err != nil || len(t.Data) != len(v.Value) {
			return fmt.Errorf("%s belongs to another network: %s is missing or has another size", stateFile, v.Name)
		}
		copy(v.Value, t.Data)
	}
	if err := r.optimizer.Restore(r.variables, prefixedWeights{f, "optimizer/"}); err != nil {
		return err
	}
	if r.average != nil {
		if err := r.average.Restore(r.variables, prefixedWeights{f, "average/"}); err != nil {
			return err
		}
	}
	p.Config = r.Config // it may have more epochs
	r.runState = p
	r.trainer.SetSteps(r.stepsDone())
	return nil
}

// readState reads the state of a run's folder; ok is false if there is none.
func readState(folder string) (f *tensor.File, p runState, ok bool, err error) {
	f, err = tensor.ReadFile(filepath.Join(folder, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, p, false, nil
	}
	if err != nil {
		return nil, p, false, err
	}
	if err := json.Unmarshal([]byte(f.Metadata[stateKey]), &p); err != nil {
		return nil, p, false, fmt.Errorf("%s is not the state of a run: %w", filepath.Join(folder, stateFile), err)
	}
	return f, p, true, nil
}

// ReadConfig returns the settings of the run in a folder, for Resume.
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
	c.Out = folder // which may have been moved
	return c, nil
}

func (r *run) writeConfig() error {
	return safefile.Write(filepath.Join(r.Config.Out, configFile), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r.Config)
	})
}

// writeHistory writes history.csv, with the column names of Keras.
func (r *run) writeHistory() error {
	return safefile.Write(filepath.Join(r.Config.Out, historyFile), func(w io.Writer) error {
		var b strings.Builder
		b.WriteString("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds")
		for _, f := range r.History[0].Sources {
			name := strings.Map(func(c rune) rune {
				if c == ',' || c == '"' || c < ' ' { // would need quotes in CSV
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

// writeEvents updates TensorBoard's event file, if enabled, so that it has exactly one event for
// each epoch of the history. It repairs the file of a run that was killed before or while it wrote
// an event.
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
