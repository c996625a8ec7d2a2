package near

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Tally counts what became of random models that a peer answered for, too.
type Tally struct {
	converted int
	largest   float64
	refused   map[string]int
	kinds     map[string]bool
}

// Add counts a model of some kinds of layer: why it is refused, or, if the reason is "", how
// far its answer is from the peer's.
func (y *Tally) Add(reason string, difference float64, kinds []string) {
	if reason != "" {
		if y.refused == nil {
			y.refused = map[string]int{}
		}
		y.refused[reason]++
		return
	}
	if y.kinds == nil {
		y.kinds = map[string]bool{}
	}
	y.converted++
	y.largest = max(y.largest, difference)
	for _, kind := range kinds {
		y.kinds[kind] = true
	}
}

// Report logs the counts, and fails if less than a third is converted: to refuse all would
// be right as well.
func (y *Tally) Report(t *testing.T) {
	t.Helper()
	all := y.converted
	for _, n := range y.refused {
		all += n
	}
	report := []string{fmt.Sprintf("%d models: %d converted (they differ by %.2g at most, relative), %d refused "+
		"for what garb lacks",
		all, y.converted, y.largest, all-y.converted)}
	often := func(a, b string) int { return cmp.Or(y.refused[b]-y.refused[a], strings.Compare(a, b)) }
	for _, reason := range slices.SortedFunc(maps.Keys(y.refused), often) {
		report = append(report, fmt.Sprintf("%3d refused for %s", y.refused[reason], reason))
	}
	t.Log(strings.Join(report, "\n"))
	t.Logf("in those converted: %s", strings.Join(slices.Sorted(maps.Keys(y.kinds)), " "))
	if y.converted < all/3 {
		t.Errorf("%d of %d are converted", y.converted, all)
	}
}
