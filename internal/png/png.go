// Package png decodes PNG and the first frame of APNG to Pillow's pixels. It accepts and refuses what
// Pillow does (PngImagePlugin.py and ZipDecode.c), with and without LOAD_TRUNCATED_IMAGES: chunks that
// are missing, surplus or out of order, wrong checksums and lengths, damaged and cut pixels.
//
// It differs from Pillow in four cases:
//
//   - A file that Pillow reads only without LOAD_TRUNCATED_IMAGES is read with Options.KeepTruncated too.
//   - A text has no effect whose keyword is a name that Pillow uses itself, as "interlace" or "transparency".
//   - A palette is refused if a later header says that there is none.
//   - The limit of all texts counts what is decompressed, even if it is invalid.
package png

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"

	"garb/internal/raster"
)

// Repairs.
const (
	repairedCRC       = "a checksum (CRC) of a chunk is wrong"
	repairedEnd       = "the end (IEND) is missing or cut off"
	repairedAdler     = "the checksum (Adler-32) of the pixels is missing or wrong"
	repairedSurplus   = "there are more data than the picture needs"
	repairedRows      = "the last rows are missing, and are left empty"
	repairedTruncated = "the data end in the middle of the picture"
	repairedCorrupt   = "the pixels are damaged"
)

// ReadHeader reads what the chunks say, those after the pixels too. It accepts what Decode accepts
// with or without Options.KeepTruncated.
func ReadHeader(data []byte) (raster.Header, error) {
	r := reader{data: data}
	err := r.open()
	p := r.picture
	if err == nil {
		err = r.readEnd()
	}
	if err != nil {
		r = reader{data: data, lenient: true}
		if r.open() != nil {
			return raster.Header{}, err
		}
		p = r.picture
		_ = r.readEnd() // what comes before the fault counts
	}
	return r.header(p), nil
}

func (r *reader) header(p picture) raster.Header {
	h := raster.Header{
		Width: p.width, Height: p.height, BitsPerSample: p.bits,
		Grey:     p.colours == grey || p.colours == greyAlpha,
		Alpha:    p.colours == greyAlpha || p.colours == rgbAlpha || r.transparency.set() && !p.grey16(),
		Animated: r.animated,
		EXIF:     r.exif, XMP: r.xmpText, ICC: r.icc,
	}
	if h.EXIF == nil {
		h.EXIF = decodeProfile(r.exifProfile)
	}
	if len(h.XMP) == 0 {
		h.XMP = r.xmp
	}
	return h
}

// decodeProfile returns the content of a profile as ImageMagick writes it in a text: after three
// lines come hexadecimal digits. Pillow's Image.getexif reads it.
func decodeProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte{'\n'}, 4)
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.Join(bytes.Fields(lines[3]), nil)
	profile := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(profile, digits); err != nil {
		return nil
	}
	return profile
}

// Decode decodes the picture that Pillow shows first. Beside the result, it allocates at most the size
// of the data, 2 MB, and the size of a few rows.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	m, err := decode(ctx, data, o.MaxPixels, false)
	if errors.Is(err, raster.ErrCorrupt) && o.KeepTruncated {
		m, err = decode(ctx, data, o.MaxPixels, true)
	}
	return m, err
}

func decode(ctx context.Context, data []byte, maxPixels int, lenient bool) (raster.Image, error) {
	r := reader{data: data, lenient: lenient}
	if err := r.open(); err != nil {
		return raster.Image{}, err
	}
	if err := raster.CheckPixels(r.picture.width, r.picture.height, maxPixels); err != nil {
		return raster.Image{}, err
	}
	d, err := newDecoder(ctx, &r)
	if err != nil {
		return raster.Image{}, err
	}
	if err := d.decode(); err != nil {
		return raster.Image{}, err
	}
	d.rewind(&r)
	if err := r.readEnd(); err != nil {
		return raster.Image{}, err
	}
	d.nameRepairs(&r)
	return d.image, nil
}

// nameRepairs adds to the picture what was wrong with the file.
func (d *decoder) nameRepairs(r *reader) {
	if r.wrongCRC {
		d.image.AddRepair(repairedCRC)
	}
	if !r.ended {
		d.image.AddRepair(repairedEnd)
	}
	for _, repair := range d.repairs {
		d.image.AddRepair(repair)
	}
}
