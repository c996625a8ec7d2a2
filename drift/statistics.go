package drift

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/mathext"
)

// ChiSquared returns Pearson's chi-squared statistic of two samples with these counts of each class,
// its degrees of freedom, and the p-value of the hypothesis that both have the same shares:
//
//	χ² = Σ (n − e)²/e,   e = (total of the sample)·(total of the class)/(total)
//
// Classes without counts are ignored. With fewer than two classes, or an empty sample, the p-value
// is 1. It panics if the lengths differ.
func ChiSquared(a, b []int) (statistic float64, freedom int, pValue float64) {
	if len(a) != len(b) {
		panic("drift: counts of different classes")
	}
	var totals [2]float64
	for i := range a {
		totals[0] += float64(a[i])
		totals[1] += float64(b[i])
	}
	if totals[0] == 0 || totals[1] == 0 {
		return 0, 0, 1
	}
	freedom = -1
	for i := range a {
		class := float64(a[i] + b[i])
		if class == 0 {
			continue
		}
		freedom++
		for side, n := range [2]int{a[i], b[i]} {
			expected := totals[side] * class / (totals[0] + totals[1])
			d := float64(n) - expected
			statistic += d * d / expected
		}
	}
	if freedom < 1 {
		return 0, 0, 1
	}
	return statistic, freedom, mathext.GammaIncRegComp(float64(freedom)/2, statistic/2)
}

// KolmogorovSmirnov returns the largest difference between the empirical distribution functions of two
// samples, and the p-value of the hypothesis that both are from the same distribution. The p-value
// is that of large samples: with fewer than about fifty values, or equal ones, it is too large
// rather than too small.
func KolmogorovSmirnov(a, b []float64) (statistic, pValue float64) {
	if len(a) == 0 || len(b) == 0 {
		return 0, 1
	}
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := min(a[i], b[j])
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
		statistic = max(statistic, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n, m := float64(len(a)), float64(len(b))
	return statistic, kolmogorov(statistic * math.Sqrt(n*m/(n+m)))
}

// kolmogorov returns the probability that a value of Kolmogorov's distribution is above x (Kolmogorov
// 1933):
//
//	2·Σ_{k≥1} (−1)^(k−1)·exp(−2k²x²) = 1 − √(2π)/x·Σ_{k≥1} exp(−(2k−1)²π²/(8x²))
//
// The second sum converges fast where the first does not.
func kolmogorov(x float64) float64 {
	const terms = 20
	sum := 0.0
	if x < 0.1 {
		return 1 // to 50 digits
	}
	if x < 1 {
		for k := 1.0; k <= terms; k++ {
			sum += math.Exp(-(2*k - 1) * (2*k - 1) * math.Pi * math.Pi / (8 * x * x))
		}
		return min(1, 1-float64(math.Sqrt(2*math.Pi)/x*sum))
	}
	for k, sign := 1.0, 2.0; k <= terms; k, sign = k+1, -sign {
		sum += float64(sign * math.Exp(-2*k*k*x*x))
	}
	return sum
}

// Discrepancy is the result of MeanDiscrepancy.
type Discrepancy struct {
	Squared   float64 // the unbiased estimate of the squared discrepancy; it may be negative
	PValue    float64
	Bandwidth float64 // σ
	// Unlike are the indices of the second sample, the vector that is most unlike the first sample
	// and like the second one first: by the witness function.
	Unlike []int
}

// MeanDiscrepancy compares two samples of vectors by their maximum mean discrepancy (Gretton et al.
// 2012, "A kernel two-sample test"), with the kernel
//
//	k(x, y) = exp(−|x−y|²/(2σ²))
//
// where σ is the median of the distances between all vectors. The squared discrepancy is
//
//	mean k(a, a′) + mean k(b, b′) − 2·mean k(a, b)
//
// over different vectors. The p-value is the share of permutations, with the observed order among
// them, whose discrepancy is at least as large. It takes memory for a float32 of every pair. The
// error is ctx's. It panics if a sample has fewer than two vectors, or the lengths differ.
func MeanDiscrepancy(ctx context.Context, a, b [][]float32, permutations int, seed uint64) (*Discrepancy, error) {
	if len(a) < 2 || len(b) < 2 {
		panic("drift: too few vectors")
	}
	g := gram{count: len(a) + len(b), first: len(a)}
	if err := g.compute(ctx, slices.Concat(a, b)); err != nil {
		return nil, err
	}
	order := make([]int, g.count)
	for i := range order {
		order[i] = i
	}
	d := &Discrepancy{Squared: g.discrepancy(order), Bandwidth: g.bandwidth}
	// Sums in another order differ by rounding.
	const rounding = 1e-9
	atLeast := make([]int, runtime.GOMAXPROCS(0))
	var group errgroup.Group
	for worker := range atLeast {
		group.Go(func() error {
			shuffled := slices.Clone(order)
			for i := worker; i < permutations; i += len(atLeast) {
				if err := ctx.Err(); err != nil {
					return err
				}
				copy(shuffled, order)
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				random.Shuffle(len(order), func(j, k int) { shuffled[j], shuffled[k] = shuffled[k], shuffled[j] })
				if g.discrepancy(shuffled) >= d.Squared-rounding {
					atLeast[worker]++
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	count := 1
	for _, n := range atLeast {
		count += n
	}
	d.PValue = float64(count) / float64(permutations+1)
	d.Unlike = g.rankUnlike()
	return d, nil
}

// gram has the kernel's value for each pair of vectors, those of the first sample before those of the
// second.
type gram struct {
	count, first int       // all vectors, and those of the first sample
	values       []float32 // [count count], 0 on the diagonal
	rows         []float64 // the sum of each row
	total        float64   // the sum of all rows
	bandwidth    float64
}

// compute fills the matrix.
func (g *gram) compute(ctx context.Context, vectors [][]float32) error {
	n := g.count
	g.values, g.rows = make([]float32, n*n), make([]float64, n)
	for _, v := range vectors {
		if len(v) != len(vectors[0]) {
			panic("drift: vectors of different lengths")
		}
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			for j := range i {
				d := squareDistance(vectors[i], vectors[j])
				g.values[i*n+j], g.values[j*n+i] = d, d
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	g.bandwidth = findBandwidth(g.values, n)
	for i := range n {
		for j := range n {
			v := &g.values[i*n+j]
			switch {
			case i == j:
				*v = 0
			case g.bandwidth > 0:
				*v = float32(math.Exp(-float64(*v) / (2 * g.bandwidth * g.bandwidth)))
			default: // all vectors are equal
				*v = 1
			}
			g.rows[i] += float64(*v)
		}
		g.total += g.rows[i]
	}
	return nil
}

// squareDistance returns |x−y|².
func squareDistance(x, y []float32) float32 {
	var sums [4]float32
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a, b, c, d := x[i]-y[i], x[i+1]-y[i+1], x[i+2]-y[i+2], x[i+3]-y[i+3]
		sums[0] += float32(a * a)
		sums[1] += float32(b * b)
		sums[2] += float32(c * c)
		sums[3] += float32(d * d)
	}
	for ; i < len(x); i++ {
		sums[0] += float32((x[i] - y[i]) * (x[i] - y[i]))
	}
	return sums[0] + sums[1] + sums[2] + sums[3]
}

// findBandwidth returns the median of the distances between different vectors, from their squares. If
// more than half are 0, it is the mean of the others, or 0 if there are none.
func findBandwidth(squares []float32, n int) float64 {
	pairs := make([]float32, 0, n*(n-1)/2)
	sum, positive := 0.0, 0
	for i := range n {
		for _, v := range squares[i*n:][:i] {
			pairs = append(pairs, v)
			if v > 0 {
				sum += math.Sqrt(float64(v))
				positive++
			}
		}
	}
	slices.Sort(pairs)
	low, high := float64(pairs[(len(pairs)-1)/2]), float64(pairs[len(pairs)/2])
	if median := (math.Sqrt(low) + math.Sqrt(high)) / 2; median > 0 {
		return median
	}
	return sum / float64(max(positive, 1))
}

// discrepancy returns the squared discrepancy if the first sample has the first vectors of order. It
// sums over the pairs of one sample; the other sums follow from those of the rows.
func (g *gram) discrepancy(order []int) float64 {
	m, n := float64(g.first), float64(g.count-g.first)
	inside, rows := 0.0, 0.0
	for i, x := range order[:g.first] {
		row := g.values[x*g.count:][:g.count]
		for _, y := range order[:i] {
			inside += 2 * float64(row[y])
		}
		rows += g.rows[x]
	}
	across := rows - inside
	other := g.total - inside - 2*across
	return inside/(m*(m-1)) + other/(n*(n-1)) - 2*across/(m*n)
}

// rankUnlike ranks the vectors of the second sample by the witness function, the mean kernel to the
// second sample minus that to the first.
func (g *gram) rankUnlike() []int {
	n := g.count - g.first
	witness, ranks := make([]float64, n), make([]int, n)
	for i := range n {
		first := 0.0
		for _, v := range g.values[(g.first+i)*g.count:][:g.first] {
			first += float64(v)
		}
		witness[i] = (g.rows[g.first+i]-first)/float64(n-1) - first/float64(g.first)
		ranks[i] = i
	}
	slices.SortStableFunc(ranks, func(a, b int) int { return cmp.Compare(witness[b], witness[a]) })
	return ranks
}
