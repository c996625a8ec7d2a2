package model

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"sort"

	"garb/conformal"
)

// Coverage is the rule of a model's prediction sets.
type Coverage struct {
	conformal.Rule
	// FittedOn has the first five bytes of the SHA-256 of each picture that the rule was
	// fitted on, sorted, one after another: sets are not to be measured on these.
	FittedOn []byte `json:"fitted_on,omitempty"`
}

// fingerprintBytes is the length of what Coverage.FittedOn keeps of a picture: one of a
// thousand pictures is taken for one of a thousand others once in a million times.
const fingerprintBytes = 5

// NewCoverage returns a rule with the pictures that it was fitted on, by their SHA-256 in
// hexadecimal.
func NewCoverage(r conformal.Rule, digests []string) (*Coverage, error) {
	c := &Coverage{Rule: r}
	var all [][]byte
	for _, digest := range digests {
		b, err := fingerprint(digest)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, bytes.Compare)
	c.FittedOn = bytes.Join(all, nil)
	return c, c.validate()
}

// fingerprint returns what FittedOn keeps of a digest.
func fingerprint(digest string) ([]byte, error) {
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) < fingerprintBytes {
		return nil, errors.New("a picture's digest is not a SHA-256 in hexadecimal")
	}
	return b[:fingerprintBytes], nil
}

// WasFittedOn reports whether the rule was fitted on the picture with this SHA-256, in
// hexadecimal.
func (c *Coverage) WasFittedOn(digest string) bool {
	b, err := fingerprint(digest)
	if err != nil {
		return false
	}
	_, found := sort.Find(len(c.FittedOn)/fingerprintBytes, func(i int) int {
		return bytes.Compare(b, c.FittedOn[i*fingerprintBytes:][:fingerprintBytes])
	})
	return found
}

func (c *Coverage) validate() error {
	if len(c.FittedOn)%fingerprintBytes != 0 {
		return errors.New("its list of the pictures that its prediction sets were fitted on is damaged")
	}
	return c.Rule.Validate()
}

// PredictionSet returns the classes that hold the right one with the probability that
// Description.Coverage states, the most probable first, by predictions as Predictions gives
// them. It is nil if the model has no rule for such sets.
func (c *Classifier) PredictionSet(predictions []Prediction) []string {
	if c.description.Coverage == nil {
		return nil
	}
	return SetBy(c.description.Coverage.Rule, predictions)
}

// SetBy returns the classes in the set that a rule makes of predictions, the most probable
// first.
func SetBy(r conformal.Rule, predictions []Prediction) []string {
	probabilities := make([]float64, len(predictions))
	for i, p := range predictions {
		probabilities[i] = p.Probability
	}
	var set []string
	for _, i := range r.Set(probabilities) {
		set = append(set, predictions[i].Class)
	}
	return set
}
