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
	markerSOF0  = 0xc0
	markerDHT   = 0xc4
	markerDAC   = 0xcc
	markerSOF15 = 0xcf

	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP0 = 0xe0
	markerAPPF = 0xef
)

// checkJPEG checks that JPEG is read for the kind of picture.
func (p *picture) checkJPEG() error {
	if p.bits != 8 || p.photometric == ycbcr && p.planar {
		return raster.Unsupportedf("TIFF with JPEG compression of %d samples of %d bits", p.stored, p.bits)
	}
	return p.checkForLibtiff()
}

// decodeJPEG decodes a strip or tile that is a JPEG picture, which must fit the grid.
func (d *decoder) decodeJPEG(strip []byte, area part, g grid, plane int) error {
	file, err := d.assembleJPEG(strip)
	if err != nil {
		return err
	}
	stored, channels := d.stored, d.channels
	if d.planar {
		stored, channels = 1, 1
	}
	if err = checkFrame(file, area, g, stored, d.photometric == ycbcr); err != nil {
		return err
	}
	s, err := d.decodeSamples(file)
	if err != nil {
		return err
	}
	if s.Channels != stored || s.Width != g.width || s.Height < area.height {
		return raster.Corruptf("TIFF with a JPEG picture of %d × %d pixels and %d channels",
			s.Width, s.Height, s.Channels)
	}
	for _, r := range s.Repairs {
		d.repairs.AddRepair(r)
	}
	for y := range area.height {
		out := d.samples[((area.y+y)*d.width+area.x)*d.channels+plane:]
		unpackBytes(out, s.Pix[y*s.Width*stored:], area.width, d.channels, channels, stored, 1)
	}
	return nil
}

// decodeSamples decodes a JPEG file, whose colours are converted only from YCbCr.
func (d *decoder) decodeSamples(file []byte) (jpeg.Samples, error) {
	o := raster.Options{MaxPixels: d.options.MaxPixels}
	if d.photometric != ycbcr {
		return jpeg.DecodeSamples(d.ctx, file, o)
	}
	m, err := jpeg.Decode(d.ctx, file, o)
	return jpeg.Samples{Width: m.Width, Height: m.Height, Channels: 3, Pix: m.Pix, Repairs: m.Repairs}, err
}

// checkFrame checks that the frame header of a JPEG file fits the strip or tile, as libtiff does
// (tif_jpeg.c, JPEGPreDecode): only the first component of YCbCr has more samples than others.
func checkFrame(file []byte, area part, g grid, components int, subsampled bool) error {
	frame := findFrame(file)
	if len(frame) < 6 || len(frame) != 6+3*int(frame[5]) {
		return raster.Corruptf("TIFF with a JPEG picture without a frame header")
	}
	height, width := int(binary.BigEndian.Uint16(frame[1:])), int(binary.BigEndian.Uint16(frame[3:]))
	switch {
	case width != g.width || height < area.height || height > g.height:
		return raster.Corruptf("TIFF with a JPEG picture of %d × %d pixels in a strip or tile of %d × %d",
			width, height, g.width, g.height)
	case int(frame[5]) != components:
		return raster.Corruptf("TIFF with a JPEG picture of %d components instead of %d", frame[5], components)
	}
	for i := range components {
		if factors := frame[6+3*i+1]; factors != 0x11 && (i > 0 || !subsampled) {
			return raster.Corruptf("TIFF with a JPEG picture whose components have different sizes")
		}
	}
	return nil
}

// findFrame returns the body of the first frame header of a JPEG file, or nil.
func findFrame(file []byte) []byte {
	for at := 2; at+4 <= len(file) && file[at] == 0xff && file[at+1] != markerSOS; {
		marker := file[at+1]
		end := at + 2 + int(binary.BigEndian.Uint16(file[at+2:]))
		if marker >= markerSOF0 && marker <= markerSOF15 && marker != markerDHT && marker != markerDAC {
			return file[min(at+4, end):min(end, len(file))]
		}
		at = end
	}
	return nil
}

// ends ends a JPEG file, also one that is cut inside a segment: libtiff gives libjpeg end markers for as
// long as libjpeg asks for data, and a segment has at most 65,535 bytes.
var ends = bytes.Repeat([]byte{0xff, markerEOI}, 1<<15)

// adobeYCbCr is the segment by which Adobe says that colours are YCbCr (libjpeg, jdapimin.c).
var adobeYCbCr = []byte{0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 1}

// assembleJPEG returns the JPEG file of a strip or tile: with the tables that all of them share, with the
// colour space that the TIFF file says, and with an end.
func (d *decoder) assembleJPEG(strip []byte) ([]byte, error) {
	tables, err := jpegSegments(d.entries[tagJPEGTables].data)
	if err != nil && len(d.entries[tagJPEGTables].data) > 0 {
		return nil, err
	}
	segments, err := jpegSegments(strip)
	if err != nil {
		return nil, err
	}
	file := []byte{0xff, markerSOI}
	if d.photometric == ycbcr {
		file = append(file, adobeYCbCr...)
	}
	file = slices.Concat(file, tables, segments)
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
