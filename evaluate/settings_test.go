package evaluate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// figureTests names, for each figure of a report and of a comparison, a test that fails
// if the figure is wrong.
var figureTests = map[string]string{
	"Report.Folder":              "TestReportKeepsTheAnswers",
	"Report.Accuracy":            "TestScikitLearn",
	"Report.Count":               "TestScikitLearn",
	"Report.Interval":            "TestReportKeepsTheAnswers",
	"Report.TopK":                "TestScikitLearn",
	"Report.LogLoss":             "TestScikitLearn",
	"Report.MacroF1":             "TestScikitLearn",
	"Report.ECE":                 "TestReportKeepsTheAnswers",
	"Report.Bins":                "TestReportKeepsTheAnswers",
	"Report.Classes":             "TestRun",
	"Report.PerClass":            "TestScikitLearn",
	"Report.Confusion":           "TestScikitLearn",
	"Report.Skipped":             "TestReportKeepsTheAnswers",
	"Report.Wrong":               "TestWrong",
	"Report.Mapping":             "TestPageBesideItsPictures",
	"Report.TTA":                 "TestFlippedErrors",
	"Report.Answers":             "TestReportKeepsTheAnswers",
	"Report.DataDigest":          "TestReportKeepsTheAnswers",
	"Report.Seconds":             "TestReportKeepsTheAnswers",
	"Class.Class":                "TestScikitLearn",
	"Class.Precision":            "TestScikitLearn",
	"Class.Recall":               "TestScikitLearn",
	"Class.RecallInterval":       "TestScikitLearn",
	"Class.F1":                   "TestScikitLearn",
	"Class.Count":                "TestScikitLearn",
	"Skipped.Picture":            "TestReportKeepsTheAnswers",
	"Skipped.Reason":             "TestRunKeepsTheCauseOfASkip",
	"Skipped.Message":            "TestReportKeepsTheAnswers",
	"Wrong.Picture":              "TestWrong",
	"Wrong.Label":                "TestWrong",
	"Wrong.Predicted":            "TestWrong",
	"Wrong.Probability":          "TestWrong",
	"Wrong.LabelProbability":     "TestWrong",
	"Mapping.To":                 "TestMapClasses",
	"Mapping.Renamed":            "TestApply",
	"Mapping.Ignored":            "TestApply",
	"Renaming.Class":             "TestApply",
	"Renaming.To":                "TestApply",
	"Ignored.Class":              "TestApply",
	"Ignored.Pictures":           "TestApply",
	"Bin.Low":                    "TestBinsByHand",
	"Bin.High":                   "TestBinsByHand",
	"Bin.Count":                  "TestBinsByHand",
	"Bin.Confidence":             "TestBinsByHand",
	"Bin.Accuracy":               "TestBinsByHand",
	"Answer.Sample":              "TestReportKeepsTheAnswers",
	"Answer.Class":               "TestReportKeepsTheAnswers",
	"Answer.Predictions":         "TestReportKeepsTheAnswers",
	"Answer.Judged":              "TestAcceptanceByHand",
	"Answer.Acceptance":          "TestAcceptanceByHand",
	"Report.Acceptance":          "TestAcceptanceByHand",
	"Report.Sets":                "TestPageOfAcceptance",
	"Acceptance.Measure":         "TestAcceptanceByHand",
	"Acceptance.Own":             "TestAcceptanceByHand",
	"Acceptance.At95":            "TestAcceptanceByHand",
	"Acceptance.Risk":            "TestAcceptanceByHand",
	"Acceptance.Refused":         "TestAcceptanceByHand",
	"Acceptance.Other":           "TestAcceptanceByHand",
	"Operating.Threshold":        "TestAcceptanceByHand",
	"Operating.Accepted":         "TestAcceptanceByHand",
	"Operating.Accuracy":         "TestAcceptanceByHand",
	"Operating.AccuracyInterval": "TestAcceptanceByHand",
	"Operating.ECE":              "TestAcceptanceByHand",
	"Operating.FalseAccepts":     "TestAcceptanceByHand",
	"Share.Part":                 "TestAcceptanceByHand",
	"Share.Of":                   "TestAcceptanceByHand",
	"Share.Share":                "TestAcceptanceByHand",
	"Share.Interval":             "TestAcceptanceByHand",
	"Risk.Area":                  "TestAcceptanceByHand",
	"Risk.Curve":                 "TestAcceptanceByHand",
	"RiskPoint.Threshold":        "TestAcceptanceByHand",
	"RiskPoint.Coverage":         "TestAcceptanceByHand",
	"RiskPoint.Risk":             "TestAcceptanceByHand",
	"Judgement.Picture":          "TestAcceptanceByHand",
	"Judgement.Label":            "TestAcceptanceByHand",
	"Judgement.Predicted":        "TestAcceptanceByHand",
	"Judgement.Probability":      "TestAcceptanceByHand",
	"Judgement.Acceptance":       "TestAcceptanceByHand",
	"Other.Folders":              "TestAcceptanceByHand",
	"Other.Count":                "TestAcceptanceByHand",
	"Other.Skipped":              "TestAcceptanceByHand",
	"Other.Repeated":             "TestAcceptanceByHand",
	"Other.AUROC":                "TestAreasAgainstDefinition",
	"Other.AUROCInterval":        "TestAUROCInterval",
	"Other.Risk":                 "TestAcceptanceByHand",
	"Other.Accepted":             "TestAcceptanceByHand",
	"Other.Answers":              "TestAcceptanceByHand",
	"Repeated.Picture":           "TestAcceptanceByHand",
	"Repeated.Same":              "TestAcceptanceByHand",
	"Sets.Rule":                  "TestSetsByHand",
	"Sets.FittedOn":              "TestSetsByHand",
	"Sets.LeftOut":               "TestSetsByHand",
	"Sets.SetFigures":            "TestSetsByHand",
	"Sets.Sizes":                 "TestSetsByHand",
	"Sets.PerClass":              "TestSetsByHand",
	"SetFigures.Count":           "TestSetsByHand",
	"SetFigures.Coverage":        "TestSetsByHand",
	"SetFigures.Interval":        "TestSetsByHand",
	"SetFigures.MeanSize":        "TestSetsByHand",
	"SetFigures.SizeInterval":    "TestSetsByHand",
	"ClassSets.Class":            "TestSetsByHand",
	"ClassSets.SetFigures":       "TestSetsByHand",
	"Comparison.A":               "TestCompareByHand",
	"Comparison.B":               "TestCompareByHand",
	"Comparison.Count":           "TestCompareByHand",
	"Comparison.Both":            "TestCompareByHand",
	"Comparison.OnlyA":           "TestCompareByHand",
	"Comparison.OnlyB":           "TestCompareByHand",
	"Comparison.Neither":         "TestCompareByHand",
	"Comparison.PValue":          "TestCompareByHand",
	"Comparison.Differ":          "TestCompareByHand",
	"Side.Accuracy":              "TestCompareByHand",
	"Side.Interval":              "TestCompareByHand",
	"Side.LogLoss":               "TestCompareByHand",
	"Side.ECE":                   "TestCompareByHand",
	"Differing.Picture":          "TestCompareByHand",
	"Differing.Class":            "TestCompareByHand",
	"Differing.A":                "TestCompareByHand",
	"Differing.B":                "TestCompareByHand",
}

// TestEveryFigureHasATest fails if a figure is added without a test, or if a test that
// figureTests names is gone.
func TestEveryFigureHasATest(t *testing.T) {
	left := map[string]bool{}
	for name := range figureTests {
		left[name] = true
	}
	for _, v := range []any{Report{}, Class{}, Skipped{}, Wrong{}, Mapping{}, Renaming{}, Ignored{}, Bin{}, Answer{},
		Comparison{}, Side{}, Differing{}, Acceptance{}, Operating{}, Share{}, Risk{}, RiskPoint{}, Judgement{},
		Other{},
		Repeated{}, Sets{}, SetFigures{}, ClassSets{}} {
		kind := reflect.TypeOf(v)
		for i := range kind.NumField() {
			name := kind.Name() + "." + kind.Field(i).Name
			if !kind.Field(i).IsExported() {
				continue
			}
			if figureTests[name] == "" {
				t.Errorf("%s has no test: write one that fails if it is wrong, and name it in figureTests", name)
			}
			delete(left, name)
		}
	}
	for name := range left {
		t.Errorf("%s is in figureTests, and there is no such figure", name)
	}
	tests := testNames(t)
	for name, test := range figureTests {
		if !tests[test] {
			t.Errorf("%s: there is no test %s", name, test)
		}
	}
}

// testNames are the tests of this package.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	names := map[string]bool{}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// TestReportKeepsTheAnswers checks what a report holds beside the figures of single
// classes, with three answers and a picture that could not be read.
func TestReportKeepsTheAnswers(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "hat", "hat/2": "error", "shoes/1": "shoes", "shoes/2": "hat"})
	classes := []string{"hat", "shoes"}
	r, err := Run(t.Context(), fake{classes}, s, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Folder != s.Folder || r.Interval != Wilson(2, 3) || !(r.Seconds > 0) {
		t.Errorf("folder %s, interval %v, %v seconds", r.Folder, r.Interval, r.Seconds)
	}
	if len(r.Skipped) != 1 || r.Skipped[0].Picture != s.Samples[1].Path ||
		r.Skipped[0].Message != s.Samples[1].Path+": broken" {
		t.Errorf("skipped %+v", r.Skipped)
	}
	// All three first probabilities are 0.75, and two of the answers are right.
	if ece := 0.75 - 2.0/3; math.Abs(r.ECE-ece) > 1e-12 || len(r.Bins) != bins || r.Bins[11].Count != 3 {
		t.Errorf("ECE %v, want %v; %+v", r.ECE, ece, r.Bins)
	}
	if len(r.Answers) != 3 {
		t.Fatalf("%d answers", len(r.Answers))
	}
	digest := sha256.New()
	for i, want := range []struct {
		sample                int
		class, content, first string
	}{{0, "hat", "hat", "hat"}, {2, "shoes", "shoes", "shoes"}, {3, "shoes", "hat", "hat"}} {
		a := r.Answers[i]
		if a.Sample != s.Samples[want.sample] || a.Class != want.class || a.Predictions[0].Class != want.first {
			t.Errorf("answer %d: %+v", i, a)
		}
		if a.Right() != (want.first == want.class) {
			t.Errorf("answer %d is right: %v", i, a.Right())
		}
		fmt.Fprintf(digest, "%x %s\n", sha256.Sum256([]byte(want.content)), want.class)
	}
	if want := fmt.Sprintf("sha256:%x", digest.Sum(nil)); r.DataDigest != want {
		t.Errorf("digest %s, want %s", r.DataDigest, want)
	}
	// Of takes the same answers and comes to the same report.
	kept := &dataset.Set{Folder: s.Folder, Classes: s.Classes}
	var digests []string
	var predictions [][]model.Prediction
	for _, a := range r.Answers {
		kept.Samples = append(kept.Samples, a.Sample)
		digests, predictions = append(digests, a.digest), append(predictions, a.Predictions)
	}
	again := Summarize(classes, kept, digests, predictions)
	again.Seconds, again.Skipped = r.Seconds, r.Skipped
	if !reflect.DeepEqual(again, r) {
		t.Errorf("Of reports\n%+v, and Run\n%+v", again, r)
	}
}

// TestLogLossIsBounded checks that a probability of 0 for the right class counts as 1e-15, so that
// one such answer does not make the mean infinite.
func TestLogLossIsBounded(t *testing.T) {
	s := &dataset.Set{Classes: []string{"hat", "shoes"}, Samples: []dataset.Sample{{Label: 0}}}
	r := Summarize(s.Classes, s, []string{""}, [][]model.Prediction{{{Class: "shoes", Probability: 1}, {Class: "hat"}}})
	if want := -math.Log(1e-15); math.Abs(r.LogLoss-want) > 1e-9 {
		t.Errorf("log loss %v, want %v", r.LogLoss, want)
	}
}

// TestReportOfNothing checks that every figure of a report without answers is a number.
func TestReportOfNothing(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "error"})
	r, err := Run(t.Context(), fake{[]string{"hat"}}, s, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Count != 0 || r.Accuracy != 0 || r.LogLoss != 0 || r.MacroF1 != 0 || r.ECE != 0 ||
		r.Interval != [2]float64{0, 1} || len(r.TopK) != 0 {
		t.Errorf("%+v", r)
	}
}

// TestMacroF1LeavesOutWhatDoesNotOccur checks that the mean leaves out a class that has no
// pictures and was never answered.
func TestMacroF1LeavesOutWhatDoesNotOccur(t *testing.T) {
	s := set(t, map[string]string{"dress/1": "error", "hat/1": "hat", "shoes/1": "shoes"})
	r, err := Run(t.Context(), fake{[]string{"dress", "hat", "shoes"}}, s, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.MacroF1 != 1 || len(r.PerClass) != 3 {
		t.Errorf("macro F1 %v of %+v", r.MacroF1, r.PerClass)
	}
}

func TestTopKIsExact(t *testing.T) {
	// A sum of 1/n is not 1 for n = 10, nor 0.7 after seven of ten.
	for n := 1; n <= 60; n++ {
		for hits := range n + 1 {
			var answers []Answer
			for i := range n {
				class := "a"
				if i >= hits {
					class = "d"
				}
				all := []model.Prediction{{Class: "a"}, {Class: "b"}, {Class: "c"}, {Class: "d"}}
				answers = append(answers, Answer{Class: class, Predictions: all})
			}
			got := computeTopK(answers)
			for _, k := range []int{1, 2, 3} {
				if share, ok := got[k]; !ok || share != float64(hits)/float64(n) {
					t.Fatalf("top %d of %d hits in %d answers: %v", k, hits, n, got)
				}
			}
		}
	}
}

func TestBinsByHand(t *testing.T) {
	answers := []Answer{said("a", 0.70), said("b", 0.72), said("a", 0.73), said("a", 0.99)}
	ece, all := Calibration(answers)
	for b, bin := range all {
		if math.Abs(bin.Low-float64(b)/15) > 1e-15 || math.Abs(bin.High-float64(b+1)/15) > 1e-15 {
			t.Errorf("range %d is from %v to %v", b, bin.Low, bin.High)
		}
		count, confidence, accuracy := 0, 0.0, 0.0
		switch b {
		case 10: // from 0.667 to 0.733
			count, confidence, accuracy = 3, (0.70+0.72+0.73)/3, 2.0/3
		case 14:
			count, confidence, accuracy = 1, 0.99, 1
		}
		if bin.Count != count || math.Abs(bin.Confidence-confidence) > 1e-12 ||
			math.Abs(bin.Accuracy-accuracy) > 1e-12 {
			t.Errorf("range %d: %+v", b, bin)
		}
	}
	if want := 3.0/4*(2.15/3-2.0/3) + 1.0/4*0.01; math.Abs(ece-want) > 1e-12 {
		t.Errorf("ECE %v, want %v", ece, want)
	}
}

func TestCompareByHand(t *testing.T) {
	report := func(accuracy float64, firsts ...string) *Report {
		r := &Report{
			DataDigest: "x", Count: len(firsts), Accuracy: accuracy, Interval: [2]float64{accuracy / 2, 2 * accuracy},
			LogLoss: 3 * accuracy, ECE: 4 * accuracy,
		}
		for i, first := range firsts {
			a := said(first, 0.9) // each is of the class a
			a.Sample = dataset.Sample{Path: fmt.Sprint("picture", i)}
			r.Answers = append(r.Answers, a)
		}
		return r
	}
	a, b := report(0.3, "a", "a", "b", "c", "a", "a", "b"), report(0.4, "a", "d", "a", "e", "f", "g", "h")
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := &Comparison{
		A:     Side{0.3, [2]float64{0.15, 0.6}, a.LogLoss, a.ECE},
		B:     Side{0.4, [2]float64{0.2, 0.8}, b.LogLoss, b.ECE},
		Count: 7, Both: 1, OnlyA: 3, OnlyB: 1, Neither: 2, PValue: McNemar(3, 1),
		Differ: []Differing{
			{"picture1", "a", "a", "d"}, {"picture2", "a", "b", "a"},
			{"picture4", "a", "a", "f"}, {"picture5", "a", "a", "g"},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
	short := report(0.4, "a")
	if _, err := Compare(a, short); err == nil {
		t.Error("reports on different numbers of pictures were compared")
	}
}

// TestTemperatureDivides checks that logits which are k times too large need a temperature k times
// as large, and that confidence then equals accuracy.
func TestTemperatureDivides(t *testing.T) {
	fit := func(scale float32) float64 {
		var logits [][]float32
		var labels []int
		for i := range 1000 { // the first class is right in nine of ten
			logits = append(logits, []float32{scale, 0, 0})
			labels = append(labels, []int{1, 2}[i%2]*max(0, 1-i%10))
		}
		return Temperature(logits, labels)
	}
	one, three := fit(2), fit(6)
	if math.Abs(three/one-3) > 0.02 {
		t.Errorf("temperatures %v, and %v for logits three times as large", one, three)
	}
	// softmax(scale/T, 0, 0) = 0.9 for scale/T = ln(0.9/0.05).
	if want := 6 / math.Log(0.9/0.05); math.Abs(three-want) > 0.02*want {
		t.Errorf("temperature %v, want %v", three, want)
	}
	if sure := fit(1); sure >= 1 {
		t.Errorf("logits that are too small need a temperature below 1, not %v", sure)
	}
}

// TestPageOrder checks that the page shows first the most confident wrong answers and the least
// confident right ones.
func TestPageOrder(t *testing.T) {
	answers := []Answer{said("a", 0.9), said("b", 0.6), said("a", 0.55), said("b", 0.8), said("a", 0.7)}
	probabilities := func(all []Answer) (p []float64) {
		for _, a := range all {
			p = append(p, a.Predictions[0].Probability)
		}
		return p
	}
	if got := probabilities(sortWrong(answers)); !slices.Equal(got, []float64{0.8, 0.6}) {
		t.Errorf("most wrong %v", got)
	}
	if got := probabilities(sortUnsure(answers)); !slices.Equal(got[:2], []float64{0.55, 0.7}) {
		t.Errorf("least sure %v", got)
	}
}

// TestRunKeepsTheCauseOfASkip checks that a skipped picture is listed with its reason and message.
func TestRunKeepsTheCauseOfASkip(t *testing.T) {
	s := set(t, map[string]string{"hat/1": "error", "hat/2": "hat", "hat/3": "hat"})
	a := classify(t.Context(), fake{[]string{"hat"}}, s.Samples[0], "hat", picture.DefaultLimits())
	if a.err == nil || errors.Unwrap(a.err).Error() != "broken" {
		t.Errorf("%v", a.err)
	}
	if err := os.Remove(s.Samples[1].Path); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), fake{[]string{"hat"}}, s, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Skipped) != 2 || r.Skipped[0].Reason != dataset.FindReason(a.err) ||
		r.Skipped[1].Reason != dataset.ReasonMissing {
		t.Errorf("skipped %+v", r.Skipped)
	}
}
