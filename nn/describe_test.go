package nn

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"garb/tensor"
)

// Every network, described as JSON and made again, computes the same bits.
func TestGraphsAsData(t *testing.T) {
	for name, network := range networks {
		t.Run(name, func(t *testing.T) {
			g := network()
			text, err := json.Marshal(g.Layers())
			if err != nil {
				t.Fatal(err)
			}
			var layers []Layer
			if err = json.Unmarshal(text, &layers); err != nil {
				t.Fatal(err)
			}
			again, err := NewGraph(layers)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(again.Shapes(), g.Shapes()) || !reflect.DeepEqual(again.Params(), g.Params()) {
				t.Fatalf("%v %v, want %v %v", again.Shapes(), again.Params(), g.Shapes(), g.Params())
			}
			w, input := randomWeights(g, 3), randomValues(2*tensor.Len(g.InputShape()), 4)
			got, want := run1(t, compile(t, again, w, 1), input), run1(t, compile(t, g, w, 2), input)
			if !slices.Equal(got, want) {
				t.Error("the graph built from data gives other answers")
			}
		})
	}
}

func TestUpto(t *testing.T) {
	g := networks["dense block"]()
	for i, shape := range g.Shapes()[1:] {
		if part := g.Upto(i + 1); !slices.Equal(part.OutputShape(), shape) {
			t.Errorf("up to layer %d: %v, want %v", i+1, part.OutputShape(), shape)
		}
	}
}

// A part of a graph may compute nothing, and layers may have no gradient: neither is a panic.
func TestNothingToCompute(t *testing.T) {
	g, err := NewGraph([]Layer{
		{Op: OpInput, Shape: []int{4, 4, 3}},
		{Op: OpReshape, Inputs: []int{0}, Shape: []int{48}},
		{Op: OpTanh, Inputs: []int{1}},
		{Op: OpDense, Name: "d", Inputs: []int{2}, Units: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	var wrong *LayerError
	for i := range 2 {
		if _, err := Compile(g.Upto(i), tensor.Map{}, Options{}); !errors.As(err, &wrong) {
			t.Errorf("up to layer %d: %v", i, err)
		}
	}
	o := TrainerOptions{Threads: 1, Loss: SoftmaxCrossEntropy{}}
	if _, err := NewTrainer(g.Upto(1), tensor.Map{}, o); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if _, err := NewTrainer(g, randomWeights(g, 1), o); err != nil {
		t.Errorf("%v", err)
	}
}

func TestSharedLayers(t *testing.T) {
	layers := []Layer{
		{Op: OpInput, Shape: []int{4, 4, 3}},
		{Op: OpConv, Name: "c", Inputs: []int{0}, Units: 3, Height: 3, Width: 3, Stride: 1, Same: true},
		{Op: OpConv, Name: "c", Inputs: []int{1}, Units: 3, Height: 3, Width: 3, Stride: 1, Same: true},
	}
	g, err := NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.Params()); n != 1 || g.ParamCount() != 81 {
		t.Errorf("%d parameters of %d values, want 1 of 81", n, g.ParamCount())
	}
	checkAgainstNaive(t, g)
	layers[2].Units = 4
	if _, err := NewGraph(layers); err == nil {
		t.Error("layers of one name and two sizes are one graph")
	}
}

//nolint:funlen // a table
func TestWrongDescriptions(t *testing.T) {
	input := Layer{Op: OpInput, Shape: []int{8, 8, 3}}
	conv := Layer{Op: OpConv, Name: "c", Inputs: []int{0}, Units: 4, Height: 3, Width: 3, Stride: 1}
	with := func(change func(*Layer)) []Layer {
		l := conv
		change(&l)
		return []Layer{input, l}
	}
	for name, c := range map[string]struct {
		layers []Layer
		says   string
	}{
		"none":             {nil, "0 layers"},
		"input alone":      {[]Layer{input}, "computes something"},
		"no input":         {[]Layer{conv}, "begins with"},
		"flat input":       {[]Layer{{Op: OpInput, Shape: []int{5}}}, "begins with"},
		"huge input":       {[]Layer{{Op: OpInput, Shape: []int{1 << 20, 1 << 20, 1 << 30}}, conv}, "output would be"},
		"second input":     {[]Layer{input, input}, "no such operation"},
		"unknown":          {with(func(l *Layer) { l.Op = "LSTM" }), "no such operation"},
		"later layer":      {with(func(l *Layer) { l.Inputs = []int{1} }), "does not come before"},
		"negative input":   {with(func(l *Layer) { l.Inputs = []int{-1} }), "does not come before"},
		"no inputs":        {with(func(l *Layer) { l.Inputs = nil }), "0 inputs"},
		"no name":          {with(func(l *Layer) { l.Name = "" }), "name"},
		"no stride":        {with(func(l *Layer) { l.Stride = 0 }), "stride"},
		"no filters":       {with(func(l *Layer) { l.Units = 0 }), "filters"},
		"many filters":     {with(func(l *Layer) { l.Units = 1 << 40 }), "a size of"},
		"large output":     {with(func(l *Layer) { l.Units = 1 << 20; l.Same = true; l.Height, l.Width = 1, 1 }), ""},
		"large window":     {with(func(l *Layer) { l.Height = 9 }), "does not fit"},
		"dense on a map":   {[]Layer{input, {Op: OpDense, Name: "d", Inputs: []int{0}, Units: 2}}, "flat"},
		"shapes do not go": {append(with(func(*Layer) {}), Layer{Op: OpAdd, Inputs: []int{0, 1}}), "Add of"},
		"reshape":          {[]Layer{input, {Op: OpReshape, Inputs: []int{0}, Shape: []int{7}}}, "Reshape"},
		"huge reshape": {[]Layer{input, {Op: OpReshape, Inputs: []int{0}, Shape: []int{-1, 1 << 62, 4}}},
			"output would be"},
		"one to concat":    {[]Layer{input, {Op: OpConcat, Inputs: []int{0}}}, "1 inputs"},
		"dropout of all":   {[]Layer{input, {Op: OpDropout, Inputs: []int{0}, Rate: 1}}, "Dropout"},
		"nothing computed": {[]Layer{input, {Op: OpFlatten, Inputs: []int{0}}}, "computes something"},
		"negative stride":  {with(func(l *Layer) { l.StrideWidth = -1 }), "a size of"},
		"huge stride":      {with(func(l *Layer) { l.StrideWidth = 1 << 21 }), "a size of"},
		"negative gap":     {with(func(l *Layer) { l.Dilation = -2 }), "a size of"},
		"huge gap":         {with(func(l *Layer) { l.DilationWidth = 1 << 20; l.Same = true }), "covers more"},
		"wide gap":         {with(func(l *Layer) { l.Dilation = 4 }), "window of 9 does not fit"},
		"negative groups":  {with(func(l *Layer) { l.Groups = -3 }), "a size of"},
		"groups of a part": {with(func(l *Layer) { l.Groups = 2 }), "2 groups do not divide 3 channels and 4 filters"},
		"too many groups":  {with(func(l *Layer) { l.Groups = 3 }), "3 groups do not divide 3 channels and 4 filters"},
		"huge groups":      {with(func(l *Layer) { l.Groups = 1 << 30 }), "a size of"},
		"many repetitions": {[]Layer{
			{Op: OpInput, Shape: []int{4096, 4096, 2}},
			{Op: OpConv, Name: "c", Inputs: []int{0}, Units: 1 << 10, Height: 1, Width: 1, Stride: 4096, Groups: 2}},
			"512 filters for each channel"},
		"dilated same pool": {[]Layer{input,
			{Op: OpMaxPool, Inputs: []int{0}, Height: 2, Width: 2, Stride: 1, Dilation: 2, Same: true}}, "dilated"},
	} {
		_, err := NewGraph(c.layers)
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var wrong *LayerError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func FuzzNewGraph(f *testing.F) {
	for _, network := range networks {
		text, err := json.Marshal(network().Layers())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var layers []Layer
		if json.Unmarshal(text, &layers) != nil {
			return
		}
		if g, err := NewGraph(layers); err == nil {
			if _, err := lower(g, purpose{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestOldSettingsKeepTheirBytes checks that default settings are not written, and that older files
// keep their meaning.
func TestOldSettingsKeepTheirBytes(t *testing.T) {
	const old = `[{"op":"Input","shape":[8,8,4]},` +
		`{"op":"Conv","name":"c","inputs":[0],"units":4,"height":3,"width":3,"stride":2,"same":true},` +
		`{"op":"DepthwiseConv","name":"d","inputs":[1],"height":3,"width":3,"stride":1},` +
		`{"op":"MaxPool","inputs":[2],"height":2,"width":2,"stride":2}]`
	for name, change := range map[string]func(*Layer){
		"as they are": func(*Layer) {},
		"said": func(l *Layer) {
			l.StrideWidth, l.Dilation, l.DilationWidth, l.Groups = l.Stride, 1, 1, 1
		},
	} {
		var layers []Layer
		if err := json.Unmarshal([]byte(old), &layers); err != nil {
			t.Fatal(err)
		}
		for i := range layers[1:] {
			change(&layers[i+1])
		}
		g, err := NewGraph(layers)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(g.Layers()); err != nil || string(text) != old {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// TestHugeScratch checks that a window that reaches far over a map takes no more memory than the
// limit.
func TestHugeScratch(t *testing.T) {
	for name, l := range map[string]Layer{
		"tall":    {Height: 1 << 20, Width: 1, Stride: 1, Same: true},
		"grouped": {Height: 1 << 11, Width: 1 << 9, Stride: 1, DilationWidth: 2, Same: true},
	} {
		l.Op, l.Name, l.Inputs, l.Units = OpConv, "c", []int{0}, 1
		g, err := NewGraph([]Layer{{Op: OpInput, Shape: []int{2, 1 << 10, 1}}, l})
		if err != nil {
			t.Fatal(err)
		}
		w := randomWeights(g, 1)
		var wrong *LayerError
		if _, err := Compile(g, w, Options{}); !errors.As(err, &wrong) || wrong.Layer != 1 {
			t.Errorf("%s: Compile: %v", name, err)
		}
		if _, err := NewTrainer(g, w, TrainerOptions{Loss: BinaryCrossEntropy{}}); !errors.As(err, &wrong) ||
			wrong.Layer != 1 {
			t.Errorf("%s: NewTrainer: %v", name, err)
		}
	}
}

// TestHugeFeatureMaps checks layers that are valid one by one but too large together.
func TestHugeFeatureMaps(t *testing.T) {
	layers := []Layer{{Op: OpInput, Shape: []int{4096, 4096, 3}}}
	for i := range 6 {
		layers = append(layers, Layer{Op: OpSwish, Inputs: []int{i}})
	}
	layers = append(layers, Layer{Op: OpGlobalMaxPool, Inputs: []int{6}})
	for i := range 5 { // all maps are needed to the end
		layers = append(layers, Layer{Op: OpGlobalMaxPool, Inputs: []int{5 - i}},
			Layer{Op: OpAdd, Inputs: []int{len(layers) - 1, len(layers)}})
	}
	g, err := NewGraph(layers)
	if err != nil {
		t.Fatal(err)
	}
	var wrong *LayerError
	if _, err := Compile(g, tensor.Map{}, Options{}); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
}
