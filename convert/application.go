package convert

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// KeepApplication converts the official weights of a network of keras.applications to a model to
// train on, and writes it to s.Path(), which it returns. data is the content of the official file,
// and origin its address or path, which errors name. They wrap those of packages keras and model,
// or the file system's.
func KeepApplication(ctx context.Context, s weights.Source, origin string, data []byte) (string, error) {
	k, err := s.Open(origin, data)
	if err != nil {
		return "", err
	}
	n, err := k.Network(s.Application.Side)
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	p, err := lookupPreprocessing(s.Application.Preprocess)
	if err != nil {
		return "", err
	}
	m, err := model.FromNetwork(n, nil, p.applyTo(n, picture.Nearest))
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	if err = m.SetGolden(ctx, nil); err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	path, err := s.Path()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, m.Save(path, tensor.Float32)
}

// ApplicationSpec returns the preprocessing of a network of keras.applications, without the order
// of channels: a layer of the network sets it.
func ApplicationSpec(a weights.Application) (picture.Spec, error) {
	p, err := lookupPreprocessing(a.Preprocess)
	if err != nil {
		return picture.Spec{}, err
	}
	layers := []nn.Layer{{Op: nn.OpInput, Shape: []int{a.Side, a.Side, 3}}}
	return p.applyTo(&nn.Network{Layers: layers}, picture.Nearest), nil
}
