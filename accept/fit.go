package accept

import "slices"

// Fitted is the result of FitAll.
type Fitted struct {
	Calibration
	// Threshold is the smallest acceptance of an accepted picture.
	Threshold  float64
	Validation Share   // of pictures of the classes
	Others     []Share // of each group of other pictures
}

// FitAll fits the calibration and the threshold to the scores of validation pictures of the
// classes, of which there must be some, and of groups of other pictures. With other pictures
// it uses Fit, which counts every picture of all groups once, and FindThreshold. Without any it
// uses FitAlone, and the threshold accepts 95 % of the validation pictures.
func FitAll(validation []float64, others ...[]float64) Fitted {
	pooled := slices.Concat(others...)
	var f Fitted
	if len(pooled) == 0 {
		f.Calibration = FitAlone(validation)
		f.Threshold = ThresholdFor(f.Acceptances(validation), shareAlone)
	} else {
		f.Calibration = Fit(validation, pooled)
		var groups [][]float64
		for _, group := range others {
			if len(group) > 0 {
				groups = append(groups, f.Acceptances(group))
			}
		}
		f.Threshold = FindThreshold(f.Acceptances(validation), groups...)
	}
	f.Validation = CountAccepted(f.Acceptances(validation), f.Threshold)
	for _, group := range others {
		f.Others = append(f.Others, CountAccepted(f.Acceptances(group), f.Threshold))
	}
	return f
}
