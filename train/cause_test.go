package train

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// TestOnlyWeightsThatAreNotFiniteDiverge spoils what a run measures after its first epoch:
// only NaN and infinite weights mean that it has diverged. All else keeps its cause.
func TestOnlyWeightsThatAreNotFiniteDiverge(t *testing.T) {
	data := drawn(t)
	begin := func() *run {
		r, err := newRun(t.Context(), tiny(t, data), Progress{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var diverged *DivergedError
	for name, value := range map[string]float32{"NaN": float32(math.NaN()), "infinite": float32(math.Inf(1))} {
		r := begin()
		r.average = &nn.Average{Decay: 0.5}
		v := variableOf(t, r, "dense1/bias")
		restored := map[string]*tensor.Tensor{"average/steps": tensor.FromSlice([]float32{9, 0}, 2)}
		for _, x := range r.variables {
			restored["average/"+x.Name] = tensor.FromSlice(append([]float32(nil), x.Value...), x.Shape...)
		}
		if err := r.average.Restore(r.variables, tensor.Map(restored)); err != nil {
			t.Fatal(err)
		}
		// The average spoils what is measured, and no step.
		progress := Progress{Step: func(s Step) {
			if s.Step == s.Steps {
				before := v.Value[0]
				v.Value[0] = value
				r.average.Update(r.variables)
				v.Value[0] = before
			}
		}}
		if _, err := r.fit(t.Context(), progress); !errors.As(err, &diverged) || diverged.Epoch != 1 {
			t.Errorf("measured with %s weights: %v", name, err)
		}

		r = begin()
		variableOf(t, r, "dense1/bias").Value[0] = value
		if _, err := r.fit(t.Context(), Progress{}); !errors.As(err, &diverged) || diverged.Step != 1 {
			t.Errorf("a step with %s weights: %v", name, err)
		}
	}

	// A network that does not fit the weights, as a mistake in the code would make it.
	r := begin()
	r.graph = model.Head{}.Graph(5, 2, 0)
	_, err := r.fit(t.Context(), Progress{})
	var weights *nn.WeightError
	if errors.As(err, &diverged) || !errors.As(err, &weights) || weights.Name != "classifier/kernel" ||
		!strings.Contains(err.Error(), "epoch 1") {
		t.Errorf("weights of another shape: %v", err)
	}
	r = begin()
	r.graph = model.Head{Inner: []int{3}}.Graph(64, 2, 0)
	if _, err = r.fit(t.Context(), Progress{}); errors.As(err, &diverged) || !errors.As(err, &weights) ||
		weights.Err == nil || weights.Name != "inner1/kernel" {
		t.Errorf("weights that are missing: %v", err)
	}
	// Feature maps of more than a gigabyte, which Compile refuses.
	r = begin()
	b := nn.NewBuilder(8192, 8192, 3)
	r.graph = b.Build(b.GlobalAveragePool(b.ReLU(b.Add(b.Input(), b.ReLU(b.Input())))))
	var layer *nn.LayerError
	if _, err = r.fit(t.Context(), Progress{}); errors.As(err, &diverged) || !errors.As(err, &layer) {
		t.Errorf("a network that is too large: %v", err)
	}
}

// TestStepsKeepTheCause: a training picture that is gone is no divergence, and is named.
func TestStepsKeepTheCause(t *testing.T) {
	for name, spoil := range map[string]func(r *run) string{
		"training":   func(r *run) string { return r.train.set.Samples[3].Path },
		"validation": func(r *run) string { return r.validation.set.Samples[1].Path },
	} {
		r, err := newRun(t.Context(), tiny(t, drawn(t)), Progress{})
		if err != nil {
			t.Fatal(err)
		}
		gone := spoil(r)
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
		var diverged *DivergedError
		if _, err := r.fit(t.Context(), Progress{}); errors.As(err, &diverged) || !errors.Is(err, os.ErrNotExist) ||
			!strings.Contains(err.Error(), gone) || !strings.Contains(err.Error(), "epoch 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInterruptedStep: a step that is interrupted is no divergence either.
func TestInterruptedStep(t *testing.T) {
	c := tiny(t, drawn(t))
	c.FineTune, c.Weights = FineTune{}, smallWeights(t) // features are cached: only the trainer looks at ctx
	r, err := newRun(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.fit(ctx, Progress{}); err == nil || err.Error() != context.Canceled.Error() {
		t.Errorf("%v", err)
	}
}

// TestStoppedKeepsTheCause: an error in a run that is interrupted at the same time is not
// lost.
func TestStoppedKeepsTheCause(t *testing.T) {
	r, err := newRun(t.Context(), tiny(t, drawn(t)), Progress{})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	if got := r.saveIfInterrupted(t.Context(), full); !errors.Is(got, full) {
		t.Errorf("without an interruption %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.saveIfInterrupted(ctx, full); !errors.Is(got, full) || !errors.Is(got, context.Canceled) {
		t.Errorf("interrupted as well: %v", got)
	}
	if got := r.saveIfInterrupted(ctx, errors.Join(context.Canceled)); got.Error() != context.Canceled.Error() {
		t.Errorf("interrupted: %v", got)
	}
	if _, _, ok, err := readState(r.Config.Out); !ok || err != nil {
		t.Errorf("an interrupted run left no state: %v", err)
	}
}

// TestOldStates: a state that an earlier garb wrote, with the epoch that patience counted
// from beside the best, is read, and patience counts from the best.
func TestOldStates(t *testing.T) {
	c := tiny(t, drawn(t))
	c.Epochs = 3
	ran(t, c)
	path := filepath.Join(c.Out, stateFile)
	f, p, _, err := readState(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	var old map[string]any
	if err = json.Unmarshal([]byte(f.Metadata[stateKey]), &old); err != nil {
		t.Fatal(err)
	}
	if _, has := old["improved"]; has {
		t.Error("a state still says what patience counts from")
	}
	old["improved"] = 1
	text, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	all := tensor.Map{}
	for _, name := range f.Names() {
		if all[name], err = f.Tensor(name); err != nil {
			t.Fatal(err)
		}
	}
	if err = tensor.WriteFile(path, map[string]string{stateKey: string(text)}, all, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	_, again, ok, err := readState(c.Out)
	if err != nil || !ok || !reflect.DeepEqual(again.Best, p.Best) || len(again.History) != 3 {
		t.Errorf("%+v, %v", again, err)
	}
	c.Epochs = 5
	if result, err := Resume(t.Context(), c, Progress{}); err != nil || result.Epochs != 5 {
		t.Errorf("%+v, %v", result, err)
	}
}
