package onnx

import (
	"math"

	"garb/nn"
)

// function is an operator that changes each value by itself.
func function(op nn.Op) func(*call) value {
	return func(c *call) value { return c.each(c.picture(0), nn.Layer{Op: op}) }
}

// each applies a layer to each value by itself.
func (c *call) each(v value, l nn.Layer) value {
	l.Inputs = []int{v.layer}
	return c.made(l, c.shapeOf(v.layer), v.axes)
}

func (c *call) leakyReLU() value {
	return c.each(c.picture(0), nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(c.float("alpha", 0.01)))})
}

func (c *call) pReLU() value {
	slopes := c.weights(1).values()
	if len(slopes) == 0 {
		c.damaged("it has no slopes")
	}
	for _, s := range slopes {
		if s != slopes[0] {
			c.lack("a slope for each channel")
		}
	}
	return c.each(c.picture(0), nn.Layer{Op: nn.OpLeakyReLU, Slope: shortest(float64(slopes[0]))})
}

func (c *call) softmax() value {
	v := c.picture(0)
	otherwise := int64(-1)
	if c.model.opset < 13 {
		otherwise = 1
	}
	j := c.axisAt(c.integer("axis", otherwise), len(v.axes)+1) - 1
	if j < 0 {
		c.lack("axis 0, the batch's")
	}
	if c.model.opset < 13 && flat(v.axes[j:]).size() != v.axes[j].size() {
		c.lack("several axes")
	}
	v.layer = c.channels(v, j)
	return c.each(v, nn.Layer{Op: nn.OpSoftmax})
}

// clip is min(max(x, low), high).
func (c *call) clip() value {
	v := c.picture(0)
	low, high := float32(-math.MaxFloat32), float32(math.MaxFloat32)
	if c.model.opset < 11 {
		low, high = c.float("min", low), c.float("max", high)
	} else {
		if c.has(1) {
			low = c.number(1)
		}
		if c.has(2) {
			high = c.number(2)
		}
	}
	below, above := low > -math.MaxFloat32, high < math.MaxFloat32
	switch {
	case !below && !above:
		return v
	case !above: // low + ReLU(x − low)
		v = c.affine(v, 1, -low)
		return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU}), 1, low)
	case !below: // high − ReLU(high − x)
		v = c.affine(v, -1, high)
		return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU}), -1, high)
	case !(low < high):
		c.lack("bounds %v and %v", low, high)
	}
	// ReLU6 is the one with two bounds: it is stretched over others.
	stretch := 6 / (high - low)
	v = c.affine(v, stretch, -low*stretch)
	return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU6}), 1/stretch, low)
}

// hardSigmoid is max(0, min(1, alpha·x + beta)) = ReLU6(6·alpha·x + 6·beta)/6.
func (c *call) hardSigmoid() value {
	return c.hard(c.picture(0), c.float("alpha", 0.2), c.float("beta", 0.5))
}

func (c *call) hard(v value, alpha, beta float32) value {
	v.sole = false // the value itself may be needed beside
	v = c.affine(v, 6*alpha, 6*beta)
	return c.affine(c.each(v, nn.Layer{Op: nn.OpReLU6}), 1./6, 0)
}

// hardSwish is x·max(0, min(1, x/6 + 1/2)).
func (c *call) hardSwish() value {
	v := c.picture(0)
	gate := c.hard(v, 1./6, 0.5)
	return c.made(nn.Layer{Op: nn.OpMultiply, Inputs: []int{v.layer, gate.layer}}, c.shapeOf(v.layer), v.axes)
}

func (c *call) dropout() value {
	v := c.input(0)
	c.ignore("seed")
	rate := float64(c.float("ratio", 0.5))
	if c.has(1) {
		rate = float64(c.number(1))
	}
	if v.constant != nil || !(rate > 0 && rate < 1) {
		return v
	}
	return c.each(v, nn.Layer{Op: nn.OpDropout, Rate: shortest(rate)})
}
