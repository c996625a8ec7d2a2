package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"garb"
	"garb/internal/kernel"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which garb this is, and what it runs on",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			fmt.Fprintf(out, "garb      %s\n", garb.Version)
			fmt.Fprintf(out, "built by  %s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
			fmt.Fprintf(out, "kernels   %s, %d threads\n", kernel.ActiveLevel(), runtime.GOMAXPROCS(0))
			for _, name := range []string{garb.Clothing, garb.ImageNet} {
				m, err := garb.Open(name, garb.Options{})
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "model     %s, %d classes, %s\n", name, len(m.Classes()), m.Digest())
			}
			return nil
		},
	}
}
