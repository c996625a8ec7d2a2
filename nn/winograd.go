package nn

import "garb/internal/kernel"

// winogradConvolution is a 3×3 convolution with stride 1 that is computed in tiles of 2×2 outputs:
// see kernel.Winograd. It takes 16 matrix products where a convolution takes 36 for the same
// outputs; its sums are in another order.
type winogradConvolution struct {
	convolution
	forward   winogradPass
	inputPass winogradPass // from the gradient of the output to that of the input
	spread    []float32    // U of the kernel, plane after plane: channels × columns values each
}

const (
	// winogradChannels is the least number of channels and of filters. With fewer, the transforms
	// take as much time as the products save.
	winogradChannels = 32
	// winogradValues is the number of values of planes in a block: half of a core's second-level
	// cache (1 MiB on Zen 4).
	winogradValues = 128 << 10
	// winogradTiles is the least number of tiles, if there are so many, that share one reading of
	// the kernel.
	winogradTiles = 28
	// winogradGradientTiles is the number of tiles whose products are added to the kernel's
	// gradient at a time, so that it is read and written once for all of them.
	winogradGradientTiles = 98
	// winogradKernel is the number of values of the largest kernel, as planes, that each thread
	// reads completely.
	winogradKernel = 512 << 10
	// winogradScratch limits the values of planes of a block.
	winogradScratch = 16 << 20
	// winogradPanels is the number of panels of columns that threads take at a time if they share a
	// kernel. Each thread transforms all windows for them.
	winogradPanels = 4
)

// winogradFits reports whether a convolution of all channels is computed in tiles. If tiles reach
// far over the map's end, nothing is saved; and a row of tiles must not take too much memory.
func winogradFits(w window, columns int) bool {
	tileColumns := (w.outWidth + 1) / 2
	tiles := (w.outHeight + 1) / 2 * tileColumns
	if 16*max(tileColumns, winogradGradientTiles)*(w.channels+columns) > winogradScratch {
		return false
	}
	return w.kernelHeight == 3 && w.kernelWidth == 3 && w.isContiguous() && w.strideHeight == 1 &&
		w.channels >= winogradChannels && columns >= winogradChannels && 2*4*tiles <= 3*w.outHeight*w.outWidth
}

func (c *winogradConvolution) takesBatch() {}

func newWinograd(c convolution) *winogradConvolution {
	w := c.window
	return &winogradConvolution{
		convolution: c,
		forward: winogradPass{
			height: w.height, width: w.width, channels: w.channels,
			outHeight: w.outHeight, outWidth: w.outWidth, columns: c.columns, padTop: w.padTop, padLeft: w.padLeft,
		},
		// The gradient of the input is a convolution of the output's gradient with the kernel
		// rotated by half a turn and its channels and columns exchanged. The border of a window is
		// at most 2 wide: see window.reachesMap.
		inputPass: winogradPass{
			height: w.outHeight, width: w.outWidth, channels: c.columns,
			outHeight: w.height, outWidth: w.width, columns: w.channels, padTop: 2 - w.padTop, padLeft: 2 - w.padLeft,
		},
	}
}

func (c *winogradConvolution) extent(n int) extent {
	p := &c.forward
	work := 16 * n * p.tileRows() * p.tileColumns() * p.channels * p.columns
	if p.sharesKernel() {
		panels := (p.planes[0].Panels() + winogradPanels - 1) / winogradPanels
		return extent{rows: p.blockCount(n * p.tileRows()), panels: panels, work: work}
	}
	return extent{rows: n * p.tileRows(), panels: 1, work: work}
}

func (c *winogradConvolution) scratchLen() int { return c.forward.scratchLen() }

func (c *winogradConvolution) load(w Weights) error {
	values, err := c.readWeights(w)
	if err != nil {
		return err
	}
	size := c.channels * c.columns
	if c.spread == nil {
		c.spread = make([]float32, 16*size)
	}
	planes := cutPlanes(c.spread, size)
	spreadKernel(planes, values, size)
	for i := range c.forward.planes {
		m := &c.forward.planes[i]
		*m = pack(*m, planes[i], c.channels, c.columns, c.scale)
	}
	if c.kernel == nil { // inference loads weights only once
		c.spread = nil
	}
	return nil
}

// cutPlanes returns the planes, of size values each, that are stored one after another in values.
func cutPlanes(values []float32, size int) (planes [16][]float32) {
	for i := range planes {
		planes[i] = values[i*size:][:size]
	}
	return planes
}

// spreadKernel sets planes to U = G·kernel·Gᵀ of size pairs of a channel and a column.
func spreadKernel(planes [16][]float32, values []float32, size int) {
	var taps [9][]float32
	for i := range taps {
		taps[i] = values[i*size:][:size]
	}
	for at := range size {
		var columns [3][4]float64
		for j := range columns {
			columns[j] = spreadTaps(float64(taps[j][at]), float64(taps[3+j][at]), float64(taps[6+j][at]))
		}
		for i := range 4 {
			for j, v := range spreadTaps(columns[0][i], columns[1][i], columns[2][i]) {
				planes[4*i+j][at] = float32(v)
			}
		}
	}
}

// spreadTaps multiplies a vector by G.
func spreadTaps(a, b, c float64) [4]float64 {
	return [4]float64{a, (a + b + c) / 2, (a - b + c) / 2, c}
}

func (c *winogradConvolution) compute(b *buffers, p piece) {
	w := &c.forward
	epilogue := kernel.WinogradEpilogue{Bias: c.shift, Residual: b.second, Activation: c.activation}
	if w.sharesKernel() {
		p.low, p.high = w.block(p.low, b.n*w.tileRows()), w.block(p.high, b.n*w.tileRows())
		p.panelLow, p.panelHigh = p.panelLow*winogradPanels, min(p.panelHigh*winogradPanels, w.planes[0].Panels())
	} else {
		p.panelHigh = w.planes[0].Panels()
	}
	w.compute(b.out, b.in, p, epilogue, b.scratch)
}

func (c *winogradConvolution) prepareBackward() {
	planes := cutPlanes(c.spread, c.channels*c.columns)
	for i := range c.inputPass.planes {
		m := &c.inputPass.planes[i]
		// A rotation by half a turn exchanges the first and the last row of G·kernel, and likewise
		// the columns.
		from := turnedPlane[i/4]*4 + turnedPlane[i%4]
		*m = packTransposed(*m, planes[from], c.channels, c.columns, c.scale)
	}
}

var turnedPlane = [4]int{3, 1, 2, 0}

func (c *winogradConvolution) bind(variable func(n *node, param int) *Variable) int {
	if c.convolution.bind(variable) == 0 {
		return 0
	}
	return 16*c.channels*c.columns + c.columns
}

func (c *winogradConvolution) backScratchLen() int {
	planes := c.forward.planesLen(c.forward.gradientRows())
	return max(c.inputPass.scratchLen(), planes+2*c.gradientLineLen()+kernel.OuterScratchLen)
}

// gradientLineLen returns the number of values of a row of the output, filled up to whole tiles.
func (c *winogradConvolution) gradientLineLen() int { return 2 * c.forward.tileColumns() * c.columns }

// backward sums the gradient of U, from which collect derives that of the kernel.
func (c *winogradConvolution) backward(b *backBuffers) {
	c.maskGradient(b)
	if b.weights != nil {
		c.backKernel(b)
	}
	if b.inGradient == nil {
		return
	}
	w := &c.inputPass
	var epilogue kernel.WinogradEpilogue
	if b.addIn {
		epilogue.Residual = b.inGradient
	}
	all := piece{high: b.n * w.tileRows(), panelHigh: w.planes[0].Panels()}
	w.compute(b.inGradient, b.gradient, all, epilogue, b.scratch)
}

// backKernel adds to the gradients of U and of shift: see kernel.Winograd.Gradient.
func (c *winogradConvolution) backKernel(b *backBuffers) {
	w, size := &c.forward, c.channels*c.columns
	byShift := b.weights[16*size:]
	tiles, rows := w.tileColumns(), b.n*w.tileRows()
	lines, windows, scratch := w.windows(b.scratch, w.gradientRows())
	gradients := kernel.Winograd{
		Planes: scratch, Plane: w.plane(c.columns, w.gradientRows()), Pitch: w.pitch(c.columns), Channels: c.columns,
	}
	gradientLines := scratch[16*gradients.Plane:][:2*c.gradientLineLen()]
	outer := scratch[16*gradients.Plane+len(gradientLines):]
	blocks := (rows + w.gradientRows() - 1) / w.gradientRows()
	for block := range blocks {
		low, high := block*rows/blocks, (block+1)*rows/blocks
		for row := low; row < high; row++ {
			w.transform(windows, b.in, lines, row, (row-low)*tiles)
			c.transformGradient(gradients, b.gradient, gradientLines, row, (row-low)*tiles)
		}
		for i := range 16 {
			o := kernel.Outer{
				Dst: b.weights[i*size:][:size], Rows: c.channels, Columns: c.columns,
				A: windows.Planes[i*windows.Plane:], AStride: windows.Pitch,
				B: gradients.Planes[i*gradients.Plane:], BStride: gradients.Pitch, Scratch: outer,
			}
			if i == 5 {
				o.Sums = byShift
			}
			o.Run((high - low) * tiles)
		}
	}
}

// transformGradient transforms the gradient of the outputs of a row of tiles; tile is the index of
// the first in the planes.
func (c *winogradConvolution) transformGradient(to kernel.Winograd, gradient, lines []float32, row, tile int) {
	w := &c.forward
	image, y := row/w.tileRows(), row%w.tileRows()*2
	rowLen := w.outWidth * c.columns
	at := (image*w.outHeight + y) * rowLen
	to.Planes, to.Pixel = to.Planes[tile*to.Pitch:], c.columns
	if y+2 <= w.outHeight && w.outWidth%2 == 0 {
		to.Map, to.Line = gradient[at:], rowLen
	} else {
		to.Map, to.Line = lines, c.gradientLineLen()
		for i := range 2 {
			line := lines[i*to.Line:][:to.Line]
			n := 0
			if y+i < w.outHeight {
				n = copy(line, gradient[at+i*rowLen:][:rowLen])
			}
			clear(line[n:])
		}
	}
	to.Gradient(w.tileColumns())
}

// collect derives the gradient of the kernel, Gᵀ·D·G, from the gradient D of U = G·kernel·Gᵀ.
func (c *winogradConvolution) collect(sum []float32) {
	size := c.channels * c.columns
	planes := cutPlanes(sum, size)
	for at := range size {
		var columns [4][3]float64
		for j := range columns {
			at := func(i int) float64 { return float64(planes[4*i+j][at]) }
			columns[j] = gatherTaps(at(0), at(1), at(2), at(3))
		}
		for i := range 3 {
			row := gatherTaps(columns[0][i], columns[1][i], columns[2][i], columns[3][i])
			for j, v := range row {
				planes[3*i+j][at] = float32(v)
			}
		}
	}
	copy(sum[9*size:], sum[16*size:])
	c.epilogue.collect(sum[:9*size+c.columns])
}

// gatherTaps multiplies a vector by Gᵀ.
func gatherTaps(a, b, c, d float64) [3]float64 {
	plus, minus := float64((b+c)/2), float64((b-c)/2)
	return [3]float64{a + plus, minus, plus + d}
}

// winogradPass is one direction of a 3×3 convolution with stride 1.
type winogradPass struct {
	height, width, channels      int
	outHeight, outWidth, columns int
	padTop, padLeft              int // from 0 to 2
	planes                       [16]*kernel.Matrix
}

// sharesKernel reports whether threads divide the columns among them because the kernel is large.
func (w *winogradPass) sharesKernel() bool { return 16*w.channels*w.columns > winogradKernel }

func (w *winogradPass) tileRows() int    { return (w.outHeight + 1) / 2 }
func (w *winogradPass) tileColumns() int { return (w.outWidth + 1) / 2 }

// pitch returns the distance between tiles in a plane of so many channels. Those of a product's
// tile must not map to the same lines of the first-level cache.
func (w *winogradPass) pitch(channels int) int {
	if channels%256 == 0 {
		return channels + gatheredGap
	}
	return channels
}

// plane returns the distance between planes of so many channels and rows of tiles.
func (w *winogradPass) plane(channels, rows int) int {
	return rows*w.tileColumns()*w.pitch(channels) + gatheredGap
}

// blockRows returns the largest number of rows of tiles that are computed at a time.
func (w *winogradPass) blockRows() int {
	tiles := max(winogradValues/(16*(w.channels+w.columns)), winogradTiles)
	return max(tiles/w.tileColumns(), 1)
}

// gradientRows returns the largest number of rows of tiles whose products are added to the kernel's
// gradient at a time.
func (w *winogradPass) gradientRows() int { return max(winogradGradientTiles/w.tileColumns(), 1) }

// blockCount returns the number of blocks, of equal size, of so many rows of tiles.
func (w *winogradPass) blockCount(rows int) int { return (rows + w.blockRows() - 1) / w.blockRows() }

// block returns the first row of a block.
func (w *winogradPass) block(i, rows int) int { return i * rows / w.blockCount(rows) }

// lineLen returns the number of values of a row with the border that its tiles read.
func (w *winogradPass) lineLen() int { return (2*w.tileColumns() + 2) * w.channels }

// inside reports whether the windows of a row of tiles of an image are inside the map. With a
// border on the left they reach over the right end: there are width − 2 positions without.
func (w *winogradPass) inside(top int) bool {
	return top >= 0 && top+4 <= w.height && 2*w.tileColumns()+2 <= w.width
}

func (w *winogradPass) scratchLen() int {
	return w.planesLen(w.blockRows())
}

// planesLen returns the number of values that windows takes and of as many planes of columns.
func (w *winogradPass) planesLen(rows int) int {
	return 4*w.lineLen() + 16*(w.plane(w.channels, rows)+w.plane(w.columns, rows))
}

// compute computes the rows of tiles from p.low to below p.high, counted through all images, for
// the columns of p's panels.
func (w *winogradPass) compute(out, in []float32, p piece, e kernel.WinogradEpilogue, scratch []float32) {
	tiles, rows, width := w.tileColumns(), p.high-p.low, w.planes[0].PanelColumns
	columnLow, columnHigh := p.panelLow*width, min(p.panelHigh*width, w.columns)
	lines, windows, scratch := w.windows(scratch, w.blockRows())
	products := kernel.Winograd{
		Planes: scratch, Plane: w.plane(w.columns, w.blockRows()), Pitch: w.pitch(w.columns),
		Channels: columnHigh - columnLow,
	}
	blocks := w.blockCount(rows)
	for block := range blocks {
		low, high := p.low+block*rows/blocks, p.low+(block+1)*rows/blocks
		for row := low; row < high; row++ {
			w.transform(windows, in, lines, row, (row-low)*tiles)
		}
		for i, m := range w.planes {
			g := kernel.Gemm{
				Dst: products.Planes[i*products.Plane:], DstStride: products.Pitch,
				A: windows.Planes[i*windows.Plane:], AStride: windows.Pitch, Segments: 1, SegmentLen: w.channels, B: m,
			}
			g.Run(0, (high-low)*tiles, p.panelLow, p.panelHigh)
		}
		for row := low; row < high; row++ {
			w.finish(products, out, e, row, (row-low)*tiles, columnLow)
		}
	}
}

// windows divides scratch: it takes the memory for rows with their border and for the planes of
// windows of rows of tiles from the front, and returns the rest.
func (w *winogradPass) windows(scratch []float32, rows int) (lines []float32, planes kernel.Winograd, left []float32) {
	lines, scratch = scratch[:4*w.lineLen()], scratch[4*w.lineLen():]
	planes = kernel.Winograd{Plane: w.plane(w.channels, rows), Pitch: w.pitch(w.channels), Channels: w.channels}
	planes.Planes, left = scratch[:16*planes.Plane], scratch[16*planes.Plane:]
	return lines, planes, left
}

// transform transforms the windows of a row of tiles; tile is the index of the first in the planes.
func (w *winogradPass) transform(to kernel.Winograd, in, lines []float32, row, tile int) {
	image, top := row/w.tileRows(), row%w.tileRows()*2-w.padTop
	rowLen, lineLen := w.width*w.channels, w.lineLen()
	in = in[image*w.height*rowLen:][:w.height*rowLen]
	to.Planes, to.Pixel = to.Planes[tile*to.Pitch:], w.channels
	if w.inside(top) {
		to.Map, to.Line = in[top*rowLen:], rowLen
	} else {
		to.Map, to.Line = lines, lineLen
		left := w.padLeft * w.channels
		for i := range 4 {
			line := lines[i*lineLen:][:lineLen]
			if top+i < 0 || top+i >= w.height {
				clear(line)
				continue
			}
			clear(line[:left])
			n := copy(line[left:], in[(top+i)*rowLen:][:rowLen])
			clear(line[left+n:])
		}
	}
	to.Input(w.tileColumns())
}

// finish computes the outputs of a row of tiles, from column on.
func (w *winogradPass) finish(from kernel.Winograd, out []float32, e kernel.WinogradEpilogue, row, tile, column int) {
	image, y := row/w.tileRows(), row%w.tileRows()*2
	at := (image*w.outHeight+y)*w.outWidth*w.columns + column
	from.Planes = from.Planes[tile*from.Pitch+column:]
	from.Map, from.Line, from.Pixel = out[at:], w.outWidth*w.columns, w.columns
	if e.Bias != nil {
		e.Bias = e.Bias[column:]
	}
	if e.Residual != nil {
		e.Residual = e.Residual[at:]
	}
	from.Output(min(2, w.outHeight-y), w.outWidth, e)
}
