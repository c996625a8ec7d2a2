package main

import (
	"regexp"
	"testing"

	"github.com/spf13/pflag"
)

// TestServeHelpGroups: the help text of serve lists each flag once, below the heading of its group.
func TestServeHelpGroups(t *testing.T) {
	skipSmall(t, "service")
	_, out, _ := runGarb(t, nil, "serve", "--help")
	if regexp.MustCompile(`(?m)^Flags:$`).MatchString(out) {
		t.Error("some flags are in no group")
	}
	newServeCommand().Flags().VisitAll(func(f *pflag.Flag) {
		line := regexp.MustCompile(`(?m)^ +(-\w, )?--` + f.Name + ` `)
		if n := len(line.FindAllString(out, -1)); n != 1 {
			t.Errorf("--%s is listed %d times", f.Name, n)
		}
	})
	if heading := regexp.MustCompile(`(?m)^Flags for limits:\n +--max-body BYTES`); !heading.MatchString(out) {
		t.Errorf("the flags are not below their heading, in their order:\n%s", out)
	}
}
