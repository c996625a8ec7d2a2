package dataset

import (
	"fmt"
	"maps"
	"slices"
)

// UnlikeClassesError says that two data sets that are to be used together seem to have different
// names for one class.
type UnlikeClassesError struct {
	Paths   [2]string // of the data sets
	Classes [2]string // the class's name in each
}

func (e *UnlikeClassesError) Error() string {
	return fmt.Sprintf("data sets disagree: %s has the class %q, and %s has %q; use one name for both",
		e.Paths[0], e.Classes[0], e.Paths[1], e.Classes[1])
}

// Unite returns the classes of all data sets together, sorted. If two data sets have classes that
// differ only in case or spaces, the error is an *UnlikeClassesError.
func Unite(all ...*Data) ([]string, error) {
	type named struct{ path, class string }
	first, union := map[string]named{}, map[string]bool{}
	for _, d := range all {
		for _, class := range d.Classes {
			key := foldLabel(class)
			before, seen := first[key]
			if seen && before.class != class && before.path != d.Path {
				return nil, &UnlikeClassesError{[2]string{before.path, d.Path}, [2]string{before.class, class}}
			}
			if !seen {
				first[key] = named{d.Path, class}
			}
			union[class] = true
		}
	}
	return slices.Sorted(maps.Keys(union)), nil
}

// HasClass reports whether the data set has a class with this name, or with a name that differs
// only in case or spaces.
func (d *Data) HasClass(name string) bool {
	return slices.ContainsFunc(d.Classes, func(class string) bool { return foldLabel(class) == foldLabel(name) })
}
