// Package safefile reads whole files up to a maximum size, and writes whole files so that
// a failure never leaves a half-written one behind.
package safefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"garb/internal/filename"
)

// TooLargeError says that a file is larger than the maximum that Read was given.
type TooLargeError struct {
	Path            string
	Bytes, MaxBytes int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s has %d bytes; the maximum is %d", e.Path, e.Bytes, e.MaxBytes)
}

// NotRegularError says that a path leads to a folder, a pipe or a device instead of a file.
type NotRegularError struct {
	Path string
	Mode fs.FileMode
}

func (e *NotRegularError) Error() string {
	kind := "a device or a pipe"
	if e.Mode.IsDir() {
		kind = "a folder"
	}
	return fmt.Sprintf("%s is %s, not a file", e.Path, kind)
}

// NotFolderError says that a path leads to something else than a folder.
type NotFolderError struct{ Path string }

func (e *NotFolderError) Error() string { return e.Path + " is a file, not a folder" }

// NameError says that Windows does not allow the name of a file.
type NameError struct{ Path string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%s: Windows does not allow the name %q; choose another", e.Path, filepath.Base(e.Path))
}

// checkName returns a *NameError for a file that a system would not create under its name. Windows would
// open a device for aux.csv, write a hidden stream for a:b, and drop the dot of "a.".
func checkName(path, system string) error {
	if name := filepath.Base(path); system == "windows" && !filename.IsPortable(name) {
		return &NameError{path}
	}
	return nil
}

// ReadDir returns the entries of a folder, sorted by name. If something else has that name, the error is
// a *NotFolderError. The error of os.ReadDir on Windows would be fs.ErrNotExist, so that a
// program that creates the folder could replace a file.
func ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if err == nil {
		return entries, nil
	}
	if info, statErr := os.Stat(path); statErr == nil && !info.IsDir() {
		return nil, &NotFolderError{path}
	}
	return entries, err
}

// OpenRegular opens a regular file as Open does. Its errors are *NotRegularError, found before it opens
// the file, because opening a pipe can wait forever, or those of package os.
func OpenRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &NotRegularError{path, info.Mode()}
	}
	return Open(path)
}

// Read returns the content of a regular file of at most maxBytes. Its errors are *TooLargeError and those
// of OpenRegular.
func Read(path string, maxBytes int64) ([]byte, error) {
	f, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxBytes {
		return nil, &TooLargeError{path, info.Size(), maxBytes}
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // the file has shrunk since Stat
	}
	return data[:n], err
}

// Write replaces the content of the file at path by what write writes. If write or the
// replacement fails, the old file stays. It is Create, write and Close.
func Write(path string, write func(io.Writer) error) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	if err = write(f); err != nil {
		f.Abort()
		return err
	}
	return f.Close()
}

// File is new content for a file. It is written to a temporary file in the same folder, and
// replaces the file when Close returns nil.
type File struct {
	temporary *os.File
	buffer    *bufio.Writer
	path      string // of the file to replace
}

// Create starts to replace the file at path, which need not exist. It follows symbolic links. One
// of Close and Abort must end it.
func Create(path string) (*File, error) {
	if err := checkName(path, runtime.GOOS); err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &NotRegularError{path, info.Mode()}
	}
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	f, err := os.CreateTemp(folder, "."+name+".*.tmp")
	if err != nil {
		return nil, err
	}
	return &File{f, bufio.NewWriterSize(f, 1<<20), path}, nil
}

// Write appends to the new content, and buffers it.
func (f *File) Write(p []byte) (int, error) { return f.buffer.Write(p) }

// Close syncs the new content and replaces the file. If it fails, the old file stays.
func (f *File) Close() error {
	if err := f.replace(); err != nil {
		f.Abort()
		return err
	}
	return syncFolder(filepath.Dir(f.path))
}

// Abort drops the new content. After Close it does nothing.
func (f *File) Abort() error {
	f.temporary.Close() // a second Close does no harm
	if err := Remove(f.temporary.Name()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replace renames the temporary file to the path.
func (f *File) replace() error {
	if err := f.buffer.Flush(); err != nil {
		return err
	}
	// CreateTemp lets only the owner read the file. Everyone may read it after os.Create,
	// under the usual umask, and so they may here.
	if err := f.temporary.Chmod(0o644); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := f.temporary.Sync(); err != nil {
		return err
	}
	if err := f.temporary.Close(); err != nil {
		return err
	}
	return Rename(f.temporary.Name(), f.path)
}

// syncFolder syncs a folder, so that a rename in it survives a loss of power. Windows and some network
// file systems cannot sync folders.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err = f.Sync(); cannotSync(err) {
		return nil
	}
	return err
}

// cannotSync reports whether an error of syncing says that the file system cannot do it.
func cannotSync(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}
