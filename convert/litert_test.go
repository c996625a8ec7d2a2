//go:build !small

package convert

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"garb/accept"
	"garb/model"
)

// liteRTAnswers are LiteRT's answers for a model, a value for each picture and output; see
// ../tflite/testdata/litert.py.
type liteRTAnswers struct {
	Parts         int
	Single, Batch map[string][]float64
	Labels        []string
}

// runLiteRT returns LiteRT's answers for all models of a folder.
func runLiteRT(t *testing.T, folder string) map[string]liteRTAnswers {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), os.Getenv("GARB_LITERT_PYTHON"), "../tflite/testdata/litert.py",
		folder).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var r struct{ Models map[string]liteRTAnswers }
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r.Models
}

// liteRTPictures is the number of golden pictures that LiteRT gets.
const liteRTPictures = 3

// liteRTCase is a model that is compared with LiteRT.
type liteRTCase struct {
	model   *model.Classifier
	options WriteOptions
	export  Export
	rows    []float32 // the model's outputs for the golden pictures
}

// TestLiteRT checks that files of the built-in models, and of models with each method of judging,
// answer in LiteRT as in garb, for one picture or three, prepared or not.
func TestLiteRT(t *testing.T) {
	if os.Getenv("GARB_LITERT_PYTHON") == "" {
		t.Skip("set GARB_LITERT_PYTHON to a Python with what tflite/testdata/requirements.txt lists")
	}
	folder := t.TempDir()
	cases := listLiteRTCases(t)
	for name, c := range cases {
		c.write(t, filepath.Join(folder, name))
	}
	got := runLiteRT(t, folder)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { c.compare(t, got[name]) })
	}
}

func listLiteRTCases(t *testing.T) map[string]*liteRTCase {
	t.Helper()
	levels := WriteOptions{Preprocessing: true}
	cases := map[string]*liteRTCase{
		"labels":      {model: openMultiLabelModel(t), options: levels},
		"grey":        {model: openGreyModel(t)},
		"grey-levels": {model: openGreyModel(t), options: levels},
	}
	for _, name := range model.BuiltInNames() {
		c, err := model.Open(name, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cases[name], cases[name+"-levels"] = &liteRTCase{model: c}, &liteRTCase{model: c, options: levels}
	}
	for _, method := range accept.Methods() {
		cases[fmt.Sprint("judge-", method)] = &liteRTCase{model: openJudge(t, method)}
	}
	return cases
}

// write writes the model and its input, and computes the rows that are wanted. path has no ending.
func (c *liteRTCase) write(t *testing.T, path string) {
	t.Helper()
	spec := c.model.Spec()
	inputs := make([]float32, liteRTPictures*spec.ValueCount())
	var data []byte
	for i := range liteRTPictures {
		p := model.DrawGoldenPicture(i)
		spec.Tensor(p, inputs[i*spec.ValueCount():][:spec.ValueCount()])
		data = append(data, encodeInput(t, c.model, p, c.options.Preprocessing)...)
	}
	c.rows = make([]float32, liteRTPictures*c.model.OutputCount())
	if err := c.model.Outputs(t.Context(), inputs, c.rows); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.export, err = Write(path+".tflite", c.model, c.options); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".input", data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// compare compares LiteRT's answers with those of the model.
func (c *liteRTCase) compare(t *testing.T, got liteRTAnswers) {
	t.Helper()
	classes, width, description := len(c.model.Classes()), c.model.OutputCount(), c.model.Description()
	want := map[string][]float64{}
	for i := range liteRTPictures {
		row := c.rows[i*width:][:width]
		for _, z := range row[:classes] {
			want["logits"] = append(want["logits"], float64(z))
		}
		want["probabilities"] = append(want["probabilities"], description.Probabilities(row[:classes])...)
		if c.export.Acceptance {
			want["acceptance"] = append(want["acceptance"], accept.Logistic(float64(row[classes])))
		}
	}
	for output, values := range want {
		first := values[:len(values)/liteRTPictures]
		t.Logf("%d parts by XNNPACK, %s differs by %.1e", got.Parts, output,
			max(measureDifference(got.Single[output], first), measureDifference(got.Batch[output], values)))
		if d := measureDifference(got.Single[output], first); !(d <= 1e-4) {
			t.Errorf("%s of one picture differs by %g", output, d)
		}
		if d := measureDifference(got.Batch[output], values); !(d <= 1e-4) {
			t.Errorf("%s of a batch differs by %g", output, d)
		}
	}
	if _, has := got.Single["acceptance"]; has != c.export.Acceptance ||
		has == (c.export.DropReason != "") && c.model.Judges() {
		t.Errorf("an output of the acceptance: %v, though %+v", has, c.export)
	}
	if !slices.Equal(got.Labels, c.model.Classes()) || got.Parts == 0 {
		t.Errorf("labels %q, and %d parts by XNNPACK", got.Labels, got.Parts)
	}
}

// measureDifference returns the largest difference between values; infinity if they are not
// equally many.
func measureDifference(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	largest := 0.0
	for i, v := range want {
		largest = max(largest, math.Abs(got[i]-v)) // NaN if one is
	}
	return largest
}

// TestPreparesItself checks that the network of a .keras file that takes pictures is read as one
// that prepares them, so that they are not prepared twice.
func TestPreparesItself(t *testing.T) {
	c, path := openBuiltIn(t), filepath.Join(t.TempDir(), "c.keras")
	if _, err := Write(path, c, WriteOptions{Preprocessing: true}); err != nil {
		t.Fatal(err)
	}
	in, err := Read(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Preprocess != "none" || in.Model.Preprocessing.Filter != c.Spec().Filter {
		t.Errorf("preprocessing %s, pictures resized by %v", in.Preprocess, in.Model.Preprocessing.Filter)
	}
	got := computeLogits(t, saveAndOpen(t, in.Model))
	for i := range got { // the temperature is a layer of the network
		got[i] *= float32(cmp.Or(c.Description().Temperature, 1))
	}
	checkClose(t, got, computeLogits(t, c), 1e-4)
}
