package garb_test

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"garb"
	"garb/internal/drawn"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

//go:embed model/clothing.safetensors
var files embed.FS

const shirt = "examples/t-shirt.jpg"

func open(t *testing.T, options ...garb.Option) *garb.Classifier {
	t.Helper()
	c, err := garb.Default(options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func classify(t *testing.T, c *garb.Classifier, p garb.Picture) garb.Answer {
	t.Helper()
	a, err := c.Classify(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The same model, however it is opened, gives the same answer, in all its parts.
func TestOpen(t *testing.T) {
	data := read(t, "model/clothing.safetensors")
	run := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(filepath.Join(run, "checkpoints"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run_02_0.700.safetensors", "run_11_0.900.safetensors"} {
		if err := os.WriteFile(filepath.Join(run, "checkpoints", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder := os.DirFS(filepath.Dir(run))
	photo := garb.FromBytes(read(t, shirt))
	want := classify(t, open(t), photo)
	for name, open := range map[string]func() (*garb.Classifier, error){
		"clothing":             func() (*garb.Classifier, error) { return garb.Open(garb.Clothing) },
		"clothing.safetensors": func() (*garb.Classifier, error) { return garb.Open("model/clothing.safetensors") },
		"bytes":                func() (*garb.Classifier, error) { return garb.OpenBytes(data) },
		"clothing.safetensors, FS": func() (*garb.Classifier, error) {
			return garb.OpenFS(files, "model/clothing.safetensors")
		},
		"run_11_0.900":     func() (*garb.Classifier, error) { return garb.Open(run) },
		"run_11_0.900, FS": func() (*garb.Classifier, error) { return garb.OpenFS(folder, "run") },
	} {
		c, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := classify(t, c, photo)
		if got.Class != want.Class || got.Probability != want.Probability || got.Acceptance != want.Acceptance ||
			got.ModelDigest != want.ModelDigest || c.Digest() != want.ModelDigest {
			t.Errorf("%s: %+v; want %+v", name, got, want)
		}
		opened, _, _ := strings.Cut(name, ",")
		if c.Name() != strings.TrimSuffix(opened, ".safetensors") {
			t.Errorf("%s has the name %q", name, c.Name())
		}
	}
}

func TestOpenErrors(t *testing.T) {
	data := read(t, "model/clothing.safetensors")
	for name, open := range map[string]func() (*garb.Classifier, error){
		"no file":       func() (*garb.Classifier, error) { return garb.Open(filepath.Join(t.TempDir(), "none")) },
		"no run":        func() (*garb.Classifier, error) { return garb.Open(t.TempDir()) },
		"no bytes":      func() (*garb.Classifier, error) { return garb.OpenBytes(nil) },
		"half":          func() (*garb.Classifier, error) { return garb.OpenBytes(data[:len(data)/2]) },
		"not in the FS": func() (*garb.Classifier, error) { return garb.OpenFS(files, "none.safetensors") },
		"no run in FS":  func() (*garb.Classifier, error) { return garb.OpenFS(files, "model") },
		"threshold":     func() (*garb.Classifier, error) { return garb.Default(garb.WithThreshold(2)) },
		"size":          func() (*garb.Classifier, error) { return garb.Default(garb.WithSize(-1)) },
		"limits": func() (*garb.Classifier, error) {
			return garb.Default(garb.WithLimits(picture.Limits{MaxBytes: -1}))
		},
	} {
		var wrong *garb.ModelError
		if c, err := open(); c != nil || !errors.As(err, &wrong) {
			t.Errorf("%s: %v, %v; want a *ModelError", name, c, err)
		}
	}
	if _, err := garb.OpenFS(files, "none.safetensors"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := garb.Open(garb.ImageNet, garb.WithThreshold(0.5)); !errors.Is(err, garb.ErrNoAcceptance) {
		t.Errorf("a threshold for a model without acceptance: %v", err)
	}
}

// Each option has its effect.
func TestOptions(t *testing.T) {
	photo := garb.FromBytes(read(t, shirt))
	c := open(t)
	want := classify(t, c, photo)
	if c.Threshold() <= 0 || c.Threshold() >= 1 {
		t.Errorf("the model's own threshold is %v", c.Threshold())
	}
	all := open(t, garb.WithThreshold(0))
	if a := classify(t, all, garb.FromBytes(read(t, "examples/cat.jpg"))); !a.Accepted || a.Refusal != "" {
		t.Errorf("with a threshold of 0 the cat is refused: %v", a)
	}
	none := open(t, garb.WithThreshold(1))
	if a := classify(t, none, photo); a.Accepted || a.Refusal != "not clothing" || a.String() != "not clothing" {
		t.Errorf("with a threshold of 1 a T-shirt is %v", a)
	}
	small := open(t, garb.WithSize(96))
	if a := classify(t, small, photo); a.Probability == want.Probability || a.Acceptance != 1 || a.Set != nil {
		t.Errorf("pictures of 96 pixels: %v, acceptance %v", a, a.Acceptance)
	}
	if spec := small.Model().Spec(); spec.Width != 96 || spec.Height != 96 {
		t.Errorf("the size is %d × %d", spec.Width, spec.Height)
	}
	limits := picture.DefaultLimits()
	limits.MaxBytes = 100
	strict := open(t, garb.WithLimits(limits))
	for name, p := range map[string]garb.Picture{
		"bytes": photo, "reader": garb.FromReader(bytes.NewReader(read(t, shirt))),
	} {
		if _, err := strict.Classify(t.Context(), p); !errors.Is(err, picture.ErrTooLarge) {
			t.Errorf("%s beyond the limits: %v", name, err)
		}
	}
	limits = picture.DefaultLimits()
	limits.MaxSide = 99
	if _, err := open(t, garb.WithLimits(limits)).Classify(t.Context(),
		garb.FromImage(image.NewGray(image.Rect(0, 0, 100, 1)))); !errors.Is(err, picture.ErrTooLarge) {
		t.Errorf("an image beyond the limits: %v", err)
	}
	if a := classify(t, open(t, garb.WithThreads(1)), photo); a.Probability != want.Probability {
		t.Errorf("on one thread the probability is %v, not %v", a.Probability, want.Probability)
	}
}

func TestAnswer(t *testing.T) {
	c := open(t)
	a := classify(t, c, garb.FromBytes(read(t, shirt)))
	if a.Class != "t-shirt" || a.Predictions[0].Class != a.Class || a.Predictions[0].Probability != a.Probability ||
		!a.Accepted || a.Acceptance < c.Threshold() || a.Refusal != "" || a.Labels != nil || a.Set != nil {
		t.Errorf("%+v", a)
	}
	if got := a.String(); got != "t-shirt, 99.0 %" {
		t.Errorf("it reads %q", got)
	}
	sum, classes := 0.0, c.Classes()
	for i, p := range a.Predictions {
		sum += p.Probability
		if classes[p.Index] != p.Class {
			t.Errorf("prediction %d is %s, and class %d is %s", i, p.Class, p.Index, classes[p.Index])
		}
	}
	if len(a.Predictions) != len(classes) || math.Abs(sum-1) > 1e-9 {
		t.Errorf("%d predictions of %d classes, which sum to %v", len(a.Predictions), len(classes), sum)
	}
	if want, err := c.Model().Embed(t.Context(), read(t, shirt)); err != nil || len(want) != 1280 {
		t.Errorf("%d features, %v", len(want), err)
	} else {
		for i, v := range want {
			if a.Embedding[i] != v {
				t.Fatalf("feature %d is %v, not %v", i, a.Embedding[i], v)
			}
		}
	}
	text, err := json.Marshal(a)
	if err != nil || !strings.Contains(string(text), `"class":"t-shirt"`) || strings.Contains(string(text), "wnid") ||
		len(text) > 4000 {
		t.Errorf("%v\n%s", err, text)
	}
}

// A model that was fitted to give sets of classes has them in its answers.
func TestSets(t *testing.T) {
	f, err := tensor.ReadFile("model/clothing.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	var description map[string]any
	err = json.Unmarshal([]byte(f.Metadata["garb"]), &description)
	if err != nil {
		t.Fatal(err)
	}
	description["coverage"] = map[string]any{"coverage": 0.9, "threshold": 0.9999, "pictures": 100, "chosen_on": 10,
		"free": 1, "mean_size": 2}
	text, err := json.Marshal(description)
	if err != nil {
		t.Fatal(err)
	}
	tensors := tensor.Map{}
	for _, name := range f.Names() {
		if tensors[name], err = f.Tensor(name); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "changed.safetensors")
	err = tensor.WriteFile(path, map[string]string{"garb": string(text)}, tensors, tensor.Float32)
	if err != nil {
		t.Fatal(err)
	}
	c, err := garb.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if a := classify(t, c, garb.FromBytes(read(t, shirt))); len(a.Set) < 2 || a.Set[0] != a.Class {
		t.Errorf("the set is %v", a.Set)
	}
}

// A multi-label model has its labels in its answers.
func TestLabels(t *testing.T) {
	// A network that sees red, green and blue.
	b := nn.NewBuilder(8, 8, 3)
	graph := b.Build(b.Sigmoid(b.Dense("top", b.GlobalAveragePool(b.Input()), 3, nn.WithBias())))
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{
		"top/kernel": tensor.FromSlice([]float32{9, 0, 0, 0, 8, 0, 0, 0, 7}, 3, 3),
		"top/bias":   tensor.FromSlice([]float32{-4.5, -4, -3.5}, 3),
	}}
	spec := picture.Spec{Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}
	m, err := model.FromNetwork(n, []string{"red", "green", "blue"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "colours.safetensors")
	err = errors.Join(m.SetGolden(t.Context(), nil), m.Save(path, tensor.Float32))
	if err != nil {
		t.Fatal(err)
	}
	labels, err := garb.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := image.NewRGBA(image.Rect(0, 0, 9, 9))
	for i := range plain.Pix {
		plain.Pix[i] = []uint8{200, 250, 20, 255}[i%4]
	}
	if a := classify(t, labels, garb.FromImage(plain)); !slices.Equal(a.Labels, []string{"green", "red"}) ||
		a.Acceptance != 1 || !a.Accepted || a.Set != nil {
		t.Errorf("yellow is %+v", a)
	}
	clear(plain.Pix) // transparent black, which lies on white
	if a := classify(t, labels, garb.FromImage(plain)); len(a.Labels) != 3 {
		t.Errorf("white is %+v", a)
	}
}

// A picture answers alike as bytes, from a reader, and decoded.
func TestPictures(t *testing.T) {
	c, data := open(t), read(t, shirt)
	want := classify(t, c, garb.FromBytes(data))
	reader := iotest.OneByteReader(bytes.NewReader(data))
	if a := classify(t, c, garb.FromReader(reader)); a.Probability != want.Probability {
		t.Errorf("from a reader: %v; want %v", a, want)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	a := classify(t, c, garb.FromImage(m))
	if a.Class != want.Class || math.Abs(a.Probability-want.Probability) > 0.02 {
		t.Errorf("decoded by image/jpeg: %v; want %v", a, want)
	}
	// The same pixels as other types of image.
	p, err := drawn.DrawGarment("dress", 1)
	if err != nil {
		t.Fatal(err)
	}
	rgba := image.NewRGBA(image.Rect(7, -3, 7+p.Width, -3+p.Height))
	for y := range p.Height {
		for x := range p.Width {
			at := 3 * (y*p.Width + x)
			rgba.Set(7+x, -3+y, color.RGBA{p.Pix[at], p.Pix[at+1], p.Pix[at+2], 255})
		}
	}
	base := classify(t, c, garb.FromImage(rgba))
	for name, m := range map[string]image.Image{
		"a type of its own": struct{ image.Image }{rgba},
		"a part of another": rgba.SubImage(rgba.Bounds()),
		"16 bits":           deepened(rgba),
	} {
		if a := classify(t, c, garb.FromImage(m)); a.Probability != base.Probability || a.Class != base.Class {
			t.Errorf("%s: %v; want %v", name, a, base)
		}
	}
}

func deepened(m image.Image) image.Image {
	deep := image.NewNRGBA64(m.Bounds())
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
			deep.Set(x, y, m.At(x, y))
		}
	}
	return deep
}

func TestPictureErrors(t *testing.T) {
	c := open(t)
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		picture garb.Picture
		want    error
	}{
		"no picture": {garb.FromBytes([]byte("text")), picture.ErrNotPicture},
		"empty":      {garb.FromBytes([]byte{}), picture.ErrNotPicture},
		"cut":        {garb.FromBytes(read(t, shirt)[:3000]), picture.ErrCorrupt},
		"reader":     {garb.FromReader(iotest.ErrReader(broken)), broken},
		"no pixels":  {garb.FromImage(image.NewGray(image.Rectangle{})), picture.ErrCorrupt},
	} {
		if a, err := c.Classify(t.Context(), test.picture); !errors.Is(err, test.want) || a.Class != "" {
			t.Errorf("%s: %v, %v; want %v", name, a, err, test.want)
		}
	}
	for name, p := range map[string]garb.Picture{
		"zero": {}, "nil bytes": garb.FromBytes(nil),
		"nil reader": garb.FromReader(nil), "nil image": garb.FromImage(nil),
	} {
		if _, err := c.Classify(t.Context(), p); !errors.Is(err, picture.ErrNotPicture) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Classify(ended, garb.FromBytes(read(t, shirt))); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := c.ClassifyBatch(late, make([]garb.Picture, 40)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline that has passed: %v", err)
	}
}

// emptyReader returns neither bytes nor an error.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// wrongReader says that it read more than there was room for.
type wrongReader struct{}

func (wrongReader) Read(p []byte) (int, error) { return len(p) + 1, nil }

// Readers that do not end, or go wrong, harm nobody but their caller.
func TestHostileReaders(t *testing.T) {
	c := open(t)
	if _, err := c.Classify(t.Context(), garb.FromReader(emptyReader{})); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without progress: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Classify(ended, garb.FromReader(emptyReader{})); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	// A panic is the caller's own, in the goroutine of the call.
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = c.Classify(t.Context(), garb.FromReader(wrongReader{}))
}

// A batch has the answers of single pictures, to the bit, and one bad picture spoils no other.
func TestClassifyBatch(t *testing.T) {
	c := open(t)
	names := []string{"t-shirt", "dress", "cat", "longsleeve", "pants", "skirt"}
	var pictures []garb.Picture
	var want []garb.Answer
	bad := map[int]bool{0: true, 17: true, 33: true}
	for i := range 35 { // more than go through the network together
		if bad[i] {
			pictures, want = append(pictures, garb.FromReader(strings.NewReader("bad"))), append(want, garb.Answer{})
			continue
		}
		p := garb.FromBytes(read(t, "examples/"+names[i%len(names)]+".jpg"))
		pictures, want = append(pictures, p), append(want, classify(t, c, p))
	}
	got, err := c.ClassifyBatch(t.Context(), pictures)
	failed := map[int]bool{}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("the error is %v", err)
	}
	for _, err := range joined.Unwrap() {
		var one *garb.PictureError
		if !errors.As(err, &one) || !errors.Is(err, picture.ErrNotPicture) {
			t.Fatalf("%v is no *PictureError", err)
		}
		failed[one.Index] = true
	}
	for i := range pictures {
		if failed[i] != bad[i] || got[i].Probability != want[i].Probability || got[i].Class != want[i].Class ||
			got[i].Acceptance != want[i].Acceptance {
			t.Errorf("picture %d: %v, failed %v; want %v", i, got[i], failed[i], want[i])
		}
	}
	second := got[2].Embedding[0]
	_ = append(got[1].Embedding, second+1) // each answer's memory is its own
	if got[2].Embedding[0] != second {
		t.Error("two answers share the memory of their embeddings")
	}
	if none, err := c.ClassifyBatch(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no pictures: %v, %v", none, err)
	}
	if _, err := c.ClassifyBatch(t.Context(), []garb.Picture{garb.FromReader(io.LimitReader(nil, 0))}); err == nil {
		t.Error("an empty reader has an answer")
	}
}

var update = flag.Bool("update", false, "write the golden files in testdata instead of comparing with them")

// goldenAnswer is what a built-in model says of a picture that the project draws.
type goldenAnswer struct {
	Model, Garment string // Garment is "" for a picture of nothing
	Seed           uint64
	Class          string
	Accepted       bool
	Acceptance     float64
	Probabilities  []float64 // in the order of the classes
}

// goldenAnswers is the file of golden answers.
const goldenAnswers = "testdata/answers.json"

// TestGoldenAnswers compares the built-in models' answers to pictures that the project draws
// with golden ones. It fails for a wrong temperature, order of classes, threshold or
// preprocessing. The golden answers were computed with AVX-512; kernels differ by about 1e-5.
func TestGoldenAnswers(t *testing.T) {
	if *update {
		writeGoldenAnswers(t)
		return
	}
	var golden []goldenAnswer
	if err := json.Unmarshal(read(t, goldenAnswers), &golden); err != nil {
		t.Fatal(err)
	}
	const tolerance = 2e-4
	near := func(a, b float64) bool { return math.Abs(a-b) < tolerance }
	classes, refused := map[string]bool{}, 0
	for _, want := range golden {
		got := answerDrawn(t, want)
		if got.Class != want.Class || got.Accepted != want.Accepted || !near(got.Acceptance, want.Acceptance) ||
			!slices.EqualFunc(got.Probabilities, want.Probabilities, near) {
			t.Errorf("%s of %s: %+v\nwant %+v", want.Model, want.Garment, got, want)
		}
		if want.Accepted {
			classes[want.Class] = true
		} else {
			refused++
		}
	}
	if len(classes) < 4 || refused == 0 {
		t.Errorf("the golden answers are of the classes %v, and %d refusals", classes, refused)
	}
}

func writeGoldenAnswers(t *testing.T) {
	t.Helper()
	var golden []goldenAnswer
	for _, name := range []string{garb.Clothing, garb.Garments} {
		golden = append(golden, answerDrawn(t, goldenAnswer{Model: name, Seed: 3}))
		for _, garment := range drawn.Garments() {
			golden = append(golden, answerDrawn(t, goldenAnswer{Model: name, Garment: garment, Seed: 1}))
		}
	}
	text, err := json.MarshalIndent(golden, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(goldenAnswers, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// answerDrawn returns what a model says of the picture that a golden answer names.
func answerDrawn(t *testing.T, what goldenAnswer) goldenAnswer {
	t.Helper()
	c, err := garb.Open(what.Model)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := drawn.DrawOther(what.Seed, int(what.Seed))
	if what.Garment != "" {
		if p, err = drawn.DrawGarment(what.Garment, what.Seed); err != nil {
			t.Fatal(err)
		}
	}
	a := classify(t, c, garb.FromBytes(encoded(t, p)))
	got := goldenAnswer{what.Model, what.Garment, what.Seed, a.Class, a.Accepted, a.Acceptance,
		make([]float64, len(a.Predictions))}
	for _, p := range a.Predictions {
		got.Probabilities[p.Index] = p.Probability
	}
	return got
}
