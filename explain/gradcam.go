package explain

import "garb/model"

// GradCAM returns the positive part of an activation map, max(0, m), which speaks for its class.
// It is the map of Selvaraju et al. 2017 except for a constant factor: they weigh channels by
// the mean gradient over positions, and so does m (see Classifier.ActivationMap).
func GradCAM(m *model.ActivationMap) *model.ActivationMap {
	positive := &model.ActivationMap{Height: m.Height, Width: m.Width, Values: make([]float32, len(m.Values))}
	for i, v := range m.Values {
		positive.Values[i] = max(v, 0)
	}
	return positive
}
