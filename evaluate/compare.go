package evaluate

import (
	"errors"
	"slices"
)

// Comparison compares two classifiers on the same pictures.
type Comparison struct {
	A       Side `json:"a"`
	B       Side `json:"b"`
	Count   int  `json:"count"`   // pictures that both classified
	Both    int  `json:"both"`    // that both got right
	OnlyA   int  `json:"only_a"`  // that only A got right
	OnlyB   int  `json:"only_b"`  // that only B got right
	Neither int  `json:"neither"` // that neither got right
	// PValue is that of McNemar's test: the probability that equally good classifiers differ at
	// least as much in OnlyA and OnlyB.
	PValue float64     `json:"p_value"`
	Differ []Differing `json:"differ"` // the pictures of OnlyA and OnlyB, in the set's order
}

// Side has the results of one of the two classifiers.
type Side struct {
	Accuracy float64    `json:"accuracy"`
	Interval [2]float64 `json:"interval"` // Wilson's 95 % interval
	LogLoss  float64    `json:"log_loss"`
	ECE      float64    `json:"ece"`
}

// Differing is a picture that only one of the two got right.
type Differing struct {
	Picture string `json:"picture"`
	Class   string `json:"class"`
	A       string `json:"a"` // the class that A predicted
	B       string `json:"b"`
}

// Compare compares two reports on the same set. It returns an error if they are on different
// pictures, or on pictures of different classes. Spellings of a class that MapClasses treats alike
// are no difference.
func Compare(a, b *Report) (*Comparison, error) {
	same := func(x, y Answer) bool {
		return x.digest == y.digest && sameClass(x.Class, y.Class)
	}
	if !slices.EqualFunc(a.Answers, b.Answers, same) {
		return nil, errors.New("the two reports are not on the same pictures")
	}
	c := &Comparison{
		A:     Side{a.Accuracy, a.Interval, a.LogLoss, a.ECE},
		B:     Side{b.Accuracy, b.Interval, b.LogLoss, b.ECE},
		Count: a.Count, Differ: []Differing{},
	}
	for i, x := range a.Answers {
		y := b.Answers[i]
		switch {
		case x.Right() && y.Right():
			c.Both++
			continue
		case !x.Right() && !y.Right():
			c.Neither++
			continue
		case x.Right():
			c.OnlyA++
		default:
			c.OnlyB++
		}
		c.Differ = append(c.Differ, Differing{x.Sample.Path, x.Class, x.Predictions[0].Class, y.Predictions[0].Class})
	}
	c.PValue = McNemar(c.OnlyA, c.OnlyB)
	return c, nil
}
