package project

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"
)

// TestPCAByHand projects points on a cross, whose covariance is diag(8, 2)/4 rotated to the
// direction (3, 4)/5.
func TestPCAByHand(t *testing.T) {
	u, v := [2]float64{0.6, 0.8}, [2]float64{-0.8, 0.6}
	var rows [][]float32
	for _, p := range [][2]float64{{2, 0}, {-2, 0}, {0, 1}, {0, -1}} {
		rows = append(rows, []float32{float32(p[0]*u[0] + p[1]*v[0] + 7), float32(p[0]*u[1] + p[1]*v[1] - 3)})
	}
	got, shares, err := PCA(context.Background(), rows, 3, 1)
	if err != nil {
		t.Fatal(err)
	}
	// v is inverted, so that its largest weight is positive
	want := [][]float64{{2, 0, 0}, {-2, 0, 0}, {0, -1, 0}, {0, 1, 0}}
	for i := range want {
		for k := range want[i] {
			if math.Abs(got[i][k]-want[i][k]) > 1e-6 {
				t.Errorf("point %d: %v, want %v", i, got[i], want[i])
			}
		}
	}
	for k, want := range []float64{0.8, 0.2, 0} {
		if math.Abs(shares[k]-want) > 1e-6 {
			t.Errorf("shares %v", shares)
		}
	}
}

// makeClusters returns points around centres that are far apart: each points per centre.
func makeClusters(centres, each, width int) (rows [][]float32) {
	random := rand.New(rand.NewPCG(3, 4))
	for c := range centres {
		for range each {
			row := make([]float32, width)
			for i := range row {
				row[i] = float32(random.NormFloat64())
			}
			row[c] += 20
			rows = append(rows, row)
		}
	}
	return rows
}

// TestPCAKeepsDistances checks that a full set of orthogonal components changes no distance.
func TestPCAKeepsDistances(t *testing.T) {
	rows := makeClusters(3, 15, 12)
	got, shares, err := PCA(context.Background(), rows, 12, 5)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for k, share := range shares {
		sum += share
		if k > 0 && share > shares[k-1]+1e-12 {
			t.Errorf("shares do not fall: %v", shares)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the shares sum to %v", sum)
	}
	for i := range rows {
		for j := range i {
			var want, have float64
			for k := range rows[i] {
				d := float64(rows[i][k]) - float64(rows[j][k])
				want += d * d
				d = got[i][k] - got[j][k]
				have += d * d
			}
			if math.Abs(want-have) > 1e-6*want {
				t.Fatalf("%d to %d: %v, want %v", i, j, have, want)
			}
		}
	}
}

func layOut(t *testing.T, rows [][]float32, s TSNE) ([][2]float64, float64) {
	t.Helper()
	reduced, _, err := PCA(context.Background(), rows, min(50, max(2, len(rows[0]))), s.Seed)
	if err != nil {
		t.Fatal(err)
	}
	points, divergence, err := s.Layout(context.Background(), reduced)
	if err != nil {
		t.Fatal(err)
	}
	return points, divergence
}

// TestClustersStayTogether checks that each point's nearest neighbour in the layout is of its
// own cluster.
func TestClustersStayTogether(t *testing.T) {
	const each = 40
	rows := makeClusters(5, each, 30)
	points, _ := layOut(t, rows, TSNE{Perplexity: 10, Iterations: 400, Seed: 1})
	for i, p := range points {
		best, at := math.Inf(1), 0
		for j, q := range points {
			if d := math.Hypot(p[0]-q[0], p[1]-q[1]); j != i && d < best {
				best, at = d, j
			}
		}
		if i/each != at/each {
			t.Errorf("point %d of cluster %d is nearest to one of %d", i, i/each, at/each)
		}
	}
}

// TestDivergenceFalls checks that more iterations give a better layout.
func TestDivergenceFalls(t *testing.T) {
	rows := makeClusters(4, 30, 20)
	last := math.Inf(1)
	for _, iterations := range []int{1, 100, 400, 800} {
		_, divergence := layOut(t, rows, TSNE{Perplexity: 15, Iterations: iterations, Seed: 1})
		if !(divergence < last) || divergence < 0 {
			t.Errorf("%d iterations: %v after %v", iterations, divergence, last)
		}
		last = divergence
	}
}

// TestSlopeIsGradient compares the slopes with numeric gradients of the divergence.
func TestSlopeIsGradient(t *testing.T) {
	rows := makeClusters(2, 10, 6)
	reduced, _, _ := PCA(context.Background(), rows, 6, 1)
	affinities, err := TSNE{Perplexity: 5, Iterations: 1}.computeAffinities(context.Background(), reduced)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, all := range affinities {
		for _, a := range all {
			sum += a.p
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("affinities sum to %v", sum)
	}
	d := newDescent(affinities, reduced, 1)
	for i := range d.x { // a layout whose slopes are not tiny
		d.x[i], d.y[i] = reduced[i][0]/10, reduced[i][1]/10
	}
	x, y := append([]float64(nil), d.x...), append([]float64(nil), d.y...)
	d.rate = 0
	if err := d.descend(context.Background(), 1, 0); err != nil {
		t.Fatal(err)
	}
	for i := range x {
		divergence := func(change float64) float64 {
			copy(d.x, x)
			copy(d.y, y)
			d.x[i] += change
			v, _ := d.divergence(context.Background())
			return v
		}
		const h = 1e-5
		want := (divergence(h) - divergence(-h)) / (2 * h)
		if math.Abs(d.slopeX[i]-want) > 1e-6+1e-4*math.Abs(want) {
			t.Errorf("point %d: slope %v, want %v", i, d.slopeX[i], want)
		}
	}
}

// TestCoresChangeNothing checks for the same bits on one core and on several.
func TestCoresChangeNothing(t *testing.T) {
	rows := makeClusters(3, 40, 25)
	s := TSNE{Perplexity: 10, Iterations: 60, Seed: 9}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one, _ := layOut(t, rows, s)
	runtime.GOMAXPROCS(4)
	many, _ := layOut(t, rows, s)
	if !reflect.DeepEqual(one, many) {
		t.Error("the layout depends on the number of cores")
	}
	s.Seed++
	if other, _ := layOut(t, rows, s); reflect.DeepEqual(one, other) {
		t.Error("the layout does not depend on the seed")
	}
}

// TestOddRows checks that few, equal or constant rows have finite layouts.
func TestOddRows(t *testing.T) {
	equal := make([][]float32, 20)
	for i := range equal {
		equal[i] = []float32{1, 2, 3}
	}
	for name, rows := range map[string][][]float32{
		"one": equal[:1], "two": equal[:2], "three": equal[:3], "equal": equal,
		"pairs": append(makeClusters(2, 1, 3), makeClusters(2, 1, 3)...), "narrow": {{1}, {2}, {4}, {8}},
	} {
		points, _ := layOut(t, rows, TSNE{Perplexity: 30, Iterations: 50, Seed: 1})
		if len(points) != len(rows) {
			t.Errorf("%s: %d points", name, len(points))
		}
		for _, p := range points {
			if math.IsNaN(p[0]+p[1]) || math.IsInf(p[0]+p[1], 0) {
				t.Errorf("%s: %v", name, points)
				break
			}
		}
	}
	if got, _, err := PCA(context.Background(), nil, 2, 1); err != nil || len(got) != 0 {
		t.Errorf("no rows: %v, %v", got, err)
	}
	if _, _, err := PCA(context.Background(), [][]float32{{1}, {float32(math.NaN())}}, 1, 1); err == nil {
		t.Error("a value that is not a number is accepted")
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	reduced, _, _ := PCA(ctx, makeClusters(2, 20, 5), 5, 1)
	s := TSNE{Perplexity: 5, Iterations: 1000, Seed: 1, Progress: func(done int) {
		if done == 3 {
			cancel()
		}
	}}
	if _, _, err := s.Layout(ctx, reduced); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, _, err := PCA(ctx, makeClusters(2, 20, 5), 2, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, s := range []TSNE{{}, {Perplexity: math.NaN(), Iterations: 5}, {Perplexity: 5}} {
		if s.Validate() == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}
