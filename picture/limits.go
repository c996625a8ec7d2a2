package picture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Limits limits what one picture may cost. Only the first frame of a picture is ever decoded.
type Limits struct {
	MaxBytes  int64         // encoded size
	MaxPixels int           // width × height
	MaxSide   int           // width and height, in pixels
	Timeout   time.Duration // of one Decode or Load; 0 for the context's deadline alone
}

// DefaultLimits returns 32 MiB, 50 megapixels, 16,384 pixels per side and 30 seconds. A
// 12-megapixel AVIF takes about half of that time, everything else far less.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 32 << 20, MaxPixels: 50_000_000, MaxSide: 16_384, Timeout: 30 * time.Second}
}

// Validate returns an error for a limit that no picture could meet.
func (l Limits) Validate() error {
	if l.MaxBytes <= 0 || l.MaxPixels <= 0 || l.MaxSide <= 0 || l.Timeout < 0 {
		return errors.New("picture limits must be positive")
	}
	return nil
}

func (l Limits) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.Timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, l.Timeout)
}

// identify reads a picture's header and checks it against the limits.
func (l Limits) identify(data []byte) (Info, error) {
	if int64(len(data)) > l.MaxBytes {
		return Info{}, l.errTooManyBytes()
	}
	info, err := Identify(data)
	if err != nil {
		return info, err
	}
	return info, l.checkSize(info.Width, info.Height)
}

// checkSize reports a picture whose width or height is beyond the limits.
func (l Limits) checkSize(width, height int) error {
	switch {
	case width > l.MaxSide || height > l.MaxSide:
		return &Error{TooLarge, fmt.Sprintf("%d × %d pixels; the limit of a side is %d; scale it down",
			width, height, l.MaxSide), nil}
	case width > l.MaxPixels/height:
		return &Error{TooLarge, fmt.Sprintf("%d × %d pixels; the limit is %.0f megapixels; scale it down",
			width, height, float64(l.MaxPixels)/1e6), nil}
	}
	return nil
}

func (l Limits) errTooManyBytes() error {
	return &Error{TooLarge, fmt.Sprintf("more than %d bytes; compress it or scale it down", l.MaxBytes), nil}
}

// Read reads a picture's bytes. More than MaxBytes are an Error of kind TooLarge. Errors of r are
// returned as they are; a reader that keeps returning nothing is io.ErrNoProgress.
func Read(r io.Reader, l Limits) ([]byte, error) { return ReadContext(context.Background(), r, l) }

// ReadContext reads as Read does, and ends with its context between two calls of r.Read; it cannot
// interrupt one that blocks.
func ReadContext(ctx context.Context, r io.Reader, l Limits) ([]byte, error) {
	r = &contextReader{ctx: ctx, r: r}
	data, err := io.ReadAll(io.LimitReader(r, min(l.MaxBytes, math.MaxInt64-1)+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > l.MaxBytes {
		return nil, l.errTooManyBytes()
	}
	return data, nil
}
