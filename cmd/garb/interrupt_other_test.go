//go:build !windows

package main

import (
	"os"
	"os/exec"
	"testing"
)

// makeInterruptible prepares a command for interrupt.
func makeInterruptible(*exec.Cmd) {}

// interrupt sends a process what Ctrl-C sends.
func interrupt(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}
