//go:build man

package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"garb/model"
)

// The man pages are written by a build of their own (-tags man), so that the program does not
// contain their renderer.
func init() { extraCommands = append(extraCommands, newManCommand) }

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			root.InitDefaultHelpCmd()
			// SOURCE_DATE_EPOCH sets the date.
			header := &doc.GenManHeader{Section: "1", Source: "garb " + model.Version, Manual: "garb"}
			return doc.GenManTree(root, header, args[0])
		},
	}
}
