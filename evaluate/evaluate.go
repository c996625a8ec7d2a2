// Package evaluate measures a classifier on labelled pictures.
package evaluate

import (
	"context"
	"fmt"
	"math"
	"slices"

	"garb"
	"garb/dataset"
	"garb/picture"
)

// Classifier is what is measured.
type Classifier interface {
	// Classes returns the classes that it knows.
	Classes() []string
	// Classify returns its predictions for an encoded picture, the best first.
	Classify(ctx context.Context, data []byte) ([]garb.Prediction, error)
}

// Report is how a classifier did.
type Report struct {
	Accuracy float64    `json:"accuracy"` // share of pictures whose first class is right
	Count    int        `json:"count"`    // pictures that were answered
	Interval [2]float64 `json:"interval"` // of the accuracy: Wilson, 95 %
	LogLoss  float64    `json:"log_loss"` // mean of −ln(probability of the right class)
	Classes  []string   `json:"classes"`
	PerClass []Class    `json:"per_class"`
	// Confusion[i][j] counts the pictures of class i that were taken for class j.
	Confusion [][]int   `json:"confusion"`
	Skipped   []Skipped `json:"skipped"`
}

// Class is how a classifier did on one class.
type Class struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"` // right ÷ all taken for the class; 0 if there are none
	Recall    float64 `json:"recall"`    // right ÷ all of the class
	F1        float64 `json:"f1"`        // harmonic mean of the two
	Count     int     `json:"count"`     // pictures of the class
}

// Skipped is a picture that could not be read.
type Skipped struct {
	Picture string `json:"picture"`
	Message string `json:"message"`
}

// z95 is the 97.5 % quantile of the normal distribution.
const z95 = 1.959963984540054

// Wilson returns the 95 % interval of a share of right out of count (Wilson
// 1927): it stays within 0 and 1 and holds for small counts.
func Wilson(right, count int) [2]float64 {
	if count == 0 {
		return [2]float64{0, 1}
	}
	n, p := float64(count), float64(right)/float64(count)
	centre := p + z95*z95/(2*n)
	spread := z95 * math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n))
	scale := 1 + z95*z95/n
	return [2]float64{max(0, (centre-spread)/scale), min(1, (centre+spread)/scale)}
}

// answer is what came of one sample.
type answer struct {
	class       string
	probability float64 // of the right class
	err         error
}

// Run classifies a set's pictures, on all cores, and reports. Pictures that cannot
// be read are skipped and named; progress, if not nil, is called with the number
// of pictures done, from several goroutines. Classes that the classifier does not
// know are an error.
func Run(ctx context.Context, c Classifier, set *dataset.Set, l picture.Limits, progress func(done int)) (*Report, error) {
	known := c.Classes()
	for _, class := range set.Classes {
		if !slices.Contains(known, class) {
			return nil, fmt.Errorf("the data set has the class %q, which the model does not know; it knows %d: %s …", class, len(known), known[0])
		}
	}
	answers := make([]answer, len(set.Samples))
	err := set.Each(ctx, func(i int) {
		answers[i] = ask(ctx, c, set, set.Samples[i], l)
		if progress != nil {
			progress(1)
		}
	})
	if err != nil {
		return nil, err
	}
	return report(known, set, answers), nil
}

func ask(ctx context.Context, c Classifier, set *dataset.Set, s dataset.Sample, l picture.Limits) answer {
	data, err := s.Read(l)
	if err != nil {
		return answer{err: err}
	}
	predictions, err := c.Classify(ctx, data)
	if err != nil {
		return answer{err: fmt.Errorf("%s: %w", s.Path, err)}
	}
	a := answer{class: predictions[0].Class}
	for _, p := range predictions {
		if p.Class == set.Classes[s.Label] {
			a.probability = p.Probability
		}
	}
	return a
}

// report sums answers up. Its classes are those of the classifier that the set
// has, and those that pictures were taken for.
func report(known []string, set *dataset.Set, answers []answer) *Report {
	taken := map[string]bool{}
	for _, class := range set.Classes {
		taken[class] = true
	}
	for _, a := range answers {
		if a.err == nil {
			taken[a.class] = true
		}
	}
	r := &Report{Skipped: []Skipped{}}
	place := map[string]int{}
	for _, class := range known {
		if taken[class] {
			place[class] = len(r.Classes)
			r.Classes = append(r.Classes, class)
		}
	}
	for range r.Classes {
		r.Confusion = append(r.Confusion, make([]int, len(r.Classes)))
	}
	right := 0
	for i, a := range answers {
		if a.err != nil {
			r.Skipped = append(r.Skipped, Skipped{set.Samples[i].Path, a.err.Error()})
			continue
		}
		class := set.Classes[set.Samples[i].Label]
		r.Confusion[place[class]][place[a.class]]++
		r.Count++
		if class == a.class {
			right++
		}
		r.LogLoss -= math.Log(max(a.probability, 1e-15))
	}
	if r.Count > 0 {
		r.Accuracy = float64(right) / float64(r.Count)
		r.LogLoss /= float64(r.Count)
	}
	r.Interval = Wilson(right, r.Count)
	for i, class := range r.Classes {
		c := Class{Class: class}
		takenFor := 0
		for j := range r.Classes {
			c.Count += r.Confusion[i][j]
			takenFor += r.Confusion[j][i]
		}
		hits := float64(r.Confusion[i][i])
		c.Precision, c.Recall = ratio(hits, takenFor), ratio(hits, c.Count)
		if c.Precision+c.Recall > 0 {
			c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
		}
		r.PerClass = append(r.PerClass, c)
	}
	return r
}

func ratio(a float64, b int) float64 {
	if b == 0 {
		return 0
	}
	return a / float64(b)
}
