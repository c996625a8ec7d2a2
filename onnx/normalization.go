package onnx

import (
	"slices"

	"garb/nn"
)

// readLayerNorm reads a normalization of the last axis.
func (c *call) readLayerNorm() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	j, err := c.resolveInnerAxis(c.integerAttribute("axis", -1), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if flatten(v.axes[j:]).size() != v.axes[j].size() {
		return value{}, c.errUnsupported("a normalization of several axes")
	}
	if err = c.checkFloat32(); err != nil {
		return value{}, err
	}
	layer, err := c.withChannelsLast(v, j)
	if err != nil {
		return value{}, err
	}
	n := v.axes[j].size()
	epsilon := shortestDecimal(float64(c.floatAttribute("epsilon", 1e-5)))
	l := nn.Layer{Op: nn.OpLayerNorm, Inputs: []int{layer}, Epsilon: epsilon}
	hasBias := c.hasInput(2)
	err = c.makeParameters(&l, func(name string) error {
		if err = c.setVector(name, "gamma", 1, n, v.axes[j]); err != nil {
			return err
		}
		if hasBias {
			return c.setVector(name, "beta", 2, n, v.axes[j])
		}
		c.setParameter(name, "beta", make([]float32, n), n)
		return c.budget.take(n)
	}, v.axes[j].simplify())
	if err != nil {
		return value{}, err
	}
	return c.addLayer(l, c.copyShape(layer), v.axes)
}

// checkFloat32 returns an error if the statistics are computed in another type.
func (c *call) checkFloat32() error {
	if kind := c.integerAttribute("stash_type", typeFloat); kind != typeFloat {
		return c.errUnsupported("stash_type %d", kind)
	}
	return nil
}

// readGroupNorm reads a group normalization: a factor and an offset for each channel, and for each
// group before opset 21.
func (c *call) readGroupNorm() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if err := c.checkFloat32(); err != nil {
		return value{}, err
	}
	groups := c.integerAttribute("num_groups", 0)
	if len(v.axes) == 0 || groups < 1 || v.axes[0].size()%int(min(groups, 1<<30)) != 0 {
		return value{}, c.errDamaged("%d groups of its channels", groups)
	}
	n := v.axes[0].size()
	if _, err := c.withChannelsLast(v, 0); err != nil {
		return value{}, err
	}
	if !v.axes[0].inOrder() && groups != 1 && int(groups) != n {
		return value{}, c.errUnsupported("channels in another order")
	}
	each := 1 // channels that share a factor
	if c.model.opset < 21 {
		each = n / int(groups)
	}
	return c.normalizeGroups(v, int(groups), n, each)
}

// readInstanceNorm reads a normalization of each place of the first axis over all others. PyTorch
// writes a group normalization so, with an axis for the groups.
func (c *call) readInstanceNorm() (value, error) {
	v, err := c.pictureInput(0)
	if err != nil {
		return value{}, err
	}
	if len(v.axes) == 0 {
		return value{}, c.errDamaged("its input has no channels")
	}
	a := v.axes[0].simplify()
	switch {
	case len(a) == 0: // all values are one group
		shape := c.shapes[v.layer]
		n := shape[len(shape)-1]
		return c.normalizeGroups(v, 1, n, n)
	case v.axes[0].innermost():
		return c.normalizeGroups(v, v.axes[0].size(), v.axes[0].size(), 1)
	case len(a) == 1:
		return c.normalizeGroups(v, a[0].size, a[0].size*a[0].stride, a[0].stride)
	}
	return value{}, c.errUnsupported("groups that do not lie together")
}

// normalizeGroups appends a normalization of groups of the innermost channels of a value's layer
// over all positions. each is how many channels share one of the file's factors and offsets.
func (c *call) normalizeGroups(v value, groups, channels, each int) (value, error) {
	shape := c.shapes[v.layer]
	layer := v.layer
	if last := shape[len(shape)-1]; last != channels {
		total := flatten(v.axes).size()
		if total%channels != 0 {
			return value{}, c.errUnsupported("groups across the picture's axes")
		}
		layer = c.withShape(layer, []int{total / channels, 1, channels})
	}
	if channels/groups*groups != channels {
		return value{}, c.errDamaged("%d groups of %d channels", groups, channels)
	}
	along := v.axes[0] // of the channels that have factors of their own
	if each > 1 || groups == 1 && along.size() != channels {
		along = nil
	}
	l := nn.Layer{Op: nn.OpGroupNorm, Inputs: []int{layer}, Groups: groups,
		Epsilon: shortestDecimal(float64(c.floatAttribute("epsilon", 1e-5)))}
	err := c.makeParameters(&l, func(name string) error {
		for i, what := range []string{"gamma", "beta"} {
			values, err := c.numberInputs(i + 1)
			if err != nil {
				return err
			}
			if len(values)*each != channels {
				return c.errDamaged("input %d has %d values for %d channels", i+1, len(values), channels/each)
			}
			if err = c.budget.take(channels); err != nil {
				return err
			}
			repeated := make([]float32, 0, channels)
			for _, value := range values {
				repeated = append(repeated, slices.Repeat([]float32{value}, each)...)
			}
			if repeated, err = c.orderValues(repeated, along); err != nil {
				return err
			}
			c.setParameter(name, what, repeated, channels)
		}
		return nil
	}, along.simplify(), groups, each, channels)
	if err != nil {
		return value{}, err
	}
	return c.addLayer(l, c.copyShape(layer), v.axes)
}
