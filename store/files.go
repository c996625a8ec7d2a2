package store

import (
	"context"
	"io/fs"
	"os"

	"garb/dataset"
	"garb/internal/safefile"
)

// listFiles yields a file, or the pictures below a folder.
func listFiles(ctx context.Context, l location, tally *dataset.Tally, yield func(Object, error) bool) error {
	info, err := os.Stat(l.path)
	if err != nil {
		return l.failFile(err)
	}
	use := func(path string, info fs.FileInfo) error {
		if !yield(Object{l.fileURL(path), info.Size(), orTime("", info.ModTime())}, nil) {
			return errStop
		}
		return nil
	}
	if !info.IsDir() {
		return use(l.path, info)
	}
	return dataset.EachPicture(ctx, l.path, tally, use)
}

// readFile returns the content of a version of a file, of at most maxBytes.
func readFile(ctx context.Context, l location, version string, maxBytes int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := safefile.Read(l.path, maxBytes)
	if err != nil || version == "" {
		return data, l.failFile(err)
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, l.failFile(err)
	}
	if orTime("", info.ModTime()) != version {
		return nil, l.fail(ErrChanged, "", nil)
	}
	return data, nil
}

// fileWriter writes a file.
type fileWriter struct {
	*safefile.File
	location location
}

// createFile starts to write a file.
func createFile(l location) (Writer, error) {
	f, err := safefile.Create(l.path)
	if err != nil {
		return nil, l.failFile(err)
	}
	return fileWriter{f, l}, nil
}

// Write appends to the file.
func (w fileWriter) Write(p []byte) (int, error) {
	n, err := w.File.Write(p)
	return n, w.location.failFile(err)
}

// Close makes the file appear.
func (w fileWriter) Close() error { return w.location.failFile(w.File.Close()) }

// Abort drops the file.
func (w fileWriter) Abort() error { return w.location.failFile(w.File.Abort()) }
