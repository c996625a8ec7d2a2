package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is a part of a command's flags that has its own heading in the help text.
type flagGroup struct {
	heading string
	flags   *pflag.FlagSet
}

// newFlagGroup returns the flags that add adds. The help text lists them in this order.
func newFlagGroup(heading string, add func(*pflag.FlagSet)) flagGroup {
	flags := pflag.NewFlagSet(heading, pflag.ContinueOnError)
	flags.SortFlags = false
	add(flags)
	return flagGroup{heading, flags}
}

// groupFlags makes the help text of a command list its flags in groups. The last one also has --help.
func groupFlags(c *cobra.Command, groups []flagGroup) {
	groups[len(groups)-1].flags.BoolP("help", "h", false, "help for "+c.Name())
	var texts []string
	for _, g := range groups {
		texts = append(texts, g.heading+":\n"+strings.TrimRight(g.flags.FlagUsages(), "\n"))
	}
	c.SetUsageTemplate(strings.Replace(c.UsageTemplate(),
		"Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}", strings.Join(texts, "\n\n"), 1))
}
