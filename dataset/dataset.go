// Package dataset reads labelled pictures as people have them: folders of classes, with
// splits above them or without, tables and archives. It chooses classes, divides
// pictures into splits, checks data sets and pulls public ones.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"garb/picture"
)

// Sample is a picture and its class.
type Sample struct {
	Path  string
	Label int // index into the classes
	// Group names the pictures that it belongs together with, such as those of one
	// contributor; "" if it stands alone.
	Group string
}

// Set is the pictures of one split.
type Set struct {
	Folder  string   // of the data set, as it was named
	Classes []string // sorted by name
	Samples []Sample // sorted by class, then path
}

// ErrNoClasses is wrapped by errors about data sets without a labelled picture.
var ErrNoClasses = errors.New("no labelled pictures")

// Each calls do with the index of every sample, as the function Each does.
func (s *Set) Each(ctx context.Context, do func(i int)) error { return Each(ctx, len(s.Samples), do) }

// Each calls do with the numbers [0,count), on all cores. When ctx ends it begins no
// more, and returns ctx's error once those under way are done.
func Each(ctx context.Context, count int, do func(i int)) error {
	next := make(chan int)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range count {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wait.Wait()
	return ctx.Err()
}

var errNotFile = errors.New("it is not a file")

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
