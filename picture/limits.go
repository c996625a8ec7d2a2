package picture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Limits bound what one picture may cost. Only the first frame of a picture is
// ever decoded.
type Limits struct {
	MaxBytes  int64         // encoded size
	MaxPixels int           // width × height
	MaxSide   int           // width and height, in pixels
	Timeout   time.Duration // of one Decode or Load; 0 for the context's deadline alone
}

// DefaultLimits returns 32 MiB, 50 megapixels, 16,384 pixels a side, 30 seconds:
// a 12-megapixel AVIF takes about half of that, everything else far less.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 32 << 20, MaxPixels: 50_000_000, MaxSide: 16_384, Timeout: 30 * time.Second}
}

// Validate reports a limit that nothing could meet.
func (l Limits) Validate() error {
	if l.MaxBytes <= 0 || l.MaxPixels <= 0 || l.MaxSide <= 0 || l.Timeout < 0 {
		return errors.New("picture limits must be positive")
	}
	return nil
}

func (l Limits) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.Timeout)
}

// check identifies a picture and holds it against the limits, before anything is
// decoded.
func (l Limits) check(data []byte) (Info, error) {
	if int64(len(data)) > l.MaxBytes {
		return Info{}, l.tooManyBytes()
	}
	info, err := Identify(data)
	if err != nil {
		return info, err
	}
	return info, l.checkSize(info.Width, info.Height)
}

// checkSize holds a picture's width and height against the limits.
func (l Limits) checkSize(width, height int) error {
	switch {
	case width > l.MaxSide || height > l.MaxSide:
		return &Error{TooLarge,
			fmt.Sprintf("%d × %d pixels, where a side may have %d; scale it down", width, height, l.MaxSide), nil}
	case width > l.MaxPixels/height:
		return &Error{TooLarge,
			fmt.Sprintf("%d × %d pixels, where %.0f megapixels are the limit; scale it down", width, height,
				float64(l.MaxPixels)/1e6), nil}
	}
	return nil
}

func (l Limits) tooManyBytes() error {
	return &Error{TooLarge, fmt.Sprintf("more than %d bytes; compress it or scale it down", l.MaxBytes), nil}
}

// Read reads a picture's bytes, at most MaxBytes: more are an Error of kind
// TooLarge. Errors of r are returned as they are.
func Read(r io.Reader, l Limits) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, l.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > l.MaxBytes {
		return nil, l.tooManyBytes()
	}
	return data, nil
}
