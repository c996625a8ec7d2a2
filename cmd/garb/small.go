//go:build small

package main

import (
	"github.com/spf13/cobra"

	"garb/internal/edition"
)

// serviceHints is empty, because this build has no service.
var serviceHints []func(error) string

func newServeCommand() *cobra.Command  { return newMissingCommand("serve") }
func newHealthCommand() *cobra.Command { return newMissingCommand("health") }
func newMapCommand() *cobra.Command    { return newMissingCommand("map") }
func newQueueCommand() *cobra.Command  { return newMissingCommand("queue") }

// newMissingCommand returns a command of the default build that says that this build does not have
// it, whatever its flags and arguments are. Help does not list it.
func newMissingCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              "Not in this build",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return &edition.MissingError{Part: "garb " + name, Build: edition.Default}
		},
	}
}

// readYAML says that this build reads no settings in YAML.
func readYAML([]byte) (map[string]any, []byte, error) {
	return nil, nil, &edition.MissingError{Part: "settings files in YAML, only in JSON", Build: edition.Default}
}
