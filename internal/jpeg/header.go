package jpeg

import (
	"bytes"
	"slices"

	"garb/internal/raster"
)

// Prefixes of application segments.
const (
	prefixEXIF = "Exif\x00\x00"
	prefixXMP  = "http://ns.adobe.com/xap/1.0/\x00"
	prefixICC  = "ICC_PROFILE\x00"
)

// headerReader reads what comes before the first scan, as Pillow's JpegImagePlugin does.
type headerReader struct {
	data   []byte
	at     int // next byte of data
	header raster.Header
	found  bool // a frame header
	// lossless says that the frame is of lossless coding.
	lossless bool
	icc      [][]byte // segments of the ICC profile
	pairs    bool     // pictures of two components are read, too
}

// ReadHeader reads the header: the segments before the first scan. It refuses what Pillow does not
// open.
func ReadHeader(data []byte) (raster.Header, error) {
	r := headerReader{data: data}
	err := r.read()
	return r.header, err
}

func (r *headerReader) read() error {
	if !bytes.HasPrefix(r.data, []byte{0xff, markerSOI, 0xff}) {
		return raster.Corruptf("the data do not begin with JPEG's start marker")
	}
	for r.at = 2; ; {
		marker, ok := r.nextMarker()
		if !ok {
			return raster.ErrTruncated
		}
		switch {
		case marker < markerSOF0:
			return raster.Corruptf("JPEG with the marker %#x", marker)
		case marker == markerJPG, marker >= markerRST0 && marker <= markerEOI,
			marker >= markerJPG0 && marker <= markerJPG13:
			continue // markers without a segment
		}
		body, ok := r.takeSegment()
		if !ok {
			return raster.ErrTruncated
		}
		if err := r.readSegment(marker, body); err != nil {
			return err
		}
		if marker == markerSOS {
			if !r.found {
				return raster.Corruptf("JPEG without a frame header")
			}
			return nil
		}
	}
}

// nextMarker skips to the next marker and returns it.
func (r *headerReader) nextMarker() (marker byte, ok bool) {
	for ; r.at+1 < len(r.data); r.at++ {
		if next := r.data[r.at+1]; r.data[r.at] == 0xff && next != 0 && next != 0xff {
			r.at += 2
			return next, true
		}
	}
	return 0, false
}

// takeSegment returns the body of a segment. One whose length is below 2 is empty.
func (r *headerReader) takeSegment() (body []byte, ok bool) {
	rest := r.data[r.at:]
	if len(rest) < 2 {
		return nil, false
	}
	length := max(2, int(rest[0])<<8|int(rest[1]))
	if length > len(rest) {
		return nil, false
	}
	r.at += length
	return rest[2:length], true
}

func (r *headerReader) readSegment(marker byte, body []byte) error {
	switch marker {
	case markerDHT, markerDAC, markerSOS, markerDQT, markerDNL, markerDRI, markerEXP, markerCOM:
	case markerAPP0:
		return checkVersion(body, "JFIF")
	case markerAPP14:
		return checkVersion(body, "Adobe")
	case markerAPP0 + 1:
		r.readEXIFOrXMP(body)
	case markerAPP0 + 2:
		if bytes.HasPrefix(body, []byte(prefixICC)) {
			r.icc = append(r.icc, body)
		}
	default:
		if marker < markerAPP0 {
			r.lossless = marker == markerSOF3
			r.header.Whole = r.lossless || isProgressive(marker)
			return r.readFrameHeader(body)
		}
	}
	return nil
}

// isProgressive reports whether frames of the marker are progressive.
func isProgressive(marker byte) bool { return marker == markerSOF2 || marker == markerSOF10 }

// checkVersion checks that the version is there, in bytes 5 and 6, if the body has the prefix.
func checkVersion(body []byte, prefix string) error {
	if bytes.HasPrefix(body, []byte(prefix)) && len(body) < 7 {
		return raster.Corruptf("the %s segment of the JPEG is too short", prefix)
	}
	return nil
}

// readEXIFOrXMP keeps the last XMP packet and the EXIF blocks one after the other.
func (r *headerReader) readEXIFOrXMP(body []byte) {
	switch {
	case bytes.HasPrefix(body, []byte(prefixEXIF)):
		if r.header.EXIF == nil {
			r.header.EXIF = slices.Clip(body)
		} else {
			r.header.EXIF = append(r.header.EXIF, body[len(prefixEXIF):]...)
		}
	case bytes.HasPrefix(body, []byte(prefixXMP)):
		r.header.XMP = body[len(prefixXMP):]
	}
}

// readFrameHeader reads the size and the number of components. Of several frame headers the last
// one counts.
func (r *headerReader) readFrameHeader(body []byte) error {
	if len(body) < 6 || len(body)%3 != 0 {
		return raster.Corruptf("the frame header of the JPEG has the wrong length")
	}
	h := &r.header
	h.Height, h.Width = int(body[1])<<8|int(body[2]), int(body[3])<<8|int(body[4])
	if h.BitsPerSample = int(body[0]); h.BitsPerSample != 8 {
		return raster.Unsupportedf("JPEG of %d bits per sample", h.BitsPerSample)
	}
	switch n := body[5]; {
	case n == 1, n == 2 && r.pairs, n == 3, n == 4:
		h.Grey, h.CMYK = n == 1, n == 4
	default:
		return raster.Unsupportedf("JPEG of %d components", n)
	}
	if h.Width == 0 || h.Height == 0 {
		return raster.Corruptf("a side of the JPEG is 0")
	}
	r.found = true
	return r.joinICC()
}

// joinICC joins the segments of the ICC profile that come before the frame header in the order of
// their numbers, unless some are missing.
func (r *headerReader) joinICC() error {
	if len(r.icc) == 0 {
		return nil
	}
	slices.SortFunc(r.icc, bytes.Compare)
	const start = len(prefixICC) + 2
	if len(r.icc[0]) < start {
		return raster.Corruptf("a segment of the JPEG's ICC profile is too short")
	}
	r.header.ICC = nil
	if int(r.icc[0][start-1]) == len(r.icc) {
		for _, part := range r.icc {
			r.header.ICC = append(r.header.ICC, part[min(start, len(part)):]...)
		}
	}
	r.icc = nil
	return nil
}
