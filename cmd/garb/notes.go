package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// say writes a line of information to standard error. The line break is added.
func say(c *cobra.Command, format string, values ...any) {
	fmt.Fprintf(c.ErrOrStderr(), format+"\n", values...)
}

// count writes a number of things in the singular or the plural: "1 picture",
// "2 pictures".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "s") {
		thing += "e"
	} else if stem, ok := strings.CutSuffix(thing, "y"); ok {
		thing = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
