package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
)

// unknownClasses holds the flag that chooses how to treat classes that a model does not know.
type unknownClasses struct{ ignore bool }

func (u *unknownClasses) addFlags(command *cobra.Command) {
	command.Flags().BoolVar(&u.ignore, "ignore-unknown-classes", false,
		"ignore pictures of classes that the model does not know")
}

// mapClasses maps the classes of a set to those of each model, and prints the mapping. All
// returned sets have the same pictures in the same order: those of classes that all models
// know.
func (u unknownClasses) mapClasses(c *cobra.Command, set *dataset.Set, models ...*model.Classifier) (
	[]*dataset.Set, []*evaluate.Mapping, error) {
	mappings := make([]*evaluate.Mapping, len(models))
	var unknown []string
	for i, classifier := range models {
		mapping, err := evaluate.MapClasses(set.Classes, classifier.Classes())
		var e *evaluate.UnknownClassesError
		switch {
		case errors.As(err, &e) && u.ignore:
			for _, class := range e.Unknown {
				unknown = append(unknown, class.Class)
			}
		case errors.As(err, &e):
			return nil, nil, fmt.Errorf("%s: %w", classifier.Name(), err)
		case err != nil:
			return nil, nil, err
		}
		mappings[i] = &mapping
	}
	sets, said := make([]*dataset.Set, len(models)), map[string]bool{}
	sayOnce := func(line string) {
		if line != "" && !said[line] {
			say(c, "%s", line)
		}
		said[line] = true
	}
	for i, mapping := range mappings {
		mapping.Ignore(unknown...)
		sets[i] = mapping.Apply(set)
		if len(sets[i].Classes) == 0 {
			if len(models) > 1 {
				return nil, nil, fmt.Errorf("none of the data set's %s is known to all models",
					count(len(set.Classes), "class"))
			}
			return nil, nil, fmt.Errorf("%s: the model knows none of the data set's %s",
				models[i].Name(), count(len(set.Classes), "class"))
		}
		for _, note := range mapping.Notes() {
			sayOnce(note)
		}
		sayOnce(mapping.LeftOut())
		if len(mapping.Renamed) == 0 && len(mapping.Ignored) == 0 {
			mappings[i] = nil // nothing to report
		}
	}
	return sets, mappings, nil
}
