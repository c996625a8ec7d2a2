package onnx

import "garb/nn"

// readGather reads a selection of channels of a value, in any order.
func (c *call) readGather() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if v.joined {
		return c.readJoinedGather(v)
	}
	k, err := c.constantInput(1)
	if err != nil {
		return value{}, err
	}
	j, err := c.resolveInnerAxis(c.integerAttribute("axis", 0), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if len(k.dims) != 1 || k.integers == nil || k.len() == 0 || k.len() > maxNumbers {
		return value{}, c.errUnsupported("indices %v", k.dims)
	}
	layer, err := c.withChannelsLast(v, j)
	if err != nil {
		return value{}, err
	}
	order := v.axes[j].places()
	before, after := v.axes[j].size(), k.len()
	l := nn.Layer{Op: nn.OpSelect, Inputs: []int{layer}}
	for _, at := range k.integers {
		i, err := c.resolveAxis(at, before)
		if err != nil {
			return value{}, err
		}
		l.Channels = append(l.Channels, placeAt(order, i))
	}
	shape := c.copyShape(layer)
	shape[len(shape)-1] = after
	return c.addLayer(l, shape, replaceChannels(v.axes, j, before, after))
}
