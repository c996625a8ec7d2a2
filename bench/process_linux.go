package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// startOnCores starts a command that may use the first cores of those that this process may use; with
// 0, all of them.
func startOnCores(command *exec.Cmd, cores int) error {
	if cores == 0 {
		return command.Start()
	}
	var all, some unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	if all.Count() < cores {
		return &skipError{fmt.Sprintf("%d cores are needed, there are %d", cores, all.Count())}
	}
	for core := 0; some.Count() < cores; core++ {
		if all.IsSet(core) {
			some.Set(core)
		}
	}
	// A child inherits the cores of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &some); err != nil {
		return err
	}
	defer unix.SchedSetaffinity(0, &all)
	return command.Start()
}

// readPeak returns the peak resident memory of a process that has ended.
func readPeak(state *os.ProcessState) (int64, error) {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, &skipError{"this system does not tell a process's peak memory"}
	}
	return usage.Maxrss * 1024, nil // in KiB on Linux
}
