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

// KeepApplication converts the official weights of a network of keras.applications, data from origin, to
// a model to train on, and saves it at s.Path(), which it returns. Errors name origin and wrap those of
// packages keras and model, or of writing.
func KeepApplication(ctx context.Context, s weights.Source, origin string, data []byte) (string, error) {
	k, err := s.Open(origin, data)
	if err != nil {
		return "", err
	}
	n, err := k.Network(s.Application.Side)
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	p, err := findPreprocessing(s.Application.Preprocess)
	if err != nil {
		return "", err
	}
	m, err := model.FromNetwork(n, nil, p.apply(n, picture.Nearest))
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
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, m.Save(path, tensor.Float32)
}

// ApplicationSpec returns the preprocessing of a network of keras.applications, except the order of the
// channels, which is a layer of the network.
func ApplicationSpec(a weights.Application) (picture.Spec, error) {
	p, err := findPreprocessing(a.Preprocess)
	if err != nil {
		return picture.Spec{}, err
	}
	layers := []nn.Layer{{Op: nn.OpInput, Shape: []int{a.Side, a.Side, 3}}}
	return p.apply(&nn.Network{Layers: layers}, picture.Nearest), nil
}
