// Package dataset reads labelled pictures: a folder with one folder for each
// class.
package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"garb/picture"
)

// Sample is a picture and its class.
type Sample struct {
	Path  string
	Label int // index into the classes
}

// Set is the pictures of one split.
type Set struct {
	Folder  string
	Classes []string // sorted by name
	Samples []Sample // sorted by class, then path
}

// ErrNoClasses is wrapped by errors about folders that hold no class folders.
var ErrNoClasses = errors.New("no folders with pictures")

// Open reads a folder that has one folder of pictures for each class. Hidden files
// and folders are passed over; what else is no picture shows when it is read. It
// returns an error if there is no class, or one without files.
func Open(folder string) (*Set, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	s := &Set{Folder: folder}
	for _, e := range entries {
		if !isFolder(folder, e) || hidden(e) {
			continue
		}
		label := len(s.Classes)
		s.Classes = append(s.Classes, e.Name())
		files, err := os.ReadDir(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("data set: %w", err)
		}
		before := len(s.Samples)
		for _, f := range files {
			if !hidden(f) && !isFolder(filepath.Join(folder, e.Name()), f) {
				s.Samples = append(s.Samples, Sample{filepath.Join(folder, e.Name(), f.Name()), label})
			}
		}
		if len(s.Samples) == before {
			return nil, fmt.Errorf("data set %s: the class %s has no pictures; add some or remove its folder", folder, e.Name())
		}
	}
	if len(s.Classes) == 0 {
		return nil, fmt.Errorf("data set %s: %w; it needs one folder for each class, with its pictures", folder, ErrNoClasses)
	}
	return s, nil
}

func hidden(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }

// isFolder follows links, as people lay out splits with them.
func isFolder(parent string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	info, err := os.Stat(filepath.Join(parent, e.Name()))
	return err == nil && info.IsDir()
}

// Training is a set to train on. It has a type of its own because only such
// pictures may be changed at random: what augments takes a Training, so that
// pictures to judge a network by cannot be augmented.
type Training struct{ *Set }

// Splits are the parts of a data set: the network is trained on the first, chosen
// by the second and judged by the third. Test is nil if the folder has none.
type Splits struct {
	Train            Training
	Validation, Test *Set
}

// OpenSplits reads a data set, which has one of three forms:
//
//   - folders train, validation and, if need be, test, each a folder for Open with the
//     same classes;
//   - a folder for Open, which the rule divides;
//   - images.csv and a folder images with ID.jpg, as the full clothing data set has
//     them, which the rule divides too.
func OpenSplits(folder string, rule SplitRule) (*Splits, error) {
	switch {
	case exists(filepath.Join(folder, "train")):
		return openSplits(folder)
	case exists(filepath.Join(folder, listFile)):
		set, err := openList(folder)
		if err != nil {
			return nil, err
		}
		return rule.divide(set)
	}
	set, err := Open(folder)
	if errors.Is(err, ErrNoClasses) {
		return nil, fmt.Errorf("%w: either in it, or in train and validation below it", err)
	}
	if err != nil {
		return nil, err
	}
	if slices.Contains(set.Classes, "validation") || slices.Contains(set.Classes, "test") {
		return nil, fmt.Errorf("data set %s has no folder train: beside validation and test it needs one, with a folder for each class", folder)
	}
	return rule.divide(set)
}

func openSplits(folder string) (*Splits, error) {
	var s Splits
	for _, part := range []struct {
		name     string
		set      **Set
		optional bool
	}{{"train", &s.Train.Set, false}, {"validation", &s.Validation, false}, {"test", &s.Test, true}} {
		path := filepath.Join(folder, part.name)
		if !exists(path) {
			if part.optional {
				continue
			}
			return nil, fmt.Errorf("data set %s has no folder %s: it needs train and validation, each with one folder for each class, and may have test", folder, part.name)
		}
		set, err := Open(path)
		if err != nil {
			return nil, err
		}
		if s.Train.Set != nil && !slices.Equal(set.Classes, s.Train.Classes) {
			return nil, fmt.Errorf("data set %s: %s has the classes %s, where train has %s", folder, part.name,
				strings.Join(set.Classes, ", "), strings.Join(s.Train.Classes, ", "))
		}
		*part.set = set
	}
	return &s, nil
}

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

// Read reads a sample's encoded picture. Errors name the file.
func (s Sample) Read(l picture.Limits) ([]byte, error) {
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
