package train

import (
	"fmt"

	"garb/conformal"
	"garb/model"
)

// checkCoverage checks before training that there are enough validation pictures to fit the
// prediction sets. The error wraps *conformal.TooFewError.
func (r *run) checkCoverage() error {
	coverage := r.Config.Coverage
	have, need := len(r.validation.set.Samples), conformal.Needed(coverage)
	if coverage == 0 || have >= need {
		return nil
	}
	return fmt.Errorf("training: validation: %w", &conformal.TooFewError{Coverage: coverage, Have: have, Need: need})
}

// fitCoverage fits the rule of the model's prediction sets on the logits of the validation pictures,
// if Config.Coverage is set. The model's temperature must be set already.
func (r *run) fitCoverage(m *model.Description, logits [][]float32) error {
	if r.Config.Coverage == 0 {
		return nil
	}
	probabilities := make([][]float64, len(logits))
	for i, row := range logits {
		probabilities[i] = m.Probabilities(row)
	}
	rule, err := conformal.Fit(probabilities, sampleLabels(r.validation), r.Config.Coverage)
	if err != nil {
		return fmt.Errorf("prediction sets: %w", err)
	}
	m.Coverage, err = model.NewCoverage(rule, r.validation.digests)
	return err
}
