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

// Judge is a Classifier that can judge whether a picture shows any of its classes, such as
// *model.Classifier.
type Judge interface {
	Classifier
	// Judges reports whether the classifier judges.
	Judges() bool
	// AcceptanceThreshold returns the smallest acceptance of accepted pictures.
	AcceptanceThreshold() float64
	// Judge returns the answer for an encoded picture, with its acceptance.
	Judge(ctx context.Context, data []byte) (model.Answer, error)
}

// asJudge returns c as a Judge, or nil if it does not judge.
func asJudge(c Classifier) Judge {
	if j, ok := c.(Judge); ok && j.Judges() {
		return j
	}
	return nil
}

// Measure names the value that decides whether a picture is accepted.
type Measure string

// The measures. A model that does not judge is measured by its largest probability, which is all
// that an application could use.
const (
	ByAcceptance  Measure = "acceptance"
	ByProbability Measure = "largest probability"
)

// Acceptance says how well a classifier tells pictures of its classes from others.
type Acceptance struct {
	// Measure is the value to which thresholds apply and by which pictures are sorted.
	Measure Measure `json:"measure"`
	// Own has the results at the model's own threshold; nil if it has none.
	Own *Operating `json:"at_own_threshold,omitempty"`
	// At95 has the results at a threshold that just accepts 95 % of the evaluated pictures (see
	// accept.ThresholdFor); nil without other pictures.
	At95 *Operating `json:"at_95_percent,omitempty"`
	// Risk is that of the evaluated pictures.
	Risk Risk `json:"risk"`
	// Refused has the evaluated pictures below the threshold of Own, or of At95 without Own, the
	// smallest acceptance first.
	Refused []Judgement `json:"refused"`
	Other   *Other      `json:"other,omitempty"`
}

// Operating has the results at a threshold. Pictures that reach it are accepted.
type Operating struct {
	Threshold float64 `json:"threshold"`
	Accepted  Share   `json:"accepted"` // evaluated pictures that are accepted
	// The share of right answers for accepted evaluated pictures, its Wilson 95 % interval, and
	// the calibration error of these answers (see Calibration).
	Accuracy         float64    `json:"accuracy"`
	AccuracyInterval [2]float64 `json:"accuracy_interval"`
	ECE              float64    `json:"ece"`
	// FalseAccepts counts the other pictures that are accepted; nil without other pictures.
	FalseAccepts *Share `json:"false_accepts,omitempty"`
}

// Share is a share of some pictures.
type Share struct {
	Part     int        `json:"part"`
	Of       int        `json:"of"`
	Share    float64    `json:"share"`    // Part ÷ Of, or 0
	Interval [2]float64 `json:"interval"` // Wilson's 95 % interval
}

func newShare(part, of int) Share { return Share{part, of, ratio(float64(part), of), Wilson(part, of)} }

// Risk is the curve of selective risk against coverage (El-Yaniv and Wiener 2010): for each
// threshold, the share of pictures that are accepted, and the share of these that are wrong.
type Risk struct {
	// Area is the area under the curve, drawn as steps: the mean, over all pictures, of the risk
	// at the threshold that just accepts the picture (Geifman, Uziel, El-Yaniv 2019). 0 is best.
	Area float64 `json:"area"`
	// Curve has at most 200 points, from the highest threshold to the lowest.
	Curve []RiskPoint `json:"curve"`
}

// RiskPoint is a point of the curve of a Risk.
type RiskPoint struct {
	Threshold float64 `json:"threshold"`
	Coverage  float64 `json:"coverage"` // share of the pictures that are accepted
	Risk      float64 `json:"risk"`     // share of these that are wrong
}

// Judgement is the answer for a picture, with its acceptance.
type Judgement struct {
	Picture     string  `json:"picture"`
	Label       string  `json:"label,omitempty"` // "" for other pictures
	Predicted   string  `json:"predicted"`
	Probability float64 `json:"probability"` // of Predicted
	// Acceptance is the value that decides about acceptance: see Measure.
	Acceptance float64 `json:"acceptance"`
}

// Other has the results for other pictures, which show none of the classes.
type Other struct {
	Folders []string  `json:"folders"` // as they were given
	Count   int       `json:"count"`   // pictures that were classified
	Skipped []Skipped `json:"skipped"`
	// Repeated has pictures whose bytes are also in the data set. They are not measured.
	Repeated []Repeated `json:"repeated"`
	// AUROC is the area under the receiver operating characteristic: the probability that an
	// evaluated picture has a larger acceptance than an other picture, equal ones counting half.
	AUROC float64 `json:"auroc"`
	// AUROCInterval is the 95 % interval of AUROC by Newcombe's method 5 (2006).
	AUROCInterval [2]float64 `json:"auroc_interval"`
	// Risk is that of the evaluated and the other pictures together. Every answer for an other
	// picture counts as wrong.
	Risk Risk `json:"risk"`
	// Accepted has the other pictures that reach the threshold of Acceptance.Own, or of At95
	// without Own, the largest acceptance first.
	Accepted []Judgement `json:"accepted"`
	// Answers has the answers for the classified other pictures. They have no class.
	Answers []Answer `json:"-"`
}

// Repeated is an other picture that is also in the data set.
type Repeated struct {
	Picture string `json:"picture"`
	Same    string `json:"same"` // its path in the data set
}

// ErrNoOthers is wrapped by the error of MeasureOthers if there is no other picture to measure.
var ErrNoOthers = errors.New("there are no other pictures to measure")

// ErrNoAnswers says that there is no evaluated picture with which to compare other pictures.
var ErrNoAnswers = errors.New("none of the data set's pictures was classified")

// findMeasure returns the measure of a report's answers.
func findMeasure(answers []Answer) Measure {
	if len(answers) > 0 && answers[0].Judged {
		return ByAcceptance
	}
	return ByProbability
}

// acceptance returns the value that decides whether the picture is accepted.
func (a Answer) acceptance() float64 {
	if a.Judged {
		return a.Acceptance
	}
	return a.Predictions[0].Probability
}

// listAcceptances returns the acceptance of each answer.
func listAcceptances(answers []Answer) []float64 {
	all := make([]float64, len(answers))
	for i, a := range answers {
		all[i] = a.acceptance()
	}
	return all
}

// newAcceptance reports on the acceptance of evaluated pictures by a model with a threshold.
func newAcceptance(answers []Answer, threshold float64) *Acceptance {
	own := measureThreshold(threshold, answers, nil)
	return &Acceptance{Measure: ByAcceptance, Own: &own, Risk: computeRisk(answers, nil),
		Refused: listRefused(answers, threshold)}
}

// MeasureOthers classifies other pictures, which show none of the classes, on all cores. It adds to
// the report r of the same classifier how well it tells them from the evaluated ones. paths are the
// pictures, below folders. MeasureOthers skips and names pictures that cannot be read, and pictures
// whose bytes are also in whole, the complete data set. It calls progress as Run does.
//
// The error wraps ErrNoOthers if there is no other picture to measure, is ErrNoAnswers if the report
// has no answers, or is ctx's.
func MeasureOthers(ctx context.Context, c Classifier, r *Report, folders, paths []string, whole *dataset.Set,
	l picture.Limits, progress func(done int)) error {
	if len(r.Answers) == 0 {
		return ErrNoAnswers
	}
	same, err := findSameSize(ctx, whole, paths, l)
	if err != nil {
		return err
	}
	answers := make([]Answer, len(paths))
	err = dataset.Each(ctx, len(paths), func(i int) {
		answers[i] = classify(ctx, c, dataset.Sample{Path: paths[i]}, "", l)
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
			o.Skipped = append(o.Skipped, a.skip())
		default:
			o.Answers = append(o.Answers, a)
		}
	}
	if len(o.Answers) == 0 {
		return fmt.Errorf("%w: of %d, %d could not be read, and %d are also in the data set", ErrNoOthers, len(paths),
			len(o.Skipped), len(o.Repeated))
	}
	if r.Acceptance == nil {
		r.Acceptance = &Acceptance{Measure: findMeasure(r.Answers), Risk: computeRisk(r.Answers, nil)}
	}
	r.Acceptance.addOthers(r.Answers, o)
	return nil
}

// addOthers compares the answers for evaluated pictures with those for others.
func (a *Acceptance) addOthers(answers []Answer, o *Other) {
	ours, theirs := listAcceptances(answers), listAcceptances(o.Answers)
	o.Count = len(o.Answers)
	o.AUROC = accept.AUROC(ours, theirs)
	o.AUROCInterval = computeAUROCInterval(o.AUROC, len(ours), len(theirs))
	o.Risk = computeRisk(answers, o.Answers)
	at95 := measureThreshold(accept.ThresholdFor(ours, 0.95), answers, o.Answers)
	a.At95, a.Other = &at95, o
	threshold := at95.Threshold
	if a.Own != nil {
		threshold = a.Own.Threshold
		own := measureThreshold(threshold, answers, o.Answers)
		a.Own = &own
	}
	a.Refused = listRefused(answers, threshold)
	o.Accepted = []Judgement{}
	for _, other := range o.Answers {
		if other.acceptance() >= threshold {
			o.Accepted = append(o.Accepted, newJudgement(other))
		}
	}
	slices.SortStableFunc(o.Accepted, func(a, b Judgement) int { return cmp.Compare(b.Acceptance, a.Acceptance) })
}

// listRefused returns the pictures below the threshold, the smallest acceptance first.
func listRefused(answers []Answer, threshold float64) []Judgement {
	all := []Judgement{}
	for _, a := range answers {
		if a.acceptance() < threshold {
			all = append(all, newJudgement(a))
		}
	}
	slices.SortStableFunc(all, func(a, b Judgement) int { return cmp.Compare(a.Acceptance, b.Acceptance) })
	return all
}

// newJudgement returns the Judgement of an answer.
func newJudgement(a Answer) Judgement {
	best := a.Predictions[0]
	return Judgement{a.Sample.Path, a.Class, best.Class, best.Probability, a.acceptance()}
}

// measureThreshold returns the results at a threshold. others is nil if there are no other pictures.
func measureThreshold(threshold float64, answers, others []Answer) Operating {
	var kept []Answer
	right := 0
	for _, a := range answers {
		if a.acceptance() < threshold {
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
		share := newShare(accept.CountAccepted(listAcceptances(others), threshold).Accepted, len(others))
		o.FalseAccepts = &share
	}
	return o
}

// maxRiskPoints is the largest number of points of a curve.
const maxRiskPoints = 200

// computeRisk returns the risk of answers, and of others, which all count as wrong.
func computeRisk(answers, others []Answer) Risk {
	type outcome struct {
		acceptance float64
		wrong      bool
	}
	var all []outcome
	for _, a := range answers {
		all = append(all, outcome{a.acceptance(), !a.Right()})
	}
	for _, a := range others {
		all = append(all, outcome{a.acceptance(), true})
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
	r.Curve = thin(r.Curve)
	return r
}

// thin returns at most maxRiskPoints of the points, including the first and the last.
func thin(curve []RiskPoint) []RiskPoint {
	if len(curve) <= maxRiskPoints {
		return curve
	}
	kept := make([]RiskPoint, maxRiskPoints)
	for i := range kept {
		kept[i] = curve[i*(len(curve)-1)/(maxRiskPoints-1)]
	}
	return kept
}

// computeAUROCInterval returns the 95 % interval of an area under the receiver operating
// characteristic from m and n pictures: those areas θ whose distance from the measured one is at
// most z·√V(θ), with the variance of Hanley and McNeil 1982 as modified by Newcombe 2006
// ("Confidence intervals for an effect size measure based on the Mann–Whitney statistic, part 2",
// method 5):
//
//	V(θ) = θ(1−θ)/(mn) · (1 + N·(1−θ)/(2−θ) + N·θ/(1+θ)),  N = (m+n)/2 − 1
//
// So the interval has a width even if the measured area is 1.
func computeAUROCInterval(auroc float64, m, n int) [2]float64 {
	product, weight := float64(m)*float64(n), float64((float64(m)+float64(n))/2)-1
	inside := func(θ float64) bool {
		v := θ * (1 - θ) / product * (1 + weight*(1-θ)/(2-θ) + weight*θ/(1+θ))
		return math.Abs(θ-auroc) <= z95*math.Sqrt(v)
	}
	edge := func(outer float64) float64 { // by bisection, from the measured area outwards
		inner := auroc
		for range 60 {
			if middle := float64((inner + outer) / 2); inside(middle) {
				inner = middle
			} else {
				outer = middle
			}
		}
		return inner
	}
	return [2]float64{edge(0), edge(1)}
}

// findSameSize returns the paths, by digest, of those of a data set's pictures whose file has the
// size of any of the others: only these can be equal. It omits pictures that cannot be read.
func findSameSize(ctx context.Context, set *dataset.Set, others []string, l picture.Limits) (map[string]string, error) {
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
			digests[i] = computeDigest(data)
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

// computeDigest returns the SHA-256 of a picture's file in hexadecimal.
func computeDigest(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
