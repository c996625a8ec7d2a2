//go:build !small

package convert_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"garb/convert"
	"garb/keras"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Write exports the built-in model as an ONNX file. What Read returns for that file has the same
// classes and gives the same answer.
func ExampleWrite() {
	folder, err := os.MkdirTemp("", "convert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	path := filepath.Join(folder, "clothing.onnx")
	export, err := convert.Write(path, classifier, convert.WriteOptions{Preprocessing: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("with the acceptance:", export.Acceptance)

	imported, err := convert.Read(context.Background(), path, convert.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	again := filepath.Join(folder, "clothing.safetensors")
	if err = imported.Model.Save(again, tensor.Float32); err != nil {
		fmt.Println(err)
		return
	}
	back, err := model.Open(again, model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile("../examples/longsleeve.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	predictions, err := back.Classify(context.Background(), data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(back.Classes()), "classes:", predictions[0].Class)
	// Output:
	// with the acceptance: true
	// 10 classes: longsleeve
}

// writeKeras writes a .keras archive of a network that distinguishes two classes by the mean colour
// of a picture.
func writeKeras(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return keras.Write(f, &nn.Network{
		Layers: []nn.Layer{
			{Op: nn.OpInput, Shape: []int{16, 16, 3}},
			{Op: nn.OpGlobalAveragePool, Inputs: []int{0}},
			{Op: nn.OpDense, Name: "classifier", Inputs: []int{1}, Units: 2},
		},
		Tensors: tensor.Map{"classifier/kernel": tensor.FromSlice([]float32{5, 0, 0, 0, 0, 5}, 3, 2)},
	}, keras.WriteOptions{})
}

// A Keras file has neither the names of the classes nor the preprocessing. Options supply both.
func ExampleRead() {
	folder, err := os.MkdirTemp("", "convert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "colours.keras")
	if err = writeKeras(path); err != nil { // a file that somebody trained
		fmt.Println(err)
		return
	}
	imported, err := convert.Read(context.Background(), path, convert.Options{
		Classes: []string{"red", "blue"}, Preprocess: "xception", Filter: picture.Bilinear,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := imported.Model.Preprocessing
	fmt.Println(imported.Model.Classes, spec.Width, "×", spec.Height, spec.Filter, spec.Mean[0], spec.Std[0])
	// Output: [red blue] 16 × 16 bilinear 127.5 127.5
}

// If the names of the classes are missing, the error says how many there are.
func ExampleClassesError() {
	folder, err := os.MkdirTemp("", "convert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "colours.keras")
	if err = writeKeras(path); err != nil {
		fmt.Println(err)
		return
	}
	_, err = convert.Read(context.Background(), path, convert.Options{Preprocess: "xception"})
	var classes *convert.ClassesError
	if errors.As(err, &classes) {
		fmt.Println(classes.Outputs, "names are needed")
	}
	// Output: 2 names are needed
}

// For a network that garb does not know, Options must name the preprocessing.
func ExamplePreprocessError() {
	folder, err := os.MkdirTemp("", "convert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "colours.keras")
	if err = writeKeras(path); err != nil {
		fmt.Println(err)
		return
	}
	_, err = convert.Read(context.Background(), path, convert.Options{Classes: []string{"red", "blue"}})
	var preprocess *convert.PreprocessError
	if errors.As(err, &preprocess) {
		fmt.Println("one of", convert.Preprocessings())
	}
	// Output: one of [none rescale efficientnet-lite xception mobilenet resnet50 densenet]
}

// The ending of the path chooses the format.
func ExampleFormatError() {
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = convert.Write("clothing.pb", classifier, convert.WriteOptions{})
	var format *convert.FormatError
	if errors.As(err, &format) {
		fmt.Println("no known format:", format.Path)
	}
	// Output: no known format: clothing.pb
}

// With int8 weights an ONNX file takes less than a third of the space.
func ExampleWriteOptions() {
	folder, err := os.MkdirTemp("", "convert")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	classifier, err := model.Default(model.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var sizes []int64
	for _, o := range []convert.WriteOptions{{}, {Int8: true}} {
		path := filepath.Join(folder, "clothing.onnx")
		if _, err := convert.Write(path, classifier, o); err != nil {
			fmt.Println(err)
			return
		}
		info, err := os.Stat(path)
		if err != nil {
			fmt.Println(err)
			return
		}
		sizes = append(sizes, info.Size())
	}
	fmt.Println("less than a third:", sizes[1] < sizes[0]/3)
	// Output: less than a third: true
}

// ReadClasses reads the names of the classes from the folder that a model was trained on.
func ExampleReadClasses() {
	folder, err := os.MkdirTemp("", "pictures")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	for _, class := range []string{"shoes", "hat", "dress"} {
		if err = os.MkdirAll(filepath.Join(folder, "train", class), 0o755); err != nil {
			fmt.Println(err)
			return
		}
	}
	classes, err := convert.ReadClasses(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(classes)
	// Output: [dress hat shoes]
}
