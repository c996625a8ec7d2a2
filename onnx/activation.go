package onnx

import (
	"math"

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
	for _, s := range slopes {
		if s != slopes[0] {
			return value{}, c.lack("a slope for each channel")
		}
	}
	return c.eachOf(nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(slopes[0]))})
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
	return c.hard(v, c.float("alpha", 0.2), c.float("beta", 0.5))
}

func (c *call) hard(v value, alpha, beta float32) (value, error) {
	v.sole = false // the value itself may be needed beside
	return c.between(v, nn.OpReLU6, 6*alpha, 6*beta, 1./6, 0)
}

// hardSwish is x·max(0, min(1, x/6 + 1/2)).
func (c *call) hardSwish() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	gate, err := c.hard(v, 1./6, 0.5)
	if err != nil {
		return value{}, err
	}
	return c.made(nn.Layer{Op: nn.OpMultiply, Inputs: []int{v.layer, gate.layer}}, c.shapeOf(v.layer), v.axes)
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
