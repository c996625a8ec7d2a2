package evaluate

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"garb/model"
	"garb/report"
)

// TestHintsAreBounded checks that a hint differs in few letters, one and one more for every five,
// or contains the name.
func TestHintsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 40)
	for _, test := range []struct {
		name  string
		known []string
		want  []string
	}{
		{"abcd", []string{"abce", "abef"}, []string{"abce"}},
		{"abcde", []string{"abxye", "xyzde"}, []string{"abxye"}},
		{"abcdefghij", []string{"abcdefgxyz", "abcdefwxyz"}, []string{"abcdefgxyz"}},
		{"suit", []string{"swimsuits of silk", "sui", "su"}, []string{"sui", "swimsuits of silk"}},
		{"su", []string{"suits"}, nil},
		{"a", []string{"b", "c", "d", "e"}, []string{"b", "c", "d"}},
		{"hat", []string{"hats", "hat x", "hats"}, []string{"hats", "hat x"}},
		{"--", []string{"--"}, nil},
		{"hat", []string{"--"}, nil},
		{long, []string{long + "!"}, []string{long + "!"}},
		{long + "x", []string{long}, nil},
		{long, []string{long + "x"}, nil},
	} {
		if have := findClosest(test.name, test.known); !slices.Equal(have, test.want) {
			t.Errorf("close to %q are %q, want %q", test.name, have, test.want)
		}
	}
	var data []string
	for i := range hintedClasses + 1 {
		data = append(data, fmt.Sprintf("hats%d", i))
	}
	for name, err := range map[string]error{
		"MapClasses": func() error { _, err := MapClasses(data, []string{"hats"}); return err }(),
		"checkKnown": checkKnown(data, []string{"hats"}),
	} {
		var e *UnknownClassesError
		if !errors.As(err, &e) || len(e.Unknown) != len(data) {
			t.Fatalf("%s: %v", name, err)
		}
		for i, u := range e.Unknown {
			if hinted := len(u.Closest) > 0; hinted != (i < hintedClasses) {
				t.Errorf("%s: unknown class %d has the hints %q", name, i, u.Closest)
			}
		}
	}
}

// TestAmbiguousClassesHaveNoHints checks that there is no hint besides the list of candidates.
func TestAmbiguousClassesHaveNoHints(t *testing.T) {
	_, err := MapClasses([]string{"HAT"}, []string{"hat", "Hat"})
	var e *UnknownClassesError
	if !errors.As(err, &e) || len(e.Unknown) != 1 || !slices.Equal(e.Unknown[0].Ambiguous, []string{"hat", "Hat"}) ||
		e.Unknown[0].Closest != nil {
		t.Errorf("%+v", err)
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "xabc", 1},
		{"abc", "ac", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"flaw", "lawn", 2},
	} {
		if have := editDistance([]rune(test.a), []rune(test.b)); have != test.want {
			t.Errorf("from %q to %q: %d, want %d", test.a, test.b, have, test.want)
		}
	}
}

// TestMatrixCells checks that a cell's opacity is 0.12 + 0.6·√share of its row, and that right
// answers have another colour.
func TestMatrixCells(t *testing.T) {
	rows := newMatrix(&Report{Classes: []string{"hat", "shoes"}, Confusion: [][]int{{3, 1}, {0, 0}}})
	want := []matrixRow{
		{"hat", []cell{{3, "background:rgba(var(--good),0.64)"}, {1, "background:rgba(var(--bad),0.42)"}}},
		{"shoes", []cell{{}, {}}},
	}
	if fmt.Sprint(rows) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", rows, want)
	}
}

// TestHistogram reads the steps of a histogram back from its drawing: their sides follow one
// another, and their heights are the shares.
func TestHistogram(t *testing.T) {
	answers := func(accepted ...float64) (all []Answer) {
		for _, a := range accepted {
			all = append(all, Answer{Judged: true, Acceptance: a})
		}
		return all
	}
	// Columns are 0.04 wide.
	r := &Report{Count: 4, Answers: answers(0, 0.039, 0.5, 1), Acceptance: &Acceptance{Own: &Operating{}}}
	drawing := string(drawHistogram(Part{"test", r}))
	path := regexp.MustCompile(`<path d="M([^"]*)"`).FindStringSubmatch(drawing)
	if path == nil {
		t.Fatal(drawing)
	}
	points := strings.Split(path[1], "L")
	if len(points) != 2*histogramBins {
		t.Fatalf("%d points", len(points))
	}
	var left, right, bottom, high float64
	for i, point := range points {
		var x, y float64
		if _, err := fmt.Sscan(point, &x, &y); err != nil {
			t.Fatal(err)
		}
		switch i {
		case 0:
			left, high = x, y
		case 2:
			bottom = y
		case len(points) - 1:
			right = x
		}
	}
	for i, point := range points {
		var x, y float64
		if _, err := fmt.Sscan(point, &x, &y); err != nil {
			t.Fatal(err)
		}
		share := map[int]float64{0: 0.5, 12: 0.25, 24: 0.25}[i/2]
		wantX := left + (right-left)*float64((i+1)/2)/histogramBins
		wantY := bottom + (high-bottom)*share/0.5
		// The drawing has tenths.
		if math.Abs(x-wantX) > 0.11 || math.Abs(y-wantY) > 0.11 {
			t.Errorf("point %d is at (%v, %v), want (%v, %v)", i, x, y, wantX, wantY)
		}
	}
}

// TestFlippedJudges checks that the acceptance is the mean of those of the picture and its mirror
// image.
func TestFlippedJudges(t *testing.T) {
	c, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain, mirrored := lopsided(t, c.Spec().Width)
	judge := func(j Judge, data []byte) model.Answer {
		a, err := j.Judge(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	f := NewFlipped(c)
	a, b, both := judge(c, plain), judge(c, mirrored), judge(f, plain)
	if !f.Judges() || !both.Judged || math.Abs(both.Acceptance-(a.Acceptance+b.Acceptance)/2) > 1e-12 ||
		a.Acceptance == b.Acceptance {
		t.Errorf("acceptances %v and %v, and %v by both", a.Acceptance, b.Acceptance, both.Acceptance)
	}
	threshold := c.AcceptanceThreshold()
	if f.AcceptanceThreshold() != threshold || both.Accepted != (both.Acceptance >= threshold) {
		t.Errorf("accepted is %v with %v, from %v on", both.Accepted, both.Acceptance, f.AcceptanceThreshold())
	}
}

// TestCharts checks that there is a curve for each kind of figure, and for the learning rate if it
// changes.
func TestCharts(t *testing.T) {
	curves := []Curve{
		{Epoch: 1, Accuracy: 0.1, ValidationAccuracy: 0.2, Loss: 3, ValidationLoss: 4, LearningRate: 0.5},
		{Epoch: 2, Accuracy: 0.3, ValidationAccuracy: 0.4, Loss: 1, ValidationLoss: 2, LearningRate: 0.5},
	}
	check := func(name string, s report.Series, dashed bool, y ...float64) {
		t.Helper()
		if !slices.Equal(s.X, []float64{1, 2}) || !slices.Equal(s.Y, y) || s.Dashed != dashed {
			t.Errorf("%s: %+v", name, s)
		}
	}
	all := Charts(curves)
	if len(all) != 2 || len(all["accuracy"].Series) != 2 || len(all["loss"].Series) != 2 || !all["loss"].Points {
		t.Fatalf("%+v", all)
	}
	check("accuracy", all["accuracy"].Series[0], true, 0.1, 0.3)
	check("validation accuracy", all["accuracy"].Series[1], false, 0.2, 0.4)
	check("loss", all["loss"].Series[0], true, 3, 1)
	check("validation loss", all["loss"].Series[1], false, 4, 2)
	curves[1].LearningRate = 0.25
	all = Charts(curves)
	if len(all) != 3 || len(all["rate"].Series) != 1 {
		t.Fatalf("%+v", all)
	}
	check("learning rate", all["rate"].Series[0], false, 0.5, 0.25)
	if Charts(nil) != nil {
		t.Error("charts of nothing")
	}
	if !Charts(make([]Curve, 29))["loss"].Points || Charts(make([]Curve, 30))["loss"].Points {
		t.Error("points are not for curves of fewer than 30 epochs")
	}

	var b strings.Builder
	if err := WritePage(t.Context(), &b, Document{Curves: curves}); err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"Accuracy", "Loss", "Learning rate"} {
		if strings.Count(b.String(), `aria-label="`+title+`"`) != 1 {
			t.Errorf("the page has no chart of %s", title)
		}
	}
}

// TestPageOfManyClasses checks that a page has a confusion matrix for up to 40 classes, and lists
// the wrong answers that it does not show.
func TestPageOfManyClasses(t *testing.T) {
	for _, n := range []int{maxTableSide, maxTableSide + 1} {
		r := &Report{}
		for i := range n {
			r.Classes = append(r.Classes, fmt.Sprintf("class%d", i))
			r.Confusion = append(r.Confusion, make([]int, n))
			r.PerClass = append(r.PerClass, Class{Class: r.Classes[i]})
		}
		r.Confusion[0][1] = 12345
		for i := range shownPictures + 2 {
			r.Answers = append(r.Answers, said("class0", 0.9-float64(i)/1000))
			r.Answers[i].Class = "class1"
			r.Answers[i].Sample.Path = fmt.Sprintf("wrong%02d", i)
		}
		var b strings.Builder
		if err := WritePage(t.Context(), &b, Document{Parts: []Part{{"test", r}}}); err != nil {
			t.Fatal(err)
		}
		if have := strings.Contains(b.String(), "12345"); have != (n <= maxTableSide) {
			t.Errorf("%d classes: the page has their matrix: %v", n, have)
		}
		for i := range shownPictures + 2 {
			if !strings.Contains(b.String(), fmt.Sprintf("wrong%02d", i)) {
				t.Errorf("%d classes: wrong answer %d is not on the page", n, i)
			}
		}
	}
}

// TestPageHasTheFigures: each figure of a report is on its page, in percent or with three
// digits.
func TestPageHasTheFigures(t *testing.T) {
	r := &Report{Count: 1234, Accuracy: 0.1234, Interval: [2]float64{0.1112, 0.2223}, MacroF1: 0.4567, LogLoss: 0.7891,
		ECE: 0.0342, TopK: map[int]float64{1: 0.1234, 2: 0.5512}, Classes: []string{"hat"}, Confusion: [][]int{{4321}},
		PerClass: []Class{{Class: "hat", Precision: 0.611, Recall: 0.622, RecallInterval: [2]float64{0.573, 0.684},
			F1: 0.6152, Count: 77}}}
	d := Document{Parts: []Part{{"test", r}}, Curves: []Curve{{Epoch: 1, Seconds: 60}, {Epoch: 2, Seconds: 30}}}
	d.About.Training = &model.Training{Settings: []byte(`{}`)}
	var b strings.Builder
	if err := WritePage(t.Context(), &b, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"12.3 %", "11.1 to 22.2 %", "0.457", "0.789", "0.034", "55.1 %", "61.1 %", "62.2 %",
		"57.3 to 68.4 %", "0.615", ">77<", ">4321<", "1234 pictures", "1.5 minutes"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestMeanIntervalsOfFewPictures: two trials on one picture, and on two by hand.
func TestMeanIntervalsOfFewPictures(t *testing.T) {
	one := MeanIntervals([][]Trial{{answers("", "1"), answers("", "0")}})[0]
	if !(0 <= one[0] && one[0] < one[1] && one[1] <= 1) {
		t.Errorf("one picture: %v", one)
	}
	// The shares are 1 and ½. All that the trials differ by is explained by the pictures.
	pictures := (0.25*0.25 + 0.25*0.25) / (2 * 1)
	const t1 = 12.7062 // with one degree of freedom
	want := computeWilson(0.75, 0.75*0.25/pictures*(z95/t1)*(z95/t1))
	two := MeanIntervals([][]Trial{{answers("", "11"), answers("", "10")}})[0]
	if math.Abs(two[0]-want[0])+math.Abs(two[1]-want[1]) > 1e-5 {
		t.Errorf("two pictures: %v, want %v", two, want)
	}
}
