// Package dataset reads labelled pictures: class folders, with or without splits above them,
// tables and archives. It selects classes, divides pictures into splits, checks data sets and
// downloads public ones.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"garb/picture"
)

// Sample is a picture and its class.
type Sample struct {
	Path  string
	Label int // index into the classes
	// Group is the name of the picture's group, such as its contributor, or "".
	Group string
}

// Set has the pictures of one split.
type Set struct {
	Folder  string   // the data set's path, as it was given
	Classes []string // sorted by name
	Samples []Sample // sorted by class, then path
}

// ErrNoClasses is wrapped by errors about data sets without labelled pictures.
var ErrNoClasses = errors.New("no labelled pictures")

// Each calls do with the index of every sample, as the function Each does.
func (s *Set) Each(ctx context.Context, do func(i int)) error { return Each(ctx, len(s.Samples), do) }

// Each calls do for 0 to count−1, on all cores. When ctx ends, it starts no more calls, and
// returns ctx's error after those that run have returned.
func Each(ctx context.Context, count int, do func(i int)) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := 0; i < count && ctx.Err() == nil; i++ {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	group.Wait()
	return ctx.Err()
}

var errNotFile = errors.New("not a regular file")

// Read reads a sample's encoded picture. Errors name the file.
func (s Sample) Read(l picture.Limits) ([]byte, error) {
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fmt.Errorf("%s: %w", s.Path, errNotFile)
	}
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := picture.Read(f, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	return data, nil
}
