//go:build unix

package connection

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// needDescriptors skips a test where a process may not have so many file descriptors.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if uint64(limit.Cur) < n { //nolint:unconvert // it is an int64 on some systems
		t.Skipf("raise the limit of file descriptors to %d (ulimit -n): it is %d", n, limit.Cur)
	}
}

// TestSilentConnections checks that 10,000 connections that send nothing stop no other client, and are not kept.
func TestSilentConnections(t *testing.T) {
	const silent = 10_000
	needDescriptors(t, silent+3000)
	var seen events
	s, host := start(t, ok, func(c *Config) { c.MaxConnections, c.MaxPerClient, c.Count = 1000, 0, seen.count })
	kept := dial(t, "127.0.0.2", host)
	send(t, kept)
	for i := range silent {
		dial(t, "127.0.0.1", host)
		if i%1000 == 0 {
			if status := send(t, dial(t, "127.0.0.3", host)); status != 200 {
				t.Error(status)
			}
		}
	}
	send(t, kept) // of a client with few connections, so it is not closed for others
	const all = silent + silent/1000 + 1
	waitFor(t, "all but 1,000 are closed", func() bool {
		return seen.of(Evicted) == all-1000 && s.Stats().Open == 1000
	})
}

// TestFewDescriptors checks that a server goes on after it had no file descriptor left, and says so. The server is
// this test, run as a process of its own.
func TestFewDescriptors(t *testing.T) {
	const variable = "GARB_TEST_DESCRIPTORS"
	if os.Getenv(variable) != "" {
		serveWithFewDescriptors(t)
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFewDescriptors$", "-test.v")
	command.Env = append(os.Environ(), variable+"=1")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	find := func(text string) string {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return lines.Text()
			}
		}
		t.Fatalf("the process ended without %q", text)
		return ""
	}
	_, host, _ := strings.Cut(find("listening on "), "listening on ")
	for range 100 {
		dial(t, "127.0.0.1", host)
	}
	if line := find("Accept error"); !strings.Contains(line, "level=ERROR") ||
		!strings.Contains(line, "too many open files") {
		t.Error(line)
	}
	if status := send(t, dial(t, "127.0.0.2", host)); status != 200 {
		t.Error(status)
	}
	input.Close()
	find("PASS: TestFewDescriptors")
	for lines.Scan() { // Wait needs the end of the output
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

// serveWithFewDescriptors serves until its input ends.
func serveWithFewDescriptors(t *testing.T) {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var seen events
	_, host := start(t, ok, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(os.Stdout, nil))
		c.Count = seen.count
	})
	fmt.Println("listening on " + host)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	if seen.of(AcceptError) == 0 || seen.of(Evicted) == 0 {
		t.Errorf("counted %v", seen.counts)
	}
}
