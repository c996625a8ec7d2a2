package onnx

import (
	"math"

	"garb/nn"
)

// Exporters write some activations as several simpler operators. The functions below find the
// layers of these, and one layer takes their place; layers that are no longer read are left out of
// the network. A layer that another layer reads too is no part of a pattern.

// isNear tells whether two constants are equal but for a few roundings to float32.
func isNear(got, want float64) bool {
	return math.Abs(float64(got)-float64(want)) <= float64(1e-6*math.Abs(want))
}

// isInside tells whether a layer is read only once, within a pattern.
func (c *call) isInside(layer int) bool { return !c.public[layer] }

// uniformScale returns the factor and offset of a Scale that has the same ones for all channels.
func (c *call) uniformScale(layer int) (factor, offset float64, ok bool) {
	l := &c.layers[layer]
	if l.Op != nn.OpScale {
		return 0, 0, false
	}
	factors, offsets := c.tensors[l.Name+"/scale"].Data, c.tensors[l.Name+"/offset"].Data
	if !allEqual(factors) || !allEqual(offsets) {
		return 0, 0, false
	}
	return float64(factors[0]), float64(offsets[0]), true
}

func allEqual(values []float32) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return len(values) > 0
}

// cubic is a polynomial up to x³, from the constant term on.
type cubic [4]float64

func (p cubic) isNear(q cubic) bool {
	for i := range p {
		if !isNear(p[i], q[i]) {
			return false
		}
	}
	return true
}

// findCubic returns the polynomial of each value of layer x that a layer computes by scaling,
// adding and multiplying.
func (c *call) findCubic(layer, x, depth int) (p cubic, ok bool) {
	if layer == x {
		return cubic{1: 1}, true
	}
	if depth == 0 || !c.isInside(layer) {
		return p, false
	}
	l := &c.layers[layer]
	var parts [2]cubic
	for i, in := range l.Inputs {
		if i == len(parts) || len(c.shapes[in]) != len(c.shapes[layer]) {
			return p, false
		}
		if parts[i], ok = c.findCubic(in, x, depth-1); !ok {
			return p, false
		}
	}
	switch l.Op {
	case nn.OpScale:
		factor, offset, ok := c.uniformScale(layer)
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
					p[i+j] += float64(v * w)
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

// findActivation returns the activation that x times the gate is, and the factor it has to be
// multiplied by; "" if it is none.
func (g gate) findActivation() (op nn.Op, factor float64) {
	const slope = 0.7978845608028654   // √(2/π)
	half := isNear(g.factor, g.offset) // the gate is half of 1 + f, times a factor
	plain := g.offset == 0
	switch {
	case g.f == nn.OpErf && half && g.p.isNear(cubic{1: 1 / math.Sqrt2}):
		return nn.OpGELU, 2 * g.factor
	case g.f == nn.OpTanh && half && g.p.isNear(cubic{1: slope, 3: slope * 0.044715}):
		return nn.OpGELUTanh, 2 * g.factor
	case g.f == nn.OpReLU6 && plain && g.p.isNear(cubic{0: 3, 1: 1}):
		return nn.OpHardSwish, 6 * g.factor
	case g.f == nn.OpHardSigmoid && plain && g.p.isNear(cubic{1: 1}):
		return nn.OpHardSwish, g.factor
	case g.f == nn.OpSigmoid && plain && g.p.isNear(cubic{1: 1}):
		return nn.OpSwish, g.factor
	case g.f == nn.OpSoftplus && plain && g.p.isNear(cubic{1: 1}): // tanh of it
		return nn.OpMish, g.factor
	}
	return "", 0
}

// readGated reads a product of a value and a gate that is computed from it as one activation, if
// it is one: GELU, Swish, HardSwish or Mish.
func (c *call) readGated(x, y value) (v value, ok bool, err error) {
	if !sameAxes(x.axes, y.axes) {
		return value{}, false, nil
	}
	for _, pair := range [][2]value{{x, y}, {y, x}} {
		g, argument, ok := c.findGate(pair[1].layer)
		if !ok {
			continue
		}
		// The value may be scaled before it is multiplied.
		bases, factors := []int{pair[0].layer}, []float64{1}
		if factor, offset, ok := c.uniformScale(pair[0].layer); ok && offset == 0 && c.isInside(pair[0].layer) {
			bases, factors = append(bases, c.layers[pair[0].layer].Inputs[0]), append(factors, factor)
		}
		for i, base := range bases {
			var fits bool
			if g.p, fits = c.findCubic(argument, base, 8); !fits {
				continue
			}
			op, factor := g.findActivation()
			if op == "" {
				continue
			}
			base := value{layer: base, axes: pair[0].axes}
			if v, err = c.applyLayer(base, nn.Layer{Op: op}); err != nil {
				return value{}, false, err
			}
			if factor *= factors[i]; isNear(factor, 1) {
				return v, true, nil
			}
			v, err = c.applyAffine(v, float32(factor), 0)
			return v, true, err
		}
	}
	return value{}, false, nil
}

// findGate returns the gate, all but its polynomial, that a layer may be, and the layer of its
// argument.
func (c *call) findGate(layer int) (g gate, argument int, ok bool) {
	if !c.isInside(layer) {
		return gate{}, 0, false
	}
	g = gate{factor: 1}
	if factor, offset, ok := c.uniformScale(layer); ok {
		g.factor, g.offset = factor, offset
		layer = c.layers[layer].Inputs[0]
	}
	l := &c.layers[layer]
	if len(l.Inputs) != 1 || !c.isInside(layer) {
		return gate{}, 0, false
	}
	g.f, argument = l.Op, l.Inputs[0]
	if g.f == nn.OpTanh && c.layers[argument].Op == nn.OpSoftplus && c.isInside(argument) {
		g.f, argument = nn.OpSoftplus, c.layers[argument].Inputs[0]
	}
	return g, argument, true
}

// readScaledReLU6 reads ReLU6(x + 3)/6 as a HardSigmoid; v is the ReLU6.
func (c *call) readScaledReLU6(v value, factors, offsets []float32) (value, bool, error) {
	f := v.layer
	if c.layers[f].Op != nn.OpReLU6 || !v.sole || !allEqual(factors) || !allEqual(offsets) || offsets[0] != 0 ||
		!isNear(float64(factors[0]), 1./6) {
		return value{}, false, nil
	}
	shifted := c.layers[f].Inputs[0]
	factor, offset, ok := c.uniformScale(shifted)
	if !ok || !c.isInside(shifted) || !isNear(factor, 1) || !isNear(offset, 3) {
		return value{}, false, nil
	}
	v, err := c.applyLayer(value{layer: c.layers[shifted].Inputs[0], axes: v.axes}, nn.Layer{Op: nn.OpHardSigmoid})
	return v, true, err
}

// readPow reads the square or cube of a value as products of it and itself.
func (c *call) readPow() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	exponent, err := c.numberInput(1)
	if err != nil {
		return value{}, err
	}
	switch exponent {
	case 1:
		return v, nil
	case 2, 3:
	default:
		return value{}, c.errUnsupported("an exponent of %v", exponent)
	}
	power := v
	for range int(exponent) - 1 {
		l := nn.Layer{Op: nn.OpMultiply, Inputs: []int{power.layer, v.layer}}
		if power, err = c.addLayer(l, c.copyShape(v.layer), v.axes); err != nil {
			return value{}, err
		}
	}
	return power, nil
}

// readGreater reads whether a value is above a number, which only Where can use.
func (c *call) readGreater() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	k, err := c.numberInput(1)
	if err != nil {
		return value{}, err
	}
	v.above, v.sole = &k, false
	return v, nil
}

// readWhere reads a choice: a value where it is above a number, and its Softplus elsewhere. PyTorch
// writes Softplus so: in float32 it is the value itself from that number on.
func (c *call) readWhere() (value, error) {
	condition, err := c.input(0)
	if err != nil {
		return value{}, err
	}
	x, err := c.pictureInput(1)
	if err != nil {
		return value{}, err
	}
	y, err := c.pictureInput(2)
	if err != nil {
		return value{}, err
	}
	const alike = 17 // ln(1 + e¹⁷) rounds to 17
	l := &c.layers[y.layer]
	if condition.above == nil || !(*condition.above >= alike) || condition.layer != x.layer ||
		l.Op != nn.OpSoftplus || l.Inputs[0] != x.layer ||
		!sameAxes(condition.axes, x.axes) || !sameAxes(x.axes, y.axes) {
		return value{}, c.errUnsupported("a choice by values of the picture that is not a Softplus")
	}
	return y, nil
}
