package project

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"gonum.org/v1/gonum/floats"
)

// TSNE holds the settings of t-SNE, a layout that keeps neighbours together (van der Maaten and
// Hinton 2008).
type TSNE struct {
	// Perplexity is roughly the number of neighbours that attract a point. With fewer points
	// than three times the perplexity, Layout uses a smaller one.
	Perplexity float64
	Iterations int
	Seed       uint64
	// Progress, if not nil, is called after every iteration with the number of those done.
	Progress func(done int)
}

// DefaultTSNE returns settings that suit most data.
func DefaultTSNE() TSNE { return TSNE{Perplexity: 30, Iterations: 750, Seed: 1} }

// Validate checks the settings.
func (t TSNE) Validate() error {
	if !(t.Perplexity >= 1) || t.Perplexity > 1000 {
		return fmt.Errorf("the perplexity is %v; it must be between 1 and 1000", t.Perplexity)
	}
	if t.Iterations < 1 || t.Iterations > 100_000 {
		return fmt.Errorf("the number of iterations is %d; it must be between 1 and 100000", t.Iterations)
	}
	return nil
}

// Settings of the descent. They are van der Maaten and Hinton's, except that the rate grows
// with the number of points (Belkina et al. 2019) and that the descent starts from principal
// components (Kobak and Berens 2019).
const (
	exaggeration      = 12.0
	exaggerated       = 0.25 // of the iterations, at most 250
	earlyMomentum     = 0.5
	lateMomentum      = 0.8
	gainUp, gainDown  = 0.2, 0.8
	leastGain         = 0.01
	leastRate         = 50.0
	initialDeviation  = 1e-4
	neighboursPerUnit = 3 // of perplexity; points further away do not attract
)

// Layout lays rows out in two dimensions. It starts from the first two values of each row,
// which should be principal components. It also returns the Kullback-Leibler divergence of
// the layout: the smaller, the better it keeps neighbours together. Errors are ctx's or
// Validate's. Layout panics if rows differ in length or have fewer than two values.
func (t TSNE) Layout(ctx context.Context, rows [][]float64) (points [][2]float64, divergence float64, err error) {
	if err = t.Validate(); err != nil {
		return nil, 0, err
	}
	n := len(rows)
	for _, row := range rows {
		if len(row) < 2 || len(row) != len(rows[0]) {
			panic("project: rows of different lengths, or of fewer than two values")
		}
	}
	if n < 3 {
		points = make([][2]float64, n)
		for i, row := range rows {
			points[i] = [2]float64(row)
		}
		return points, 0, nil
	}
	affinities, err := t.computeAffinities(ctx, rows)
	if err != nil {
		return nil, 0, err
	}
	d := newDescent(affinities, rows, t.Seed)
	early := min(int(exaggerated*float64(t.Iterations)), 250)
	for i := range t.Iterations {
		attraction, momentum := 1.0, lateMomentum
		if i < early {
			attraction, momentum = exaggeration, earlyMomentum
		}
		if err = d.descend(ctx, attraction, momentum); err != nil {
			return nil, 0, err
		}
		if t.Progress != nil {
			t.Progress(i + 1)
		}
	}
	divergence, err = d.divergence(ctx)
	points = make([][2]float64, n)
	for i := range points {
		points[i] = [2]float64{d.x[i], d.y[i]}
	}
	return points, divergence, err
}

// affinity says how strongly a point attracts another: p in the paper.
type affinity struct {
	to int
	p  float64
}

// computeAffinities returns each point's affinities, which sum to 1 over all points.
func (t TSNE) computeAffinities(ctx context.Context, rows [][]float64) ([][]affinity, error) {
	n := len(rows)
	perplexity := min(t.Perplexity, max(1, float64(n-1)/neighboursPerUnit))
	count := min(n-1, int(neighboursPerUnit*perplexity)+1)
	squares := make([]float64, n)
	for i, row := range rows {
		squares[i] = floats.Dot(row, row)
	}
	oneWay := make([][]affinity, n) // what attracts each point
	err := inParallel(ctx, n, func(i int) {
		all := make([]affinity, 0, n-1)
		for j, row := range rows {
			if j != i {
				all = append(all, affinity{j, max(squares[i]+squares[j]-2*floats.Dot(rows[i], row), 0)})
			}
		}
		sort.Slice(all, func(i, j int) bool {
			a, b := all[i], all[j]
			return a.p < b.p || a.p == b.p && a.to < b.to
		})
		oneWay[i] = slices.Clone(all[:count])
		computeProbabilities(oneWay[i], math.Log(perplexity))
	})
	if err != nil {
		return nil, err
	}
	mutual := make([][]affinity, n)
	for i, affinities := range oneWay {
		for _, a := range affinities {
			p := a.p / float64(2*n)
			mutual[i] = append(mutual[i], affinity{a.to, p})
			mutual[a.to] = append(mutual[a.to], affinity{i, p})
		}
	}
	for i := range mutual {
		mutual[i] = mergeAffinities(mutual[i])
	}
	return mutual, nil
}

// mergeAffinities sums affinities to the same point.
func mergeAffinities(all []affinity) []affinity {
	sort.SliceStable(all, func(i, j int) bool { return all[i].to < all[j].to })
	out := all[:0]
	for _, a := range all {
		if last := len(out) - 1; last >= 0 && out[last].to == a.to {
			out[last].p += a.p
		} else {
			out = append(out, a)
		}
	}
	return out
}

// computeProbabilities replaces squared distances, the smallest first, by the probabilities of
// a Gaussian. It finds, by bisection, the width that gives them the entropy.
func computeProbabilities(affinities []affinity, entropy float64) {
	low, high, beta := 0.0, math.Inf(1), 1.0
	if scale := affinities[len(affinities)-1].p - affinities[0].p; scale > 0 {
		beta = 1 / scale
	}
	weights := make([]float64, len(affinities))
	sum := 0.0
	for range 100 {
		sum = 0
		moment := 0.0
		for i, a := range affinities {
			distance := a.p - affinities[0].p // the offset keeps the exponentials in range
			weights[i] = math.Exp(-beta * distance)
			sum += weights[i]
			moment += float64(weights[i] * distance)
		}
		excess := math.Log(sum) + beta*moment/sum - entropy
		if math.Abs(excess) < 1e-6 {
			break
		}
		if excess > 0 {
			low = beta
		} else {
			high = beta
		}
		if math.IsInf(high, 1) {
			beta *= 2
		} else {
			beta = (low + high) / 2
		}
	}
	for i := range affinities {
		affinities[i].p = weights[i] / sum
	}
}
