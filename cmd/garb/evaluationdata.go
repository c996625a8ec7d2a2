package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/model"
)

// evaluationData holds the flags that choose the pictures to evaluate on.
type evaluationData struct {
	data, split string
	whole       *dataset.Data // set by open
	dataFlags
}

func newEvaluationData() evaluationData { return evaluationData{dataFlags: newDataFlags()} }

// wholeSet is the value of --split for all pictures.
const wholeSet = "all"

func (m *evaluationData) addFlags(command *cobra.Command) {
	command.Flags().StringVar(&m.data, "data", "", "data set: a folder, a table or an archive")
	command.Flags().StringVar(&m.split, "split", "",
		"split to evaluate on: validation, test or all (default test, or all for a folder of class folders)")
	m.add(command)
}

func (m *evaluationData) validate(command string) error {
	if m.data == "" {
		return fmt.Errorf("%s needs --data: a folder with a folder for each class, a table or an archive", command)
	}
	if m.split != "" && m.split != dataset.Validation && m.split != dataset.Test && m.split != wholeSet {
		return fmt.Errorf("--split %q: it must be validation, test or all; for other pictures, pass their folder as "+
			"--data", m.split)
	}
	return m.options.Validate()
}

// open returns the pictures and their name, which is that of the split, or of the folder if
// it is used as a whole. If the data set has no such split, open splits it as the training of
// the models did. The tally lists the files that were skipped.
func (m *evaluationData) open(c *cobra.Command, models ...*model.Classifier) (set *dataset.Set, name string,
	tally *dataset.Tally, err error) {
	var records []dataRecord
	for _, classifier := range models {
		var record dataRecord
		if record, err = readDataRecord(classifier); err != nil {
			return nil, "", nil, err
		}
		records = append(records, record)
	}
	d, err := m.readAs(c, records)
	if err != nil {
		return nil, "", nil, err
	}
	if err = d.Err(); err != nil {
		return nil, "", nil, err
	}
	m.whole = d
	name = m.split
	switch {
	case name == wholeSet, name == "" && d.Layout == dataset.LayoutClasses:
		warnOfTraining(c, d, models, records)
		var path string
		path, err = filepath.Abs(m.data)
		return d.All(), filepath.Base(path), &d.Tally, err
	case name == "":
		name = dataset.Test
	}
	if set, err = m.selectSplit(d, name, records); err != nil {
		return nil, "", nil, err
	}
	say(c, "evaluating on the %s split of %s: %s", name, m.data, count(len(set.Samples), "picture"))
	return set, name, &d.Tally, nil
}

// warnOfTraining warns if a model may have been trained on the pictures. It compares the
// number of pictures in each split with those of the training.
func warnOfTraining(c *cobra.Command, d *dataset.Data, models []*model.Classifier, records []dataRecord) {
	for i, classifier := range models {
		t := classifier.Description().Training
		if t == nil || !slices.Equal(classifier.Classes(), d.Classes) || d.Part("") == nil {
			continue
		}
		splits, err := d.Split(records[i].Split)
		if err != nil {
			continue
		}
		split := dataset.Test
		if splits.Test == nil {
			split, splits.Test = dataset.Validation, &dataset.Set{}
		}
		found := [3]int{len(splits.Train.Samples), len(splits.Validation.Samples), len(splits.Test.Samples)}
		if areAsMany(t.Pictures, found) {
			say(c, "warning: %s was trained on the same number of pictures and classes. If they were these pictures, "+
				"the accuracy is overestimated; use --split %s for pictures that it has not seen",
				classifier.Name(), split)
		}
	}
}

// areAsMany reports whether the numbers of training pictures in each split match those found,
// apart from a few that training could not read.
func areAsMany(had, found [3]int) bool {
	for i, n := range found {
		if had[i] > n || n-had[i] > n/20 {
			return false
		}
	}
	return true
}

// selectSplit returns a split of a data set: one that it has, or one as in the training of the
// models.
func (m *evaluationData) selectSplit(d *dataset.Data, name string, records []dataRecord) (*dataset.Set, error) {
	folds := slices.ContainsFunc(records, func(r dataRecord) bool { return r.Split.Folds > 0 })
	if set := d.Part(name); set != nil && (name == dataset.Test || !folds) {
		return set, nil
	}
	if name == dataset.Test && d.Part(dataset.Validation) != nil {
		return nil, fmt.Errorf("data set %s has no test split: use --split validation or --split all", m.data)
	}
	for _, r := range records[1:] {
		if !reflect.DeepEqual(r, records[0]) {
			return nil, errors.New("the models were trained on different splits or labels, so pictures that are new " +
				"to one may be known to the other: evaluate on pictures that are new to both, with --split all")
		}
	}
	splits, err := d.Split(records[0].Split)
	switch {
	case err != nil:
		return nil, err
	case name == dataset.Validation:
		return splits.Validation, nil
	case splits.Test == nil:
		return nil, fmt.Errorf("%s: the model was trained without a test split (--test-share 0): "+
			"use --split validation, or another folder", m.data)
	}
	return splits.Test, nil
}

// readAs reads the data set with the labels and groups of the models' training, unless flags
// choose others.
func (m *evaluationData) readAs(c *cobra.Command, records []dataRecord) (*dataset.Data, error) {
	flags, o := c.Flags(), records[0].Options
	for _, r := range records[1:] {
		if !reflect.DeepEqual(r.Options, o) {
			o = dataset.Options{}
		}
	}
	if !flags.Changed("merge") && !flags.Changed("exclude") && !flags.Changed("classes") {
		m.options.Merge, m.options.Exclude, m.options.Classes = o.Merge, o.Exclude, o.Classes
		if len(o.Merge)+len(o.Exclude)+len(o.Classes) > 0 {
			say(c, "merging and excluding labels as in the model's training")
		}
	}
	m.options.GroupBy, m.options.GroupPattern = o.GroupBy, o.GroupPattern
	d, err := m.read(c, m.data)
	var option *dataset.OptionsError
	grouped := errors.As(err, &option) && strings.HasPrefix(option.Option, "group")
	if grouped || err == nil && o.GroupBy != "" && d.Columns.Group < 0 { // not the data set of the training
		m.options.GroupBy, m.options.GroupPattern = "", ""
		d, err = m.read(c, m.data)
	}
	return d, err
}

// dataRecord stores how a model's training read its data set.
type dataRecord struct {
	Split   dataset.SplitRule `json:"split"`
	Options dataset.Options   `json:"data_options"`
}

// readDataRecord returns how a model's training read its data set. It returns garb's default
// for models without a record, and for built-in models, whose data sets users do not have.
func readDataRecord(c *model.Classifier) (dataRecord, error) {
	record := dataRecord{Split: dataset.DefaultSplitRule()}
	if slices.Contains(model.BuiltInNames(), c.Name()) {
		return record, nil
	}
	if t := c.Description().Training; t != nil && len(t.Settings) > 0 {
		if err := json.Unmarshal(t.Settings, &record); err != nil {
			return record, fmt.Errorf("model %s: cannot read how its training split the pictures: %w", c.Name(), err)
		}
	}
	return record, nil
}
