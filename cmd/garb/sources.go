package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"garb/train"
)

// parseSource reads PATH or PATH:WEIGHT. A path that exists as it is written has no weight,
// whatever follows a colon in it.
func parseSource(text string) (train.Source, error) {
	if text == "" {
		return train.Source{}, fmt.Errorf("a data set without a path")
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
		return train.Source{}, fmt.Errorf("%s: the weight after the colon is how often an epoch shows each picture: "+
			"above 0, such as 0.5 or 2", text)
	}
	return train.Source{Path: text[:at], Weight: weight}, nil
}

// formatSource is what sourceText reads a source from.
func formatSource(s train.Source) string {
	if s.Weight == 1 {
		return s.Path
	}
	return s.Path + ":" + strconv.FormatFloat(s.Weight, 'g', -1, 64)
}

// sourcesFlag is a flag that names a source each time it is given.
type sourcesFlag struct {
	kind  string // of what it names, for the help
	get   func() []train.Source
	set   func([]train.Source)
	given bool // the sources that were there before are replaced
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

// newDataSourcesFlag is the flag --data of training: the first data set is Config.Data, and those
// of further flags are Config.Sources.
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

// newTrainSourcesFlag is the flag --train-data: sources that are for training only.
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

// newOtherSourcesFlag is the flag --other: pictures of none of the classes.
func newOtherSourcesFlag(c *train.Config) *sourcesFlag {
	return &sourcesFlag{
		kind: "DIR[:WEIGHT]",
		get:  func() []train.Source { return c.Other },
		set:  func(all []train.Source) { c.Other = all },
	}
}

// filterTrainOnly returns the sources that are for training only, or those that are not.
func filterTrainOnly(all []train.Source, only bool) []train.Source {
	var kept []train.Source
	for _, s := range all {
		if s.TrainOnly == only {
			kept = append(kept, s)
		}
	}
	return kept
}
