//go:build !linux

package main

import (
	"os"
	"os/exec"
)

// startOn would confine a command to some cores, which only Linux can.
func startOn(command *exec.Cmd, cores int) error {
	if cores == 0 {
		return command.Start()
	}
	return &absentError{"processes are confined to cores on Linux only"}
}

// peakBytes would tell a process's peak memory; its unit differs by system.
func peakBytes(*os.ProcessState) (int64, error) {
	return 0, &absentError{"peak memory is measured on Linux only"}
}
