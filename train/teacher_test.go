package train

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/accept"
	"garb/model"
)

// TestTeach compares the targets of two steps with what each of two teachers answers
// to the pictures themselves, since nothing is augmented here.
func TestTeach(t *testing.T) {
	for name, binary := range map[string]bool{"softmax": false, "sigmoid": true} {
		t.Run(name, func(t *testing.T) {
			data := drawn(t)
			c := config(t, data)
			c.FineTune, c.Binary, c.TeacherWeight = FineTune{Last: 1}, binary, 0.25
			c.Teachers = []string{trained(t, data, 1), trained(t, data, 2)}
			r, err := newRun(t.Context(), c, Progress{})
			if err != nil {
				t.Fatal(err)
			}
			for step, name := range c.Teachers {
				r.Step = step
				checkTargets(t, r, name)
			}
		})
	}
}

// checkTargets compares the targets of the current step with what a teacher answers.
func checkTargets(t *testing.T, r *run, name string) {
	teacher := opened(t, name)
	b, samples := r.newStepBuffers(), []int{11, 0, 7, 3}
	for i, s := range samples {
		r.writeTarget(b.targets[i*r.outputs():][:r.outputs()], r.train.set.Samples[s].Label)
	}
	err := r.train.load(t.Context(), 1, r.Step, samples, b.inputs, b.targets)
	if err == nil {
		err = r.teach(t.Context(), b.inputs, b.targets)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range samples {
		sample := r.train.set.Samples[s]
		predictions, err := teacher.Classify(t.Context(), file(t, sample.Path))
		if err != nil {
			t.Fatal(err)
		}
		logits := map[string]float64{}
		for _, p := range predictions {
			logits[p.Class] = float64(p.Logit)
		}
		stripes := 0.25 / (1 + math.Exp(logits["spots"]-logits["stripes"]))
		if sample.Label == 1 {
			stripes += 0.75
		}
		got := b.targets[i*r.outputs():][:r.outputs()]
		if math.Abs(float64(got[len(got)-1])-stripes) > 1e-6 ||
			!r.Config.Binary && math.Abs(float64(got[0])+stripes-1) > 1e-6 {
			t.Errorf("step %d, %s: targets %v, want %.6f for stripes", r.Step, sample.Path, got, stripes)
		}
	}
}

// TestTeacherIsNamedByDigest: a model says whom it learned from, and a run does not go
// on with another teacher in the same place.
func TestTeacherIsNamedByDigest(t *testing.T) {
	data := drawn(t)
	c := config(t, data)
	c.FineTune, c.Epochs, c.TeacherWeight = FineTune{Last: 1}, 1, 0.5
	c.Teachers = []string{trained(t, data, 1)}
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := model.Open(result.Checkpoint, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	teacher, err := model.Open(c.Teachers[0], model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	settings := string(classifier.Description().Training.Settings)
	if !strings.Contains(settings, teacher.Digest()) || strings.Contains(settings, c.Teachers[0]) {
		t.Errorf("settings %s", settings)
	}
	if err := os.RemoveAll(c.Teachers[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(trained(t, data, 2), c.Teachers[0]); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 2
	if _, err := Resume(t.Context(), c, Progress{}); err == nil ||
		!strings.Contains(err.Error(), filepath.Base(c.Teachers[0])) ||
		!strings.Contains(err.Error(), "have changed since") {
		t.Errorf("another teacher: %v", err)
	}
}

// TestTeachersAreNotAskedOfOthers: a teacher's answer takes the place of its share of what
// classes there are, and none of that of other pictures.
func TestTeachersAreNotAskedOfOthers(t *testing.T) {
	data := drawn(t)
	for _, method := range []accept.Method{accept.Class, accept.Head} {
		c := taught(t, data, 0.25)
		c.FineTune, c.Acceptance = FineTune{All: true}, method
		c.Other = []Source{{Path: coloured(t, 12, 1), Weight: 1}}
		r, err := newRun(t.Context(), c, Progress{})
		if err != nil {
			t.Fatal(err)
		}
		inputs := make([]float32, 3*r.train.length())
		targets := []float32{1, 0, 0, 0, 0, 1, 0.1, 0.3, 0.6} // of a class, of none, mixed
		before := slices.Clone(targets)
		if err := r.teach(t.Context(), inputs, targets); err != nil {
			t.Fatal(err)
		}
		logits := make([]float32, 2)
		if err := r.teachers[0].Logits(t.Context(), inputs[:r.train.length()], logits); err != nil {
			t.Fatal(err)
		}
		answer := append(model.Softmax(logits), 0)
		for i, share := range []float64{1, 0, 0.4} {
			for j, got := range targets[3*i:][:3] {
				want := float64(before[3*i+j])
				if j < 2 {
					want = 0.75*want + 0.25*share*answer[j]
				}
				if math.Abs(float64(got)-want) > 1e-6 {
					t.Errorf("%s, row %d: target %v of output %d, want %v", method, i, got, j, want)
				}
			}
		}
	}
	c := tiny(t, data)
	c.FineTune, c.TeacherWeight, c.Teachers, c.Acceptance = FineTune{All: true}, 0.25, []string{"a"}, accept.Exposure
	c.Other = []Source{{Path: "b", Weight: 1}}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "the same probability of each class") {
		t.Errorf("a teacher beside exposure: %v", err)
	}
}
