package nn

import (
	"math"
	"slices"
	"testing"

	"garb/tensor"
)

// TestSoftmaxCrossEntropyByHand checks the definition term by term, with each setting alone and
// with all of them, for a hard target and for a mixture.
func TestSoftmaxCrossEntropyByHand(t *testing.T) {
	logits := []float32{0.5, -1, 2}
	sum := math.Exp(0.5) + math.Exp(-1) + math.Exp(2)
	probability := []float64{math.Exp(0.5) / sum, math.Exp(-1) / sum, math.Exp(2) / sum}
	for _, l := range []SoftmaxCrossEntropy{
		{}, {LabelSmoothing: 0.3}, {ClassWeights: []float64{2, 0.5, 7}},
		{LabelSmoothing: 0.3, ClassWeights: []float64{2, 0.5, 7}},
	} {
		for _, targets := range [][]float32{{1, 0, 0}, {0, 0, 1}, {0.25, 0.75, 0}} {
			weight := 1.0
			if w := l.ClassWeights; w != nil {
				weight = w[0]*float64(targets[0]) + w[1]*float64(targets[1]) + w[2]*float64(targets[2])
			}
			want, gradient := 0.0, make([]float32, 3)
			got := l.Gradient(gradient, logits, targets)
			for c, target := range targets {
				smooth := float64(target)*(1-l.LabelSmoothing) + l.LabelSmoothing/3
				want -= weight * smooth * math.Log(probability[c])
				if g := weight * (probability[c] - smooth); math.Abs(float64(gradient[c])-g) > 1e-6 {
					t.Errorf("%+v, targets %v: gradient %d is %v, want %v", l, targets, c, gradient[c], g)
				}
			}
			if math.Abs(got-want) > 1e-6 {
				t.Errorf("%+v, targets %v: loss %v, want %v", l, targets, got, want)
			}
		}
	}
}

// TestBinaryCrossEntropyByHand checks the same for one output with a sigmoid.
func TestBinaryCrossEntropyByHand(t *testing.T) {
	for _, l := range []BinaryCrossEntropy{
		{}, {LabelSmoothing: 0.3}, {ClassWeights: []float64{2, 0.5}},
		{LabelSmoothing: 0.3, ClassWeights: []float64{2, 0.5}},
	} {
		for _, target := range []float32{0, 1, 0.25} {
			for _, logit := range []float32{-3, 0, 1.5} {
				p := 1 / (1 + math.Exp(-float64(logit)))
				weight := 1.0
				if w := l.ClassWeights; w != nil {
					weight = w[0]*(1-float64(target)) + w[1]*float64(target)
				}
				smooth := float64(target)*(1-l.LabelSmoothing) + l.LabelSmoothing/2
				want := -weight * (smooth*math.Log(p) + (1-smooth)*math.Log(1-p))
				gradient := make([]float32, 1)
				got := l.Gradient(gradient, []float32{logit}, []float32{target})
				if g := weight * (p - smooth); math.Abs(got-want) > 1e-6 || math.Abs(float64(gradient[0])-g) > 1e-6 {
					t.Errorf("%+v, target %v, logit %v: loss %v and gradient %v, want %v and %v", l, target,
						logit, got, gradient[0], want, g)
				}
			}
		}
	}
	// Of several outputs it is the mean.
	two := make([]float32, 2)
	loss := BinaryCrossEntropy{}.Gradient(two, []float32{1, 1}, []float32{1, 1})
	if want := -math.Log(1 / (1 + math.Exp(-1))); math.Abs(loss-want) > 1e-6 {
		t.Errorf("loss of two outputs %v, want %v", loss, want)
	}
}

// TestAverageByHand follows the warm start: after n steps the average keeps
// min(Decay, (1+n)/(10+n)) of itself, and the first step begins it.
func TestAverageByHand(t *testing.T) {
	for _, decay := range []float64{0.15, 0.3, 0.99} {
		v := variable(5)
		vs := []*Variable{v}
		a := &Average{Decay: decay}
		if got, _ := a.Over(over{v}, vs).Tensor("v"); got.Data[0] != 5 {
			t.Errorf("before a step %v, want the weight itself", got.Data[0])
		}
		want := 0.0
		for n, value := range []float32{1, 2, 0, 4, 3, 3, 8} {
			v.Value[0] = value
			a.Update(vs)
			if n == 0 {
				want = float64(value)
			}
			keep := min(decay, float64(n+2)/float64(n+11)) // n counts from 0 here
			want = keep*want + (1-keep)*float64(value)
			got, err := a.Over(over{v}, vs).Tensor("v")
			if err != nil || math.Abs(float64(got.Data[0])-want) > 1e-5 {
				t.Errorf("decay %v, after step %d: %v, want %v, %v", decay, n+1, got, want, err)
			}
		}
	}
}

// TestDecayByHand checks that decoupled weight decay subtracts rate·decay of a weight before Adam's
// step, only from the variables that it is meant for.
func TestDecayByHand(t *testing.T) {
	for name, c := range map[string]struct {
		decays func(*Variable) bool
		keep   float64
	}{
		"all": {nil, 1 - 0.1*0.3}, "chosen": {func(v *Variable) bool { return v.Name == "v" }, 1 - 0.1*0.3},
		"not chosen": {func(v *Variable) bool { return v.Name != "v" }, 1},
	} {
		plain, decayed := variable(4), variable(4)
		plain.Gradient[0], decayed.Gradient[0] = 2, 2
		(&Adam{}).Update([]*Variable{plain}, 0.1)
		(&Adam{WeightDecay: 0.3, Decays: c.decays}).Update([]*Variable{decayed}, 0.1)
		if want := float64(plain.Value[0]) - 4*(1-c.keep); math.Abs(float64(decayed.Value[0])-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", name, decayed.Value[0], want)
		}
	}
}

// TestPlainSGD checks that without momentum a step is the rate times the gradient.
func TestPlainSGD(t *testing.T) {
	v := variable(1, 2)
	o := &SGD{}
	for range 2 {
		copy(v.Gradient, []float32{1, -2})
		o.Update([]*Variable{v}, 0.25)
	}
	if !slices.Equal(v.Value, []float32{0.5, 3}) {
		t.Errorf("%v", v.Value)
	}
}

// over gives a variable's value as a tensor.
type over struct{ v *Variable }

func (o over) Tensor(string) (*tensor.Tensor, error) {
	return tensor.FromSlice(o.v.Value, o.v.Shape...), nil
}
