package main

import "syscall"

// mountSmall mounts a disk of two megabytes in memory at a folder.
func mountSmall(folder string) error {
	return syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=2m")
}

func unmount(folder string) { syscall.Unmount(folder, 0) }
