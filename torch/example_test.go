package torch_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"garb/tensor"
	"garb/torch"
)

// A state dict that torch.save wrote is read without Python. Integers, such as the numbers of
// batches that batch-norms count, are no weights and left out.
func ExampleDecode() {
	data, err := os.ReadFile("testdata/zip.pth")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := torch.Decode(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range s.Tensors.Names() {
		fmt.Println(name, s.Tensors[name].Shape)
	}
	fmt.Println("left out:", s.Integers)
	// Output:
	// 0.weight [4 3 3 3]
	// 1.bias [4]
	// 1.running_mean [4]
	// 1.running_var [4]
	// 1.weight [4]
	// 3.bias [2]
	// 3.weight [2 4]
	// left out: [1.num_batches_tracked]
}

// A .pth file is a program. Nothing in it is run: one that wants to call what no state dict needs
// is refused.
func ExampleCallError() {
	data, err := os.ReadFile("testdata/calls.pth")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a file of torch.save:", torch.Is(data))
	_, err = torch.Decode(data)
	var call *torch.CallError
	if errors.As(err, &call) {
		fmt.Println("refused:", call.Name)
	}
	// Output:
	// a file of torch.save: true
	// refused: posix.system
}

// Backbone finds torchvision's MobileNetV2, ResNet18 and ResNet50 by the names and shapes of their
// tensors; other networks are a NotABackboneError.
func ExampleStateDict_Backbone() {
	s := &torch.StateDict{Tensors: tensor.Map{"0.weight": tensor.New(4, 3, 3, 3)}}
	_, err := s.Backbone()
	var none *torch.NotABackboneError
	fmt.Println(errors.As(err, &none))
	// Output: true
}

// State dicts are also kept in safetensors files, with PyTorch's names.
func ExampleFromSafetensors() {
	var file bytes.Buffer
	err := tensor.Write(&file, nil, tensor.Map{"module.conv1.weight": tensor.New(64, 3, 7, 7)}, tensor.Float32)
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := tensor.Decode(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := torch.FromSafetensors(f)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Tensors.Names()) // without the prefix of DataParallel
	// Output: [conv1.weight]
}

// A TorchScript archive holds code with the weights, which garb does not read.
func ExampleUnsupportedError() {
	data, err := os.ReadFile("testdata/script.pth")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = torch.Decode(data)
	var unsupported *torch.UnsupportedError
	fmt.Println(errors.As(err, &unsupported))
	// Output: true
}
