package main

import (
	"strconv"

	"garb/accept"
)

// acceptFlag is a threshold of acceptance: a number from 0 to 1, or all. It is nil if the
// flag is not set: each model's own threshold decides.
type acceptFlag struct{ threshold *float64 }

// String, Set and Type implement pflag.Value.
func (a *acceptFlag) String() string {
	if a.threshold == nil {
		return ""
	}
	return strconv.FormatFloat(*a.threshold, 'g', -1, 64)
}

func (a *acceptFlag) Set(text string) error {
	threshold, err := accept.ParseThreshold(text)
	if err != nil {
		return err
	}
	a.threshold = &threshold
	return nil
}

func (a *acceptFlag) Type() string { return "THRESHOLD|all" }
