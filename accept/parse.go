package accept

import (
	"errors"
	"fmt"
	"strconv"
)

// All is the text that asks for the threshold that accepts every picture.
const All = "all"

// ErrThreshold is wrapped by errors about texts that are no threshold.
var ErrThreshold = errors.New("a threshold of acceptance is a number from 0 to 1")

// ParseThreshold reads a threshold of acceptance, at which pictures are accepted: a number
// from 0 to 1, or All, which is 0. Errors are ErrThreshold.
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
