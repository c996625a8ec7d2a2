package explain

import "garb/model"

// GradCAM is what of an activation map speaks for its class: max(0, m). That is the map of
// Selvaraju et al. 2017, but for a factor that is one for all places: theirs weighs channels
// by the mean gradient over positions, which m does too, see Classifier.ActivationMap.
func GradCAM(m *model.ActivationMap) *model.ActivationMap {
	positive := &model.ActivationMap{Height: m.Height, Width: m.Width, Values: make([]float32, len(m.Values))}
	for i, v := range m.Values {
		positive.Values[i] = max(v, 0)
	}
	return positive
}
