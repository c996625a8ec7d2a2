package keras

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"math"
	"os"
	"slices"

	"testing"

	"garb/nn"
	"garb/tensor"
)

// answer runs a converted model on one picture.
func answer(t testing.TB, n *nn.Network, picture []float32) []float32 {
	t.Helper()
	graph, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(graph, n.Tensors, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, tensor.Len(graph.OutputShape()))
	if err := plan.Run(t.Context(), picture, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func largestDifference(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	largest := 0.0
	for i := range a {
		largest = max(largest, math.Abs(float64(a[i])-float64(b[i])))
	}
	return largest
}

// Whole models answer as Keras does (networks.py): every kind of layer, layers and models
// that are called twice, models in models, in all four kinds of file.
func TestNetwork(t *testing.T) {
	text, err := os.ReadFile("testdata/networks.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string]struct {
		Side   int
		Answer []float32
	}
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != 12 {
		t.Errorf("%d models", len(answers))
	}
	for name, want := range answers {
		for _, kind := range []string{"keras", "h5"} {
			t.Run(name+"."+kind, func(t *testing.T) {
				n, err := open(t, fixture(t, "network-"+name+"."+kind)).Network(want.Side)
				if err != nil {
					t.Fatal(err)
				}
				picture := make([]float32, tensor.Len(n.Layers[0].Shape))
				for i := range picture {
					picture[i] = float32(float64(37*i%251)/125 - 1)
				}
				got := answer(t, n, picture)
				// Sums in another order.
				if d := largestDifference(got, want.Answer); !(d <= 1e-4) {
					t.Errorf("differs by %g: %v, want %v", d, got, want.Answer)
				}
			})
		}
	}
}

// A layer or model that is called twice has its parameters once.
func TestNetworkNames(t *testing.T) {
	for _, test := range []struct{ file, names string }{
		{"course3.keras",
			"base/block1_bn/beta base/block1_bn/gamma base/block1_bn/moving_mean base/block1_bn/moving_variance " +
				"base/block1_conv/kernel base/block2_sepconv/depthwise/kernel base/block2_sepconv/pointwise/bias " +
				"base/block2_sepconv/pointwise/kernel inner/bias inner/kernel last/bias last/kernel"},
		{"shared2.h5", "deep/conv/bias deep/conv/kernel dense/bias dense/kernel first/bias first/kernel twice/bias " +
			"twice/kernel wide/conv/bias wide/conv/kernel"},
		{"stacked2.h5",
			"last/bias last/kernel middle/block/norm/beta middle/block/norm/gamma middle/block/norm/moving_mean " +
				"middle/block/norm/moving_variance middle/inmost/conv/bias middle/inmost/conv/kernel " +
				"rescaling/offset rescaling/scale"},
	} {
		n, err := open(t, fixture(t, "network-"+test.file)).Network(0)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for name := range n.Tensors {
			if !strings.HasPrefix(name, "tf.") { // operators
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != test.names {
			t.Errorf("%s has %s", test.file, got)
		}
	}
}

func parse(t testing.TB, config string) *Model {
	t.Helper()
	m, err := parseModel([]byte(config), "", 0, false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const input = `{"class_name":"InputLayer","config":{"name":"i","batch_input_shape":[null,8,8,3]},"inbound_nodes":[]}`

// sequential returns a model of one layer of a class, on pictures of 8×8.
func sequential(class, settings string) string {
	return fmt.Sprintf(`{"class_name":"Sequential","config":{"name":"m",`+
		`"layers":[%s,{"class_name":%q,"config":{"name":"x",%s}}]}}`, input, class, settings)
}

// functional returns a model whose layers follow the input, with the output of layer "x".
func functional(layers string) string {
	return `{"class_name":"Functional","config":{"name":"m","layers":[` + input + "," + layers +
		`],"input_layers":[["i",0,0]],"output_layers":[["x",0,0]]}}`
}

func layer(class, name, inbound string) string {
	return fmt.Sprintf(`{"class_name":%q,"name":%q,"config":{"name":%q},"inbound_nodes":%s}`, class, name, name,
		inbound)
}

//nolint:funlen // a table
func TestSettingsThatGarbLacks(t *testing.T) {
	const conv = `"filters":4,"kernel_size":[3,3]`
	for _, test := range []struct{ class, settings, setting string }{
		{"Conv2D", conv + `,"dilation_rate":[2,0]`, "dilation_rate"},
		{"Conv2D", conv + `,"dilation_rate":[1,-1]`, "dilation_rate"},
		{"Conv2D", conv + `,"dilation_rate":1e7`, "dilation_rate"},
		{"Conv2D", conv + `,"groups":0`, "groups"},
		{"Conv2D", conv + `,"groups":-2`, "groups"},
		{"Conv2D", conv + `,"groups":1e9`, "groups"},
		{"Conv2D", conv + `,"groups":[1,3]`, "groups"},
		{"Conv2D", conv + `,"strides":[1,0]`, "strides"},
		{"Conv2D", conv + `,"strides":-1`, "strides"},
		{"Conv2D", conv + `,"strides":1e7`, "strides"},
		{"Conv2D", conv + `,"padding":"causal"`, "padding"},
		{"Conv2D", conv + `,"activation":"exponential"`, "activation"},
		{"Conv2D", conv + `,"activation":{"class_name":"function","config":"exponential"}`, "activation"},
		{"Conv2D", conv + `,"activation":{"module":"keras.layers","class_name":"ReLU","config":{"max_value":2}}`,
			"max_value"},
		{"Conv2D", conv + `,"activation":{"module":"keras.layers","class_name":"ReLU","config":{"round":true}}`,
			"round"},
		{"Conv2D", conv + `,"activation":{"module":"keras.layers","class_name":"ReLU","config":{"dtype":"float16"}}`,
			"dtype"},
		{"Conv2D", conv + `,"activation":{"module":"mine","class_name":"ReLU","config":{}}`, "activation"},
		{"Conv2D",
			conv + `,"activation":{"module":"keras.layers","class_name":"ReLU","config":{},` +
				`"registered_name":"mine>ReLU"}`, "activation"},
		{"Conv2D",
			conv + `,"activation":{"module":"builtins","class_name":"function","config":"swish",` +
				`"registered_name":"function"}`, "activation"},
		{"Conv2D", conv + `,"activation":"mine>swish"`, "activation"},
		{"Conv2D", conv + `,"shift":0`, "shift"},
		{"Conv2D", conv + `,"lora_rank":4`, "lora_rank"},
		{"Conv2D", conv + `,"dtype":"mixed_float16"`, "dtype"},
		{"Conv2D", conv + `,"dtype":{"class_name":"DTypePolicy","config":{"name":"mixed_bfloat16"}}`, "dtype"},
		{"Conv2D", conv + `,"dtype":{"class_name":"Policy","config":{"name":"float32","loss_scale":1}}`, "dtype"},
		{"Conv2D", conv + `,"dtype":{"class_name":"QuantizedDTypePolicy","config":{"name":"float32"}}`, "dtype"},
		{"Conv2D", conv + `,"dtype":1`, "dtype"},
		{"Dense", `"units":2,"quantization_config":{"mode":"int8"}`, "quantization_config"},
		{"RandomFlip", `"mode":"horizontal","dtype":"float16"`, "dtype"},
		{"InputLayer", `"sparse":true`, "sparse"},
		{"InputLayer", `"dtype":"uint8"`, "dtype"},
		{"BatchNormalization", `"renorm":true`, "renorm"},
		{"Conv2D", `"filters":0,"kernel_size":[3,3]`, "filters"},
		{"Conv2D", `"filters":1e9,"kernel_size":[3,3]`, "filters"},
		{"Conv2D", `"filters":4,"kernel_size":[3,3,3]`, "kernel_size"},
		{"Conv2D", `"filters":4,"kernel_size":[0,3]`, "kernel_size"},
		{"Conv2D", `"filters":4`, "kernel_size"},
		{"DepthwiseConv2D", `"kernel_size":3,"depth_multiplier":0`, "depth_multiplier"},
		{"DepthwiseConv2D", `"kernel_size":3,"depth_multiplier":1.5`, "depth_multiplier"},
		{"DepthwiseConv2D", `"kernel_size":3,"depth_multiplier":1e7`, "depth_multiplier"},
		{"DepthwiseConv2D", `"kernel_size":3,"groups":3`, "groups"},
		{"Dense", `"units":"many"`, "units"},
		{"BatchNormalization", `"axis":[1]`, "axis"},
		{"BatchNormalization", `"epsilon":-1`, "epsilon"},
		{"MaxPooling2D", `"pool_size":[2,0]`, "pool_size"},
		{"AveragePooling2D", `"pool_size":[2,2],"strides":[2,-1]`, "strides"},
		{"GlobalAveragePooling2D", `"keepdims":"yes"`, "keepdims"},
		{"ReLU", `"max_value":3`, "max_value"},
		{"ReLU", `"threshold":1`, "threshold"},
		{"ReLU", `"max_value":6,"negative_slope":0.1`, "negative_slope"},
		{"LeakyReLU", `"alpha":[0.1]`, "alpha"},
		{"Softmax", `"axis":1`, "axis"},
		{"ZeroPadding2D", `"padding":[1,2,3]`, "padding"},
		{"LayerNormalization", `"axis":[1,2]`, "axis"},
		{"LayerNormalization", `"axis":1`, "axis"},
		{"LayerNormalization", `"rms_scaling":true`, "rms_scaling"},
		{"LayerNormalization", `"epsilon":1e300`, "epsilon"},
		{"GroupNormalization", `"axis":2`, "axis"},
		{"GroupNormalization", `"groups":0`, "groups"},
		{"GroupNormalization", `"groups":-2`, "groups"},
		{"GroupNormalization", `"groups":[3]`, "groups"},
		{"Cropping2D", `"cropping":[[1,2],[3]],"crop_to_aspect_ratio":true`, "crop_to_aspect_ratio"},
		{"Cropping2D", `"cropping":[1,2,3]`, "cropping"},
		{"Cropping2D", `"cropping":[[-1,2],1]`, "cropping"},
		{"UpSampling2D", `"size":[0,2]`, "size"},
		{"UpSampling2D", `"size":[1.5,2]`, "size"},
		{"UpSampling2D", `"interpolation":"bicubic"`, "interpolation"},
		{"UpSampling2D", `"interpolation":"bilinear"`, "interpolation"}, // of a Keras that the file does not name
		{"Rescaling", `"scale":[1,2]`, "scale"},
		{"Normalization", `"axis":-1,"mean":[1,2,3],"variance":[1,1,1],"invert":true`, "invert"},
		{"Reshape", `"target_shape":[64,3]`, "target_shape"},
		{"Reshape", `"target_shape":[7,-1,3]`, "target_shape"},
		{"Reshape", `"target_shape":[-1,-1,3]`, "target_shape"},
	} {
		_, err := parse(t, sequential(test.class, test.settings)).Network(0)
		var setting *SettingError
		if !errors.As(err, &setting) || setting.Layer != "x" ||
			setting.Class != test.class && setting.Class != "ReLU" || setting.Setting != test.setting {
			t.Errorf("%s %s: error %v", test.class, test.settings, err)
		}
	}
	// What only together cannot be.
	for settings, reason := range map[string]string{
		conv + `,"groups":2`:                                 "2 groups do not divide 3 channels and 4 filters",
		conv + `,"groups":3`:                                 "3 groups do not divide",
		conv + `,"dilation_rate":500`:                        "does not fit",
		conv + `,"dilation_rate":1000000,"padding":"same"`:   "covers more than",
		`"filters":1000000,"kernel_size":1,"groups":1000000`: "1000000 groups do not divide",
	} {
		_, err := parse(t, sequential("Conv2D", settings)).Network(0)
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), `"x"`) ||
			!strings.Contains(err.Error(), reason) {
			t.Errorf("%s: error %v", settings, err)
		}
	}
	// A model's own settings, and what a call says beside values.
	const dense = `"name":"x","kernel_regularizer":{"l2":0.1},"seed":3,"trainable":false`
	for _, test := range []struct{ config, setting string }{
		{strings.Replace(sequential("ReLU", dense), `"name":"m"`, `"name":"m","dtype":"mixed_float16"`, 1), "dtype"},
		{strings.Replace(sequential("ReLU", dense), `"name":"m"`, `"name":"m","turned":1`, 1), "turned"},
		{functional(layer("ReLU", "x", `[{"args":[{"config":{"keras_history":["i",0,0]}},true]}]`)),
			"call argument 1"},
		{functional(layer("ReLU", "x",
			`[{"args":[{"config":{"keras_history":["i",0,0]}}],"kwargs":{"mask":null,"axis":1}}]`)),
			"call argument axis"},
		{functional(layer("Add", "x",
			`[{"args":[{"config":{"keras_history":["i",0,0]}},`+
				`{"class_name":"__tensor__","config":{"value":[1,2]}}]}]`)), "call argument 1"},
		{functional(layer("Concatenate", "x", `[{"args":[[{"config":{"keras_history":["i",0,0]}},[]]]}]`)),
			"call argument 0"},
		{functional(layer("ReLU", "x", `[[["i",0,0,{"training":false,"mask":2}]]]`)), "call argument mask"},
		{functional(layer("ReLU", "x", `[{"arguments":1}]`)), "call argument arguments"},
	} {
		_, err := parse(t, test.config).Network(0)
		var setting *SettingError
		if !errors.As(err, &setting) || setting.Setting != test.setting {
			t.Errorf("%s: %v", test.config, err)
		}
	}
	if _, err := parse(t, sequential("ReLU", dense)).Network(0); err != nil {
		t.Error(err)
	}
	_, err := parse(t, functional(layer("Dropout", "x", `[[["i",0,0,{"training":true}]]]`))).Network(0)
	var setting *SettingError
	if !errors.As(err, &setting) || !strings.Contains(err.Error(), "training true") {
		t.Errorf("error %v", err)
	}
}

// TestHardSigmoid checks the two different functions that Keras 3 and older versions call
// hard_sigmoid.
func TestHardSigmoid(t *testing.T) {
	for version, want := range map[string]float64{"3.3.3": 1./6*1.5 + 0.5, "2.15.0": 0.2*1.5 + 0.5, "": math.NaN()} {
		m := parse(t, sequential("Activation", `"activation":"hard_sigmoid"`))
		m.KerasVersion = version
		n, err := m.Network(0)
		if math.IsNaN(want) {
			var setting *SettingError
			if !errors.As(err, &setting) {
				t.Errorf("no version: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range answer(t, n, slices.Repeat([]float32{1.5}, 192)) {
			if math.Abs(float64(v)-want) > 1e-6 {
				t.Fatalf("Keras %s: %v, want %v", version, v, want)
			}
		}
	}
}

// Values that are joined and are no convolution's: a difference, a mean, and the sum of
// InceptionResNetV2.
func TestSubtractAndAverage(t *testing.T) {
	const both = `[[["r",0,0,{}],["s",0,0,{}]]]`
	for class, want := range map[string]float32{"Subtract": -2, "Average": 3, "CustomScaleLayer": 3} {
		last := layer(class, "x", both)
		if class == "CustomScaleLayer" {
			last = configured(class, "x", `"scale":0.25`, both)
		}
		n, err := parse(t, functional(layer("ReLU", "r", `[[["i",0,0,{}]]]`)+","+
			`{"class_name":"Rescaling","name":"s","config":{"name":"s","scale":2.0},"inbound_nodes":[[["r",0,0,{}]]]},`+
			last)).Network(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range answer(t, n, slices.Repeat([]float32{2}, 192)) {
			if v != want {
				t.Fatalf("%s: %v, want %v", class, v, want)
			}
		}
	}
}

// Without an axis one mean and variance are for all channels; Keras 3 writes no axes.
func TestNormalizationOfAll(t *testing.T) {
	for _, axis := range []string{"[]", "null"} {
		n, err := parse(t, sequential("Normalization", `"mean":2.0,"variance":4.0,"axis":`+axis)).Network(0)
		if err != nil {
			t.Errorf("axis %s: %v", axis, err)
			continue
		}
		got := answer(t, n, slices.Repeat([]float32{5}, 192))
		if slices.ContainsFunc(got, func(v float32) bool { return v != 1.5 }) {
			t.Errorf("axis %s: %v", axis, got[:3])
		}
	}
}

// Where the many versions of Keras say what a model's input is.
func TestInputOfNetwork(t *testing.T) {
	const relu = `{"class_name":"ReLU","config":{"name":"r"%s}}`
	first := fmt.Sprintf(relu, `,"batch_input_shape":[null,6,7,2]`)
	inner := `{"class_name":"Model","name":"inner","config":{"name":"inner","layers":[` + input +
		`,{"class_name":"ReLU","name":"x","config":{"name":"x"},"inbound_nodes":[[["i",0,0,{}]]]}],` +
		`"input_layers":[["i",0,0]],"output_layers":[["x",0,0]]}}`
	for _, test := range []struct {
		name, config string
		side         int
		want         []int
	}{
		{"a list, the first layer", `{"class_name":"Sequential","config":[` + first + `]}`, 0, []int{6, 7, 2}},
		{"another size", `{"class_name":"Sequential","config":[` + first + `]}`, 5, []int{5, 5, 2}},
		{"a model first", `{"class_name":"Sequential","config":{"layers":[` + inner + `]}}`, 0, []int{8, 8, 3}},
		{"built for it", `{"class_name":"Sequential","config":{"build_input_shape":[null,4,5,1],"layers":[` +
			fmt.Sprintf(relu, "") + `]}}`, 0, []int{4, 5, 1}},
		{"Keras 3", strings.Replace(functional(layer("ReLU", "x",
			`[{"args":[{"config":{"keras_history":["i",0,0]}}],"kwargs":{"training":true}}]`)),
			"batch_input_shape", "batch_shape", 1), 0, []int{8, 8, 3}},
		{"one input, not in a list",
			strings.Replace(functional(layer("ReLU", "x", `[[["i",0,0]]]`)), `[["x",0,0]]`, `["x",0,0]`, 1), 0,
			[]int{8, 8, 3}},
	} {
		n, err := parse(t, test.config).Network(test.side)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := n.Layers[0].Shape; !slices.Equal(got, test.want) || len(n.Layers) != 2 {
			t.Errorf("%s: %v, %d layers", test.name, got, len(n.Layers))
		}
	}
}

// TestRepeated checks a layer that is called with a list and repeats flat values over maps;
// TestNetworksThatAreNone has the operator of the same name.
func TestRepeated(t *testing.T) {
	for class, op := range map[string]nn.Op{"Add": nn.OpAdd, "Multiply": nn.OpMultiply, "Maximum": nn.OpMaximum,
		"Minimum": nn.OpMinimum} {
		for _, called := range []string{
			`[[["i",0,0],["y",0,0]]]`,
			`[{"args":[[{"config":{"keras_history":["y",0,0]}},{"config":{"keras_history":["i",0,0]}}]]}]`,
		} {
			n, err := parse(t, functional(layer("GlobalMaxPooling2D", "y", `[[["i",0,0]]]`)+","+layer(class, "x",
				called))).Network(0)
			if err != nil {
				t.Errorf("%s: %v", class, err)
				continue
			}
			if last := n.Layers[len(n.Layers)-1]; last.Op != op || len(n.Layers) != 3 {
				t.Errorf("%s: %v", class, n.Layers)
			}
		}
	}
}

func TestHalfPixels(t *testing.T) {
	for version, want := range map[string]bool{"3.15.1": true, "2.4.0": true, "2.21.0": true, "2.3.0-tf": false,
		"2.2.4-tf": false, "": false, "x": false} {
		if usesHalfPixels(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
}

//nolint:funlen // a table
func TestNetworksThatAreNone(t *testing.T) {
	// Models that each call the one within twice: 2^15 times the last.
	twice := layer("ReLU", "x", `[[["i",0,0]]]`)
	for range 15 {
		inner := functional(twice)
		twice = `{"name":"y",` + inner[1:len(inner)-1] + `,"inbound_nodes":[[["i",0,0]],[["y",1,0]]]},` +
			layer("ReLU", "x", `[[["y",2,0]]]`)
	}
	var links []string
	for i := range 9000 {
		links = append(links, layer("ReLU", fmt.Sprintf("l%d", i), fmt.Sprintf(`[[["l%d",0,0]]]`, i-1)))
	}
	chain := strings.Replace(strings.Join(links, ","), `"l-1"`, `"i"`, 1)
	size := func(shape string) string {
		return strings.Replace(sequential("ReLU", `"seed":1`), "[null,8,8,3]", shape, 1)
	}
	for _, test := range []struct {
		name, config, reason string
		side                 int
	}{
		{"of any size", size("[null,null,null,3]"), "give the size", 0},
		{"of any channels", size("[null,8,8,null]"), "channels", 0},
		{"no picture", size("[null,8]"), "a picture has 3", 0},
		{"of no size", size("null"), "does not say", 0},
		{"of a wrong size", size(`"x"`), "does not say", 0},
		{"of a huge size", size("[null,8,100000,3]"), "4096", 0},
		{"asked for a huge size", size("[null,8,8,3]"), "4096", 5000},
		{"nothing", `{"class_name":"Functional","config":{}}`, "does not say", 0},
		{"nothing computed", functional(layer("Dropout", "x", `[[["i",0,0]]]`)), "computes", 0},
		{"two outputs", strings.Replace(functional(layer("ReLU", "x", `[[["i",0,0]]]`)), `[["x",0,0]]`,
			`[["x",0,0],["i",0,0]]`, 1), "1 inputs and 2 outputs", 0},
		{"two inputs", functional(strings.Replace(input, `"i"`, `"j"`, 1) + "," +
			layer("Add", "x", `[[["i",0,0],["j",0,0]]]`)), "second input", 0},
		{"cycle", functional(layer("ReLU", "y", `[[["x",0,0]]]`) + "," + layer("ReLU", "x", `[[["y",0,0]]]`)),
			"own output", 0},
		{"of a missing layer", functional(layer("ReLU", "x", `[[["y",0,0]]]`)), "no such layer", 0},
		{"of a missing call", functional(layer("ReLU", "x", `[[["x",1,0]]]`)), "called 1 times", 0},
		{"of another tensor", functional(layer("ReLU", "y", `[[["i",0,0]]]`) + "," +
			layer("ReLU", "x", `[[["y",0,1]]]`)), "several outputs", 0},
		{"without input", functional(layer("ReLU", "x", `[[]]`)), "0 inputs", 0},
		{"sum of one", functional(layer("Add", "x", `[[["i",0,0]]]`)), "1 inputs", 0},
		{"sum of different", functional(layer("ZeroPadding2D", "y", `[[["i",0,0]]]`) + "," +
			layer("Add", "x", `[[["i",0,0],["y",0,0]]]`)), `cannot compute layer "x"`, 0},
		{"product of an operator and its axes", functional(layer("GlobalMaxPooling2D", "y", `[[["i",0,0]]]`) + "," +
			layer("Multiply", "x",
				`[{"args":[{"config":{"keras_history":["i",0,0]}},{"config":{"keras_history":["y",0,0]}}]}]`)),
			"different numbers of axes", 0},
		{"groups that do not divide", sequential("GroupNormalization", `"groups":2`), "2 groups of 3 channels", 0},
		{"nothing left", sequential("Cropping2D", `"cropping":4`), "leaves out all of the 8 rows", 0},
		{"ten thousand times as large", sequential("UpSampling2D", `"size":10000`), "output would be", 0},
		{"a million times as large", sequential("UpSampling2D", `"size":1000000`), "output would be", 0},
		{"nested without end", functional(twice), "more than 65536 layers", 0},
		{"too many layers", functional(chain + "," + layer("ReLU", "x", `[[["l8999",0,0]]]`)), "9002 layers", 0},
		{"too large a window", sequential("MaxPooling2D", `"pool_size":9`), "does not fit", 0},
		{"too large an output", sequential("ZeroPadding2D", `"padding":100000`), "output would be", 0},
		{"no feature map", functional(layer("Flatten", "y", `[[["i",0,0]]]`) + "," +
			layer("MaxPooling2D", "x", `[[["y",0,0]]]`)), "feature map", 0},
		{"no weights", sequential("Dense", `"units":2`), "x/kernel", 0},
		{"no statistics", sequential("Normalization", `"axis":-1`), "has no mean", 0},
	} {
		_, err := parse(t, test.config).Network(test.side)
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: error %v, want a FormatError with %q", test.name, err, test.reason)
		}
	}
	var format *FormatError
	for _, name := range []string{"small3.weights.h5", "small2.weights.h5"} {
		if _, err := open(t, fixture(t, name)).Network(0); !errors.As(err, &format) ||
			!strings.Contains(err.Error(), "weights only") {
			t.Errorf("%s gives %v", name, err)
		}
	}
	// Its first dense layer is for another size.
	if _, err := open(t, fixture(t, "network-homework3.keras")).Network(20); !errors.As(err, &format) ||
		!strings.Contains(err.Error(), "dense/kernel") {
		t.Errorf("another size gives %v", err)
	}
}

func TestOperatorsThatGarbLacks(t *testing.T) {
	const tensor = `{"class_name":"__keras_tensor__","config":{"keras_history":["i",0,0]}}`
	for _, test := range []struct{ class, inbound string }{
		{"TrueDivide", `[{"args":[1.0,` + tensor + `]}]`},
		{"Divide", `[{"args":[` + tensor + `,0.0]}]`},
		{"Divide", `[{"args":[` + tensor + `,` + tensor + `]}]`},
		{"Divide", `[{"args":[` + tensor + `]}]`},
	} {
		_, err := parse(t, functional(layer(test.class, "x", test.inbound))).Network(0)
		if err == nil {
			t.Errorf("%s of %s is a network", test.class, test.inbound)
			continue
		}
		checkNetworkError(t, err)
	}
	for _, function := range []string{`"nn.relu"`, `1`} {
		config := functional(strings.Replace(layer("TFOpLambda", "x", `[["i",0,0,{"y":1}]]`), `"name":"x"}`,
			`"name":"x","function":`+function+`}`, 1))
		var unknown *UnknownLayerError
		if _, err := parseModel([]byte(config), "", 0, false); !errors.As(err, &unknown) || unknown.Layer != "x" {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzNetwork(f *testing.F) {
	for _, name := range []string{"shared2.h5", "shared3.h5"} {
		root, err := openRoot(fixture(f, "network-"+name))
		if err != nil {
			f.Fatal(err)
		}
		config, err := readText(root, "model_config")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(config, 9)
	}
	f.Add(functional(layer("ReLU", "x", `[[["i",0,0]]]`)), 0)
	for class, settings := range map[string]string{
		"Rescaling": `"scale":[1,2,3]`, "Normalization": `"axis":-1,"mean":[[1,2,3]],"variance":1`,
		"LeakyReLU":    `"alpha":0.1`,
		"MaxPooling2D": `"pool_size":[2,2],"strides":null`, "GlobalAveragePooling2D": `"keepdims":true`,
		"ZeroPadding2D":   `"padding":[[1,0],[2,3]]`,
		"Conv2D":          `"filters":6,"kernel_size":[3,2],"strides":[1,2],"groups":3`,
		"DepthwiseConv2D": `"kernel_size":[3,1],"dilation_rate":[2,1],"depth_multiplier":2`,
		"Reshape":         `"target_shape":[-1]`, "Softmax": `"axis":-1`,
		"SeparableConv2D": `"filters":4,"kernel_size":[3,3],"activation":"swish"`,
	} {
		f.Add(sequential(class, settings), 0)
	}
	f.Fuzz(func(t *testing.T, config string, side int) {
		m, err := parseModel([]byte(config), "", 0, false)
		if err != nil {
			return
		}
		n, err := m.Network(side)
		if err != nil {
			checkNetworkError(t, err)
			return
		}
		if _, err := nn.NewGraph(n.Layers); err != nil {
			t.Fatal(err)
		}
	})
}

func checkNetworkError(t *testing.T, err error) {
	t.Helper()
	var format *FormatError
	var unknown *UnknownLayerError
	var setting *SettingError
	if !errors.As(err, &format) && !errors.As(err, &unknown) && !errors.As(err, &setting) {
		t.Fatalf("%T: %v", err, err)
	}
}
