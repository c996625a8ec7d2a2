package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
)

// labelledPicture is a picture with its class and split.
type labelledPicture struct {
	source
	class string // "" if it has none
	part  string // train, validation or test; "" if it is not in a split
}

// listLabelledPictures lists the pictures of a data set, or of any tree of folders, and returns
// the tally of skipped files. It fails if there are no pictures.
func listLabelledPictures(c *cobra.Command, d dataFlags, root string) ([]labelledPicture, *dataset.Tally, error) {
	data, err := d.read(c, root)
	if err != nil {
		return nil, nil, err
	}
	var all []labelledPicture
	for _, part := range data.Parts {
		for _, s := range part.Set.Samples {
			all = append(all, labelledPicture{source{name: s.Path}, data.Classes[s.Label], part.Name})
		}
	}
	switch err = data.Err(); {
	case err == nil:
		return all, &data.Tally, nil
	case data.Layout != dataset.LayoutClasses || len(data.Labels) > 0:
		return nil, nil, err
	}
	// Pictures without labels will do too.
	tally := &dataset.Tally{}
	paths, err := dataset.Pictures(c.Context(), data.Folder, tally)
	switch {
	case err != nil:
		return nil, nil, err
	case len(paths) == 0:
		return nil, nil, fmt.Errorf("%s: the folder contains no pictures", root)
	}
	for _, path := range paths {
		all = append(all, labelledPicture{source: source{name: path}})
	}
	return all, tally, nil
}

// listTrainingPictures lists the training pictures of a data set, or all pictures of another
// folder.
func listTrainingPictures(c *cobra.Command, d dataFlags, root string) ([]labelledPicture, *dataset.Tally, error) {
	all, tally, err := listLabelledPictures(c, d, root)
	if err != nil {
		return nil, nil, err
	}
	var some []labelledPicture
	for _, p := range all {
		if p.part == dataset.Train || p.part == "" {
			some = append(some, p)
		}
	}
	return some, tally, nil
}

// listSources returns the sources of pictures.
func listSources(all []labelledPicture) []source {
	sources := make([]source, len(all))
	for i, p := range all {
		sources[i] = p.source
	}
	return sources
}

// shortenPath returns a picture's path relative to root if it is below it.
func shortenPath(root, path string) string {
	if relative, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(relative, "..") {
		return filepath.ToSlash(relative)
	}
	return path
}
