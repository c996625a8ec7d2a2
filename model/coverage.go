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
	// fitted on, sorted, one after another: the coverage must not be measured on them.
	FittedOn []byte `json:"fitted_on,omitempty"`
}

// fingerprintBytes is the number of bytes of a digest in Coverage.FittedOn. The probability that any of a
// thousand pictures has the fingerprint of one of a thousand others is one in a million.
const fingerprintBytes = 5

// NewCoverage returns a rule together with the pictures that it was fitted on, whose SHA-256 are in
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

// fingerprint returns the part of a digest that FittedOn has.
func fingerprint(digest string) ([]byte, error) {
	b, err := hex.DecodeString(digest)
	if err != nil || len(b) < fingerprintBytes {
		return nil, errors.New("the digest of a picture is not a SHA-256 in hexadecimal")
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

// validate checks the rule and the list of pictures.
func (c *Coverage) validate() error {
	if len(c.FittedOn)%fingerprintBytes != 0 {
		return errors.New("its list of the pictures that the prediction sets were fitted on is damaged")
	}
	rule := c.Rule
	return rule.Validate()
}

// PredictionSet returns the prediction set for predictions, as Predictions returns them: classes that
// include the right one with the coverage of Description.Coverage, the most probable first. It is nil
// if the model has no prediction sets.
func (c *Classifier) PredictionSet(predictions []Prediction) []string {
	if c.description.Coverage == nil {
		return nil
	}
	return SetBy(c.description.Coverage.Rule, predictions)
}

// SetBy returns the prediction set of predictions by a rule, the most probable class first.
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
