package png

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"garb/internal/raster"
)

// feedSize is how much Pillow gives to zlib at once: MAXBLOCK in ImageFile.py. It matters where the
// compressed data are corrupt or end too early.
const feedSize = 65536

// mostPerByte is the most that a byte of deflate data gives: a match of 258 bytes takes at least two bits.
const mostPerByte = 1032

// feed is a part of the compressed data, and the state of the reader after it.
type feed struct {
	end                 int // in the compressed data
	pos, idat, sequence int
	current             chunk
}

// decoder decodes the pixels.
type decoder struct {
	ctx     context.Context
	lenient bool
	image   raster.Image
	repairs []string

	data     []byte // compressed
	feeds    []feed
	last     reader // after the last feed
	feedsErr error  // why there are no more of them, if not because the pixels end

	passes  []pass
	convert func(out, row []uint8) // to RGB over white
	blank   [3]uint8               // pixel that is not in the data
	direct  bool                   // rows are those of the picture
	boxed   bool                   // the passes do not cover the picture
	bpp     int                    // bytes per pixel, at least 1

	row, above []uint8 // unfiltered
	converted  []uint8

	stopped int // index of the feed in which decoding stopped
}

// newDecoder gathers the compressed data and what is known of the picture, also from behind the
// pixels.
func newDecoder(ctx context.Context, r *reader) (*decoder, error) {
	d := &decoder{ctx: ctx, lenient: r.lenient, last: *r}
	d.gather(&d.last)
	all := d.last
	if n := len(d.feeds); n > 0 && d.feedsErr != nil {
		all.seek(d.feeds[n-1]) // the pixels may be complete before what is no chunk
	}
	_ = all.readEnd() // Decode reads it again, from the feed at which the pixels are complete
	d.last.wrongCRC = d.last.wrongCRC || all.wrongCRC

	whole := box{0, 0, r.picture.width, r.picture.height}
	part := whole
	if r.box != nil {
		part = *r.box
		if part.width <= 0 || part.height <= 0 || part.x+part.width > r.picture.width ||
			part.y+part.height > r.picture.height {
			return nil, raster.Corruptf("the first frame of the animation is empty, or outside of the picture")
		}
	}
	d.image = raster.Image{Width: r.picture.width, Height: r.picture.height}
	d.passes = makePasses(part, r.interlaced, r.picture.bitsPerPixel())
	d.bpp = max(1, r.picture.bitsPerPixel()/8)
	var err error
	d.convert, err = newConverter(r.picture, r.palette, all.transparency)
	if err != nil {
		return nil, err
	}
	d.convert(d.blank[:], make([]uint8, d.bpp))
	d.boxed = part != whole
	d.direct = r.picture.colours == rgb && r.picture.bits == 8 && !all.transparency.set() && !d.boxed && !r.interlaced
	return d, nil
}

// gather reads the compressed data as Pillow's load_read does.
func (d *decoder) gather(r *reader) {
	start, contiguous := r.pos, true
	for d.nextPixels(r) {
		at := r.pos
		n := min(feedSize, r.idat)
		part := r.read(n)
		r.idat -= n
		if len(part) == 0 {
			d.feedsErr = raster.ErrTruncated
			return
		}
		if contiguous = contiguous && at == start+len(d.data); contiguous {
			d.data = r.data[start : at+len(part) : at+len(part)]
		} else {
			if cap(d.data) == len(d.data) { // it is still a part of the file
				d.data = append(make([]byte, 0, len(r.data)-start), d.data...)
			}
			d.data = append(d.data, part...)
		}
		d.feeds = append(d.feeds, feed{len(d.data), r.pos, r.idat, r.sequence, r.current})
	}
}

// nextPixels moves on to the next chunk of pixels if the current one has been read. It returns false if
// there is none.
func (d *decoder) nextPixels(r *reader) bool {
	for r.idat == 0 {
		r.noteCRC()
		c, err := r.next()
		if err != nil {
			d.feedsErr = err
			return false
		}
		if c.name != "IDAT" && c.name != "DDAT" && c.name != "fdAT" {
			r.idle = &c
			return false
		}
		r.current, r.idat = c, c.length
		if c.name == "fdAT" {
			if _, err := r.handle(c); err != nil && !errors.Is(err, errPixels) {
				d.feedsErr = err
				return false
			}
			r.idat -= 4
		}
	}
	return true
}

// find returns the index of the feed that has byte n-1 of the compressed data.
func (d *decoder) find(n int) int {
	i, _ := slices.BinarySearchFunc(d.feeds, n, func(f feed, n int) int { return cmp.Compare(f.end, n) })
	return i
}

// decode decodes the rows.
func (d *decoder) decode() error {
	size := 0
	for _, p := range d.passes {
		size += p.height * (1 + p.rowBytes)
	}
	most := mostPerByte * (len(d.data) + 1)
	if size > most && !d.lenient {
		// Rows are missing. Find out whether Pillow accepts that, before there is a picture.
		if err := d.readRows(newWindow(d.data, size, most), func(pass, int, []uint8) {}); err != nil {
			return err
		}
	}
	d.image.Pix = raster.New(d.image.Width, d.image.Height).Pix
	if d.boxed {
		for y := range d.image.Height {
			d.fillBlank(d.image.Row(y))
		}
	}
	return d.readRows(newWindow(d.data, size, most), d.putRow)
}

// seek sets the reader to the state after a feed.
func (r *reader) seek(f feed) {
	r.pos, r.idat, r.sequence, r.current = f.pos, f.idat, f.sequence, f.current
}

// rewind sets the reader to the state in which Pillow continues to read it after the pixels.
func (d *decoder) rewind(r *reader) {
	wrongCRC := d.last.wrongCRC
	if d.stopped < len(d.feeds) {
		r.seek(d.feeds[d.stopped])
	} else {
		*r = d.last
	}
	r.wrongCRC = r.wrongCRC || wrongCRC
}
