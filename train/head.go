package train

import (
	"math"
	"math/rand/v2"
)

// head is a softmax regression: logits = x·kernel + bias.
type head struct {
	features, classes int
	parameters        []float32 // kernel [features classes], then bias [classes]
}

func newHead(features, classes int) *head {
	return &head{features, classes, make([]float32, (features+1)*classes)}
}

func (h *head) kernel() []float32 { return h.parameters[:h.features*h.classes] }
func (h *head) bias() []float32   { return h.parameters[h.features*h.classes:] }

// logits writes the logits of x to out.
func (h *head) logits(out, x []float32) {
	copy(out, h.bias())
	kernel := h.kernel()
	for i, v := range x {
		if v == 0 { // a ReLU's features are zero often
			continue
		}
		row := kernel[i*h.classes:][:len(out)]
		for c := range out {
			out[c] += v * row[c]
		}
	}
}

// gradient adds to grad the gradient of −ln(softmax(logits)[label])·scale, and
// returns the loss and whether the answer was right. scratch holds one value for
// each class.
func (h *head) gradient(grad, x []float32, label int, scale float32, scratch []float32) (loss float64, right bool) {
	h.logits(scratch, x)
	loss, right = softmaxLoss(scratch, label)
	// Of the loss by the logits: probability − 1 for the label, probability elsewhere.
	scratch[label]--
	for c := range scratch {
		scratch[c] *= scale
	}
	for i, v := range x {
		if v == 0 {
			continue
		}
		row := grad[i*h.classes:][:len(scratch)]
		for c, d := range scratch {
			row[c] += v * d
		}
	}
	bias := grad[h.features*h.classes:]
	for c, d := range scratch {
		bias[c] += d
	}
	return loss, right
}

// softmaxLoss turns logits into probabilities in place and returns
// −ln(probability of the label), and whether the label has the largest.
func softmaxLoss(logits []float32, label int) (loss float64, right bool) {
	best := 0
	for c, v := range logits {
		if v > logits[best] {
			best = c
		}
	}
	largest, sum := float64(logits[best]), 0.0
	own := float64(logits[label]) - largest
	for c, v := range logits {
		e := math.Exp(float64(v) - largest)
		logits[c] = float32(e)
		sum += e
	}
	for c := range logits {
		logits[c] = float32(float64(logits[c]) / sum)
	}
	return math.Log(sum) - own, best == label
}

// measure returns the mean loss and the accuracy on f.
func (h *head) measure(f *features) (loss, accuracy float64) {
	logits := make([]float32, h.classes)
	rightCount := 0
	for i, x := range f.vectors {
		h.logits(logits, x)
		l, right := softmaxLoss(logits, f.labels[i])
		loss += l
		if right {
			rightCount++
		}
	}
	n := float64(max(len(f.vectors), 1))
	return loss / n, float64(rightCount) / n
}

// adam is the optimiser of Kingma & Ba 2015 with Keras's constants.
type adam struct {
	learningRate float64
	step         int
	mean, square []float32 // moving averages of the gradient and of its square
}

const (
	beta1       = 0.9
	beta2       = 0.999
	adamEpsilon = 1e-7 // Keras's; the paper has 1e-8
)

func newAdam(parameters int, learningRate float64) *adam {
	return &adam{learningRate: learningRate, mean: make([]float32, parameters), square: make([]float32, parameters)}
}

// update moves the parameters against the gradient, which it clears.
func (a *adam) update(parameters, grad []float32) {
	a.step++
	t := float64(a.step)
	rate := float32(a.learningRate * math.Sqrt(1-math.Pow(beta2, t)) / (1 - math.Pow(beta1, t)))
	for i, g := range grad {
		a.mean[i] += (1 - beta1) * (g - a.mean[i])
		a.square[i] += (1 - beta2) * (g*g - a.square[i])
		parameters[i] -= rate * a.mean[i] / (float32(math.Sqrt(float64(a.square[i]))) + adamEpsilon)
		grad[i] = 0
	}
}

// epoch goes once over f in a random order.
func (h *head) epoch(f *features, a *adam, batch int, random *rand.Rand) (loss, accuracy float64) {
	order := random.Perm(len(f.vectors))
	grad, scratch := make([]float32, len(h.parameters)), make([]float32, h.classes)
	rightCount := 0
	for len(order) > 0 {
		n := min(batch, len(order))
		for _, i := range order[:n] {
			l, right := h.gradient(grad, f.vectors[i], f.labels[i], 1/float32(n), scratch)
			loss += l
			if right {
				rightCount++
			}
		}
		a.update(h.parameters, grad)
		order = order[n:]
	}
	n := float64(len(f.vectors))
	return loss / n, float64(rightCount) / n
}
