package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"garb/keras"
	"garb/nn"
	"garb/onnx"
	"garb/tensor"
)

// convertedRow begins the names of the rows of networks that other libraries made.
const convertedRow = "converted/"

// convertedSide is the height and width of their pictures.
const convertedSide = 224

// newConvertedRows returns the rows of networks of torchvision and keras.applications with random
// weights, in ONNX files that garb and its peers read. The target is 1.1 times the faster peer's time.
func newConvertedRows() []row {
	var all []row
	for _, network := range []struct{ library, name string }{
		{"torchvision", "mobilenet_v2"},
		{"torchvision", "mobilenet_v3_small"},
		{"torchvision", "efficientnet_b0"},
		{"keras", "EfficientNetV2B0"},
		{"torchvision", "resnet18"},
		{"torchvision", "resnet50"},
		{"torchvision", "densenet121"},
		{"torchvision", "regnet_y_400mf"},
	} {
		for _, batch := range []int{1, 32} {
			for _, threads := range []int{1, 2} {
				for _, peer := range []string{"onnxruntime", "openvino"} {
					all = append(all, row{
						fmt.Sprintf("%s%s/batch=%d/threads=%d/%s", convertedRow, network.name, batch, threads, peer),
						1.1,
						measurePair(subject{
							Peer: peer, Library: network.library, Network: network.name,
							Side: convertedSide, Batch: batch, Threads: threads,
						}),
					})
				}
			}
		}
	}
	for _, name := range []string{"MobileNetV2", "ResNet50", "EfficientNetB0"} {
		all = append(all, row{"train/" + name, 0.6, measurePair(subject{
			Peer: "keras", Train: true, Library: "keras", Network: name, Side: convertedSide, Batch: 32, Threads: 2,
		})})
	}
	return all
}

// computeMeanRatio returns the geometric mean, over networks, batches and threads, of garb's time
// divided by the faster peer's, and the number of ratios in it; 0 if none was measured.
func computeMeanRatio(rows []result) (mean float64, count int) {
	worst := map[string]float64{}
	for _, r := range rows {
		if strings.HasPrefix(r.Row, convertedRow) && r.Skipped == "" && r.Same {
			key := r.Row[:strings.LastIndexByte(r.Row, '/')]
			worst[key] = max(worst[key], r.Ratio)
		}
	}
	if len(worst) == 0 {
		return 0, 0
	}
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		sum += math.Log(worst[name])
	}
	return math.Exp(sum / float64(len(worst))), len(worst)
}

// modelRow begins the names of the rows of docs/convert.md's table.
const modelRow = "models/"

// newModelRows returns the rows of docs/convert.md's table: networks of other libraries, each in the
// files of the programs that export it.
func newModelRows() []row {
	var all []row
	add := func(library, exporter string, side int, names ...string) {
		for _, name := range names {
			s := subject{
				Peer: "onnxruntime", Library: library, Exporter: exporter, Network: name, Side: side, Batch: 1,
				Threads: 1, Trainable: true,
			}
			all = append(all, row{modelRow + library + exporter + "/" + name, 0, measurePair(s)})
		}
	}
	for _, exporter := range []string{"", "dynamo"} {
		add("torchvision", exporter, 224,
			"mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "efficientnet_v2_s",
			"resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121",
			"regnet_y_400mf", "regnet_x_400mf", "mnasnet1_0", "shufflenet_v2_x1_0", "squeezenet1_1",
			"googlenet", "vgg11_bn", "alexnet", "convnext_tiny")
		add("torchvision", exporter, 299, "inception_v3")
	}
	add("keras", "", 224,
		"MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0",
		"ResNet50", "ResNet50V2", "DenseNet121", "VGG16", "NASNetMobile")
	add("keras", "", 299, "Xception", "InceptionV3", "InceptionResNetV2")
	return all
}

// writeModels writes the rows of models into a file as a table that replaces what is between the
// file's two marks.
func writeModels(path string, r *report) error {
	const begin, end = "<!-- measured models -->\n", "<!-- end -->"
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(data), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table: between %q and %q", path, strings.TrimSpace(begin), end)
	}
	writers := map[string]string{
		"torchvision": "PyTorch's older exporter", "torchvisiondynamo": "PyTorch's newer exporter (dynamo)",
		"keras": "Keras, `.keras`",
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s, %s, %d cores, garb's kernels: %s\n\n", begin, r.Date.Format("2006-01-02"), r.Machine.CPU,
		r.Machine.Cores, r.Machine.Kernel)
	b.WriteString("| network | written by | parameters | largest difference | time, to ONNX Runtime's | trainable " +
		"|\n|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		name, ok := strings.CutPrefix(row.Row, modelRow)
		if !ok {
			continue
		}
		library, name, _ := strings.Cut(name, "/")
		if row.Skipped != "" {
			fmt.Fprintf(&b, "| %s | %s | | | | %s |\n", name, writers[library], row.Skipped)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f M | %.1e | %.2f | %s |\n", name, writers[library],
			float64(row.Parameters)/1e6, row.Difference, row.Ratio,
			map[bool]string{true: "yes", false: "no"}[row.Trains])
	}
	return os.WriteFile(path, []byte(before+b.String()+end+after), 0o644)
}

// trainStep trains a network for a step, and returns the number of its parameters. An error says why
// the network cannot be trained.
func trainStep(s subject) (parameters int, err error) {
	g, w, err := buildGraph(s)
	if err != nil {
		return 0, err
	}
	for _, p := range g.Params() {
		parameters += tensor.Len(p.Shape)
	}
	trainer, err := nn.NewTrainer(g, w, nn.TrainerOptions{Threads: s.Threads, Loss: nn.SoftmaxCrossEntropy{}})
	if err != nil {
		return parameters, err
	}
	input, err := readFloats(s.Input)
	if err != nil {
		return parameters, err
	}
	targets := make([]float32, tensor.Len(g.OutputShape()))
	targets[0] = 1
	loss, err := trainer.Step(context.Background(), input, targets, make([]float32, len(targets)))
	if err == nil && math.IsNaN(loss) {
		err = errors.New("the loss is not a number")
	}
	for _, v := range trainer.Variables() {
		if v.Trainable && !slices.ContainsFunc(v.Gradient, func(g float32) bool { return g != 0 }) {
			return parameters, fmt.Errorf("the gradient does not reach %s", v.Name)
		}
	}
	return parameters, err
}

// makeNetwork returns the file of a subject's network, which it makes first if need be: an ONNX file to
// run, or Keras's own to train.
func (b *bench) makeNetwork(ctx context.Context, s subject) (string, error) {
	extension := map[string]string{"torchvision": ".onnx", "keras": ".keras"}[s.Library]
	made := filepath.Join(b.folder, s.Network+s.Exporter+extension)
	if _, err := os.Stat(made); err != nil {
		if err := b.runLibrary(ctx, s, made); err != nil {
			return "", err
		}
	}
	if s.Train || s.Library == "torchvision" {
		return made, nil
	}
	path := filepath.Join(b.folder, s.Network+".onnx")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, b.runRequest(ctx, request{Op: "convert", From: made, File: path})
}

// runLibrary lets the subject's library write the network to a file.
func (b *bench) runLibrary(ctx context.Context, s subject, path string) error {
	python, install := b.findPython("pytorch"),
		"pip install torch torchvision onnx, and GARB_TORCH_PYTHON names a Python that has them"
	if s.Library == "keras" {
		python, install = b.findPython("keras"),
			"pip install keras tensorflow-cpu, and GARB_KERAS_PYTHON names a Python that has them"
	}
	arguments := []string{filepath.Join(b.folder, "peers", "networks.py"), s.Library, s.Network, path,
		fmt.Sprint(s.Side)}
	if s.Exporter != "" {
		arguments = append(arguments, s.Exporter)
	}
	command := exec.CommandContext(ctx, python, arguments...)
	var log bytes.Buffer
	command.Stderr = &log
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 3:
		return &skipError{strings.TrimSpace(log.String()) + ": " + install}
	}
	return fmt.Errorf("%s of %s: %w\n%s", s.Network, s.Library, err, &log)
}

// readNetwork reads the file of a network that makeNetwork made.
func readNetwork(path string) (*nn.Network, error) {
	if filepath.Ext(path) == ".onnx" {
		n, _, err := onnx.ReadFile(path, onnx.DefaultLimits())
		return n, err
	}
	m, err := keras.OpenFile(path, keras.DefaultLimits())
	if err != nil {
		return nil, err
	}
	return m.Network(0)
}

// convertNetwork writes the network of a Keras file as ONNX.
func convertNetwork(from, to string) error {
	n, err := readNetwork(from)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := onnx.Write(&b, n, onnx.Options{}); err != nil {
		return err
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}

// buildGraph returns the subject's graph and weights.
func buildGraph(s subject) (*nn.Graph, nn.Weights, error) {
	if s.Network != "" {
		n, err := readNetwork(s.File)
		if err != nil {
			return nil, nil, err
		}
		g, err := nn.NewGraph(n.Layers)
		return g, n.Tensors, err
	}
	build := buildNetwork
	if s.Train {
		build = buildTrainedNetwork
	}
	graph, err := build(s.Architecture, s.Side)
	if err != nil {
		return nil, nil, err
	}
	file, err := tensor.ReadFile(s.Weights)
	return graph, file, err
}
