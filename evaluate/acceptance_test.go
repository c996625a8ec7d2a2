package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/accept"
	"garb/conformal"
	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// fakeJudge answers what a picture's text says: "CLASS PROBABILITY ACCEPTANCE".
type fakeJudge struct {
	classes   []string
	threshold float64
	silent    bool // it does not judge
}

func (f fakeJudge) Classes() []string            { return f.classes }
func (f fakeJudge) Judges() bool                 { return !f.silent }
func (f fakeJudge) AcceptanceThreshold() float64 { return f.threshold }

func (f fakeJudge) Classify(ctx context.Context, data []byte) ([]model.Prediction, error) {
	a, err := f.Judge(ctx, data)
	return a.Predictions, err
}

func (f fakeJudge) Judge(_ context.Context, data []byte) (model.Answer, error) {
	words := strings.Fields(string(data))
	if len(words) < 3 {
		return model.Answer{}, errors.New("broken")
	}
	var values [2]float64
	for i := range values {
		v, err := strconv.ParseFloat(words[i+1], 64)
		if err != nil {
			return model.Answer{}, err
		}
		values[i] = v
	}
	a := model.Answer{Judged: true, Acceptance: values[1], Accepted: values[1] >= f.threshold,
		Predictions: []model.Prediction{{Class: words[0], Probability: values[0]}}}
	for _, class := range f.classes {
		if class != words[0] {
			a.Predictions = append(a.Predictions, model.Prediction{Class: class,
				Probability: (1 - values[0]) / float64(len(f.classes)-1)})
		}
	}
	return a, nil
}

// otherFiles writes pictures of none of the classes, and returns their paths.
func otherFiles(t *testing.T, texts ...string) (folder string, paths []string) {
	t.Helper()
	folder = t.TempDir()
	for i, text := range texts {
		paths = append(paths, filepath.Join(folder, fmt.Sprintf("%d.jpg", i)))
		if err := os.WriteFile(paths[i], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder, paths
}

// fourAndFour is a report on four pictures, and what is measured of four others, of which
// one is broken and one the data set's.
func fourAndFour(t *testing.T, c fakeJudge) (r *Report, folder string, paths []string, data *dataset.Set) {
	t.Helper()
	data = set(t, map[string]string{
		"hat/1": "hat 0.9 0.8", "hat/2": "shoes 0.6 0.3", "shoes/1": "shoes 0.7 0.95", "shoes/2": "shoes 0.8 0.5"})
	r, err := Run(t.Context(), c, data, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	folder, paths = otherFiles(t, "hat 0.75 0.85", "broken", "shoes 0.7 0.95", "shoes 0.95 0.4", "hat 0.5 0.1")
	done := make(chan int, 10)
	if err := MeasureOthers(t.Context(), c, r, []string{folder}, paths, data, picture.DefaultLimits(),
		func(n int) { done <- n }); err != nil {
		t.Fatal(err)
	}
	if len(done) != len(paths) {
		t.Errorf("progress was told of %d pictures", len(done))
	}
	return r, folder, paths, data
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

// checkRisk compares areas and curves.
func checkRisk(t *testing.T, got, want Risk) {
	t.Helper()
	if !near(got.Area, want.Area) || len(got.Curve) != len(want.Curve) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i, p := range got.Curve {
		w := want.Curve[i]
		if p.Threshold != w.Threshold || !near(p.Coverage, w.Coverage) || !near(p.Risk, w.Risk) {
			t.Errorf("point %d %+v, want %+v", i, p, w)
		}
	}
}

func TestAcceptanceByHand(t *testing.T) {
	c := fakeJudge{classes: []string{"hat", "shoes"}, threshold: 0.4}
	r, folder, paths, data := fourAndFour(t, c)
	a := r.Acceptance
	if !r.Answers[0].Judged || r.Answers[0].Acceptance != 0.8 || a.Measure != ByAcceptance {
		t.Errorf("%+v by %s", r.Answers[0], a.Measure)
	}
	// At 0.4 three of four are accepted, all right and 0.9, 0.7 and 0.8 sure; of the others
	// 0.85 and 0.4. 95 % of four are four.
	two := newShare(2, 3)
	own := &Operating{0.4, newShare(3, 4), 1, Wilson(3, 3), 0.2, &two}
	at95 := accept.ThresholdFor(listAcceptances(r.Answers), 0.95)
	all := &Operating{at95, newShare(4, 4), 0.75, Wilson(3, 4), 0, &two}
	all.ECE, _ = Calibration(r.Answers)
	for name, pair := range map[string][2]*Operating{"own": {a.Own, own}, "95": {a.At95, all}} {
		got, want := *pair[0], *pair[1]
		if !near(got.ECE, want.ECE) {
			t.Errorf("%s: ECE %v, want %v", name, got.ECE, want.ECE)
		}
		got.ECE = want.ECE
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if s := newShare(1, 4); s != (Share{1, 4, 0.25, Wilson(1, 4)}) {
		t.Errorf("%+v", s)
	}
	// A picture at the threshold is accepted: 0.8 and 0.95 are.
	at, refused := measureThreshold(0.8, r.Answers, nil), listRefused(r.Answers, 0.8)
	if at.Accepted != newShare(2, 4) || len(refused) != 2 {
		t.Errorf("at the acceptance of a picture: %+v, refused %+v", at, refused)
	}
	checkRisk(t, a.Risk,
		Risk{1.0 / 16, []RiskPoint{{0.95, 0.25, 0}, {0.8, 0.5, 0}, {0.5, 0.75, 0}, {0.3, 1, 0.25}}})
	checkRisk(t, a.Other.Risk, Risk{(0 + 1./2 + 1./3 + 1./4 + 2./5 + 3./6 + 4./7) / 7, []RiskPoint{
		{0.95, 1. / 7, 0}, {0.85, 2. / 7, 1. / 2}, {0.8, 3. / 7, 1. / 3}, {0.5, 4. / 7, 1. / 4},
		{0.4, 5. / 7, 2. / 5}, {0.3, 6. / 7, 3. / 6}, {0.1, 1, 4. / 7},
	}})
	if want := []Judgement{{data.Samples[1].Path, "hat", "shoes", 0.6, 0.3}}; !slices.Equal(a.Refused, want) {
		t.Errorf("refused %+v, want %+v", a.Refused, want)
	}
	o := a.Other
	if want := []Judgement{{paths[0], "", "hat", 0.75, 0.85}, {paths[3], "", "shoes", 0.95, 0.4}}; !slices.Equal(
		o.Accepted, want) {
		t.Errorf("accepted %+v, want %+v", o.Accepted, want)
	}
	if !slices.Equal(o.Folders, []string{folder}) || o.Count != 3 || len(o.Answers) != 3 || len(o.Skipped) != 1 ||
		o.Skipped[0].Picture != paths[1] || !slices.Equal(o.Repeated, []Repeated{{paths[2], data.Samples[2].Path}}) {
		t.Errorf("%+v", o)
	}
	// Of the 12 pairs 0.8 and 0.5 win two each, 0.3 one, 0.95 three.
	if !near(o.AUROC, 8./12) || o.AUROCInterval != computeAUROCInterval(8./12, 4, 3) {
		t.Errorf("AUROC %v, %v", o.AUROC, o.AUROCInterval)
	}
}

// TestAcceptanceByProbability checks that the largest probability is measured if the model has no
// acceptance rule, that the report says so, and that there is then no threshold of the model's
// own.
func TestAcceptanceByProbability(t *testing.T) {
	c := fakeJudge{classes: []string{"hat", "shoes"}, threshold: 0.4, silent: true}
	data := set(t, map[string]string{"hat/1": "hat 0.9 0.8"})
	r, err := Run(t.Context(), c, data, picture.DefaultLimits(), nil)
	if err != nil || r.Acceptance != nil {
		t.Fatal(r, err)
	}
	r, _, paths, _ := fourAndFour(t, c)
	a := r.Acceptance
	if a.Measure != ByProbability || a.Own != nil || math.Abs(a.At95.Threshold-0.6) > 1e-6 ||
		a.Other.Accepted[0].Picture != paths[3] ||
		a.Other.Accepted[0].Acceptance != 0.95 || a.At95.FalseAccepts.Part != 2 {
		t.Errorf("%+v, other %+v", a, a.Other)
	}
}

func TestMeasureOthersRefuses(t *testing.T) {
	c := fakeJudge{classes: []string{"hat", "shoes"}}
	data := set(t, map[string]string{"hat/1": "hat 0.9 0.8"})
	r, err := Run(t.Context(), c, data, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, paths := otherFiles(t, "broken", "hat 0.9 0.8")
	err = MeasureOthers(t.Context(), c, r, nil, append(paths, "gone.jpg"), data, picture.DefaultLimits(), nil)
	if !errors.Is(err, ErrNoOthers) || !strings.Contains(err.Error(), "of 3, 2 could not be read, and 1 are also in") {
		t.Errorf("%v", err)
	}
	err = MeasureOthers(t.Context(), c, &Report{}, nil, paths, data, picture.DefaultLimits(), nil)
	if !errors.Is(err, ErrNoAnswers) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = MeasureOthers(ctx, c, r, nil, paths, data, picture.DefaultLimits(), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestAUROCInterval checks that the interval's ends are z standard errors away, that it contains
// the area, is within 0 and 1, is not empty at 1 and narrows with more pictures.
func TestAUROCInterval(t *testing.T) {
	for _, auroc := range []float64{0, 0.3, 0.5, 0.87, 0.999, 1} {
		width := 2.0
		for _, n := range []int{10, 100, 1000} {
			i := computeAUROCInterval(auroc, n, 2*n)
			if i[0] > auroc || i[1] < auroc || i[0] < 0 || i[1] > 1 || i[1]-i[0] >= width || i[1] == i[0] {
				t.Errorf("%v of %d: %v", auroc, n, i)
			}
			width = i[1] - i[0]
			for _, end := range i {
				if end == 0 || end == 1 || end == auroc {
					continue
				}
				// Hanley and McNeil's Q₁ and Q₂, with N for both numbers less one.
				m, k := float64(n), 2*float64(n)
				q1, q2, weight := end/(2-end), 2*end*end/(1+end), (m+k)/2-1
				v := (end*(1-end) + weight*(q1-end*end) + weight*(q2-end*end)) / (m * k)
				if d := math.Abs(end - auroc); math.Abs(d-z95*math.Sqrt(v)) > 1e-9 {
					t.Errorf("%v of %d: the end %v is %v away, want %v", auroc, n, end, d, z95*math.Sqrt(v))
				}
			}
		}
	}
}

// naiveArea returns the mean, over all answers, of the risk at the threshold that just accepts the
// answer.
func naiveArea(all []Answer) (mean float64) {
	for _, at := range all {
		accepted, wrong := 0.0, 0.0
		for _, a := range all {
			if a.Acceptance < at.Acceptance {
				continue
			}
			accepted++
			if !a.Right() {
				wrong++
			}
		}
		mean += wrong / accepted / float64(len(all))
	}
	return mean
}

// naiveAUROC compares all pairs of answers.
func naiveAUROC(answers, others []Answer) (auroc float64) {
	for _, a := range answers {
		for _, o := range others {
			switch {
			case a.Acceptance > o.Acceptance:
				auroc++
			case a.Acceptance == o.Acceptance:
				auroc += 0.5
			}
		}
	}
	return auroc / float64(len(answers)*len(others))
}

// TestAreasAgainstDefinition compares the areas with their definitions, with and without equal
// acceptances.
func TestAreasAgainstDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 7))
	for trial := range 40 {
		steps := []float64{4, 9, 1e9}[trial%3]
		draw := func(class string) Answer {
			a := said([]string{"a", "b"}[random.IntN(2)], 0.9)
			a.Class, a.Judged, a.Acceptance = class, true, math.Floor(random.Float64()*steps)/steps
			return a
		}
		var answers, others []Answer
		for range 1 + random.IntN(30) {
			answers = append(answers, draw("a"))
		}
		for range 1 + random.IntN(30) {
			others = append(others, draw(""))
		}
		got := newAcceptance(answers, 0.5)
		got.addOthers(answers, &Other{Answers: others})
		auroc, area, both := naiveAUROC(answers, others), naiveArea(answers), naiveArea(slices.Concat(answers, others))
		if !near(got.Other.AUROC, auroc) || !near(got.Risk.Area, area) || !near(got.Other.Risk.Area, both) {
			t.Errorf("AUROC %v, areas %v and %v; want %v, %v and %v", got.Other.AUROC, got.Risk.Area,
				got.Other.Risk.Area, auroc, area, both)
		}
	}
}

func TestThin(t *testing.T) {
	curve := make([]RiskPoint, 1234)
	for i := range curve {
		curve[i].Coverage = float64(i)
	}
	got := thin(curve)
	if len(got) != maxRiskPoints || got[0] != curve[0] || got[len(got)-1] != curve[1233] ||
		len(thin(curve[:200])) != 200 {
		t.Errorf("%d points, from %v to %v", len(got), got[0], got[len(got)-1])
	}
}

// setsReport is of five answers; a rule with the threshold 0.75 gives those whose first
// probability is at most that a second class.
func setsReport() *Report {
	answer := func(class, digest string, p float64, first, second string) Answer {
		return Answer{Class: class, digest: digest, Predictions: []model.Prediction{{Class: first, Probability: p},
			{Class: second, Probability: (1 - p) * 0.9}, {Class: "dress", Probability: (1 - p) * 0.1}}}
	}
	return &Report{Classes: []string{"dress", "hat", "shoes"}, Answers: []Answer{
		answer("hat", strings.Repeat("01", 32), 0.9, "hat", "shoes"),
		answer("hat", strings.Repeat("02", 32), 0.7, "shoes", "hat"),
		answer("hat", strings.Repeat("03", 32), 0.95, "shoes", "hat"),
		answer("shoes", strings.Repeat("04", 32), 0.6, "shoes", "hat"),
		answer("shoes", strings.Repeat("05", 32), 0.6, "hat", "dress"),
	}}
}

func TestSetsByHand(t *testing.T) {
	r := setsReport()
	rule := conformal.Rule{Coverage: 0.9, Threshold: 0.75, Free: 1, Pictures: 20, ChosenOn: 20, MeanSize: 1.5}
	c, err := model.NewCoverage(rule, []string{r.Answers[4].digest})
	if err != nil {
		t.Fatal(err)
	}
	s := MeasureSets(r, c, "some pictures")
	// The last is left out; sizes 1, 2, 1 of hat, the third without it, and 2 of shoes.
	figures := func(count, covered int, mean, variance float64) SetFigures {
		spread := z95 * math.Sqrt(variance/float64(count))
		return SetFigures{count, float64(covered) / float64(count), Wilson(covered, count), mean,
			[2]float64{max(1, mean-spread), mean + spread}}
	}
	want := &Sets{Rule: rule, FittedOn: "some pictures", LeftOut: 1, SetFigures: figures(4, 3, 1.5, 1./3),
		Sizes: []int{0, 2, 2}, PerClass: []ClassSets{
			{"hat", figures(3, 2, 4./3, 1./3)}, {"shoes", figures(1, 1, 2, 0)}}}
	round := func(s *Sets) string {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, f := range []*SetFigures{&s.SetFigures, &s.PerClass[0].SetFigures} {
		for i := range f.SizeInterval { // sums in another order
			f.SizeInterval[i] = math.Round(f.SizeInterval[i]*1e12) / 1e12
		}
	}
	for _, f := range []*SetFigures{&want.SetFigures, &want.PerClass[0].SetFigures} {
		for i := range f.SizeInterval {
			f.SizeInterval[i] = math.Round(f.SizeInterval[i]*1e12) / 1e12
		}
	}
	if round(s) != round(want) {
		t.Errorf("%s, want\n%s", round(s), round(want))
	}
	c, _ = model.NewCoverage(rule, []string{r.Answers[0].digest, r.Answers[1].digest, r.Answers[2].digest,
		r.Answers[3].digest, r.Answers[4].digest})
	if s := MeasureSets(r, c, ""); s.Count != 0 || s.LeftOut != 5 || s.Coverage != 0 {
		t.Errorf("%+v of pictures that the rule was fitted on", s)
	}
}

// TestFitSets checks that no picture which is measured takes part in the fit, and that the rule
// names the sets on which it was fitted.
func TestFitSets(t *testing.T) {
	fit := &Report{}
	for i := range 60 {
		a := said([]string{"a", "b"}[i%2], 0.5+float64(i)/200)
		a.digest = fmt.Sprintf("%010x%054x", 7*i+1, 0)
		fit.Answers = append(fit.Answers, a)
	}
	measured := &Report{Answers: fit.Answers[:10]}
	c, err := FitSets(fit, measured, 0.9)
	if err != nil {
		t.Fatal(err)
	}
	if c.Pictures+c.ChosenOn != 50 {
		t.Errorf("fitted on %d and %d", c.Pictures, c.ChosenOn)
	}
	for i, a := range fit.Answers {
		if c.WasFittedOn(a.digest) != (i >= 10) {
			t.Errorf("picture %d: %v", i, i < 10)
		}
	}
	var few *conformal.TooFewError
	if _, err := FitSets(fit, fit, 0.9); !errors.As(err, &few) || few.Have != 0 {
		t.Errorf("%v", err)
	}
}

// TestPageOfAcceptance checks that the page has the figures, both charts, and the pictures that
// were wrongly accepted or rejected.
func TestPageOfAcceptance(t *testing.T) {
	for _, silent := range []bool{false, true} {
		c := fakeJudge{classes: []string{"hat", "shoes"}, threshold: 0.4, silent: silent}
		r, _, _, _ := fourAndFour(t, c)
		rule := conformal.Rule{Coverage: 0.9, Threshold: 0.75, Free: 1, Pictures: 20, ChosenOn: 21, MeanSize: 1.5}
		r.Sets = MeasureSets(r, &model.Coverage{Rule: rule}, "other photos")
		var b strings.Builder
		if err := WritePage(t.Context(), &b, Document{Title: "x", Parts: []Part{{"test", r}}}); err != nil {
			t.Fatal(err)
		}
		wants := []string{"Acceptance, test", "Risk against coverage, test", "Other pictures wrongly accepted, test",
			"Prediction sets, test", "fitted on other photos: 21 pictures", "also in the data set",
			"1 other picture could not be read", "66.7 %</b><span>other pictures accepted where 95 %"}
		if silent {
			wants = append(wants, "does not judge", "largest probability 0.950")
		} else {
			wants = append(wants, "at least 0.4000", "Pictures wrongly refused, test", "acceptance 0.850",
				"0.667</b><span>AUROC")
		}
		for _, want := range wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("silent %v: the page lacks %q", silent, want)
			}
		}
	}
}
