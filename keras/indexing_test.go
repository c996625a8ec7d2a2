package keras

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"garb/nn"
)

// of3 describes the call of an operation of Keras 3, with a value and other arguments.
func of3(layer string, arguments ...string) string {
	value := fmt.Sprintf(`{"class_name":"__keras_tensor__","config":{"keras_history":[%q,0,0]}}`, layer)
	return fmt.Sprintf(`[{"args":[%s],"kwargs":{}}]`, strings.Join(append([]string{value}, arguments...), ","))
}

// configured returns a layer with settings.
func configured(class, name, settings, inbound string) string {
	return fmt.Sprintf(`{"class_name":%q,"name":%q,"config":{"name":%q,%s},"inbound_nodes":%s}`, class, name, name,
		settings, inbound)
}

func function2(function, arguments string) string {
	return configured("TFOpLambda", "x", fmt.Sprintf(`"function":%q`, function),
		fmt.Sprintf(`[["i",0,0,%s]]`, arguments))
}

const ellipsis = `{"class_name":"__ellipsis__","config":{}}`

func slice3(start, stop, step string) string {
	return fmt.Sprintf(`{"class_name":"__slice__","config":{"start":%s,"stop":%s,"step":%s}}`, start, stop, step)
}

// TestPickedChannels checks that indexing with brackets selects channels as in Python.
func TestPickedChannels(t *testing.T) {
	whole := slice3("null", "null", "null")
	for _, test := range []struct {
		key  string
		want []int // nil: no layer
	}{
		{"[" + ellipsis + "," + slice3("null", "null", "-1") + "]", []int{2, 1, 0}},
		{"[" + ellipsis + "," + slice3("1", "null", "null") + "]", []int{1, 2}},
		{"[" + ellipsis + "," + slice3("-1", "-9", "-2") + "]", []int{2, 0}},
		{"[" + ellipsis + "," + slice3("null", "9", "2") + "]", []int{0, 2}},
		{"[" + whole + "," + whole + "," + slice3("0", "8", "1") + "," + slice3("0", "-1", "1") + "]", []int{0, 1}},
		{"[" + slice3("0", "null", "1") + "," + ellipsis + "," + slice3("2", "3", "null") + "]", []int{2}},
		{"[" + whole + "," + slice3("-8", "null", "null") + "]", nil},
		{"[" + ellipsis + "]", nil},
		{ellipsis, nil},
		{whole, nil},
	} {
		n, err := parse(t, functional(layer("GetItem", "g", of3("i", test.key))+","+layer("ReLU", "x",
			of3("g")))).Network(0)
		if err != nil {
			t.Errorf("%s: %v", test.key, err)
			continue
		}
		var got []int
		if n.Layers[1].Op == nn.OpSelect {
			got = n.Layers[1].Channels
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s picks %v, want %v", test.key, got, test.want)
		}
	}
}

// TestPreparingThatIsRefused checks that preprocessing that garb would compute differently is
// refused by name.
//
//nolint:funlen // a table
func TestPreparingThatIsRefused(t *testing.T) {
	whole, last := slice3("null", "null", "null"), "["+ellipsis+",0]"
	array := func(values string) string {
		return `{"class_name":"__numpy__","config":{"value":` + values + `,"dtype":"float32"}}`
	}
	get := func(key string) string { return layer("GetItem", "x", of3("i", key)) }
	taken := func(settings, indices string) string { return configured("Take", "x", settings, of3("i", indices)) }
	plane := layer("GetItem", "g", of3("i", last)) + ","
	for _, test := range []struct{ layers, reason string }{
		{get(last), "without the axis"},
		{plane + layer("ReLU", "x", of3("g")), "one channel without its axis"},
		{plane + layer("Add", "x", of3("g", "1.0")), "one channel without its axis"},
		{plane + configured("Stack", "x", `"axis":1`, of3("g")), "Stack, has axis 1"},
		{plane + configured("Stack", "x", `"axis":null`, of3("g")), "axis null"},
		{configured("Stack", "x", `"axis":-1`, of3("i")), "is a Stack"},
		{get("0"), "call argument 1 0"},
		{get("null"), "call argument 1 null"},
		{get("[" + whole + ",0]"), "channels of whole maps"},
		{get("[" + slice3("1", "null", "null") + "]"), "whole maps"},
		{get("[" + slice3("null", "1", "null") + "]"), "whole maps"},
		{get("[" + slice3("null", "null", "-1") + "," + ellipsis + "]"), "whole maps"},
		{get("[" + whole + "," + slice3("null", "null", "2") + "]"), "whole maps"},
		{get("[" + ellipsis + "," + ellipsis + "]"), "whole maps"},
		{get("[" + ellipsis + ",null]"), "whole maps"},
		{get("[" + ellipsis + ",3]"), "whole maps"},
		{get("[" + ellipsis + ",[2,1,0]]"), "whole maps"},
		{get("[" + ellipsis + "," + slice3("null", "null", "0") + "]"), "whole maps"},
		{get("[" + ellipsis + "," + slice3("0.5", "null", "1") + "]"), "whole maps"},
		{get("[" + strings.Repeat(whole+",", 4) + whole + "]"), "whole maps"},
		{get("[" + ellipsis + "," + slice3("3", "null", "null") + "]"), "selects 0 channels"},
		{get(last + "," + last), "call argument 2"},
		{taken(`"axis":1`, "[0]"), "along the last axis"},
		{taken(`"axis":-1`, "[3]"), "along the last axis"},
		{taken(`"axis":-1`, "2"), "along the last axis"},
		{configured("Flip", "x", `"axis":1`, of3("i")), "Flip, has axis 1"},
		{configured("Flip", "x", `"axis":null`, of3("i")), "Flip, has axis null"},
		{configured("Cast", "x", `"dtype":"uint8"`, of3("i")), `dtype "uint8"`},
		{layer("Cast", "x", of3("i")), "Cast, has dtype null"},
		{layer("Subtract", "x", of3("i", array("[1.0,2.0]"))), "each of 3 channels"},
		{layer("Subtract", "x", of3("i", array("[[1.0],[2.0],[3.0]]"))), "each of 3 channels"},
		{layer("Subtract", "x", of3("i", array("[[[[[1.0,2.0,3.0]]]]]"))), "each of 3 channels"},
		{layer("Subtract", "x", of3("i", array(`["1",2.0,3.0]`))), "each of 3 channels"},
		{layer("TrueDivide", "x", of3("i", array("[1.0,0.0,3.0]"))), "is a TrueDivide"},
		{layer("Subtract", "x", of3("i", "1.0", "2.0")), "call argument 2 2"},
		{layer("Subtract", "x", `[{"args":[],"kwargs":{}}]`), "0 inputs"},
		{layer("ReLU", "x", of3("i", "1.0")), "call argument 1 1"},
		{function2("nn.bias_add", `{"bias":[1,2,3],"data_format":"NCHW"}`), "call argument data_format"},
		{function2("math.add", `{"y":[1,2,3],"data_format":"NHWC"}`), "call argument data_format"},
		{function2("cast", `{"dtype":"uint8"}`), `call argument dtype "uint8"`},
		{function2("reverse", `{"axis":[1]}`), "has axis"},
		{function2("compat.v1.gather", `{"indices":[0],"axis":-1,"batch_dims":1}`), "call argument batch_dims"},
		{function2("stack", `{"axis":-1}`), "is a TFOpLambda"},
		{configured("Resizing", "x", `"height":9,"width":8,"interpolation":"bicubic"`, of3("i")),
			`interpolation "bicubic"; garb supports nearest and bilinear`},
		{configured("Resizing", "x", `"height":9,"width":8,"interpolation":"area"`, of3("i")), `interpolation "area"`},
		{configured("Resizing", "x", `"height":9,"width":8,"antialias":true`, of3("i")),
			"antialias true; garb supports no antialiasing"},
		{configured("Resizing", "x", `"height":24,"width":8,"pad_to_aspect_ratio":true,"fill_value":7`, of3("i")),
			"fill_value 7"},
		{configured("Resizing", "x", `"height":9,"width":8,"pad_to_aspect_ratio":true,"fill_mode":"edge"`, of3("i")),
			`fill_mode "edge"`},
		{configured("Resizing", "x", `"height":9,"width":8,"pad_to_aspect_ratio":true,"crop_to_aspect_ratio":true`,
			of3("i")), "pad_to_aspect_ratio true"},
		{configured("Resizing", "x", `"height":9,"width":0`, of3("i")), "width 0"},
		{configured("UpSampling2D", "u", `"size":4`, of3("i")) + "," +
			configured("Resizing", "x", `"height":1048576,"width":8,"crop_to_aspect_ratio":true`, of3("u")),
			"height and width 1048576 and 8; garb supports aspect ratios of smaller"},
		{configured("Resizing", "x", `"height":9,"width":8,"method":1`, of3("i")),
			"method 1; garb supports no such setting"},
		{configured("LayerNormalization", "x", `"axis":[2,3]`, of3("i")), "axis [2,3]; garb supports the last axis"},
		{configured("LayerNormalization", "x", `"axis":[3,2,1]`, of3("i")), "axis [3,2,1]"},
		{configured("LayerNormalization", "x", `"axis":[1,2,3],"rms_scaling":true`, of3("i")), "rms_scaling true"},
		{configured("CenterCrop", "x", `"height":8,"width":4,"anchor":"left"`, of3("i")),
			`anchor "left"; garb supports no such setting`},
		{configured("RandomCrop", "x", `"height":8,"width":4`, of3("i")),
			"height and width 8 and 4; garb supports no random crop that changes the size, and its input is [8 8 3]"},
		{configured("RandomCrop", "x", `"height":8`, of3("i")), "has width"},
	} {
		m, err := parseModel([]byte(functional(test.layers)), "", 0, false)
		if err == nil {
			_, err = m.Network(0)
		}
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v, want %q", test.layers, err, test.reason)
			continue
		}
		checkNetworkError(t, err)
	}
}

// TestPadToAspect checks that Keras pads both sides equally, and drops half a row or column.
func TestPadToAspect(t *testing.T) {
	for settings, want := range map[string]nn.Layer{
		`"height":24,"width":7`: {Op: nn.OpPad, Inputs: []int{0}, Above: 9, Below: 9}, // 27 rows of 8
		`"height":5,"width":7`:  {Op: nn.OpPad, Inputs: []int{0}, Left: 1, Right: 1},  // 11 columns
		`"height":9,"width":8`:  {Op: nn.OpResize, Inputs: []int{0}, Rows: 9, Columns: 8, Linear: true},
	} {
		n, err := parse(t, functional(configured("Resizing", "x",
			settings+`,"pad_to_aspect_ratio":true,"fill_mode":"constant"`, of3("i")))).Network(0)
		if err != nil {
			t.Errorf("%s: %v", settings, err)
		} else if got := n.Layers[1]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", settings, got, want)
		}
	}
}
