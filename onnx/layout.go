package onnx

import "slices"

// factor is a part of an axis: size steps, each stride values apart in the memory of one
// of our layers' outputs.
type factor struct{ size, stride int }

// axis says where along an axis of an ONNX value our layer has its values: the places of
// its factors added, the last factor running fastest. An [n c h w] map over our [h w c] is
// {c,1}, {h,w·c}, {w,c}; flattened it is one axis of all three. So transposing and
// reshaping change what is said about a value, and no value.
type axis []factor

func (a axis) size() int {
	n := 1
	for _, f := range a {
		n *= f.size
	}
	return n
}

// spread is the axis with n values, one after another, for each that it has.
func (a axis) spread(n int) axis {
	var s axis
	for _, f := range a {
		s = append(s, factor{f.size, f.stride * n})
	}
	return append(s, factor{n, 1}).simplified()
}

// simplified leaves out factors of size 1, and joins those that are one run.
func (a axis) simplified() axis {
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
func (a axis) equal(b axis) bool { return slices.Equal(a.simplified(), b.simplified()) }

// innermost tells whether the axis is, in some order, what lies together in memory: our
// last axis, the channels.
func (a axis) innermost() bool {
	last := 0
	for _, f := range a {
		last += (f.size - 1) * f.stride
	}
	return last == a.size()-1
}

// inOrder tells whether the axis's values are one after another in memory.
func (a axis) inOrder() bool {
	s := a.simplified()
	return len(s) == 0 || len(s) == 1 && s[0].stride == 1
}

// places lists the axis's places in memory, or nil if they are in order.
func (a axis) places() []int {
	if a.inOrder() {
		return nil
	}
	all := []int{0}
	for _, f := range a.simplified() {
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

// split cuts an axis into axes of the given sizes, whose product is its own. It reports
// whether the cuts fall between its values' factors.
func (a axis) split(sizes []int) ([]axis, bool) {
	rest := slices.Clone(a.simplified())
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

// flat is all axes as one.
func flat(axes []axis) axis {
	var all axis
	for _, a := range axes {
		all = append(all, a...)
	}
	return all.simplified()
}

// nchw are the axes of a map [h w c] as ONNX's operators have them, without the batch's.
func nchw(h, w, c int) []axis { return []axis{{{c, 1}}, {{h, w * c}}, {{w, c}}} }

// nhwc are those as we have them.
func nhwc(h, w, c int) []axis { return []axis{{{h, w * c}}, {{w, c}}, {{c, 1}}} }

func sameAxes(a, b []axis) bool { return slices.EqualFunc(a, b, axis.equal) }
