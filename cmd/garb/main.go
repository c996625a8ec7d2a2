// Command garb tells which garment is in a picture, and is the workshop behind
// that answer. `garb help` lists its commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"garb/internal/kernel"
)

// Exit codes.
const (
	exitDone    = 0
	exitFailed  = 1 // something could not be done
	exitMisused = 2 // wrong flags or arguments
	exitStopped = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends garb at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errReported ends a command that has said what failed.
var errReported = errors.New("reported")

// failure marks an error of a command that was used rightly.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// run is garb: it runs the command that args name and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	if err := kernel.LevelError(); err != nil {
		fmt.Fprintln(errOut, "garb:", err)
		return exitMisused
	}
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	began := time.Now()
	c, err := root.ExecuteContextC(ctx)
	detail(c, "took       %v", time.Since(began).Round(time.Millisecond))
	var failed failure
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "garb: stopped")
		return exitStopped
	case errors.As(err, &failed):
		fmt.Fprintln(escapingWriter{errOut}, "garb:", err)
		return exitFailed
	}
	fmt.Fprintf(escapingWriter{errOut}, "garb: %v\nSee %s --help.\n", err, c.CommandPath())
	return exitMisused
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "garb",
		Short: "Which garment is in the picture?",
		Long: `garb tells which garment is in a picture. The classifier is inside the program:
there is nothing to download. It is also the workshop behind the answer: train on
your own folders of pictures, evaluate, look inside, convert from and to Keras and ONNX.`,
		Example: `  garb classify photo.jpg
  garb train --data pictures --out runs/mine
  garb evaluate --model runs/mine --data pictures/test`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          refuseArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.Version = readBuild().line()
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "show version, commit and Go version in one line")
	root.SetFlagErrorFunc(explainFlagError)
	addNoteFlags(root)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := checkNoteFlags(c); err != nil {
			return err
		}
		describeMachine(c)
		return nil
	}
	root.AddCommand(newClassifyCommand(), newEmbedCommand(), newExplainCommand(), newMapCommand(),
		newEvaluateCommand(), newCompareCommand(), newAverageCommand(), newTrainCommand(), newSweepCommand(),
		newLRFindCommand(),
		newServeCommand(), newHealthCommand(),
		newDataCommand(), newConvertCommand(), newModelsCommand(), newVersionCommand())
	checkHelpTopics(root)
	addValues(root)
	markFailures(root)
	return root
}

// markFailures makes what a command's work returns a failure; what cobra says of
// flags and arguments is not.
func markFailures(c *cobra.Command) {
	if work := c.RunE; work != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := work(c, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markFailures(sub)
	}
}
