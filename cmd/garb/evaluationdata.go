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

// evaluationData says which pictures to measure on.
type evaluationData struct {
	data, split string
	whole       *dataset.Data // that open read
	dataFlags
}

func newEvaluationData() evaluationData { return evaluationData{dataFlags: newDataFlags()} }

// wholeSet is the value of --split that stands for all pictures.
const wholeSet = "all"

func (m *evaluationData) addFlags(command *cobra.Command) {
	command.Flags().StringVar(&m.data, "data", "", "data set: a folder, a table or an archive")
	command.Flags().StringVar(&m.split, "split", "",
		"pictures to measure on: validation, test or all (default test, and all of a folder of classes)")
	m.dataFlags.add(command)
}

func (m *evaluationData) validate(command string) error {
	if m.data == "" {
		return fmt.Errorf("%s needs --data: a folder with a folder for each class, a table or an archive", command)
	}
	if m.split != "" && m.split != dataset.Validation && m.split != dataset.Test && m.split != wholeSet {
		return fmt.Errorf("--split is validation, test or all, not %q; for other pictures give their folder as --data",
			m.split)
	}
	return m.options.Validate()
}

// open opens the pictures, names them and says which they are: all of a folder of
// classes, or one split. A split that the data set does not have is the one that the
// training of the models divided off. The tally has what of the data set gave no picture.
func (m *evaluationData) open(c *cobra.Command, models ...*model.Classifier) (set *dataset.Set, name string,
	tally *dataset.Tally, err error) {
	var records []dataRecord
	for _, classifier := range models {
		record, err := readDataRecord(classifier)
		if err != nil {
			return nil, "", nil, err
		}
		records = append(records, record)
	}
	d, err := m.readAs(c, records)
	if err != nil {
		return nil, "", nil, err
	}
	if err := d.Err(); err != nil {
		return nil, "", nil, withDataHint(err)
	}
	m.whole = d
	name = m.split
	switch {
	case name == wholeSet, name == "" && d.Layout == dataset.LayoutClasses:
		warnOfTraining(c, d, models, records)
		path, err := filepath.Abs(m.data)
		return d.All(), filepath.Base(path), &d.Tally, err
	case name == "":
		name = dataset.Test
	}
	if set, err = m.selectSplit(d, name, records); err != nil {
		return nil, "", nil, withDataHint(err)
	}
	say(c, "%s: its %s pictures, %d", m.data, name, len(set.Samples))
	return set, name, &d.Tally, nil
}

// warnOfTraining says that all pictures of a data set are too easy for a model, if they
// are as many in each split as those that its training divided: then most are its own.
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
		found := [3]int{len(splits.Train.Set.Samples), len(splits.Validation.Samples), len(splits.Test.Samples)}
		if areAsMany(t.Pictures, found) {
			say(c, "warning: %s was trained on as many pictures in as many classes. If it was on these, its "+
				"figures are too good: "+
				"--split %s measures on those that it has not seen", classifier.Name(), split)
		}
	}
}

// areAsMany reports whether a training that had some pictures in each split may have had
// those that are found: as many, but for a few that it could not read.
func areAsMany(had, found [3]int) bool {
	for i, n := range found {
		if had[i] > n || n-had[i] > n/20 {
			return false
		}
	}
	return true
}

// selectSplit returns a split of a data set: as it lies, or as the training of the models
// divided it.
func (m *evaluationData) selectSplit(d *dataset.Data, name string, records []dataRecord) (*dataset.Set, error) {
	folds := slices.ContainsFunc(records, func(r dataRecord) bool { return r.Split.Folds > 0 })
	if set := d.Part(name); set != nil && (name == dataset.Test || !folds) {
		return set, nil
	}
	if name == dataset.Test && d.Part(dataset.Validation) != nil {
		return nil, fmt.Errorf("data set %s has no test split: give --split validation, or --split all", m.data)
	}
	for _, r := range records[1:] {
		if !reflect.DeepEqual(r, records[0]) {
			return nil,
				errors.New("the models were trained on different divisions or labels of a data set, so what one " +
					"has not seen the other may have: give pictures that are new to both, with --split all")
		}
	}
	splits, err := d.Split(records[0].Split)
	switch {
	case err != nil:
		return nil, err
	case name == dataset.Validation:
		return splits.Validation, nil
	case splits.Test == nil:
		return nil,
			fmt.Errorf("%s: the model was trained without test pictures (--test-share 0): "+
				"give --split validation, or another folder", m.data)
	}
	return splits.Test, nil
}

// readAs reads the data set with the labels and groups that the training of all models
// chose, unless flags choose others.
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
			say(c, "labels are merged and excluded as in the model's training")
		}
	}
	m.options.GroupBy, m.options.GroupPattern = o.GroupBy, o.GroupPattern
	d, err := m.read(c, m.data)
	var option *dataset.OptionsError
	grouped := errors.As(err, &option) && strings.HasPrefix(option.Option, "group")
	if grouped || err == nil && o.GroupBy != "" && d.Columns.Group < 0 { // other pictures than the training's
		m.options.GroupBy, m.options.GroupPattern = "", ""
		d, err = m.read(c, m.data)
	}
	return d, err
}

// dataRecord is how a model's training read its data set.
type dataRecord struct {
	Split   dataset.SplitRule `json:"split"`
	Options dataset.Options   `json:"data_options"`
}

// readDataRecord returns how a model's training read its data set, and garb's own rule for
// models whose record does not say, and for those that are built in: their data sets are
// not anybody's own.
func readDataRecord(c *model.Classifier) (dataRecord, error) {
	record := dataRecord{Split: dataset.DefaultSplitRule()}
	if slices.Contains(model.BuiltInNames(), c.Name()) {
		return record, nil
	}
	if t := c.Description().Training; t != nil && len(t.Settings) > 0 {
		if err := json.Unmarshal(t.Settings, &record); err != nil {
			return record, fmt.Errorf("model %s: its training record does not say how it divided its pictures: %w",
				c.Name(),
				err)
		}
	}
	return record, nil
}
