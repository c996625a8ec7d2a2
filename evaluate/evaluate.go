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

// Classifier is the part of a classifier that Run measures.
type Classifier interface {
	// Classes returns the classes that the classifier knows.
	Classes() []string
	// Classify returns the predictions for an encoded picture, the most probable first.
	Classify(ctx context.Context, data []byte) ([]model.Prediction, error)
}

// Report has the results of a classifier.
type Report struct {
	Folder   string     `json:"folder"`   // the folder of the pictures
	Accuracy float64    `json:"accuracy"` // share of pictures whose first prediction is right
	Count    int        `json:"count"`    // pictures that were classified
	Interval [2]float64 `json:"interval"` // Wilson's 95 % interval of the accuracy
	// TopK[k] is the share of pictures whose class is among the first k predictions, for
	// k = 1, and for k = 2, 3 and 5 as long as there are more than k classes.
	TopK    map[int]float64 `json:"top_k"`
	LogLoss float64         `json:"log_loss"` // mean of −ln(probability of the right class)
	// MacroF1 is the mean F1 of the classes that occur as labels or predictions, as
	// scikit-learn's f1_score(average="macro") computes it. A class that was predicted but has
	// no pictures counts as 0.
	MacroF1 float64 `json:"macro_f1"`
	// ECE is the expected calibration error: see Calibration.
	ECE      float64  `json:"ece"`
	Bins     []Bin    `json:"calibration"`
	Classes  []string `json:"classes"`
	PerClass []Class  `json:"per_class"`
	// Confusion[i][j] is the number of pictures of class i that were predicted as class j.
	Confusion [][]int   `json:"confusion"`
	Skipped   []Skipped `json:"skipped"`
	// Wrong has the wrong answers, in the set's order.
	Wrong []Wrong `json:"wrong"`
	// Mapping says how the data set's classes were mapped to the classifier's. The caller sets it
	// after Mapping.Apply; nil means that the names are the same.
	Mapping *Mapping `json:"mapping,omitempty"`
	// TTA is the test-time augmentation, FlipTTA or "".
	TTA string `json:"tta,omitempty"`
	// Acceptance says how well the classifier tells pictures of its classes from others. It is
	// nil if the classifier does not judge and MeasureOthers was not called.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// Sets has the results of prediction sets. The caller sets it by MeasureSets.
	Sets *Sets `json:"sets,omitempty"`
	// Answers has the answers for the classified pictures, in the set's order.
	Answers []Answer `json:"-"`
	// DataDigest is the digest of all classified pictures and their classes.
	DataDigest string  `json:"data_digest"`
	Seconds    float64 `json:"seconds"` // for all pictures, including decoding
}

// Answer is the answer of the classifier for one picture.
type Answer struct {
	Sample      dataset.Sample
	Class       string // the right class, or "" for other pictures
	Predictions []model.Prediction
	// Judged says that the classifier judged whether the picture shows any of its classes.
	// Acceptance, from 0 to 1, is the result.
	Judged     bool
	Acceptance float64

	digest string // of the picture
	err    error
}

// Right reports whether the first prediction is right.
func (a Answer) Right() bool { return a.Predictions[0].Class == a.Class }

// probability returns the probability of the right class.
func (a Answer) probability() float64 {
	for _, p := range a.Predictions {
		if p.Class == a.Class {
			return p.Probability
		}
	}
	return 0
}

// Class has the results for one class.
type Class struct {
	Class     string  `json:"class"`
	Precision float64 `json:"precision"` // right ÷ all predicted as the class; 0 if there are none
	Recall    float64 `json:"recall"`    // right ÷ all of the class
	// RecallInterval is Wilson's 95 % interval, which is wide for a class with few pictures.
	RecallInterval [2]float64 `json:"recall_interval"`
	F1             float64    `json:"f1"`    // harmonic mean of precision and recall
	Count          int        `json:"count"` // pictures of the class
}

// Wrong is a picture whose first prediction is wrong.
type Wrong struct {
	Picture     string  `json:"picture"`
	Label       string  `json:"label"` // the right class
	Predicted   string  `json:"predicted"`
	Probability float64 `json:"probability"` // of Predicted
	// LabelProbability is the predicted probability of the label.
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

// Wilson returns Wilson's 95 % interval (1927) for a share of right out of count. It stays within 0
// and 1 and is valid for small counts.
func Wilson(right, count int) [2]float64 {
	if count == 0 {
		return [2]float64{0, 1}
	}
	return computeWilson(float64(right)/float64(count), float64(count))
}

// computeWilson returns the interval for a share p of n pictures, where n may be fractional.
func computeWilson(p, n float64) [2]float64 {
	centre := p + z95*z95/(2*n)
	spread := float64(z95 * math.Sqrt(p*(1-p)/n+z95*z95/(4*n*n)))
	scale := 1 + z95*z95/n
	return [2]float64{max(0, (centre-spread)/scale), min(1, (centre+spread)/scale)}
}

// Run classifies the pictures of a set on all cores, and reports the results. It skips and names
// pictures that cannot be read. It calls progress, unless nil, from several goroutines with the
// number of pictures done. If the classifier does not know a class by exactly its name, the error is
// an *UnknownClassesError; MapClasses finds other spellings.
func Run(ctx context.Context, c Classifier, set *dataset.Set, l picture.Limits,
	progress func(done int)) (*Report, error) {
	known := c.Classes()
	if err := checkKnown(set.Classes, known); err != nil {
		return nil, err
	}
	began := time.Now()
	answers := make([]Answer, len(set.Samples))
	err := set.Each(ctx, func(i int) {
		s := set.Samples[i]
		answers[i] = classify(ctx, c, s, set.Classes[s.Label], l)
		if progress != nil {
			progress(1)
		}
	})
	if err != nil {
		return nil, err
	}
	r := summarize(known, set, answers)
	r.Seconds = time.Since(began).Seconds()
	if isFlipped(c) {
		r.TTA = FlipTTA
	}
	if j := asJudge(c); j != nil {
		r.Acceptance = newAcceptance(r.Answers, j.AcceptanceThreshold())
	}
	return r, nil
}

// Summarize reports on known answers: for each picture of a set, its SHA-256 in hexadecimal and the
// predictions of a classifier with the known classes.
func Summarize(known []string, set *dataset.Set, digests []string, predictions [][]model.Prediction) *Report {
	answers := make([]Answer, len(set.Samples))
	for i, s := range set.Samples {
		answers[i] = Answer{Sample: s, Class: set.Classes[s.Label], Predictions: predictions[i], digest: digests[i]}
	}
	return summarize(known, set, answers)
}

// classify returns the answer for a picture of a class, or of none ("").
func classify(ctx context.Context, c Classifier, s dataset.Sample, class string, l picture.Limits) Answer {
	if r, ok := c.(*Recorded); ok {
		return r.recall(s, class)
	}
	a := Answer{Sample: s, Class: class}
	data, err := s.Read(l)
	if err != nil {
		a.err = err
		return a
	}
	a.digest = computeDigest(data)
	if j := asJudge(c); j != nil {
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

// summarize makes a report of answers. Its classes are those of the classifier that the set has or
// that were predicted.
func summarize(known []string, set *dataset.Set, answers []Answer) *Report {
	r := &Report{Folder: set.Folder, Skipped: []Skipped{}, Wrong: []Wrong{}, Classes: findClasses(known, set, answers)}
	index := map[string]int{}
	for i, class := range r.Classes {
		index[class] = i
		r.Confusion = append(r.Confusion, make([]int, len(r.Classes)))
	}
	right := 0
	digest := sha256.New()
	for _, a := range answers {
		if a.err != nil {
			r.Skipped = append(r.Skipped, a.skip())
			continue
		}
		r.Answers = append(r.Answers, a)
		fmt.Fprintf(digest, "%s %s\n", a.digest, a.Class)
		r.Confusion[index[a.Class]][index[a.Predictions[0].Class]]++
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
	r.TopK = computeTopK(r.Answers)
	r.ECE, r.Bins = Calibration(r.Answers)
	r.Interval = Wilson(right, r.Count)
	r.measureClasses()
	return r
}

// findClasses returns the known classes that the set has or that were predicted.
func findClasses(known []string, set *dataset.Set, answers []Answer) []string {
	occurs := map[string]bool{}
	for _, class := range set.Classes {
		occurs[class] = true
	}
	for _, a := range answers {
		if a.err == nil {
			occurs[a.Predictions[0].Class] = true
		}
	}
	var classes []string
	for _, class := range known {
		if occurs[class] {
			occurs[class] = false // a model may have two classes of one name
			classes = append(classes, class)
		}
	}
	return classes
}

// measureClasses computes the figures of each class, and MacroF1, from the confusion matrix.
func (r *Report) measureClasses() {
	occurring := 0.0 // classes with pictures or predictions
	for i, class := range r.Classes {
		c := Class{Class: class}
		predicted := 0
		for j := range r.Classes {
			c.Count += r.Confusion[i][j]
			predicted += r.Confusion[j][i]
		}
		hits := float64(r.Confusion[i][i])
		c.Precision, c.Recall = ratio(hits, predicted), ratio(hits, c.Count)
		c.RecallInterval = Wilson(r.Confusion[i][i], c.Count)
		if c.Precision+c.Recall > 0 {
			c.F1 = 2 * c.Precision * c.Recall / (c.Precision + c.Recall)
		}
		r.PerClass = append(r.PerClass, c)
		if c.Count > 0 || predicted > 0 {
			r.MacroF1 += c.F1
			occurring++
		}
	}
	r.MacroF1 /= max(occurring, 1)
}

// ratio returns a ÷ b, or 0 if b is 0.
func ratio(a float64, b int) float64 {
	if b == 0 {
		return 0
	}
	return a / float64(b)
}
