package train

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"garb/dataset"
	"garb/features"
)

// openedFeatures opens the extractor of a config, and closes it after the test.
func openedFeatures(t testing.TB, c Config) *FeatureExtractor {
	t.Helper()
	f, err := OpenFeatures(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.closeFiles() })
	return f
}

// TestComputeTakesWhatIsKept marks the kept vector of one picture: compute must
// hand the mark on, and compute the others.
func TestComputeTakesWhatIsKept(t *testing.T) {
	c := config(t, drawn(t))
	f := openedFeatures(t, c)
	set, err := dataset.Open(filepath.Join(c.Data, "validation"))
	if err != nil {
		t.Fatal(err)
	}
	mark := slices.Repeat([]float32{42}, f.FeatureCount())
	f.cache.Put(features.Sum(file(t, set.Samples[1].Path)), mark)
	found, _, _, err := computeFeatures(t.Context(), f, set, &dataset.Tally{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range found {
		if slices.Equal(v, mark) != (i == 1) {
			t.Errorf("picture %d has the vector %v …", i, v[:4])
		}
	}
	n := len(set.Samples)
	if counts := f.Counts(); counts != (FeatureCounts{Cached: 1, Computed: n - 1}) {
		t.Errorf("%+v of %d", counts, n)
	}
	// Another process finds all of them.
	again := openedFeatures(t, c)
	if _, _, _, err = computeFeatures(t.Context(), again, set, &dataset.Tally{}, func() {}); err != nil {
		t.Fatal(err)
	}
	if counts := again.Counts(); counts != (FeatureCounts{Cached: n}) {
		t.Errorf("%+v of %d", counts, n)
	}
}

// TestTrainOnStoredFeatures: a model is the same to the bit whether its features were computed or
// come, in part, from files; and these are used.
func TestTrainOnStoredFeatures(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	c := config(t, drawn(t))
	c.Epochs = 2
	plain := ran(t, c)

	set, err := dataset.Open(filepath.Join(c.Data, "train"))
	if err != nil {
		t.Fatal(err)
	}
	f := openedFeatures(t, c)
	path := filepath.Join(t.TempDir(), "features.safetensors")
	w := features.Create(path, features.Meta{Key: f.Key(), Columns: f.FeatureCount()})
	for _, s := range set.Samples[1:] { // the first is missing
		data := file(t, s.Path)
		v, extractErr := f.Extract(t.Context(), data, features.Sum(data))
		if extractErr != nil {
			t.Fatal(extractErr)
		}
		if err = w.Add(features.Sum(data), v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err = w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	t.Setenv("GARB_HOME", t.TempDir()) // an empty cache
	c.Out, c.Features = filepath.Join(t.TempDir(), "run"), []string{path}
	var counts FeatureCounts
	result, err := Run(t.Context(), c, Progress{Features: func(f FeatureCounts) { counts = f }})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Stored != len(set.Samples)-1 || counts.Cached != 0 || counts.Computed != result.Used-counts.Stored {
		t.Errorf("%+v of %d", counts, result.Used)
	}
	if !slices.Equal(file(t, plain.Checkpoint), file(t, result.Checkpoint)) {
		t.Error("the models differ")
	}
}

func TestForeignFeatures(t *testing.T) {
	c := config(t, drawn(t))
	f := openedFeatures(t, c)
	write := func(m features.Meta) string {
		path := filepath.Join(t.TempDir(), "features.safetensors")
		if _, err := features.Create(path, m).Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, columns := f.Key(), f.FeatureCount()
	keys := map[string]features.Meta{"length": {Key: key, Columns: columns + 1}}
	other := key
	other.Weights = "sha256:other"
	keys["weights"] = features.Meta{Key: other, Columns: columns}
	other = key
	other.Preprocessing.Width++
	keys["width"] = features.Meta{Key: other, Columns: columns}
	other = key
	other.KeepTruncated = !key.KeepTruncated
	keys["truncated"] = features.Meta{Key: other, Columns: columns}
	for name, m := range keys {
		c.Features = []string{write(m)}
		var wrong *features.KeyError
		if _, err := Run(t.Context(), c, Progress{}); !errors.As(err, &wrong) || len(wrong.Differences) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Features = []string{damaged}
	var format *features.FormatError
	if _, err := Run(t.Context(), c, Progress{}); !errors.As(err, &format) {
		t.Error(err)
	}
	c.Features = []string{damaged + "-missing"}
	if _, err := Run(t.Context(), c, Progress{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	c.FineTune.All = true
	if err := c.Validate(); err == nil {
		t.Error("features are accepted with a trained backbone")
	}
}
