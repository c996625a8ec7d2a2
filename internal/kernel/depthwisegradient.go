package kernel

// The gradients of a Depthwise without its activation: of a loss whose gradient by
// dst is known. gradient has the shape of Dst.

// AddKernelGradient adds to the gradient of the kernel what src's rows
// [rowLow,rowHigh) contribute and, if biasGradient is not nil, to that of the bias
// what dst's rows y do that have y·Stride there. Over all rows:
//
//	kernelGradient[i,j,c] += Σ_yx gradient[y,x,c] · in(src[y·Stride+i−PadTop, x·Stride+j−PadLeft, c])
//	biasGradient[c]       += Σ_yx gradient[y,x,c]
//
// Each value is one chain, over rows of src and in them from left to right. Scratch
// has KernelGradientScratch values. It allocates nothing.
func (d *Depthwise) AddKernelGradient(kernelGradient, biasGradient, gradient, scratch []float32, rowLow, rowHigh int) {
	d.checkLengths(0, d.DstHeight)
	c := d.Channels
	if len(kernelGradient) < d.KernelHeight*d.KernelWidth*c || len(gradient) < d.DstHeight*d.DstWidth*c ||
		biasGradient != nil && len(biasGradient) < c || len(scratch) < d.KernelGradientScratch() ||
		rowLow < 0 || rowHigh > d.SrcHeight {
		panic("kernel: Depthwise gradient of another shape")
	}
	// A row of src is copied beside zeros once, for all rows of the kernel that meet
	// it: then every output has all its taps. A row of dst is added to the bias's
	// gradient as it meets row y·Stride of src.
	ignored, line := scratch[:c], scratch[c:d.KernelGradientScratch()]
	clear(ignored)
	left := d.PadLeft * c
	for v := rowLow; v < rowHigh; v++ {
		row := d.Src[v*d.SrcWidth*c:][:d.SrcWidth*c]
		ready := false
		for i := range d.KernelHeight {
			y := v + d.PadTop - i
			if y < 0 || y%d.Stride != 0 || y/d.Stride >= d.DstHeight {
				continue
			}
			if !ready {
				clear(line[:left])
				n := min(len(row), len(line)-left)
				if d.ReLUInput {
					Activate(line[left:][:n], row, ReLU)
				} else {
					copy(line[left:], row[:n])
				}
				clear(line[left+n:])
				ready = true
			}
			kernelRow := kernelGradient[i*d.KernelWidth*c:][:d.KernelWidth*c]
			out := gradient[y/d.Stride*d.DstWidth*c:][:d.DstWidth*c]
			sums := ignored
			if i == d.PadTop && biasGradient != nil {
				sums = biasGradient[:c]
			}
			if level == Generic {
				d.addTapsGeneric(kernelRow, sums, line, out)
			} else {
				d.addTapsVector(kernelRow, sums, ignored, line, out)
			}
		}
	}
	if rowHigh == d.SrcHeight && biasGradient != nil { // rows of dst that begin below src
		first := (d.SrcHeight + d.Stride - 1) / d.Stride
		for pixel := first * d.DstWidth; pixel < d.DstHeight*d.DstWidth; pixel++ {
			Add(biasGradient[:c], gradient[pixel*c:], Identity)
		}
	}
}

// KernelGradientScratch returns the length of AddKernelGradient's scratch: an input
// row with its padding, and a value for each channel.
func (d *Depthwise) KernelGradientScratch() int {
	return ((d.DstWidth-1)*d.Stride + d.KernelWidth + 1) * d.Channels
}

// addTapsGeneric adds what one output row contributes to one kernel row, and the row
// itself to sums.
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
				dst[k] += v * src[k]
			}
		}
	}
}

// FlippedTaps writes to dst, of the kernel's length, the kernel as InputGradient
// takes it: rows and columns from last to first, and with a stride above 1 those
// that meet one input position together.
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

// eachPhase calls do with the rows and columns of the kernel, from last to first,
// that meet input positions of each remainder by the stride.
func (d *Depthwise) eachPhase(do func(rows, columns []int)) {
	for py := range d.Stride {
		for px := range d.Stride {
			do(listTaps(d.KernelHeight, d.Stride, py), listTaps(d.KernelWidth, d.Stride, px))
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
// over the positions that are whole and inside. flipped is what FlippedTaps wrote.
// A ReLUInput is not taken into account. It allocates nothing.
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
	// With stride 1 it is itself a depthwise convolution, if every window reaches
	// into the gradient: inputs that no output met do not.
	if d.Stride == 1 && d.SrcHeight-back.PadTop <= d.DstHeight && d.SrcWidth-back.PadLeft <= d.DstWidth {
		back.Run(rowLow, rowHigh)
		return
	}
	for v := rowLow; v < rowHigh; v++ {
		rows := d.findOverlap(v, d.PadTop, d.KernelHeight)
		firstRow, rowCount := rows.clip(d.DstHeight)
		for start := range min(d.Stride, d.SrcWidth) {
			// Columns that are a stride apart meet the same taps.
			columns := d.findOverlap(start, d.PadLeft, d.KernelWidth)
			taps := flipped[d.countTapsBefore(rows.remainder, columns.remainder)*c:]
			for u := start; u < d.SrcWidth; {
				run := 1
				firstColumn, columnCount := columns.clip(d.DstWidth)
				if columnCount == columns.count {
					run = min((d.SrcWidth-1-u)/d.Stride, d.DstWidth-firstColumn-columnCount) + 1
				}
				dst := srcGradient[(v*d.SrcWidth+u)*c:]
				if rowCount == 0 || columnCount == 0 {
					for i := range run {
						clear(dst[i*d.Stride*c:][:c])
					}
				} else {
					tapsFrom := taps[((firstRow-rows.low)*columns.count+firstColumn-columns.low)*c:]
					src := gradient[(firstRow*d.DstWidth+firstColumn)*c:]
					if level == Generic {
						d.sumTapsGeneric(dst, src, tapsFrom, rowCount, columnCount, columns.count, run)
					} else {
						d.sumTapsVector(dst, src, tapsFrom, rowCount, columnCount, columns.count, run)
					}
				}
				u += run * d.Stride
				columns.low += run
			}
		}
	}
}

// overlap is which outputs an input position is part of, along one axis.
type overlap struct {
	remainder  int // of the taps that meet it, by the stride
	low, count int // outputs, also those that there are not
}

func (d *Depthwise) findOverlap(position, pad, size int) overlap {
	p := position + pad
	m := overlap{remainder: p % d.Stride}
	m.count = max((size-m.remainder+d.Stride-1)/d.Stride, 0)
	last := m.remainder + (m.count-1)*d.Stride // the tap that comes first when flipped
	m.low = (p - last) / d.Stride              // exact, and may be negative
	return m
}

// clip is the meeting's part among the outputs that there are.
func (m overlap) clip(outputs int) (first, count int) {
	first = max(m.low, 0)
	return first, max(min(m.low+m.count, outputs)-first, 0)
}

// countTapsBefore is the number of taps in the phases before one.
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

// sumTapsGeneric sums rows × columns taps for each of so many input pixels that are
// a stride apart.
func (d *Depthwise) sumTapsGeneric(dst, src, taps []float32, rows, columns, tapColumns, pixels int) {
	c := d.Channels
	for pixel := range pixels {
		to := dst[pixel*d.Stride*c:][:c]
		clear(to)
		for i := range rows {
			for j := range columns {
				g, w := src[(i*d.DstWidth+j+pixel)*c:][:c], taps[(i*tapColumns+j)*c:][:c]
				for k := range to {
					to[k] += g[k] * w[k]
				}
			}
		}
	}
}
