package keras

import "garb/nn"

// activations are Keras's functions by its names; linear changes nothing.
var activations = map[string]nn.Layer{
	"relu":    {Op: nn.OpReLU},
	"relu6":   {Op: nn.OpReLU6},
	"sigmoid": {Op: nn.OpSigmoid},
	"softmax": {Op: nn.OpSoftmax},
	"swish":   {Op: nn.OpSwish},
	"silu":    {Op: nn.OpSwish},
	"tanh":    {Op: nn.OpTanh},
	// The slope of the function; that of the layer is another.
	"leaky_relu": {Op: nn.OpLeakyReLU, Slope: 0.2},
}

// activation applies the function that the setting "activation" names: a word, Keras 3's
// {"class_name": "function", "config": word}, or a layer of its own.
func (a *applied) activation(x int) int {
	v := a.get("activation")
	if described, ok := v.(map[string]any); ok {
		class, _ := described["class_name"].(string)
		config, isObject := described["config"].(map[string]any)
		inner := &applied{a.conversion, settings{a.place, class, settingsOf(config), a.report}, a.layer}
		layer := map[string]func(int) int{
			"ReLU": inner.relu, "LeakyReLU": inner.leakyReLU, "Softmax": inner.softmax,
		}[class]
		switch {
		case foreignObject(described):
			a.refuse("activation", "Keras's own functions and layers")
			return x
		case class == "function":
			v = described["config"]
		case isObject && layer != nil:
			inner.precision()
			if x = layer(x); a.err == nil {
				inner.leftOver()
			}
			return x
		}
	}
	name, _ := v.(string)
	if l, ok := activations[name]; ok {
		return a.put(l, x)
	}
	if v != nil && name != "linear" {
		a.refuse("activation", "linear, relu, relu6, leaky_relu, sigmoid, softmax, swish and tanh")
	}
	return x
}

// relu is Keras's with all that it may have: a slope below zero or an upper bound of 6.
func (a *applied) relu(x int) int {
	if a.number("threshold", 0) != 0 {
		a.refuse("threshold", "0")
	}
	slope := a.number("negative_slope", 0)
	switch a.number("max_value", 6) {
	case 6:
		if a.get("max_value") == nil {
			if slope != 0 {
				return a.leaky("negative_slope", slope, x)
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

// leakyReLU has the slope that Keras 3 calls negative_slope and Keras 2 alpha.
func (a *applied) leakyReLU(x int) int {
	if a.get("negative_slope") == nil && a.get("alpha") != nil {
		return a.leaky("alpha", a.number("alpha", 0), x)
	}
	return a.leaky("negative_slope", a.number("negative_slope", 0.3), x)
}

func (a *applied) leaky(key string, slope float64, x int) int {
	if !(slope > -1e6 && slope < 1e6) {
		a.refuse(key, "a slope between")
	}
	return a.put(nn.Layer{Op: nn.OpLeakyReLU, Slope: slope}, x)
}

func (a *applied) softmax(x int) int {
	a.lastAxis(len(a.shapes[x]))
	return a.put(nn.Layer{Op: nn.OpSoftmax}, x)
}
