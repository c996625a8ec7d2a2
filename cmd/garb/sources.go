package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"garb/train"
)

// parseSource parses PATH or PATH:WEIGHT. If the whole text is an existing path, it has no
// weight, even if it has a colon.
func parseSource(text string) (train.Source, error) {
	if text == "" {
		return train.Source{}, errors.New("the path is empty")
	}
	at := strings.LastIndexByte(text, ':')
	if at <= 0 {
		return train.Source{Path: text, Weight: 1}, nil
	}
	weight, err := strconv.ParseFloat(text[at+1:], 64)
	if _, missing := os.Stat(text); err != nil || missing == nil {
		return train.Source{Path: text, Weight: 1}, nil
	}
	if !(weight > 0) {
		return train.Source{}, fmt.Errorf("%s: the weight after the colon, which is how often an epoch shows each "+
			"picture, must be above 0, such as 0.5 or 2", text)
	}
	return train.Source{Path: text[:at], Weight: weight}, nil
}

// formatSource formats a source for parseSource.
func formatSource(s train.Source) string {
	if s.Weight == 1 {
		return s.Path
	}
	return s.Path + ":" + strconv.FormatFloat(s.Weight, 'g', -1, 64)
}

// sourcesFlag is the value of a repeatable flag that names sources.
type sourcesFlag struct {
	kind  string // placeholder in the help
	get   func() []train.Source
	set   func([]train.Source)
	given bool // false until the first Set, which replaces the defaults
}

// Set implements pflag.Value.
func (f *sourcesFlag) Set(text string) error {
	s, err := parseSource(text)
	if err != nil {
		return err
	}
	var before []train.Source
	if f.given {
		before = f.get()
	}
	f.given = true
	f.set(append(before, s))
	return nil
}

// Append implements pflag.SliceValue.
func (f *sourcesFlag) Append(text string) error { return f.Set(text) }

// Replace implements pflag.SliceValue.
func (f *sourcesFlag) Replace(texts []string) error {
	f.given = false
	f.set(nil)
	for _, text := range texts {
		if err := f.Set(text); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice implements pflag.SliceValue.
func (f *sourcesFlag) GetSlice() []string {
	var all []string
	for _, s := range f.get() {
		all = append(all, formatSource(s))
	}
	return all
}

// Type implements pflag.Value.
func (f *sourcesFlag) Type() string { return f.kind }

// String implements pflag.Value.
func (f *sourcesFlag) String() string {
	if f.get == nil {
		return ""
	}
	return strings.Join(f.GetSlice(), ",")
}

// newDataSourcesFlag returns the value of --data: the first data set is Config.Data, further
// ones are in Config.Sources.
func newDataSourcesFlag(c *train.Config) *sourcesFlag {
	return &sourcesFlag{
		kind: "DATA[:WEIGHT]",
		get: func() []train.Source {
			if c.Data == "" {
				return nil
			}
			first := train.Source{Path: c.Data, Weight: c.DataWeight}
			if first.Weight == 0 {
				first.Weight = 1
			}
			return append([]train.Source{first}, filterTrainOnly(c.Sources, false)...)
		},
		set: func(all []train.Source) {
			c.Data, c.DataWeight = "", 0
			extra := filterTrainOnly(c.Sources, true)
			c.Sources = nil
			if len(all) > 0 {
				c.Data = all[0].Path
				if all[0].Weight != 1 {
					c.DataWeight = all[0].Weight
				}
				c.Sources = append(c.Sources, all[1:]...)
			}
			c.Sources = append(c.Sources, extra...)
		},
	}
}

// newTrainSourcesFlag returns the value of --train-data: sources for training only.
func newTrainSourcesFlag(c *train.Config) *sourcesFlag {
	return &sourcesFlag{
		kind: "DATA[:WEIGHT]",
		get:  func() []train.Source { return filterTrainOnly(c.Sources, true) },
		set: func(all []train.Source) {
			for i := range all {
				all[i].TrainOnly = true
			}
			c.Sources = append(filterTrainOnly(c.Sources, false), all...)
		},
	}
}

// newOtherSourcesFlag returns the value of --other: pictures that show none of the classes.
func newOtherSourcesFlag(c *train.Config) *sourcesFlag {
	return &sourcesFlag{
		kind: "DIR[:WEIGHT]",
		get:  func() []train.Source { return c.Other },
		set:  func(all []train.Source) { c.Other = all },
	}
}

// filterTrainOnly returns the sources that are for training only, or the others.
func filterTrainOnly(all []train.Source, only bool) []train.Source {
	var kept []train.Source
	for _, s := range all {
		if s.TrainOnly == only {
			kept = append(kept, s)
		}
	}
	return kept
}
