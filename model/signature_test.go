package model

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// TestImportedOutput checks that a model of another program's network returns what the network does.
func TestImportedOutput(t *testing.T) {
	dense := func(units int) nn.Layer {
		return nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{3}, Units: units, Bias: true}
	}
	for _, c := range []struct {
		name    string
		last    []nn.Layer
		classes int
		values  OutputValues
	}{
		{"linear", []nn.Layer{dense(3)}, 3, Logits},
		{"softmax", []nn.Layer{dense(3), {Op: nn.OpSoftmax, Inputs: []int{4}}}, 3, Probabilities},
		{"sigmoids", []nn.Layer{dense(3), {Op: nn.OpSigmoid, Inputs: []int{4}}}, 3, Probabilities},
		{"one sigmoid", []nn.Layer{dense(1), {Op: nn.OpSigmoid, Inputs: []int{4}}}, 2, Probability},
		{"one logit", []nn.Layer{dense(1)}, 2, Logit},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t, buildConvolutional(c.last...)...)
			classifier := saveAndOpen(t, n, strings.Split("abc", "")[:c.classes], Options{})
			d := classifier.Description()
			if d.Signature == nil || *d.Signature != (Signature{Values: c.values}) {
				t.Fatalf("signature %+v", d.Signature)
			}
			input, logits := make([]float32, smallSpec.ValueCount()), make([]float32, c.classes)
			smallSpec.Tensor(DrawGoldenPicture(2), input)
			if err := classifier.Logits(t.Context(), input, logits); err != nil {
				t.Fatal(err)
			}
			want := compute(t, n, input)
			got := d.Output(logits)
			if len(got) != len(want) || len(got) != d.Signature.OutputLength(len(d.Classes)) {
				t.Fatalf("%v, want %v; length %d", got, want, d.Signature.OutputLength(len(d.Classes)))
			}
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-5 {
					t.Errorf("%v, want %v", got, want)
				}
			}
		})
	}
}

// compute returns the output of a network.
func compute(t *testing.T, n *nn.Network, input []float32) []float32 {
	t.Helper()
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(g, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, tensor.Len(g.OutputShape()))
	if err := plan.Run(t.Context(), input, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOutputWithoutSignature(t *testing.T) {
	d := Description{Classes: []string{"a", "b"}}
	if got := d.Output([]float32{0, 0}); !slices.Equal(got, []float32{.5, .5}) {
		t.Errorf("%v", got)
	}
	text, err := json.Marshal(d)
	if err != nil || strings.Contains(string(text), "signature") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestUnnamedHasNoSignature(t *testing.T) {
	m, err := FromNetwork(newNetwork(t, buildConvolutional()...), nil, smallSpec)
	if err != nil || m.Signature != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestTensorNames(t *testing.T) {
	for name, want := range map[string]bool{
		"input_8": true, "serving_default_input_8:0": true, "model/dense 7": true, "entrée": true,
		strings.Repeat("n", MaxTensorNameBytes): true, strings.Repeat("n", MaxTensorNameBytes+1): false,
		"": false, "a\nb": false, "a\x00": false, "\xff": false, "a\u202eb": false, "a\u00a0b": false,
	} {
		if ValidTensorName(name) != want {
			t.Errorf("%q is valid: %t", name, !want)
		}
	}
	var s Signature
	if s.SetNames("input_8", "dense_7"); s != (Signature{Input: "input_8", Output: "dense_7"}) {
		t.Errorf("%+v", s)
	}
	if s.SetNames("a\n", "out"); s != (Signature{Output: "out"}) {
		t.Errorf("%+v", s)
	}
	if s.SetNames("same", "same"); s != (Signature{Input: "same"}) {
		t.Errorf("%+v", s)
	}
}

func TestSignatureValidate(t *testing.T) {
	for _, c := range []struct {
		signature Signature
		classes   int
		valid     bool
	}{
		{Signature{"input_8", "dense_7", Logits}, 10, true},
		{Signature{"", "", Probabilities}, 10, true},
		{Signature{"", "", Probability}, 2, true},
		{Signature{"", "", Logit}, 2, true},
		{Signature{"", "", Probability}, 3, false},
		{Signature{"", "", Logit}, 3, false},
		{Signature{"", "", ""}, 10, false},
		{Signature{"", "", "scores"}, 10, false},
		{Signature{"a\n", "", Logits}, 10, false},
		{Signature{"", strings.Repeat("n", 200), Logits}, 10, false},
		{Signature{"same", "same", Logits}, 10, false},
	} {
		if err := c.signature.Validate(c.classes); (err == nil) != c.valid {
			t.Errorf("%+v of %d classes: %v", c.signature, c.classes, err)
		}
	}
}

// TestClassifierSignature checks the usual names, and the output of a model that judges.
func TestClassifierSignature(t *testing.T) {
	c, err := Open(Clothing, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Signature(); got != (Signature{"input", "probabilities", Probabilities}) {
		t.Errorf("%+v", got)
	}
	row := make([]float32, c.OutputCount())
	row[len(row)-1] = 100 // that of the acceptance
	if got := c.SignatureOutput(row); len(got) != len(c.Classes()) || got[0] != got[1] {
		t.Errorf("%v", got)
	}
	dense := nn.Layer{Op: nn.OpDense, Name: "d", Inputs: []int{3}, Units: 3, Bias: true}
	imported := saveAndOpen(t, newNetwork(t, buildConvolutional(dense)...), []string{"a", "b", "c"}, Options{})
	if got := imported.Signature(); got != (Signature{"input", "logits", Logits}) {
		t.Errorf("%+v", got)
	}
	imported.description.Signature.SetNames("input_8", "dense_7")
	if got := imported.Signature(); got != (Signature{"input_8", "dense_7", Logits}) {
		t.Errorf("%+v", got)
	}
	if got := imported.SignatureOutput([]float32{1, 2, 3}); !slices.Equal(got, []float32{1, 2, 3}) {
		t.Errorf("%v", got)
	}
}
