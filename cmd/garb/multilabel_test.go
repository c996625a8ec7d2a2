package main

import (
	"image/color"
	"path/filepath"
	"strings"
	"testing"

	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// makeLabellingModel saves a multi-label model: a picture is "red", "green" or "blue" if it
// has more than one half of that colour.
func makeLabellingModel(t *testing.T) string {
	t.Helper()
	spec := picture.Spec{Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}
	b := nn.NewBuilder(8, 8, 3)
	graph := b.Build(b.Sigmoid(b.Dense("top", b.GlobalAveragePool(b.Input()), 3, nn.WithBias())))
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{
		"top/kernel": tensor.FromSlice([]float32{9, 0, 0, 0, 8, 0, 0, 0, 7}, 3, 3),
		"top/bias":   tensor.FromSlice([]float32{-4.5, -4, -3.5}, 3),
	}}
	m, err := model.FromNetwork(n, []string{"red", "green", "blue"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetGolden(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "colours.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMultiLabel: answers list the labels above one half, and commands that need a single
// class refuse such a model.
func TestMultiLabel(t *testing.T) {
	reference, folder := makeLabellingModel(t), t.TempDir()
	yellow := drawPlainPicture(t, filepath.Join(folder, "yellow.png"), color.RGBA{255, 255, 0, 255})
	black := drawPlainPicture(t, filepath.Join(folder, "black.png"), color.RGBA{0, 0, 0, 255})
	for _, c := range []struct {
		args  []string
		wants []string
	}{
		{nil, []string{"  labels: red, green\n", "  no label above 50 %\n", "  red     98.9 %"}},
		{[]string{"--json"}, []string{`"labels":["red","green"]`, `"labels":[]`}},
		{[]string{"--csv"}, []string{"picture,class,labels,", "yellow.png,red,red; green,", "black.png,blue,,"}},
	} {
		code, out, errOut := runGarb(t, nil,
			append([]string{"classify", "--model", reference, yellow, black}, c.args...)...)
		if code != exitDone {
			t.Fatalf("%v: %d, %s", c.args, code, errOut)
		}
		for _, want := range c.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, out)
			}
		}
	}
	data := makeSplitPictures(t)
	for _, args := range [][]string{
		{"classify", "--model", reference, "--sort-into", filepath.Join(folder, "sorted"), "--copy", yellow},
		{"evaluate", "--model", reference, "--data", data},
		{"compare", "--data", data, reference, model.Clothing},
		{"average", reference, reference, "--out", filepath.Join(folder, "mean.safetensors")},
	} {
		code, _, errOut := runGarb(t, nil, args...)
		if code == exitDone || !strings.Contains(errOut, "is a multi-label model") {
			t.Errorf("%v: %d, %s", args, code, errOut)
		}
	}
}
