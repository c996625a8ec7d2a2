package train

import (
	"math"
	"testing"

	"garb/backbone"
	"garb/model"
	"garb/picture"
	"garb/weights"
)

// TestGrey trains on grey pictures: a network from scratch, which has one channel, and one
// that was trained on colours, whose three have the same level.
func TestGrey(t *testing.T) {
	data := drawn(t)
	for name, c := range map[string]func(*Config){
		"from nothing": func(c *Config) {
			a, err := backbone.Lookup("small-cnn")
			if err != nil {
				t.Fatal(err)
			}
			c.Backbone, c.FineTune, c.Preprocessing = a.Name, FineTune{All: true}, a.Spec
			c.Preprocessing.Width, c.Preprocessing.Height = 24, 24
			c.Augment.CutMix, c.Augment.Erasing = 1, 0.5
		},
		"pretrained":          func(*Config) {},
		"pretrained, changed": func(c *Config) { c.FineTune, c.Augment.HorizontalFlip = FineTune{Last: 2}, true },
	} {
		t.Run(name, func(t *testing.T) {
			config := config(t, data)
			c(&config)
			config.Preprocessing.Grey, config.Epochs = true, 2
			result, err := Run(t.Context(), config, Progress{})
			if err != nil {
				t.Fatal(err)
			}
			classifier, err := model.Open(result.Checkpoint, model.Options{})
			if err != nil {
				t.Fatal(err)
			}
			n, err := classifier.Network()
			if err != nil || n.Layers[0].Shape[2] != 1 || !classifier.Spec().Grey {
				t.Errorf("%v, input %v", err, n.Layers[0])
			}
			answersAsTrained(t, classifier, config, result)
			base, err := model.FindBackbone(result.Checkpoint, "")
			if err != nil || !base.Spec.Grey {
				t.Errorf("as a backbone it is for %+v, %v", base.Spec, err)
			}
		})
	}
}

// TestGreyFeatures: the features of a grey picture are those of the same picture in colours.
func TestGreyFeatures(t *testing.T) {
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	w, ok := weights.BuiltIn(a.Name)
	if !ok {
		t.Fatal("no weights")
	}
	spec := a.Spec
	spec.Width, spec.Height = 64, 64
	grey := spec
	grey.Grey = true
	p := model.DrawGoldenPicture(3)
	var features [2][]float32
	for i, s := range []picture.Spec{spec, grey} {
		e, err := model.NewExtractor(a, w, s, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		input := make([]float32, s.ValueCount())
		s.Tensor(p, input)
		features[i] = make([]float32, e.FeatureCount())
		if err := e.Features(t.Context(), input, features[i]); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // then its grey levels, in colours
			grey.Fit = picture.Stretch
			p = grey.Resize(p)
			spec.Tensor(p, input)
			if err := e.Features(t.Context(), input, features[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, v := range features[1] {
		if want := features[0][i]; math.Abs(float64(v-want)) > 1e-5 {
			t.Errorf("feature %d is %v, want %v", i, v, want)
		}
	}
}
