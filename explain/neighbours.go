package explain

import (
	"math"
	"slices"
	"sort"
)

// Similarity is the cosine of the angle between two embeddings: 1 for the same direction,
// 0 for unrelated ones. It panics if their lengths differ.
func Similarity(a, b []float32) float64 {
	if len(a) != len(b) {
		panic("explain: embeddings of different lengths")
	}
	var dot, x, y float64
	for i, v := range a {
		w := b[i]
		dot += float64(float64(v) * float64(w))
		x += float64(float64(v) * float64(v))
		y += float64(float64(w) * float64(w))
	}
	if x == 0 || y == 0 {
		return 0
	}
	return dot / math.Sqrt(x*y)
}

// Neighbour is a picture whose embedding is similar to another's.
type Neighbour struct {
	Path       string  `json:"path"`
	Class      string  `json:"class"`
	Similarity float64 `json:"similarity"` // see Similarity
}

// Nearest returns the most similar neighbours, at most count, the most similar first. Equally
// similar ones keep their order.
func Nearest(all []Neighbour, count int) []Neighbour {
	all = slices.Clone(all)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Similarity > all[j].Similarity })
	return all[:min(count, len(all))]
}
