package accept

import "slices"

// Fitted is what FitAll finds.
type Fitted struct {
	Calibration
	// Threshold is the acceptance from which a picture is accepted.
	Threshold  float64
	Validation Share   // of pictures of the classes
	Others     []Share // of each group of other pictures
}

// FitAll fits the calibration and the threshold to the scores of validation pictures of
// the classes, of which there must be some, and of groups of other pictures. With others,
// the calibration is that of Fit and the threshold that of Threshold, with every picture
// of all groups counted once. Without any, it is that of FitAlone, and the threshold
// accepts 95 % of the validation pictures.
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
		f.Threshold = Threshold(f.Acceptances(validation), groups...)
	}
	f.Validation = ShareOf(f.Acceptances(validation), f.Threshold)
	for _, group := range others {
		f.Others = append(f.Others, ShareOf(f.Acceptances(group), f.Threshold))
	}
	return f
}
