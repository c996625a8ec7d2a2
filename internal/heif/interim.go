// Package heif decodes AVIF and HEIC pictures. INTERIM (lead): helper-6 replaces this file; delete interim.go then.
package heif

import (
	"context"
	"errors"
)

var ErrCorrupt, ErrUnsupported, ErrTooLarge = errors.New("heif: corrupt"), errors.New("heif: unsupported"), errors.New("heif: too large")

func Identify(data []byte) (format string, width, height int, ok bool, err error) { return }
func Decode(ctx context.Context, data []byte, maxPixels int) (pixels []byte, width, height int, err error) {
	return nil, 0, 0, ErrUnsupported
}
