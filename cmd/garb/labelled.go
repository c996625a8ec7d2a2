package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"garb/dataset"
)

// labelled is a picture with what its place says of it.
type labelled struct {
	source
	class string // the folder's name
	part  string // of a data set: train, validation, test; otherwise ""
}

// labelledPictures lists the pictures of a data set, or of any tree of folders. An error
// says that there is none.
func labelledPictures(root string) ([]labelled, error) {
	info, err := os.Stat(root)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s", root, message(err))
	case !info.IsDir():
		return nil, fmt.Errorf("%s is no folder; give one with pictures", root)
	}
	if (measured{data: root}).hasParts() {
		return partPictures(root)
	}
	var all []labelled
	for _, s := range folder(root + string(filepath.Separator)) { // which follows a link
		if s.err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, s.err)
		}
		class := filepath.Base(filepath.Dir(s.name))
		if filepath.Dir(s.name) == filepath.Clean(root) {
			class = ""
		}
		all = append(all, labelled{s, class, ""})
	}
	return all, nil
}

func partPictures(root string) ([]labelled, error) {
	splits, err := dataset.OpenSplits(root, dataset.DefaultSplitRule())
	if err != nil {
		return nil, err
	}
	var all []labelled
	for _, part := range []struct {
		name string
		set  *dataset.Set
	}{{"train", splits.Train.Set}, {"validation", splits.Validation}, {"test", splits.Test}} {
		if part.set == nil {
			continue
		}
		for _, s := range part.set.Samples {
			all = append(all, labelled{source{name: s.Path}, part.set.Classes[s.Label], part.name})
		}
	}
	return all, nil
}

// trainingPictures lists the training pictures of a data set, and of another folder all.
func trainingPictures(root string) ([]labelled, error) {
	all, err := labelledPictures(root)
	if err != nil {
		return nil, err
	}
	var some []labelled
	for _, p := range all {
		if p.part == "train" || p.part == "" {
			some = append(some, p)
		}
	}
	return some, nil
}

// sourcesOf are the pictures without what is known of them.
func sourcesOf(all []labelled) []source {
	sources := make([]source, len(all))
	for i, p := range all {
		sources[i] = p.source
	}
	return sources
}

// place is a picture's path as people read it in a folder.
func place(root, path string) string {
	if relative, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(relative, "..") {
		return filepath.ToSlash(relative)
	}
	return path
}
