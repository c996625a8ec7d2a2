package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"garb/accept"
	"garb/model"
)

// acceptFlag is --accept: a threshold, or all. Unset, it is the model's own.
type acceptFlag struct{ threshold *float64 }

// addAcceptFlag adds --accept to a command's flags.
func addAcceptFlag(flags *pflag.FlagSet, f *acceptFlag) {
	flags.Var(f, "accept", "accept pictures from this acceptance, 0 to 1, or all (default the model's own threshold)")
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

// hint adds to an error of model.Open what to do about the flag.
func (f *acceptFlag) hint(err error) error {
	if errors.Is(err, model.ErrNoAcceptance) {
		return fmt.Errorf("%w: omit --accept, or give --accept all", err)
	}
	return err
}

// formatRefusal says in a line that a picture is refused, and what it is closest to.
func formatRefusal(a model.Answer) string {
	closest := a.Predictions[0]
	return fmt.Sprintf("%s   (closest: %s %.0f %%)", escape(a.Refusal), escape(closest.Class),
		100*closest.Probability)
}

// methodNames say how a model judges, for people.
var methodNames = map[accept.Method]string{
	accept.Class:      "a class of its own, trained with other pictures",
	accept.Head:       "an output of its own, trained with other pictures",
	accept.Exposure:   "the largest probability, trained with other pictures",
	accept.Energy:     "energy of the logits",
	accept.Distance:   "distance of the features to the nearest class, against that to all pictures",
	accept.Neighbours: "distance of the features to the nearest training pictures",
}

// formatAcceptance are the lines of `models show` about a model's acceptance: pairs of a word
// and text.
func formatAcceptance(a *model.Acceptance) [][2]string {
	share := func(s accept.Share) string {
		return fmt.Sprintf("%.1f %% of %s (95 %% interval %.1f to %.1f)", 100*s.Value(), count(s.Count, "picture"),
			100*s.Low(), 100*s.High())
	}
	rows := [][2]string{
		{"refuses", fmt.Sprintf("as %q below an acceptance of %.3f, by %s (%s)", escape(a.Refusal), a.Threshold,
			methodNames[a.Method], a.Method)},
		{"accepts", "of validation " + share(a.Validation)},
	}
	for _, o := range a.Others {
		rows = append(rows, [2]string{"", fmt.Sprintf("of %s %s", escape(o.Name), share(o.Share))})
	}
	if !a.Measured() {
		rows = append(rows, [2]string{"", "not measured against other pictures"})
	}
	return rows
}
