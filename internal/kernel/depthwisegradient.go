package kernel

// The functions in this file compute gradients of a Depthwise without its activation.
// gradient is the loss's gradient by dst and has the shape of Dst.

// AddKernelGradient adds to the kernel's gradient what src's rows [rowLow,rowHigh)
// contribute and, unless biasGradient is nil, to the bias's gradient what the rows y of
// dst do whose y·Stride is among them. Over all rows:
//
//	kernelGradient[i,j,c] += Σ_yx gradient[y,x,c] · in(src[y·Stride+i−PadTop, x·Stride+j−PadLeft, c])
//	biasGradient[c]       += Σ_yx gradient[y,x,c]
//
// Each value is one chain of additions over the rows of src, from left to right in each.
// Scratch has KernelGradientScratch values. It allocates nothing.
func (d *Depthwise) AddKernelGradient(kernelGradient, biasGradient, gradient, scratch []float32, rowLow, rowHigh int) {
	d.checkLengths(0, d.DstHeight)
	c := d.Channels
	if len(kernelGradient) < d.KernelHeight*d.KernelWidth*c || len(gradient) < d.DstHeight*d.DstWidth*c ||
		biasGradient != nil && len(biasGradient) < c || len(scratch) < d.KernelGradientScratch() ||
		rowLow < 0 || rowHigh > d.SrcHeight {
		panic("kernel: Depthwise gradient of another shape")
	}
	// A row of src is copied between zeros once, for all rows of the kernel that meet it:
	// then every output has all its taps. A row of dst is added to the bias's gradient when
	// it meets row y·Stride of src.
	ignored, line := scratch[:c], scratch[c:d.KernelGradientScratch()]
	clear(ignored)
	for v := rowLow; v < rowHigh; v++ {
		padded := false
		for i := range d.KernelHeight {
			y := v + d.PadTop - i
			if y < 0 || y%d.Stride != 0 || y/d.Stride >= d.DstHeight {
				continue
			}
			if !padded {
				d.padRow(line, d.Src[v*d.SrcWidth*c:][:d.SrcWidth*c])
				padded = true
			}
			kernelRow := kernelGradient[i*d.KernelWidth*c:][:d.KernelWidth*c]
			out := gradient[y/d.Stride*d.DstWidth*c:][:d.DstWidth*c]
			sums := ignored
			if i == d.PadTop && biasGradient != nil {
				sums = biasGradient[:c]
			}
			d.addTaps(kernelRow, sums, ignored, line, out)
		}
	}
	if rowHigh == d.SrcHeight && biasGradient != nil { // rows of dst whose windows begin below src
		first := (d.SrcHeight + d.Stride - 1) / d.Stride
		for pixel := first * d.DstWidth; pixel < d.DstHeight*d.DstWidth; pixel++ {
			Add(biasGradient[:c], gradient[pixel*c:], Identity)
		}
	}
}

// addTaps adds what one output row contributes to one kernel row, and the row itself to
// sums. ignored is a place for sums that are not needed.
func (d *Depthwise) addTaps(kernelRow, sums, ignored, line, out []float32) {
	if level == Generic {
		d.addTapsGeneric(kernelRow, sums, line, out)
	} else {
		d.addTapsVector(kernelRow, sums, ignored, line, out)
	}
}

// padRow sets line to a row of src, as the convolution reads it, between zeros.
func (d *Depthwise) padRow(line, row []float32) {
	left := d.PadLeft * d.Channels
	clear(line[:left])
	n := min(len(row), len(line)-left)
	if d.ReLUInput {
		Activate(line[left:][:n], row, ReLU)
	} else {
		copy(line[left:], row[:n])
	}
	clear(line[left+n:])
}

// KernelGradientScratch returns the length of AddKernelGradient's scratch: an input
// row with its padding, and one value per channel.
func (d *Depthwise) KernelGradientScratch() int {
	return ((d.DstWidth-1)*d.Stride + d.KernelWidth + 1) * d.Channels
}

// addTapsGeneric computes addTaps in portable Go.
func (d *Depthwise) addTapsGeneric(kernelRow, sums, line, out []float32) {
	c := d.Channels
	for x := range d.DstWidth {
		g := out[x*c:][:c]
		for k, v := range g {
			sums[k] += v
		}
		for j := range d.KernelWidth {
			src, dst := line[(x*d.Stride+j)*c:][:len(g)], kernelRow[j*c:][:len(g)]
			for k, v := range g {
				dst[k] += float32(v * src[k])
			}
		}
	}
}

// FlippedTaps writes to dst, of the kernel's length, the kernel in the order of
// InputGradient: rows and columns from last to first, and with a stride above 1 those
// together that meet the same input position.
func (d *Depthwise) FlippedTaps(dst []float32) {
	c := d.Channels
	at := 0
	d.eachPhase(func(rows, columns []int) {
		for _, i := range rows {
			for _, j := range columns {
				copy(dst[at:at+c], d.Kernel[(i*d.KernelWidth+j)*c:])
				at += c
			}
		}
	})
}

// eachPhase calls f with the rows and columns of the kernel, from last to first, that
// meet input positions of each remainder modulo the stride.
func (d *Depthwise) eachPhase(f func(rows, columns []int)) {
	for py := range d.Stride {
		for px := range d.Stride {
			f(listTaps(d.KernelHeight, d.Stride, py), listTaps(d.KernelWidth, d.Stride, px))
		}
	}
}

// listTaps lists the taps i with i ≡ remainder modulo stride, from last to first.
func listTaps(size, stride, remainder int) []int {
	var taps []int
	for i := size - 1; i >= 0; i-- {
		if i%stride == remainder {
			taps = append(taps, i)
		}
	}
	return taps
}

// InputGradient writes the gradient of src's rows [rowLow,rowHigh):
//
//	srcGradient[v,u,c] = Σ_ij gradient[(v+PadTop−i)/Stride, (u+PadLeft−j)/Stride, c] · kernel[i,j,c]
//
// over the positions that are integers and inside. flipped is from FlippedTaps.
// ReLUInput is ignored. It allocates nothing.
func (d *Depthwise) InputGradient(srcGradient, gradient, flipped []float32, rowLow, rowHigh int) {
	c := d.Channels
	if len(srcGradient) < d.SrcHeight*d.SrcWidth*c || len(gradient) < d.DstHeight*d.DstWidth*c ||
		len(flipped) < d.KernelHeight*d.KernelWidth*c || rowLow < 0 || rowHigh > d.SrcHeight {
		panic("kernel: Depthwise gradient of another shape")
	}
	back := Depthwise{
		Dst: srcGradient, DstHeight: d.SrcHeight, DstWidth: d.SrcWidth,
		Src: gradient, SrcHeight: d.DstHeight, SrcWidth: d.DstWidth, Channels: c,
		KernelHeight: d.KernelHeight, KernelWidth: d.KernelWidth, Stride: 1,
		PadTop: d.KernelHeight - 1 - d.PadTop, PadLeft: d.KernelWidth - 1 - d.PadLeft,
		Kernel: flipped,
	}
	// With stride 1 it is itself a depthwise convolution if every window reaches into the
	// gradient, that is if every input position is part of an output.
	if d.Stride == 1 && d.SrcHeight-back.PadTop <= d.DstHeight && d.SrcWidth-back.PadLeft <= d.DstWidth {
		back.Run(rowLow, rowHigh)
		return
	}
	for v := rowLow; v < rowHigh; v++ {
		rows := d.findOverlap(v, d.PadTop, d.KernelHeight)
		for start := range min(d.Stride, d.SrcWidth) {
			d.inputGradientPhase(srcGradient, gradient, flipped, v, start, rows)
		}
	}
}

// inputGradientPhase writes the gradient of row v of src in the columns from start on that are
// a stride apart, which meet the same taps.
func (d *Depthwise) inputGradientPhase(srcGradient, gradient, flipped []float32, v, start int, rows overlap) {
	c := d.Channels
	firstRow, rowCount := rows.clip(d.DstHeight)
	columns := d.findOverlap(start, d.PadLeft, d.KernelWidth)
	taps := flipped[d.countTapsBefore(rows.remainder, columns.remainder)*c:]
	for u := start; u < d.SrcWidth; {
		pixels := 1
		firstColumn, columnCount := columns.clip(d.DstWidth)
		if columnCount == columns.count {
			pixels = min((d.SrcWidth-1-u)/d.Stride, d.DstWidth-firstColumn-columnCount) + 1
		}
		dst := srcGradient[(v*d.SrcWidth+u)*c:]
		if rowCount == 0 || columnCount == 0 {
			for i := range pixels {
				clear(dst[i*d.Stride*c:][:c])
			}
		} else {
			first := taps[((firstRow-rows.low)*columns.count+firstColumn-columns.low)*c:]
			src := gradient[(firstRow*d.DstWidth+firstColumn)*c:]
			if level == Generic {
				d.sumTapsGeneric(dst, src, first, rowCount, columnCount, columns.count, pixels)
			} else {
				d.sumTapsVector(dst, src, first, rowCount, columnCount, columns.count, pixels)
			}
		}
		u += pixels * d.Stride
		columns.low += pixels
	}
}

// overlap describes the outputs that an input position is part of, along one axis.
type overlap struct {
	remainder  int // of the taps that meet it, modulo the stride
	low, count int // outputs, including those outside dst
}

func (d *Depthwise) findOverlap(position, pad, size int) overlap {
	p := position + pad
	m := overlap{remainder: p % d.Stride}
	m.count = max((size-m.remainder+d.Stride-1)/d.Stride, 0)
	last := m.remainder + (m.count-1)*d.Stride // the tap that comes first when flipped
	m.low = (p - last) / d.Stride              // exact, and may be negative
	return m
}

// clip returns the overlap's outputs that are inside dst.
func (m overlap) clip(outputs int) (first, count int) {
	first = max(m.low, 0)
	return first, max(min(m.low+m.count, outputs)-first, 0)
}

// countTapsBefore returns the number of taps in the phases before one.
func (d *Depthwise) countTapsBefore(py, px int) int {
	count := func(size, remainder int) int { return (size - remainder + d.Stride - 1) / d.Stride }
	before := 0
	for y := range d.Stride {
		for x := range d.Stride {
			if y == py && x == px {
				return before
			}
			before += max(count(d.KernelHeight, y), 0) * max(count(d.KernelWidth, x), 0)
		}
	}
	return before
}

// sumTapsGeneric sums rows × columns taps for each of so many input pixels that are a stride apart.
func (d *Depthwise) sumTapsGeneric(dst, src, taps []float32, rows, columns, tapColumns, pixels int) {
	c := d.Channels
	for pixel := range pixels {
		to := dst[pixel*d.Stride*c:][:c]
		clear(to)
		for i := range rows {
			for j := range columns {
				g, w := src[(i*d.DstWidth+j+pixel)*c:][:c], taps[(i*tapColumns+j)*c:][:c]
				for k := range to {
					to[k] += float32(g[k] * w[k])
				}
			}
		}
	}
}
