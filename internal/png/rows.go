package png

import (
	"errors"
	"io"

	"garb/internal/inflate"
	"garb/internal/raster"
)

// pass is a part of the rows: all of them, or those of one of the seven passes of Adam7.
type pass struct {
	x, y, stepX, stepY int // of the pixels in the picture
	width, height      int // in pixels of the pass
	rowBytes           int
}

// makePasses returns the passes that are not empty. Pillow decodes interlaced pixels of a part of the
// picture as if it began at (0, 0).
func makePasses(b box, interlaced bool, bitsPerPixel int) []pass {
	if !interlaced {
		return []pass{{b.x, b.y, 1, 1, b.width, b.height, (b.width*bitsPerPixel + 7) / 8}}
	}
	var passes []pass
	for _, p := range [7]pass{
		{x: 0, y: 0, stepX: 8, stepY: 8}, {x: 4, y: 0, stepX: 8, stepY: 8}, {x: 0, y: 4, stepX: 4, stepY: 8},
		{x: 2, y: 0, stepX: 4, stepY: 4}, {x: 0, y: 2, stepX: 2, stepY: 4}, {x: 1, y: 0, stepX: 2, stepY: 2},
		{x: 0, y: 1, stepX: 1, stepY: 2},
	} {
		p.width = (b.width - p.x + p.stepX - 1) / p.stepX
		p.height = (b.height - p.y + p.stepY - 1) / p.stepY
		p.rowBytes = (p.width*bitsPerPixel + 7) / 8
		if p.width > 0 && p.height > 0 {
			passes = append(passes, p)
		}
	}
	return passes
}

// window is the part of the decompressed data from which rows are taken.
type window struct {
	z          inflate.Decompressor
	buf        []byte
	start, end int // of what has not been taken, in buf
	produced   int // bytes that were decompressed so far
	size       int // bytes that the picture needs
	err        error
}

// newWindow returns a window on data that give size bytes, and most at most.
func newWindow(data []byte, size, most int) *window {
	const step = 1 << 18
	w := &window{size: size, buf: make([]byte, min(size, most, inflate.History+step))}
	w.z.Reset(data, inflate.Zlib)
	return w
}

// next takes n bytes. It returns nil if there are not so many, and then err says why, unless size bytes
// have been taken.
func (w *window) next(n int) []byte {
	for w.end-w.start < n && w.produced < w.size && w.err == nil {
		if w.end == len(w.buf) {
			w.slide()
		}
		limit := min(len(w.buf), w.end+w.size-w.produced)
		end, err := w.z.Decompress(w.buf[:limit], w.end)
		w.produced += end - w.end
		w.end, w.err = end, err
	}
	if w.end-w.start < n {
		return nil
	}
	row := w.buf[w.start : w.start+n]
	w.start += n
	return row
}

// slide makes place for more output.
func (w *window) slide() {
	from := max(min(w.start, w.end-inflate.History), 0)
	buf := w.buf
	if from < len(buf)/2 {
		// The row, and what matches need, take most of the buffer.
		buf = make([]byte, min(2*len(buf), max(w.size, len(buf)+1)))
	}
	w.end = copy(buf, w.buf[from:w.end])
	w.start -= from
	w.buf = buf
}

// rows are the rows of the picture, as Pillow takes them one by one from zlib.
type rows struct {
	*window
	d     *decoder
	taken int // bytes
	last  int // bytes of the last row
	ended bool
}

// next returns the next row, with the number of its filter in front, or says why there is none.
// io.EOF says that Pillow accepts that.
func (r *rows) next(n int) ([]byte, error) {
	if r.ended {
		return nil, io.EOF
	}
	row := r.window.next(n)
	// Pillow asks zlib for another row only if zlib had not needed all data for the one before.
	output, input := r.z.Exhausted()
	if output >= 0 && r.taken > 0 && r.taken >= output &&
		(r.taken > output || r.feedOf(input) == len(r.d.feeds)-1) {
		return nil, r.d.truncated()
	}
	if row == nil {
		if errors.Is(r.err, inflate.ErrCorrupt) {
			return nil, errPixelsCorrupt
		}
		return nil, r.d.truncated()
	}
	r.taken += n
	r.last = n
	if r.taken == r.produced && r.err != nil && r.feedOf(r.z.OutputEnd()) >= r.d.find(r.z.InputEnd()) {
		// With the end of the row, zlib saw what follows it.
		if errors.Is(r.err, inflate.ErrCorrupt) && !errors.Is(r.err, inflate.ErrTooFar) {
			return nil, errPixelsCorrupt
		}
		r.ended = errors.Is(r.err, io.EOF)
	}
	if row[0] > 4 {
		return nil, raster.Corruptf("unknown filter %d of a row", row[0])
	}
	return row, nil
}

// feedOf returns the index of the feed with which Pillow gets the last row that was taken, for which
// zlib needs the given number of bytes: the feed that has the last of them, or the next one if zlib had
// needed that byte for the row before already.
func (r *rows) feedOf(needed int) int {
	feed := r.d.find(needed)
	start := r.taken - r.last
	if start == 0 || needed < r.d.feeds[feed].end {
		return feed
	}
	before := window{buf: make([]byte, len(r.buf)), size: r.size}
	before.z.Reset(r.d.data[:needed], inflate.Zlib)
	for before.next(r.last) != nil {
	}
	output, input := before.z.Exhausted()
	if output >= 0 && (start > output || start == output && r.d.find(input) == feed) {
		feed++
	}
	return feed
}

var errPixelsCorrupt = raster.Corruptf("the compressed pixels are invalid, or their checksum is wrong")

// truncated returns the error that there are too few compressed data.
func (d *decoder) truncated() error {
	if d.feedsErr != nil {
		return d.feedsErr
	}
	return raster.ErrTruncated
}

// readRows passes the rows to put, or nil for those that are missing. It returns an error if Pillow
// does not accept that they are.
func (d *decoder) readRows(w *window, put func(p pass, y int, row []byte)) error {
	r := rows{window: w, d: d}
	var stop error // why there are no more rows
	for _, p := range d.passes {
		for y := range p.height {
			if err := d.ctx.Err(); err != nil {
				return err
			}
			var row []byte
			if stop == nil {
				row, stop = r.next(1 + p.rowBytes)
				if stop != nil && !d.accepts(stop) {
					return stop
				}
			}
			put(p, y, row)
		}
	}
	d.finish(&r, stop)
	return nil
}

// accepts reports whether Pillow accepts that there are no more rows for a reason. Chunks out of order,
// which are no truncation, it never accepts.
func (d *decoder) accepts(reason error) bool {
	if errors.Is(reason, io.EOF) {
		return true
	}
	ordered := d.feedsErr == nil || errors.Is(d.feedsErr, raster.ErrTruncated)
	return d.lenient && (ordered || !errors.Is(reason, d.feedsErr))
}

// finish notes where decoding stopped, and what was wrong.
func (d *decoder) finish(r *rows, stop error) {
	d.repairs = nil
	surplus := r.z.InputEnd() < len(d.data)
	switch {
	case stop == nil:
		d.stopped = r.feedOf(r.z.OutputEnd())
		if errors.Is(r.err, inflate.ErrTruncated) || errors.Is(r.err, inflate.ErrChecksum) {
			d.repairs = []string{repairedAdler}
		} else if surplus {
			d.repairs = []string{repairedSurplus}
		}
		return
	case errors.Is(stop, io.EOF):
		d.stopped = d.find(r.z.InputEnd())
		d.repairs = []string{repairedRows}
	case errors.Is(stop, raster.ErrTruncated):
		d.stopped = len(d.feeds)
		d.repairs = []string{repairedTruncated}
	default:
		d.stopped = d.find(r.z.InputEnd())
		d.repairs = []string{repairedCorrupt}
	}
}

// putRow unfilters and converts a row, and puts it into the picture. A row of nil is missing.
func (d *decoder) putRow(p pass, y int, row []byte) {
	out := d.image.Row(p.y + y*p.stepY)
	if row == nil {
		d.putMissing(p, out)
		return
	}
	if d.above == nil {
		n := 0
		for _, q := range d.passes {
			n = max(n, q.rowBytes)
		}
		d.row, d.above = make([]uint8, n), make([]uint8, n)
		if p.stepX > 1 {
			d.converted = make([]uint8, 3*d.image.Width)
		}
	}
	n := p.rowBytes
	if y == 0 {
		clear(d.above)
	}
	if d.direct {
		above := d.above[:n]
		if y > 0 {
			above = d.image.Row(p.y + y - 1)
		}
		unfilter(row[0], out, row[1:], above, d.bpp)
		return
	}
	unfilter(row[0], d.row[:n], row[1:], d.above[:n], d.bpp)
	if p.stepX == 1 {
		d.convert(out[3*p.x:][:3*p.width], d.row[:n])
	} else {
		d.convert(d.converted[:3*p.width], d.row[:n])
		for x := range p.width {
			copy(out[3*(p.x+x*p.stepX):][:3], d.converted[3*x:])
		}
	}
	d.row, d.above = d.above, d.row
}

func (d *decoder) putMissing(p pass, out []uint8) {
	for x := range p.width {
		copy(out[3*(p.x+x*p.stepX):][:3], d.blank[:])
	}
}

func (d *decoder) fillBlank(out []uint8) {
	for len(out) >= 3 {
		out = out[copy(out, d.blank[:]):]
	}
}
