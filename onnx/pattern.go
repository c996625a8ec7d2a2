package onnx

import (
	"math"

	"garb/nn"
)

// Exporters write some activations as what they are made of. Here the layers of these are
// found again, and one layer takes their place; what nobody reads then is left out of the
// network. A layer that has another reader is no part of a pattern.

// near allows what rounding to float32 does to a constant, a few times over.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*math.Abs(want) }

// inside tells whether a layer is read once, by the layer that is looked at.
func (c *call) inside(layer int) bool { return !c.public[layer] }

// uniform gives the factor and offset of a Scale that has the same ones for all channels.
func (c *call) uniform(layer int) (factor, offset float64, ok bool) {
	l := &c.layers[layer]
	if l.Op != nn.OpScale {
		return 0, 0, false
	}
	factors, offsets := c.tensors[l.Name+"/scale"].Data, c.tensors[l.Name+"/offset"].Data
	if !same1(factors) || !same1(offsets) {
		return 0, 0, false
	}
	return float64(factors[0]), float64(offsets[0]), true
}

func same1(values []float32) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return len(values) > 0
}

// cubic is a polynomial up to x³, from the constant term on.
type cubic [4]float64

func (p cubic) near(q cubic) bool {
	for i := range p {
		if !near(p[i], q[i]) {
			return false
		}
	}
	return true
}

// cubicOf is what a layer makes of each value of layer x by scaling, adding and multiplying.
func (c *call) cubicOf(layer, x, depth int) (p cubic, ok bool) {
	if layer == x {
		return cubic{1: 1}, true
	}
	if depth == 0 || !c.inside(layer) {
		return p, false
	}
	l := &c.layers[layer]
	var parts [2]cubic
	for i, in := range l.Inputs {
		if i == len(parts) || len(c.shapes[in]) != len(c.shapes[layer]) {
			return p, false
		}
		if parts[i], ok = c.cubicOf(in, x, depth-1); !ok {
			return p, false
		}
	}
	switch l.Op {
	case nn.OpScale:
		factor, offset, ok := c.uniform(layer)
		for i, v := range parts[0] {
			p[i] = factor * v
		}
		p[0] += offset
		return p, ok
	case nn.OpAdd:
		for i := range p {
			p[i] = parts[0][i] + parts[1][i]
		}
		return p, true
	case nn.OpMultiply:
		for i, v := range parts[0] {
			for j, w := range parts[1] {
				switch {
				case v*w == 0:
				case i+j >= len(p):
					return p, false
				default:
					p[i+j] += v * w
				}
			}
		}
		return p, true
	}
	return p, false
}

// gate is a function of a polynomial of x that is multiplied by x: factor·f(p(x)) + offset.
type gate struct {
	f              nn.Op
	p              cubic
	factor, offset float64
}

// whole is the activation that x times the gate is, and what it has to be multiplied by.
func (g gate) whole() (op nn.Op, factor float64) {
	const slope = 0.7978845608028654 // √(2/π)
	half := near(g.factor, g.offset) // the gate is half of 1 + f, times a factor
	plain := g.offset == 0
	switch {
	case g.f == nn.OpErf && half && g.p.near(cubic{1: 1 / math.Sqrt2}):
		return nn.OpGELU, 2 * g.factor
	case g.f == nn.OpTanh && half && g.p.near(cubic{1: slope, 3: slope * 0.044715}):
		return nn.OpGELUTanh, 2 * g.factor
	case g.f == nn.OpReLU6 && plain && g.p.near(cubic{0: 3, 1: 1}):
		return nn.OpHardSwish, 6 * g.factor
	case g.f == nn.OpHardSigmoid && plain && g.p.near(cubic{1: 1}):
		return nn.OpHardSwish, g.factor
	case g.f == nn.OpSigmoid && plain && g.p.near(cubic{1: 1}):
		return nn.OpSwish, g.factor
	case g.f == nn.OpSoftplus && plain && g.p.near(cubic{1: 1}): // tanh of it
		return nn.OpMish, g.factor
	}
	return "", 0
}

// gated makes one activation of a product of a value and a gate that is made of it, if it is
// one: GELU, Swish, HardSwish or Mish.
func (c *call) gated(x, y value) (v value, ok bool, err error) {
	if !sameAxes(x.axes, y.axes) {
		return value{}, false, nil
	}
	for _, pair := range [][2]value{{x, y}, {y, x}} {
		g := gate{factor: 1}
		f := pair[1].layer
		if !c.inside(f) {
			continue
		}
		if factor, offset, ok := c.uniform(f); ok {
			g.factor, g.offset = factor, offset
			f = c.layers[f].Inputs[0]
		}
		g.f = c.layers[f].Op
		if len(c.layers[f].Inputs) != 1 || !c.inside(f) {
			continue
		}
		argument := c.layers[f].Inputs[0]
		if g.f == nn.OpTanh && c.layers[argument].Op == nn.OpSoftplus && c.inside(argument) {
			g.f, argument = nn.OpSoftplus, c.layers[argument].Inputs[0]
		}
		// The value may be scaled before it is multiplied.
		bases, factors := []int{pair[0].layer}, []float64{1}
		if factor, offset, ok := c.uniform(pair[0].layer); ok && offset == 0 && c.inside(pair[0].layer) {
			bases, factors = append(bases, c.layers[pair[0].layer].Inputs[0]), append(factors, factor)
		}
		for i, base := range bases {
			var fits bool
			if g.p, fits = c.cubicOf(argument, base, 8); !fits {
				continue
			}
			op, factor := g.whole()
			if op == "" {
				continue
			}
			base := value{layer: base, axes: pair[0].axes}
			if v, err = c.each(base, nn.Layer{Op: op}); err != nil {
				return value{}, false, err
			}
			if factor *= factors[i]; near(factor, 1) {
				return v, true, nil
			}
			v, err = c.affine(v, float32(factor), 0)
			return v, true, err
		}
	}
	return value{}, false, nil
}

// gently makes a HardSigmoid of ReLU6(x + 3)/6, of which a value is the ReLU6.
func (c *call) gently(v value, factors, offsets []float32) (value, bool, error) {
	f := v.layer
	if c.layers[f].Op != nn.OpReLU6 || !v.sole || !same1(factors) || !same1(offsets) || offsets[0] != 0 ||
		!near(float64(factors[0]), 1./6) {
		return value{}, false, nil
	}
	shifted := c.layers[f].Inputs[0]
	factor, offset, ok := c.uniform(shifted)
	if !ok || !c.inside(shifted) || !near(factor, 1) || !near(offset, 3) {
		return value{}, false, nil
	}
	v, err := c.each(value{layer: c.layers[shifted].Inputs[0], axes: v.axes}, nn.Layer{Op: nn.OpHardSigmoid})
	return v, true, err
}

// pow of a value is a product of it and itself.
func (c *call) pow() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	exponent, err := c.number(1)
	if err != nil {
		return value{}, err
	}
	switch exponent {
	case 1:
		return v, nil
	case 2, 3:
	default:
		return value{}, c.lack("an exponent of %v", exponent)
	}
	power := v
	for range int(exponent) - 1 {
		l := nn.Layer{Op: nn.OpMultiply, Inputs: []int{power.layer, v.layer}}
		if power, err = c.made(l, c.shapeOf(v.layer), v.axes); err != nil {
			return value{}, err
		}
	}
	return power, nil
}

// greater is whether a value is above a number, which Where alone takes.
func (c *call) greater() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	k, err := c.number(1)
	if err != nil {
		return value{}, err
	}
	v.above, v.sole = &k, false
	return v, nil
}

// where takes a value where it is above a number, and its Softplus elsewhere. PyTorch writes
// Softplus so: in float32 it is the value itself from there on.
func (c *call) where() (value, error) {
	condition, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	x, err := c.picture(1)
	if err != nil {
		return value{}, err
	}
	y, err := c.picture(2)
	if err != nil {
		return value{}, err
	}
	const alike = 17 // ln(1 + e¹⁷) rounds to 17
	l := &c.layers[y.layer]
	if condition.above == nil || !(*condition.above >= alike) || condition.layer != x.layer ||
		l.Op != nn.OpSoftplus || l.Inputs[0] != x.layer ||
		!sameAxes(condition.axes, x.axes) || !sameAxes(x.axes, y.axes) {
		return value{}, c.lack("a choice by values of the picture that is no Softplus")
	}
	return y, nil
}
