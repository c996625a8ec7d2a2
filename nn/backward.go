package nn

import (
	"slices"

	"garb/internal/kernel"
)

// trainStage is a stage with what its backward pass needs.
type trainStage struct {
	stage
	needsGradient bool // its output needs a gradient
	// The gradients that the stage computes, and whether later stages have begun them.
	needsIn, needsSecond, addIn, addSecond bool
	// A gradient is masked by its activation where it is completed, since the values are in the
	// cache there: maskIn is the activation of the stage that made the input; masked says that a
	// later stage masks this one's.
	maskIn kernel.Activation
	masked bool

	// shared has the trained variables that an earlier stage has too. Their gradients are sums.
	shared                 []*Variable
	prepared               bool
	rawOffset, gradientLen int // of the gradients of trained variables; 0: none
}

// prepare packs the current weights of a stage.
func (s *trainStage) prepare(w Weights) error {
	c, ok := s.computation.(weighted)
	if !ok || s.prepared && s.gradientLen == 0 {
		return nil
	}
	s.prepared = true
	if err := c.load(w); err != nil {
		return err
	}
	if s.needsIn {
		c.prepareBackward()
	}
	return nil
}

// imagesAtOnce returns how many of count images a stage takes at once.
func (s *trainStage) imagesAtOnce(count int) int {
	if _, ok := s.computation.(batched); ok {
		return count
	}
	return 1
}

// dropoutDraw returns the seed of an image's dropout in this step of training.
func (t *Trainer) dropoutDraw(s *trainStage, image int) dropoutSeed {
	return dropoutSeed{t.options.Seed, t.stepCount<<32 | uint64(s.out)<<20 | uint64(image)}
}

// forward computes a stage for the images [low,high).
func (t *Trainer) forward(s *trainStage, m *threadMemory, low, high int) {
	each := s.imagesAtOnce(high - low)
	for image := low; image < high; image += each {
		b := buffers{
			n: each, in: t.value(m.workspace, s.in, image, image+each),
			out:   t.value(m.workspace, s.out, image, image+each),
			tasks: s.divide(each, 1), scratch: m.scratch, draw: t.dropoutDraw(s, m.first+image),
		}
		if s.second >= 0 {
			b.second = t.value(m.workspace, s.second, image, image+each)
		}
		for i := range b.tasks.count {
			s.computeTask(&b, i)
		}
	}
}

// clearGradients clears a part's gradients of a stage, just before the first images add to them, so
// that they are in the cache.
func (s *trainStage) clearGradients(raw []float32) { clear(raw[s.rawOffset:][:s.gradientLen]) }

// backBuffers has the slices of n images for a stage's backward pass.
type backBuffers struct {
	n                int
	in, second, out  []float32
	gradient         []float32 // by out
	inGradient       []float32 // by in; nil if it is not needed
	secondGradient   []float32 // by second; nil if it is not needed
	addIn, addSecond bool      // add to the gradients instead of overwriting them
	maskIn           kernel.Activation
	masked           bool
	weights          []float32 // gradients of trained variables, to add to; nil: none
	scratch          []float32
	draw             dropoutSeed
}

// addInGradient passes a gradient on to the input, if the input needs one.
func (b *backBuffers) addInGradient(gradient []float32) {
	if b.inGradient != nil {
		addOrCopy(b.inGradient, gradient, b.addIn)
	}
}

// clearIn prepares the gradient by the input for additions.
func (b *backBuffers) clearIn() {
	if !b.addIn {
		clear(b.inGradient)
	}
}

// clearSecond prepares the gradient by the second input for additions.
func (b *backBuffers) clearSecond() {
	if !b.addSecond {
		clear(b.secondGradient)
	}
}

// addOrCopy adds src to dst or, unless add is set, copies it.
func addOrCopy(dst, src []float32, add bool) {
	if add {
		kernel.Add(dst, src, kernel.Identity)
	} else {
		copy(dst, src)
	}
}

// goBack computes the backward pass of a stage for the images [low,high): from the gradient of its
// output to those of its inputs, and adds to raw those of its weights.
func (t *Trainer) goBack(s *trainStage, m *threadMemory, low, high int, raw []float32) {
	if !s.needsGradient {
		return
	}
	each := s.imagesAtOnce(high - low)
	for image := low; image < high; image += each {
		end := image + each
		b := backBuffers{
			n: each, in: t.value(m.workspace, s.in, image, end), out: t.value(m.workspace, s.out, image, end),
			gradient: t.gradient(m.workspace, s.out, image, end),
			addIn:    s.addIn, addSecond: s.addSecond, maskIn: s.maskIn, masked: s.masked,
			scratch: m.scratch, draw: t.dropoutDraw(s, m.first+image),
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
		s.backward(&b)
	}
}

// collectShared does what collect does for a stage that shares variables with earlier ones, whose
// gradients have been collected.
func (s *trainStage) collectShared(raw [][]float32) {
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
func (s *trainStage) collect(raw [][]float32) {
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
