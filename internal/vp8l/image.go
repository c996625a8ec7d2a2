package vp8l

import (
	"context"
	"fmt"

	"garb/internal/raster"
)

const (
	literals     = 256
	lengthCodes  = 24
	distanceSize = 40
	maxCacheBits = 11
)

// The codes of a group (RFC 9649, section 3.7.2.2). Green also codes lengths and places of the cache.
const (
	green = iota
	red
	blue
	alpha
	distance
)

// group is the prefix codes of a part of an image.
type group struct {
	codes [5]code
	// solid says that red, blue and alpha are always those of literal.
	solid   bool
	literal uint32
}

// entropy is how an image is coded: groups of codes and a cache of colours.
type entropy struct {
	groups    []group
	tiles     []uint32 // index of the group of each tile; nil if there is one group
	tileBits  uint
	tilesWide int
	cache     []uint32
	cacheBits uint
}

// groupAt returns the codes of pixel (x, y).
func (e *entropy) groupAt(x, y int) *group {
	if e.tiles == nil {
		return &e.groups[0]
	}
	return &e.groups[e.tiles[y>>e.tileBits*e.tilesWide+x>>e.tileBits]]
}

// divide returns size / 2^bits, rounded up.
func divide(size int, bits uint) int { return (size + 1<<bits - 1) >> bits }

// readEntropy reads how an image of the given size is coded. Only the image itself, not the ones of
// its transforms and tiles, can have several groups.
func (d *decoder) readEntropy(ctx context.Context, width, height int, top bool) (*entropy, error) {
	r := &d.bits
	e := &entropy{}
	if r.readFlag() {
		e.cacheBits = uint(r.read(4))
		if e.cacheBits < 1 || e.cacheBits > maxCacheBits {
			return nil, raster.Corruptf("VP8L: a cache of 2^%d colours", e.cacheBits)
		}
		e.cache = make([]uint32, 1<<e.cacheBits)
	}
	count, index := 1, []int32{0}
	if top && r.readFlag() {
		e.tileBits = uint(2 + r.read(3))
		e.tilesWide = divide(width, e.tileBits)
		tiles, err := d.readImage(ctx, e.tilesWide, divide(height, e.tileBits))
		if err != nil {
			return nil, err
		}
		e.tiles = tiles
		count, index = indexGroups(tiles)
	}
	if r.overrun() {
		return nil, errTruncated
	}
	e.groups = make([]group, count)
	for _, i := range index {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var g *group
		if i >= 0 {
			g = &e.groups[i]
		}
		if err := d.readGroup(g, len(e.cache)); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// indexGroups replaces the numbers of groups of tiles by indexes of those that are in use. It returns
// the number of these and, by the number of a group, its index or −1.
func indexGroups(tiles []uint32) (count int, index []int32) {
	for i, v := range tiles {
		tiles[i] = v >> 8 & 0xffff
		for int(tiles[i]) >= len(index) {
			index = append(index, -1)
		}
	}
	for i, v := range tiles {
		if index[v] < 0 {
			index[v] = int32(count)
			count++
		}
		tiles[i] = uint32(index[v])
	}
	return count, index
}

// readGroup reads the codes of a group to g, unless that is nil.
func (d *decoder) readGroup(g *group, cacheSize int) error {
	var unused group
	store := g != nil
	if !store {
		g = &unused
	}
	for i, size := range [5]int{literals + lengthCodes + cacheSize, literals, literals, literals, distanceSize} {
		var err error
		if g.codes[i], err = d.builder.readCode(&d.bits, size, store); err != nil {
			return err
		}
		if d.bits.overrun() {
			return errTruncated
		}
	}
	if store && g.codes[red].single() && g.codes[blue].single() && g.codes[alpha].single() {
		g.solid = true
		g.literal = uint32(g.codes[alpha].entries[0]>>4)<<24 | uint32(g.codes[red].entries[0]>>4)<<16 |
			uint32(g.codes[blue].entries[0]>>4)
	}
	return nil
}

var errTruncated = fmt.Errorf("VP8L: %w", raster.ErrTruncated)

// readImage reads an image that belongs to a transform or to the tiles.
func (d *decoder) readImage(ctx context.Context, width, height int) ([]uint32, error) {
	e, err := d.readEntropy(ctx, width, height, false)
	if err != nil {
		return nil, err
	}
	pix := make([]uint32, width*height)
	if err := d.decodePixels(ctx, e, pix, width, func(int) {}); err != nil {
		return nil, err
	}
	return pix, nil
}

// decodePixels decodes an image of the given width. It calls done with the number of rows that are
// complete, after one or more of them.
func (d *decoder) decodePixels(ctx context.Context, e *entropy, pix []uint32, width int, done func(rows int)) error {
	c := cursor{decoder: d, entropy: e, pix: pix, width: width}
	rows := 0
	for c.at < len(pix) {
		if c.y > rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if d.bits.overrun() {
				return errTruncated
			}
			rows = c.y
			done(rows)
		}
		if err := c.decodeRun(); err != nil {
			return err
		}
	}
	if d.bits.overrun() && !d.lenient {
		return errTruncated
	}
	done(len(pix) / width)
	return nil
}

// cursor is a place in an image that is being decoded.
type cursor struct {
	*decoder
	*entropy
	pix    []uint32
	width  int
	at     int   // next pixel
	x, y   int   // its place
	cached int   // pixels before it are in the cache
	tail   *tail // nil while it is not read
}

// advance moves on by n pixels.
func (c *cursor) advance(n int) {
	c.at += n
	for c.x += n; c.x >= c.width; c.x -= c.width {
		c.y++
	}
}

// decodeRun decodes pixels up to the end of the tile or the row, or up to and with a copy.
func (c *cursor) decodeRun() error {
	g := c.groupAt(c.x, c.y)
	end := c.width
	if c.tiles != nil {
		end = min(end, (c.x>>c.tileBits+1)<<c.tileBits)
	}
	if c.lenient && c.bits.next+8+2*(end-c.x) > len(c.bits.data) { // the data may end in the run
		if c.tail == nil {
			c.tail = newTail(&c.bits)
		}
		if c.tail != nil {
			return c.decodeTail(c.tail)
		}
		end = c.x + 1 // and look again
	}
	for run := c.pix[c.at:][:end-c.x]; len(run) > 0; run = run[1:] {
		n, symbol := readLiterals(&c.bits, g, run)
		c.advance(n)
		if n == len(run) {
			return nil
		}
		if symbol < literals+lengthCodes {
			return c.copyBack(g, symbol-literals)
		}
		run = run[n:]
		c.fillCache()
		run[0] = c.cache[symbol-literals-lengthCodes]
		c.advance(1)
	}
	return nil
}

// fillCache puts the pixels that were decoded into the cache.
func (c *cursor) fillCache() {
	for _, v := range c.pix[c.cached:c.at] {
		c.cache[v*0x1e35a7bd>>(32-c.cacheBits)] = v
	}
	c.cached = c.at
}

// readLiterals reads pixels to run. It returns their number and, if that is less than the length of
// run, the symbol of green that is no literal.
func readLiteralsGeneric(r *bitReader, g *group, run []uint32) (n, symbol int) {
	if g.solid {
		return readGreen(r, g, run)
	}
	for i := range run {
		r.fill()
		symbol := g.codes[green].symbol(r)
		if symbol >= literals {
			return i, symbol
		}
		redLevel := g.codes[red].symbol(r)
		r.fill()
		blueLevel := g.codes[blue].symbol(r)
		alphaLevel := g.codes[alpha].symbol(r)
		run[i] = uint32(alphaLevel)<<24 | uint32(redLevel)<<16 | uint32(symbol)<<8 | uint32(blueLevel)
	}
	return len(run), 0
}

// readGreen is readLiterals for groups where only green is coded.
func readGreen(r *bitReader, g *group, run []uint32) (n, symbol int) {
	for i := range run {
		r.fill()
		symbol := g.codes[green].symbol(r)
		if symbol >= literals {
			return i, symbol
		}
		run[i] = g.literal | uint32(symbol)<<8
	}
	return len(run), 0
}

// copyBack copies pixels that were decoded before.
func (c *cursor) copyBack(g *group, lengthSymbol int) error {
	r := &c.bits
	r.fill()
	base, extra := splitPrefixed(lengthSymbol)
	n := base + r.read(extra)
	r.fill()
	base, extra = splitPrefixed(g.codes[distance].symbol(r))
	back := c.convertDistance(base + r.read(extra))
	if r.overrun() {
		return errTruncated
	}
	return c.copyPixels(n, back)
}

// copyPixels copies n pixels from a place that is back pixels before.
func (c *cursor) copyPixels(n, back int) error {
	if back > c.at || n > len(c.pix)-c.at {
		return raster.Corruptf("VP8L: a copy reaches beyond the picture")
	}
	to := c.pix[c.at:][:n]
	from := c.pix[c.at-back:]
	c.advance(n)
	for len(to) > 0 { // in pieces that do not overlap
		k := copy(to, from[:min(back, len(to))])
		to, back = to[k:], back+k
	}
	return nil
}

// splitPrefixed returns the least length or distance of a symbol, and the number of extra bits that
// are added to it (RFC 9649, section 3.6.2.2).
func splitPrefixed(symbol int) (base int, extra uint) {
	if symbol < 4 {
		return symbol + 1, 0
	}
	extra = uint(symbol-2) >> 1
	return (2+symbol&1)<<extra + 1, extra
}

// nearby has the places of the pixels around that the first distances stand for: 8 less the columns
// to the left, which are negative to the right, and 16 times the rows above (RFC 9649, section
// 3.6.2.2).
var nearby = [120]uint8{
	0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39,
	0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a,
	0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d,
	0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e, 0x66, 0x6a, 0x22, 0x2e,
	0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
	0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e,
	0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72,
	0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
}

// convertDistance turns a distance as coded into one in pixels.
func (c *cursor) convertDistance(v int) int {
	if v > len(nearby) {
		return v - len(nearby)
	}
	place := int(nearby[v-1])
	return max(place>>4*c.width+8-place&15, 1)
}
