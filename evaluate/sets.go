package evaluate

import (
	"math"
	"slices"

	"garb/conformal"
	"garb/model"
)

// Sets has the results of a rule's prediction sets; see package conformal.
type Sets struct {
	Rule conformal.Rule `json:"rule"`
	// FittedOn names the pictures on which the rule was fitted. LeftOut is the number of the
	// report's pictures that are among them and so not measured.
	FittedOn string `json:"fitted_on"`
	LeftOut  int    `json:"left_out"`
	SetFigures
	// Sizes[n] is the number of pictures whose set has n classes; Sizes[0] is 0.
	Sizes    []int       `json:"sizes"`
	PerClass []ClassSets `json:"per_class"` // of classes with pictures, in Report.Classes' order
}

// SetFigures are the figures of the sets of some pictures.
type SetFigures struct {
	Count    int        `json:"count"`    // pictures
	Coverage float64    `json:"coverage"` // share of pictures whose class is in the set
	Interval [2]float64 `json:"interval"` // Wilson's 95 % interval of the coverage
	MeanSize float64    `json:"mean_size"`
	// SizeInterval is the 95 % interval of the mean size by the normal approximation, at least 1.
	SizeInterval [2]float64 `json:"mean_size_interval"`
}

// ClassSets has the figures of one class. A rule guarantees its coverage over all pictures, not for
// each class.
type ClassSets struct {
	Class string `json:"class"`
	SetFigures
}

// MeasureSets measures the sets that a model's rule makes of a report's answers, except for the
// pictures on which the rule was fitted. fittedOn describes these.
func MeasureSets(r *Report, c *model.Coverage, fittedOn string) *Sets {
	s := &Sets{Rule: c.Rule, FittedOn: fittedOn}
	all := &setCounts{}
	byClass := map[string]*setCounts{}
	for _, a := range r.Answers {
		if c.WasFittedOn(a.digest) {
			s.LeftOut++
			continue
		}
		set := model.SelectClasses(c.Rule, a.Predictions)
		for len(s.Sizes) <= len(set) {
			s.Sizes = append(s.Sizes, 0)
		}
		s.Sizes[len(set)]++
		if byClass[a.Class] == nil {
			byClass[a.Class] = &setCounts{}
		}
		for _, c := range []*setCounts{all, byClass[a.Class]} {
			c.add(len(set), slices.Contains(set, a.Class))
		}
	}
	s.SetFigures = all.summarize()
	for _, class := range r.Classes {
		if c := byClass[class]; c != nil {
			s.PerClass = append(s.PerClass, ClassSets{class, c.summarize()})
		}
	}
	return s
}

// setCounts counts sets.
type setCounts struct{ count, covered, sizes, squares int }

func (c *setCounts) add(size int, covered bool) {
	c.count++
	c.sizes += size
	c.squares += size * size
	if covered {
		c.covered++
	}
}

func (c *setCounts) summarize() SetFigures {
	n := float64(c.count)
	f := SetFigures{Count: c.count, Coverage: ratio(float64(c.covered), c.count), Interval: Wilson(c.covered, c.count)}
	if c.count == 0 {
		return f
	}
	f.MeanSize = float64(c.sizes) / n
	variance := 0.0 // of the size, estimated with n−1
	if c.count > 1 {
		variance = max(0, float64(c.squares)-float64(n*f.MeanSize*f.MeanSize)) / (n - 1)
	}
	spread := float64(z95 * math.Sqrt(variance/n))
	f.SizeInterval = [2]float64{max(1, f.MeanSize-spread), f.MeanSize + spread}
	return f
}

// FitSets fits a rule for prediction sets to the answers of one report, to be measured on those of
// another. It leaves out pictures whose bytes both have, so that no measured picture influences the
// rule. Its errors are conformal.Fit's.
func FitSets(fit, measured *Report, coverage float64) (*model.Coverage, error) {
	known := map[string]bool{}
	for _, a := range measured.Answers {
		known[a.digest] = true
	}
	var probabilities [][]float64
	var labels []int
	var digests []string
	for _, a := range fit.Answers {
		if known[a.digest] {
			continue
		}
		row, label := make([]float64, len(a.Predictions)), 0
		for i, p := range a.Predictions {
			row[i] = p.Probability
			if p.Class == a.Class {
				label = i
			}
		}
		probabilities, labels, digests = append(probabilities, row), append(labels, label), append(digests, a.digest)
	}
	rule, err := conformal.Fit(probabilities, labels, coverage)
	if err != nil {
		return nil, err
	}
	return model.NewCoverage(rule, digests)
}
