package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// answerer is a subject that is loaded. run does the work that is timed; output returns the output of the
// last run, in values that can be compared with the peer's.
type workload struct {
	run    func() error
	output func() []float32
}

// runWorker handles requests until its input ends.
func runWorker(in io.Reader, out io.Writer) error {
	var loaded workload
	lines := bufio.NewScanner(in)
	replies := json.NewEncoder(out)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return err
		}
		answer, err := handle(r, &loaded)
		if absent := (*skipError)(nil); errors.As(err, &absent) {
			answer.Absent = absent.reason
		} else if err != nil {
			answer.Error = "garb: " + err.Error()
		}
		if err := replies.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func handle(r request, loaded *workload) (reply, error) {
	switch r.Op {
	case "prepare":
		var err error
		if r.Subject.Picture != "" {
			*loaded, err = loadPicture(*r.Subject)
		} else if r.Subject.Train {
			*loaded, err = loadTraining(*r.Subject)
		} else {
			*loaded, err = loadNetwork(*r.Subject)
		}
		return reply{Name: "garb"}, err
	case "output":
		if err := loaded.run(); err != nil {
			return reply{}, err
		}
		return reply{Output: loaded.output()}, nil
	case "time":
		seconds := make([]float64, r.Repeats)
		for i := range seconds {
			start := time.Now()
			if err := loaded.run(); err != nil {
				return reply{}, err
			}
			seconds[i] = time.Since(start).Seconds()
		}
		return reply{Seconds: seconds}, nil
	case "convert":
		return reply{}, convertNetwork(r.From, r.File)
	case "train":
		parameters, err := trainStep(*r.Subject)
		return reply{Parameters: parameters}, err
	case "export":
		return reply{}, export(r.Architecture, r.File)
	case "draw":
		return reply{}, drawPictures(r.File)
	}
	return reply{}, fmt.Errorf("unknown request %q", r.Op)
}

// buildNetwork returns the graph that is measured: of EfficientNet-Lite0 with its ImageNet top, of
// Xception without, as each is used and as its weights are published.
func buildNetwork(architecture string, side int) (*nn.Graph, error) {
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return nil, err
	}
	if architecture == "xception" {
		return a.Features(side, side), nil
	}
	return a.WithTop(side, side), nil
}

// buildTrainedNetwork returns the graph of an architecture for training. It has no dropout, which
// differs from side to side.
func buildTrainedNetwork(architecture string, side int) (*nn.Graph, error) {
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return nil, err
	}
	return a.WithHead(side, side, func(b *nn.Builder, x nn.Value) nn.Value {
		return b.Dense(backbone.ClassifierName, x, backbone.ImageNetClasses, nn.WithBias())
	}), nil
}

func loadNetwork(s subject) (workload, error) {
	graph, weights, err := buildGraph(s)
	if err != nil {
		return workload{}, err
	}
	plan, err := nn.Compile(graph, weights, nn.Options{Threads: s.Threads})
	if err != nil {
		return workload{}, err
	}
	input, err := readFloats(s.Input)
	if err != nil {
		return workload{}, err
	}
	output := make([]float32, s.Batch*tensor.Len(plan.OutputShape()))
	return workload{
		run:    func() error { return plan.Run(context.Background(), input, output) },
		output: func() []float32 { return output },
	}, nil
}

// loadTraining prepares training steps with the settings of peers/training.py.
func loadTraining(s subject) (workload, error) {
	const learningRate, weightDecay = 1e-4, 0.01
	graph, weights, err := buildGraph(s)
	if err != nil {
		return workload{}, err
	}
	trainer, err := nn.NewTrainer(graph, weights,
		nn.TrainerOptions{Threads: s.Threads, Loss: nn.SoftmaxCrossEntropy{}})
	if err != nil {
		return workload{}, err
	}
	input, err := readFloats(s.Input)
	if err != nil {
		return workload{}, err
	}
	classes := tensor.Len(graph.OutputShape())
	targets, logits := make([]float32, s.Batch*classes), make([]float32, s.Batch*classes)
	for i := range s.Batch {
		targets[i*classes+37*i%classes] = 1
	}
	optimizer := &nn.Adam{WeightDecay: weightDecay}
	variables := trainer.Variables()
	loss := make([]float32, 1)
	return workload{
		run: func() error {
			l, err := trainer.Step(context.Background(), input, targets, logits)
			loss[0] = float32(l)
			optimizer.Update(variables, learningRate)
			return err
		},
		output: func() []float32 { return loss },
	}, nil
}

// loadPicture makes Lite0's input from the picture: the same pixels as the peer, and in addition their
// scaling to float32.
func loadPicture(s subject) (workload, error) {
	data, err := os.ReadFile(s.Picture)
	if err != nil {
		return workload{}, err
	}
	if s.Side == 0 {
		return decodePicture(data), nil
	}
	lite, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		return workload{}, err
	}
	spec := lite.Spec
	spec.Width, spec.Height = s.Side, s.Side
	values := make([]float32, s.Side*s.Side*3)
	run := func() error {
		_, err := spec.Load(context.Background(), data, picture.DefaultLimits(), values)
		return err
	}
	if s.Decoded {
		p, err := picture.Decode(context.Background(), data, picture.DefaultLimits())
		if err != nil {
			return workload{}, err
		}
		run = func() error {
			spec.Tensor(p, values)
			return nil
		}
	}
	return workload{
		run: run,
		output: func() []float32 {
			levels := make([]float32, len(values))
			for i, v := range values {
				levels[i] = v*spec.Std[i%3] + spec.Mean[i%3]
			}
			return levels
		},
	}, nil
}

// decodePicture decodes a picture whole.
func decodePicture(data []byte) workload {
	var p *picture.RGB
	return workload{
		run: func() (err error) {
			p, err = picture.Decode(context.Background(), data, picture.DefaultLimits())
			return err
		},
		output: func() (means []float32) {
			for row := range slices.Chunk(p.Pix, 3*p.Width) {
				sum := 0
				for _, v := range row {
					sum += int(v)
				}
				means = append(means, float32(sum)/float32(len(row)))
			}
			return means
		},
	}
}

func readFloats(path string) ([]float32, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values, nil
}

// export writes a network's weights, as float32 values, for both sides.
func export(architecture, path string) error {
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return err
	}
	graph, err := buildNetwork(architecture, a.Spec.Height)
	if err != nil {
		return err
	}
	source, err := openWeights(architecture)
	if err != nil {
		return &skipError{err.Error()}
	}
	tensors := tensor.Map{}
	for _, p := range graph.Params() {
		if tensors[p.Name], err = source.Tensor(p.Name); err != nil {
			return err
		}
	}
	return tensor.WriteFile(path, nil, tensors, tensor.Float32)
}

// openWeights opens Xception's weights in the Keras file that GARB_KERAS_FILE names, if it is set, and
// all others as garb does.
func openWeights(architecture string) (nn.Weights, error) {
	path := os.Getenv("GARB_KERAS_FILE")
	if path == "" || architecture != "xception" {
		return weights.Open(architecture)
	}
	n, err := weights.Read(path)
	if err != nil {
		return nil, err
	}
	return n.Tensors, nil
}
