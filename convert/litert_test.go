package convert

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"garb/accept"
	"garb/model"
)

// inLiteRT is what LiteRT answers for a model, a value for each picture and output; see
// ../tflite/testdata/litert.py.
type inLiteRT struct {
	Parts         int
	Single, Batch map[string][]float64
	Labels        []string
}

// runLiteRT lets LiteRT answer for all models of a folder.
func runLiteRT(t *testing.T, folder string) map[string]inLiteRT {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), os.Getenv("GARB_LITERT_PYTHON"), "../tflite/testdata/litert.py",
		folder).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("%v\n%s", err, exit.Stderr)
	}
	var r struct{ Models map[string]inLiteRT }
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r.Models
}

// goldenInputs are pictures as a model takes them, and as they are before they are prepared.
func goldenInputs(c *model.Classifier, pictures int) (prepared []float32, samples []byte) {
	spec := c.Spec()
	plain := spec
	plain.Mean, plain.Std = [3]float32{}, [3]float32{1, 1, 1}
	values := make([]float32, spec.ValueCount())
	for i := range pictures {
		spec.Tensor(model.DrawGoldenPicture(i), values)
		prepared = append(prepared, values...)
		plain.Tensor(model.DrawGoldenPicture(i), values)
		for _, v := range values {
			samples = append(samples, byte(v))
		}
	}
	return prepared, samples
}

// TestLiteRT: files of models, built in and of each way to judge, answer in LiteRT as here,
// one picture or three, prepared or not.
//
//nolint:gocognit,funlen // one file at a time, compared with LiteRT
func TestLiteRT(t *testing.T) {
	if os.Getenv("GARB_LITERT_PYTHON") == "" {
		t.Skip("set GARB_LITERT_PYTHON to a Python with what tflite/testdata/requirements.txt lists")
	}
	folder := t.TempDir()
	models := map[string]*model.Classifier{}
	for _, name := range model.BuiltInNames() {
		c, err := model.Open(name, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		models[name], models[name+"-pictures"] = c, c
	}
	models["labels"] = multiLabelModel(t)
	models["grey"] = greyModel(t)
	models["grey-pictures"] = models["grey"]
	for _, method := range accept.Methods() {
		models[fmt.Sprint("judging-", method)] = judging(t, method)
	}
	const pictures = 3
	want, written := map[string][]float32{}, map[string]Written{}
	for name, c := range models {
		prepared, samples := goldenInputs(c, pictures)
		want[name] = make([]float32, pictures*c.OutputCount())
		if err := c.Outputs(t.Context(), prepared, want[name]); err != nil {
			t.Fatal(err)
		}
		o := WriteOptions{Preprocessing: models[name+"-pictures"] == nil && len(c.Classes()) > 3}
		var err error
		if written[name], err = Write(filepath.Join(folder, name+".tflite"), c, o); err != nil {
			t.Fatal(err)
		}
		if !o.Preprocessing {
			if samples, err = binary.Append(nil, binary.LittleEndian, prepared); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, name+".input"), samples, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := runLiteRT(t, folder)
	for name, c := range models {
		m, classes, width := got[name], len(c.Classes()), c.OutputCount()
		off := map[string]float64{}
		check := func(output string, i int, want float64) {
			for kind, v := range map[string][]float64{"alone": m.Single[output], "in a batch": m.Batch[output]} {
				if kind == "alone" && i >= len(m.Single[output]) && i < len(m.Batch[output]) {
					continue
				}
				d := math.Inf(1)
				if i < len(v) {
					d = math.Abs(v[i] - want)
				}
				if off[output] = max(off[output], d); !(d <= 1e-4) {
					t.Errorf("%s: %s %d %s is off by %g", name, output, i, kind, d)
				}
			}
		}
		for i := range pictures {
			row := want[name][i*width:][:width]
			for j, z := range row[:classes] {
				check("logits", i*classes+j, float64(z))
			}
			best := slices.Index(row[:classes], slices.Max(row[:classes]))
			check("probabilities", i*classes+best, c.Predictions(row[:classes])[0].Probability)
			if written[name].Acceptance {
				check("acceptance", i, accept.Logistic(float64(row[classes])))
			}
		}
		for _, output := range slices.Sorted(maps.Keys(off)) {
			t.Logf("%s: %d parts by XNNPACK, %s differs by %.1e", name, m.Parts, output, off[output])
		}
		if _, has := m.Single["acceptance"]; has != written[name].Acceptance ||
			has == (written[name].WithoutAcceptance != "") && c.Judges() {
			t.Errorf("%s: an output of acceptance: %v, though %+v", name, has, written[name])
		}
		if !slices.Equal(m.Labels, c.Classes()) || m.Parts == 0 {
			t.Errorf("%s has the labels %q, and %d parts by XNNPACK", name, m.Labels, m.Parts)
		}
	}
}

// TestPreparesItself: a .keras file that takes pictures is read as one whose network prepares
// them, so that they are not prepared twice.
func TestPreparesItself(t *testing.T) {
	c, path := built(t), filepath.Join(t.TempDir(), "c.keras")
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
	got := logitsOf(t, saved(t, in))
	for i := range got { // the temperature is a layer of the network
		got[i] *= float32(cmp.Or(c.Description().Temperature, 1))
	}
	near(t, got, logitsOf(t, c), 1e-4)
}
