package train

import (
	"fmt"

	"garb/conformal"
	"garb/model"
)

// checkCoverage reports a validation split that is too small for the prediction sets that
// the run is to fit, before anything is trained. The error wraps *conformal.TooFewError.
func (r *run) checkCoverage() error {
	coverage := r.Config.Coverage
	have, need := len(r.validation.set.Samples), conformal.Needed(coverage)
	if coverage == 0 || have >= need {
		return nil
	}
	return fmt.Errorf("training: validation: %w", &conformal.TooFewError{Coverage: coverage, Have: have, Need: need})
}

// fitCoverage gives a model the rule of its prediction sets, if the run asks for one, by
// the logits of the validation pictures. The model has its temperature already.
func (r *run) fitCoverage(m *model.Description, logits [][]float32) error {
	if r.Config.Coverage == 0 {
		return nil
	}
	probabilities := make([][]float64, len(logits))
	for i, row := range logits {
		probabilities[i] = m.Probabilities(row)
	}
	rule, err := conformal.Fit(probabilities, labels(r.validation), r.Config.Coverage)
	if err != nil {
		return fmt.Errorf("prediction sets: %w", err)
	}
	m.Coverage, err = model.NewCoverage(rule, r.validation.digests)
	return err
}
