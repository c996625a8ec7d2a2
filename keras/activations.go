package keras

import (
	"maps"
	"slices"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// activations has Keras's functions by name; linear is the identity.
var activations = map[string]nn.Layer{
	"relu":         {Op: nn.OpReLU},
	"relu6":        {Op: nn.OpReLU6},
	"sigmoid":      {Op: nn.OpSigmoid},
	"softmax":      {Op: nn.OpSoftmax},
	"swish":        {Op: nn.OpSwish},
	"silu":         {Op: nn.OpSwish},
	"tanh":         {Op: nn.OpTanh},
	"elu":          {Op: nn.OpELU, Slope: 1},
	"selu":         {Op: nn.OpSELU},
	"gelu":         {Op: nn.OpGELU}, // approximate, false by default, is an argument of the function
	"mish":         {Op: nn.OpMish},
	"softplus":     {Op: nn.OpSoftplus},
	"hard_sigmoid": {Op: nn.OpHardSigmoid}, // in Keras 3: see applyActivation
	"hard_silu":    {Op: nn.OpHardSwish},
	"hard_swish":   {Op: nn.OpHardSwish},
	// The function's slope differs from the layer's.
	"leaky_relu": {Op: nn.OpLeakyReLU, Slope: 0.2},
}

// applyActivation applies the function that the setting "activation" names: a word, Keras 3's
// {"class_name": "function", "config": word}, or a layer.
func (a *application) applyActivation(x int) int {
	v := a.get("activation")
	if described, ok := v.(map[string]any); ok {
		class, _ := described["class_name"].(string)
		config, isObject := described["config"].(map[string]any)
		inner := &application{a.conversion, settings{a.place, class, newConfig(config), a.report}, a.layer, nil, nil}
		layer := map[string]func(int) int{
			"ReLU": inner.applyReLU, "LeakyReLU": inner.applyLeakyReLU, "Softmax": inner.applySoftmax,
		}[class]
		switch {
		case isForeign(described):
			a.refuse("activation", "Keras's own functions and layers")
			return x
		case class == "function":
			v = described["config"]
		case isObject && layer != nil:
			inner.checkPrecision()
			if x = layer(x); a.err == nil {
				inner.checkUnused()
			}
			return x
		}
	}
	name, _ := v.(string)
	switch {
	case name == "hard_sigmoid" && a.generation == 0:
		a.refuse("activation", "hard_sigmoid of a file that says which Keras wrote it: there are two")
		return x
	case name == "hard_sigmoid" && a.generation < 3: // min(max(0.2·x + 0.5, 0), 1)
		x = a.putScale("/before", 6*0.2, 6*0.5, x)
		x = a.put(nn.Layer{Op: nn.OpReLU6}, x)
		return a.putScale("/after", 1./6, 0, x)
	}
	if l, ok := activations[name]; ok {
		return a.put(l, x)
	}
	if v != nil && name != "linear" {
		a.refuse("activation", strings.Join(append(slices.Sorted(maps.Keys(activations)), "linear"), ", "))
	}
	return x
}

// applyReLU applies Keras's ReLU with all its settings: a slope below zero or an upper bound of 6.
func (a *application) applyReLU(x int) int {
	if a.getNumber("threshold", 0) != 0 {
		a.refuse("threshold", "0")
	}
	slope := a.getNumber("negative_slope", 0)
	switch a.getNumber("max_value", 6) {
	case 6:
		if a.get("max_value") == nil {
			if slope != 0 {
				return a.putLeakyReLU("negative_slope", slope, x)
			}
			return a.put(nn.Layer{Op: nn.OpReLU}, x)
		}
		if slope != 0 {
			a.refuse("negative_slope", "none where values are bounded")
		}
		return a.put(nn.Layer{Op: nn.OpReLU6}, x)
	}
	a.refuse("max_value", "6 or none")
	return x
}

// applyLeakyReLU applies a LeakyReLU, whose slope is negative_slope in Keras 3 and alpha in Keras
// 2.
func (a *application) applyLeakyReLU(x int) int {
	if a.get("negative_slope") == nil && a.get("alpha") != nil {
		return a.putLeakyReLU("alpha", a.getNumber("alpha", 0), x)
	}
	return a.putLeakyReLU("negative_slope", a.getNumber("negative_slope", 0.3), x)
}

func (a *application) putLeakyReLU(key string, slope float64, x int) int {
	if !(slope > -1e6 && slope < 1e6) {
		a.refuse(key, "a slope between")
	}
	return a.put(nn.Layer{Op: nn.OpLeakyReLU, Slope: slope}, x)
}

// applyELU applies an ELU, whose alpha is a setting.
func (a *application) applyELU(x int) int {
	alpha := a.getNumber("alpha", 1)
	if !(alpha > -1e6 && alpha < 1e6) {
		a.refuse("alpha", "a number between")
	}
	return a.put(nn.Layer{Op: nn.OpELU, Slope: alpha}, x)
}

// applyPReLU applies a PReLU with one slope per channel, shared by all positions of a feature map.
func (a *application) applyPReLU(x int) int {
	shape := a.shapes[x]
	axes, _ := a.get("shared_axes").([]any)
	shared := map[any]bool{}
	for _, axis := range axes {
		shared[axis] = true
	}
	if len(shape) == 3 && !(len(axes) == 2 && shared[1.0] && shared[2.0]) || len(shape) == 1 && len(axes) > 0 {
		a.refuse("shared_axes", "[1, 2] on a feature map, and none on a flat value")
	}
	l := nn.Layer{Op: nn.OpPReLU, Name: a.reserveName(a.place, part{a.layer, ""})}
	for _, v := range a.layer.Variables {
		if v.Name == "alpha" && tensor.Len(v.Shape()) == shape[len(shape)-1] {
			a.parameters[l.Name+"/slope"] = parameter{variable: v, shape: shape[len(shape)-1:]}
		}
	}
	return a.put(l, x)
}

func (a *application) applySoftmax(x int) int {
	a.checkLastAxis(len(a.shapes[x]))
	return a.put(nn.Layer{Op: nn.OpSoftmax}, x)
}
