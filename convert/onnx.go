//go:build !small

package convert

import (
	"cmp"
	"fmt"
	"strings"

	"garb/model"
	"garb/onnx"
)

// openONNX reads an ONNX file. A side other than 0 replaces the size of its pictures.
func openONNX(path string, side int) (*file, error) {
	limits := onnx.DefaultLimits()
	limits.Side = side
	n, info, err := onnx.ReadFile(path, limits)
	if err != nil {
		return nil, err
	}
	if side > 0 && len(n.Layers) > 0 && len(n.Layers[0].Shape) == 3 {
		n.Layers[0].Shape[0], n.Layers[0].Shape[1] = side, side
	}
	d := parseDescription(info.Metadata[metadataKey])
	f := &file{network: n, description: d, prepares: info.Input.Picture, input: info.Input.Name, output: info.Output}
	f.endsInLogits = info.Output == "logits" ||
		d.Signature != nil && d.Signature.Values == model.Logits && d.Signature.Output == info.Output
	f.format = strings.TrimSpace(fmt.Sprintf("ONNX opset %d of %s %s", info.Opset,
		cmp.Or(info.Producer, "an unknown program"), info.ProducerVersion))
	return f, nil
}
