//go:build small

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newQueueCommand returns a command that says which build has the queue.
func newQueueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "queue",
		Short: "Not in this build: spread pictures over many workers",
		Long: `This is the small build of garb, without the queue. The usual build has it:
go build ./cmd/garb`,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this is the small build of garb, without the queue; the usual build has it: go build ./cmd/garb")
		},
	}
}
