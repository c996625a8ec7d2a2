package accept

import (
	"errors"
	"fmt"
	"strconv"
)

// All is the text for the threshold 0, which accepts every picture.
const All = "all"

// ErrThreshold is wrapped by errors about texts that are not thresholds.
var ErrThreshold = errors.New("an acceptance threshold is a number from 0 to 1")

// ParseThreshold parses an acceptance threshold: a number from 0 to 1, or All, which is 0. Its
// errors wrap ErrThreshold.
func ParseThreshold(text string) (float64, error) {
	if text == All {
		return 0, nil
	}
	threshold, err := strconv.ParseFloat(text, 64)
	if err != nil || !(threshold >= 0 && threshold <= 1) {
		return 0, fmt.Errorf("%w, or %s to accept every picture", ErrThreshold, All)
	}
	return threshold, nil
}
