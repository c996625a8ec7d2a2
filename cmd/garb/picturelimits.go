package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"garb/picture"
)

// limitFlags holds the flags that say which pictures a command accepts.
type limitFlags struct {
	maxPixels     int // 0 for the default limits
	keepTruncated bool
}

func (f *limitFlags) add(flags *pflag.FlagSet) { addLimitFlags(flags, &f.maxPixels, &f.keepTruncated) }

// limits returns the limits of a picture.
func (f *limitFlags) limits() picture.Limits {
	l := picture.DefaultLimits().WithMaxPixels(f.maxPixels)
	l.KeepTruncated = f.keepTruncated
	return l
}

// addLimitFlags adds --max-pixels and --truncated.
func addLimitFlags(flags *pflag.FlagSet, maxPixels *int, keepTruncated *bool) {
	l := picture.DefaultLimits()
	flags.Var(pixelsValue{maxPixels}, "max-pixels", fmt.Sprintf(
		"maximum `PIXELS` of a picture, width × height (default %d for JPEGs that are read at reduced scale, else %d)",
		l.MaxPixels, l.MaxDecodedPixels))
	flags.Var(truncatedValue{keepTruncated}, "truncated",
		"pictures that are cut short: `refuse|keep`; keep reads what is there, as Pillow's LOAD_TRUNCATED_IMAGES")
}

var errPixels = errors.New("it must be a positive number of pixels, such as 150000000")

// pixelsValue is the value of --max-pixels, a positive number of pixels.
type pixelsValue struct{ pixels *int }

// Set implements pflag.Value. The empty text stands for the default limits.
func (v pixelsValue) Set(text string) error {
	if text == "" {
		*v.pixels = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return errPixels
	}
	*v.pixels = n
	return nil
}

// Type implements pflag.Value.
func (v pixelsValue) Type() string { return "int" }

// String implements pflag.Value.
func (v pixelsValue) String() string {
	if v.pixels == nil || *v.pixels == 0 {
		return ""
	}
	return strconv.Itoa(*v.pixels)
}

// Values of --truncated.
const (
	refuseTruncated = "refuse"
	keepTruncated   = "keep"
)

// truncatedValue is the value of --truncated.
type truncatedValue struct{ keep *bool }

// Set implements pflag.Value.
func (v truncatedValue) Set(text string) error {
	if text != refuseTruncated && text != keepTruncated {
		return fmt.Errorf("%q: it must be %s or %s", text, refuseTruncated, keepTruncated)
	}
	*v.keep = text == keepTruncated
	return nil
}

// Type implements pflag.Value.
func (v truncatedValue) Type() string { return refuseTruncated + "|" + keepTruncated }

// String implements pflag.Value.
func (v truncatedValue) String() string {
	if v.keep != nil && *v.keep {
		return keepTruncated
	}
	return refuseTruncated
}
