package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// reference has the results of testdata/scipy.py.
type reference struct {
	ChiSquared []struct {
		A, B         []int
		Statistic, P float64
		Freedom      int
	} `json:"chi_squared"`
	KolmogorovSmirnov []struct {
		A, B                []float64
		Statistic, P, Exact float64
	} `json:"kolmogorov_smirnov"`
	MeanDiscrepancy []struct {
		A, B               [][]float32
		Squared, Bandwidth float64
	} `json:"mean_discrepancy"`
}

// near reports whether two numbers agree to a share of the larger one.
func near(a, b, share float64) bool { return math.Abs(a-b) <= share*max(math.Abs(a), math.Abs(b)) }

func TestAgreesWithSciPy(t *testing.T) {
	data, err := os.ReadFile("testdata/scipy.json")
	if err != nil {
		t.Fatal(err)
	}
	var want reference
	if err = json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.ChiSquared) == 0 || len(want.KolmogorovSmirnov) == 0 || len(want.MeanDiscrepancy) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range want.ChiSquared {
		statistic, freedom, p := ChiSquared(c.A, c.B)
		if !near(statistic, c.Statistic, 1e-12) || freedom != c.Freedom || !near(p, c.P, 1e-10) {
			t.Errorf("chi-squared %d: %v %v %v, want %v %v %v", i, statistic, freedom, p, c.Statistic, c.Freedom, c.P)
		}
	}
	for i, c := range want.KolmogorovSmirnov {
		statistic, p := KolmogorovSmirnov(c.A, c.B)
		if !near(statistic, c.Statistic, 1e-12) || !near(p, c.P, 1e-10) {
			t.Errorf("Kolmogorov-Smirnov %d: %v %v, want %v %v", i, statistic, p, c.Statistic, c.P)
		}
		// The p-value of large samples is above the exact one of these small samples.
		if p < c.Exact || p-c.Exact > 0.12 {
			t.Errorf("Kolmogorov-Smirnov %d: %v, exactly %v", i, p, c.Exact)
		}
	}
	for i, c := range want.MeanDiscrepancy {
		d, err := MeanDiscrepancy(context.Background(), c.A, c.B, 9, 1)
		// Distances and kernels are float32 here.
		if err != nil || math.Abs(d.Squared-c.Squared) > 1e-6 || !near(d.Bandwidth, c.Bandwidth, 1e-6) {
			t.Errorf("discrepancy %d: %+v %v, want %v %v", i, d, err, c.Squared, c.Bandwidth)
		}
	}
}

// drawVectors draws vectors whose values have the given mean.
func drawVectors(random *rand.Rand, count, length int, mean float64) [][]float32 {
	all := make([][]float32, count)
	for i := range all {
		for range length {
			all[i] = append(all[i], float32(random.NormFloat64()+mean))
		}
	}
	return all
}

// drawCounts draws classes with equal probabilities, except the first, which has extra weight.
func drawCounts(random *rand.Rand, count, classes int, extra float64) []int {
	counts := make([]int, classes)
	for range count {
		if v := random.Float64() * (float64(classes) + extra); v < float64(classes) {
			counts[int(v)]++
		} else {
			counts[0]++
		}
	}
	return counts
}

func drawValues(random *rand.Rand, count int, mean float64) []float64 {
	values := make([]float64, count)
	for i := range values {
		values[i] = random.NormFloat64() + mean
	}
	return values
}

// pValues draws pairs of samples that differ by shift, and returns the p-values of the tests.
func pValues(t *testing.T, trials int, shift float64) map[string][]float64 {
	t.Helper()
	random := rand.New(rand.NewPCG(7, math.Float64bits(shift)))
	all := map[string][]float64{}
	for i := range trials {
		_, _, p := ChiSquared(drawCounts(random, 300, 5, 0), drawCounts(random, 200, 5, 5*shift))
		all[classMethod] = append(all[classMethod], p)
		_, p = KolmogorovSmirnov(drawValues(random, 300, 0), drawValues(random, 200, shift))
		all[acceptanceMethod] = append(all[acceptanceMethod], p)
		a, b := drawVectors(random, 30, 10, 0), drawVectors(random, 25, 10, shift)
		d, err := MeanDiscrepancy(context.Background(), a, b, 99, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		all[vectorMethod] = append(all[vectorMethod], d.PValue)
	}
	return all
}

// TestPValuesAreUniformWithoutChange: the share of p-values up to α is about α. The Kolmogorov-Smirnov
// test may reject less often, see there.
func TestPValuesAreUniformWithoutChange(t *testing.T) {
	const trials = 1000
	for name, values := range pValues(t, trials, 0) {
		for _, alpha := range []float64{0.01, 0.05, 0.2, 0.5, 0.8} {
			count := 0
			for _, p := range values {
				if p <= alpha+1e-12 {
					count++
				}
			}
			share, slack := float64(count)/trials, 4*math.Sqrt(alpha*(1-alpha)/trials) // four standard deviations
			low := alpha - slack
			if name == acceptanceMethod {
				low -= 0.2 * alpha
			}
			if share > alpha+slack || share < low {
				t.Errorf("%s: %.3f of the p-values are at most %v", name, share, alpha)
			}
		}
	}
}

func TestPowerOnShiftedData(t *testing.T) {
	const trials = 100
	for name, values := range pValues(t, trials, 0.5) {
		found := 0
		for _, p := range values {
			if p <= 0.01 {
				found++
			}
		}
		if found < 90 {
			t.Errorf("%s found the shift in %d of %d trials", name, found, trials)
		}
	}
}

// fill adds answers to a sample: embeddings and acceptances are shifted, and class a is more frequent.
func fill(s *Sample, random *rand.Rand, count int, shift float64) {
	for i := range count {
		class := string(rune('a' + random.IntN(4)))
		if random.Float64() < shift/2 {
			class = "a"
		}
		acceptance := 1 / (1 + math.Exp(-random.NormFloat64()+shift))
		s.Add(class, &acceptance, Embedding{drawVectors(random, 1, 8, shift)[0], fmt.Sprint(i)})
	}
}

func TestCompare(t *testing.T) {
	c := Default()
	c.MaxEmbeddings = 100
	for _, shift := range []float64{0, 1} {
		var reports []*Report
		for range 2 { // the same each time
			random := rand.New(rand.NewPCG(3, 3))
			a, b := NewSample(c, 0), NewSample(c, 1)
			fill(a, random, 500, 0)
			fill(b, random, 400, shift)
			r, err := Compare(context.Background(), a, b, c)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, r)
		}
		r := reports[0]
		if !reflect.DeepEqual(r, reports[1]) {
			t.Errorf("%v: two reports of the same samples differ", shift)
		}
		if want := shift > 0; r.Drift != want || r.Classes.Drift != want || r.Acceptance.Drift != want ||
			r.Embeddings.Drift != want {
			t.Errorf("%v: %+v", shift, r)
		}
		if r.Reference != 500 || r.Answers != 400 || r.Embeddings.Counts != [2]int{100, 100} ||
			len(r.Embeddings.Unlike) != 100 || r.Acceptance.Counts != [2]int{500, 400} ||
			r.Classes.Counts != [2]int{500, 400} {
			t.Errorf("%v: %+v", shift, r)
		}
		for _, test := range []Test{r.Classes.Test, r.Acceptance, r.Embeddings.Test} {
			if test.Adjusted < test.PValue || test.Adjusted > min(1, 3*test.PValue+1e-12) {
				t.Errorf("%v: %+v", shift, test)
			}
		}
	}
}

func TestCompareSkipsWhatIsMissing(t *testing.T) {
	c := Default()
	random := rand.New(rand.NewPCG(3, 3))
	whole, classes, one := NewSample(c, 0), NewSample(c, 1), NewSample(c, 2)
	fill(whole, random, 100, 0)
	for range 50 {
		classes.Add(string(rune('a'+random.IntN(4))), nil, Embedding{})
		one.Add("a", nil, Embedding{})
	}
	r, err := Compare(context.Background(), whole, classes, c)
	if err != nil || !strings.Contains(r.Acceptance.Skipped, "stored without") ||
		!strings.Contains(r.Embeddings.Skipped, "stored without") || r.Classes.Skipped != "" ||
		r.Classes.Adjusted != r.Classes.PValue {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Compare(context.Background(), one, one, c)
	if err != nil || r.Drift || !strings.Contains(r.Classes.Skipped, "one class") ||
		!strings.Contains(r.Acceptance.Skipped, "gives no") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = Compare(context.Background(), whole, NewSample(c, 3), c); !errors.Is(err, ErrTooFew) {
		t.Errorf("no answers: %v", err)
	}
	other := NewSample(c, 4)
	for range 50 {
		other.Add("a", nil, Embedding{Vector: []float32{1}})
	}
	if _, err = Compare(context.Background(), whole, other, c); !errors.Is(err, errLengths) {
		t.Errorf("embeddings of another length: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = Compare(ended, whole, whole, c); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// TestSampleIsBoundedAndFair: a sample keeps as many values as it may, each as likely as any other.
func TestSampleIsBoundedAndFair(t *testing.T) {
	c := Default()
	c.MaxEmbeddings, c.MaxAcceptances = 20, 20
	const trials, count = 2000, 100
	kept := make([]int, count)
	for trial := range trials {
		s := NewSample(c, uint64(trial))
		for i := range count {
			a := float64(i)
			s.Add("a", &a, Embedding{[]float32{1}, fmt.Sprint(i)})
		}
		if len(s.Acceptances) != 20 || len(s.Embeddings) != 20 || s.Classes["a"] != count {
			t.Fatalf("%d acceptances, %d embeddings", len(s.Acceptances), len(s.Embeddings))
		}
		for _, a := range s.Acceptances {
			kept[int(a)]++
		}
	}
	// Expected 400 times each, with a standard deviation of 18.
	if low, high := slices.Min(kept), slices.Max(kept); low < 400-5*18 || high > 400+5*18 {
		t.Errorf("kept %d to %d times", low, high)
	}
}

func TestRareClassesArePooled(t *testing.T) {
	shares := []ClassShare{
		{Class: "a", Counts: [2]int{50, 50}}, {Class: "b", Counts: [2]int{2, 1}}, {Class: "c", Counts: [2]int{1, 0}},
		{Class: "d", Counts: [2]int{10, 12}}, {Class: "e", Counts: [2]int{30, 28}},
	}
	// b and c have an expected count of 2 together, so the next rarest class joins them.
	want := [2][]int{{30, 50, 13}, {28, 50, 13}}
	if got := poolRare(shares); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestExtremes(t *testing.T) {
	if _, _, p := ChiSquared([]int{0, 0}, []int{5, 5}); p != 1 {
		t.Error("an empty sample:", p)
	}
	if _, _, p := ChiSquared([]int{7, 0}, []int{5, 0}); p != 1 {
		t.Error("one class:", p)
	}
	if _, p := KolmogorovSmirnov(nil, []float64{1}); p != 1 {
		t.Error("an empty sample:", p)
	}
	if d, p := KolmogorovSmirnov([]float64{1, 1, 1}, []float64{1, 1}); d != 0 || p != 1 {
		t.Error("equal values:", d, p)
	}
	same := [][]float32{{1, 2}, {1, 2}, {1, 2}}
	d, err := MeanDiscrepancy(context.Background(), same, same, 99, 1)
	if err != nil || d.PValue != 1 || d.Squared != 0 {
		t.Error("equal vectors:", d, err)
	}
	half := [][]float32{{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 3}}
	if d, err = MeanDiscrepancy(context.Background(), half, half, 99, 1); err != nil || !(d.Bandwidth > 0) {
		t.Error("mostly equal vectors:", d, err)
	}
	for _, x := range []float64{0, 1e-300, 0.2, 0.99999999, 1, 1.00000001, 5, 100, math.Inf(1)} {
		if p := kolmogorov(x); !(p >= 0 && p <= 1) {
			t.Errorf("kolmogorov(%v) = %v", x, p)
		}
	}
	if below, above := kolmogorov(math.Nextafter(1, 0)), kolmogorov(1); !near(below, above, 1e-12) {
		t.Error("the two sums differ at 1:", below, above)
	}
}

// TestUnlikeComesFirst: the vectors that the first sample lacks are the most unlike it.
func TestUnlikeComesFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	a := drawVectors(random, 50, 10, 0)
	b := slices.Concat(drawVectors(random, 40, 10, 0), drawVectors(random, 10, 10, 2))
	d, err := MeanDiscrepancy(context.Background(), a, b, 99, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range d.Unlike[:10] {
		if i < 40 {
			t.Errorf("vector %d is among the most unlike: %v", i, d.Unlike[:10])
		}
	}
}

func TestInvalidSettings(t *testing.T) {
	for word, change := range map[string]func(*Config){
		"alpha":        func(c *Config) { c.Alpha = math.NaN() },
		"alpha is 1":   func(c *Config) { c.Alpha = 1 },
		"embeddings":   func(c *Config) { c.MaxEmbeddings = 1 << 30 },
		"acceptances":  func(c *Config) { c.MaxAcceptances = 0 },
		"at least 299": func(c *Config) { c.Permutations = 298 },
	} {
		c := Default()
		change(&c)
		if _, err := Compare(context.Background(), NewSample(c, 0), NewSample(c, 1), c); err == nil ||
			!strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkMeanDiscrepancy(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	x, y := drawVectors(random, 1000, 1280, 0), drawVectors(random, 1000, 1280, 0)
	for b.Loop() {
		if _, err := MeanDiscrepancy(context.Background(), x, y, 999, 1); err != nil {
			b.Fatal(err)
		}
	}
}
