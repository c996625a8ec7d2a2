package onnx

import (
	"slices"

	"garb/nn"
)

// upsample is what Resize was called before opset 10.
func (c *call) upsample() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	var factors []float32
	if s := c.typed("scales", kindFloats); s != nil {
		factors = s.floats
	} else if factors, err = c.numbers(1); err != nil {
		return value{}, err
	}
	return c.repeat(v, factors)
}

// repeat makes a map larger as before opset 11.
func (c *call) repeat(v value, factors []float32) (value, error) {
	if mode := c.text("mode", "nearest"); mode != "nearest" {
		return value{}, c.lack("mode %q before opset 11", mode)
	}
	return c.enlarge(v, factors, false)
}

// resize makes a map larger by whole factors.
func (c *call) resize() (value, error) {
	v, err := c.picture(0)
	if err != nil {
		return value{}, err
	}
	if c.model.opset < 11 {
		factors, err := c.numbers(1)
		if err != nil {
			return value{}, err
		}
		return c.repeat(v, factors)
	}
	factors, err := c.factors(v)
	if err != nil {
		return value{}, err
	}
	mode := c.text("mode", "nearest")
	coordinates, rounding := c.text("coordinate_transformation_mode", "half_pixel"), c.text("nearest_mode", "round_prefer_floor")
	if c.integer("antialias", 0) != 0 {
		return value{}, c.lack("antialias")
	}
	if policy := c.text("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
		return value{}, c.lack("keep_aspect_ratio_policy %q", policy)
	}
	c.has(1)                                                            // the part that is cut out, which other modes have
	c.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value") // of other modes
	switch mode {
	case "nearest":
		for i, factor := range factors {
			if i > 0 && i <= len(v.axes) && v.axes[i-1].size() > 1 && !repeats(factor, coordinates, rounding) {
				return value{}, c.lack("coordinate_transformation_mode %q with nearest_mode %q and a factor of %v", coordinates, rounding, factor)
			}
		}
	case "linear":
		if !slices.Contains([]string{"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"}, coordinates) {
			return value{}, c.lack("coordinate_transformation_mode %q with mode %q", coordinates, mode)
		}
	default:
		return value{}, c.lack("mode %q", mode)
	}
	return c.enlarge(v, factors, mode == "linear")
}

// factors are by how much each axis, that of the batch first, becomes longer.
func (c *call) factors(v value) ([]float32, error) {
	rank := len(v.axes) + 1
	factors := slices.Repeat([]float32{1}, rank)
	places := make([]int, rank)
	for i := range places {
		places[i] = i
	}
	if list := c.list("axes"); list != nil {
		var err error
		if places, err = c.axesAt(list, rank); err != nil {
			return nil, err
		}
	}
	if c.has(2) {
		scales, err := c.numbers(2)
		if err != nil {
			return nil, err
		}
		if len(scales) > 0 || !c.has(3) {
			if len(scales) != len(places) {
				return nil, c.damaged("%d factors for %d axes", len(scales), len(places))
			}
			for i, at := range places {
				factors[at] = scales[i]
			}
			return factors, nil
		}
	}
	sizes, err := c.integers(3)
	if err != nil {
		return nil, err
	}
	if len(sizes) != len(places) {
		return nil, c.damaged("%d sizes for %d axes", len(sizes), len(places))
	}
	for i, at := range places {
		if at == 0 {
			if sizes[i] != batchSize && sizes[i] != c.batch {
				return nil, c.lack("a batch of %d", sizes[i])
			}
			continue
		}
		size := int64(v.axes[at-1].size())
		if sizes[i] < 1 || sizes[i]%size != 0 {
			return nil, c.lack("%d places made %d", size, sizes[i])
		}
		factors[at] = float32(sizes[i] / size)
	}
	return factors, nil
}

// maxFactor bounds factors, as package nn does.
const maxFactor = 1 << 20

// repeats tells whether the nearest of the places before is, for a whole factor, the one
// that is repeated: then every factor-th is the next, from the first on.
func repeats(factor float32, coordinates, rounding string) bool {
	if !(factor >= 1 && factor <= maxFactor) || factor == 1 {
		return true // which enlarge refuses, or nothing to do
	}
	n := int(factor)
	for i := range n {
		var place, unit int // the coordinate is place/unit
		switch coordinates {
		case "asymmetric":
			place, unit = 2*i, 2*n
		case "half_pixel", "pytorch_half_pixel", "half_pixel_symmetric":
			place, unit = 2*i+1-n, 2*n
		case "tf_half_pixel_for_nn":
			place, unit = 2*i+1, 2*n
		default:
			return false
		}
		nearest := map[string]bool{ // whether it is 0
			"floor": place >= 0 && place < unit, "ceil": place > -unit && place <= 0,
			"round_prefer_floor": 2*place > -unit && 2*place <= unit,
			"round_prefer_ceil":  2*place >= -unit && 2*place < unit,
		}
		if !nearest[rounding] {
			return false
		}
	}
	return true
}

// enlarge makes the rows and columns of a map more.
func (c *call) enlarge(v value, factors []float32, linear bool) (value, error) {
	if len(factors) != len(v.axes)+1 {
		return value{}, c.damaged("%d factors for %d axes", len(factors), len(v.axes)+1)
	}
	more := false
	for _, f := range factors {
		if !(f >= 1 && f <= maxFactor) || f != float32(int(f)) {
			return value{}, c.lack("factors %v, which are not whole", factors)
		}
		more = more || f > 1
	}
	if !more {
		return v, nil
	}
	order := chw
	if len(v.axes) == 3 && (!v.isMap(order) || factors[1] != 1) {
		order = hwc
	}
	if len(v.axes) != 3 || !v.isMap(order) || factors[0] != 1 || factors[1+order[0]] != 1 {
		return value{}, c.lack("factors %v, of more than rows and columns", factors)
	}
	shape := v.mapShape(order)
	l := nn.Layer{Op: nn.OpUpsample, Inputs: []int{c.shaped(v.layer, slices.Clone(shape))}, Linear: linear,
		Rows: int(factors[1+order[1]]), Columns: int(factors[1+order[2]])}
	shape[0] *= l.Rows
	shape[1] *= l.Columns
	return c.made(l, shape, ordered(order, shape, v.axes[order[0]]))
}
