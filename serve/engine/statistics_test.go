package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"garb/serve/engine"
	"garb/serve/enginetest"
	"garb/serve/observe"
)

// startEngine returns an engine of a model and its scheduler.
func startEngine(t *testing.T, model *enginetest.Model) (*engine.Engine, *engine.Scheduler) {
	t.Helper()
	metrics := observe.NewMetrics(func() float64 { return 0 })
	c := engine.DefaultConfig()
	c.Workers = 1
	e := engine.New("m", model, c, metrics)
	t.Cleanup(e.Retire)
	return e, engine.NewScheduler(c, metrics)
}

// TestStatistics counts answers, errors and batches, but not the warm-up.
func TestStatistics(t *testing.T) {
	failing := false
	e, s := startEngine(t, &enginetest.Model{OnOutputs: func(context.Context, []float32, []float32) error {
		if failing {
			return errors.New("it fails")
		}
		return nil
	}})
	input := make([]float32, enginetest.Spec.ValueCount())
	if err := e.WarmUp(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	if got := e.Statistics(); !got.LastInference.IsZero() || got.Executions != 0 || got.Success.Count != 0 ||
		got.Batches != nil {
		t.Errorf("after the warm-up: %+v", got)
	}
	if _, _, err := s.Compute(t.Context(), e, slices.Repeat(input, 3)); err != nil {
		t.Fatal(err)
	}
	failing = true
	if _, errs, err := s.Compute(t.Context(), e, input); err != nil || errs[0] == nil {
		t.Fatal(err, errs)
	}
	got := e.Statistics()
	pictures := int64(0)
	for _, b := range got.Batches {
		pictures += int64(b.Size) * b.Infer.Count
	}
	if got.Success.Count != 3 || got.Fail.Count != 1 || got.Infer.Count != 3 || got.Queue.Count != 3 ||
		got.Decode.Count != 0 || pictures != 3 || got.LastInference.IsZero() || got.Success.Total < got.Infer.Total/3 {
		t.Errorf("%+v", got)
	}
}

// TestObserve passes each answer to the observer, until it is removed.
func TestObserve(t *testing.T) {
	e, s := startEngine(t, &enginetest.Model{})
	values := make([]float32, enginetest.Spec.ValueCount())
	var classes []string
	e.Observe(func(sample engine.Sample) {
		classes = append(classes, sample.Answer.Predictions[0].Class)
		if len(sample.Input) != len(values) || sample.Picture != nil || sample.Others != 0 {
			t.Errorf("%+v", sample)
		}
	})
	for range 2 {
		if _, _, err := s.Compute(t.Context(), e, values); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := e.Run(t.Context(), values); err != nil || a.Predictions[0].Class != "dark" {
		t.Errorf("%+v, %v", a, err)
	}
	e.Observe(nil)
	if _, _, err := s.Compute(t.Context(), e, values); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(classes, []string{"dark", "dark"}) {
		t.Errorf("the observer got %v", classes)
	}
}

// TestRunRecovers: a panic of the model, or of making its answer, is an error.
func TestRunRecovers(t *testing.T) {
	e, _ := startEngine(t, &enginetest.Model{OnAnswer: func() { panic("no answer") }})
	if _, err := e.Run(t.Context(), make([]float32, enginetest.Spec.ValueCount())); !errors.Is(err, engine.ErrPanic) {
		t.Error(err)
	}
}

// TestEngineMemory adds the inputs of a batch to the model's memory.
func TestEngineMemory(t *testing.T) {
	e, _ := startEngine(t, &enginetest.Model{Memory: 1000})
	inputs := int64(4 * enginetest.Spec.ValueCount() * e.MaxBatch() * e.Workers())
	if got := e.MemoryBytes(); got != 1000+inputs {
		t.Errorf("%d bytes, not %d", got, 1000+inputs)
	}
}
