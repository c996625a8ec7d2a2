package nn

import (
	"math"

	"garb/internal/kernel"
)

// epilogue is what a computation with weights does with its sums before it stores them, so
// that a batch-norm, an addition and an activation behind it need no stages of their own:
//
//	out = act(in·W′ + shift + second)   W′ = W·scale   scale = gamma/√(variance+ε)
//	                                    shift = beta + (bias−mean)·scale
//
// In training a batch-norm on stored statistics stays folded too: only the gradients by W′
// and shift are summed over the images, and collect derives from them those by W, bias,
// gamma and beta.
type epilogue struct {
	takesNorm, takesSecond bool // what can still be fused
	masksItself            bool // later stages must not mask the gradient by the activation

	layer, norm *node // that have the parameters; may be nil
	activation  kernel.Activation

	scale []float32 // nil: no norm
	shift []float32 // nil if nothing is added

	// For training:
	kernel, bias, gamma, beta, mean, variance *Variable // each may be nil
	kernelLen                                 int
}

// fusible is a computation with an epilogue.
type fusible interface {
	computation
	fusedEpilogue() *epilogue
}

func (e *epilogue) fusedEpilogue() *epilogue { return e }

// readWeights reads the layer's kernel and computes scale and shift.
func (e *epilogue) readWeights(w Weights) (values []float32, err error) {
	var bias []float32
	if e.layer != nil {
		if values, err = fetch(w, e.layer.params[0]); err != nil {
			return nil, err
		}
		if len(e.layer.params) == 2 {
			if bias, err = fetch(w, e.layer.params[1]); err != nil {
				return nil, err
			}
		}
	}
	e.scale, e.shift = nil, bias
	if e.norm == nil {
		return values, nil
	}
	var p [4][]float32
	for i := range p {
		if p[i], err = fetch(w, e.norm.params[i]); err != nil {
			return nil, err
		}
	}
	gamma, beta, mean, variance := p[0], p[1], p[2], p[3]
	e.scale, e.shift = make([]float32, len(gamma)), make([]float32, len(gamma))
	for c := range gamma {
		v := float64(variance[c]) + e.norm.Epsilon
		if !(v > 0) {
			return nil, &WeightError{e.norm.params[3].Name, "has a variance that is not positive", nil}
		}
		factor := float64(gamma[c]) / math.Sqrt(v)
		e.scale[c] = float32(factor)
		before := -float64(mean[c])
		if bias != nil {
			before += float64(bias[c])
		}
		e.shift[c] = float32(float64(beta[c]) + float64(before*factor))
	}
	return values, nil
}

// bind sets the variables, for a kernel of kernelLen values and so many output channels.
func (e *epilogue) bind(variable func(n *node, param int) *Variable, kernelLen, channels int) (gradientLen int) {
	e.kernel, e.bias = variable(e.layer, 0), variable(e.layer, 1)
	e.gamma, e.beta = variable(e.norm, 0), variable(e.norm, 1)
	e.mean, e.variance = variable(e.norm, 2), variable(e.norm, 3)
	e.kernelLen = kernelLen
	for _, v := range []*Variable{e.kernel, e.bias, e.gamma, e.beta} {
		if v != nil && v.Trainable {
			return kernelLen + channels
		}
	}
	return 0
}

// gradients divides a part's sums into those by W′ and by shift; nil if there are none.
func (e *epilogue) gradients(sum []float32) (byKernel, byShift []float32) {
	if sum == nil {
		return nil, nil
	}
	return sum[:e.kernelLen], sum[e.kernelLen:]
}

// maskGradient takes the gradient of one image through the activation, unless a later stage has,
// and adds it to that of the second input.
func (e *epilogue) maskGradient(b *backBuffers) {
	if !b.masked {
		kernel.ActivationGradient(b.gradient, b.out, e.activation)
	}
	if b.secondGradient != nil {
		addOrCopy(b.secondGradient, b.gradient, b.addSecond)
	}
}

// collect derives the variables' gradients from the sums.
func (e *epilogue) collect(sum []float32) {
	byKernel, byShift := e.gradients(sum)
	if e.norm == nil {
		e.kernel.set(byKernel)
		if e.bias != nil {
			e.bias.set(byShift)
		}
		return
	}
	e.beta.set(byShift)
	if e.gamma.Trainable {
		e.collectGamma(byKernel, byShift)
	}
	channels := len(byShift)
	if e.kernel != nil && e.kernel.Trainable {
		for low := 0; low < len(byKernel); low += channels {
			to, from := e.kernel.Gradient[low:][:channels], byKernel[low:][:channels]
			for c, scale := range e.scale {
				to[c] = from[c] * scale
			}
		}
	}
	if e.bias != nil && e.bias.Trainable {
		for c, scale := range e.scale {
			e.bias.Gradient[c] = byShift[c] * scale
		}
	}
}

// collectGamma sums over everything that scale multiplies: the kernel (1 for a batch-norm of its
// own) and bias−mean.
func (e *epilogue) collectGamma(byKernel, byShift []float32) {
	channels := len(byShift)
	byScale := make([]float64, channels)
	if e.kernel == nil {
		for c, v := range byKernel {
			byScale[c] = float64(v)
		}
	} else {
		for low := 0; low < len(byKernel); low += channels {
			from, w := byKernel[low:][:channels], e.kernel.Value[low:][:channels]
			for c := range byScale {
				byScale[c] += float64(from[c] * w[c])
			}
		}
	}
	for c := range byScale {
		offset := -float64(e.mean.Value[c])
		if e.bias != nil {
			offset += float64(e.bias.Value[c])
		}
		byScale[c] += float64(float64(byShift[c]) * offset)
		e.gamma.Gradient[c] = float32(byScale[c] / math.Sqrt(float64(e.variance.Value[c])+e.norm.Epsilon))
	}
}

// set copies a gradient to a variable if it is trained.
func (v *Variable) set(gradient []float32) {
	if v.Trainable {
		copy(v.Gradient, gradient)
	}
}
