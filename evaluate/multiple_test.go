package evaluate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// simulation draws the trials of settings of which the pictures' difficulties are known.
type simulation struct {
	random *rand.Rand
	// difficulty is the standard deviation of the pictures' log-odds of a right answer,
	// taste that of each picture's between settings, luck that of each trial's, and
	// classLuck that of each trial's in each of ten classes.
	difficulty, taste, luck, classLuck float64
}

// settings draws k settings with trials of n pictures in each of some folds. Their
// log-odds of a right answer are level, and of the first setting lead more.
func (s simulation) drawSettings(k, trials, folds, n int, level, lead float64) [][]Trial {
	easiness := make([]float64, n*folds)
	for j := range easiness {
		easiness[j] = level + s.difficulty*s.random.NormFloat64()
	}
	all := make([][]Trial, k)
	for i := range all {
		chance := make([]float64, len(easiness)) // of a right answer, without luck
		for j, e := range easiness {
			if s.taste > 0 {
				e += s.taste * s.random.NormFloat64()
			}
			if i == 0 {
				e += lead
			}
			chance[j] = logistic(e)
		}
		for fold := range folds {
			for range trials {
				luck := s.luck * s.random.NormFloat64()
				var odds [10]float64 // of luck, by class
				for c := range odds {
					odds[c] = math.Exp(luck + s.classLuck*s.random.NormFloat64())
				}
				t := Trial{Pictures: fmt.Sprint(fold), Right: make([]bool, n)}
				for j := range t.Right {
					o, p := odds[j%len(odds)], chance[fold*n+j]
					t.Right[j] = s.random.Float64() < p*o/(1-p+p*o)
				}
				all[i] = append(all[i], t)
			}
		}
	}
	return all
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// accuracy returns the accuracy that settings have over all pictures and seeds.
func (s simulation) accuracy(level float64) float64 {
	deviation := math.Sqrt(s.difficulty*s.difficulty + s.taste*s.taste + s.luck*s.luck + s.classLuck*s.classLuck)
	sum, weights := 0.0, 0.0
	for z := -6.0; z <= 6; z += 0.01 {
		w := math.Exp(-z * z / 2)
		sum, weights = sum+w*logistic(level+deviation*z), weights+w
	}
	return sum / weights
}

// level finds the log-odds that give an accuracy.
func (s simulation) level(accuracy float64) float64 {
	low, high := -20.0, 20.0
	for range 50 {
		if middle := (low + high) / 2; s.accuracy(middle) < accuracy {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// worlds are ways in which answers vary. The pictures of a set differ in difficulty, as
// real ones do, except in the first.
var worlds = []struct {
	name string
	simulation
}{
	{"pictures alike", simulation{}},
	{"difficult pictures", simulation{difficulty: 3}},
	{"lucky seeds", simulation{difficulty: 3, luck: 0.12, classLuck: 0.22}}, // one point of accuracy
	{"taste", simulation{difficulty: 3, taste: 1.5}},
}

// best returns the setting with the highest mean accuracy.
func best(settings [][]Trial) int {
	place, highest := 0, -1.0
	for i, trials := range settings {
		sum := 0.0
		for _, t := range trials {
			sum += t.accuracy()
		}
		if mean := sum / float64(len(trials)); mean > highest {
			place, highest = i, mean
		}
	}
	return place
}

// rounds is the number of simulated sweeps, fewer in short tests.
func rounds(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

// TestNothingIsFoundAmongEqualSettings checks that at most 6 % of 1000 sweeps of equally good
// settings find any that is worse than the best. Of 200 sweeps it may be 9 %, which is as many
// standard errors above the bound of 5 %.
func TestNothingIsFoundAmongEqualSettings(t *testing.T) {
	for _, w := range worlds {
		for _, c := range []struct{ k, trials, folds, n int }{
			{2, 1, 1, 340}, {5, 1, 1, 340}, {8, 1, 1, 340},
			{2, 2, 1, 340}, {2, 3, 1, 340}, {5, 3, 1, 340}, {8, 3, 1, 340},
			{2, 3, 1, 40}, {5, 1, 1, 40}, {2, 1, 5, 68}, {5, 1, 5, 68}, {2, 2, 3, 100},
		} {
			name := fmt.Sprintf("%s/%d settings, %d trials, %d folds of %d", w.name, c.k, c.trials, c.folds, c.n)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := w.simulation
				w.random = rand.New(rand.NewPCG(15, uint64(c.k*c.trials)))
				sweeps, allowed := rounds(1000), 0.06
				if w.difficulty == 0 || w.taste > 0 || c.n != 340 || c.trials == 2 {
					sweeps = rounds(200) // beside the point
				}
				if sweeps < 1000 {
					allowed = 0.09
				}
				level, wrong := w.level(0.85), 0
				for range sweeps {
					settings := w.drawSettings(c.k, c.trials, c.folds, c.n, level, 0)
					pairs := ComparePairs(settings)[best(settings)]
					if slices.ContainsFunc(pairs, func(p Pair) bool { return p.Adjusted <= 0.05 }) {
						wrong++
					}
				}
				share := float64(wrong) / float64(sweeps)
				t.Logf("%.1f %%", 100*share)
				if share > allowed {
					t.Errorf("%.1f %% of the sweeps find a difference, more than %.0f %%", 100*share, 100*allowed)
				}
			})
		}
	}
}

// TestBetterSettingsAreFound checks that the test, with its bounded error rate, still finds better
// settings.
func TestBetterSettingsAreFound(t *testing.T) {
	for _, c := range []struct {
		k, trials, folds, n int
		from, to            float64
		least               float64 // share of sweeps
	}{
		{2, 1, 1, 340, 0.75, 0.85, 0.9},
		{5, 1, 1, 340, 0.75, 0.85, 0.8},
		{8, 1, 1, 340, 0.75, 0.85, 0.7},
		{2, 1, 1, 1500, 0.80, 0.85, 0.9},
		{2, 3, 1, 340, 0.80, 0.85, 0.65},
		{5, 3, 1, 340, 0.75, 0.85, 0.95},
		{5, 3, 1, 1500, 0.80, 0.85, 0.95},
		{5, 1, 5, 300, 0.77, 0.85, 0.8},
	} {
		name := fmt.Sprintf("%.2f and %.2f, %d settings, %d trials, %d folds of %d",
			c.from, c.to, c.k, c.trials, c.folds, c.n)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulation{random: rand.New(rand.NewPCG(16, 1)), difficulty: 3}
			from := s.level(c.from)
			lead, found := s.level(c.to)-from, 0.0
			const sweeps = 200
			for range sweeps {
				pairs := ComparePairs(s.drawSettings(c.k, c.trials, c.folds, c.n, from, lead))
				for _, p := range pairs[0][1:] {
					if p.Adjusted <= 0.05 && p.Difference > 0 {
						found += 1 / float64(c.k-1)
					}
				}
			}
			t.Logf("%.0f %%", 100*found/sweeps)
			if found/sweeps < c.least {
				t.Errorf("%.0f %% of the differences are found, fewer than %.0f %%", 100*found/sweeps, 100*c.least)
			}
		})
	}
}

// TestMeanIntervalsHold checks that 95 % of the intervals contain the accuracy over all pictures and
// seeds, which intervals over pooled answers do not.
func TestMeanIntervalsHold(t *testing.T) {
	for _, w := range worlds {
		for _, c := range []struct{ trials, folds, n int }{
			{1, 1, 340}, {3, 1, 340}, {5, 1, 100}, {2, 1, 1500}, {1, 5, 68}, {2, 5, 68},
		} {
			t.Run(fmt.Sprintf("%s/%d trials, %d folds of %d", w.name, c.trials, c.folds, c.n), func(t *testing.T) {
				t.Parallel()
				const accuracy = 0.85
				held, pooled, width := w.countIntervals(accuracy, c.trials, c.folds, c.n)
				t.Logf("%.1f %%, pooled answers %.1f %%, width %.3f", 100*held, 100*pooled, width)
				if held < w.leastHeld(c.trials) {
					t.Errorf("%.1f %% of the intervals contain the accuracy", 100*held)
				}
				if single := 4 * math.Sqrt(accuracy*(1-accuracy)/float64(c.folds*c.n)); width > 1.7*single {
					t.Errorf("intervals are %.3f wide, those of independent pictures %.3f", width, single)
				}
				if w.difficulty > 0 && c.trials > 2 && pooled > 0.9 && !testing.Short() {
					t.Errorf("pooled answers: %.1f %%; the simulation has no dependence", 100*pooled)
				}
			})
		}
	}
}

// leastHeld returns the share of intervals that must contain the accuracy.
func (s simulation) leastHeld(trials int) float64 {
	least := 0.92
	switch {
	case s.luck > 0 && trials == 1: // one trial tells nothing about its luck
		least = 0.87
	case s.luck > 0 && trials == 2: // and two tell little
		least = 0.9
	}
	if testing.Short() {
		least -= 0.04
	}
	return least
}

// countIntervals returns the share of simulated intervals that contain the accuracy, the same for
// intervals over pooled answers, and the mean width of the former.
func (s simulation) countIntervals(accuracy float64, trials, folds, n int) (held, pooled, width float64) {
	s.random = rand.New(rand.NewPCG(17, 1))
	level := s.level(accuracy)
	count := float64(rounds(500))
	for range rounds(500) {
		settings := s.drawSettings(4, trials, folds, n, level, 0)
		right := 0
		for _, trial := range settings[0] {
			right += int(math.Round(trial.accuracy() * float64(n)))
		}
		interval, whole := MeanIntervals(settings)[0], Wilson(right, trials*folds*n)
		width += (interval[1] - interval[0]) / count
		if interval[0] <= accuracy && accuracy <= interval[1] {
			held += 1 / count
		}
		if whole[0] <= accuracy && accuracy <= whole[1] {
			pooled += 1 / count
		}
	}
	return held, pooled, width
}

// answers reads answers as a run's state has them: 1 is right.
func answers(set, text string) Trial {
	t := Trial{Pictures: set}
	for _, c := range text {
		t.Right = append(t.Right, c == '1')
	}
	return t
}

// TestComparePairs compares cases with results by hand.
func TestComparePairs(t *testing.T) {
	good, bad := strings.Repeat("1", 20), strings.Repeat("0", 20)
	for name, c := range map[string]struct {
		a, b       []Trial
		difference float64
		p          float64
	}{
		"the same run":      {[]Trial{answers("", "1100")}, []Trial{answers("", "1100")}, 0, 1},
		"no run":            {[]Trial{answers("", "1100")}, nil, 0, 1},
		"no common picture": {[]Trial{answers("a", "1100")}, []Trial{answers("b", "1111")}, 0, 1},
		"no pictures":       {[]Trial{{}}, []Trial{{}}, 0, 1},
		"a tie":             {[]Trial{answers("", "1100")}, []Trial{answers("", "0011")}, 0, 1},
		"McNemar's":         {[]Trial{answers("", "1111110")}, []Trial{answers("", "0000001")}, 5. / 7, McNemar(6, 1)},
		// All pictures differ in both trials: only the signs of all are as extreme.
		"signs": {
			[]Trial{answers("", "111111"), answers("", "111111")},
			[]Trial{answers("", "000000"), answers("", "000000")}, 1, 2. / 64,
		},
		// Of the second trial there is no partner.
		"one common trial": {[]Trial{answers("", good), answers("", bad)}, []Trial{answers("", good)}, 0, 1},
		"folds": {
			[]Trial{answers("a", "1111"), answers("b", "111")},
			[]Trial{answers("a", "0000"), answers("b", "000")}, 1, 2. / 128,
		},
	} {
		pairs := ComparePairs([][]Trial{c.a, c.b})
		p := pairs[0][1]
		if math.Abs(p.Difference-c.difference) > 1e-12 || math.Abs(p.PValue-c.p) > 1e-9 || p.Adjusted != p.PValue {
			t.Errorf("%s: %+v, want a difference of %v and p = %v", name, p, c.difference, c.p)
		}
		if q := pairs[1][0]; q.Difference != -p.Difference || q.PValue != p.PValue || pairs[0][0] != (Pair{0, 1, 1}) {
			t.Errorf("%s: %+v and %+v", name, q, pairs[0][0])
		}
	}
	if got := ComparePairs(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for pictures that differ in number")
		}
	}()
	ComparePairs([][]Trial{{answers("", "11")}, {answers("", "111")}})
}

// TestSeedsCount checks that more pictures with the same answers say less if seeds vary more than
// pictures explain, and that the variation of one pair counts for pairs that do not vary.
func TestSeedsCount(t *testing.T) {
	run := func(right int) Trial { // of 200 pictures
		return answers("", strings.Repeat("1", right)+strings.Repeat("0", 200-right))
	}
	steady := ComparePairs([][]Trial{{run(170), run(171), run(172)}, {run(150), run(151), run(152)}})[0][1]
	erratic := ComparePairs([][]Trial{{run(190), run(171), run(152)}, {run(170), run(151), run(132)}})[0][1]
	if steady.Difference != erratic.Difference || steady.PValue > 0.001 || erratic.PValue < 0.2 {
		t.Errorf("steady %+v, erratic %+v", steady, erratic)
	}
	beside := func(spread int) [][]Pair {
		return ComparePairs([][]Trial{
			{run(170 + spread), run(170), run(170 - spread)}, {run(150 + spread), run(150), run(150 - spread)},
			{run(104), run(100), run(96)}, {run(84), run(80), run(76)},
		})
	}
	if p := beside(19)[0][1]; p.PValue < 0.1 {
		t.Errorf("beside steady settings an erratic pair has %+v", p)
	}
	if alone, p := beside(4)[2][3], beside(9)[2][3]; p.PValue < 2*alone.PValue {
		t.Errorf("settings that vary more do not count for the others: %+v beside %+v", p, alone)
	}
	if alone, p := beside(4)[2][3], beside(30)[2][3]; p.PValue > 20*alone.PValue || p.PValue > 0.01 {
		t.Errorf("settings that vary far more count for the others: %+v beside %+v", p, alone)
	}
	// Of one trial each, what seeds may vary is assumed: half a point is never a finding,
	// however many pictures say so.
	many := func(right int) []Trial {
		return []Trial{answers("", strings.Repeat("1", right)+strings.Repeat("0", 20000-right))}
	}
	if p := ComparePairs([][]Trial{many(17000), many(16900)})[0][1]; p.PValue < 0.5 {
		t.Errorf("half a point between two trials: %+v", p)
	}
	if p := ComparePairs([][]Trial{many(17000), many(16000)})[0][1]; p.PValue > 0.001 {
		t.Errorf("five points between two trials: %+v", p)
	}
}

// TestFoldsCount compares five folds of 20 pictures with results by hand. A is right about all; B
// is wrong about a few more in each fold.
func TestFoldsCount(t *testing.T) {
	var a, b []Trial
	for fold, wrong := range []int{0, 1, 8, 2, 9} { // a variance of 0.0437 about 0.2
		name := fmt.Sprint(fold)
		a = append(a, answers(name, strings.Repeat("1", 20)))
		b = append(b, answers(name, strings.Repeat("1", 20-wrong)+strings.Repeat("0", wrong)))
	}
	// Each fold tests what the other four train: 1/5 + 1/4 in place of 1/5.
	statistic := 0.2 / math.Sqrt(0.04375*(1./5+1./4))
	if p := ComparePairs([][]Trial{a, b})[0][1]; math.Abs(p.PValue-studentTails(statistic, 4)) > 1e-9 {
		t.Errorf("p = %v, want %v", p.PValue, studentTails(statistic, 4))
	}
	// Of three settings the variance of the pair is the larger, with two differences' freedom.
	if p := ComparePairs([][]Trial{a, b, a})[0][1]; math.Abs(p.PValue-studentTails(statistic, 8)) > 1e-9 {
		t.Errorf("of three settings p = %v, want %v", p.PValue, studentTails(statistic, 8))
	}
}

func TestPool(t *testing.T) {
	steady, erratic := variance{squares: 2, freedom: 2, excess: -1}, variance{squares: 12, freedom: 2, excess: 10}
	wild := variance{squares: 200, freedom: 2, excess: 190}
	for name, c := range map[string]struct {
		seeds                    []variance
		own                      variance
		squares, excess, freedom float64
	}{
		"the mean of all":        {[]variance{steady, erratic}, steady, 3.5, 2.25, 4},
		"own is larger":          {[]variance{steady, erratic}, erratic, 6, 5, 4},
		"no excess":              {[]variance{steady, steady}, steady, 1, 0, 4},
		"far more than own":      {[]variance{steady, wild}, steady, 1, 0, 2},
		"less than ten times":    {[]variance{erratic, {110, 2, 100}}, erratic, 30.5, 27.5, 4},
		"nothing of its own":     {[]variance{steady, wild, {}}, variance{}, 50.5, 47.25, 4},
		"pictures explain more":  {[]variance{{0.1, 2, -4}, {12, 2, 10}}, variance{0.1, 2, -4}, 3.025, 1.5, 4},
		"nothing known of seeds": {[]variance{{}, {}}, variance{}, 0, 0, 0},
	} {
		squares, excess, freedom := poolVariances(c.seeds, c.own)
		if math.Abs(squares-c.squares)+math.Abs(excess-c.excess)+math.Abs(freedom-c.freedom) > 1e-12 {
			t.Errorf("%s: %v, %v, %v", name, squares, excess, freedom)
		}
	}
}

// TestHolm compares the procedure with the example of R's p.adjust, and checks its properties.
func TestHolm(t *testing.T) {
	got := Holm([]float64{0.01, 0.04, 0.03, 0.005})
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("%v", got)
			break
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Float64Range(0, 1)).Draw(t, "values")
		adjusted := Holm(values)
		for i := range values {
			bonferroni := min(1, values[i]*float64(len(values)))
			if adjusted[i] < values[i] || adjusted[i] > 1 ||
				values[i] == slices.Min(values) && adjusted[i] != bonferroni {
				t.Fatalf("%v becomes %v", values[i], adjusted[i])
			}
			for j := range values {
				if values[i] < values[j] && adjusted[i] > adjusted[j] {
					t.Fatalf("the order changes: %v, %v", values, adjusted)
				}
			}
		}
	})
}

// TestSignFlip compares the test with the enumeration of all signs, and checks the normal
// approximation where it takes over.
func TestSignFlip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		differences := rapid.SliceOfN(rapid.IntRange(-4, 4), 0, 10).Draw(t, "differences")
		counts, sum := make([]int, 9), 0
		for _, d := range differences {
			counts[d+4]++
			sum += d
		}
		extreme := 0
		for signs := range 1 << len(differences) {
			flipped := 0
			for i, d := range differences {
				if signs>>i&1 == 1 {
					d = -d
				}
				flipped += d
			}
			if max(flipped, -flipped) >= max(sum, -sum) {
				extreme++
			}
		}
		want := float64(extreme) / float64(int(1)<<len(differences))
		if got := SignFlip(counts); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v: %v, want %v", differences, got, want)
		}
	})
	for _, c := range [][]int{{100, 130, 0, 170, 100}, {30, 200, 0, 250, 20}, {10, 0, 0, 240, 0, 0, 40}} {
		sum, squares := 0.0, 0.0
		for i, count := range c {
			d := float64(i - len(c)/2)
			sum, squares = sum+d*float64(count), squares+d*d*float64(count)
		}
		normal := math.Erfc((math.Abs(sum) - 1) / math.Sqrt(2*squares))
		if exact := SignFlip(c); math.Abs(exact-normal) > 0.002 || exact == normal {
			t.Errorf("%v: %v, by the normal distribution %v", c, exact, normal)
		}
	}
	if p := SignFlip([]int{900, 900, 0, 800, 1200}); p > 0.001 {
		t.Errorf("of a large difference: %v", p)
	}
}

// TestStudent compares quantiles with printed tables (Abramowitz & Stegun 1964, table 26.10).
func TestStudent(t *testing.T) {
	for freedom, want := range map[int]float64{
		1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 15: 2.131, 30: 2.042, 120: 1.980,
		normalFreedom: 1.960,
	} {
		if got := studentQuantile(freedom); math.Abs(got-want) > 0.0006 {
			t.Errorf("%d degrees of freedom: %v, want %v", freedom, got, want)
		}
	}
	for _, c := range []struct {
		t       float64
		freedom int
		want    float64
	}{{0, 3, 1}, {1, 1, 0.5}, {2.921, 16, 0.01}, {4.604, 4, 0.01}, {636.62, 1, 0.001}} {
		if got := studentTails(c.t, c.freedom); math.Abs(got-c.want) > 2e-5 {
			t.Errorf("beyond %v with %d: %v, want %v", c.t, c.freedom, got, c.want)
		}
	}
}

// TestMeanIntervals checks that one trial has Wilson's interval, that trials which agree do not
// count as more pictures, and that intervals are within the range.
func TestMeanIntervals(t *testing.T) {
	one := answers("", strings.Repeat("1", 17)+"000")
	for name, c := range map[string]struct {
		trials []Trial
		want   [2]float64
	}{
		"nothing":          {nil, [2]float64{0, 1}},
		"one trial":        {[]Trial{one}, Wilson(17, 20)},
		"three, all right": {[]Trial{answers("", "1111"), answers("", "1111"), answers("", "1111")}, Wilson(4, 4)},
		"two, all wrong":   {[]Trial{answers("", "0000"), answers("", "0000")}, Wilson(0, 4)},
	} {
		if got := MeanIntervals([][]Trial{c.trials})[0]; math.Abs(got[0]-c.want[0])+math.Abs(got[1]-c.want[1]) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	same, single := MeanIntervals([][]Trial{{one, one, one}})[0], MeanIntervals([][]Trial{{one}})[0]
	if w, v := same[1]-same[0], single[1]-single[0]; w < 0.95*v || w > 1.3*v {
		t.Errorf("three trials with the same answers: %v, one: %v", same, single)
	}
	// By hand: 70 pictures are right in both trials, 20 in one, 10 in none.
	two := []Trial{
		answers("", strings.Repeat("1", 90)+strings.Repeat("0", 10)),
		answers("", strings.Repeat("1", 70)+strings.Repeat("0", 30)),
	}
	pictures := (70*0.2*0.2 + 20*0.3*0.3 + 10*0.8*0.8) / (100 * 99)
	excess := 0.02 - (20*0.5-100*0.02)/99/100 // s² − e²/n
	v, t1 := pictures+excess/2, 12.7062       // with one degree of freedom
	want := computeWilson(0.8, 0.8*0.2/v*(z95/t1)*(z95/t1))
	if got := MeanIntervals([][]Trial{two})[0]; math.Abs(got[0]-want[0])+math.Abs(got[1]-want[1]) > 1e-5 {
		t.Errorf("two trials: %v, want %v", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "pictures")
		var trials []Trial
		for range rapid.IntRange(1, 4).Draw(t, "trials") {
			trials = append(trials, Trial{
				Pictures: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "set"),
				Right:    rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "right"),
			})
		}
		if i := MeanIntervals([][]Trial{trials})[0]; !(0 <= i[0] && i[0] < i[1] && i[1] <= 1) {
			t.Fatalf("%v: %v", trials, i)
		}
		for _, p := range ComparePairs([][]Trial{trials, trials[:1]})[0] {
			if !(p.PValue >= 0 && p.PValue <= p.Adjusted && p.Adjusted <= 1) {
				t.Fatalf("%v: %+v", trials, p)
			}
		}
	})
}

func TestSatterthwaite(t *testing.T) {
	for _, c := range []struct{ v, pictures, ofPictures, seeds, ofSeeds, want float64 }{
		{1, 1e-9, 99, 1, 2, 2}, // rounding takes none away
		{0.9, 0.1, 99, 1, 4, 4},
		{2, 1, 8, 1, 8, 16},
		{1, 1, 50, 0.1, 2, 40},
		{1, 1, 0, 0, 0, 1},
	} {
		if got := computeFreedom(c.v, c.pictures, c.ofPictures, c.seeds, c.ofSeeds); math.Abs(got-c.want) > 1e-6 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
