package jpeg

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"garb/internal/raster"
)

func TestReadHeader(t *testing.T) {
	h, err := ReadHeader(read(t, "testdata/65x33-420-progressive.jpg"))
	want := raster.Header{Width: 65, Height: 33, BitsPerSample: 8, Whole: true}
	if err != nil || !reflect.DeepEqual(h, want) {
		t.Errorf("%+v, %v; want %+v", h, err, want)
	}
	h, err = ReadHeader(read(t, "testdata/17x9-cmyk.jpg"))
	if err != nil || !h.CMYK || h.Grey || h.Whole {
		t.Errorf("CMYK: %+v, %v", h, err)
	}
	if h, err = ReadHeader(read(t, "testdata/processes/lossless-1.jpg")); err != nil || !h.Whole {
		t.Errorf("lossless: %+v, %v", h, err)
	}
	h, err = ReadHeader(read(t, "testdata/17x9-grey.jpg"))
	if err != nil || !h.Grey || h.CMYK {
		t.Errorf("grey: %+v, %v", h, err)
	}
}

// application encodes an application segment.
func application(number byte, parts ...string) []byte {
	return makeSegment(markerAPP0+number, []byte(strings.Join(parts, ""))...)
}

// TestReadHeaderCollectsMetadata puts segments in any order, with stray bytes and fill bytes before
// them.
func TestReadHeaderCollectsMetadata(t *testing.T) {
	data := read(t, "testdata/17x9-420.jpg")
	changed := slices.Concat(data[:2], []byte{0xff, 0xff, 0xff, 0xe5, 0, 0, 0xff, 0xe6, 0, 1, 'x', 0xff, 0, 'y'},
		application(2, prefixICC, "\x02\x02", "file"),
		application(1, prefixXMP, "first packet"),
		application(1, "other"),
		application(1, prefixEXIF, "exif"),
		application(2, prefixICC, "\x01\x02", "pro"),
		application(1, prefixEXIF, " goes on"),
		application(1, prefixXMP, "packet"), data[2:])
	h, err := ReadHeader(changed)
	if err != nil || string(h.EXIF) != prefixEXIF+"exif goes on" || string(h.XMP) != "packet" ||
		string(h.ICC) != "profile" {
		t.Errorf("EXIF %q, XMP %q, ICC %q, %v", h.EXIF, h.XMP, h.ICC, err)
	}
	missing := slices.Concat(data[:2], application(2, prefixICC, "\x02\x02", "file"), data[2:])
	if h, err = ReadHeader(missing); err != nil || h.ICC != nil {
		t.Errorf("with a part of the profile: %q, %v", h.ICC, err)
	}
}

func TestReadHeaderRefusesShortSegments(t *testing.T) {
	data := read(t, "testdata/17x9-420.jpg")
	for _, segment := range [][]byte{
		application(0, "JFIF\x00\x01"), application(14, "Adobe"), application(2, prefixICC, "\x01"),
	} {
		if _, err := ReadHeader(slices.Concat(data[:2], segment, data[2:])); !errors.Is(err, raster.ErrCorrupt) {
			t.Errorf("%q: %v", segment, err)
		}
	}
}
