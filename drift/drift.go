// Package drift tests whether the pictures that a model answers today are still like those of a
// reference: by the shares of the classes, by the acceptance and by the embeddings.
package drift

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"garb/evaluate"
)

// Config says how samples are taken and compared.
type Config struct {
	// Alpha is the probability of reporting drift although there is none.
	Alpha float64 `json:"alpha"`
	// MaxEmbeddings is the number of embeddings of each sample that are compared. Time and memory
	// grow with its square.
	MaxEmbeddings int `json:"max_embeddings"`
	// MaxAcceptances is the number of acceptances of each sample that are compared.
	MaxAcceptances int `json:"max_acceptances"`
	// Permutations is the number of permutations of the test of the embeddings. Its smallest
	// p-value is 1/(Permutations+1).
	Permutations int `json:"permutations"`
	// Seed makes all random choices the same each time.
	Seed uint64 `json:"seed"`
}

// Default returns the usual settings.
func Default() Config {
	return Config{Alpha: 0.01, MaxEmbeddings: 1000, MaxAcceptances: 100_000, Permutations: 999, Seed: 1}
}

// testCount is the number of tests of a Report.
const testCount = 3

// Validate reports the first invalid setting.
func (c Config) Validate() error {
	switch {
	case !(c.Alpha > 0 && c.Alpha < 1):
		return fmt.Errorf("alpha is %v; it must be above 0 and below 1", c.Alpha)
	case c.MaxEmbeddings < MinCount || c.MaxEmbeddings > 20_000:
		return fmt.Errorf("the number of embeddings to compare is %d; it must be from %d to 20000", c.MaxEmbeddings,
			MinCount)
	case c.MaxAcceptances < MinCount:
		return fmt.Errorf("the number of acceptances to compare is %d; it must be at least %d", c.MaxAcceptances,
			MinCount)
	case c.Permutations < 1 || float64(c.Permutations+1)*c.Alpha < testCount:
		return fmt.Errorf("%d permutations are too few for alpha %v; at least %.0f are needed", c.Permutations, c.Alpha,
			math.Ceil(testCount/c.Alpha)-1)
	}
	return nil
}

// MinCount is the number of answers that a sample needs to be compared.
const MinCount = 20

// ErrTooFew says that a sample has fewer than MinCount answers.
var ErrTooFew = fmt.Errorf("too few answers to compare; at least %d are needed", MinCount)

// Sample collects answers in bounded memory. It counts all classes, and keeps a random choice of the
// acceptances and the embeddings.
type Sample struct {
	Count       int // of answers
	Classes     map[string]int
	Acceptances []float64
	Embeddings  []Embedding

	config                  Config
	random                  *rand.Rand
	acceptances, embeddings int // all that were added
}

// Embedding is the feature vector of a picture.
type Embedding struct {
	Vector  []float32
	Picture string // says which one, to the caller
}

// NewSample returns an empty sample. Each sample of a comparison needs its own number.
func NewSample(c Config, number uint64) *Sample {
	return &Sample{Classes: map[string]int{}, config: c, random: rand.New(rand.NewPCG(c.Seed, number))}
}

// Add adds an answer. acceptance may be nil, and the embedding's vector, too.
func (s *Sample) Add(class string, acceptance *float64, e Embedding) {
	s.Count++
	s.Classes[class]++
	if acceptance != nil {
		s.acceptances++
		s.Acceptances = keepSome(s.random, s.Acceptances, *acceptance, s.acceptances, s.config.MaxAcceptances)
	}
	if len(e.Vector) > 0 {
		s.embeddings++
		s.Embeddings = keepSome(s.random, s.Embeddings, e, s.embeddings, s.config.MaxEmbeddings)
	}
}

// keepSome adds a value, the count-th, to a random choice of at most limit values: Vitter's algorithm
// R (1985).
func keepSome[T any](random *rand.Rand, kept []T, value T, count, limit int) []T {
	if len(kept) < limit {
		return append(kept, value)
	}
	if i := random.IntN(count); i < limit {
		kept[i] = value
	}
	return kept
}

// Report is the result of Compare.
type Report struct {
	Config
	Reference int  `json:"reference"` // answers
	Answers   int  `json:"answers"`
	Drift     bool `json:"drift"` // at least one test found a difference

	Classes    ClassTest  `json:"classes"`
	Acceptance Test       `json:"acceptance"`
	Embeddings VectorTest `json:"embeddings"`
}

// Test is a test of the hypothesis that both samples are from the same distribution.
type Test struct {
	Method string `json:"method"`
	// Skipped says why the test was not made; then the other fields are zero.
	Skipped string `json:"skipped,omitempty"`
	// Counts are the numbers of values compared, of the reference and the answers.
	Counts    [2]int  `json:"counts"`
	Statistic float64 `json:"statistic"`
	// Effect says how large the difference is, whatever the number of answers: see the tests.
	Effect float64 `json:"effect"`
	PValue float64 `json:"p_value"`
	// Adjusted is the p-value after Holm's adjustment for the number of tests.
	Adjusted float64 `json:"adjusted"`
	Drift    bool    `json:"drift"` // Adjusted is at most alpha
}

// ClassTest compares the shares of the classes by Pearson's chi-squared test. The effect is Cramér's V:
// 0 for equal shares, 1 if the samples have no class in common.
type ClassTest struct {
	Test
	Freedom int          `json:"freedom"`
	Shares  []ClassShare `json:"shares"` // the class with the largest change first
}

// ClassShare has the counts and shares of a class in the reference and in the answers.
type ClassShare struct {
	Class  string     `json:"class"`
	Counts [2]int     `json:"counts"`
	Shares [2]float64 `json:"shares"`
}

// Change returns by how much the share has grown.
func (s ClassShare) Change() float64 { return s.Shares[1] - s.Shares[0] }

// VectorTest compares embeddings by their maximum mean discrepancy. The effect is the discrepancy,
// the square root of the statistic, or 0 if that is negative.
type VectorTest struct {
	Test
	Bandwidth float64 `json:"bandwidth"` // of the kernel
	// Unlike has the pictures of the answers that were compared, the one most unlike the reference
	// first.
	Unlike []string `json:"-"`
}

// The names of the tests' methods.
const (
	classMethod      = "chi-squared test"
	acceptanceMethod = "Kolmogorov-Smirnov test"
	vectorMethod     = "maximum mean discrepancy"
)

// Compare tests whether answers are from the same distribution as those of the reference: the shares of
// the classes, the acceptances and the embeddings. The p-values are adjusted for the number of tests
// by Holm's method, so all together report drift where there is none with a probability of at most
// alpha. Errors are ErrTooFew, those of Config.Validate, or ctx's.
func Compare(ctx context.Context, reference, answers *Sample, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if min(reference.Count, answers.Count) < MinCount {
		return nil, ErrTooFew
	}
	r := &Report{Config: c, Reference: reference.Count, Answers: answers.Count,
		Classes:    compareClasses(reference.Classes, answers.Classes),
		Acceptance: compareAcceptances(reference.Acceptances, answers.Acceptances)}
	var err error
	if r.Embeddings, err = compareEmbeddings(ctx, reference.Embeddings, answers.Embeddings, c); err != nil {
		return nil, err
	}
	var made []*Test
	var values []float64
	for _, t := range []*Test{&r.Classes.Test, &r.Acceptance, &r.Embeddings.Test} {
		if t.Skipped == "" {
			made, values = append(made, t), append(values, t.PValue)
		}
	}
	for i, adjusted := range evaluate.Holm(values) {
		made[i].Adjusted, made[i].Drift = adjusted, adjusted <= c.Alpha
		r.Drift = r.Drift || made[i].Drift
	}
	return r, nil
}

// compareClasses tests the shares of the classes.
func compareClasses(reference, answers map[string]int) ClassTest {
	t := ClassTest{Test: Test{Method: classMethod}}
	for class := range reference {
		t.Shares = append(t.Shares, ClassShare{Class: class, Counts: [2]int{reference[class], answers[class]}})
	}
	for class, n := range answers {
		if _, ok := reference[class]; !ok {
			t.Shares = append(t.Shares, ClassShare{Class: class, Counts: [2]int{0, n}})
		}
	}
	for _, s := range t.Shares {
		t.Counts[0] += s.Counts[0]
		t.Counts[1] += s.Counts[1]
	}
	for i := range t.Shares {
		s := &t.Shares[i]
		for side, n := range s.Counts {
			s.Shares[side] = float64(n) / float64(t.Counts[side])
		}
	}
	slices.SortFunc(t.Shares, func(a, b ClassShare) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Change()), math.Abs(a.Change())), strings.Compare(a.Class, b.Class))
	})
	counts := poolRare(t.Shares)
	if len(counts[0]) < 2 {
		t.Skipped = "nearly all answers are of one class"
		return t
	}
	t.Statistic, t.Freedom, t.PValue = ChiSquared(counts[0], counts[1])
	t.Effect = math.Sqrt(t.Statistic / float64(t.Counts[0]+t.Counts[1]))
	return t
}

// minExpected is the expected count from which the chi-squared distribution is a good approximation
// (Cochran 1954).
const minExpected = 5

// poolRare returns the counts of the classes for the test. Classes with too small an expected count
// are taken together, if need be with the rarest of the others.
func poolRare(shares []ClassShare) [2][]int {
	totals := [2]int{}
	for _, s := range shares {
		totals[0] += s.Counts[0]
		totals[1] += s.Counts[1]
	}
	smaller := float64(min(totals[0], totals[1])) / float64(totals[0]+totals[1])
	expected := func(s ClassShare) float64 { return smaller * float64(s.Counts[0]+s.Counts[1]) }
	rarestFirst := slices.Clone(shares)
	slices.SortStableFunc(rarestFirst, func(a, b ClassShare) int { return cmp.Compare(expected(a), expected(b)) })
	var counts [2][]int
	var pool ClassShare
	for _, s := range rarestFirst {
		if expected(s) < minExpected || expected(pool) > 0 && expected(pool) < minExpected {
			pool.Counts[0] += s.Counts[0]
			pool.Counts[1] += s.Counts[1]
			continue
		}
		counts[0], counts[1] = append(counts[0], s.Counts[0]), append(counts[1], s.Counts[1])
	}
	if expected(pool) > 0 {
		counts[0], counts[1] = append(counts[0], pool.Counts[0]), append(counts[1], pool.Counts[1])
	}
	return counts
}

// compareAcceptances tests the acceptances. The effect is the statistic.
func compareAcceptances(reference, answers []float64) Test {
	t := Test{Method: acceptanceMethod, Skipped: explainMissing("acceptances", len(reference), len(answers))}
	if t.Skipped == "" {
		t.Counts = [2]int{len(reference), len(answers)}
		t.Statistic, t.PValue = KolmogorovSmirnov(reference, answers)
		t.Effect = t.Statistic
	}
	return t
}

// explainMissing says why values cannot be compared, "" if they can.
func explainMissing(name string, reference, answers int) string {
	switch {
	case reference == 0:
		return "the model gives no " + name
	case answers == 0:
		return "the answers were stored without " + name
	case min(reference, answers) < MinCount:
		return fmt.Sprintf("too few %s: %d and %d", name, reference, answers)
	}
	return ""
}

// errLengths says that embeddings are not of one model.
var errLengths = errors.New("the embeddings have different lengths")

// compareEmbeddings tests the embeddings.
func compareEmbeddings(ctx context.Context, reference, answers []Embedding, c Config) (VectorTest, error) {
	t := VectorTest{Test: Test{Method: vectorMethod,
		Skipped: explainMissing("embeddings", len(reference), len(answers))}}
	if t.Skipped != "" {
		return t, nil
	}
	vectors := [2][][]float32{}
	for side, all := range [2][]Embedding{reference, answers} {
		t.Counts[side] = len(all)
		for _, e := range all {
			if len(e.Vector) != len(reference[0].Vector) {
				return t, errLengths
			}
			vectors[side] = append(vectors[side], e.Vector)
		}
	}
	d, err := MeanDiscrepancy(ctx, vectors[0], vectors[1], c.Permutations, c.Seed)
	if err != nil {
		return t, err
	}
	t.Statistic, t.PValue, t.Bandwidth = d.Squared, d.PValue, d.Bandwidth
	t.Effect = math.Sqrt(max(0, d.Squared))
	for _, i := range d.Unlike {
		t.Unlike = append(t.Unlike, answers[i].Picture)
	}
	return t, nil
}
