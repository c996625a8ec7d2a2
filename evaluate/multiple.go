package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Trial is a training run of one setting, measured on labelled pictures.
type Trial struct {
	// Pictures names the pictures, such as a fold of a cross-validation. Trials with the same
	// name classified the same pictures in the same order. Two names share no picture.
	Pictures string
	Right    []bool // for each picture, whether the answer is right
}

// accuracy returns the share of right answers.
func (t Trial) accuracy() float64 {
	right := 0
	for _, r := range t.Right {
		if r {
			right++
		}
	}
	return float64(right) / float64(len(t.Right))
}

// Pair is the comparison of two settings, A and B.
type Pair struct {
	// Difference is the mean accuracy of A minus that of B, over the trials that both have on the
	// same pictures; 0 if there are none.
	Difference float64
	PValue     float64 // two-sided, for this pair alone
	Adjusted   float64 // PValue after Holm's adjustment for the number of pairs
}

// AssumedSeedDeviation is the standard deviation of a trial's accuracy between seeds, beyond what
// single pictures explain, that ComparePairs assumes if no setting has two trials on the same pictures
// from which to estimate it: one percentage point. It is a conservative choice for garb's heads on
// frozen backbones. Over 10 seeds, their accuracy on the 341 validation pictures of the small clothing
// data set varied by 0.4 points without and 0.6 points with an inner layer; pictures explain 0.7 and
// 0.9 points, and so all of it.
const AssumedSeedDeviation = 0.01

// ComparePairs tests all pairs of settings, each given by its trials, for a difference in accuracy.
// Entry [a][b] of the result compares settings a and b; [a][a] is no difference with p = 1. If
// settings are equally good, the probability that any pair of them has Adjusted ≤ 0.05 is at most
// about 5 %. Since this holds for all pairs together, it also holds for pairs with the best setting,
// although the data chose it.
//
// The p-value of a pair is the larger one of two tests:
//
//   - Over pictures: the exact sign-flip test (Fisher 1935) on d, the difference between the two
//     settings for each picture, summed over R trials. If the settings are equally good, d and −d are
//     equally likely. With one trial each it is McNemar's exact test.
//   - Over pictures and seeds: Student's t test of Difference with the variance V = P + S, where
//     pictures and seeds are crossed random effects (Cameron, Gelbach & Miller 2011). P is the
//     variance of Σd/(n·R) between the n pictures. S = 2·max(0, s²−e²/n)/R, where s² is the variance
//     of the accuracy between trials of the same setting, and e²/n is the part of it that independent
//     pictures explain. s²−e²/n is the mean over all settings except those that vary far more than
//     the pair, or the mean over the pair if that is larger. The degrees of freedom are
//     Satterthwaite's (1946).
//
// Seeds must count because other seeds rank settings differently (Dietterich 1998, Bouthillier et al.
// 2021). If every setting has one trial, S = 2·AssumedSeedDeviation². For trials on several sets of
// pictures, such as folds, the second test is Student's t test of the differences between the sets.
// Its variance is pooled over all pairs, or is the pair's own if that is larger, and it is corrected for
// the training pictures that folds share (Nadeau & Bengio 2003). The adjustment for the number of pairs
// is Holm's (1979).
//
// Trials are paired in order: the first of A on some pictures with the first of B on the same, and so
// on. Trials without a partner do not count. Paired trials need not share a seed.
//
// ComparePairs panics if trials on the same pictures have different numbers of answers.
func ComparePairs(settings [][]Trial) [][]Pair {
	measured := make([]measurement, len(settings))
	seeds := make([]variance, len(settings))
	sizes := map[string]int{}
	for i, trials := range settings {
		measured[i] = newMeasurement(trials)
		seeds[i] = measured[i].seeds
		for _, t := range trials {
			if n, ok := sizes[t.Pictures]; ok && n != len(t.Right) {
				panic(fmt.Sprintf("evaluate: trials on the same pictures %q have %d and %d answers", t.Pictures, n,
					len(t.Right)))
			}
			sizes[t.Pictures] = len(t.Right)
		}
	}
	var folds variance
	pairs, all := make([][]Pair, len(settings)), []*pairing{}
	for a := range settings {
		pairs[a] = make([]Pair, len(settings))
		pairs[a][a] = Pair{PValue: 1, Adjusted: 1}
		for b := range a {
			p := newPairing(&measured[a], &measured[b])
			folds = folds.plus(p.folds)
			p.a, p.b = a, b
			all = append(all, p)
		}
	}
	tested := 0 // settings with trials
	for _, m := range measured {
		if len(m.sets) > 0 {
			tested++
		}
	}
	values := make([]float64, len(all))
	for i, p := range all {
		values[i] = p.computePValue(seeds, folds, tested)
	}
	for i, adjusted := range Holm(values) {
		p := all[i]
		pairs[p.a][p.b] = Pair{p.difference, values[i], adjusted}
		pairs[p.b][p.a] = Pair{-p.difference, values[i], adjusted}
	}
	return pairs
}

// variance is a sum of squares with its degrees of freedom.
type variance struct {
	squares, freedom float64
	// excess is the part of squares that independent pictures do not explain; it may be negative.
	excess float64
}

func (v variance) plus(w variance) variance {
	return variance{v.squares + w.squares, v.freedom + w.freedom, v.excess + w.excess}
}

// mean returns squares and excess for one degree of freedom.
func (v variance) mean() (squares, excess float64) {
	if v.freedom == 0 {
		return 0, 0
	}
	return v.squares / v.freedom, v.excess / v.freedom
}

// maxRatio is the largest ratio of a setting's variance to that of a compared pair at which both are
// pooled. Settings that hardly learn can vary far more than good ones.
const maxRatio = 10

// poolVariances returns the variance of a trial's accuracy between seeds and its excess, as means over
// all settings, or own if that is larger. freedom is that of the means. Settings that vary more than
// maxRatio times as much as own, and as pictures explain of own, do not count.
func poolVariances(seeds []variance, own variance) (squares, excess, freedom float64) {
	ownSquares, ownExcess := own.mean()
	limit := math.Inf(1)
	if own.freedom > 0 {
		limit = maxRatio * max(ownSquares, ownSquares-ownExcess)
	}
	var all variance
	for _, v := range seeds {
		if s, _ := v.mean(); s <= limit {
			all = all.plus(v)
		}
	}
	squares, excess = all.mean()
	return max(squares, ownSquares), max(excess, ownExcess, 0), all.freedom
}

// measurement has the accuracies of one setting's trials.
type measurement struct {
	names      []string  // the names of the sets of pictures, in the order of their first trials
	sets       [][]Trial // the trials on each set
	accuracies [][]float64
	// seeds is the variance of the accuracy between trials on the same pictures.
	seeds variance
}

// newMeasurement groups trials by their pictures.
func newMeasurement(trials []Trial) measurement {
	var m measurement
	for _, t := range trials {
		if len(t.Right) == 0 {
			continue
		}
		i := slices.Index(m.names, t.Pictures)
		if i < 0 {
			i = len(m.names)
			m.names, m.sets, m.accuracies = append(m.names, t.Pictures), append(m.sets, nil), append(m.accuracies, nil)
		}
		m.sets[i], m.accuracies[i] = append(m.sets[i], t), append(m.accuracies[i], t.accuracy())
	}
	for i, set := range m.sets {
		m.seeds = m.seeds.plus(varyBetweenTrials(set, m.accuracies[i]))
	}
	return m
}

// varyBetweenTrials returns the variance of the accuracies of trials on the same n pictures. If c of S
// trials are right about a picture, the answers vary around the picture's and the trial's means by
//
//	e² = (Σ c·(S−c)/S − n·Σ(accuracy−mean)²) / ((S−1)·(n−1)),
//
// and with independent pictures the accuracy of a trial would vary by e²/n. The excess is what exceeds
// that: some seeds are luckier than others.
func varyBetweenTrials(trials []Trial, accuracies []float64) variance {
	s, n := float64(len(trials)), float64(len(trials[0].Right))
	if s < 2 {
		return variance{}
	}
	v := variance{squares: sumSquares(accuracies), freedom: s - 1}
	if n < 2 {
		return v
	}
	within := 0.0
	for j := range trials[0].Right {
		c := 0.0
		for _, t := range trials {
			if t.Right[j] {
				c++
			}
		}
		within += c * (s - c) / s
	}
	answers := max(0, within-float64(n*v.squares)) / (n - 1) // e²·(S−1)
	v.excess = v.squares - answers/n
	return v
}

// sumSquares returns the sum of squared differences from the mean.
func sumSquares(values []float64) float64 {
	mean, sum := computeMean(values), 0.0
	for _, v := range values {
		sum += float64((v - mean) * (v - mean))
	}
	return sum
}

// computeMean returns the mean of values, or 0 if there are none.
func computeMean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}

// pairing has what two settings have in common.
type pairing struct {
	a, b       int
	trials     int // for each setting and set of pictures
	sets       int
	difference float64
	// counts[d+trials] is the number of pictures about which A was right d times more often than B.
	counts       []int
	seeds, folds variance // of the pair alone
}

func newPairing(a, b *measurement) *pairing {
	type common struct{ a, b int }
	var sets []common
	p := &pairing{seeds: a.seeds.plus(b.seeds)}
	for i, name := range a.names {
		if j := slices.Index(b.names, name); j >= 0 {
			n := min(len(a.sets[i]), len(b.sets[j]))
			if len(sets) == 0 || n < p.trials {
				p.trials = n
			}
			sets = append(sets, common{i, j})
		}
	}
	p.sets, p.counts = len(sets), make([]int, 2*p.trials+1)
	var differences []float64
	for _, set := range sets {
		as, bs := a.sets[set.a][:p.trials], b.sets[set.b][:p.trials]
		sum := 0
		for j := range as[0].Right {
			d := 0
			for s := range as {
				if x, y := as[s].Right[j], bs[s].Right[j]; x && !y {
					d++
				} else if y && !x {
					d--
				}
			}
			p.counts[d+p.trials]++
			sum += d
		}
		differences = append(differences, float64(sum)/float64(p.trials*len(as[0].Right)))
	}
	p.difference = computeMean(differences)
	if p.sets > 1 {
		p.folds = variance{squares: sumSquares(differences), freedom: float64(p.sets - 1)}
	}
	return p
}

// computePValue returns the p-value of the pair, given the variances of all settings between seeds and,
// pooled over all pairs of so many settings, between folds.
func (p *pairing) computePValue(seeds []variance, folds variance, settings int) float64 {
	value := SignFlip(p.counts)
	switch {
	case p.sets == 0:
		return 1
	case p.sets > 1:
		k := float64(p.sets)
		pooled, _ := folds.mean()
		own, _ := p.folds.mean()
		// A fold's share of the pictures tests what the k−1 others trained.
		v := max(pooled, own) * (1/k + 1/(k-1))
		// Of the k(k−1)/2 differences between k settings, k−1 are independent.
		return max(value, computeStudentP(p.difference, v, folds.freedom*2/float64(settings)))
	}
	pictures, n := p.varyBetweenPictures()
	squares, excess, freedom := poolVariances(seeds, p.seeds)
	if freedom == 0 {
		const s = 2 * AssumedSeedDeviation * AssumedSeedDeviation
		return max(value, computeStudentP(p.difference, pictures+s, normalFreedom))
	}
	share := 2 / float64(p.trials) // a difference has the variance of two means of trials
	v := pictures + float64(excess*share)
	return max(value, computeStudentP(p.difference, v, computeFreedom(v, pictures, n-1, squares*share, freedom)))
}

// computeFreedom returns the degrees of freedom of v, which combines the variances between pictures and
// between seeds, each with its degrees of freedom (Satterthwaite 1946). It is at least the smaller of
// the two, and at least 1.
func computeFreedom(v, pictures, pictureFreedom, seeds, seedFreedom float64) float64 {
	fewest := max(1, min(pictureFreedom, seedFreedom))
	return max(fewest, v*v/(pictures*pictures/max(pictureFreedom, 1)+seeds*seeds/max(seedFreedom, 1)))
}

// varyBetweenPictures returns the variance of Difference as a mean over n pictures.
func (p *pairing) varyBetweenPictures() (v, n float64) {
	for i, count := range p.counts {
		d := float64(i-p.trials)/float64(p.trials) - p.difference
		v += float64(float64(count) * d * d)
		n += float64(count)
	}
	return v / (n * max(n-1, 1)), n
}

// Holm adjusts the p-values of several tests so that the probability of any adjusted value ≤ α among
// true null hypotheses is at most α, however the tests depend on each other (Holm 1979). It multiplies
// the k-th smallest of m by m−k+1, and makes it at least the one before it and at most 1.
func Holm(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	adjusted, before := make([]float64, len(values)), 0.0
	for k, i := range order {
		before = max(before, min(1, values[i]*float64(len(values)-k)))
		adjusted[i] = before
	}
	return adjusted
}

// maxExactFlips is the largest number of differing pictures for which SignFlip is exact. With more,
// the normal distribution is right to the third decimal.
const maxExactFlips = 500

// SignFlip returns the two-sided p-value of the exact sign-flip test (Fisher 1935) for integer
// differences from −r to r, where counts[i] of the 2r+1 counts is the number of differences of i−r. It
// is the probability that Σ ±|d|, with random signs, is at least as far from 0 as Σ d. With r = 1 it
// is McNemar's test. With more than 500 differences other than 0, SignFlip uses the normal
// distribution with a continuity correction.
func SignFlip(counts []int) float64 {
	r := len(counts) / 2
	if r == 1 {
		return McNemar(counts[2], counts[0])
	}
	sum, differing, squares, largest := 0, 0, 0, 0
	for i, count := range counts {
		d := i - r
		sum += count * d
		squares += count * d * d
		if d != 0 {
			differing += count
			largest += count * max(d, -d)
		}
	}
	sum = max(sum, -sum)
	if sum == 0 {
		return 1
	}
	if differing > maxExactFlips {
		return min(1, math.Erfc((float64(sum)-1)/math.Sqrt(2*float64(squares))))
	}
	// reached[x] is the probability that the sum of the differences so far, with random signs, is
	// 2x above the smallest possible sum: each difference adds 0 or |d| to x.
	reached := make([]float64, 1, largest+1)
	reached[0] = 1
	for d := r; d >= 1; d-- {
		if n := counts[r+d] + counts[r-d]; n > 0 {
			reached = addFlips(reached, n, d)
		}
	}
	tail := 0.0
	for x, probability := range reached {
		if s := 2*x - largest; s >= sum {
			tail += probability
		}
	}
	return min(1, 2*tail)
}

// addFlips adds n fair coins of value d to the distribution of a sum.
func addFlips(reached []float64, n, d int) []float64 {
	next := make([]float64, len(reached)+n*d)
	probability := math.Exp2(-float64(n))
	for k := 0; k <= n; k++ {
		for x, p := range reached {
			next[x+k*d] += float64(p * probability)
		}
		probability *= float64(n-k) / float64(k+1)
	}
	return next
}

// computeStudentP returns the two-sided p-value of a difference by Student's t distribution. freedom
// is that of the estimated variance.
func computeStudentP(difference, variance, freedom float64) float64 {
	if difference == 0 {
		return 1
	}
	if !(variance > 0) {
		return 0 // the sign-flip test decides about a constant difference
	}
	return studentTails(math.Abs(difference)/math.Sqrt(variance), int(min(max(freedom, 1), normalFreedom)))
}

// normalFreedom is the number of degrees of freedom from which the normal distribution replaces
// Student's.
const normalFreedom = 1000

// studentTails returns the probability that |t| or more is found, with an integer number of degrees of
// freedom.
func studentTails(t float64, freedom int) float64 {
	if freedom >= normalFreedom {
		return math.Erfc(t / math.Sqrt2)
	}
	f := float64(freedom)
	return mathext.RegIncBeta(f/2, 0.5, f/(f+float64(t*t)))
}

// studentQuantile returns the t beyond which lie 5 % on both sides together.
func studentQuantile(freedom int) float64 {
	if freedom >= normalFreedom {
		return z95
	}
	f := float64(freedom)
	x := mathext.InvRegIncBeta(f/2, 0.5, 0.05)
	return math.Sqrt(f * (1 - x) / x)
}

// MeanIntervals returns, for each of several settings given by their trials, the 95 % interval of the
// setting's mean accuracy over such pictures and over seeds. For one trial it is Wilson's.
//
// Answers of several trials for the same picture are not independent, and neither are the answers of
// one trial. So the interval is Wilson's for the share p of right answers and an effective number of
// pictures (Korn & Graubard 1998),
//
//	n* = p(1−p)/V · (z/t)²,   V = P + max(0, s²−e²/n)/R.
//
// P = Σ(x−p)²/(n(n−1)) is the variance between the n pictures, where x is the share of the R trials
// that are right about a picture. s² and e²/n are the variance of the accuracy between trials and the
// part of it that independent pictures explain, pooled over the settings as in ComparePairs, or the
// setting's own if that is larger. t is the 97.5 % quantile of Student's distribution with
// Satterthwaite's degrees of freedom, z that of the normal distribution. For trials on several sets of
// pictures, such as folds, V is the variance between the means of the sets, or P if that is larger. n*
// is at most the number of answers, and it is n if all answers are right or all wrong. Without trials
// the interval is from 0 to 1.
func MeanIntervals(settings [][]Trial) [][2]float64 {
	measured, seeds := make([]measurement, len(settings)), make([]variance, len(settings))
	for i, trials := range settings {
		measured[i] = newMeasurement(trials)
		seeds[i] = measured[i].seeds
	}
	intervals := make([][2]float64, len(settings))
	for i := range measured {
		intervals[i] = measured[i].computeInterval(seeds)
	}
	return intervals
}

// computeInterval returns the interval of the mean, given the variances of all settings between seeds.
func (m *measurement) computeInterval(seeds []variance) [2]float64 {
	var shares []float64 // the share of trials that are right, by picture
	var folds []float64  // the mean accuracy on each set
	answers, right := 0.0, 0.0
	for i, set := range m.sets {
		for j := range set[0].Right {
			c := 0.0
			for _, t := range set {
				if t.Right[j] {
					c++
				}
			}
			answers, right = answers+float64(len(set)), right+c
			shares = append(shares, c/float64(len(set)))
		}
		folds = append(folds, computeMean(m.accuracies[i]))
	}
	n := float64(len(shares))
	switch {
	case n == 0:
		return [2]float64{0, 1}
	case answers == n && len(folds) == 1 || right == 0 || right == answers:
		return computeWilson(right/answers, n)
	}
	p := computeMean(shares)
	pictures := sumSquares(shares) / (n * max(n-1, 1))
	var v, between, freedom float64
	if k := float64(len(folds)); k > 1 {
		between, freedom = sumSquares(folds)/(k*(k-1)), k-1
		v = max(pictures, between)
	} else {
		trials := answers / n
		between, v, freedom = poolVariances(seeds, m.seeds)
		between, v = between/trials, pictures+v/trials
	}
	if v == 0 {
		return computeWilson(p, n)
	}
	t := studentQuantile(int(min(computeFreedom(v, pictures, n-1, between, freedom), normalFreedom)))
	return computeWilson(p, min(answers, p*(1-p)/v*(z95/t)*(z95/t)))
}
