// Command garb classifies pictures of garments, and trains, evaluates and serves
// classifiers. `garb help` lists its commands.
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
	exitFailed  = 1 // the command failed
	exitMisused = 2 // wrong flags or arguments
	exitDrift   = 3 // garb drift found drift
	exitStopped = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal kills garb
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errReported ends a command that has already printed what failed.
var errReported = errors.New("reported")

// errDrift ends garb drift when it has found and printed drift.
var errDrift = errors.New("drift")

// failure marks an error that is not about flags or arguments.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// run runs the command that args name and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	errOut = openScreen(errOut)
	if err := kernel.LevelError(); err != nil {
		fmt.Fprintln(errOut, "garb:", err)
		return exitMisused
	}
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
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
	case errors.Is(err, errDrift):
		return exitDrift
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errOut, "garb: stopped")
		return exitStopped
	case errors.As(err, &failed):
		fmt.Fprintln(escapingWriter{errOut}, "garb:", addHint(err))
		return exitFailed
	}
	fmt.Fprintf(escapingWriter{errOut}, "garb: %v\nSee %s --help.\n", addHint(err), c.CommandPath())
	return exitMisused
}

const rootHelp = `garb classifies pictures of garments. The classifier is built in; nothing has to be
downloaded. You can also train on your own folders of pictures, evaluate and explain
models, serve them over HTTP, and convert them from and to Keras and ONNX.`

// extraCommands make the commands that builds with certain tags have.
var extraCommands []func() *cobra.Command

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "garb",
		Short: "Which garment is in the picture?",
		Long:  rootHelp,
		Example: `  garb classify photo.jpg
  garb train --data pictures --out runs/mine
  garb evaluate --model runs/mine --data pictures/test`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          refuseArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.Version = readBuild().String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.Flags().Bool("version", false, "print version, commit and Go version on one line")
	root.SetFlagErrorFunc(explainFlagError)
	addNoteFlags(root)
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := checkNoteFlags(c); err != nil {
			return err
		}
		describeMachine(c)
		return nil
	}
	root.AddCommand(
		newClassifyCommand(), newEmbedCommand(), newExplainCommand(), newMapCommand(),
		newEvaluateCommand(), newCompareCommand(), newAverageCommand(), newMergeCommand(),
		newTrainCommand(), newFeaturesCommand(), newSweepCommand(), newLRFindCommand(),
		newServeCommand(), newHealthCommand(), newDriftCommand(),
		newQueueCommand(), newDataCommand(), newConvertCommand(), newModelsCommand(), newVersionCommand(),
	)
	for _, newCommand := range extraCommands {
		root.AddCommand(newCommand())
	}
	checkHelpTopics(root)
	addValues(root)
	markFailures(root)
	return root
}

// markFailures makes every error of a RunE a failure. Errors from Args and from parsing
// flags stay as they are.
func markFailures(c *cobra.Command) {
	if runE := c.RunE; runE != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := runE(c, args); err != nil {
				return failure{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markFailures(sub)
	}
}
