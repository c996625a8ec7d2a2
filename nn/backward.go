package nn

import (
	"math"
	"math/rand/v2"

	"garb/internal/kernel"
)

// trainStep is a step with what it takes to go back through it. A batch-norm that
// uses stored statistics is folded into its layer, as in a Plan:
//
//	out = act(in·W′ + shift)   W′ = W·scale   scale = gamma/√(variance+ε)
//	                           shift = beta + (bias−mean)·scale
//
// so the gradients by W′ and shift are all that is summed over the images, and
// collect derives from them those by W, bias, gamma and beta.
type trainStep struct {
	step
	kernel, bias, gamma, beta, mean, variance *Variable // nil if there is none

	trained  bool // a variable of the step is
	backward bool // its output needs a gradient
	// Whose gradients the step computes, and whether later steps have begun them.
	needsInput, needsResidual, addInput, addResidual bool
	// A gradient is masked by its activation where it is completed, since the values
	// are at hand there: maskInput is the activation of the step that made the input,
	// and masked says that a later step does so for this one.
	maskInput kernel.Activation
	masked    bool

	rawOffset, kernelLen, shiftLen int // of the gradients by W′ and shift, one after another

	prepared   bool
	transposed *kernel.Matrix // W′ᵀ
	flipped    []float32      // taps, for kernel.Depthwise.InputGradient

	statistics
}

// prepare packs the weights of a step as they are now.
func (s *trainStep) prepare(w Weights) error {
	if s.load == nil || s.prepared && !s.trained {
		return nil
	}
	s.prepared = true
	if err := s.load(&s.step, w); err != nil || !s.needsInput {
		return err
	}
	switch {
	case s.kind == stepDepthwise:
		if s.flipped == nil {
			s.flipped = make([]float32, len(s.taps))
		}
		d := s.depthwise(nil, nil)
		d.FlippedTaps(s.flipped)
	case s.transposed == nil:
		s.transposed = kernel.PackTransposed(s.kernel.Value, s.columns, s.depth, s.scale)
	default:
		s.transposed.SetTransposed(s.kernel.Value, s.scale)
	}
	return nil
}

// forward computes a step for the images [low,high).
func (t *Trainer) forward(s *trainStep, m *threadMemory, low, high int) {
	each := 1
	if s.kind == stepMatrix {
		each = high - low // all rows of all images at once
	}
	for image := low; image < high; image += each {
		b := buffers{n: each, in: t.value(m.workspace, s.in, image, image+each), out: t.value(m.workspace, s.out, image, image+each)}
		if s.residual >= 0 {
			b.residual = t.value(m.workspace, s.residual, image, image+each)
		}
		switch s.kind {
		case stepDropout:
			s.drop(b.out, b.in, t.dropSource(s, m.first+image))
		case stepNormalize:
			s.normalize(b.out, b.in)
		default:
			b.tasks = s.cut(each, 1)
			for i := range b.tasks.count {
				s.run(&b, i, m.scratch)
			}
		}
	}
}

// dropSource is the source of what dropout drops of an image: the same forward and
// backward.
func (t *Trainer) dropSource(s *trainStep, image int) *rand.PCG {
	return rand.NewPCG(t.options.Seed, t.stepCount<<32|uint64(s.out)<<20|uint64(image))
}

// drop writes src to dst with values set to zero at random, the others divided by
// the share that is kept (inverted dropout).
func (s *trainStep) drop(dst, src []float32, random *rand.PCG) {
	scale := float32(1 / (1 - s.rate))
	threshold := uint32(math.Round(s.rate * (1 << 32)))
	var bits uint64
	for i, v := range src {
		if i%2 == 0 {
			bits = random.Uint64()
		} else {
			bits >>= 32
		}
		if uint32(bits) < threshold {
			dst[i] = 0
		} else {
			dst[i] = v * scale
		}
	}
}

// backwardScratchLen is the number of values that a thread needs on the way back.
func (s *trainStep) backwardScratchLen() int {
	switch s.kind {
	case stepConv:
		return s.kernelHeight*s.lineLen() + kernel.OuterScratchLen + s.outWidth*s.depth + kernel.ScratchLen(s.columns)
	case stepMatrix:
		return kernel.OuterScratchLen + kernel.ScratchLen(s.columns)
	case stepDepthwise:
		d := s.depthwise(nil, nil)
		return d.KernelGradientScratch() + s.height*s.width*s.channels
	case stepGlobalAverage:
		return s.columns
	}
	return 0
}

// begin clears a part's gradients of a step: just before the first images add to them,
// so that these find them in the cache.
func (s *trainStep) begin(raw []float32) { clear(raw[s.rawOffset:][:s.kernelLen+s.shiftLen]) }

// backward goes back through a step for the images [low,high): from the gradient of
// its output to that of its input and residual, and adds to raw those of its
// weights. The gradient of the output is overwritten.
func (t *Trainer) backward(s *trainStep, m *threadMemory, low, high int, raw []float32) {
	if !s.backward {
		return
	}
	var kernelGradient, shiftGradient []float32
	if s.trained {
		kernelGradient = raw[s.rawOffset:][:s.kernelLen]
		shiftGradient = raw[s.rawOffset+s.kernelLen:][:s.shiftLen]
	}
	if s.kind == stepMatrix {
		t.matrixBackward(s, m, low, high, kernelGradient, shiftGradient)
		return
	}
	for image := low; image < high; image++ {
		b := backBuffers{
			in: t.value(m.workspace, s.in, image, image+1), out: t.value(m.workspace, s.out, image, image+1),
			gradient: t.gradient(m.workspace, s.out, image, image+1), scratch: m.scratch,
		}
		if s.needsInput {
			b.inGradient = t.gradient(m.workspace, s.in, image, image+1)
		}
		if s.kind != stepNormalize && !s.masked {
			kernel.ActivationGradient(b.gradient, b.out, s.activation)
		}
		if s.needsResidual {
			hand(t.gradient(m.workspace, s.residual, image, image+1), b.gradient, s.addResidual)
		}
		switch s.kind {
		case stepConv:
			s.convBackward(&b, kernelGradient, shiftGradient)
		case stepDepthwise:
			s.depthwiseBackward(&b, kernelGradient, shiftGradient)
		case stepDropout:
			if s.needsInput {
				s.drop(b.gradient, b.gradient, t.dropSource(s, m.first+image))
				hand(b.inGradient, b.gradient, s.addInput)
			}
		case stepNormalize:
			s.normalizeBackward(&b)
		default:
			if s.needsInput {
				s.plainBackward(&b)
			}
		}
	}
}

// backBuffers are the slices of one image that a step goes back through.
type backBuffers struct {
	in, out, gradient, inGradient, scratch []float32
}

// hand adds src to dst, or copies it if nothing is there yet.
func hand(dst, src []float32, add bool) {
	if add {
		kernel.Add(dst, src, kernel.Identity)
	} else {
		copy(dst, src)
	}
}

// matrixBackward goes through blocks of rows, so that each is read from memory once
// for all that is done with it.
func (t *Trainer) matrixBackward(s *trainStep, m *threadMemory, low, high int, kernelGradient, shiftGradient []float32) {
	in, out := t.value(m.workspace, s.in, low, high), t.value(m.workspace, s.out, low, high)
	gradient := t.gradient(m.workspace, s.out, low, high)
	var residual, inGradient []float32
	if s.needsResidual {
		residual = t.gradient(m.workspace, s.residual, low, high)
	}
	if s.needsInput {
		inGradient = t.gradient(m.workspace, s.in, low, high)
	}
	const blockValues, step = 96 << 10, 128 // of three matrices, in the second-level cache
	rows := (high - low) * s.rows
	block := max(step, blockValues/(s.depth+s.columns)/step*step)
	for row := 0; row < rows; row += block {
		n := min(block, rows-row)
		g := gradient[row*s.columns:][:n*s.columns]
		if !s.masked {
			kernel.ActivationGradient(g, out[row*s.columns:], s.activation)
		}
		if residual != nil {
			hand(residual[row*s.columns:][:n*s.columns], g, s.addResidual)
		}
		if s.trained {
			o := kernel.Outer{
				Dst: kernelGradient, Sums: shiftGradient, Rows: s.depth, Columns: s.columns,
				A: in[row*s.depth:], AStride: s.depth, B: g, BStride: s.columns, Scratch: m.scratch[:kernel.OuterScratchLen],
			}
			o.Run(n)
		}
		if s.needsInput {
			s.inputProduct(inGradient[row*s.depth:], g, n, s.addInput, m.scratch[kernel.OuterScratchLen:])
			kernel.ActivationGradient(inGradient[row*s.depth:][:n*s.depth], in[row*s.depth:], s.maskInput)
		}
	}
}

// inputProduct writes or adds gradient·W′ᵀ, of n rows, to dst.
func (s *trainStep) inputProduct(dst, gradient []float32, n int, add bool, scratch []float32) {
	g := kernel.Gemm{
		Dst: dst, DstStride: s.depth,
		A: gradient, AStride: s.columns, Segments: 1, SegmentLen: s.columns, SegmentStride: s.columns,
		B: s.transposed, Scratch: scratch,
	}
	if add {
		g.Residual, g.ResidualStride = dst, s.depth
	}
	g.Run(0, n, 0, s.transposed.Panels())
}

// convBackward goes through the output rows. A row of the kernel is one product
// each way, as in convRow.
func (s *trainStep) convBackward(b *backBuffers, kernelGradient, shiftGradient []float32) {
	rowLen, lineLen, segment := s.width*s.channels, s.lineLen(), s.kernelWidth*s.channels
	lines := b.scratch[:s.kernelHeight*lineLen]
	outer := b.scratch[len(lines):][:kernel.OuterScratchLen]
	columns := b.scratch[len(lines)+len(outer):][:s.outWidth*s.depth]
	rest := b.scratch[len(lines)+len(outer)+len(columns):]
	left := s.padLeft * s.channels
	inside := min(rowLen, lineLen-left)
	if s.needsInput && !s.addInput {
		clear(b.inGradient)
	}
	for y := range s.outHeight {
		g := b.gradient[y*s.outWidth*s.columns:][:s.outWidth*s.columns]
		top := y*s.stride - s.padTop
		if s.trained {
			sums := shiftGradient
			for i := range s.kernelHeight {
				line := lines[:lineLen]
				clear(line)
				if v := top + i; v >= 0 && v < s.height {
					copy(line[left:][:inside], b.in[v*rowLen:])
				} else if sums == nil {
					continue
				}
				o := kernel.Outer{
					Dst: kernelGradient[i*segment*s.columns:], Sums: sums, Rows: segment, Columns: s.columns,
					A: line, AStride: s.stride * s.channels, B: g, BStride: s.columns, Scratch: outer,
				}
				o.Run(s.outWidth)
				sums = nil
			}
		}
		if !s.needsInput {
			continue
		}
		s.inputProduct(columns, g, s.outWidth, false, rest)
		for i := range s.kernelHeight {
			v := top + i
			if v < 0 || v >= s.height {
				continue
			}
			line := lines[:lineLen]
			clear(line)
			for x := range s.outWidth {
				kernel.Add(line[x*s.stride*s.channels:][:segment], columns[x*s.depth+i*segment:], kernel.Identity)
			}
			kernel.Add(b.inGradient[v*rowLen:][:inside], line[left:], kernel.Identity)
		}
	}
}

// depthwiseBackward goes through the input rows, so that each is read from memory
// once for all that is done with it.
func (s *trainStep) depthwiseBackward(b *backBuffers, kernelGradient, shiftGradient []float32) {
	d := s.depthwise(b.in, b.out)
	to := b.inGradient
	if s.addInput {
		to = b.scratch[d.KernelGradientScratch():][:len(to)]
	}
	rowLen := s.width * s.channels
	for v := range s.height {
		if s.trained {
			d.AddKernelGradient(kernelGradient, shiftGradient, b.gradient, b.scratch, v, v+1)
		}
		if !s.needsInput {
			continue
		}
		d.InputGradient(to, b.gradient, s.flipped, v, v+1)
		in, row := b.in[v*rowLen:][:rowLen], to[v*rowLen:][:rowLen]
		if s.reluInput {
			kernel.ActivationGradient(row, in, kernel.ReLU)
		}
		if s.addInput {
			sum := b.inGradient[v*rowLen:][:rowLen]
			kernel.Add(sum, row, kernel.Identity)
			row = sum
		}
		kernel.ActivationGradient(row, in, s.maskInput)
	}
}

// plainBackward goes back through a step without weights.
func (s *trainStep) plainBackward(b *backBuffers) {
	switch s.kind {
	case stepAdd, stepActivate: // the activation is done
		hand(b.inGradient, b.gradient, s.addInput)
	case stepGlobalAverage:
		row := b.scratch[:s.columns]
		copy(row, b.gradient)
		kernel.Scale(row, 1/float32(s.rows))
		for i := range s.rows {
			hand(b.inGradient[i*s.columns:][:s.columns], row, s.addInput)
		}
	case stepPool:
		if !s.addInput {
			clear(b.inGradient)
		}
		s.poolBackward(b)
	case stepSigmoid:
		for i, v := range b.out {
			b.gradient[i] *= v * (1 - v)
		}
		hand(b.inGradient, b.gradient, s.addInput)
	case stepSoftmax:
		for low := 0; low < len(b.out); low += s.columns {
			p, g := b.out[low:][:s.columns], b.gradient[low:][:s.columns]
			dot := float32(0)
			for c, v := range p {
				dot += v * g[c]
			}
			for c, v := range p {
				g[c] = v * (g[c] - dot)
			}
		}
		hand(b.inGradient, b.gradient, s.addInput)
	}
}

// poolBackward gives each output's gradient to the first of the largest inputs of
// its window, or for a mean in equal parts to all.
func (s *trainStep) poolBackward(b *backBuffers) {
	c := s.channels
	for y := range s.outHeight {
		top := y*s.stride - s.padTop
		low, high := max(top, 0), min(top+s.kernelHeight, s.height)
		for x := range s.outWidth {
			left := x*s.stride - s.padLeft
			first, last := max(left, 0), min(left+s.kernelWidth, s.width)
			g := b.gradient[(y*s.outWidth+x)*c:][:c]
			out := b.out[(y*s.outWidth+x)*c:][:c]
			share := 1 / float32((high-low)*(last-first))
			for v := low; v < high; v++ {
				for u := first; u < last; u++ {
					in, to := b.in[(v*s.width+u)*c:][:c], b.inGradient[(v*s.width+u)*c:][:c]
					if s.average {
						for k := range to {
							to[k] += g[k] * share
						}
						continue
					}
					for k := range to {
						if in[k] == out[k] {
							to[k] += g[k]
							g[k] = 0 // given away
						}
					}
				}
			}
		}
	}
}

// collect adds up the parts' gradients and derives those of the variables.
func (s *trainStep) collect(raw [][]float32) {
	if !s.trained {
		return
	}
	sum := raw[0][s.rawOffset:][:s.kernelLen+s.shiftLen]
	const pieceValues = 4 << 10 // stays in the first-level cache while all parts are added
	for low := 0; low < len(sum); low += pieceValues {
		piece := sum[low:min(low+pieceValues, len(sum))]
		for _, part := range raw[1:] {
			kernel.Add(piece, part[s.rawOffset+low:], kernel.Identity)
		}
	}
	byKernel, byShift := sum[:s.kernelLen], sum[s.kernelLen:]
	if s.kind == stepNormalize { // of gamma and beta
		s.gamma.set(byKernel)
		s.beta.set(byShift)
		return
	}
	if s.scale == nil {
		s.kernel.set(byKernel)
		if s.bias != nil {
			s.bias.set(byShift)
		}
		return
	}
	channels := s.shiftLen
	if s.gamma.Trainable || s.beta.Trainable {
		s.beta.set(byShift)
		if s.gamma.Trainable {
			s.collectGamma(byKernel, byShift)
		}
	}
	if s.kernel != nil && s.kernel.Trainable {
		for low := 0; low < len(byKernel); low += channels {
			to, from := s.kernel.Gradient[low:][:channels], byKernel[low:][:channels]
			for c, scale := range s.scale {
				to[c] = from[c] * scale
			}
		}
	}
	if s.bias != nil && s.bias.Trainable {
		for c, scale := range s.scale {
			s.bias.Gradient[c] = byShift[c] * scale
		}
	}
}

// collectGamma sums over everything that scale multiplies: the kernel, or 1 for a
// batch-norm of its own, and bias−mean.
func (s *trainStep) collectGamma(byKernel, byShift []float32) {
	channels := s.shiftLen
	byScale := make([]float64, channels)
	if s.kernel == nil {
		for c, v := range byKernel {
			byScale[c] = float64(v)
		}
	} else {
		for low := 0; low < len(byKernel); low += channels {
			from, w := byKernel[low:][:channels], s.kernel.Value[low:][:channels]
			for c := range byScale {
				byScale[c] += float64(from[c] * w[c])
			}
		}
	}
	for c := range byScale {
		offset := -float64(s.mean.Value[c])
		if s.bias != nil {
			offset += float64(s.bias.Value[c])
		}
		byScale[c] += float64(byShift[c]) * offset
		s.gamma.Gradient[c] = float32(byScale[c] / math.Sqrt(float64(s.variance.Value[c])+s.epsilon))
	}
}

// set copies a gradient to a variable, if it is trained.
func (v *Variable) set(gradient []float32) {
	if v.Trainable {
		copy(v.Gradient, gradient)
	}
}
