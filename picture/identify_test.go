package picture

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// TestFindFormat checks the first bytes of all formats, and of data that only begin like one.
func TestFindFormat(t *testing.T) {
	icon := func(kind, count, at byte) []byte {
		return slices.Concat([]byte{0, 0, kind, 0, count, 0}, make([]byte, 12), []byte{at, 0, 0, 0}, make([]byte, 40))
	}
	bmp := func(size uint32) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte("BM012345678901"), size), make([]byte, 20)...)
	}
	for _, test := range []struct {
		data   []byte
		format Format
		err    error
	}{
		{[]byte("\xff\xd8\xff\xe0"), JPEG, nil},
		{[]byte("\xff\xd8\x00\x00"), "", ErrNotPicture},
		{[]byte("\x89PNG\r\n\x1a\n"), PNG, nil},
		{[]byte("\x89PNG\n\x1a\n"), "", ErrNotPicture},
		{[]byte("GIF87a"), GIF, nil},
		{[]byte("GIF89a"), GIF, nil},
		{[]byte("GIF88a"), "", ErrNotPicture},
		{[]byte("RIFF\x00\x00\x00\x00WEBP"), WebP, nil},
		{[]byte("RIFF\x00\x00\x00\x00WAVE"), "", ErrNotPicture},
		{[]byte("RIFF\x00\x00\x00\x00WEB"), "", ErrNotPicture},
		{bmp(16), BMP, nil},
		{bmp(124), BMP, nil},
		{bmp(17), "", ErrNotPicture},
		{[]byte("BMW"), "", ErrNotPicture},
		{[]byte("II*\x00"), TIFF, nil},
		{[]byte("MM\x00*"), TIFF, nil},
		{[]byte("II\x00*"), TIFF, nil},
		{[]byte("MM*\x00"), TIFF, nil},
		{[]byte("II+\x00"), TIFF, nil},
		{[]byte("MM\x00+"), TIFF, nil},
		{[]byte("II\x00+"), "", ErrNotPicture},
		{icon(1, 1, 22), ICO, nil},
		{icon(2, 1, 22), ICO, nil},
		{icon(1, 2, 38), ICO, nil},
		{icon(0, 1, 22), "", ErrNotPicture},
		{icon(3, 1, 22), "", ErrNotPicture},
		{icon(1, 0, 22), "", ErrNotPicture},
		{icon(1, 1, 21), "", ErrNotPicture},
		{icon(1, 2, 37), "", ErrNotPicture},
		{icon(1, 1, 22)[:21], "", ErrNotPicture},
		{[]byte("\x00\x00\x00\x0cJXL \r\n\x87\n"), "", ErrUnsupported},
		{[]byte("\xff\x0a"), "", ErrUnsupported},
		{[]byte("\x00\x00\x00\x0cjP  \r\n\x87\n"), "", ErrUnsupported},
		{[]byte("\xff\x4f\xff\x51"), "", ErrUnsupported},
		{nil, "", ErrNotPicture},
		{[]byte("%PDF-1.7"), "", ErrNotPicture},
	} {
		format, err := findFormat(test.data)
		if format != test.format || !errors.Is(err, test.err) {
			t.Errorf("%q: %q, %v", test.data, format, err)
		}
	}
}
