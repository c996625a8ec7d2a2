// Package evaluate measures a classifier on labelled pictures.
package evaluate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// Classifier is what is measured.
type Classifier interface {
	// Classes returns the classes that it knows.
	Classes() []string
	// Classify returns its predictions for an encoded picture, the best first.
	Classify(ctx context.Context, data []byte) ([]model.Prediction, error)
}

// Report is how a classifier did.
type Report struct {
	Folder   string     `json:"folder"`   // of the pictures
	Accuracy float64    `json:"accuracy"` // share of pictures whose first class is right
	Count    int        `json:"count"`    // pictures that were answered
	Interval [2]float64 `json:"interval"` // of the accuracy: Wilson, 95 %
	// TopK[k] is the share of pictures whose class is among the first k predictions, for
	// k = 1, and for k = 2, 3 and 5 as long as there are more than k classes.
	TopK    map[int]float64 `json:"top_k"`
	LogLoss float64         `json:"log_loss"` // mean of −ln(probability of the right class)
	// MacroF1 is the mean F1 over the classes that occur as label or as prediction, as
	// scikit-learn's f1_score(average="macro") computes it: a class that was predicted but
	// has no pictures counts as 0.
	MacroF1 float64 `json:"macro_f1"`
	// ECE is the expected calibration error: see Calibration.
	ECE      float64  `json:"ece"`
	Bins     []Bin    `json:"calibration"`
	Classes  []string `json:"classes"`
	PerClass []Class  `json:"per_class"`
	// Confusion[i][j] counts the pictures of class i that were taken for class j.
	Confusion [][]int   `json:"confusion"`
	Skipped   []Skipped `json:"skipped"`
	// Wrong are the wrong answers, in the set's order.
	Wrong []Wrong `json:"wrong"`
	// Mapping says how the data set's classes became the classifier's; nil if all have the
	// same names in both. It is for who applied it to set: see Mapping.Apply.
	Mapping *Mapping `json:"mapping,omitempty"`
	// TTA is test-time augmentation: FlipTTA, or "" if the pictures were shown as they
	// are.
	TTA string `json:"tta,omitempty"`
	// Acceptance is how the classifier tells pictures of its classes from others; nil if it
	// does not judge and MeasureOthers was not asked.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// Sets is how prediction sets did, of who measured them: see MeasureSets.
	Sets *Sets `json:"sets,omitempty"`
	// Answers are those of the pictures that were answered, in the set's order.
	Answers []Answer `json:"-"`
	// DataDigest is of all pictures that were answered and their classes.
	DataDigest string  `json:"data_digest"`
	Seconds    float64 `json:"seconds"` // that all pictures took, decoding included
}

// Answer is what the classifier said of one picture.
type Answer struct {
	Sample      dataset.Sample
	Class       string // that it is of
	Predictions []model.Prediction
	// Judged says whether the classifier judged if the picture shows any of its classes, and
	// Acceptance, from 0 to 1, how sure it is of that.
	Judged     bool
	Acceptance float64

	digest string // of the picture
	err    error
}

// Right reports whether the first prediction is right.
func (a Answer) Right() bool { return a.Predictions[0].Class == a.Class }

// probability is that of the right class.
func (a Answer) probability() float64 {
	for _, p := range a.Predictions {
		if p.Class == a.Class {
			return p.Probability
		}
	}
	return 0
}

// Class is how a classifier did on one class.
type Class struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"` // right ÷ all taken for the class; 0 if there are none
	Recall    float64 `json:"recall"`    // right ÷ all of the class
	// RecallInterval is Wilson's, 95 %: a class with few pictures says little.
	RecallInterval [2]float64 `json:"recall_interval"`
	F1             float64    `json:"f1"`    // harmonic mean of precision and recall
	Count          int        `json:"count"` // pictures of the class
}

// Wrong is a picture whose class the classifier did not put first.
type Wrong struct {
	Picture     string  `json:"picture"`
	Label       string  `json:"label"` // that it is of
	Predicted   string  `json:"predicted"`
	Probability float64 `json:"probability"` // of Predicted
	// LabelProbability is the probability that the classifier gave the label.
	LabelProbability float64 `json:"label_probability"`
}

// Skipped is a picture that could not be read.
type Skipped struct {
	Picture string         `json:"picture"`
	Reason  dataset.Reason `json:"reason"`
	Message string         `json:"message"`
}

// z95 is the 97.5 % quantile of the normal distribution.
const z95 = 1.959963984540054

// Wilson returns the 95 % interval of a share of right out of count (Wilson
// 1927): it stays within 0 and 1 and holds for small counts.
func Wilson(right, count int) [2]float64 {
	if count == 0 {
		return [2]float64{0, 1}
	}
	return wilson(float64(right)/float64(count), float64(count))
}

// wilson returns the interval of a share p of n pictures, which need not be a whole number.
func wilson(p, n float64) [2]float64 {
	centre := p + z95*z95/(2*n)
	spread := z95 * math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n))
	scale := 1 + z95*z95/n
	return [2]float64{max(0, (centre-spread)/scale), min(1, (centre+spread)/scale)}
}

// Run classifies a set's pictures, on all cores, and reports. Pictures that cannot
// be read are skipped and named; progress, if not nil, is called with the number
// of pictures done, from several goroutines. Classes that the classifier does not know
// by exactly that name are an *UnknownClassesError; MapClasses finds other spellings.
func Run(ctx context.Context, c Classifier, set *dataset.Set, l picture.Limits, progress func(done int)) (*Report,
	error) {
	known := c.Classes()
	if err := checkKnown(set.Classes, known); err != nil {
		return nil, err
	}
	began := time.Now()
	answers := make([]Answer, len(set.Samples))
	err := set.Each(ctx, func(i int) {
		s := set.Samples[i]
		answers[i] = ask(ctx, c, s, set.Classes[s.Label], l)
		if progress != nil {
			progress(1)
		}
	})
	if err != nil {
		return nil, err
	}
	r := summarize(known, set, answers)
	r.Seconds = time.Since(began).Seconds()
	if _, ok := c.(*Flipped); ok {
		r.TTA = FlipTTA
	}
	if j := judgeOf(c); j != nil {
		r.Acceptance = judged(r.Answers, j.AcceptanceThreshold())
	}
	return r, nil
}

// Of reports on answers that are known: of each picture of a set its SHA-256, in
// hexadecimal, and predictions of a classifier that knows these classes.
func Of(known []string, set *dataset.Set, digests []string, predictions [][]model.Prediction) *Report {
	answers := make([]Answer, len(set.Samples))
	for i, s := range set.Samples {
		answers[i] = Answer{Sample: s, Class: set.Classes[s.Label], Predictions: predictions[i], digest: digests[i]}
	}
	return summarize(known, set, answers)
}

// ask has a classifier answer a picture of a class, "" if it is of none.
func ask(ctx context.Context, c Classifier, s dataset.Sample, class string, l picture.Limits) Answer {
	a := Answer{Sample: s, Class: class}
	data, err := s.Read(l)
	if err != nil {
		a.err = err
		return a
	}
	a.digest = digestOf(data)
	if j := judgeOf(c); j != nil {
		var answer model.Answer
		answer, err = j.Judge(ctx, data)
		a.Predictions, a.Judged, a.Acceptance = answer.Predictions, true, answer.Acceptance
	} else {
		a.Predictions, err = c.Classify(ctx, data)
	}
	if err != nil {
		a.err = fmt.Errorf("%s: %w", s.Path, err)
	}
	return a
}

// summarize sums answers up. Its classes are those of the classifier that the set
// has, and those that pictures were taken for.
func summarize(known []string, set *dataset.Set, answers []Answer) *Report {
	taken := map[string]bool{}
	for _, class := range set.Classes {
		taken[class] = true
	}
	for _, a := range answers {
		if a.err == nil {
			taken[a.Predictions[0].Class] = true
		}
	}
	r := &Report{Folder: set.Folder, Skipped: []Skipped{}, Wrong: []Wrong{}}
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
	digest := sha256.New()
	for _, a := range answers {
		if a.err != nil {
			r.Skipped = append(r.Skipped, Skipped{a.Sample.Path, dataset.FindReason(a.err), a.err.Error()})
			continue
		}
		r.Answers = append(r.Answers, a)
		fmt.Fprintf(digest, "%s %s\n", a.digest, a.Class)
		r.Confusion[place[a.Class]][place[a.Predictions[0].Class]]++
		r.Count++
		if a.Right() {
			right++
		} else {
			best := a.Predictions[0]
			r.Wrong = append(r.Wrong, Wrong{a.Sample.Path, a.Class, best.Class, best.Probability, a.probability()})
		}
		r.LogLoss -= math.Log(max(a.probability(), 1e-15))
	}
	r.DataDigest = fmt.Sprintf("sha256:%x", digest.Sum(nil))
	if r.Count > 0 {
		r.Accuracy = float64(right) / float64(r.Count)
		r.LogLoss /= float64(r.Count)
	}
	r.TopK = topK(r.Answers)
	r.ECE, r.Bins = Calibration(r.Answers)
	r.Interval = Wilson(right, r.Count)
	occurring := 0.0 // classes with pictures or predictions
	for i, class := range r.Classes {
		c := Class{Class: class}
		takenFor := 0
		for j := range r.Classes {
			c.Count += r.Confusion[i][j]
			takenFor += r.Confusion[j][i]
		}
		hits := float64(r.Confusion[i][i])
		c.Precision, c.Recall = ratio(hits, takenFor), ratio(hits, c.Count)
		c.RecallInterval = Wilson(r.Confusion[i][i], c.Count)
		if c.Precision+c.Recall > 0 {
			c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
		}
		r.PerClass = append(r.PerClass, c)
		if c.Count > 0 || takenFor > 0 {
			r.MacroF1 += c.F1
			occurring++
		}
	}
	r.MacroF1 /= max(occurring, 1)
	return r
}

func ratio(a float64, b int) float64 {
	if b == 0 {
		return 0
	}
	return a / float64(b)
}
