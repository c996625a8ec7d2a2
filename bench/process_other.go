//go:build !linux

package main

import (
	"os"
	"os/exec"
)

// startOnCores starts a command. Only Linux can confine it to some cores.
func startOnCores(command *exec.Cmd, cores int) error {
	if cores == 0 {
		return command.Start()
	}
	return &skipError{"processes are confined to cores on Linux only"}
}

// readPeak returns an error: the unit of peak memory differs from system to system.
func readPeak(*os.ProcessState) (int64, error) {
	return 0, &skipError{"peak memory is measured on Linux only"}
}
