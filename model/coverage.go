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
	// FittedOn holds the first five bytes of the SHA-256 of each picture that the rule was
	// fitted on, sorted and concatenated. Sets must not be measured on these pictures.
	FittedOn []byte `json:"fitted_on,omitempty"`
}

// fingerprintBytes is the number of bytes of a picture's SHA-256 in Coverage.FittedOn. With five,
// any of a thousand pictures is mistaken for one of a thousand others once in a million times.
const fingerprintBytes = 5

// NewCoverage returns a rule with the pictures that it was fitted on, which are given by their
// SHA-256 in hexadecimal.
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

// fingerprint returns the bytes of a digest that FittedOn holds.
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

func (c *Coverage) validate() error {
	if len(c.FittedOn)%fingerprintBytes != 0 {
		return errors.New("the list of the pictures that its prediction sets were fitted on is damaged")
	}
	return c.Validate() // the Rule's
}

// SelectClasses returns the classes that a rule selects from predictions, the most probable
// first.
func SelectClasses(r conformal.Rule, predictions []Prediction) []string {
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
