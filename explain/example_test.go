package explain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"garb/explain"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Nearest finds the pictures that a network sees as another is, by their feature vectors.
func ExampleNearest() {
	photo := []float32{1, 2, 0} // embeddings
	coat, sock := []float32{2, 4, 1}, []float32{0, 1, 9}
	neighbours := []explain.Neighbour{
		{Path: "sock.jpg", Class: "sock", Similarity: explain.Similarity(photo, sock)},
		{Path: "coat.jpg", Class: "coat", Similarity: explain.Similarity(photo, coat)},
	}
	for _, n := range explain.Nearest(neighbours, 1) {
		fmt.Printf("%s %.2f\n", n.Path, n.Similarity)
	}
	// Output: coat.jpg 0.98
}

// An overlay shows people where in a picture a network sees a class.
func ExampleOverlay() {
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
	p, err := picture.Decode(ctx, data, classifier.Limits())
	if err != nil {
		fmt.Println(err)
		return
	}
	input := make([]float32, spec.ValueCount())
	spec.Tensor(p, input)
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
	overlay := explain.Overlay{
		Map: explain.GradCAM(m), Title: "What speaks for " + best.Class, Low: "nothing", High: "most",
	}
	var b bytes.Buffer // or a file
	if err := png.Encode(&b, overlay.Draw(p, spec)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(overlay.Title)
	// Output: What speaks for pants
}

// bright is a classifier of two classes by the mean brightness of the left half of a picture.
type bright struct{}

func (bright) Spec() picture.Spec {
	return picture.Spec{
		Width: 28, Height: 28, Filter: picture.Bilinear, Fit: picture.Stretch, Std: [3]float32{255, 255, 255},
	}
}

func (bright) Classes() []string { return []string{"dark", "bright"} }

func (b bright) Logits(_ context.Context, inputs, logits []float32) error {
	n := b.Spec().ValueCount()
	for i := range len(inputs) / n {
		sum := float32(0)
		for j, v := range inputs[i*n:][:n] {
			if j/3%28 < 14 {
				sum += v
			}
		}
		logits[2*i], logits[2*i+1] = 0, sum/200-5
	}
	return nil
}

func (bright) Predictions(logits []float32) []model.Prediction {
	p := model.Softmax(logits)
	return []model.Prediction{
		{Class: "bright", Probability: p[1], Index: 1}, {Class: "dark", Probability: p[0], Index: 0},
	}
}

// Occlusion covers one part of a picture after the other, and notes by how much the probability of
// a class falls. It needs nothing of a network but its answers: here those of a function that
// looks at the left half of a picture only.
func ExampleOcclusion() {
	input := make([]float32, bright{}.Spec().ValueCount())
	for i := range input {
		input[i] = 1 // white
	}
	maps, err := explain.Occlusion(context.Background(), bright{}, input, []int{1}, func(int) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := maps[0]
	middle := m.Height / 2 * m.Width
	fmt.Println("left matters:", m.Values[middle] > 0.001, "right matters:", m.Values[middle+m.Width-1] > 0.001)
	// Output: left matters: true right matters: false
}

// Layers computes what single layers of a network make of a picture.
func ExampleLayers() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	network, err := classifier.Network()
	if err != nil {
		fmt.Println(err)
		return
	}
	layers, err := explain.NewLayers(network)
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/dress.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, spec := context.Background(), classifier.Spec()
	input := make([]float32, spec.ValueCount())
	if _, err := spec.Load(ctx, data, classifier.Limits(), input); err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range layers.Spread()[:3] { // from the first convolution on
		m, err := layers.ComputeMap(ctx, i, input)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.Op, m.Height, "×", m.Width, "positions,", m.Channels, "channels")
	}
	// Output:
	// ReLU6 112 × 112 positions, 32 channels
	// ReLU6 112 × 112 positions, 96 channels
	// ReLU6 56 × 56 positions, 144 channels
}

// A feature map is drawn as a grid of its channels, those that vary most first.
func ExampleFeatureMap() {
	m := &explain.FeatureMap{
		Layer: "conv", Op: "Conv", Height: 1, Width: 2, Channels: 3,
		Values: []float32{ // rows, columns, channels
			0, 5, 1,
			0, -5, 2,
		},
	}
	low, high := m.Range()
	fmt.Println(m.Strongest(), low, high)
	grid := m.DrawGrid(m.Strongest())
	fmt.Println(grid.Bounds().Dx() > 0)
	// Output:
	// [1 2 0] -5 5
	// true
}

// A grid shows pictures side by side, with lines of text below each.
func ExampleDrawGrid() {
	tile := func(class string) explain.Tile {
		return explain.Tile{Picture: image.NewGray(image.Rect(0, 0, 64, 64)), Lines: []string{class, "0.98"}}
	}
	tiles := []explain.Tile{tile("hat"), tile("dress"), tile("skirt"), tile("pants")}
	one := explain.DrawGrid("Nearest pictures", tiles[:1], 2)
	four := explain.DrawGrid("Nearest pictures", tiles, 2)
	fmt.Println("taller:", four.Bounds().Dy() > one.Bounds().Dy())
	// Output: taller: true
}

// An atlas is a map of pictures in which people can move about, in one HTML file.
func ExampleAtlas() {
	atlas := explain.Atlas{Title: "My wardrobe", Data: "examples", Model: "clothing", Method: "by hand"}
	for i, class := range []string{"dress", "skirt"} {
		data, err := os.ReadFile(filepath.Join("..", "examples", class+".jpg"))
		if err != nil {
			fmt.Println(err)
			return
		}
		p, err := picture.Decode(context.Background(), data, picture.DefaultLimits())
		if err != nil {
			fmt.Println(err)
			return
		}
		point := explain.Point{X: float64(i), Class: class, Path: class + ".jpg", Answer: class, Probability: 0.9}
		atlas.Add(point, explain.Fit(p, explain.ThumbnailSide))
	}
	var page bytes.Buffer
	if err := atlas.WritePage(&page); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(atlas.Points), "pictures", strings.Contains(page.String(), "My wardrobe"))
	// Output: 2 pictures true
}

// A layer that a network does not have is an error that lists those it has.
func ExampleUnknownLayerError() {
	layers, err := explain.NewLayers(&nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{8, 8, 3}},
			{Op: nn.OpConv, Name: "conv", Inputs: []int{0}, Units: 4, Height: 3, Width: 3, Stride: 1},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{1}},
		},
		Tensors: tensor.Map{"conv/kernel": tensor.New(3, 3, 3, 4)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = layers.Find("conv2")
	var unknown *explain.UnknownLayerError
	if errors.As(err, &unknown) {
		fmt.Println(unknown.Name, "is none of", unknown.Known)
	}
	// Output: conv2 is none of [conv]
}

// Findings, and the drawings in a folder that they name, become one page.
func ExampleWritePage() {
	folder, err := os.MkdirTemp("", "look")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	var drawing bytes.Buffer
	if err = png.Encode(&drawing, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		fmt.Println(err)
		return
	}
	if err = os.WriteFile(filepath.Join(folder, "cam-dress.png"), drawing.Bytes(), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	findings := &explain.Findings{
		Picture: "dress.jpg", Width: 400, Height: 533, Model: "clothing", Input: [2]int{224, 224},
		Predictions: []model.ListedPrediction{{Prediction: model.Prediction{Class: "dress", Probability: 0.98}}},
		Maps: []explain.MapFile{
			{File: "cam-dress.png", Kind: explain.KindCAM, Class: "dress", Height: 7, Width: 7},
		},
	}
	var page bytes.Buffer
	if err = explain.WritePage(&page, folder, findings); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("names the picture:", strings.Contains(page.String(), "dress.jpg"))
	fmt.Println("holds the drawing:", strings.Contains(page.String(), "data:image/png;base64,"))
	// Output:
	// names the picture: true
	// holds the drawing: true
}
