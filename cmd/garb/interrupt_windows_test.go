package main

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// makeInterruptible prepares a command for interrupt.
func makeInterruptible(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// interrupt sends Ctrl-Break to a process. Ctrl-C reaches all processes of a console only.
func interrupt(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(c.Process.Pid)); err != nil {
		c.Process.Kill()
		c.Wait()
		t.Skipf("no console for Ctrl-Break: %v", err)
	}
}
