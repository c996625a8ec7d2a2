package picture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"garb/internal/raster"
)

// Limits says which pictures are accepted: what one may cost, and whether it may be cut short. Only
// the first frame of a picture is ever decoded.
type Limits struct {
	MaxBytes  int64 // encoded size
	MaxPixels int   // width × height, as stored
	// MaxDecodedPixels limits width × height of what is decoded. That is less than what is stored for
	// JPEGs that are decoded at reduced scale, except progressive ones. 0 means MaxPixels.
	MaxDecodedPixels int
	MaxSide          int           // width and height, in pixels
	Timeout          time.Duration // of one Decode or Load; 0 for the context's deadline alone
	// KeepTruncated accepts pictures that are cut short, and decodes what is there, as Pillow does
	// with ImageFile.LOAD_TRUNCATED_IMAGES. Info.Repairs then says so. Otherwise they are errors
	// (ErrTruncated). WebP, AVIF and HEIC that are cut short are errors in either case.
	KeepTruncated bool
}

// DefaultLimits returns 64 MiB, 65,535 pixels per side and 30 seconds, and takes all that the
// cameras of phones store: 110 megapixels for JPEGs that are decoded at reduced scale, and 66 for
// everything that has to be decoded whole.
func DefaultLimits() Limits {
	return Limits{
		MaxBytes: 64 << 20, MaxPixels: 110_000_000, MaxDecodedPixels: 66_000_000, MaxSide: 65_535,
		Timeout: 30 * time.Second,
	}
}

// WithMaxPixels returns the limits with another maximum of pixels, for what is stored and for what is
// decoded; 0 changes nothing.
func (l Limits) WithMaxPixels(pixels int) Limits {
	if pixels != 0 {
		l.MaxPixels, l.MaxDecodedPixels = pixels, pixels
	}
	return l
}

// Validate returns an error for a limit that no picture could meet.
func (l Limits) Validate() error {
	if l.MaxBytes <= 0 || l.MaxPixels <= 0 || l.MaxDecodedPixels < 0 || l.MaxSide <= 0 || l.Timeout < 0 {
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

// decodedPixels returns the limit of what is decoded.
func (l Limits) decodedPixels() int {
	if l.MaxDecodedPixels == 0 {
		return l.MaxPixels
	}
	return min(l.MaxDecodedPixels, l.MaxPixels)
}

// checkSize reports a picture whose width or height is beyond the limits.
func (l Limits) checkSize(width, height int) error {
	switch {
	case width > l.MaxSide || height > l.MaxSide:
		return &Error{TooLarge, fmt.Sprintf("%d × %d pixels; the limit of a side is %d; scale it down",
			width, height, l.MaxSide), nil}
	case raster.CheckPixels(width, height, l.MaxPixels) != nil:
		return errTooManyPixels(width, height, l.MaxPixels)
	}
	return nil
}

// checkDecoded reports a picture of which too much has to be decoded at 1/reduction of its size.
func (l Limits) checkDecoded(info Info, reduction int) error {
	width, height := info.Width, info.Height
	if !info.whole {
		width, height = (width+reduction-1)/reduction, (height+reduction-1)/reduction
	}
	if raster.CheckPixels(width, height, l.decodedPixels()) != nil {
		return errTooManyPixels(info.Width, info.Height, l.decodedPixels())
	}
	return nil
}

func errTooManyPixels(width, height, limit int) error {
	megapixels := strconv.FormatFloat(float64(limit)/1e6, 'f', -1, 64)
	return &Error{TooLarge, fmt.Sprintf("%d × %d pixels; the limit is %s megapixels; scale it down",
		width, height, megapixels), ErrTooManyPixels}
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

// maxEmptyReads is the number of reads in a row that may return nothing, as in package bufio.
const maxEmptyReads = 100

// contextReader fails when its context ends, and when its reader keeps returning neither bytes nor
// an error.
type contextReader struct {
	ctx   context.Context
	r     io.Reader
	empty int // reads in a row
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if n > 0 || err != nil || len(p) == 0 {
		c.empty = 0
		return n, err
	}
	if c.empty++; c.empty >= maxEmptyReads {
		return 0, io.ErrNoProgress
	}
	return 0, nil
}
