package tiff

import (
	"bytes"
	"encoding/binary"
	"slices"

	"garb/internal/jpeg"
	"garb/internal/raster"
)

// JPEG markers.
const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP0 = 0xe0
	markerAPPF = 0xef
)

// checkJPEG checks that JPEG is read for the kind of picture.
func (p *picture) checkJPEG() error {
	switch {
	case p.photometric == separated:
		return raster.Unsupportedf("TIFF with CMYK in JPEG compression")
	case p.bits != 8 || p.stored != p.channels || p.planar && p.channels > 1 || p.alpha != unspecified:
		return raster.Unsupportedf("TIFF with JPEG compression of %d samples of %d bits", p.stored, p.bits)
	}
	return p.checkForLibtiff()
}

// decodeJPEG decodes a strip or tile that is a JPEG picture.
func (d *decoder) decodeJPEG(strip []byte, area part, g grid) error {
	file, err := d.assembleJPEG(strip)
	if err != nil {
		return err
	}
	h, err := jpeg.ReadHeader(file)
	if err != nil {
		return err
	}
	if h.Width != g.width || h.Height < area.height || h.Height > g.height {
		return raster.Corruptf("TIFF with a JPEG picture of %d × %d pixels in a strip or tile of %d × %d",
			h.Width, h.Height, g.width, g.height)
	}
	if h.CMYK || h.Grey != (d.channels == 1) {
		return raster.Corruptf("TIFF with a JPEG picture of other channels")
	}
	m, err := jpeg.Decode(d.ctx, file, raster.Options{MaxPixels: d.options.MaxPixels})
	if err != nil {
		return err
	}
	for _, r := range m.Repairs {
		d.repairs.AddRepair(r)
	}
	for y := range area.height {
		out := d.samples[((area.y+y)*d.width+area.x)*d.channels:]
		unpackBytes(out, m.Row(y), area.width, d.channels, d.channels, 3, 1)
	}
	return nil
}

// ends ends a JPEG file, also one that is cut inside a segment: libtiff gives libjpeg end markers for as
// long as libjpeg asks for data, and a segment has at most 65,535 bytes.
var ends = bytes.Repeat([]byte{0xff, markerEOI}, 1<<15)

// assembleJPEG returns the JPEG file of a strip or tile: with the tables that all of them share, with the
// colour space that the TIFF file says, and with an end.
func (d *decoder) assembleJPEG(strip []byte) ([]byte, error) {
	// An Adobe segment says whether colours are YCbCr (libjpeg, jdapimin.c).
	adobe := []byte{0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0}
	if d.photometric == ycbcr {
		adobe[len(adobe)-1] = 1
	}
	tables, err := jpegSegments(d.entries[tagJPEGTables].data)
	if err != nil && len(d.entries[tagJPEGTables].data) > 0 {
		return nil, err
	}
	segments, err := jpegSegments(strip)
	if err != nil {
		return nil, err
	}
	file := slices.Concat([]byte{0xff, markerSOI}, adobe, tables, segments)
	if !bytes.HasSuffix(segments, ends[:2]) {
		file = append(file, ends...)
	}
	return file, nil
}

// jpegSegments returns a JPEG stream without its start, without application segments and, if it has no
// scans, without its end.
func jpegSegments(data []byte) ([]byte, error) {
	if len(data) < 2 || data[0] != 0xff || data[1] != markerSOI {
		return nil, raster.Corruptf("TIFF with JPEG data that do not begin with the start marker")
	}
	var kept []byte
	for at := 2; ; {
		if at+4 > len(data) || data[at] != 0xff {
			return kept, nil
		}
		marker := data[at+1]
		switch marker {
		case 0xff: // fill
			at++
			continue
		case markerEOI:
			return kept, nil
		case markerSOS:
			return append(kept, data[at:]...), nil
		}
		end := min(at+2+int(binary.BigEndian.Uint16(data[at+2:])), len(data))
		if marker < markerAPP0 || marker > markerAPPF {
			kept = append(kept, data[at:end]...)
		}
		at = end
	}
}
