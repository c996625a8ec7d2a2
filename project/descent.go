package project

import (
	"context"
	"math"
	"math/rand/v2"
)

// descent lays points out by gradient descent: neighbours attract each other, and all points
// repel each other.
type descent struct {
	affinities     [][]affinity
	x, y           []float64
	stepX, stepY   []float64
	gainX, gainY   []float64
	repelX, repelY []float64
	sums           []float64 // for each point, Σ_j 1/(1+d²)
	rate           float64
	slopeX, slopeY []float64
}

// newDescent places points at the first two values of rows, scaled to be very close to each
// other. It adds a little noise, so that equal points can separate.
func newDescent(affinities [][]affinity, rows [][]float64, seed uint64) *descent {
	n := len(affinities)
	all := newMatrix(11, n)
	d := &descent{
		affinities: affinities, x: all[0], y: all[1], stepX: all[2], stepY: all[3], gainX: all[4], gainY: all[5],
		repelX: all[6], repelY: all[7], sums: all[8], slopeX: all[9], slopeY: all[10],
		rate: max(float64(n)/exaggeration/4, leastRate),
	}
	variance := 0.0
	for _, row := range rows {
		variance += row[0] * row[0] / float64(n)
	}
	scale := 0.0
	if variance > 0 {
		scale = initialDeviation / math.Sqrt(variance)
	}
	random := rand.New(rand.NewPCG(seed, 2))
	for i, row := range rows {
		d.x[i] = float64(scale*row[0]) + float64(initialDeviation/100*random.NormFloat64())
		d.y[i] = float64(scale*row[1]) + float64(initialDeviation/100*random.NormFloat64())
		d.gainX[i], d.gainY[i] = 1, 1
	}
	return d
}

// descend moves every point once. attraction multiplies the affinities.
func (d *descent) descend(ctx context.Context, attraction, momentum float64) error {
	if err := inParallel(ctx, len(d.x), d.sumRepulsion); err != nil {
		return err
	}
	total := d.sumPairs()
	err := inParallel(ctx, len(d.x), func(i int) {
		var pullX, pullY float64
		for _, a := range d.affinities[i] {
			dx, dy := d.x[i]-d.x[a.to], d.y[i]-d.y[a.to]
			share := a.p / (1 + float64(dx*dx) + float64(dy*dy))
			pullX += float64(share * dx)
			pullY += float64(share * dy)
		}
		d.slopeX[i] = 4 * (float64(attraction*pullX) - d.repelX[i]/total)
		d.slopeY[i] = 4 * (float64(attraction*pullY) - d.repelY[i]/total)
	})
	if err != nil {
		return err
	}
	advance(d.x, d.stepX, d.gainX, d.slopeX, d.rate, momentum)
	advance(d.y, d.stepY, d.gainY, d.slopeY, d.rate, momentum)
	return nil
}

// sumRepulsion computes what repels point i: Σ_j q²·(xi−xj) with q = 1/(1+d²), and the sum of
// q. It takes nearly all of the time.
func (d *descent) sumRepulsion(i int) {
	x, y := d.x, d.y[:len(d.x)]
	xi, yi := x[i], y[i]
	var px, py, sum float64
	for j, xj := range x {
		dx, dy := xi-xj, yi-y[j]
		q := 1 / (1 + float64(dx*dx) + float64(dy*dy))
		sum += q
		q *= q
		px += float64(q * dx)
		py += float64(q * dy)
	}
	d.repelX[i], d.repelY[i], d.sums[i] = px, py, sum-1 // without point i itself
}

// sumPairs returns the sum of q over all pairs.
func (d *descent) sumPairs() float64 {
	total := 0.0
	for _, v := range d.sums {
		total += v
	}
	return max(total, math.SmallestNonzeroFloat64)
}

// advance moves one coordinate of all points, and keeps their centre at 0.
func advance(positions, steps, gains, slopes []float64, rate, momentum float64) {
	mean := 0.0
	for i, slope := range slopes {
		if (slope > 0) == (steps[i] > 0) {
			gains[i] = max(gains[i]*gainDown, leastGain)
		} else {
			gains[i] += gainUp
		}
		steps[i] = float64(momentum*steps[i]) - float64(rate*gains[i]*slope)
		positions[i] += steps[i]
		mean += positions[i]
	}
	mean /= float64(len(positions))
	for i := range positions {
		positions[i] -= mean
	}
}

// divergence returns Σ p·log(p/q) over all pairs.
func (d *descent) divergence(ctx context.Context) (float64, error) {
	if err := inParallel(ctx, len(d.x), d.sumRepulsion); err != nil {
		return 0, err
	}
	total, sum := d.sumPairs(), 0.0
	for i, affinities := range d.affinities {
		for _, a := range affinities {
			if a.p > 0 {
				dx, dy := d.x[i]-d.x[a.to], d.y[i]-d.y[a.to]
				sum += float64(a.p * math.Log(a.p*(1+float64(dx*dx)+float64(dy*dy))*total))
			}
		}
	}
	return sum, nil
}
