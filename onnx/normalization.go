package onnx

import (
	"slices"

	"garb/nn"
)

// layerNorm normalises the last axis.
func (c *call) layerNorm() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	j, err := c.innerAxis(c.integer("axis", -1), len(v.axes)+1)
	if err != nil {
		return value{}, err
	}
	if flat(v.axes[j:]).size() != v.axes[j].size() {
		return value{}, c.lack("a normalization of several axes")
	}
	if err := c.inFloat32(); err != nil {
		return value{}, err
	}
	layer, err := c.channels(v, j)
	if err != nil {
		return value{}, err
	}
	n := v.axes[j].size()
	l := nn.Layer{Op: nn.OpLayerNorm, Inputs: []int{layer}, Epsilon: shortest(float64(c.float("epsilon", 1e-5)))}
	hasBias := c.has(2)
	err = c.parameters(&l, func(name string) error {
		if err := c.vector(name, "gamma", 1, n, v.axes[j]); err != nil {
			return err
		}
		if hasBias {
			return c.vector(name, "beta", 2, n, v.axes[j])
		}
		c.set(name, "beta", make([]float32, n), n)
		return c.budget.take(n)
	}, v.axes[j].simplified())
	if err != nil {
		return value{}, err
	}
	return c.made(l, c.shapeOf(layer), v.axes)
}

// inFloat32 refuses statistics that are computed in another type.
func (c *call) inFloat32() error {
	if kind := c.integer("stash_type", typeFloat); kind != typeFloat {
		return c.lack("stash_type %d", kind)
	}
	return nil
}

// groupNorm has a factor and an offset for each channel, and for each group before opset 21.
func (c *call) groupNorm() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if err := c.inFloat32(); err != nil {
		return value{}, err
	}
	groups := c.integer("num_groups", 0)
	if len(v.axes) == 0 || groups < 1 || v.axes[0].size()%int(min(groups, 1<<30)) != 0 {
		return value{}, c.damaged("%d groups of its channels", groups)
	}
	n := v.axes[0].size()
	if _, err := c.channels(v, 0); err != nil {
		return value{}, err
	}
	if !v.axes[0].inOrder() && groups != 1 && int(groups) != n {
		return value{}, c.lack("channels in another order")
	}
	each := 1 // channels that share a factor
	if c.model.opset < 21 {
		each = n / int(groups)
	}
	return c.normalizeGroups(v, int(groups), n, each)
}

// instanceNorm normalises each place of the first axis over all others. PyTorch makes a group
// normalization so: it gives the map an axis for its groups before.
func (c *call) instanceNorm() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if len(v.axes) == 0 {
		return value{}, c.damaged("its input has no channels")
	}
	a := v.axes[0].simplified()
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
	return value{}, c.lack("groups that do not lie together")
}

// normalizeGroups normalises groups of the innermost channels of a value's layer over all
// positions. Channels share the file's factors and offsets, so many each.
func (c *call) normalizeGroups(v value, groups, channels, each int) (value, error) {
	shape := c.shapes[v.layer]
	layer := v.layer
	if last := shape[len(shape)-1]; last != channels {
		total := flat(v.axes).size()
		if total%channels != 0 {
			return value{}, c.lack("groups across the picture's axes")
		}
		layer = c.shaped(layer, []int{total / channels, 1, channels})
	}
	if channels/groups*groups != channels {
		return value{}, c.damaged("%d groups of %d channels", groups, channels)
	}
	along := v.axes[0] // of the channels that have factors of their own
	if each > 1 || groups == 1 && along.size() != channels {
		along = nil
	}
	l := nn.Layer{Op: nn.OpGroupNorm, Inputs: []int{layer}, Groups: groups,
		Epsilon: shortest(float64(c.float("epsilon", 1e-5)))}
	err := c.parameters(&l, func(name string) error {
		for i, what := range []string{"gamma", "beta"} {
			values, err := c.numbers(i + 1)
			if err != nil {
				return err
			}
			if len(values)*each != channels {
				return c.damaged("input %d has %d values for %d channels", i+1, len(values), channels/each)
			}
			if err := c.budget.take(channels); err != nil {
				return err
			}
			repeated := make([]float32, 0, channels)
			for _, value := range values {
				repeated = append(repeated, slices.Repeat([]float32{value}, each)...)
			}
			if repeated, err = c.ordered(repeated, along); err != nil {
				return err
			}
			c.set(name, what, repeated, channels)
		}
		return nil
	}, along.simplified(), groups, each, channels)
	if err != nil {
		return value{}, err
	}
	return c.made(l, c.shapeOf(layer), v.axes)
}
