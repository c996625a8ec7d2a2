package train

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"garb/nn"
	"garb/picture"
)

// TestHistoryByHand trains at a rate of next to nothing, so that the figures of an epoch
// are those of the first weights: means over all pictures, the smaller last batch included.
func TestHistoryByHand(t *testing.T) {
	for _, binary := range []bool{false, true} {
		c := tiny(t, unbalanced(t))
		c.Binary, c.Optimizer, c.Momentum, c.LearningRate, c.Epochs, c.Batch = binary, "sgd", 0, 1e-30, 1, 4
		var steps []Step
		if _, err := Run(t.Context(), c, Progress{Step: func(s Step) { steps = append(steps, s) }}); err != nil {
			t.Fatal(err)
		}
		_, state, _, err := readState(c.Out)
		if err != nil {
			t.Fatal(err)
		}
		e := state.History[0]
		r := begun(t, c)
		shown := split{loader: pictures{r.train.set, c.Preprocessing, picture.DefaultLimits()}, set: r.train.set}
		for name, part := range map[string]struct {
			s              *split
			loss, accuracy float64
		}{
			"training":   {&shown, e.Loss, e.Accuracy},
			"validation": {&r.validation, e.ValidationLoss, e.ValidationAccuracy},
		} {
			logits := logitsOf(t, r, part.s)
			loss, right := 0.0, 0
			for i, sample := range part.s.set.Samples {
				own, other := float64(logits[2*i+sample.Label]), float64(logits[2*i+1-sample.Label])
				loss += math.Log1p(math.Exp(other - own))
				if own > other {
					right++
				}
			}
			n := len(part.s.set.Samples)
			if want := loss / float64(n); math.Abs(part.loss-want) > 1e-5 {
				t.Errorf("binary %v: %s loss %v, want %v", binary, name, part.loss, want)
			}
			if want := float64(right) / float64(n); part.accuracy != want {
				t.Errorf("binary %v: %s accuracy %v, want %v", binary, name, part.accuracy, want)
			}
		}
		if len(steps) != 3 || steps[0].Step != 1 || steps[2].Step != 3 || steps[2].Steps != 3 ||
			steps[2].Epochs != 1 || steps[2].Loss != e.Loss || steps[2].Accuracy != e.Accuracy {
			t.Errorf("binary %v: steps %+v of epoch %+v", binary, steps, e)
		}
	}
}

// logitsOf returns the logits of the classes for the pictures of a split.
func logitsOf(t *testing.T, r *run, s *split) []float32 {
	t.Helper()
	plan, err := nn.Compile(r.graph, r.currentWeights(), nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := computeOutputs(t.Context(), plan, s)
	if err != nil {
		t.Fatal(err)
	}
	return classLogits(outputs, r.outputs(), len(r.classes))
}

// TestBestRight has a 1 for each validation picture that the best epoch was right about.
func TestBestRight(t *testing.T) {
	c := tiny(t, noise(t))
	result := ran(t, c)
	_, state, _, err := readState(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	model, r := opened(t, c.Out), begun(t, c)
	var want strings.Builder
	for _, s := range r.validation.set.Samples {
		predictions, err := model.Classify(t.Context(), file(t, s.Path))
		if err != nil {
			t.Fatal(err)
		}
		if predictions[0].Class == filepath.Base(filepath.Dir(s.Path)) {
			want.WriteByte('1')
		} else {
			want.WriteByte('0')
		}
	}
	if state.BestRight != want.String() ||
		result.Best.ValidationAccuracy != float64(strings.Count(want.String(), "1"))/float64(want.Len()) {
		t.Errorf("right %s of epoch %+v, want %s", state.BestRight, result.Best, want.String())
	}
}

// TestTestSplitByHand: the test figures of a result are of the kept model on the test
// split.
func TestTestSplitByHand(t *testing.T) {
	c := tiny(t, drawn(t))
	c.LearningRate = 1e-30 // a network that has learned nothing is wrong about some
	result := ran(t, c)
	model, right := opened(t, c.Out), 0
	paths, err := filepath.Glob(filepath.Join(c.Data, "test", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		predictions, err := model.Classify(t.Context(), file(t, path))
		if err != nil {
			t.Fatal(err)
		}
		if predictions[0].Class == filepath.Base(filepath.Dir(path)) {
			right++
		}
	}
	if result.TestCount != 6 || result.TestRight != right || result.Test != float64(right)/6 {
		t.Errorf("%d of %d right, %v; want %d of 6", result.TestRight, result.TestCount, result.Test, right)
	}
}
