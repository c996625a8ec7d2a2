package evaluate

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// wellFormed reads a whole page: every element that is opened is closed.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%v are never closed", open)
	}
}

// selfContained fails if anything of the page comes from elsewhere.
func selfContained(t *testing.T, page string) {
	t.Helper()
	rest := strings.ReplaceAll(page, "http://www.w3.org/2000/svg", "") // a name, not an address
	rest = strings.ReplaceAll(rest, `src="data:image/jpeg;base64,`, "")
	for _, foreign := range []string{"http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link",
		"ZgotmplZ"} {
		if strings.Contains(rest, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
}

// byBrightness takes dark pictures for hats and others for shoes.
type byBrightness struct{}

func (byBrightness) Classes() []string { return []string{"dress", "hat", "shirt", "shoes"} }

func (byBrightness) Classify(ctx context.Context, data []byte) ([]model.Prediction, error) {
	p, err := picture.Decode(ctx, data, picture.DefaultLimits())
	if err != nil {
		return nil, err
	}
	dark := 1 - float64(p.Pix[0])/255
	all := []model.Prediction{{Class: "hat", Probability: 0.9 * dark}, {Class: "shoes", Probability: 0.9 * (1 - dark)},
		{Class: "dress", Probability: 0.06}, {Class: "shirt", Probability: 0.04}}
	slices.SortFunc(all, func(a, b model.Prediction) int { return int(math.Copysign(1, b.Probability-a.Probability)) })
	return all, nil
}

func pictureOf(t *testing.T, brightness uint8) string {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 300, 200))
	for i := range m.Pix {
		m.Pix[i] = brightness
	}
	m.SetGray(9, 9, color.Gray{Y: 128})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPageWithPictures checks that the page is complete, has a bounded number of pictures with the
// most confident mistakes first, and loads nothing.
func TestPageWithPictures(t *testing.T) {
	const each = shownPictures + 6
	files := map[string]string{"shirt/only": pictureOf(t, 10), "hat/broken": "text"}
	for i := range each {
		files[fmt.Sprintf("hat/right%02d", i)] = pictureOf(t, uint8(i))
		files[fmt.Sprintf("hat/wrong%02d", i)] = pictureOf(t, uint8(255-i))
	}
	r, err := Run(t.Context(), byBrightness{}, set(t, files), picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Count != 2*each+1 || len(r.Skipped) != 1 {
		t.Fatalf("%d answers, %d skipped", r.Count, len(r.Skipped))
	}
	d := Document{
		Title: `"><script>`, Parts: []Part{{"validation", r}, {"test", r}}, Skipped: []string{"<i>gone"},
		Curves: []Curve{{Epoch: 1, Loss: math.NaN(), LearningRate: 1}, {Epoch: 2, Loss: 0.5, LearningRate: 2}},
	}
	d.About.Training = &model.Training{Settings: []byte(`{"learning_rate":0.001,"split":{"seed":1}}`)}
	var b strings.Builder
	if err := WritePage(t.Context(), &b, d); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	wellFormed(t, page)
	selfContained(t, page)
	if got, want := strings.Count(page, "<img "), 2*2*shownPictures; got != want {
		t.Errorf("%d pictures, want %d", got, want)
	}
	if !strings.Contains(page, "1 picture could not be read") {
		t.Error("the page does not say that one picture was skipped")
	}
	// The surest mistake is the brightest hat; the shirt, of which the dark picture is
	// wrong too, comes later, with its own class though that is only the fourth.
	wrong := page[strings.Index(page, "Wrong answers"):]
	if first, second := strings.Index(wrong, "wrong00"), strings.Index(wrong, "wrong01"); first < 0 || first > second {
		t.Errorf("wrong00 is at %d, wrong01 at %d", first, second)
	}
	if !strings.Contains(wrong, `<div class="bar right" style="--share:4%">shirt<i>4 %</i>`) {
		t.Error("the shirt's own class is not shown")
	}
}

func TestPageStops(t *testing.T) {
	r, err := Run(t.Context(), byBrightness{}, set(t, map[string]string{"hat/1": pictureOf(t, 0)}),
		picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var b strings.Builder
	if err := WritePage(ctx, &b, Document{Parts: []Part{{"test", r}}}); !errors.Is(err, context.Canceled) ||
		b.Len() > 0 {
		t.Errorf("%v, and %d bytes", err, b.Len())
	}
}

func TestSettings(t *testing.T) {
	const text = `{"b_c":1e-3,"a":{"x_y":[1,2],"z":{"w":true,"v":""}},"empty":"","s":"a \"b\"","n":null}`
	got := listSettings([]byte(text))
	want := []setting{{"a: x y", "[1,2]"}, {"a: z: w", "true"}, {"b c", "1e-3"}, {"n", "null"}, {"s", `a "b"`}}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, text := range []string{"", "[1]", "{", "null", `{"a":{}}`} {
		if got := listSettings([]byte(text)); len(got) > 0 {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestShownPredictions(t *testing.T) {
	all := []model.Prediction{{Class: "a"}, {Class: "b"}, {Class: "c"}, {Class: "d"}, {Class: "e"}}
	for _, c := range []struct {
		class, want string
		predictions []model.Prediction
	}{
		{"a", "abc", all}, {"c", "abc", all}, {"d", "abd", all}, {"e", "abe", all},
		{"b", "ab", all[:2]}, {"unknown", "abc", all},
	} {
		got := ""
		for _, p := range choosePredictions(Answer{Class: c.class, Predictions: c.predictions}) {
			got += p.Class
		}
		if got != c.want {
			t.Errorf("%s of %d: %s, want %s", c.class, len(c.predictions), got, c.want)
		}
	}
	if all[2].Class != "c" {
		t.Error("the answer itself has changed")
	}
}

func TestReadCurves(t *testing.T) {
	const header = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n"
	for name, c := range map[string]struct {
		history string
		want    int
		word    string // of the error
	}{
		"none":      {header, 0, ""},
		"two":       {header + "1,0.9,0.5,0.8,0.6,0.001,12.5\n2,NaN,0.6,0.7,0.7,0.0005,12\n", 2, ""},
		"no number": {header + "1,0.9,0.5,much,0.6,0.001,12.5\n", 0, "line 2"},
		"too few":   {"epoch,loss\n1,0.9\n", 0, "line 2"},
		"uneven":    {header + "1,2\n", 0, "history.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			run := t.TempDir()
			checkpoint := filepath.Join(run, "checkpoints", "x_01_0.900.safetensors")
			if err := os.Mkdir(filepath.Dir(checkpoint), 0o755); err != nil {
				t.Fatal(err)
			}
			for path, text := range map[string]string{filepath.Join(run, "history.csv"): c.history, checkpoint: ""} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, model := range []string{run, checkpoint} {
				got, err := ReadCurves(model)
				if len(got) != c.want || (err != nil) != (c.word != "") ||
					err != nil && !strings.Contains(err.Error(), c.word) {
					t.Errorf("%d epochs, %v", len(got), err)
				}
			}
		})
	}
	got, err := ReadCurves(filepath.Join(t.TempDir(), "gone"))
	if got != nil || err != nil {
		t.Errorf("without a run: %v, %v", got, err)
	}
}

// A model that lies below a run's folder, but is no checkpoint of it, has no history.
func TestReadCurvesOfAnotherFile(t *testing.T) {
	root := t.TempDir()
	model := filepath.Join(root, "mine", "model.safetensors")
	if err := os.Mkdir(filepath.Dir(model), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{model, filepath.Join(root, "history.csv")} {
		if err := os.WriteFile(path, []byte("epoch\n1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadCurves(model); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// Pictures are linked where the page will be moved with them, and nowhere else.
func TestLinkTo(t *testing.T) {
	root := t.TempDir()
	at := func(path string) string { return filepath.Join(root, filepath.FromSlash(path)) }
	for _, c := range []struct{ folder, path, want string }{
		{at("a/page"), at("a/page/x.jpg"), "./x.jpg"},
		{at("a/page"), at("a/page/test/hat/x y.jpg"), "./test/hat/x%20y.jpg"},
		{at("a/page"), at("a/data/hat/x.jpg"), "../data/hat/x.jpg"},
		{at("a/page"), at("a/page/..x/y.jpg"), "./..x/y.jpg"},
		{at("a/page"), at("b/x.jpg"), ""},
		{at("a/page/"), at("a/page/../page/x.jpg"), "./x.jpg"},
		{at("a/page"), at("a/page/javascript:alert(1)"), "./javascript:alert%281%29"},
		{at("a/page"), at(`a/page/"><script>?#%.jpg`), "./%22%3E%3Cscript%3E%3F%23%25.jpg"},
		{at("a/page"), at("a/page/\xff\n.jpg"), "./%FF%0A.jpg"},
		{string(filepath.Separator) + "page", string(filepath.Separator) + filepath.Join("data", "x.jpg"), ""},
		{"", at("a/page/x.jpg"), ""},
	} {
		if runtime.GOOS == "windows" && !utf8.ValidString(c.path) {
			continue // its names are Unicode
		}
		if got := makeLink(c.folder, c.path); got != c.want {
			t.Errorf("from %s to %q: %q, want %q", c.folder, c.path, got, c.want)
		}
	}
}

// A page beside its pictures links all that it shows, lists the wrong answers that it does
// not show, and says what was mapped, left out and averaged.
func TestPageBesideItsPictures(t *testing.T) {
	files := map[string]string{"shirt/a#b%": pictureOf(t, 10)}
	for i := range shownPictures + 3 {
		files[fmt.Sprintf("hat/wrong%02d", i)] = pictureOf(t, uint8(255-i))
	}
	s := set(t, files)
	r, err := Run(t.Context(), byBrightness{}, s, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.TTA = FlipTTA
	mapping, _ := MapClasses([]string{"Hat", "<b>"}, []string{"hat"})
	mapping.Apply(&dataset.Set{Classes: []string{"Hat", "<b>"}, Samples: []dataset.Sample{{Label: 1}}})
	r.Mapping = &mapping
	var b strings.Builder
	if err := WritePage(t.Context(), &b, Document{Parts: []Part{{"test", r}}, Folder: s.Folder}); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	wellFormed(t, page)
	selfContained(t, strings.ReplaceAll(page, `<a href="./`, ""))
	if got := strings.Count(page, `<a href="./hat/wrong`); got != shownPictures+3 {
		t.Errorf("%d links to hats", got)
	}
	for _, want := range []string{
		`<a href="./shirt/a%23b%25`, "<summary>4 more</summary>", "mirror image",
		"1 picture of a class that the model does not know is left out", "&lt;b&gt;",
		"the data set&#39;s &#34;Hat&#34; is the model&#39;s &#34;hat&#34;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
