package dataset

import (
	"fmt"
	"maps"
	"slices"
)

// UnlikeClassesError says that two data sets that are to be used together name what seems
// to be one class in two ways.
type UnlikeClassesError struct {
	Paths   [2]string // of the data sets
	Classes [2]string // the class as each names it
}

func (e *UnlikeClassesError) Error() string {
	return fmt.Sprintf("data sets disagree: %s has the class %q, and %s has %q; use one name for both",
		e.Paths[0], e.Classes[0], e.Paths[1], e.Classes[1])
}

// Unite returns the classes of all data sets together, sorted by name. Classes of two data
// sets that differ in case or spaces only are an *UnlikeClassesError.
func Unite(all ...*Data) ([]string, error) {
	type named struct{ path, class string }
	first, union := map[string]named{}, map[string]bool{}
	for _, d := range all {
		for _, class := range d.Classes {
			key := likeness(class)
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

// HasClass reports whether the data set has a class of this name, or of a name that differs
// in case or spaces only.
func (d *Data) HasClass(name string) bool {
	return slices.ContainsFunc(d.Classes, func(class string) bool { return likeness(class) == likeness(name) })
}
