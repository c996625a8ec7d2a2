package nn

import "garb/internal/kernel"

// grouped is a convolution with groups of channels and filters, or with horizontal dilation. It
// is computed as one product per group and row of windows.
//
// A group's channels of one pixel are a segment of the product. Segments have equal distances,
// so the input rows that a row of windows covers are copied first, column by column, with zeros
// where windows reach over the border: [column row channel]. So the order of a product's values
// is [column row channel] too.
type grouped struct {
	epilogue
	window
	groups         int
	depth, columns int // of a group's product
	// lines is the number of columns that are copied, and step that between adjacent windows.
	lines, columnStride int
	pitch               int // of a copied pixel, in values

	matrices   []*kernel.Matrix // W′ of each group
	transposed []*kernel.Matrix
	block      []float32 // a group's part of the kernel
	collected  []float32 // the gradient by W′ in the kernel's order
}

func newGrouped(closing epilogue, w window, groups, filters int) *grouped {
	g := &grouped{
		epilogue: closing, window: w, groups: groups,
		depth: w.kernelHeight * w.kernelWidth * w.channels / groups, columns: filters / groups,
		lines: (w.outWidth-1)*w.strideWidth + w.kernelWidth, columnStride: w.strideWidth, pitch: w.channels,
	}
	if w.dilationWidth > 1 { // windows share no columns that are one after another
		g.lines, g.columnStride = w.outWidth*w.kernelWidth, w.kernelWidth
	}
	// A tile reads rows of adjacent windows: these must not fall into the same cache lines.
	const line, page = 16, 1024
	if g.columnStride*w.kernelHeight*g.pitch%(page/4) == 0 {
		g.pitch += line
	}
	return g
}

// source returns the input column of copied column q, which may be outside.
func (c *grouped) source(q int) int {
	if c.dilationWidth > 1 {
		return q/c.kernelWidth*c.strideWidth + q%c.kernelWidth*c.dilationWidth - c.padLeft
	}
	return q - c.padLeft
}

// inPlace reports whether windows are read without copying: each is a single row inside the map.
func (c *grouped) inPlace() bool { return c.kernelHeight == 1 && !c.isPadded() }

func (c *grouped) extent(int) extent {
	return extent{rows: c.outHeight, panels: 1, work: c.outHeight * c.outWidth * c.depth * c.columns * c.groups}
}

func (c *grouped) scratchLen() int {
	if c.inPlace() {
		return 0
	}
	return c.lines * c.kernelHeight * c.pitch
}

func (c *grouped) load(w Weights) error {
	values, err := c.readWeights(w)
	if err != nil {
		return err
	}
	if c.matrices == nil {
		c.matrices = make([]*kernel.Matrix, c.groups)
	}
	for g := range c.groups {
		c.matrices[g] = pack(c.matrices[g], c.gather(g, values), c.depth, c.columns, c.groupScale(g))
	}
	return nil
}

// groupScale returns the scale of a group's filters; nil if there is none.
func (c *grouped) groupScale(g int) []float32 {
	if c.scale == nil {
		return nil
	}
	return c.scale[g*c.columns:][:c.columns]
}

// gather returns a group's part of a kernel, [depth columns].
func (c *grouped) gather(g int, values []float32) []float32 {
	if c.block == nil {
		c.block = make([]float32, c.depth*c.columns)
	}
	c.eachRow(func(row, at int) {
		copy(c.block[row*c.columns:][:c.columns], values[at*c.groups*c.columns+g*c.columns:])
	})
	return c.block
}

// eachRow calls f for each row of a group's product, with its index in the kernel.
func (c *grouped) eachRow(f func(row, at int)) {
	channels := c.channels / c.groups
	row := 0
	for j := range c.kernelWidth {
		for i := range c.kernelHeight {
			for k := range channels {
				f(row, (i*c.kernelWidth+j)*channels+k)
				row++
			}
		}
	}
}

func (c *grouped) compute(b *buffers, p piece) {
	channels, filters := c.channels/c.groups, c.groups*c.columns
	for y := p.low; y < p.high; y++ {
		product := kernel.Gemm{
			DstStride: filters, Segments: c.kernelWidth * c.kernelHeight, SegmentLen: channels,
			Activation: c.activation,
		}
		a := b.scratch
		if c.inPlace() {
			a = b.in[y*c.strideHeight*c.width*c.channels:]
			product.AStride, product.SegmentStride = c.strideWidth*c.channels, c.dilationWidth*c.channels
		} else {
			c.copyRows(b, y)
			product.AStride, product.SegmentStride = c.columnStride*c.kernelHeight*c.pitch, c.pitch
		}
		out := y * c.outWidth * filters
		for g := range c.groups {
			product.A, product.B = a[g*channels:], c.matrices[g]
			product.Dst = b.out[out+g*c.columns:]
			if c.shift != nil {
				product.Bias = c.shift[g*c.columns:]
			}
			if b.second != nil {
				product.Residual, product.ResidualStride = b.second[out+g*c.columns:], filters
			}
			product.Run(0, c.outWidth, 0, c.matrices[g].Panels())
		}
	}
}

// copyRows copies what the windows of output row y cover.
func (c *grouped) copyRows(b *buffers, y int) {
	for i := range c.kernelHeight {
		v := y*c.strideHeight + i*c.dilationHeight - c.padTop
		for q := range c.lines {
			to := b.scratch[(q*c.kernelHeight+i)*c.pitch:][:c.channels]
			u := c.source(q)
			if v < 0 || v >= c.height || u < 0 || u >= c.width {
				clear(to)
				continue
			}
			copy(to, b.in[(v*c.width+u)*c.channels:])
		}
	}
}

func (c *grouped) bind(variable func(n *node, param int) *Variable) int {
	return c.epilogue.bind(variable, c.depth*c.columns*c.groups, c.columns*c.groups)
}

func (c *grouped) prepareBackward() {
	if c.transposed == nil {
		c.transposed = make([]*kernel.Matrix, c.groups)
	}
	for g := range c.groups {
		block := c.gather(g, c.kernel.Value)
		c.transposed[g] = packTransposed(c.transposed[g], block, c.depth, c.columns, c.groupScale(g))
	}
}

func (c *grouped) backScratchLen() int {
	lines := c.lines * c.kernelHeight * c.channels / c.groups
	return lines + kernel.OuterScratchLen + c.outWidth*c.depth + kernel.ScratchLen(c.columns*c.groups)
}

// backward goes through the output rows, and in each through the groups: what a group's windows
// cover is copied as in compute, without the other groups, so that it is one segment. The gradient
// by W′ has the groups one after another; collect reorders it.
func (c *grouped) backward(b *backBuffers) {
	c.maskGradient(b)
	byKernel, byShift := c.gradients(b.weights)
	channels, filters := c.channels/c.groups, c.groups*c.columns
	column := c.kernelHeight * channels // values of a copied column
	lines, rest := b.scratch[:c.lines*column], b.scratch[c.lines*column:]
	outer, rest := rest[:kernel.OuterScratchLen], rest[kernel.OuterScratchLen:]
	products, rest := rest[:c.outWidth*c.depth], rest[c.outWidth*c.depth:]
	b.clearIn()
	for y := range c.outHeight {
		for g := range c.groups {
			gradient := b.gradient[y*c.outWidth*filters+g*c.columns:]
			if byKernel != nil {
				c.eachPixel(y, g, func(line, in int) {
					to := lines[line:][:channels]
					if in < 0 {
						clear(to)
						return
					}
					copy(to, b.in[in:])
				})
				o := kernel.Outer{
					Dst: byKernel[g*c.depth*c.columns:], Sums: byShift[g*c.columns:], Rows: c.depth,
					Columns: c.columns,
					A:       lines, AStride: c.columnStride * column, B: gradient, BStride: filters, Scratch: outer,
				}
				o.Run(c.outWidth)
			}
			if b.inGradient == nil {
				continue
			}
			product := kernel.Gemm{
				Dst: products, DstStride: c.depth,
				A: gradient, AStride: filters, Segments: 1, SegmentLen: c.columns, SegmentStride: c.columns,
				B: c.transposed[g], Scratch: rest,
			}
			product.Run(0, c.outWidth, 0, c.transposed[g].Panels())
			clear(lines)
			for x := range c.outWidth {
				kernel.Add(lines[x*c.columnStride*column:][:c.depth], products[x*c.depth:], kernel.Identity)
			}
			c.eachPixel(y, g, func(line, in int) {
				if in >= 0 {
					kernel.Add(b.inGradient[in:][:channels], lines[line:], kernel.Identity)
				}
			})
		}
	}
}

// eachPixel calls f for each pixel that the windows of output row y cover, with the offsets of a
// group's channels in the copy and in the input, negative if that is outside.
func (c *grouped) eachPixel(y, g int, f func(line, in int)) {
	channels := c.channels / c.groups
	line := 0
	for q := range c.lines {
		u := c.source(q)
		for i := range c.kernelHeight {
			in := -1
			if v := y*c.strideHeight + i*c.dilationHeight - c.padTop; v >= 0 && v < c.height && u >= 0 && u < c.width {
				in = (v*c.width+u)*c.channels + g*channels
			}
			f(line, in)
			line += channels
		}
	}
}

func (c *grouped) collect(sum []float32) {
	byKernel, byShift := c.gradients(sum)
	if c.collected == nil {
		c.collected = make([]float32, len(sum))
	}
	filters := c.groups * c.columns
	for g := range c.groups {
		from := byKernel[g*c.depth*c.columns:]
		c.eachRow(func(row, at int) {
			copy(c.collected[at*filters+g*c.columns:][:c.columns], from[row*c.columns:])
		})
	}
	copy(c.collected[len(byKernel):], byShift)
	c.epilogue.collect(c.collected)
}
