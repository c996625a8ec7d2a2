package onnx

import "garb/nn"

// gather picks channels of a value, in any order.
func (c *call) gather() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if v.joined {
		return c.gatherJoined(v)
	}
	k, err := c.weights(1)
	if err != nil {
		return value{}, err
	}
	j, err := c.innerAxis(c.integer("axis", 0), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if len(k.dims) != 1 || k.integers == nil || k.len() == 0 || k.len() > maxNumbers {
		return value{}, c.lack("indices %v", k.dims)
	}
	layer, err := c.channels(v, j)
	if err != nil {
		return value{}, err
	}
	order := v.axes[j].places()
	before, after := v.axes[j].size(), k.len()
	l := nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}}
	for _, at := range k.integers {
		i, err := c.axisAt(at, before)
		if err != nil {
			return value{}, err
		}
		l.Channels = append(l.Channels, place(order, i))
	}
	shape := c.shapeOf(layer)
	shape[len(shape)-1] = after
	return c.made(l, shape, withChannels(v.axes, j, before, after))
}
