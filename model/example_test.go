package model_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"garb/accept"
	"garb/conformal"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

func ExampleClassifier_Classify() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/t-shirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := classifier.Classify(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(predictions[0].Class, predictions[0].Probability > 0.9)
	// Output: t-shirt true
}

// Judge also says whether the picture shows any of the classes.
func ExampleClassifier_Judge() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"skirt.jpg", "cat.jpg"} {
		data, err := os.ReadFile(filepath.Join("..", "examples", name))
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := classifier.Judge(context.Background(), data)
		if err != nil {
			fmt.Println(err)
			return
		}
		if answer.Accepted {
			fmt.Println(name, "is", answer.Predictions[0].Class)
		} else {
			fmt.Println(name, "is", answer.Refusal)
		}
	}
	// Output:
	// skirt.jpg is skirt
	// cat.jpg is not clothing
}

// With Accept 0 the model accepts every picture, even that of a cat.
func ExampleOptions() {
	everything := 0.0
	classifier, err := model.Open(model.Clothing, model.Options{Accept: &everything, Threads: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/cat.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := classifier.Judge(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("accepted:", answer.Accepted, "acceptance below one half:", answer.Acceptance < 0.5)
	// Output: accepted: true acceptance below one half: true
}

// Logits takes a batch of prepared pictures.
func ExampleClassifier_Logits() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, spec := context.Background(), classifier.Spec()
	names := []string{"dress.jpg", "pants.jpg"}
	inputs := make([]float32, len(names)*spec.ValueCount())
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join("..", "examples", name))
		if err != nil {
			fmt.Println(err)
			return
		}
		input := inputs[i*spec.ValueCount():][:spec.ValueCount()]
		if _, err := spec.Load(ctx, data, classifier.Limits(), input); err != nil {
			fmt.Println(err)
			return
		}
	}
	classes := len(classifier.Classes())
	logits := make([]float32, len(names)*classes)
	if err := classifier.Logits(ctx, inputs, logits); err != nil {
		fmt.Println(err)
		return
	}
	for i, name := range names {
		fmt.Println(name, classifier.Predictions(logits[i*classes:][:classes])[0].Class)
	}
	// Output:
	// dress.jpg dress
	// pants.jpg pants
}

// An activation map says where in a picture the network sees a class: in this one the trousers are
// in the middle, and not in the corners.
func ExampleActivationMap() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/pants.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, spec := context.Background(), classifier.Spec()
	input := make([]float32, spec.ValueCount())
	if _, err = spec.Load(ctx, data, classifier.Limits(), input); err != nil {
		fmt.Println(err)
		return
	}
	logits := make([]float32, len(classifier.Classes()))
	if err = classifier.Logits(ctx, input, logits); err != nil {
		fmt.Println(err)
		return
	}
	best := classifier.Predictions(logits)[0]
	m, err := classifier.ActivationMap(ctx, input, best.Index)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(best.Class, "on", m.Height, "×", m.Width, "positions")
	fmt.Println("more in the middle than in a corner:", m.Values[m.Height/2*m.Width+m.Width/2] > m.Values[0])
	// Output:
	// pants on 7 × 7 positions
	// more in the middle than in a corner: true
}

// An extractor turns pictures into feature vectors. Similar pictures have similar vectors.
func ExampleExtractor() {
	base, err := model.FindBackbone(model.Clothing, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := model.OpenBackbone(base.Weights)
	if err != nil {
		fmt.Println(err)
		return
	}
	extractor, err := model.NewExtractor(base.Architecture, w, base.Spec, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/skirt.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	features, err := extractor.Embed(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(base.Name, len(features), "features")
	// Output: efficientnet-lite0 1280 features
}

// A description is everything in a model's file except the weights.
func ExampleDescription() {
	classifier, err := model.Open(model.Garments, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := classifier.Description()
	fmt.Println(d.Architecture, len(d.Classes), "classes, pictures of", d.Preprocessing.Width, "pixels")
	fmt.Println("judges by", d.Acceptance.Method, "and calls other pictures", d.Acceptance.Refusal)
	// Output:
	// efficientnet-lite0 17 classes, pictures of 224 pixels
	// judges by class and calls other pictures not clothing
}

// A model with int8 weights takes less space and gives nearly the same answers. OpenFS opens it in
// any file system, such as an embed.FS.
func ExampleStore() {
	folder, err := os.MkdirTemp("", "models")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	if _, err = model.Store(model.Clothing, filepath.Join(folder, "small.safetensors"), tensor.Int8); err != nil {
		fmt.Println(err)
		return
	}
	classifier, err := model.OpenFS(os.DirFS(folder), "small.safetensors", model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/longsleeve.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := classifier.Classify(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(classifier.Name(), "says", predictions[0].Class)
	// Output: small says longsleeve
}

// FromNetwork turns your own network into a model. This one distinguishes red pictures from blue
// ones by their mean colour.
func ExampleFromNetwork() {
	network := &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{5, 0, 0, 0, 0, 5}, 3, 2)},
	}
	spec := picture.Spec{
		Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch, Std: [3]float32{255, 255, 255},
	}
	m, err := model.FromNetwork(network, []string{"red", "blue"}, spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err = m.SetGolden(context.Background(), nil); err != nil {
		fmt.Println(err)
		return
	}
	folder, err := os.MkdirTemp("", "models")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "colours.safetensors")
	if err = m.Save(path, tensor.Float32); err != nil {
		fmt.Println(err)
		return
	}
	classifier, err := model.Open(path, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	blue := &picture.RGB{Width: 1, Height: 1, Pix: []uint8{20, 40, 200}}
	input, logits := make([]float32, spec.ValueCount()), make([]float32, 2)
	spec.Tensor(blue, input)
	if err := classifier.Logits(context.Background(), input, logits); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(classifier.Name(), classifier.Predictions(logits)[0].Class)
	// Output: colours blue
}

// Only models with the same network and classes can be averaged.
func ExampleMismatchError() {
	_, err := model.Average(context.Background(), model.Clothing, model.Garments)
	var mismatch *model.MismatchError
	fmt.Println(errors.As(err, &mismatch))
	// Output: true
}

// A head consists of the layers between a backbone's features and the logits.
func ExampleHead() {
	g := model.Head{Inner: []int{100}}.Graph(1280, 10, 0.2)
	for _, p := range g.Params() {
		fmt.Println(p.Name, p.Shape)
	}
	// Output:
	// inner1/kernel [1280 100]
	// inner1/bias [100]
	// classifier/kernel [100 10]
	// classifier/bias [10]
}

// FitAcceptance fits the acceptance to the scores of validation pictures and of other pictures.
func ExampleFitAcceptance() {
	spec := picture.Spec{
		Width: 224, Height: 224, Filter: picture.Bicubic, Fit: picture.Stretch,
		Mean: [3]float32{127, 127, 127}, Std: [3]float32{128, 128, 128},
	}
	garments := []float64{4, 5, 6, 7, 8, 9, 1}
	cats := model.OtherScores{Name: "cats", Scores: []float64{-3, -2, 0, 2}}
	a, err := model.FitAcceptance(accept.Energy, spec, model.NotClothing, garments, cats)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("measured:", a.Measured(), "accepted:", a.Validation.Accepted, "of", a.Validation.Count)
	for _, o := range a.Others {
		fmt.Println(o.Name, "accepted:", o.Accepted, "of", o.Count)
	}
	// Output:
	// measured: true accepted: 6 of 7
	// cats accepted: 0 of 4
}

// The error of a model that cannot be opened names it.
func ExampleError() {
	_, err := model.Open("../examples/cat.jpg", model.Options{})
	var e *model.Error
	if errors.As(err, &e) {
		fmt.Println("cannot open", e.Model)
	}
	// Output: cannot open ../examples/cat.jpg
}

// A temperature above 1 makes a model less confident. It does not change the order of the classes.
func ExampleDescription_Probabilities() {
	logits := []float32{4, 2, 0}
	for _, temperature := range []float64{1, 2} {
		d := model.Description{Temperature: temperature}
		fmt.Printf("temperature %.0f: %.2f\n", temperature, d.Probabilities(logits))
	}
	// Output:
	// temperature 1: [0.87 0.12 0.02]
	// temperature 2: [0.67 0.24 0.09]
}

// A Coverage knows the pictures that its rule was fitted on. Sets must not be measured on these.
func ExampleCoverage() {
	fitted := sha256.Sum256([]byte("a validation picture"))
	other := sha256.Sum256([]byte("a test picture"))
	rule := conformal.Rule{Coverage: 0.95, Threshold: 0.8, Free: 1, Pictures: 1}
	c, err := model.NewCoverage(rule, []string{hex.EncodeToString(fitted[:])})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.WasFittedOn(hex.EncodeToString(fitted[:])), c.WasFittedOn(hex.EncodeToString(other[:])))
	set := model.SelectClasses(c.Rule, []model.Prediction{
		{Class: "shirt", Probability: 0.5, Index: 1}, {Class: "t-shirt", Probability: 0.4, Index: 0},
		{Class: "hat", Probability: 0.1, Index: 2},
	})
	fmt.Println(set)
	// Output:
	// true false
	// [shirt t-shirt]
}

// saveColours saves a model that distinguishes red pictures from blue ones by their mean colour.
// The kernel has three rows and two columns.
func saveColours(path string, kernel []float32) error {
	m, err := model.FromNetwork(&nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "colours", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"colours/kernel": tensor.FromSlice(kernel, 3, 2)},
	}, []string{"red", "blue"}, picture.Spec{
		Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch, Std: [3]float32{255, 255, 255},
	})
	if err != nil {
		return err
	}
	if err := m.SetGolden(context.Background(), nil); err != nil {
		return err
	}
	return m.Save(path, tensor.Float32)
}

// Average merges models that were fine-tuned from the same weights.
func ExampleAverage() {
	folder, err := os.MkdirTemp("", "models")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	first, second := filepath.Join(folder, "1.safetensors"), filepath.Join(folder, "2.safetensors")
	if err = saveColours(first, []float32{5, 0, 0, 0, 0, 5}); err != nil {
		fmt.Println(err)
		return
	}
	if err = saveColours(second, []float32{3, 0, 0, 0, 0, 1}); err != nil {
		fmt.Println(err)
		return
	}
	mean, err := model.Average(context.Background(), first, second)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mean.Classes, mean.Tensors["colours/kernel"].Data)
	// Output: [red blue] [4 0 0 0 0 3]
}
