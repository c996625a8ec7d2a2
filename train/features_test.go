package train

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"garb/dataset"
)

// TestComputeTakesWhatIsKept marks the kept vector of one picture: compute must
// hand the mark on, and compute the others.
func TestComputeTakesWhatIsKept(t *testing.T) {
	c := config(t, drawn(t))
	e, digest := extractor(t, c)
	kept, err := openCache(e, digest)
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(filepath.Join(c.Data, "validation"))
	if err != nil {
		t.Fatal(err)
	}
	mark := slices.Repeat([]float32{42}, kept.count)
	kept.put(fmt.Sprintf("%x", sha256.Sum256(file(t, set.Samples[1].Path))), mark)
	found, _, _, err := computeFeatures(t.Context(), e, kept, set, &dataset.Tally{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range found {
		if slices.Equal(v, mark) != (i == 1) {
			t.Errorf("picture %d has the vector %v …", i, v[:4])
		}
	}
	again, err := openCache(e, digest)
	if err != nil || len(again.vectors) != len(set.Samples) {
		t.Errorf("%d vectors were kept of %d, %v", len(again.vectors), len(set.Samples), err)
	}
}
