package nn

import (
	"slices"

	"garb/internal/kernel"
)

// trainStep is a step with what it takes to go back through it.
type trainStep struct {
	step
	backward bool // its output needs a gradient
	// Whose gradients the step computes, and whether later steps have begun them.
	needsIn, needsSecond, addIn, addSecond bool
	// A gradient is masked by its activation where it is completed, since the values
	// are at hand there: maskIn is the activation of the step that made the input,
	// and masked says that a later step does so for this one.
	maskIn kernel.Activation
	masked bool

	// shared are the trained variables that an earlier step has too, whose gradients are sums.
	shared                 []*Variable
	prepared               bool
	rawOffset, gradientLen int // of the gradients by what is trained, 0 if nothing is
}

// prepare packs the weights of a step as they are now.
func (s *trainStep) prepare(w Weights) error {
	c, ok := s.computation.(weighted)
	if !ok || s.prepared && s.gradientLen == 0 {
		return nil
	}
	s.prepared = true
	if err := c.load(w); err != nil {
		return err
	}
	if s.needsIn {
		c.prepareBack()
	}
	return nil
}

// images is how many images of count a step takes at once.
func (s *trainStep) images(count int) int {
	if _, ok := s.computation.(together); ok {
		return count
	}
	return 1
}

// draw is what dropout draws for an image in this step of training.
func (t *Trainer) draw(s *trainStep, image int) draw {
	return draw{t.options.Seed, t.stepCount<<32 | uint64(s.out)<<20 | uint64(image)}
}

// forward computes a step for the images [low,high).
func (t *Trainer) forward(s *trainStep, m *threadMemory, low, high int) {
	each := s.images(high - low)
	for image := low; image < high; image += each {
		b := buffers{
			n: each, in: t.value(m.workspace, s.in, image, image+each),
			out:   t.value(m.workspace, s.out, image, image+each),
			tasks: s.cut(each, 1), scratch: m.scratch, draw: t.draw(s, m.first+image),
		}
		if s.second >= 0 {
			b.second = t.value(m.workspace, s.second, image, image+each)
		}
		for i := range b.tasks.count {
			s.do(&b, i)
		}
	}
}

// begin clears a part's gradients of a step: just before the first images add to them,
// so that these find them in the cache.
func (s *trainStep) begin(raw []float32) { clear(raw[s.rawOffset:][:s.gradientLen]) }

// backBuffers are the slices of n images that a step goes back through.
type backBuffers struct {
	n                int
	in, second, out  []float32
	gradient         []float32 // by out
	inGradient       []float32 // by in; nil if it is not needed
	secondGradient   []float32 // by second; nil if it is not needed
	addIn, addSecond bool      // they are begun: what is found is added
	maskIn           kernel.Activation
	masked           bool
	weights          []float32 // gradients by what is trained, to be added to; nil without
	scratch          []float32
	draw             draw
}

// handIn gives a gradient to the input as it is, if it needs one.
func (b *backBuffers) handIn(gradient []float32) {
	if b.inGradient != nil {
		hand(b.inGradient, gradient, b.addIn)
	}
}

// clearIn readies the gradient by the input to be added to, clearSecond that by the second.
func (b *backBuffers) clearIn() {
	if !b.addIn {
		clear(b.inGradient)
	}
}

func (b *backBuffers) clearSecond() {
	if !b.addSecond {
		clear(b.secondGradient)
	}
}

// hand adds src to dst, or copies it if nothing is there yet.
func hand(dst, src []float32, add bool) {
	if add {
		kernel.Add(dst, src, kernel.Identity)
	} else {
		copy(dst, src)
	}
}

// goBack goes back through a step for the images [low,high): from the gradient of
// its output to those of its inputs, and adds to raw those of its weights.
func (t *Trainer) goBack(s *trainStep, m *threadMemory, low, high int, raw []float32) {
	if !s.backward {
		return
	}
	each := s.images(high - low)
	for image := low; image < high; image += each {
		end := image + each
		b := backBuffers{
			n: each, in: t.value(m.workspace, s.in, image, end), out: t.value(m.workspace, s.out, image, end),
			gradient: t.gradient(m.workspace, s.out, image, end),
			addIn:    s.addIn, addSecond: s.addSecond, maskIn: s.maskIn, masked: s.masked,
			scratch: m.scratch, draw: t.draw(s, m.first+image),
		}
		if s.second >= 0 {
			b.second = t.value(m.workspace, s.second, image, end)
		}
		if s.needsIn {
			b.inGradient = t.gradient(m.workspace, s.in, image, end)
		}
		if s.needsSecond {
			b.secondGradient = t.gradient(m.workspace, s.second, image, end)
		}
		if s.gradientLen > 0 {
			b.weights = raw[s.rawOffset:][:s.gradientLen]
		}
		s.back(&b)
	}
}

// collectShared is collect for a step that shares variables with earlier ones, which have
// collected theirs.
func (s *trainStep) collectShared(raw [][]float32) {
	if s.shared == nil {
		return
	}
	var earlier [][]float32
	for _, v := range s.shared {
		earlier = append(earlier, slices.Clone(v.Gradient))
	}
	s.collect(raw)
	for i, v := range s.shared {
		kernel.Add(v.Gradient, earlier[i], kernel.Identity)
	}
}

// collect adds up the parts' gradients and derives those of the variables.
func (s *trainStep) collect(raw [][]float32) {
	if s.gradientLen == 0 {
		return
	}
	sum := raw[0][s.rawOffset:][:s.gradientLen]
	const pieceValues = 4 << 10 // stays in the first-level cache while all parts are added
	for low := 0; low < len(sum); low += pieceValues {
		piece := sum[low:min(low+pieceValues, len(sum))]
		for _, part := range raw[1:] {
			kernel.Add(piece, part[s.rawOffset+low:], kernel.Identity)
		}
	}
	s.computation.(weighted).collect(sum)
}
