package tensor_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"garb/tensor"
)

func ExampleWrite() {
	weights := tensor.Map{
		"classifier/kernel": tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 3, 2),
		"classifier/bias":   tensor.FromSlice([]float32{0.5, -1}, 2),
	}
	var file bytes.Buffer
	metadata := map[string]string{"license": "Apache-2.0"}
	if err := tensor.Write(&file, metadata, weights, tensor.Float16); err != nil {
		fmt.Println(err)
		return
	}
	f, err := tensor.Decode(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	bias, err := f.Tensor("classifier/bias")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Metadata["license"], f.Names())
	fmt.Println(bias.Shape, bias.Data)
	// Output:
	// Apache-2.0 [classifier/bias classifier/kernel]
	// [2] [0.5 -1]
}

// A file's header is enough to list its tensors; values are decoded when they are needed.
func ExampleFile() {
	folder, err := os.MkdirTemp("", "weights")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "head.safetensors")
	weights := tensor.Map{"inner/kernel": tensor.New(64, 32), "inner/bias": tensor.New(32)}
	if err = tensor.WriteFile(path, nil, weights, tensor.Float32); err != nil {
		fmt.Println(err)
		return
	}
	f, err := tensor.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range f.Names() {
		fmt.Println(name, f.Shape(name), f.DType(name))
	}
	_, err = f.Tensor("outer/kernel")
	fmt.Println(errors.Is(err, tensor.ErrMissing))
	// Output:
	// inner/bias [32] F32
	// inner/kernel [64 32] F32
	// true
}

// Rounding weights to float16 in memory shows what a smaller file costs before it is written.
func ExampleMap_As() {
	weights := tensor.Map{"bias": tensor.FromSlice([]float32{0.1, 0.25, 2049}, 3)}
	rounded := weights.As(tensor.Float16)
	fmt.Println(rounded["bias"].Data)
	fmt.Println(weights["bias"].Data)
	// Output:
	// [0.099975586 0.25 2048]
	// [0.1 0.25 2049]
}

// An int8 tensor has one scale for each output: here the second output's weights are a tenth
// of the first's, and so is its scale.
func ExampleQuantize() {
	kernel := tensor.New(2048, 2) // smaller tensors are stored as float16
	for i := range 2048 {
		kernel.Data[2*i] = float32(i%3 - 1)      // -1, 0, 1, …
		kernel.Data[2*i+1] = float32(i%3-1) / 10 // -0.1, 0, 0.1, …
	}
	integers, scales, err := tensor.Quantize(kernel)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(integers[:6])
	fmt.Printf("%.4f %.5f\n", scales[0], scales[1])
	fmt.Printf("%.2f\n", float32(integers[5])*scales[1])
	// Output:
	// [-127 -127 0 0 127 127]
	// 0.0079 0.00079
	// 0.10
}

// Values are in row-major order: the last axis, that of the outputs, is contiguous.
func ExampleTensor() {
	kernel := tensor.New(2, 3)
	kernel.Data[1*3+2] = 7 // row 1, column 2
	fmt.Println(kernel.Shape, kernel.Data)
	fmt.Println(tensor.Len(kernel.Shape), tensor.ShapeString(kernel.Shape))
	// Output:
	// [2 3] [0 0 0 0 0 7]
	// 6 [2 3]
}

func ExampleFormatError() {
	_, err := tensor.Decode([]byte("this is a text file, not a safetensors file"))
	var format *tensor.FormatError
	fmt.Println(errors.As(err, &format))
	// Output: true
}

// What a file takes by the type of its values: int8 keeps a scale for each output besides.
func ExampleDType() {
	weights := tensor.Map{"classifier/kernel": tensor.New(1280, 1000)}
	for _, dtype := range []tensor.DType{tensor.Float32, tensor.Float16, tensor.Int8} {
		var file bytes.Buffer
		if err := tensor.Write(&file, nil, weights, dtype); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %.1f MB\n", dtype, float64(file.Len())/1e6)
	}
	// Output:
	// F32: 5.1 MB
	// F16: 2.6 MB
	// I8: 1.3 MB
}
