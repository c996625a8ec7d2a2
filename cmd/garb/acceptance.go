package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"garb/accept"
	"garb/model"
)

// acceptFlag holds the value of --accept: a threshold, or all. If it is not set, the model's
// own threshold applies.
type acceptFlag struct{ threshold *float64 }

// addAcceptFlag adds --accept to a command's flags.
func addAcceptFlag(flags *pflag.FlagSet, f *acceptFlag) {
	flags.Var(f, "accept",
		"acceptance `THRESHOLD` from 0 to 1, or all to accept every picture (default the model's own)")
}

// String, Set and Type implement pflag.Value.
func (f *acceptFlag) String() string {
	switch {
	case f.threshold == nil:
		return ""
	case *f.threshold == 0:
		return accept.All
	}
	return strconv.FormatFloat(*f.threshold, 'g', -1, 64)
}

func (f *acceptFlag) Set(text string) error {
	threshold, err := accept.ParseThreshold(text)
	if err != nil {
		return err
	}
	f.threshold = &threshold
	return nil
}

func (f *acceptFlag) Type() string { return "threshold" }

// formatRefusal formats the refusal of a picture, and the closest class, on one line.
func formatRefusal(a model.Answer) string {
	closest := a.Predictions[0]
	return fmt.Sprintf("%s   (closest: %s %.0f %%)", escape(a.Refusal), escape(closest.Class),
		100*closest.Probability)
}

// methodNames describes for people how a model decides what to accept.
var methodNames = map[accept.Method]string{
	accept.Class:      "an additional class, trained on other pictures",
	accept.Head:       "an additional output, trained on other pictures",
	accept.Exposure:   "the largest probability, trained on other pictures (outlier exposure)",
	accept.Energy:     "the energy of the logits",
	accept.Distance:   "the relative Mahalanobis distance of the features to the nearest class",
	accept.Neighbours: "the distance of the features to the nearest training pictures",
}

// formatAcceptance returns the rows of `models show` about a model's acceptance: labels and
// texts.
func formatAcceptance(a *model.Acceptance) [][2]string {
	share := func(s accept.Share, name string) string {
		return fmt.Sprintf("%.1f %% of %s of %s (95 %% interval %.1f to %.1f)", 100*s.Value(),
			count(s.Count, "picture"), name, 100*s.Low(), 100*s.High())
	}
	rows := [][2]string{
		{"refuses", fmt.Sprintf("as %q below an acceptance of %.3f", escape(a.Refusal), a.Threshold)},
		{"method", fmt.Sprintf("%s: %s", a.Method, methodNames[a.Method])},
		{"accepts", share(a.Validation, "the validation split")},
	}
	for _, o := range a.Others {
		rows = append(rows, [2]string{"", share(o.Share, escape(o.Name))})
	}
	if !a.Measured() {
		rows = append(rows, [2]string{"", "not measured on other pictures"})
	}
	return rows
}
