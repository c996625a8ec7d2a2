package train

import (
	"cmp"

	"garb/nn"
	"garb/tensor"
)

// A run with Config.ProbeEpochs has two phases, one trainer after the other: first the head
// is trained alone, then, from there, all that is fine-tuned. Which of them it is depends
// on the number of finished epochs only, so that a run can be resumed in either.

// probing reports whether the epoch under way trains the head alone.
func (r *run) probing() bool { return r.epoch() <= r.Config.ProbeEpochs }

// headOnly chooses the parameters of the head.
func headOnly(features *nn.Graph) func(nn.Param) bool {
	inBackbone := map[string]bool{}
	for _, p := range features.Params() {
		inBackbone[p.Name] = true
	}
	return func(p nn.Param) bool { return !inBackbone[p.Name] }
}

// probeRate is the learning rate of all steps of the probe.
func (c Config) probeRate() float64 { return cmp.Or(c.ProbeLearningRate, Default().LearningRate) }

// endProbe begins the second phase once the last epoch of the first is in the history: with
// the probe's head, and with an optimiser and an average that know nothing yet.
func (r *run) endProbe() error {
	if r.Config.ProbeEpochs == 0 || len(r.History) != r.Config.ProbeEpochs {
		return nil
	}
	r.probe = tensor.Map{}
	for _, v := range r.variables {
		t, err := r.current().Tensor(v.Name) // the average's, if there is one
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

// resumeAfterProbe prepares a run that is resumed in the second phase for its state.
func (r *run) resumeAfterProbe(f *tensor.File, p position) error {
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

// probePrefix is what the names of the probe's tensors begin with in the state.
const probePrefix = "probe/"

// stepsDone is the number of steps since the run began.
func (r *run) stepsDone() uint64 { return uint64(len(r.History)*r.stepsPerEpoch() + r.Step) }

// kept are the weights to measure and keep, between the fine-tuned ones and those that fine-tuning began with
// (Wortsman et al. 2022: WiSE-FT):
//
//	(1 − StartWeight)·fine-tuned + StartWeight·start
//
// for each parameter that is trained and each statistic that is updated. The backbone
// begins with its own weights; the head with the probe's, and where there was no probe it
// is all fine-tuned.
func (r *run) kept() (nn.Weights, error) {
	w, share := r.current(), r.Config.StartWeight
	if share == 0 || r.probing() {
		return w, nil
	}
	start := nn.Overlay{Top: r.probe, Below: r.weights}
	head := headOnly(r.architecture.Features(r.Config.Preprocessing.Height, r.Config.Preprocessing.Width))
	mixed := tensor.Map{}
	for _, v := range r.moving() {
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
			m.Data[i] = float32((1-share)*float64(value) + share*float64(from.Data[i]))
		}
		mixed[v.Name] = m
	}
	return nn.Overlay{Top: mixed, Below: w}, nil
}
