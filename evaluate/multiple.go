package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Trial is one training run of some settings, measured on labelled pictures.
type Trial struct {
	// Pictures names the pictures, such as a fold of a cross-validation: trials with the
	// same name answered the same pictures in the same order. Two names share no picture.
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
	// Difference is the mean accuracy of A minus that of B, over the trials that both
	// have on the same pictures; 0 if there are none.
	Difference float64
	PValue     float64 // of this pair alone, two-sided
	Adjusted   float64 // PValue adjusted for the number of pairs, by Holm
}

// AssumedSeedDeviation is the standard deviation that ComparePairs assumes of a trial's
// accuracy from seed to seed, beyond what single pictures explain, where no settings
// have two trials on the same pictures to measure it: one point. It is a choice, on the
// safe side of garb's heads on frozen backbones: over 10 seeds, their accuracy on the 341
// validation pictures of the small clothing data set varied by 0.4 points without and 0.6
// points with an inner layer, of which pictures explain 0.7 and 0.9: all of it.
const AssumedSeedDeviation = 0.01

// ComparePairs tests all pairs of settings, each given by its trials, for a difference
// in accuracy. Entry [a][b] of the result compares settings a and b; [a][a] is no
// difference with p = 1. If settings are equally good, the probability that any pair of
// them has Adjusted ≤ 0.05 is at most about 5 %. That holds for all pairs together, so
// also for those with the best setting, although the data chose it.
//
// The p-value of a pair is the larger of those of two tests:
//
//   - Of pictures: the exact sign-flip test (Fisher 1935) on d, the difference of each
//     picture between the two settings, summed over R trials. If the settings are equally
//     good, d and −d are equally likely. For one trial of each it is McNemar's exact test.
//   - Of pictures and seeds: Student's t test of Difference with the variance V = P + S,
//     where pictures and seeds are crossed random effects (Cameron, Gelbach & Miller
//     2011). P is the variance of Σd/(n·R) between the n pictures. S = 2·max(0, s²−e²/n)/R,
//     where s² is the variance of the accuracy between trials of the same settings, and
//     e²/n is what pictures explain of it if they are independent. s²−e²/n is a mean over
//     all settings but those that vary far more than the pair, or over the pair where that
//     is larger. The degrees of freedom are Satterthwaite's (1946).
//
// Seeds have to count because other seeds rank settings differently (Dietterich 1998,
// Bouthillier et al. 2021). Where all settings have one trial, S = 2·AssumedSeedDeviation².
// For trials on several sets of pictures, such as folds, the second test is Student's
// on the differences of the sets. Its variance is pooled over all pairs, or the pair's
// own where that is larger, and corrected for training pictures that folds share (Nadeau
// & Bengio 2003). The adjustment for the number of pairs is Holm's (1979).
//
// The trials' order pairs them: the first of A on some pictures with the first of B on
// the same, and so on. Trials that the other setting does not have are left out of the
// pair. Nothing assumes that paired trials share a seed.
//
// ComparePairs panics if trials on the same pictures differ in their number.
func ComparePairs(settings [][]Trial) [][]Pair {
	measured := make([]measurement, len(settings))
	seeds := make([]variance, len(settings))
	sizes := map[string]int{}
	for i, trials := range settings {
		measured[i] = measure(trials)
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
			p := pair(&measured[a], &measured[b])
			folds = folds.plus(p.folds)
			p.a, p.b = a, b
			all = append(all, p)
		}
	}
	chosen := 0 // settings with trials
	for _, m := range measured {
		if len(m.sets) > 0 {
			chosen++
		}
	}
	values := make([]float64, len(all))
	for i, p := range all {
		values[i] = p.pValue(seeds, folds, chosen)
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
	// excess is the part of squares that is not explained by pictures that are right or
	// wrong independently of each other; it may be negative.
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

// maxRatio is how many times the variance of settings to compare that of others may be to
// be pooled with it: settings that hardly learn can vary far more than the good ones.
const maxRatio = 10

// pool returns the variance of a trial's accuracy between seeds and its excess: means over
// all settings, or own where that is larger, and the degrees of freedom of the means.
// Settings that vary more than maxRatio times as much as own, and as pictures explain of
// own, are left out.
func pool(seeds []variance, own variance) (squares, excess, freedom float64) {
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

// measurement is what the trials of one setting came to.
type measurement struct {
	names      []string  // of the sets of pictures, in the order of their first trials
	sets       [][]Trial // the trials of each
	accuracies [][]float64
	// seeds is the variance of the accuracy between trials on the same pictures.
	seeds variance
}

func measure(trials []Trial) measurement {
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
		m.seeds = m.seeds.plus(betweenTrials(set, m.accuracies[i]))
	}
	return m
}

// betweenTrials returns the variance of the accuracies of trials on the same n pictures.
// With S trials of which c are right about a picture, the answers vary about the
// picture's and the trial's means by
//
//	e² = (Σ c·(S−c)/S − n·Σ(accuracy−mean)²) / ((S−1)·(n−1)),
//
// and independent pictures would let the accuracy of a trial vary by e²/n. The excess is
// what it varies beyond that: some seeds are luckier than others.
func betweenTrials(trials []Trial, accuracies []float64) variance {
	s, n := float64(len(trials)), float64(len(trials[0].Right))
	if s < 2 {
		return variance{}
	}
	v := variance{squares: squaresAbout(accuracies), freedom: s - 1}
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
	answers := max(0, within-n*v.squares) / (n - 1) // e²·(S−1)
	v.excess = v.squares - answers/n
	return v
}

// squaresAbout returns the sum of squared differences from the mean.
func squaresAbout(values []float64) float64 {
	mean, sum := meanOf(values), 0.0
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return sum
}

func meanOf(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(len(values), 1))
}

// pairing is what two settings have in common.
type pairing struct {
	a, b       int
	trials     int // of each setting on each set of pictures
	sets       int
	difference float64
	// counts[d+trials] is the number of pictures that A was right about d times more
	// often than B.
	counts       []int
	seeds, folds variance // of the pair alone
}

func pair(a, b *measurement) *pairing {
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
	p.difference = meanOf(differences)
	if p.sets > 1 {
		p.folds = variance{squares: squaresAbout(differences), freedom: float64(p.sets - 1)}
	}
	return p
}

// pValue returns the p-value of the pair, given the variances of all settings between seeds, and over so
// many settings between folds.
func (p *pairing) pValue(seeds []variance, folds variance, settings int) float64 {
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
		return max(value, studentP(p.difference, v, folds.freedom*2/float64(settings)))
	}
	pictures, n := p.betweenPictures()
	squares, excess, freedom := pool(seeds, p.seeds)
	if freedom == 0 {
		const s = 2 * AssumedSeedDeviation * AssumedSeedDeviation
		return max(value, studentP(p.difference, pictures+s, normalFreedom))
	}
	share := 2 / float64(p.trials) // a difference has the variance of two means of trials
	v := pictures + excess*share
	return max(value, studentP(p.difference, v, satterthwaite(v, pictures, n-1, squares*share, freedom)))
}

// satterthwaite returns the degrees of freedom of v, a sum of parts of the variances between
// pictures and between seeds with theirs (Satterthwaite 1946). It is no fewer than the fewer
// of the two, and at least 1.
func satterthwaite(v, pictures, ofPictures, seeds, ofSeeds float64) float64 {
	fewest := max(1, min(ofPictures, ofSeeds))
	return max(fewest, v*v/(pictures*pictures/max(ofPictures, 1)+seeds*seeds/max(ofSeeds, 1)))
}

// betweenPictures returns the variance of Difference as a mean over n pictures.
func (p *pairing) betweenPictures() (v, n float64) {
	for i, count := range p.counts {
		d := float64(i-p.trials)/float64(p.trials) - p.difference
		v += float64(count) * d * d
		n += float64(count)
	}
	return v / (n * max(n-1, 1)), n
}

// Holm returns the p-values of several tests, adjusted such that the probability of any
// adjusted value ≤ α among true null hypotheses is at most α, however the tests depend on
// each other (Holm 1979): the k-th smallest of m is multiplied by m−k+1, and is at least
// the one before it and at most 1.
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

// maxExactFlips is the number of pictures with a difference up to which SignFlip is
// exact. Beyond, the normal distribution is as good: its third decimal is right.
const maxExactFlips = 500

// SignFlip returns the two-sided p-value of the exact sign-flip test (Fisher 1935) for
// differences that are whole numbers from −r to r: counts[i] of the 2r+1 counts is the
// number of differences of i−r. It is the probability that Σ ±|d|, with signs that are
// tosses of a coin, is at least as far from 0 as Σ d. With r = 1 it is McNemar's test.
// With more than 500 differences other than 0 it takes the normal distribution with a
// correction for continuity.
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
	// reached[x] is the probability that the differences so far were flipped to a sum of
	// x − (−x₀), where −x₀ is the smallest: each adds 0 or 2|d| to that.
	reached := make([]float64, 1, largest+1)
	reached[0] = 1
	for d := r; d >= 1; d-- {
		if n := counts[r+d] + counts[r-d]; n > 0 {
			reached = withFlips(reached, n, d)
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

// withFlips adds n fair coins of value d to the distribution of a sum.
func withFlips(reached []float64, n, d int) []float64 {
	next := make([]float64, len(reached)+n*d)
	probability := math.Exp2(-float64(n))
	for k := 0; k <= n; k++ {
		for x, p := range reached {
			next[x+k*d] += p * probability
		}
		probability *= float64(n-k) / float64(k+1)
	}
	return next
}

// studentP returns the two-sided p-value of a difference whose variance was estimated
// with so many degrees of freedom, by Student's t distribution.
func studentP(difference, variance, freedom float64) float64 {
	if difference == 0 {
		return 1
	}
	if !(variance > 0) {
		return 0 // the sign-flip test says what a constant difference means
	}
	return studentTails(math.Abs(difference)/math.Sqrt(variance), int(min(max(freedom, 1), normalFreedom)))
}

// normalFreedom is where Student's distribution is taken for the normal one.
const normalFreedom = 1000

// studentTails returns the probability that |t| or more is found, with a whole number of
// degrees of freedom (Abramowitz & Stegun 1964, 26.7.3 and 26.7.4).
func studentTails(t float64, freedom int) float64 {
	if freedom >= normalFreedom {
		return math.Erfc(t / math.Sqrt2)
	}
	theta := math.Atan(t / math.Sqrt(float64(freedom)))
	sin, cos := math.Sincos(theta)
	sum, term := 0.0, 1.0
	if freedom%2 == 0 {
		for i := 0; i <= freedom-2; i += 2 {
			sum += term
			term *= cos * cos * float64(i+1) / float64(i+2)
		}
		return max(0, 1-sin*sum)
	}
	term = cos
	for i := 1; i <= freedom-2; i += 2 {
		sum += term
		term *= cos * cos * float64(i+1) / float64(i+2)
	}
	return max(0, 1-2/math.Pi*(theta+sin*sum))
}

// studentQuantile returns the t beyond which 5 % lie on both sides.
func studentQuantile(freedom int) float64 {
	low, high := 1.0, 13.0 // 12.7 for one degree of freedom
	for range 60 {
		middle := (low + high) / 2
		if studentTails(middle, freedom) > 0.05 {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// MeanIntervals returns, for each of several settings given by their trials, the 95 %
// interval of the accuracy that the settings have on average, over pictures such as these
// and over seeds. For one trial it is Wilson's.
//
// Answers to the same picture by several trials are not independent, and neither are a
// trial's answers. So the interval is Wilson's for the share p of right answers and an
// effective number of pictures (Korn & Graubard 1998),
//
//	n* = p(1−p)/V · (z/t)²,   V = P + max(0, s²−e²/n)/R.
//
// P = Σ(x−p)²/(n(n−1)) is the variance between the n pictures, where x is the share of the
// R trials that are right about a picture. s² and e²/n are the variance of the accuracy
// between trials and the part of it that independent pictures explain, pooled over the
// settings as in ComparePairs, or the setting's own where that is larger. t is the 97.5 %
// quantile of Student's distribution with Satterthwaite's degrees of freedom, z that of the
// normal one. For trials on several sets of pictures, such as folds, V is the variance
// between the means of the sets, or P where that is larger. n* is at most the number of
// answers, and it is n where all are right or all wrong. Without trials it is from 0 to 1.
func MeanIntervals(settings [][]Trial) [][2]float64 {
	measured, seeds := make([]measurement, len(settings)), make([]variance, len(settings))
	for i, trials := range settings {
		measured[i] = measure(trials)
		seeds[i] = measured[i].seeds
	}
	intervals := make([][2]float64, len(settings))
	for i := range measured {
		intervals[i] = measured[i].interval(seeds)
	}
	return intervals
}

// interval returns the interval of the mean, given the variances of all settings between seeds.
func (m *measurement) interval(seeds []variance) [2]float64 {
	var shares []float64 // of the trials that are right, by picture
	var folds []float64  // mean accuracies
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
		folds = append(folds, meanOf(m.accuracies[i]))
	}
	n := float64(len(shares))
	switch {
	case n == 0:
		return [2]float64{0, 1}
	case answers == n && len(folds) == 1 || right == 0 || right == answers:
		return wilson(right/answers, n)
	}
	p := meanOf(shares)
	pictures := squaresAbout(shares) / (n * max(n-1, 1))
	var v, between, freedom float64
	if k := float64(len(folds)); k > 1 {
		between, freedom = squaresAbout(folds)/(k*(k-1)), k-1
		v = max(pictures, between)
	} else {
		trials := answers / n
		between, v, freedom = pool(seeds, m.seeds)
		between, v = between/trials, pictures+v/trials
	}
	if v == 0 {
		return wilson(p, n)
	}
	t := studentQuantile(int(min(satterthwaite(v, pictures, n-1, between, freedom), normalFreedom)))
	return wilson(p, min(answers, p*(1-p)/v*(z95/t)*(z95/t)))
}
