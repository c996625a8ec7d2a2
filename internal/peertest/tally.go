package peertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Tally counts random models: those that garb converted, and those that it refused.
type Tally struct {
	converted int
	largest   float64
	refused   map[string]int
	kinds     map[string]bool
}

// Add counts a model. reason says why garb refused it; if it is empty, garb converted the
// model, difference is the distance of its answer from the peer's, and kinds are the kinds of
// its layers.
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

// Report logs the counts. It fails the test if fewer than a third of the models were
// converted, for a garb that refuses everything would give no wrong answer.
func (y *Tally) Report(t *testing.T) {
	t.Helper()
	all := y.converted
	for _, n := range y.refused {
		all += n
	}
	report := []string{fmt.Sprintf(
		"%d models: %d converted (largest relative difference %.2g), %d refused for lack of support",
		all, y.converted, y.largest, all-y.converted)}
	byCount := func(a, b string) int { return cmp.Or(y.refused[b]-y.refused[a], strings.Compare(a, b)) }
	for _, reason := range slices.SortedFunc(maps.Keys(y.refused), byCount) {
		report = append(report, fmt.Sprintf("%3d refused for %s", y.refused[reason], reason))
	}
	t.Log(strings.Join(report, "\n"))
	t.Logf("kinds of layers converted: %s", strings.Join(slices.Sorted(maps.Keys(y.kinds)), " "))
	if y.converted < all/3 {
		t.Errorf("only %d of %d models were converted", y.converted, all)
	}
}
