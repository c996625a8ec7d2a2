package project

import (
	"context"
	"math"
	"math/rand/v2"
)

// descent moves points downhill: each is drawn to its neighbours and pushed by all.
type descent struct {
	near           [][]affinity
	x, y           []float64
	moveX, moveY   []float64
	gainX, gainY   []float64
	pushX, pushY   []float64
	sums           []float64 // of each row's 1/(1+d²)
	rate           float64
	slopeX, slopeY []float64
}

// newDescent puts points where the first two values of rows are, scaled to be very near
// each other, and moves them at random a little, so that equal ones can part.
func newDescent(near [][]affinity, rows [][]float64, seed uint64) *descent {
	n := len(near)
	all := matrix(12, n)
	d := &descent{
		near: near, x: all[0], y: all[1], moveX: all[2], moveY: all[3], gainX: all[4], gainY: all[5],
		pushX: all[6], pushY: all[7], sums: all[8], slopeX: all[9], slopeY: all[10],
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
		d.x[i] = scale*row[0] + initialDeviation/100*random.NormFloat64()
		d.y[i] = scale*row[1] + initialDeviation/100*random.NormFloat64()
		d.gainX[i], d.gainY[i] = 1, 1
	}
	return d
}

// step moves every point once.
func (d *descent) step(ctx context.Context, strength, momentum float64) error {
	if err := inParallel(ctx, len(d.x), d.push); err != nil {
		return err
	}
	total := d.total()
	err := inParallel(ctx, len(d.x), func(i int) {
		var pullX, pullY float64
		for _, a := range d.near[i] {
			dx, dy := d.x[i]-d.x[a.to], d.y[i]-d.y[a.to]
			share := a.p / (1 + dx*dx + dy*dy)
			pullX += share * dx
			pullY += share * dy
		}
		d.slopeX[i] = 4 * (strength*pullX - d.pushX[i]/total)
		d.slopeY[i] = 4 * (strength*pullY - d.pushY[i]/total)
	})
	if err != nil {
		return err
	}
	move(d.x, d.moveX, d.gainX, d.slopeX, d.rate, momentum)
	move(d.y, d.moveY, d.gainY, d.slopeY, d.rate, momentum)
	return nil
}

// push sums what pushes point i: Σ_j q²·(xi−xj) with q = 1/(1+d²), and the sum of q.
// Nearly all of the time is spent here.
func (d *descent) push(i int) {
	x, y := d.x, d.y[:len(d.x)]
	xi, yi := x[i], y[i]
	var px, py, sum float64
	for j, xj := range x {
		dx, dy := xi-xj, yi-y[j]
		q := 1 / (1 + dx*dx + dy*dy)
		sum += q
		q *= q
		px += q * dx
		py += q * dy
	}
	d.pushX[i], d.pushY[i], d.sums[i] = px, py, sum-1 // without itself
}

// total is the sum of q over all pairs.
func (d *descent) total() float64 {
	total := 0.0
	for _, v := range d.sums {
		total += v
	}
	return max(total, math.SmallestNonzeroFloat64)
}

// move moves one coordinate of all points, and keeps their centre at 0.
func move(at, moves, gains, slopes []float64, rate, momentum float64) {
	mean := 0.0
	for i, slope := range slopes {
		if (slope > 0) == (moves[i] > 0) {
			gains[i] = max(gains[i]*gainDown, leastGain)
		} else {
			gains[i] += gainUp
		}
		moves[i] = momentum*moves[i] - rate*gains[i]*slope
		at[i] += moves[i]
		mean += at[i]
	}
	mean /= float64(len(at))
	for i := range at {
		at[i] -= mean
	}
}

// divergence is Σ p·log(p/q) over all pairs.
func (d *descent) divergence(ctx context.Context) (float64, error) {
	if err := inParallel(ctx, len(d.x), d.push); err != nil {
		return 0, err
	}
	total, sum := d.total(), 0.0
	for i, near := range d.near {
		for _, a := range near {
			if a.p > 0 {
				dx, dy := d.x[i]-d.x[a.to], d.y[i]-d.y[a.to]
				sum += a.p * math.Log(a.p*(1+dx*dx+dy*dy)*total)
			}
		}
	}
	return sum, nil
}
