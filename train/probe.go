package train

import (
	"cmp"

	"garb/nn"
	"garb/tensor"
)

// A run with Config.ProbeEpochs has two phases, each with a trainer of its own: the probe trains the
// head alone, then fine-tuning starts from the probe's head. The phase depends only on the number of
// finished epochs, so a run can be resumed in either.

// probing reports whether the current epoch trains the head alone.
func (r *run) probing() bool { return r.epoch() <= r.Config.ProbeEpochs }

// selectHead returns a function that reports whether a parameter belongs to the head.
func selectHead(features *nn.Graph) func(nn.Param) bool {
	inBackbone := map[string]bool{}
	for _, p := range features.Params() {
		inBackbone[p.Name] = true
	}
	return func(p nn.Param) bool { return !inBackbone[p.Name] }
}

// probeRate returns the learning rate of the probe.
func (c Config) probeRate() float64 { return cmp.Or(c.ProbeLearningRate, Default().LearningRate) }

// endProbe starts fine-tuning once the last epoch of the probe is in the history: from the probe's
// head, with a new optimizer and a new average of weights.
func (r *run) endProbe() error {
	if r.Config.ProbeEpochs == 0 || len(r.History) != r.Config.ProbeEpochs {
		return nil
	}
	r.probe = tensor.Map{}
	for _, v := range r.variables {
		t, err := r.currentWeights().Tensor(v.Name) // averaged, if Config.Average is set
		if err != nil {
			return err
		}
		r.probe[v.Name] = t
	}
	if err := r.build(); err != nil {
		return err
	}
	for _, v := range r.variables {
		if t, ok := r.probe[v.Name]; ok {
			copy(v.Value, t.Data)
		}
	}
	r.trainer.SetSteps(r.stepsDone())
	return nil
}

// resumeAfterProbe builds the network of a run that is resumed during fine-tuning, before its state
// is restored.
func (r *run) resumeAfterProbe(f *tensor.File, p runState) error {
	if r.Config.ProbeEpochs == 0 || len(p.History) < r.Config.ProbeEpochs {
		return nil
	}
	r.probe = tensor.Map{}
	for _, v := range r.variables {
		t, err := f.Tensor(probePrefix + v.Name)
		if err != nil {
			return err
		}
		r.probe[v.Name] = t
	}
	r.History = p.History
	return r.build()
}

// probePrefix is the prefix of the names of the probe's tensors in the state.
const probePrefix = "probe/"

// stepsDone returns the number of steps since the run began.
func (r *run) stepsDone() uint64 { return uint64(len(r.History)*r.stepsPerEpoch() + r.Step) }

// keptWeights returns the weights to validate and save, which interpolate between the fine-tuned ones
// and those that fine-tuning started from (WiSE-FT, Wortsman et al. 2022):
//
//	(1 − StartWeight)·fine-tuned + StartWeight·start
//
// for each trained parameter and each updated statistic. The backbone starts from its pretrained
// weights and the head from the probe's. Without a probe the head is not interpolated.
func (r *run) keptWeights() (nn.Weights, error) {
	w, share := r.currentWeights(), r.Config.StartWeight
	if share == 0 || r.probing() {
		return w, nil
	}
	start := nn.Overlay{Top: r.probe, Below: r.weights}
	head := selectHead(r.architecture.Features(r.Config.Preprocessing.Height, r.Config.Preprocessing.Width))
	mixed := tensor.Map{}
	for _, v := range r.changingVariables() {
		if _, probed := r.probe[v.Name]; head(v.Param) && !probed {
			continue
		}
		from, err := start.Tensor(v.Name)
		if err != nil {
			return nil, err
		}
		to, err := w.Tensor(v.Name)
		if err != nil {
			return nil, err
		}
		m := tensor.New(v.Shape...)
		for i, value := range to.Data {
			m.Data[i] = float32(float64((1-share)*float64(value)) + float64(share*float64(from.Data[i])))
		}
		mixed[v.Name] = m
	}
	return nn.Overlay{Top: mixed, Below: w}, nil
}
