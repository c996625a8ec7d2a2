package accept

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// drawClouds draws n feature vectors around each centre, with their labels.
func drawClouds(seed uint64, n int, centres ...[]float32) (features [][]float32, labels []int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for label, c := range centres {
		for range n {
			x := slices.Clone(c)
			for j := range x {
				x[j] += float32(r.NormFloat64()) * .3
			}
			features, labels = append(features, x), append(labels, label)
		}
	}
	return features, labels
}

func fit(t *testing.T, m Method, features [][]float32, labels []int, classes int) *Detector {
	t.Helper()
	d, err := FitDetector(m, features, labels, classes)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(len(features[0])); err != nil {
		t.Fatal(err)
	}
	return d
}

func scores(d *Detector, features [][]float32) []float64 {
	all := make([]float64, len(features))
	for i, x := range features {
		all[i] = d.Score(x)
	}
	return all
}

// TestDetectorsSeparate checks that pictures of the classes score higher than others.
func TestDetectorsSeparate(t *testing.T) {
	a, b := []float32{3, 0, 0, 1}, []float32{0, 3, 0, 1}
	train, labels := drawClouds(1, 100, a, b)
	ours, _ := drawClouds(2, 50, a, b)
	theirs, _ := drawClouds(3, 50, []float32{0, 0, 3, 1}, []float32{-3, 0, 0, 1})
	for _, m := range []Method{Distance, Neighbours} {
		d := fit(t, m, train, labels, 2)
		if auroc := AUROC(scores(d, ours), scores(d, theirs)); auroc < .99 {
			t.Errorf("%s: AUROC %v", m, auroc)
		}
	}
}

// TestDistanceByHand is worked by hand. The classes' means are (1, 0) and (5, 0), that of all
// is (3, 0). Within the classes the variances are 1 and 0; half way to their mean, .5, they are
// .75 and .25. Those of all are 5 and 0; half way to 2.5 they are 3.75 and 1.25.
func TestDistanceByHand(t *testing.T) {
	d := fit(t, Distance, [][]float32{{0, 0}, {2, 0}, {4, 0}, {6, 0}}, []int{0, 0, 1, 1}, 2)
	for _, c := range []struct {
		x    []float32
		want float64
	}{
		{[]float32{1, 0}, 4 / 3.75 / 2}, {[]float32{5, 0}, 4 / 3.75 / 2}, {[]float32{4, 0}, 1/3.75/2 - 1/.75/2},
		{[]float32{1, 1}, (4/3.75+1/1.25)/2 - 1/.25/2},
	} {
		checkClose(t, "score", d.Score(c.x), c.want, 1e-5)
	}
}

// TestNeighboursByHand is worked by hand: the fifth nearest vector counts. Only directions from
// the centre matter; the centre is 0, as each vector has an opposite one.
func TestNeighboursByHand(t *testing.T) {
	var train [][]float32
	for _, degrees := range []float64{0, 10, 20, 30, 60, 90} {
		s, c := math.Sincos(degrees * math.Pi / 180)
		train = append(train, []float32{float32(5 + 7*c), float32(3 + 7*s)},
			[]float32{float32(5 - 7*c), float32(3 - 7*s)})
	}
	d := fit(t, Neighbours, train, make([]int, 12), 1)
	checkClose(t, "score", d.Score([]float32{7, 3}), -2*math.Sin(30*math.Pi/180), 1e-6) // the chord of 60°
	few := fit(t, Neighbours, train[:2], []int{0, 0}, 1)
	checkClose(t, "score of few", few.Score([]float32{7, 3}), -2, 1e-6) // the farther of the two
	if s := d.Score([]float32{5, 3}); math.IsNaN(s) {
		t.Error("what lies in the centre has no score")
	}
}

// TestDetectorsAreBounded checks that Neighbours stores a bounded number of vectors, from all
// classes alike, and the same each time.
func TestDetectorsAreBounded(t *testing.T) {
	train, labels := drawClouds(1, 700, []float32{1, 0}, []float32{0, 1}, []float32{-1, 0})
	train, labels = train[:1500], labels[:1500] // the last class has only 100
	d := fit(t, Neighbours, train, labels, 3)
	if m := d.Tensors[storedTensor]; m.Rows != 170+170+100 {
		t.Errorf("%d vectors are stored", m.Rows)
	}
	again := fit(t, Neighbours, train, labels, 3)
	if !slices.Equal(again.Tensors[storedTensor].Values, d.Tensors[storedTensor].Values) {
		t.Error("the vectors differ from one time to the next")
	}
	many := make([]int, len(train))
	for i := range many {
		many[i] = i
	}
	if m := fit(t, Neighbours, train, many, len(train)).Tensors[storedTensor]; m.Rows != maxStored {
		t.Errorf("of %d classes, %d vectors are stored", len(train), m.Rows)
	}
}

// TestDistanceEmptyClass checks that a class without pictures has no mean.
func TestDistanceEmptyClass(t *testing.T) {
	d := fit(t, Distance, [][]float32{{4, 4}, {6, 6}}, []int{1, 1}, 3)
	if d.Tensors[meansTensor].Rows != 1 || d.Score([]float32{0, 0}) >= d.Score([]float32{4, 4}) {
		t.Errorf("%+v", d.Tensors[meansTensor])
	}
}

// TestDetectorsOnEqualFeatures checks that the scores are finite if all features are equal.
func TestDetectorsOnEqualFeatures(t *testing.T) {
	for _, m := range []Method{Distance, Neighbours} {
		d := fit(t, m, [][]float32{{1, 2}, {1, 2}}, []int{0, 0}, 1)
		for _, x := range [][]float32{{1, 2}, {2, 1}} {
			if s := d.Score(x); math.IsNaN(s) || math.IsInf(s, 0) {
				t.Errorf("%s: %v scores %v", m, x, s)
			}
		}
		if m == Distance && d.Score([]float32{1, 2}) <= d.Score([]float32{2, 1}) {
			t.Errorf("%s: another vector scores no lower", m)
		}
	}
}

func TestDetectorErrors(t *testing.T) {
	for _, c := range []struct {
		features [][]float32
		labels   []int
	}{
		{nil, nil}, {[][]float32{{1}}, nil}, {[][]float32{{1}}, []int{1}}, {[][]float32{{1}}, []int{-1}},
		{[][]float32{{1}, {1, 2}}, []int{0, 0}},
	} {
		if _, err := FitDetector(Distance, c.features, c.labels, 1); err == nil {
			t.Errorf("%v with %v is accepted", c.features, c.labels)
		}
	}
	for _, m := range []Method{Energy, Head, "magic"} {
		if _, err := FitDetector(m, [][]float32{{1}}, []int{0}, 1); !errors.Is(err, ErrMethod) {
			t.Errorf("%s: %v", m, err)
		}
		if err := (&Detector{Method: m}).Validate(1); !errors.Is(err, ErrMethod) {
			t.Errorf("%s: %v", m, err)
		}
	}
}
