package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"garb/internal/tfevents"
)

// TestTensorBoard: a run that is stopped and resumed has each epoch once in its event
// file, with the figures of its history, and the model is that of a run without.
func TestTensorBoard(t *testing.T) {
	data := drawn(t)
	c := config(t, data)
	c.Epochs = 4
	plain, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}

	c.Out, c.TensorBoard = filepath.Join(t.TempDir(), "run"), true
	path := filepath.Join(c.Out, eventFolder, eventFile)
	// What an earlier run left in the folder is none of this one's.
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err = tfevents.Append(path, tfevents.Event{Step: 1, Scalars: []tfevents.Scalar{{Tag: "loss/train",
		Value: 99}}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Run(ctx, c, Progress{Epoch: func(e Epoch) {
		if e.Epoch == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// Killed as it wrote the second event.
	whole := file(t, path)
	if err = os.WriteFile(path, whole[:len(whole)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	result, err := Resume(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	_, state, _, err := readState(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	events, err := tfevents.Read(path)
	if err != nil || len(events) != 4 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	checkEvents(t, state.History, events)
	if got, want := file(t, result.Checkpoint), file(t, plain.Checkpoint); !bytes.Equal(got, want) {
		t.Error("the model is another with the setting")
	}

	// Asked for later, the file has what was before too.
	if err = os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 5
	if _, err = Resume(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	if events, err = tfevents.Read(path); err != nil || len(events) != 5 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// checkEvents compares events with the history that they were written from.
func checkEvents(t *testing.T, history []Epoch, events []tfevents.Event) {
	t.Helper()
	for i, e := range history {
		figures := map[string]float64{}
		for _, s := range events[i].Scalars {
			figures[s.Tag] = s.Value
		}
		for tag, want := range map[string]float64{
			"loss/train": e.Loss, "loss/validation": e.ValidationLoss, "accuracy/train": e.Accuracy,
			"accuracy/validation": e.ValidationAccuracy, "learning_rate": e.LearningRate,
		} {
			if got, ok := figures[tag]; !ok || got != float64(float32(want)) {
				t.Errorf("epoch %d: %s is %v, want %v", e.Epoch, tag, got, want)
			}
		}
		if events[i].Step != int64(e.Epoch) || len(figures) != 5 {
			t.Errorf("event %d: step %d, %v", i, events[i].Step, figures)
		}
	}
}
