package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"garb/answers"
)

// answerFlags holds the flags of commands that read the answers that garb serve stored.
type answerFlags struct {
	folder      string
	since, till timeValue
}

func (f *answerFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.folder, "answers", "", "folder `DIR` of garb serve --log-answers")
	flags.Var(&f.since, "since", "only what is at least as new as `TIME`: 2026-11-27, 2026-11-27T08:00:00Z, or 24h ago")
	flags.Var(&f.till, "until", "only what is older than `TIME`")
}

// validate reports flags that are missing or contradict each other.
func (f *answerFlags) validate(command string) error {
	switch {
	case f.folder == "":
		return fmt.Errorf("%s needs --answers: the folder of garb serve --log-answers", command)
	case !f.since.IsZero() && !f.till.IsZero() && !f.since.Before(f.till.Time):
		return errors.New("--since must be before --until")
	}
	return nil
}

func (f *answerFlags) reader() *answers.Reader {
	return &answers.Reader{Folder: f.folder, From: f.since.Time, To: f.till.Time}
}

// saySkippedLines prints how many lines could not be read, if any.
func saySkippedLines(c *cobra.Command, s answers.Skipped) {
	if s.Total() > 0 {
		say(c, "skipped %s: %d cut off, %d invalid, %d too long", count(s.Total(), "line"), s.Torn, s.Invalid,
			s.TooLong)
	}
}

// timeValue is the value of a flag with a time: a date, a time as in RFC 3339, or a duration before
// now.
type timeValue struct{ time.Time }

// Set implements pflag.Value.
func (v *timeValue) Set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		v.Time = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			v.Time = at
			return nil
		}
	}
	return errors.New("it must be a date (2026-11-27), a time (2026-11-27T08:00:00Z) or a duration (24h)")
}

// Type implements pflag.Value.
func (v *timeValue) Type() string { return "time" }

// String implements pflag.Value.
func (v *timeValue) String() string {
	if v.IsZero() {
		return ""
	}
	return v.Format(time.RFC3339)
}
