package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"garb/train"
)

// runOnTerminal runs f with a terminal to write to, and returns what f wrote.
func runOnTerminal(t *testing.T, f func(screen *os.File)) string {
	t.Helper()
	keeper, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer keeper.Close()
	if err = unix.IoctlSetPointerInt(int(keeper.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	n, err := unix.IoctlGetInt(int(keeper.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	shown := make(chan []byte)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, keeper) // until the other end is closed
		shown <- b.Bytes()
	}()
	f(screen)
	screen.Close()
	// Terminals add a carriage return to each line break.
	return strings.ReplaceAll(string(<-shown), "\r\n", "\n")
}

// showProgress shows each kind of progress on a screen.
func showProgress(screen *os.File, quiet bool) {
	command := &cobra.Command{}
	addNoteFlags(command)
	command.SetErr(screen)
	if quiet {
		command.PersistentFlags().Set(quietFlag, "true")
	}
	bar := newCounter(command, "pictures", 8)
	bar.add(3)
	bar.add(5)
	bar.finish()
	epochs := newStepBar(command, train.Step{Epoch: 1, Epochs: 2, Step: 1, Steps: 9})
	epochs.show(train.Step{Epoch: 1, Epochs: 2, Step: 2, Steps: 9})
	epochs.finish()
	download := newDownloadProgress(openProgress(command), "weights")
	download.report(5e6, 10e6)
	download.finish()
}

// TestTerminals: bars are redrawn only on terminals that can do so. Colours need a terminal
// that supports them, and no NO_COLOR. --quiet silences everything.
func TestTerminals(t *testing.T) {
	for _, c := range []struct {
		term, noColour  string
		redraws, colour bool
	}{
		{"xterm-256color", "", true, true},
		{"xterm-256color", "1", true, false},
		{"", "", true, true}, // Windows has no TERM
		{"dumb", "", false, false},
		{"dumb", "1", false, false},
	} {
		t.Setenv("TERM", c.term)
		t.Setenv("NO_COLOR", c.noColour)
		name := fmt.Sprintf("TERM=%s NO_COLOR=%s", c.term, c.noColour)
		for _, quiet := range []bool{false, true} {
			shown := runOnTerminal(t, func(screen *os.File) { showProgress(screen, quiet) })
			redrawn := strings.ContainsAny(shown, "\r\x1b")
			switch {
			case quiet && shown != "":
				t.Errorf("%s: --quiet shows %q", name, shown)
			case !quiet && redrawn != c.redraws:
				t.Errorf("%s: redrawn %v: %q", name, redrawn, shown)
			case !quiet && !c.redraws && shown != "pictures: 3 of 8\npictures: 8 of 8\nweights: 5 of 10 MB\n":
				t.Errorf("%s: %q", name, shown)
			case !quiet && c.redraws && !strings.Contains(shown, "pictures 8 / 8 ["+strings.Repeat("=", 48)+"]"):
				t.Errorf("%s: no full bar: %q", name, shown)
			}
		}
		shown := runOnTerminal(t, func(screen *os.File) {
			code := run(context.Background(), []string{"classify", example}, strings.NewReader(""), screen, screen)
			if code != exitDone {
				t.Errorf("%s: exit code %d", name, code)
			}
		})
		if coloured := strings.Contains(shown, "\x1b[1m"); coloured != c.colour ||
			!strings.Contains(shown, "t-shirt") {
			t.Errorf("%s: coloured %v: %q", name, coloured, shown)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	t.Setenv("TERM", "xterm")
	if detectTerminal(file).redraws || detectTerminal(io.Discard).redraws {
		t.Error("a file is taken for a terminal")
	}
}

// render returns the lines that a terminal shows after it was written to.
func render(written string) []string {
	lines := []string{""}
	for _, part := range strings.SplitAfter(written, "\n") {
		last := &lines[len(lines)-1]
		for _, text := range strings.SplitAfter(strings.TrimSuffix(part, "\n"), "\r") {
			// All that garb writes after a carriage return clears the rest of the line.
			*last = strings.TrimSuffix(*last, "\r")
			if cleared := strings.ReplaceAll(text, "\x1b[K", ""); cleared != text {
				*last = ""
				text = cleared
			}
			*last += text
		}
		if strings.HasSuffix(part, "\n") {
			lines = append(lines, "")
		}
	}
	return lines
}

// TestLinesAboveBars: what several goroutines write while a bar is shown is in lines of its own, above it.
func TestLinesAboveBars(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	const writers, lines = 4, 50
	shown := render(runOnTerminal(t, func(terminal *os.File) {
		command := &cobra.Command{}
		addNoteFlags(command)
		command.SetErr(openScreen(terminal))
		bar := newCounter(command, "pictures", writers*lines)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range lines {
					bar.add(1)
					reportError(command.ErrOrStderr(), fmt.Sprintf("%d-%d.jpg", w, i), io.ErrUnexpectedEOF)
					time.Sleep(refresh / 20)
				}
			})
		}
		all.Wait()
		bar.finish()
		say(command, "end")
	}))
	if len(shown) != writers*lines+3 || !strings.HasPrefix(shown[writers*lines], "pictures 200 / 200 [==") ||
		shown[writers*lines+1] != "end" || shown[writers*lines+2] != "" {
		t.Fatalf("%d lines, at the end %q", len(shown), shown[max(0, len(shown)-4):])
	}
	for _, line := range shown[:writers*lines] {
		if !strings.HasPrefix(line, "garb: ") || !strings.HasSuffix(line, io.ErrUnexpectedEOF.Error()) {
			t.Errorf("%q", line)
		}
	}
}

// TestBarsEnd: the bar of answers that go to a file is complete before the command says that it wrote them.
func TestBarsEnd(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	folder := t.TempDir()
	for _, command := range []string{"classify --out " + filepath.Join(folder, "a.txt"),
		"embed --out " + filepath.Join(folder, "b.npy")} {
		shown := render(runOnTerminal(t, func(terminal *os.File) {
			args := append(strings.Fields(command), example, example)
			if code := run(context.Background(), args, strings.NewReader(""), terminal, terminal); code != exitDone {
				t.Errorf("%s: exit code %d", command, code)
			}
		}))
		if !strings.HasPrefix(shown[0], "pictures 2 / 2 [==") || !strings.HasPrefix(shown[1], "wrote ") ||
			shown[len(shown)-1] != "" {
			t.Errorf("%s: %q", command, shown)
		}
	}
}
