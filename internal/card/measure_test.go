package card

import (
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/model"
	"garb/picture"
)

// fake answers by a picture's first values: red of 40·c is class c, so that each test
// picture says what will be answered; green is the acceptance, of 255.
type fake struct {
	classes []string
	judges  bool
}

func (f fake) Classes() []string      { return f.classes }
func (f fake) Digest() string         { return "sha256:fake" }
func (f fake) Limits() picture.Limits { return picture.DefaultLimits() }
func (f fake) OutputCount() int       { return len(f.classes) + 1 }
func (f fake) Spec() picture.Spec {
	return picture.Spec{Width: 1, Height: 1, Filter: picture.Nearest, Fit: picture.Stretch, Std: [3]float32{1, 1, 1}}
}

func (f fake) Outputs(_ context.Context, inputs, rows []float32) error {
	width := f.OutputCount()
	for i := range len(rows) / width {
		row := rows[i*width:][:width]
		clear(row)
		if class := int(inputs[3*i]+20) / 40; class < len(f.classes) {
			row[class] = 5
		}
		row[len(f.classes)] = inputs[3*i+1]
	}
	return nil
}

func (f fake) Answer(row []float32) model.Answer {
	a := model.Answer{Judged: f.judges, Accepted: true, Acceptance: 1}
	probabilities := model.Softmax(row[:len(f.classes)])
	for _, c := range model.Rank(row[:len(f.classes)]) {
		a.Predictions = append(a.Predictions, model.Prediction{Class: f.classes[c], Probability: probabilities[c]})
	}
	if f.judges {
		a.Acceptance = float64(row[len(f.classes)]) / 255
		a.Accepted = a.Acceptance >= 0.5
	}
	return a
}

// put writes a PNG that the fake takes for a class with an acceptance of so many 255ths.
func put(t *testing.T, root, name string, class, acceptance int) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		m.Set(i%8, i/8, color.RGBA{uint8(40 * class), uint8(acceptance), 0, 255})
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
}

func putText(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// modelData is a small MODELDATA; classes are by number: 0 hat, 1 shoes, 2 blazer, 3 other.
func modelData(t *testing.T) string {
	root := t.TempDir()
	for _, set := range []string{"aside/test", "aside/full", "aside/worn10", "aside/worn", "full/validation",
		"worn/validation"} {
		put(t, root, set+"/hat/a.png", 0, 200)
		put(t, root, set+"/hat/b.png", 0, 200)
		put(t, root, set+"/hat/c.png", 1, 100) // wrong and refused
		put(t, root, set+"/shoes/d.png", 1, 200)
		put(t, root, set+"/blazer/e.png", 2, 200) // none of the ten
	}
	putText(t, root, "aside/kids.csv", `image,class,kids
hat/a.png,hat,True
hat/b.png,hat,False
hat/c.png,hat,True
shoes/d.png,shoes,False
blazer/e.png,blazer,False
`)
	put(t, root, "aside/street/1.png", 1, 200)
	put(t, root, "aside/street/2.png", 0, 200)
	put(t, root, "aside/street/3.png", 2, 200) // a blazer, worn as outwear
	put(t, root, "aside/street/4.png", 2, 200)
	putText(t, root, "aside/street.csv", "photo,garments\n1.png,hat|shoes\n2.png,shoes\n3.png,outwear\n4.png,\n")
	put(t, root, "street/validation/hat/1.png", 1, 200)
	put(t, root, "street/validation/hat/2.png", 1, 200)
	putText(t, root, "street-validation.csv", "photo,garments\nhat/1.png,hat|shoes\nhat/2.png,hat\n")
	put(t, root, "aside/named/1.png", 0, 200)
	put(t, root, "aside/named/2.png", 1, 50)
	put(t, root, "aside/named/3.png", 1, 200)
	putText(t, root, "aside/named.csv", "image,class\n1.png,shoes|hat\n2.png,hat\n3.png,\n")
	put(t, root, "named/validation/hat/1.png", 0, 200)
	for _, set := range []string{"aside/other", "other/validation", "aside/empty", "empty/validation"} {
		put(t, root, set+"/1.png", 0, 10)
		put(t, root, set+"/2.png", 3, 128)
		put(t, root, set+"/3.png", 0, 90)
	}
	return root
}

func TestMeasure(t *testing.T) {
	root := modelData(t)
	all := fake{[]string{"hat", "shoes", "blazer"}, true}
	for _, c := range []struct {
		name  string
		model fake
		set   func(*Options)
		want  map[string][2]int // right and count
	}{
		{"ten classes, set aside", all, func(*Options) {}, map[string][2]int{
			"test.accuracy": {3, 4}, "test.accepted": {3, 4}, "full.accuracy": {3, 4},
			"worn.accuracy": {3, 4}, "worn.accepted": {3, 4}, "worn.accepted-at-95": {4, 4},
			"worn-class.hat": {2, 3}, "street.worn": {1, 3}, "named.accepted": {2, 3}, "named.right": {1, 2},
			"other.accepted": {1, 3}, "other.accepted-at-95": {1, 3}, "empty.accepted": {1, 3},
			"kids.accuracy": {1, 2}, "adults.accuracy": {2, 2},
			"changed.turned-90.accuracy": {3, 4}, "changed.small.accuracy": {3, 4}, "changed.middle.accepted": {3, 4},
		}},
		{"all kinds, set aside", all, func(o *Options) { o.Ten = false }, map[string][2]int{
			"test.accuracy": {4, 5}, "full.accuracy": {4, 5}, "worn.accuracy": {4, 5}, "street.worn": {2, 3},
			"adults.accuracy": {3, 3},
		}},
		{"validation", all, func(o *Options) { o.Validation = true }, map[string][2]int{
			"test.accuracy": {3, 4}, "worn.accuracy": {3, 4}, "street.worn": {1, 2}, "named.right": {1, 1},
			"other.accepted": {1, 3},
		}},
		{"a class for other pictures", fake{[]string{"hat", "shoes", "blazer", "none"}, false},
			func(o *Options) { o.Other = "none" },
			map[string][2]int{"test.accuracy": {3, 4}, "test.accepted": {4, 4}, "other.accepted": {2, 3},
				"named.accepted": {3, 3}}},
		{"no acceptance", fake{[]string{"hat", "shoes", "blazer"}, false}, func(*Options) {},
			map[string][2]int{"other.accepted": {3, 3}, "nothing.accepted": {2, 2}, "other.accepted-at-95": {2, 3}}},
		{"the test pictures alone", all, func(o *Options) { o.TestOnly = true },
			map[string][2]int{"test.accuracy": {3, 4}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Folder: root, Name: "m", Ten: true, DrawnSeed: 1, Drawn: 2}
			c.set(&o)
			m := measure(t, c.model, o)
			if o.TestOnly && len(m.Figures) != 5 {
				t.Errorf("%d figures of the test pictures, want 5", len(m.Figures))
			}
			for key, want := range c.want {
				checkShare(t, m, key, want)
			}
		})
	}
}

// measure returns the figures of a model, which is called m.
func measure(t *testing.T, model Classifier, o Options) Measured {
	t.Helper()
	figures, err := Measure(t.Context(), model, o)
	if err != nil {
		t.Fatal(err)
	}
	return Measured{Figures: figures}
}

// checkShare checks that a figure is the share of want[0] among want[1] pictures.
func checkShare(t *testing.T, m Measured, key string, want [2]int) {
	t.Helper()
	f, err := m.Find("m." + key)
	if got := [2]int{f.Right, f.Count}; err != nil || got != want {
		t.Errorf("%s is %v, want %v (%v)", key, got, want, err)
	}
	if f.Value != float64(want[0])/float64(want[1]) || f.Interval[0] > f.Value || f.Interval[1] < f.Value {
		t.Errorf("%s is %v with the interval %v", key, f.Value, f.Interval)
	}
}

// TestMeasureMeans compares the figures that are no shares of pictures with values by hand.
func TestMeasureMeans(t *testing.T) {
	m := measure(t, fake{[]string{"hat", "shoes", "blazer"}, true},
		Options{Folder: modelData(t), Name: "m", Ten: true, DrawnSeed: 1, Drawn: 2})
	recall, _ := m.Find("m.test.recall")
	if want := (2.0/3 + 1) / 2; math.Abs(recall.Value-want) > 1e-12 {
		t.Errorf("macro recall %v, want %v", recall.Value, want)
	}
	p := math.Exp(5) / (math.Exp(5) + 2) // the probability of every answer
	p = p / (p + (1-p)/2)                // among the two of the ten classes
	if ece, _ := m.Find("m.test.ece"); math.Abs(ece.Value-(p-0.75)) > 1e-6 {
		t.Errorf("ECE %v, want %v", ece.Value, p-0.75)
	}
	if accepted, _ := m.Find("m.test.ece-accepted"); math.Abs(accepted.Value-(1-p)) > 1e-6 || accepted.Count != 3 {
		t.Errorf("ECE of accepted answers %v of %d, want %v of 3", accepted.Value, accepted.Count, 1-p)
	}
	d, _ := m.Find("m.kids.difference")
	if d.Value != -0.5 || d.Interval[0] >= d.Value || d.Interval[1] <= d.Value {
		t.Errorf("children's accuracy less adults' %v, %v, want -0.5", d.Value, d.Interval)
	}
}

func TestMeasureErrors(t *testing.T) {
	model := fake{[]string{"hat", "shoes"}, true}
	for _, c := range []struct {
		name  string
		spoil func(root string) error
		other string
		want  string
	}{
		{name: "no such class", other: "rest", want: `no class "rest"`},
		{name: "no pictures of a kind",
			spoil: func(root string) error { return os.RemoveAll(filepath.Join(root, "aside/worn10")) },
			want:  "worn10"},
		{name: "a broken picture", spoil: func(root string) error {
			return os.WriteFile(filepath.Join(root, "aside/other/1.png"), []byte("no"), 0o644)
		}, want: "1.png"},
		{name: "another table", spoil: func(root string) error {
			return os.WriteFile(filepath.Join(root, "aside/street.csv"), []byte("a,b\n1,2\n"), 0o644)
		}, want: "street.csv"},
		{name: "an empty folder", spoil: func(root string) error {
			if err := os.RemoveAll(filepath.Join(root, "aside/empty")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(root, "aside/empty"), 0o755)
		}, want: "no pictures"},
	} {
		root := modelData(t)
		if c.spoil != nil {
			if err := c.spoil(root); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Measure(t.Context(), model, Options{Folder: root, Name: "m", Ten: true, Other: c.other, Drawn: 1})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestSeeds(t *testing.T) {
	figures := Seeds("m", []Figure{{Value: 0.93, Count: 372}, {Value: 0.94, Count: 372}, {Value: 0.95, Count: 372}})
	// By hand: deviation .01, Student's t with 2 degrees of freedom 4.303.
	half := 4.303 * 0.01 / math.Sqrt(3)
	if mean := figures[0]; math.Abs(mean.Value-0.94) > 1e-9 || mean.Count != 372 ||
		!strings.Contains(mean.Title, "deviation of .010") ||
		math.Abs(mean.Interval[1]-0.94-half) > 1e-9 || math.Abs(mean.Interval[0]-0.94+half) > 1e-9 {
		t.Errorf("got %+v", figures)
	}
}
