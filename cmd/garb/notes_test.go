//go:build !small

package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n           int
		thing, want string
	}{
		{0, "picture", "0 pictures"}, {1, "picture", "1 picture"}, {2, "picture", "2 pictures"},
		{0, "class", "0 classes"}, {1, "class", "1 class"}, {2, "class", "2 classes"},
		{2, "epoch", "2 epochs"}, {2, "batch", "2 batches"}, {2, "entry", "2 entries"}, {2, "day", "2 days"},
		{2, "key", "2 keys"}, {1, "box", "1 box"}, {2, "box", "2 boxes"},
	} {
		if got := count(c.n, c.thing); got != c.want {
			t.Errorf("%d %s: %q, want %q", c.n, c.thing, got, c.want)
		}
	}
}

// runCaptured runs a command that prints through all functions of notes.go, and returns its
// standard error.
func runCaptured(t *testing.T, args ...string) string {
	t.Helper()
	root := &cobra.Command{Use: "garb", SilenceUsage: true, SilenceErrors: true}
	addNoteFlags(root)
	root.AddCommand(&cobra.Command{Use: "work", RunE: func(c *cobra.Command, _ []string) error {
		say(c, "said %d", 1)
		detail(c, "detail %d", 2)
		bar := newCounter(c, "counted", 4)
		bar.add(4)
		bar.finish()
		reportError(c.ErrOrStderr(), "a.jpg", errQuietAndVerbose)
		return nil
	}})
	var errOut strings.Builder
	root.SetErr(&errOut)
	root.SetArgs(append([]string{"work"}, args...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return errOut.String()
}

func TestQuietAndVerbose(t *testing.T) {
	complaint := "garb: a.jpg: " + errQuietAndVerbose.Error() + "\n"
	for _, c := range []struct{ flag, want string }{
		{"--quiet=false", "said 1\ncounted: 4 of 4\n" + complaint},
		{"--quiet", complaint},
		{"-q", complaint},
		{"--verbose", "said 1\ndetail 2\ncounted: 4 of 4\n" + complaint},
		{"-v", "said 1\ndetail 2\ncounted: 4 of 4\n" + complaint},
	} {
		if got := runCaptured(t, c.flag); got != c.want {
			t.Errorf("%s: %q, want %q", c.flag, got, c.want)
		}
	}
	for _, c := range []struct {
		flag string
		want []string
	}{{"--verbose", []string{"program ", "kernels", "cache ", "took "}}, {"--quiet", nil}, {"--quiet=false", nil}} {
		code, out, errOut := runGarb(t, nil, "classify", c.flag, example)
		if code != exitDone || !strings.Contains(out, "t-shirt") || c.want == nil && errOut != "" {
			t.Errorf("%s: %d %q %q", c.flag, code, out, errOut)
		}
		for _, word := range c.want {
			if !strings.Contains(errOut, word) {
				t.Errorf("%s: no %q in %q", c.flag, word, errOut)
			}
		}
	}
	code, out, errOut := runGarb(t, nil, "classify", "--quiet", "--verbose", example)
	if code != exitMisused || out != "" || !strings.Contains(errOut, "exclude each other") {
		t.Errorf("both: %d %q %q", code, out, errOut)
	}
}

// TestTrainQuietAndVerbose: a quiet training prints only its result, and a verbose one its
// settings too.
func TestTrainQuietAndVerbose(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	data := drawDataSet(t)
	train := func(flag string) string {
		args := append(makeQuickArgs(data, filepath.Join(t.TempDir(), "run")), "--epochs", "1", flag)
		code, out, errOut := runGarb(t, nil, args...)
		if code != exitDone || !strings.Contains(out, "test      accuracy") {
			t.Errorf("%s: %d %s%s", flag, code, out, errOut)
		}
		return errOut
	}
	if errOut := train("--quiet"); errOut != "" {
		t.Errorf("--quiet: %s", errOut)
	}
	errOut := train("--verbose")
	for _, want := range []string{"pictures: ", "trains head and last 3 layers", "32 × 32",
		"adamw, learning rate 0.0003, schedule cosine", "1 epoch, batches of 4, seed 7"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("--verbose: no %q in %s", want, errOut)
		}
	}
}

func TestLogLevel(t *testing.T) {
	for flag, want := range map[string]slog.Level{"--quiet": slog.LevelWarn, "--verbose": slog.LevelDebug,
		"--quiet=false": slog.LevelInfo} {
		command := &cobra.Command{}
		addNoteFlags(command)
		if err := command.ParseFlags([]string{flag}); err != nil {
			t.Fatal(err)
		}
		if got := chooseLogLevel(command.Flags()); got != want {
			t.Errorf("%s: %v, want %v", flag, got, want)
		}
	}
}
