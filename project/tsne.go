package project

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
)

// TSNE says how to lay points out so that those that are near each other stay so (van der
// Maaten and Hinton 2008).
type TSNE struct {
	// Perplexity is about how many neighbours a point is held to. Fewer points than three
	// times as many bring it down.
	Perplexity float64
	Iterations int
	Seed       uint64
	// Progress hears of every iteration done; it may be nil.
	Progress func(done int)
}

// DefaultTSNE is what most layouts are made with.
func DefaultTSNE() TSNE { return TSNE{Perplexity: 30, Iterations: 750, Seed: 1} }

// Validate reports settings that lay nothing out.
func (t TSNE) Validate() error {
	if !(t.Perplexity >= 1) || t.Perplexity > 1000 {
		return fmt.Errorf("perplexity %v: it is from 1 to 1000", t.Perplexity)
	}
	if t.Iterations < 1 || t.Iterations > 100_000 {
		return fmt.Errorf("%d iterations: there are from 1 to 100000", t.Iterations)
	}
	return nil
}

// Settings of the descent: van der Maaten and Hinton's, but for the rate, which grows with
// the number of points (Belkina et al. 2019), and the beginning, which is the principal
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
	neighboursPerUnit = 3 // of perplexity: those further away weigh nothing
)

// Layout lays rows out in two dimensions. The first two values of each are where it
// begins, so they are best principal components. It also returns the Kullback-Leibler
// divergence of the layout: the smaller, the better are neighbours kept. The error is
// ctx's, or Validate's. It panics if rows differ in length or have fewer than two values.
func (t TSNE) Layout(ctx context.Context, rows [][]float64) (points [][2]float64, divergence float64, err error) {
	if err := t.Validate(); err != nil {
		return nil, 0, err
	}
	n := len(rows)
	for _, row := range rows {
		if len(row) < 2 || len(row) != len(rows[0]) {
			panic("project: rows of different lengths, or of less than two values")
		}
	}
	if n < 3 {
		points = make([][2]float64, n)
		for i, row := range rows {
			points[i] = [2]float64(row)
		}
		return points, 0, nil
	}
	near, err := t.neighbours(ctx, rows)
	if err != nil {
		return nil, 0, err
	}
	d := newDescent(near, rows, t.Seed)
	early := min(int(exaggerated*float64(t.Iterations)), 250)
	for i := range t.Iterations {
		strength, momentum := 1.0, lateMomentum
		if i < early {
			strength, momentum = exaggeration, earlyMomentum
		}
		if err := d.step(ctx, strength, momentum); err != nil {
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

// affinity is how much a point is held to another: p of the paper.
type affinity struct {
	to int
	p  float64
}

// neighbours finds each point's affinities, which sum to 1 over all points.
func (t TSNE) neighbours(ctx context.Context, rows [][]float64) ([][]affinity, error) {
	n := len(rows)
	perplexity := min(t.Perplexity, max(1, float64(n-1)/neighboursPerUnit))
	count := min(n-1, int(neighboursPerUnit*perplexity)+1)
	squares := make([]float64, n)
	for i, row := range rows {
		squares[i] = dot(row, row)
	}
	one := make([][]affinity, n) // as each point sees it
	err := inParallel(ctx, n, func(i int) {
		all := make([]affinity, 0, n-1)
		for j, row := range rows {
			if j != i {
				all = append(all, affinity{j, max(squares[i]+squares[j]-2*dot(rows[i], row), 0)})
			}
		}
		sort.Slice(all, func(i, j int) bool {
			a, b := all[i], all[j]
			return a.p < b.p || a.p == b.p && a.to < b.to
		})
		one[i] = slices.Clone(all[:count])
		weigh(one[i], math.Log(perplexity))
	})
	if err != nil {
		return nil, err
	}
	both := make([][]affinity, n)
	for i, near := range one {
		for _, a := range near {
			p := a.p / float64(2*n)
			both[i] = append(both[i], affinity{a.to, p})
			both[a.to] = append(both[a.to], affinity{i, p})
		}
	}
	for i := range both {
		both[i] = merged(both[i])
	}
	return both, nil
}

// merged sums affinities to the same point.
func merged(all []affinity) []affinity {
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

// weigh turns squared distances, the smallest first, into probabilities of a Gaussian as
// wide as gives them an entropy, by halving.
func weigh(near []affinity, entropy float64) {
	low, high, beta := 0.0, math.Inf(1), 1.0
	if scale := near[len(near)-1].p - near[0].p; scale > 0 {
		beta = 1 / scale
	}
	weights := make([]float64, len(near))
	sum := 0.0
	for range 100 {
		sum = 0
		moment := 0.0
		for i, a := range near {
			distance := a.p - near[0].p // the same for all: keeps the exponentials in range
			weights[i] = math.Exp(-beta * distance)
			sum += weights[i]
			moment += weights[i] * distance
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
	for i := range near {
		near[i].p = weights[i] / sum
	}
}
