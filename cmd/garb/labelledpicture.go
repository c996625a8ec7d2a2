package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
)

// labelledPicture is a picture with what its place says of it.
type labelledPicture struct {
	source
	class string // "" if it has none
	part  string // of a data set: train, validation, test; otherwise ""
}

// labelledPictures lists the pictures of a data set, or of any tree of folders, and
// returns the tally of what gave none. Finding no picture is an error.
func labelledPictures(c *cobra.Command, d dataFlags, root string) ([]labelledPicture, *dataset.Tally, error) {
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
	switch err := data.Err(); {
	case err == nil:
		return all, &data.Tally, nil
	case data.Layout != dataset.LayoutClasses || len(data.Labels) > 0:
		return nil, nil, withDataHint(err)
	}
	// Pictures without labels can be looked at as well.
	tally := &dataset.Tally{}
	paths, err := dataset.Pictures(c.Context(), data.Folder, tally)
	switch {
	case err != nil:
		return nil, nil, err
	case len(paths) == 0:
		return nil, nil, fmt.Errorf("%s: the folder holds no pictures; name one that does", root)
	}
	for _, path := range paths {
		all = append(all, labelledPicture{source: source{name: path}})
	}
	return all, tally, nil
}

// trainingPictures lists the training pictures of a data set, and of another folder all.
func trainingPictures(c *cobra.Command, d dataFlags, root string) ([]labelledPicture, *dataset.Tally, error) {
	all, tally, err := labelledPictures(c, d, root)
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

// listSources are the pictures without what is known of them.
func listSources(all []labelledPicture) []source {
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
