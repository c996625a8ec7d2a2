package onnx

import (
	"math"
	"slices"

	"garb/nn"
)

// readFunction returns an operator that applies a function to each value.
func readFunction(op nn.Op) operator {
	return func(c *call) (value, error) { return c.applyToInput(nn.Layer{Op: op}) }
}

// applyToInput applies a layer to each value of input 0.
func (c *call) applyToInput(l nn.Layer) (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	return c.applyLayer(v, l)
}

// applyLayer applies a layer to each value by itself.
func (c *call) applyLayer(v value, l nn.Layer) (value, error) {
	l.Inputs = []int{v.layer}
	return c.addLayer(l, c.copyShape(v.layer), v.axes)
}

func (c *call) readLeakyReLU() (value, error) {
	slope := shortestDecimal(float64(c.floatAttribute("alpha", 0.01)))
	return c.applyToInput(nn.Layer{Op: nn.OpLeakyReLU, Slope: slope})
}

func (c *call) readPReLU() (value, error) {
	slopes, err := c.numberInputs(1)
	if err != nil {
		return value{}, err
	}
	if len(slopes) == 0 {
		return value{}, c.errDamaged("it has no slopes")
	}
	if !slices.ContainsFunc(slopes, func(s float32) bool { return s != slopes[0] }) {
		return c.applyToInput(nn.Layer{Op: nn.OpLeakyReLU, Slope: shortestDecimal(float64(slopes[0]))})
	}
	return c.applySlopes()
}

// applySlopes applies a PReLU with a slope for each channel.
func (c *call) applySlopes() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	k, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	layer, values, err := c.spreadConstant(v, k)
	if err != nil {
		return value{}, err
	}
	l := nn.Layer{Op: nn.OpPReLU, Name: c.nameLayer(), Inputs: []int{layer}}
	c.users[l.Name]++
	c.setParameter(l.Name, "slope", values, len(values))
	return c.addLayer(l, c.copyShape(layer), v.axes)
}

func (c *call) readELU() (value, error) {
	return c.applyToInput(nn.Layer{Op: nn.OpELU, Slope: shortestDecimal(float64(c.floatAttribute("alpha", 1)))})
}

// readSELU reads a SELU, whose alpha and gamma are attributes; garb's SELU has fixed ones.
func (c *call) readSELU() (value, error) {
	alpha := c.floatAttribute("alpha", 1.67326319217681884765625)
	gamma := c.floatAttribute("gamma", 1.05070102214813232421875)
	if math.Abs(float64(alpha)-1.6732632) > 1e-5 || math.Abs(float64(gamma)-1.050701) > 1e-5 {
		return value{}, c.errUnsupported("alpha %v and gamma %v", alpha, gamma)
	}
	return c.applyToInput(nn.Layer{Op: nn.OpSELU})
}

func (c *call) readGELU() (value, error) {
	switch approximate := c.textAttribute("approximate", "none"); approximate {
	case "none":
		return c.applyToInput(nn.Layer{Op: nn.OpGELU})
	case "tanh":
		return c.applyToInput(nn.Layer{Op: nn.OpGELUTanh})
	default:
		return value{}, c.errUnsupported("approximate %q", approximate)
	}
}

func (c *call) readSoftmax() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	otherwise := int64(-1)
	if c.model.opset < 13 {
		otherwise = 1
	}
	j, err := c.resolveInnerAxis(c.integerAttribute("axis", otherwise), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 13 && flatten(v.axes[j:]).size() != v.axes[j].size() {
		return value{}, c.errUnsupported("several axes")
	}
	v.layer, err = c.withChannelsLast(v, j)
	if err != nil {
		return value{}, err
	}
	return c.applyLayer(v, nn.Layer{Op: nn.OpSoftmax})
}

// readClip reads min(max(x, low), high).
func (c *call) readClip() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if c.model.opset < 11 {
		low, high = c.floatAttribute("min", low), c.floatAttribute("max", high)
	} else {
		if c.hasInput(1) {
			low, err = c.numberInput(1)
			if err != nil {
				return value{}, err
			}
		}
		if c.hasInput(2) {
			high, err = c.numberInput(2)
			if err != nil {
				return value{}, err
			}
		}
	}
	if low != low || high != high {
		return value{}, c.errDamaged("a bound that is no number")
	}
	return c.clamp(v, low, high)
}

// clamp returns min(max(x, low), high), where the largest float32 is no bound.
func (c *call) clamp(v value, low, high float32) (value, error) {
	below, above := low > -math.MaxFloat32, high < math.MaxFloat32
	switch {
	case !below && !above:
		return v, nil
	case !above: // low + ReLU(x − low)
		return c.applyBetween(v, nn.OpReLU, 1, -low, 1, low)
	case !below: // high − ReLU(high − x)
		return c.applyBetween(v, nn.OpReLU, -1, high, -1, high)
	case !(low < high):
		return value{}, c.errUnsupported("bounds %v and %v", low, high)
	}
	// ReLU6 has two bounds: it is scaled to others.
	stretch := 6 / (high - low)
	return c.applyBetween(v, nn.OpReLU6, stretch, -low*stretch, 1/stretch, low)
}

// applyBetween applies a function between two affine ones: factor·f(before·x + shift) + offset.
func (c *call) applyBetween(v value, f nn.Op, before, shift, factor, offset float32) (value, error) {
	v, err := c.applyAffine(v, before, shift)
	if err != nil {
		return value{}, err
	}
	if v, err = c.applyLayer(v, nn.Layer{Op: f}); err != nil {
		return value{}, err
	}
	return c.applyAffine(v, factor, offset)
}

// readHardSigmoid reads max(0, min(1, alpha·x + beta)) = ReLU6(6·alpha·x + 6·beta)/6.
func (c *call) readHardSigmoid() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	alpha, beta := c.floatAttribute("alpha", 0.2), c.floatAttribute("beta", 0.5)
	if math.Abs(float64(alpha)-1./6) < 1e-7 && beta == 0.5 {
		return c.applyLayer(v, nn.Layer{Op: nn.OpHardSigmoid})
	}
	return c.applyHardSigmoid(v, alpha, beta)
}

func (c *call) applyHardSigmoid(v value, alpha, beta float32) (value, error) {
	v.sole = false // the value itself may be needed beside
	return c.applyBetween(v, nn.OpReLU6, 6*alpha, 6*beta, 1./6, 0)
}

func (c *call) readDropout() (value, error) {
	v, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	rate := float64(c.floatAttribute("ratio", 0.5))
	if c.hasInput(1) {
		ratio, err := c.numberInput(1)
		if err != nil {
			return value{}, err
		}
		rate = float64(ratio)
	}
	if c.hasInput(2) {
		training, err := c.numberInput(2)
		if err != nil {
			return value{}, err
		}
		if training != 0 {
			return value{}, c.errUnsupported("training_mode")
		}
	}
	if v.constant != nil || !(rate > 0 && rate < 1) {
		return v, nil
	}
	return c.applyLayer(v, nn.Layer{Op: nn.OpDropout, Rate: shortestDecimal(rate)})
}
