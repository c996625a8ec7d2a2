package evaluate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"garb/accept"
	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// Judge is a Classifier that may also judge whether a picture shows any of its classes, as
// *model.Classifier.
type Judge interface {
	Classifier
	// Judges reports whether it does.
	Judges() bool
	// AcceptanceThreshold returns the acceptance from which a picture is accepted.
	AcceptanceThreshold() float64
	// Judge returns the answer to an encoded picture, with its acceptance.
	Judge(ctx context.Context, data []byte) (model.Answer, error)
}

// judgeOf returns c as a Judge; nil if it does not judge.
func judgeOf(c Classifier) Judge {
	if j, ok := c.(Judge); ok && j.Judges() {
		return j
	}
	return nil
}

// Measure names what pictures are accepted by.
type Measure string

// The measures. A model that does not judge is measured by its largest probability, which
// is what an application would have to go by: such figures say so.
const (
	ByAcceptance  Measure = "acceptance"
	ByProbability Measure = "largest probability"
)

// Acceptance is how a classifier tells pictures of its classes from others.
type Acceptance struct {
	// Measure is what all thresholds are of, and what pictures are sorted by.
	Measure Measure `json:"measure"`
	// Own is the threshold that the model accepts pictures from; nil if it has none.
	Own *Operating `json:"at_own_threshold,omitempty"`
	// At95 is a threshold that just accepts 95 % of the evaluated pictures, see
	// accept.ThresholdFor; nil without other pictures.
	At95 *Operating `json:"at_95_percent,omitempty"`
	// Risk is over the evaluated pictures.
	Risk Risk `json:"risk"`
	// Refused are the evaluated pictures that Own refuses, or At95 if there is no Own, the
	// least accepted first.
	Refused []Judgement `json:"refused"`
	Other   *Other      `json:"other,omitempty"`
}

// Operating is what comes of a threshold: pictures from it on are accepted.
type Operating struct {
	Threshold float64 `json:"threshold"`
	Accepted  Share   `json:"accepted"` // of the evaluated pictures
	// Of the accepted answers to evaluated pictures: the share that is right, with Wilson's
	// 95 % interval, and the calibration error (see Calibration).
	Accuracy         float64    `json:"accuracy"`
	AccuracyInterval [2]float64 `json:"accuracy_interval"`
	ECE              float64    `json:"ece"`
	// FalseAccepts are the other pictures that are accepted; nil without other pictures.
	FalseAccepts *Share `json:"false_accepts,omitempty"`
}

// Share is a part of some pictures.
type Share struct {
	Part     int        `json:"part"`
	Of       int        `json:"of"`
	Share    float64    `json:"share"`    // Part ÷ Of; 0 of none
	Interval [2]float64 `json:"interval"` // Wilson, 95 %
}

func newShare(part, of int) Share { return Share{part, of, ratio(float64(part), of), Wilson(part, of)} }

// Risk is selective risk against coverage (El-Yaniv and Wiener 2010): for each threshold
// the share of pictures that are accepted, and of these the share whose answer is wrong.
type Risk struct {
	// Area is that under the curve as steps: the mean, over all pictures, of the risk at the
	// threshold that just accepts the picture (Geifman, Uziel, El-Yaniv 2019). 0 is best.
	Area float64 `json:"area"`
	// Curve has at most 200 points, from the highest threshold down to the lowest.
	Curve []RiskPoint `json:"curve"`
}

// RiskPoint is a point of a curve.
type RiskPoint struct {
	Threshold float64 `json:"threshold"`
	Coverage  float64 `json:"coverage"` // share of the pictures that is accepted
	Risk      float64 `json:"risk"`     // share of these whose answer is wrong
}

// Judgement is what a classifier made of a picture.
type Judgement struct {
	Picture     string  `json:"picture"`
	Label       string  `json:"label,omitempty"` // "" for other pictures
	Predicted   string  `json:"predicted"`
	Probability float64 `json:"probability"` // of Predicted
	// Acceptance is what the picture is accepted by: see Measure.
	Acceptance float64 `json:"acceptance"`
}

// Other is how a classifier judged pictures of none of its classes.
type Other struct {
	Folders []string  `json:"folders"` // as they were named
	Count   int       `json:"count"`   // pictures that were answered
	Skipped []Skipped `json:"skipped"`
	// Repeated are pictures that are in the data set too, to the byte: they are left out.
	Repeated []Repeated `json:"repeated"`
	// AUROC is the probability that an evaluated picture is accepted by more than another
	// one is, equal ones counting half: the area under the receiver operating characteristic.
	AUROC float64 `json:"auroc"`
	// AUROCInterval is that of AUROC, 95 %: see aurocInterval.
	AUROCInterval [2]float64 `json:"auroc_interval"`
	// Risk is over the evaluated and the other pictures together: the answer to an other
	// picture is wrong.
	Risk Risk `json:"risk"`
	// Accepted are the other pictures that Acceptance.Own accepts, or At95 if there is no
	// Own, the most accepted first.
	Accepted []Judgement `json:"accepted"`
	// Answers are those to the other pictures that were answered; they have no class.
	Answers []Answer `json:"-"`
}

// Repeated is an other picture that a data set has too.
type Repeated struct {
	Picture string `json:"picture"`
	Same    string `json:"same"` // the data set's
}

// ErrNoOthers is wrapped by errors about other pictures none of which can be measured.
var ErrNoOthers = errors.New("there are no other pictures to measure")

// ErrNoAnswers says that other pictures cannot be compared with evaluated ones, as none of
// these were answered.
var ErrNoAnswers = errors.New("none of the data set's pictures were answered")

// measureOf returns what the answers of a report are accepted by.
func measureOf(answers []Answer) Measure {
	if len(answers) > 0 && answers[0].Judged {
		return ByAcceptance
	}
	return ByProbability
}

// accepted is what an answer is accepted by.
func (a Answer) accepted() float64 {
	if a.Judged {
		return a.Acceptance
	}
	return a.Predictions[0].Probability
}

func acceptances(answers []Answer) []float64 {
	all := make([]float64, len(answers))
	for i, a := range answers {
		all[i] = a.accepted()
	}
	return all
}

// judged reports on the acceptance of evaluated pictures by a model with a threshold.
func judged(answers []Answer, threshold float64) *Acceptance {
	own := operatingAt(threshold, answers, nil)
	return &Acceptance{Measure: ByAcceptance, Own: &own, Risk: riskOf(answers, nil),
		Refused: refused(answers, threshold)}
}

// MeasureOthers classifies pictures of none of the classes, at these paths below folders,
// on all cores, and adds to a report of the same classifier how it tells them from the
// evaluated ones. Those that cannot be read are skipped and named. whole is all of the data
// set, whose pictures are none to compare with: those that it has too, to the byte, are left
// out and named. progress is as for Run.
//
// The error wraps ErrNoOthers if none are left, and ErrNoAnswers if the report has no
// answers; or it is ctx's.
func MeasureOthers(ctx context.Context, c Classifier, r *Report, folders, paths []string, whole *dataset.Set,
	l picture.Limits, progress func(done int)) error {
	if len(r.Answers) == 0 {
		return ErrNoAnswers
	}
	same, err := sameSize(ctx, whole, paths, l)
	if err != nil {
		return err
	}
	answers := make([]Answer, len(paths))
	err = dataset.Each(ctx, len(paths), func(i int) {
		answers[i] = ask(ctx, c, dataset.Sample{Path: paths[i]}, "", l)
		if progress != nil {
			progress(1)
		}
	})
	if err != nil {
		return err
	}
	o := &Other{Folders: folders, Skipped: []Skipped{}, Repeated: []Repeated{}}
	for _, a := range answers {
		switch path, repeated := same[a.digest]; {
		case repeated:
			o.Repeated = append(o.Repeated, Repeated{a.Sample.Path, path})
		case a.err != nil:
			o.Skipped = append(o.Skipped, Skipped{a.Sample.Path, dataset.FindReason(a.err), a.err.Error()})
		default:
			o.Answers = append(o.Answers, a)
		}
	}
	if len(o.Answers) == 0 {
		return fmt.Errorf("%w: of %d, %d could not be read, and %d are in the data set too", ErrNoOthers, len(paths),
			len(o.Skipped), len(o.Repeated))
	}
	if r.Acceptance == nil {
		r.Acceptance = &Acceptance{Measure: measureOf(r.Answers), Risk: riskOf(r.Answers, nil)}
	}
	r.Acceptance.compare(r.Answers, o)
	return nil
}

// compare adds what comes of comparing evaluated pictures with others.
func (a *Acceptance) compare(answers []Answer, o *Other) {
	ours, theirs := acceptances(answers), acceptances(o.Answers)
	o.Count = len(o.Answers)
	o.AUROC = accept.AUROC(ours, theirs)
	o.AUROCInterval = aurocInterval(o.AUROC, len(ours), len(theirs))
	o.Risk = riskOf(answers, o.Answers)
	at95 := operatingAt(accept.ThresholdFor(ours, 0.95), answers, o.Answers)
	a.At95, a.Other = &at95, o
	threshold := at95.Threshold
	if a.Own != nil {
		threshold = a.Own.Threshold
		own := operatingAt(threshold, answers, o.Answers)
		a.Own = &own
	}
	a.Refused = refused(answers, threshold)
	o.Accepted = []Judgement{}
	for _, other := range o.Answers {
		if other.accepted() >= threshold {
			o.Accepted = append(o.Accepted, judgementOf(other))
		}
	}
	slices.SortStableFunc(o.Accepted, func(a, b Judgement) int { return cmp.Compare(b.Acceptance, a.Acceptance) })
}

func refused(answers []Answer, threshold float64) []Judgement {
	all := []Judgement{}
	for _, a := range answers {
		if a.accepted() < threshold {
			all = append(all, judgementOf(a))
		}
	}
	slices.SortStableFunc(all, func(a, b Judgement) int { return cmp.Compare(a.Acceptance, b.Acceptance) })
	return all
}

func judgementOf(a Answer) Judgement {
	best := a.Predictions[0]
	return Judgement{a.Sample.Path, a.Class, best.Class, best.Probability, a.accepted()}
}

// operatingAt measures a threshold. others is nil where there are no other pictures.
func operatingAt(threshold float64, answers, others []Answer) Operating {
	var kept []Answer
	right := 0
	for _, a := range answers {
		if a.accepted() < threshold {
			continue
		}
		kept = append(kept, a)
		if a.Right() {
			right++
		}
	}
	o := Operating{
		Threshold: threshold, Accepted: newShare(len(kept), len(answers)), Accuracy: ratio(float64(right), len(kept)),
		AccuracyInterval: Wilson(right, len(kept)),
	}
	o.ECE, _ = Calibration(kept)
	if others != nil {
		share := newShare(accept.CountAccepted(acceptances(others), threshold).Accepted, len(others))
		o.FalseAccepts = &share
	}
	return o
}

// maxRiskPoints bounds the points of a curve.
const maxRiskPoints = 200

// riskOf returns the risk over evaluated and other pictures, whose answers are all wrong.
func riskOf(answers, others []Answer) Risk {
	type outcome struct {
		acceptance float64
		wrong      bool
	}
	var all []outcome
	for _, a := range answers {
		all = append(all, outcome{a.accepted(), !a.Right()})
	}
	for _, a := range others {
		all = append(all, outcome{a.accepted(), true})
	}
	slices.SortFunc(all, func(a, b outcome) int { return cmp.Compare(b.acceptance, a.acceptance) })
	var r Risk
	wrong, n := 0, float64(len(all))
	for low := 0; low < len(all); { // equal acceptances are accepted together
		high := low
		for ; high < len(all) && all[high].acceptance == all[low].acceptance; high++ {
			if all[high].wrong {
				wrong++
			}
		}
		p := RiskPoint{all[low].acceptance, float64(high) / n, float64(wrong) / float64(high)}
		r.Area += p.Risk * float64(high-low) / n
		r.Curve = append(r.Curve, p)
		low = high
	}
	r.Curve = thinned(r.Curve)
	return r
}

// thinned returns at most maxRiskPoints points, the first and the last among them.
func thinned(curve []RiskPoint) []RiskPoint {
	if len(curve) <= maxRiskPoints {
		return curve
	}
	kept := make([]RiskPoint, maxRiskPoints)
	for i := range kept {
		kept[i] = curve[i*(len(curve)-1)/(maxRiskPoints-1)]
	}
	return kept
}

// aurocInterval returns the 95 % interval of an area under the receiver operating
// characteristic by m and n pictures: those areas θ whose distance from the measured one is
// at most z·√V(θ), with the variance of Hanley and McNeil 1982 as changed by Newcombe 2006
// ("Confidence intervals for an effect size measure based on the Mann–Whitney statistic,
// part 2", method 5):
//
//	V(θ) = θ(1−θ)/(mn) · (1 + N·(1−θ)/(2−θ) + N·θ/(1+θ)),  N = (m+n)/2 − 1
//
// So it has a width even where the measured area is 1.
func aurocInterval(auroc float64, m, n int) [2]float64 {
	product, weight := float64(m)*float64(n), (float64(m)+float64(n))/2-1
	inside := func(θ float64) bool {
		v := θ * (1 - θ) / product * (1 + weight*(1-θ)/(2-θ) + weight*θ/(1+θ))
		return math.Abs(θ-auroc) <= z95*math.Sqrt(v)
	}
	edge := func(outer float64) float64 { // by bisection, from the measured area outwards
		inner := auroc
		for range 60 {
			if middle := (inner + outer) / 2; inside(middle) {
				inner = middle
			} else {
				outer = middle
			}
		}
		return inner
	}
	return [2]float64{edge(0), edge(1)}
}

// sameSize returns the paths, by digest, of a data set's pictures that are of the size of
// any of the others, so that no more files are read than may be equal. Those that cannot be
// read are equal to none.
func sameSize(ctx context.Context, set *dataset.Set, others []string, l picture.Limits) (map[string]string, error) {
	sizes := map[int64]bool{}
	for _, path := range others {
		if info, err := os.Stat(path); err == nil {
			sizes[info.Size()] = true
		}
	}
	var candidates []dataset.Sample
	for _, s := range set.Samples {
		if info, err := os.Stat(s.Path); err == nil && sizes[info.Size()] {
			candidates = append(candidates, s)
		}
	}
	digests := make([]string, len(candidates))
	err := dataset.Each(ctx, len(candidates), func(i int) {
		if data, err := candidates[i].Read(l); err == nil {
			digests[i] = digestOf(data)
		}
	})
	same := map[string]string{}
	for i, digest := range digests {
		if _, found := same[digest]; !found && digest != "" {
			same[digest] = candidates[i].Path
		}
	}
	return same, err
}

// digestOf returns the SHA-256 of a picture's file, in hexadecimal.
func digestOf(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
