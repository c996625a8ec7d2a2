package picture

import (
	"errors"
	"strings"

	"garb/internal/raster"
)

// Kind says what is wrong with a picture.
type Kind string

// Kinds of errors.
const (
	NotPicture  Kind = "not_a_picture" // of no known format
	Unsupported Kind = "unsupported"   // a variant of a format that garb does not decode
	TooLarge    Kind = "too_large"     // beyond the limits
	Corrupt     Kind = "corrupt"       // broken or cut off
)

// Errors for errors.Is, one for each Kind.
var (
	ErrNotPicture  = errors.New("not a picture")
	ErrUnsupported = errors.New("unsupported picture")
	ErrTooLarge    = errors.New("picture too large")
	ErrCorrupt     = errors.New("corrupt picture")
)

var sentinels = map[Kind]error{
	NotPicture: ErrNotPicture, Unsupported: ErrUnsupported, TooLarge: ErrTooLarge, Corrupt: ErrCorrupt,
}

// Errors for errors.Is, of pictures that other limits would accept.
var (
	// ErrTruncated says that a picture is cut short, and that with Limits.KeepTruncated what is there
	// would be decoded. It is an ErrCorrupt, too.
	ErrTruncated = errors.New("cut short")
	// ErrTooManyPixels says that a picture has more than Limits.MaxPixels, or that more of them than
	// MaxDecodedPixels would be decoded. It is an ErrTooLarge, too.
	ErrTooManyPixels = errors.New("too many pixels")
)

// Error says why a picture cannot be decoded.
type Error struct {
	Kind   Kind
	Detail string // the reason and what to do, for people
	Err    error  // the decoder's error, or nil
}

func (e *Error) Error() string {
	s := sentinels[e.Kind].Error() + ": " + e.Detail
	if e.Err == nil || errors.Is(e.Err, raster.ErrTruncated) || errors.Is(e.Err, ErrTooManyPixels) {
		return s // Detail says it
	}
	text := e.Err.Error()
	for _, err := range []error{raster.ErrCorrupt, raster.ErrUnsupported, raster.ErrTooLarge} {
		text = strings.TrimPrefix(text, err.Error()+": ") // s says it
	}
	return s + " (" + text + ")"
}

// Unwrap returns the decoder's error.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the error of e's kind.
func (e *Error) Is(target error) bool { return sentinels[e.Kind] == target }

// KindOf returns the kind of a picture's error, "" for other errors.
func KindOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return string(e.Kind)
	}
	return ""
}
