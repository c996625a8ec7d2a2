package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"garb/internal/kernel"
	"garb/weights"
)

// A command prints its result on standard output. Everything else goes to standard error,
// one line each, through one of these:
//
//   - errors and warnings are always printed, by fmt.Fprintf to c.ErrOrStderr(), as in reportError
//   - say prints information, such as a summary; --quiet silences it
//   - detail prints what only --verbose shows: timings, cache folders, decisions
//   - openProgress returns the writer for progress bars and counters; --quiet silences it

// The flags of every command that choose how much it prints.
const (
	quietFlag   = "quiet"
	verboseFlag = "verbose"
)

// addNoteFlags adds --quiet and --verbose to a command and all below it.
func addNoteFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.BoolP(quietFlag, "q", false, "print results and errors only, no progress and no notes")
	flags.BoolP(verboseFlag, "v", false, "print more: timings, cache folders, decisions")
}

// errQuietAndVerbose reports a command with both flags.
var errQuietAndVerbose = errors.New("--quiet and --verbose exclude each other")

// checkNoteFlags reports whether the flags contradict each other.
func checkNoteFlags(c *cobra.Command) error {
	if isSet(c, quietFlag) && isSet(c, verboseFlag) {
		return errQuietAndVerbose
	}
	return nil
}

// isSet reports whether a boolean flag of c, or inherited by it, is true.
func isSet(c *cobra.Command, name string) bool {
	f := c.Flag(name)
	return f != nil && f.Value.String() == "true"
}

// say prints a line of information to standard error, unless --quiet was given. It adds the
// line break.
func say(c *cobra.Command, format string, values ...any) {
	fmt.Fprintf(escapingWriter{openProgress(c)}, format+"\n", values...)
}

// detail prints a line to standard error if --verbose was given. It adds the line break.
func detail(c *cobra.Command, format string, values ...any) {
	if isSet(c, verboseFlag) && !isSet(c, quietFlag) {
		fmt.Fprintf(escapingWriter{c.ErrOrStderr()}, format+"\n", values...)
	}
}

// describeMachine prints the version, the machine and the cache folder, with --verbose.
func describeMachine(c *cobra.Command) {
	detail(c, "program    %s", readBuild())
	threads := count(runtime.GOMAXPROCS(0), "thread")
	detail(c, "machine    %s/%s, kernels %s, %s", runtime.GOOS, runtime.GOARCH, kernel.ActiveLevel(), threads)
	home, err := weights.Home()
	if err != nil {
		home = err.Error()
	}
	detail(c, "cache      %s", home)
}

// openProgress returns the writer for c's progress: standard error, or none with --quiet.
func openProgress(c *cobra.Command) io.Writer {
	if isSet(c, quietFlag) {
		return io.Discard
	}
	return c.ErrOrStderr()
}

// count formats a number with a noun in the singular or the plural: "1 picture",
// "2 pictures", "0 classes". It knows the regular plurals of English.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	switch {
	case strings.HasSuffix(thing, "s"), strings.HasSuffix(thing, "x"),
		strings.HasSuffix(thing, "tch"), strings.HasSuffix(thing, "sh"):
		thing += "es"
	case strings.HasSuffix(thing, "y") && !strings.HasSuffix(thing, "ay") && !strings.HasSuffix(thing, "ey"):
		thing = strings.TrimSuffix(thing, "y") + "ies"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
