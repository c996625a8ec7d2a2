package onnx

import (
	"math"
	"slices"

	"garb/nn"
)

// function is an operator that changes each value by itself.
func function(op nn.Op) operator {
	return func(c *call) (value, error) { return c.eachOf(nn.Layer{Op: op}) }
}

// eachOf applies a layer to each value of input 0.
func (c *call) eachOf(l nn.Layer) (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	return c.each(v, l)
}

// each applies a layer to each value by itself.
func (c *call) each(v value, l nn.Layer) (value, error) {
	l.Inputs = []int{v.layer}
	return c.made(l, c.shapeOf(v.layer), v.axes)
}

func (c *call) leakyReLU() (value, error) {
	return c.eachOf(nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(c.float("alpha", 0.01)))})
}

func (c *call) pReLU() (value, error) {
	slopes, err := c.numbers(1)
	if err != nil {
		return value{}, err
	}
	if len(slopes) == 0 {
		return value{}, c.damaged("it has no slopes")
	}
	if !slices.ContainsFunc(slopes, func(s float32) bool { return s != slopes[0] }) {
		return c.eachOf(nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(slopes[0]))})
	}
	return c.slopes()
}

// slopes is a PReLU with a slope for each channel.
func (c *call) slopes() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	layer, values, err := c.spread(v, k)
	if err != nil {
		return value{}, err
	}
	l := nn.Layer{Op: nn.OpPReLU, Name: c.layerName(), Inputs: []int{layer}}
	c.users[l.Name]++
	c.set(l.Name, "slope", values, len(values))
	return c.made(l, c.shapeOf(layer), v.axes)
}

func (c *call) elu() (value, error) {
	return c.eachOf(nn.Layer{Op: nn.OpELU, Slope: shortest(float64(c.float("alpha", 1)))})
}

// selu has its scale and alpha as attributes, which those who invented it fixed.
func (c *call) selu() (value, error) {
	alpha, gamma := c.float("alpha", 1.67326319217681884765625), c.float("gamma", 1.05070102214813232421875)
	if math.Abs(float64(alpha)-1.6732632) > 1e-5 || math.Abs(float64(gamma)-1.050701) > 1e-5 {
		return value{}, c.lack("alpha %v and gamma %v", alpha, gamma)
	}
	return c.eachOf(nn.Layer{Op: nn.OpSELU})
}

func (c *call) gelu() (value, error) {
	switch approximate := c.text("approximate", "none"); approximate {
	case "none":
		return c.eachOf(nn.Layer{Op: nn.OpGELU})
	case "tanh":
		return c.eachOf(nn.Layer{Op: nn.OpGELUTanh})
	default:
		return value{}, c.lack("approximate %q", approximate)
	}
}

func (c *call) softmax() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	otherwise := int64(-1)
	if c.model.opset < 13 {
		otherwise = 1
	}
	j, err := c.innerAxis(c.integer("axis", otherwise), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 13 && flat(v.axes[j:]).size() != v.axes[j].size() {
		return value{}, c.lack("several axes")
	}
	v.layer, err = c.channels(v, j)
	if err != nil {
		return value{}, err
	}
	return c.each(v, nn.Layer{Op: nn.OpSoftmax})
}

// clip is min(max(x, low), high).
func (c *call) clip() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if c.model.opset < 11 {
		low, high = c.float("min", low), c.float("max", high)
	} else {
		if c.has(1) {
			low, err = c.number(1)
			if err != nil {
				return value{}, err
			}
		}
		if c.has(2) {
			high, err = c.number(2)
			if err != nil {
				return value{}, err
			}
		}
	}
	if low != low || high != high {
		return value{}, c.damaged("a bound that is no number")
	}
	return c.clamp(v, low, high)
}

// clamp is min(max(x, low), high), where the largest float32 is no bound.
func (c *call) clamp(v value, low, high float32) (value, error) {
	below, above := low > -math.MaxFloat32, high < math.MaxFloat32
	switch {
	case !below && !above:
		return v, nil
	case !above: // low + ReLU(x − low)
		return c.between(v, nn.OpReLU, 1, -low, 1, low)
	case !below: // high − ReLU(high − x)
		return c.between(v, nn.OpReLU, -1, high, -1, high)
	case !(low < high):
		return value{}, c.lack("bounds %v and %v", low, high)
	}
	// ReLU6 is the one with two bounds: it is stretched over others.
	stretch := 6 / (high - low)
	return c.between(v, nn.OpReLU6, stretch, -low*stretch, 1/stretch, low)
}

// between is factor·f(before·x + shift) + offset of a function of each value.
func (c *call) between(v value, f nn.Op, before, shift, factor, offset float32) (value, error) {
	v, err := c.affine(v, before, shift)
	if err != nil {
		return value{}, err
	}
	if v, err = c.each(v, nn.Layer{Op: f}); err != nil {
		return value{}, err
	}
	return c.affine(v, factor, offset)
}

// hardSigmoid is max(0, min(1, alpha·x + beta)) = ReLU6(6·alpha·x + 6·beta)/6.
func (c *call) hardSigmoid() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	alpha, beta := c.float("alpha", 0.2), c.float("beta", 0.5)
	if math.Abs(float64(alpha)-1./6) < 1e-7 && beta == 0.5 {
		return c.each(v, nn.Layer{Op: nn.OpHardSigmoid})
	}
	return c.hard(v, alpha, beta)
}

func (c *call) hard(v value, alpha, beta float32) (value, error) {
	v.sole = false // the value itself may be needed beside
	return c.between(v, nn.OpReLU6, 6*alpha, 6*beta, 1./6, 0)
}

func (c *call) dropout() (value, error) {
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	rate := float64(c.float("ratio", 0.5))
	if c.has(1) {
		ratio, err := c.number(1)
		if err != nil {
			return value{}, err
		}
		rate = float64(ratio)
	}
	if c.has(2) {
		training, err := c.number(2)
		if err != nil {
			return value{}, err
		}
		if training != 0 {
			return value{}, c.lack("training_mode")
		}
	}
	if v.constant != nil || !(rate > 0 && rate < 1) {
		return v, nil
	}
	return c.each(v, nn.Layer{Op: nn.OpDropout, Rate: shortest(rate)})
}
