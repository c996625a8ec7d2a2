package backbone

import (
	"fmt"
	"testing"

	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

func TestParameterCounts(t *testing.T) {
	// Lite0 and Xception: Keras, moving statistics included. small-cnn: Keras's
	// summary. torchvision's: num_params in the weights' metadata, plus two
	// statistics per channel of a batch-norm.
	for _, test := range []struct {
		name                string
		size, without, with int
	}{
		{"efficientnet-lite0", 224, 4_694_024 - 1_281_000, 4_694_024},
		{"xception", 299, 20_861_480, 20_861_480 + 2_049_000},
		{"mobilenet-v2", 224, 3_504_872 + 2*17_056 - 1_281_000, 3_504_872 + 2*17_056},
		{"resnet18", 224, 11_689_512 + 2*4_800 - 513_000, 11_689_512 + 2*4_800},
		{"resnet50", 224, 25_557_032 + 2*26_560 - 2_049_000, 25_557_032 + 2*26_560},
		{"small-cnn", 150, 11_215_873 - 65, 11_215_873},
	} {
		a := lookup(t, test.name)
		if n := a.Features(test.size, test.size).ParamCount(); n != test.without {
			t.Errorf("%s without top has %d parameters, want %d", test.name, n, test.without)
		}
		if n := a.WithTop(test.size, test.size).ParamCount(); n != test.with {
			t.Errorf("%s with top has %d parameters, want %d", test.name, n, test.with)
		}
	}
}

func TestTrainableParametersOfLite(t *testing.T) {
	// In millions: param_count of timm's results table for tf_efficientnet_lite0-4.
	for i, want := range []string{"4.65", "5.42", "6.09", "8.20", "13.01"} {
		a := lookup(t, fmt.Sprintf("efficientnet-lite%d", i))
		n := 0
		for _, p := range a.WithTop(a.Spec.Height, a.Spec.Width).Params() {
			if p.Trainable {
				n += tensor.Len(p.Shape)
			}
		}
		if got := fmt.Sprintf("%.2f", float64(n)/1e6); got != want {
			t.Errorf("%s has %s million trainable parameters, want %s", a.Name, got, want)
		}
	}
}

func TestFeatureShapes(t *testing.T) {
	for _, a := range All() {
		for _, side := range []int{a.MinSide, 150, a.Spec.Height} {
			shape := a.Features(side, side+1).OutputShape()
			if len(shape) != 1 || shape[0] != a.FeatureCount {
				t.Errorf("%s at %d gives features %s, want [%d]", a.Name, side, tensor.ShapeString(shape),
					a.FeatureCount)
			}
		}
	}
}

func TestLookupNamesWhatThereIs(t *testing.T) {
	if _, err := Lookup("resnet"); err == nil {
		t.Error("an unknown name gives no error")
	}
}

func lookup(t *testing.T, name string) Architecture {
	t.Helper()
	a, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAdapt checks that networks take the numbers of channels that they have layers for or that can
// be repeated.
func TestAdapt(t *testing.T) {
	grey := func(s picture.Spec) picture.Spec { s.Grey = true; return s }
	own, err := FromLayers([]nn.Layer{
		{Op: nn.OpInput, Shape: []int{8, 8, 1}}, {Op: nn.OpReLU, Inputs: []int{0}},
	}, grey(stretch(8, picture.Nearest, 0, 255)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a        Architecture
		spec     picture.Spec
		channels int // of its input; 0: an error
	}{
		{lookup(t, "efficientnet-lite0"), grey(lookup(t, "efficientnet-lite0").Spec), 1},
		{lookup(t, "efficientnet-lite0"), lookup(t, "efficientnet-lite0").Spec, 3},
		{lookup(t, smallCNNName), grey(lookup(t, smallCNNName).Spec), 1},
		{lookup(t, "resnet18"), grey(stretch(64, picture.Nearest, 0, 255)), 0},
		{lookup(t, "resnet18"), stretch(16, picture.Nearest, 0, 255), 0},
		{own, own.Spec, 1},
		{own, stretch(8, picture.Nearest, 0, 255), 0},
	} {
		a, err := c.a.Adapt(c.spec)
		if (err == nil) != (c.channels > 0) {
			t.Errorf("%s for %+v: %v", c.a.Name, c.spec, err)
		} else if err == nil {
			if shape := a.Features(c.spec.Height, c.spec.Width).InputShape(); shape[2] != c.channels {
				t.Errorf("%s for %+v takes %v", a.Name, c.spec, shape)
			}
		}
	}
}
