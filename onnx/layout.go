package onnx

import "slices"

// factor is a part of an axis: size steps, each stride values apart in the memory of a layer's
// output.
type factor struct{ size, stride int }

// axis says where the values along an axis of an ONNX value lie in a layer's output: at the sums of
// the places of its factors, the last factor running fastest. An [n c h w] map of a layer [h w c]
// is {c,1}, {h,w·c}, {w,c}; flattened it is one axis of all three. So transposing and reshaping
// change axes only, and no values.
type axis []factor

func (a axis) size() int {
	n := 1
	for _, f := range a {
		n *= f.size
	}
	return n
}

// spread returns the axis with n values, one after another, for each of its values.
func (a axis) spread(n int) axis {
	var s axis
	for _, f := range a {
		s = append(s, factor{f.size, f.stride * n})
	}
	return append(s, factor{n, 1}).simplify()
}

// simplify returns the axis without factors of size 1, and with those joined that are one run.
func (a axis) simplify() axis {
	var s axis
	for _, f := range a {
		switch last := len(s) - 1; {
		case f.size == 1:
		case last >= 0 && s[last].stride == f.size*f.stride:
			s[last] = factor{s[last].size * f.size, f.stride}
		default:
			s = append(s, f)
		}
	}
	return s
}

// equal tells whether two axes have the same places in the same order.
func (a axis) equal(b axis) bool { return slices.Equal(a.simplify(), b.simplify()) }

// innermost tells whether the axis is, in some order, the last axis of the layer: its channels.
func (a axis) innermost() bool {
	last := 0
	for _, f := range a {
		last += (f.size - 1) * f.stride
	}
	return last == a.size()-1
}

// inOrder tells whether the axis's values are one after another in memory.
func (a axis) inOrder() bool {
	s := a.simplify()
	return len(s) == 0 || len(s) == 1 && s[0].stride == 1
}

// places returns the axis's places in memory, or nil if they are in order.
func (a axis) places() []int {
	if a.inOrder() {
		return nil
	}
	all := []int{0}
	for _, f := range a.simplify() {
		next := make([]int, 0, len(all)*f.size)
		for _, place := range all {
			for i := range f.size {
				next = append(next, place+i*f.stride)
			}
		}
		all = next
	}
	return all
}

// split splits an axis into axes of the given sizes, whose product is its own. ok is false if a
// boundary falls within one of its factors.
func (a axis) split(sizes []int) ([]axis, bool) {
	rest := slices.Clone(a.simplify())
	cut := make([]axis, len(sizes))
	for i := len(sizes) - 1; i >= 0; i-- {
		for n := sizes[i]; n > 1; {
			if len(rest) == 0 {
				return nil, false
			}
			last := &rest[len(rest)-1]
			switch {
			case n%last.size == 0:
				cut[i] = append(axis{*last}, cut[i]...)
				n /= last.size
				rest = rest[:len(rest)-1]
			case last.size%n == 0:
				cut[i] = append(axis{{n, last.stride}}, cut[i]...)
				last.size /= n
				last.stride *= n
				n = 1
			default:
				return nil, false
			}
		}
	}
	return cut, len(rest) == 0
}

// flatten returns all axes as one.
func flatten(axes []axis) axis {
	var all axis
	for _, a := range axes {
		all = append(all, a...)
	}
	return all.simplify()
}

// nchw returns the axes of a map [h w c] in the order of ONNX's operators, without the batch's.
func nchw(h, w, c int) []axis { return []axis{{{c, 1}}, {{h, w * c}}, {{w, c}}} }

// nhwc returns the axes of a map [h w c] in that order.
func nhwc(h, w, c int) []axis { return []axis{{{h, w * c}}, {{w, c}}, {{c, 1}}} }

func sameAxes(a, b []axis) bool { return slices.EqualFunc(a, b, axis.equal) }
