package mislabel

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cleanlabCase is a case of testdata/cleanlab.json, which testdata/make.py writes.
type cleanlabCase struct {
	Name          string              `json:"name"`
	Probabilities [][]float64         `json:"probabilities"`
	Labels        []int               `json:"labels"`
	Thresholds    []float64           `json:"thresholds"`
	Joint         [][]int             `json:"joint"`
	Candidates    []int               `json:"candidates"`
	Collisions    []int               `json:"collisions"`
	Weaker        []int               `json:"weaker"`
	Scores        map[Order][]float64 `json:"scores"`
}

func TestFindAgreesWithCleanlab(t *testing.T) {
	data, err := os.ReadFile("testdata/cleanlab.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []cleanlabCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	collided, weaker := false, false
	for _, c := range cases {
		collided, weaker = collided || len(c.Collisions) > 0, weaker || len(c.Weaker) > 0
		for _, by := range Orders() {
			t.Run(fmt.Sprintf("%s/%s", c.Name, by), func(t *testing.T) {
				r, err := Find(c.Probabilities, c.Labels, by)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.EqualFunc(r.Thresholds, c.Thresholds, almostEqual) {
					t.Errorf("thresholds %v, want %v", r.Thresholds, c.Thresholds)
				}
				c.checkScores(t, r, by)
				c.checkCandidates(t, r)
				c.checkJoint(t, r)
			})
		}
	}
	if !collided || !weaker {
		t.Error("no case has a picture that the paper and cleanlab, or garb and cleanlab, count differently")
	}
}

// almostEqual compares what garb and cleanlab compute in float64, with sums in another order.
func almostEqual(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// checkScores compares the scores of all pictures and their ranking.
func (c cleanlabCase) checkScores(t *testing.T, r *Report, by Order) {
	for i, f := range r.Findings {
		if f.Label != c.Labels[f.Index] || !almostEqual(f.Score, c.Scores[by][f.Index]) {
			t.Errorf("picture %d: label %d, score %v, want %d, %v", f.Index, f.Label, f.Score,
				c.Labels[f.Index], c.Scores[by][f.Index])
		}
		if i == 0 {
			continue
		}
		if before := r.Findings[i-1]; before.Candidate == f.Candidate && before.Score > f.Score {
			t.Errorf("rank %d has score %v after %v", i, f.Score, before.Score)
		}
	}
}

// checkCandidates compares the candidates, except where garb and cleanlab differ on purpose.
func (c cleanlabCase) checkCandidates(t *testing.T, r *Report) {
	var candidates []int
	for i, f := range r.Findings {
		if f.Candidate != (i < r.Candidates()) {
			t.Errorf("finding %d of %d candidates: candidate %v", i, r.Candidates(), f.Candidate)
		}
		if f.Candidate {
			candidates = append(candidates, f.Index)
		}
	}
	slices.Sort(candidates)
	for _, i := range c.Weaker {
		if slices.Contains(candidates, i) && !slices.Contains(c.Collisions, i) {
			t.Errorf("picture %d is a candidate for a class less probable than its label", i)
		}
	}
	differs := func(i int) bool { return slices.Contains(c.Collisions, i) || slices.Contains(c.Weaker, i) }
	got := slices.DeleteFunc(candidates, differs)
	if want := slices.DeleteFunc(slices.Clone(c.Candidates), differs); !slices.Equal(got, want) {
		t.Errorf("candidates %v, want %v", got, want)
	}
}

// checkJoint compares the confident joint, if garb and cleanlab count all pictures alike.
func (c cleanlabCase) checkJoint(t *testing.T, r *Report) {
	if len(c.Collisions) > 0 {
		return
	}
	for i, row := range r.Joint {
		row = slices.Clone(row)
		row[i] = max(row[i], 1) // as cleanlab does
		if !slices.Equal(row, c.Joint[i]) {
			t.Errorf("row %d of the joint is %v, want %v", i, row, c.Joint[i])
		}
	}
}

// TestFindByHand has cases worked by hand, where the paper and cleanlab differ, and edge cases.
func TestFindByHand(t *testing.T) {
	for name, c := range map[string]struct {
		p         [][]float64
		labels    []int
		thresh    []float64
		candidate map[int]int // index: proposed
	}{
		// Picture 3 reaches the thresholds of 1 (.3) and 2 (.2), not that of 0 (.8), which
		// is the most probable: it is counted for 1, and is no candidate, as its label 0 is
		// more probable.
		"label most probable": {
			[][]float64{{.9, .1, 0}, {.7, .3, 0}, {.6, .2, .2}, {.8, .2, 0}, {.45, .35, .2}},
			[]int{0, 1, 2, 0, 0},
			[]float64{(.9 + .8 + .45) / 3, .3, .2}, map[int]int{},
		},
		"two classes": {
			[][]float64{{.9, .1}, {.8, .2}, {.1, .9}, {.05, .95}, {.3, .7}},
			[]int{0, 0, 1, 0, 1},
			[]float64{(.9 + .8 + .05) / 3, .8}, map[int]int{3: 1},
		},
		"empty class is never proposed": {
			[][]float64{{.1, .1, .8}, {.1, .7, .2}, {.8, .1, .1}},
			[]int{0, 1, 0},
			[]float64{.45, .7, math.Inf(1)}, map[int]int{},
		},
		"one picture of a class, unknown to its model": {
			[][]float64{{1, 0, 0}, {.9, .1, 0}, {.2, .8, 0}, {.1, .9, 0}},
			[]int{0, 2, 1, 1},
			[]float64{1, .85, 0}, map[int]int{},
		},
	} {
		r, err := Find(c.p, c.labels, SelfConfidence)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for j, v := range r.Thresholds {
			if v != c.thresh[j] && math.Abs(v-c.thresh[j]) > 1e-12 {
				t.Errorf("%s: threshold %d is %v, want %v", name, j, v, c.thresh[j])
			}
		}
		got := map[int]int{}
		for _, f := range r.Findings {
			if f.Candidate {
				got[f.Index] = f.Proposed
			}
			if f.Proposed == f.Label {
				t.Errorf("%s: picture %d keeps its label", name, f.Index)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.candidate) {
			t.Errorf("%s: candidates %v, want %v", name, got, c.candidate)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		p      [][]float64
		labels []int
		by     Order
	}{
		"nothing":       {nil, nil, SelfConfidence},
		"one class":     {[][]float64{{1}}, []int{0}, SelfConfidence},
		"no classes":    {[][]float64{{}}, []int{0}, SelfConfidence},
		"NaN":           {[][]float64{{.5, .5}, {nan, .5}}, []int{0, 1}, SelfConfidence},
		"infinite":      {[][]float64{{inf, 0}}, []int{0}, Margin},
		"negative":      {[][]float64{{1.5, -.5}}, []int{0}, Margin},
		"logits":        {[][]float64{{.5, .1}}, []int{0}, Margin},
		"ragged":        {[][]float64{{.5, .5}, {1}}, []int{0, 0}, Margin},
		"label too big": {[][]float64{{.5, .5}}, []int{2}, Margin},
		"label below 0": {[][]float64{{.5, .5}}, []int{-1}, Margin},
		"unknown order": {[][]float64{{.5, .5}}, []int{1}, "alphabet"},
	} {
		if r, err := Find(c.p, c.labels, c.by); !errors.Is(err, ErrInput) || r != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("lengths that differ do not panic")
		}
	}()
	Find([][]float64{{.5, .5}}, nil, Margin)
}

// draw draws probabilities without ties, and labels.
func draw(t *rapid.T) (p [][]float64, labels []int) {
	k, n := rapid.IntRange(2, 6).Draw(t, "k"), rapid.IntRange(1, 30).Draw(t, "n")
	for i := range n {
		row, sum := make([]float64, k), 0.0
		for j := range row {
			row[j] = rapid.Float64Range(0, 1).Draw(t, "p") + 1e-6*float64(i*k+j+1)
			sum += row[j]
		}
		for j := range row {
			row[j] /= sum
		}
		p, labels = append(p, row), append(labels, rapid.IntRange(0, k-1).Draw(t, "label"))
	}
	return p, labels
}

// TestFindProperties checks what holds for any probabilities and labels.
func TestFindProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels := draw(t)
		r, err := Find(p, labels, rapid.SampledFrom(Orders()).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, f := range r.Findings {
			seen[f.Index] = true
			row := p[f.Index]
			if f.Score < -1e-9 || f.Score > 1+1e-9 || f.Label != labels[f.Index] || f.Proposed == f.Label {
				t.Fatalf("%+v of %v", f, row)
			}
			if f.Candidate && (row[f.Proposed] < r.Thresholds[f.Proposed]-1e-6 || row[f.Proposed] <= row[f.Label]) {
				t.Fatalf("%+v of %v with thresholds %v", f, row, r.Thresholds)
			}
		}
		if len(seen) != len(p) {
			t.Fatalf("%d of %d pictures are ranked", len(seen), len(p))
		}
		counted := 0
		for _, row := range r.Joint {
			for _, n := range row {
				counted += n
			}
		}
		if counted > len(p) {
			t.Fatalf("the joint counts %d of %d pictures", counted, len(p))
		}
	})
}

// TestThresholdsAreMeans checks that each threshold lies between the smallest and the largest
// probability that it is the mean of.
func TestThresholdsAreMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels := draw(t)
		for j, threshold := range computeThresholds(p, labels, len(p[0])) {
			least, most := math.Inf(1), 0.0
			for i, label := range labels {
				if label == j {
					least, most = min(least, p[i][j]), max(most, p[i][j])
				}
			}
			if math.IsInf(least, 1) != math.IsInf(threshold, 1) ||
				!math.IsInf(least, 1) && (threshold < least-1e-9 || threshold > most+1e-9) {
				t.Fatalf("threshold %v of probabilities from %v to %v", threshold, least, most)
			}
		}
	})
}

// TestFindPermuted checks that neither the order of the pictures nor that of the classes
// matters.
func TestFindPermuted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, labels := draw(t)
		by := rapid.SampledFrom(Orders()).Draw(t, "order")
		pictures := rapid.Permutation(indices(len(p))).Draw(t, "pictures")
		classes := rapid.Permutation(indices(len(p[0]))).Draw(t, "classes") // new number of old class
		q, moved := make([][]float64, len(p)), make([]int, len(p))
		for to, from := range pictures {
			q[to] = make([]float64, len(classes))
			for c, v := range p[from] {
				q[to][classes[c]] = v
			}
			moved[to] = classes[labels[from]]
		}
		a, err := Find(p, labels, by)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Find(q, moved, by)
		if err != nil {
			t.Fatal(err)
		}
		permuted := map[int]Finding{} // by the index in p
		for _, f := range b.Findings {
			permuted[pictures[f.Index]] = f
		}
		for _, f := range a.Findings {
			g := permuted[f.Index]
			if g.Label != classes[f.Label] || g.Proposed != classes[f.Proposed] ||
				g.Candidate != f.Candidate || math.Abs(g.Score-f.Score) > 1e-9 {
				t.Fatalf("%+v became %+v", f, g)
			}
		}
		if got := permute(a.Joint, classes); !reflect.DeepEqual(got, b.Joint) {
			t.Fatalf("joint %v became %v", got, b.Joint)
		}
	})
}

// permute moves row and column i of a square matrix to places[i].
func permute(m [][]int, places []int) [][]int {
	out := make([][]int, len(m))
	for i, row := range m {
		out[places[i]] = make([]int, len(m))
		for j, n := range row {
			out[places[i]][places[j]] = n
		}
	}
	return out
}

func indices(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
