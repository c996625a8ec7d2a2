package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"garb/picture"
)

// orientationName is the name of the flag that says what is done with EXIF's orientation.
const orientationName = "exif-orientation"

// orientations are the words for picture.Orientation.
var orientations = map[string]picture.Orientation{
	"apply": picture.ApplyOrientation, "ignore": picture.IgnoreOrientation,
}

// orientationFlag is the value of --exif-orientation.
type orientationFlag struct {
	value *picture.Orientation // nil if it is not set
}

func addOrientationFlag(flags *pflag.FlagSet, to *orientationFlag, byDefault string) {
	flags.Var(to, orientationName, "orientation in EXIF: `apply|ignore`; apply turns pictures upright (default "+
		byDefault+")")
}

func (f *orientationFlag) isSet() bool { return f.value != nil }

// Set implements pflag.Value. The empty text stands for the default.
func (f *orientationFlag) Set(text string) error {
	if text == "" {
		f.value = nil
		return nil
	}
	o, ok := orientations[text]
	if !ok {
		return fmt.Errorf("%q: it must be apply or ignore", text)
	}
	f.value = &o
	return nil
}

// Type implements pflag.Value.
func (f *orientationFlag) Type() string { return "apply|ignore" }

// String implements pflag.Value.
func (f *orientationFlag) String() string {
	switch {
	case f.value == nil:
		return ""
	case *f.value == picture.IgnoreOrientation:
		return "ignore"
	}
	return "apply"
}
