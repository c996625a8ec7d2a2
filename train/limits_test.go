package train

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"garb/accept"
	"garb/dataset"
)

// cutPictures cuts the ends off all PNG files below a folder, so that the last rows are missing.
func cutPictures(t *testing.T, folder string) (count int) {
	t.Helper()
	const cut = 12 + 4 + 4 + 20 // IEND, the checksums of IDAT and of its data, and some data
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		return os.WriteFile(path, data[:len(data)-cut], 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// TestDataOptionsLimits trains on pictures that only KeepTruncated accepts. Each kind of run decodes
// them in other places. The features in the cache must not be used when they are refused again.
func TestDataOptionsLimits(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"frozen":     func(*Config) {},
		"views":      func(c *Config) { c.Augment.HorizontalFlip = true },
		"fine-tuned": func(c *Config) { c.FineTune = FineTune{Last: 1} },
		"detector":   func(c *Config) { c.FineTune, c.Acceptance = FineTune{Last: 1}, accept.Distance },
		"with others": func(c *Config) {
			c.FineTune, c.Other = FineTune{Last: 1}, []Source{{Path: coloured(t, 12, 1), Weight: 1}}
			cutPictures(t, c.Other[0].Path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, drawn(t))
			change(&c)
			c.Epochs, c.DataOptions.KeepTruncated = 1, true
			count := cutPictures(t, c.Data) + 12*len(c.Other)
			result, err := Run(t.Context(), c, Progress{})
			if err != nil {
				t.Fatal(err)
			}
			if result.Used != count || result.Tally.Skipped() != 0 || result.TestCount != 6 {
				t.Errorf("%d of %d pictures used, %d tested: %v", result.Used, count, result.TestCount,
					result.Tally.Skips())
			}
			c.Out, c.DataOptions.KeepTruncated = c.Out+"-again", false
			if _, err = Run(t.Context(), c, Progress{}); err == nil {
				t.Error("no error for cut pictures")
			}
		})
	}
}

// TestFeaturesLimits computes features of pictures that are accepted, and then refused.
func TestFeaturesLimits(t *testing.T) {
	for name, set := range map[string]struct{ accept, refuse dataset.Options }{
		"truncated":  {dataset.Options{KeepTruncated: true}, dataset.Options{}},
		"max pixels": {dataset.Options{KeepTruncated: true}, dataset.Options{KeepTruncated: true, MaxPixels: 1599}},
	} {
		t.Run(name, func(t *testing.T) {
			data := drawn(t)
			c := config(t, data)
			cutPictures(t, data)
			pictures, err := dataset.Open(filepath.Join(data, "validation"))
			if err != nil {
				t.Fatal(err)
			}
			c.DataOptions = set.accept
			f, err := Features(t.Context(), c, pictures, &dataset.Tally{}, nil)
			if err != nil || len(f.Vectors) != len(pictures.Samples) {
				t.Fatal(f, err)
			}
			c.DataOptions = set.refuse
			if f, err = Features(t.Context(), c, pictures, &dataset.Tally{}, nil); err == nil {
				t.Errorf("%d pictures accepted", len(f.Vectors))
			}
		})
	}
}
