package evaluate

import (
	"errors"
	"slices"
)

// Comparison is how two classifiers did on the same pictures.
type Comparison struct {
	A       Side `json:"a"`
	B       Side `json:"b"`
	Count   int  `json:"count"`   // pictures that both answered
	Both    int  `json:"both"`    // that both got right
	OnlyA   int  `json:"only_a"`  // that only A got right
	OnlyB   int  `json:"only_b"`  // that only B got right
	Neither int  `json:"neither"` // that neither got right
	// PValue is McNemar's: how likely so uneven a split of OnlyA and OnlyB is between
	// classifiers that are equally often right.
	PValue float64     `json:"p_value"`
	Differ []Differing `json:"differ"` // the pictures of OnlyA and OnlyB, in the set's order
}

// Side is one of the two.
type Side struct {
	Accuracy float64    `json:"accuracy"`
	Interval [2]float64 `json:"interval"` // Wilson, 95 %
	LogLoss  float64    `json:"log_loss"`
	ECE      float64    `json:"ece"`
}

// Differing is a picture that one of the two got right.
type Differing struct {
	Picture string `json:"picture"`
	Class   string `json:"class"`
	A       string `json:"a"` // what A took it for
	B       string `json:"b"`
}

// Compare sets two reports on the same set side by side. It returns an error if they
// are on different pictures, or on pictures of different classes; that the two
// classifiers spell a class differently, as MapClasses allows, is no difference.
func Compare(a, b *Report) (*Comparison, error) {
	same := func(x, y Answer) bool {
		return x.digest == y.digest && sameClass(x.Class, y.Class)
	}
	if !slices.EqualFunc(a.Answers, b.Answers, same) {
		return nil, errors.New("the two did not answer the same pictures")
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
