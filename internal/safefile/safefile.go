// Package safefile reads and writes whole files without leaving a half-written
// one behind and without reading more than was agreed.
package safefile

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// TooLargeError says that a file holds more bytes than its reader takes.
type TooLargeError struct {
	Path            string
	Bytes, MaxBytes int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s holds %d bytes; at most %d are read", e.Path, e.Bytes, e.MaxBytes)
}

// NotRegularError says that a path leads to a folder, a pipe or a device where
// a file is needed.
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

// Read returns the bytes of a regular file of at most maxBytes. Its errors are
// *NotRegularError (found before the file is opened, for opening a pipe can wait
// forever), *TooLargeError, or those of package os.
func Read(path string, maxBytes int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &NotRegularError{path, info.Mode()}
	}
	if info.Size() > maxBytes {
		return nil, &TooLargeError{path, info.Size(), maxBytes}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil // the file shrank since Stat: its new end is its end
	}
	return data[:n], err
}

// Write makes the file at path hold what write writes, or leaves what was there:
// the bytes go to a temporary name in the same folder, are synced, and take the
// file's name in one step. A link is followed. Writes are buffered.
func Write(path string, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return &NotRegularError{path, info.Mode()}
	}
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	f, err := os.CreateTemp(folder, "."+name+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // closed already when the error came after Close; harmless
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	// CreateTemp lets only the owner read; a result is for everyone, as
	// os.Create would have it under the usual umask.
	if err := f.Chmod(0o644); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes a rename in the folder last through a loss of power. Windows
// cannot sync a folder and does not need it.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
