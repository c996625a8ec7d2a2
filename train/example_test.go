package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"

	"garb/backbone"
	"garb/dataset"
	"garb/evaluate"
	"garb/mislabel"
	"garb/model"
	"garb/train"
)

// plain encodes a picture of one colour, or nearly: no two are the same.
func plain(c color.RGBA, i int) []byte {
	c.R, c.G, c.B = c.R/8*7+uint8(i), c.G/8*7+uint8(i), c.B/8*7+uint8(i)
	m := image.NewRGBA(image.Rect(0, 0, 40, 40))
	draw.Draw(m, m.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

// drawPictures writes 20 pictures of each colour to a folder, in a folder of the colour's name.
func drawPictures(folder string, colours map[string]color.RGBA) {
	for name, c := range colours {
		for i := range 20 {
			path := filepath.Join(folder, name, fmt.Sprintf("%02d.png", i))
			err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, plain(c, i), 0o644))
			if err != nil {
				log.Fatal(err)
			}
		}
	}
}

// drawings makes a temporary folder with 20 red and 20 blue pictures in data, and garb's cache in
// home until it is removed.
func drawings() (folder string, remove func()) {
	folder, err := os.MkdirTemp("", "train")
	if err != nil {
		log.Fatal(err)
	}
	colours := map[string]color.RGBA{"red": {R: 255, A: 255}, "blue": {B: 255, A: 255}}
	drawPictures(filepath.Join(folder, "data"), colours)
	home := os.Getenv("GARB_HOME")
	os.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	return folder, func() {
		os.Setenv("GARB_HOME", home)
		os.RemoveAll(folder)
	}
}

// A run trains a classifier on a folder of pictures and keeps its best epoch, which answers like
// any other model. Here a small network learns to tell red pictures from blue ones.
func ExampleRun() {
	folder, remove := drawings()
	defer remove()
	network, err := backbone.Lookup("small-cnn")
	if err != nil {
		fmt.Println(err)
		return
	}
	config := train.Default()
	config.Data, config.Out = filepath.Join(folder, "data"), filepath.Join(folder, "run")
	config.Backbone, config.FineTune = network.Name, train.FineTune{All: true} // it is not pretrained
	config.Preprocessing = network.Spec
	config.Preprocessing.Width, config.Preprocessing.Height = 24, 24
	config.Epochs, config.Batch = 3, 4
	ctx := context.Background()
	result, err := train.Run(ctx, config, train.Progress{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Epochs, "epochs,", result.TestRight, "of", result.TestCount, "test pictures are right")

	classifier, err := model.Open(config.Out, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := classifier.Classify(ctx, plain(color.RGBA{B: 240, A: 255}, 3))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(predictions[0].Class)
	// Output:
	// 3 epochs, 6 of 6 test pictures are right
	// blue
}

// small returns the settings of ExampleRun, without an acceptance.
func small() (c train.Config, remove func()) {
	folder, remove := drawings()
	network, err := backbone.Lookup("small-cnn")
	if err != nil {
		log.Fatal(err)
	}
	c = train.Default()
	c.Data, c.Out = filepath.Join(folder, "data"), filepath.Join(folder, "run")
	c.Backbone, c.FineTune, c.Preprocessing = network.Name, train.FineTune{All: true}, network.Spec
	c.Preprocessing.Width, c.Preprocessing.Height = 24, 24
	c.Epochs, c.Batch, c.Acceptance = 3, 4, "none"
	return c, remove
}

// A program watches a run by functions that are called as it goes.
func ExampleProgress() {
	config, remove := small()
	defer remove()
	config.Epochs = 2
	_, err := train.Run(context.Background(), config, train.Progress{
		Data: func(d *dataset.Data, s *dataset.Splits) {
			fmt.Println(d.Classes, len(s.Train.Samples), len(s.Validation.Samples), len(s.Test.Samples))
		},
		Epoch: func(e train.Epoch) { fmt.Println("epoch", e.Epoch, "loss below 1:", e.Loss < 1) },
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// [blue red] 28 6 6
	// epoch 1 loss below 1: true
	// epoch 2 loss below 1: true
}

// A run that ended, or was stopped, goes on where it was.
func ExampleResume() {
	config, remove := small()
	defer remove()
	ctx := context.Background()
	config.Epochs = 1
	if _, err := train.Run(ctx, config, train.Progress{}); err != nil {
		fmt.Println(err)
		return
	}
	config, err := train.ReadConfig(config.Out)
	if err != nil {
		fmt.Println(err)
		return
	}
	config.Epochs = 3
	_, err = train.Resume(ctx, config, train.Progress{
		Epoch: func(e train.Epoch) { fmt.Println("epoch", e.Epoch) },
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// epoch 2
	// epoch 3
}

// With Other pictures a network learns to refuse what shows none of its classes: here green
// pictures.
func ExampleSource() {
	config, remove := small()
	defer remove()
	other, err := os.MkdirTemp("", "other")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(other)
	drawPictures(other, map[string]color.RGBA{"green": {G: 255, A: 255}})
	config.Other = []train.Source{{Path: other, Weight: 1}}
	config.Acceptance, config.Refusal, config.Epochs = "class", "neither red nor blue", 5
	ctx := context.Background()
	if _, err = train.Run(ctx, config, train.Progress{}); err != nil {
		fmt.Println(err)
		return
	}
	classifier, err := model.Open(config.Out, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := classifier.Judge(ctx, plain(color.RGBA{G: 240, A: 255}, 3))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Accepted, answer.Refusal)
	// Output: false neither red nor blue
}

// FindLearningRate proposes a learning rate from a short training in which it grows.
func ExampleFindLearningRate() {
	config, remove := small()
	defer remove()
	search := train.DefaultSearch()
	search.Steps = 30
	curve, rate, err := train.FindLearningRate(context.Background(), config, search, train.Progress{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var svg bytes.Buffer
	if err := train.PlotRates(&svg, curve, rate); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("between the bounds:", search.Low < rate && rate < search.High, "drawn:", svg.Len() > 0)
	// Output: between the bounds: true drawn: true
}

// A sweep trains every point of a grid of settings and ranks them.
func ExampleSweep() {
	config, remove := small()
	defer remove()
	config.Epochs = 2
	sweep := train.Sweep{
		Base:  config,
		Axes:  []train.Axis{{Name: "learning-rate", Values: []string{"0.00000001", "0.001"}}},
		Seeds: 1,
	}
	points, err := sweep.Run(context.Background(), func(p *train.Point, run, runs int) train.Progress {
		fmt.Printf("run %d of %d: %s\n", run, runs, p.Name)
		return train.Progress{}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("best:", points[0].Name)
	// Output:
	// run 1 of 2: learning-rate=0.00000001
	// run 2 of 2: learning-rate=0.001
	// best: learning-rate=0.001
}

// The points of a sweep are known before it is run: the first axis is the slowest.
func ExampleSweep_Points() {
	config, remove := small()
	defer remove()
	sweep := train.Sweep{Base: config, Seeds: 3, Axes: []train.Axis{
		{Name: "learning-rate", Values: []string{"0.001", "0.01"}},
		{Name: "dropout", Values: []string{"0", "0.5"}},
	}}
	points, err := sweep.Points()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range points {
		fmt.Println(p.Name)
	}
	// Output:
	// learning-rate=0.001 dropout=0
	// learning-rate=0.001 dropout=0.5
	// learning-rate=0.01 dropout=0
	// learning-rate=0.01 dropout=0.5
}

// Settings that cannot work are an error before anything is read.
func ExampleConfig_Validate() {
	c := train.Default()
	fmt.Println(c.Validate())
	c.Data, c.Out, c.Dropout = "pictures", "run", 1
	fmt.Println(c.Validate() != nil)
	// Output:
	// no data set is named
	// true
}

// Differences names what two runs do not share.
func ExampleDifferences() {
	a, b := train.Default(), train.Default()
	b.LearningRate, b.Dropout = 0.01, 0.5
	fmt.Println(train.Differences(a, b))
	// Output: [dropout (0, not 0.5) learning_rate (0.001, not 0.01)]
}

// With a learning rate far too large the loss is soon no number any more.
func ExampleDivergedError() {
	config, remove := small()
	defer remove()
	config.Optimizer, config.LearningRate = "sgd", 1e30
	_, err := train.Run(context.Background(), config, train.Progress{})
	var diverged *train.DivergedError
	if errors.As(err, &diverged) {
		fmt.Println("epoch", diverged.Epoch, "at", diverged.LearningRate)
	}
	// Output: epoch 1 at 1e+30
}

// Features computes the backbone's features of a data set, once: they are kept in the cache.
func ExampleFeatures() {
	config, remove := small()
	defer remove()
	set, err := dataset.Open(config.Data)
	if err != nil {
		fmt.Println(err)
		return
	}
	defaults := train.Default() // the built-in, pretrained backbone
	a, err := backbone.Lookup(defaults.Backbone)
	if err != nil {
		fmt.Println(err)
		return
	}
	defaults.Preprocessing = a.Spec
	defaults.Preprocessing.Width, defaults.Preprocessing.Height = 64, 64
	var tally dataset.Tally
	f, err := train.Features(context.Background(), defaults, set, &tally, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(f.Vectors), "pictures with", len(f.Vectors[0]), "features each,", tally.Skipped(), "skipped")
	// Output: 40 pictures with 1280 features each, 0 skipped
}

// Out-of-fold probabilities come from classifiers that have not seen the picture, which is what
// finding wrong labels needs. Here the features of two classes lie apart, and one label is wrong.
func ExampleOutOfFold() {
	random := rand.New(rand.NewPCG(1, 1))
	var features [][]float32
	var labels []int
	for i := range 60 {
		label := i % 2
		row := make([]float32, 4)
		for j := range row {
			row[j] = float32(4*label) + float32(random.NormFloat64())
		}
		features, labels = append(features, row), append(labels, label)
	}
	labels[17] = 0 // it is 1
	probabilities, err := train.DefaultOutOfFold().Probabilities(context.Background(), features, labels, 2, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := mislabel.Find(probabilities, labels, mislabel.SelfConfidence)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings[:report.Candidates()] {
		fmt.Println("picture", f.Index, "is likely of class", f.Proposed)
	}
	// Output: picture 17 is likely of class 1
}

// Pictures of one group, such as copies of one picture, are in one fold.
func ExampleFeatureSet_Groups() {
	f := train.FeatureSet{
		Set: &dataset.Set{Samples: []dataset.Sample{
			{Path: "1.jpg", Group: "shop"}, {Path: "2.jpg", Group: "shop"}, {Path: "3.jpg"}, {Path: "copy of 3.jpg"},
		}},
		Digests: []string{"a1", "b2", "c3", "c3"},
	}
	groups := f.Groups()
	fmt.Println(groups[0] == groups[1], groups[2] == groups[3], groups[0] == groups[2])
	// Output: true true false
}

// Choices lists the values of a setting that is one of some words.
func ExampleChoices() {
	fmt.Println(train.Choices("optimizer"))
	fmt.Println(train.Choices("schedule"))
	// Output:
	// [adam adamw sgd]
	// [constant step cosine one-cycle]
}

// With BalanceSampling the pictures of a rare class are shown as often as those of a common one.
func ExampleConfig() {
	config, remove := small()
	defer remove()
	for i := range 14 { // of 20 blue pictures six are left
		if err := os.Remove(filepath.Join(config.Data, "blue", fmt.Sprintf("%02d.png", i))); err != nil {
			fmt.Println(err)
			return
		}
	}
	config.BalanceSampling = 1
	result, err := train.Run(context.Background(), config, train.Progress{
		Data: func(d *dataset.Data, s *dataset.Splits) {
			counts := make([]int, len(d.Classes))
			for _, sample := range s.Train.Samples {
				counts[sample.Label]++
			}
			fmt.Println(d.Classes, counts)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.TestRight, "of", result.TestCount, "test pictures are right")
	// Output:
	// [blue red] [4 14]
	// 4 of 4 test pictures are right
}

// A run keeps its history, its best checkpoint and a page that shows how the model does.
func ExampleResult() {
	config, remove := small()
	defer remove()
	result, err := train.Run(context.Background(), config, train.Progress{})
	if err != nil {
		fmt.Println(err)
		return
	}
	curves, err := evaluate.ReadCurves(config.Out)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(curves), "epochs, the loss falls:", curves[2].Loss < curves[0].Loss)
	for _, path := range []string{result.Checkpoint, result.Report} {
		_, err := os.Stat(path)
		fmt.Println(filepath.Ext(path), err == nil)
	}
	// Output:
	// 3 epochs, the loss falls: true
	// .safetensors true
	// .html true
}
