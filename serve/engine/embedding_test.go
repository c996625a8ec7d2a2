package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"garb/model"
	"garb/picture"
	"garb/serve/engine"
	"garb/serve/enginetest"
	"garb/serve/observe"
)

// openEngine starts an engine of a model, with or without embeddings.
func openEngine(t *testing.T, m engine.Classifier, c engine.Config) (*engine.Engine, *engine.Scheduler) {
	t.Helper()
	c.Workers = 1
	metrics := observe.NewMetrics(func() float64 { return 0 })
	e := engine.New("m", m, c, metrics)
	t.Cleanup(e.Retire)
	return e, engine.NewScheduler(c, metrics)
}

// loadExamples returns three pictures, their values and their features.
func loadExamples(t *testing.T, m *model.Classifier) (pictures [][]byte, values, features []float32) {
	t.Helper()
	files, err := filepath.Glob("../../examples/*.jpg")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files[:3] {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		input := make([]float32, m.Spec().ValueCount())
		if _, err = m.Spec().Load(t.Context(), data, picture.DefaultLimits(), input); err != nil {
			t.Fatal(err)
		}
		feature := make([]float32, m.FeatureCount())
		if err = m.Features(t.Context(), input, feature); err != nil {
			t.Fatal(err)
		}
		pictures, values, features = append(pictures, data), append(values, input...), append(features, feature...)
	}
	return pictures, values, features
}

// TestEmbeddings checks that answers have the model's features as embeddings, and that this changes no bit
// of the outputs, for pictures and for values, alone and in batches.
func TestEmbeddings(t *testing.T) {
	m, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	pictures, values, features := loadExamples(t, m)
	answer := func(embeddings bool, n int, encoded bool) []*engine.Answer {
		c := engine.DefaultConfig()
		c.Embeddings = embeddings
		e, s := openEngine(t, m, c)
		if encoded {
			answers, errs, err := s.Classify(t.Context(), e, pictures[:n], engine.Options{})
			if err != nil || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
				t.Fatal(err, errs)
			}
			return answers
		}
		answers, _, err := s.Compute(t.Context(), e, values[:n*m.Spec().ValueCount()])
		if err != nil {
			t.Fatal(err)
		}
		return answers
	}
	check := func(n int, encoded bool) {
		without, with := answer(false, n, encoded), answer(true, n, encoded)
		for i := range n {
			if !slices.Equal(with[i].Outputs, without[i].Outputs) {
				t.Errorf("%d pictures, encoded %v: outputs %v, without embeddings %v", n, encoded, with[i].Outputs,
					without[i].Outputs)
			}
			if want := features[i*m.FeatureCount():][:m.FeatureCount()]; !slices.Equal(with[i].Embedding, want) {
				t.Errorf("%d pictures, encoded %v: the embedding of picture %d is not the model's", n, encoded, i)
			}
			if without[i].Embedding != nil {
				t.Error("an embedding that nobody wants")
			}
			if with[i].Format != map[bool]string{true: "jpeg"}[encoded] {
				t.Errorf("format %q", with[i].Format)
			}
		}
	}
	for _, n := range []int{1, 3} {
		check(n, true)
		check(n, false)
	}
}

// embeddingModel is a model with feature vectors: of each, all values are the input's first one.
type embeddingModel struct {
	enginetest.Model
	features int
	err      error // of Features
}

func (m *embeddingModel) FeatureCount() int { return m.features }

func (m *embeddingModel) Features(_ context.Context, inputs, features []float32) error {
	for i := range features {
		features[i] = inputs[i/m.features*enginetest.Spec.ValueCount()]
	}
	return m.err
}

func (m *embeddingModel) HeadOutputs(_ context.Context, features, rows []float32) error {
	for i := range len(rows) / 2 {
		rows[2*i], rows[2*i+1] = -features[i*m.features], features[i*m.features]-1
	}
	return nil
}

// TestEmbeddingsWithoutFeatures checks that a model without features answers without embeddings.
func TestEmbeddingsWithoutFeatures(t *testing.T) {
	c := engine.DefaultConfig()
	c.Embeddings = true
	e, s := openEngine(t, &enginetest.Model{}, c)
	answers, errs, err := s.Classify(t.Context(), e, [][]byte{[]byte(light)}, engine.Options{})
	if err != nil || errs[0] != nil || answers[0].Embedding != nil || answers[0].Predictions[0].Class != "light" {
		t.Errorf("%+v, %v, %v", answers, errs, err)
	}
}

// TestEmbeddingsError checks that an error of the features is the error of the picture.
func TestEmbeddingsError(t *testing.T) {
	c := engine.DefaultConfig()
	c.Embeddings = true
	e, s := openEngine(t, &embeddingModel{features: 3, err: context.DeadlineExceeded}, c)
	_, errs, _ := s.Classify(t.Context(), e, [][]byte{[]byte(light)}, engine.Options{})
	if len(errs) != 1 || errs[0] != context.DeadlineExceeded { //nolint:errorlint // that very one
		t.Error(errs)
	}
}

// TestCacheEmbeddings checks that the cache keeps embeddings, and that they count.
func TestCacheEmbeddings(t *testing.T) {
	for _, test := range []struct {
		features int
		cached   bool
	}{{10, true}, {1000, false}} {
		m := &embeddingModel{features: test.features}
		c := engine.DefaultConfig()
		c.Embeddings, c.CacheBytes = true, 1600
		e, s := openEngine(t, m, c)
		for i := range 2 {
			answers, errs, err := s.Classify(t.Context(), e, [][]byte{[]byte(light)}, engine.Options{})
			if err != nil || errs[0] != nil {
				t.Fatal(err, errs)
			}
			a := answers[0]
			if len(a.Embedding) != test.features || a.Embedding[test.features-1] != 1 {
				t.Errorf("%d features: %d of %v", test.features, len(a.Embedding), a.Embedding[0])
			}
			if cached := a.Inference == 0; cached != (i == 1 && test.cached) && runtime.GOOS != "windows" {
				t.Errorf("%d features, request %d: cached %v", test.features, i, cached)
			}
		}
	}
}
