package heif

// sample is what a sample is stored in: 8 bits, or 9 to 16.
type sample interface{ uint8 | uint16 }

// channel has the samples of one channel, in rows without padding.
type channel[T sample] struct {
	width, height int
	pix           []T
}

func newChannel[T sample](width, height int) channel[T] {
	return channel[T]{width, height, make([]T, width*height)}
}

func (p channel[T]) row(y int) []T { return p.pix[y*p.width:][:p.width:p.width] }

// planes is a picture in Y'CbCr, or in grey if cb and cr are empty.
type planes[T sample] struct {
	y, cb, cr  channel[T]
	subX, subY int // log2 of the chroma's subsampling
	bits       int // of a sample
	colour     colour
	alpha      channel[T] // opacity, of the size of y; empty if the picture is opaque
	alphaBits  int
}

// newPlanes returns empty planes. chroma is one of chromaNone to chroma444.
func newPlanes[T sample](width, height, chroma, bits int) *planes[T] {
	p := &planes[T]{y: newChannel[T](width, height), bits: bits}
	switch chroma {
	case chroma420:
		p.subX, p.subY = 1, 1
	case chroma422:
		p.subX = 1
	}
	if chroma != chromaNone {
		p.cb = newChannel[T]((width+p.subX)>>p.subX, (height+p.subY)>>p.subY)
		p.cr = newChannel[T](p.cb.width, p.cb.height)
	}
	return p
}

func (p *planes[T]) isGrey() bool { return len(p.cb.pix) == 0 }

// chroma returns the kind of the chroma planes, chromaNone to chroma444.
func (p *planes[T]) chroma() int {
	switch {
	case p.isGrey():
		return chromaNone
	case p.subY != 0:
		return chroma420
	case p.subX != 0:
		return chroma422
	}
	return chroma444
}

// change applies f to all channels.
func (p *planes[T]) change(f func(channel[T]) channel[T]) {
	p.y = f(p.y)
	if !p.isGrey() {
		p.cb, p.cr = f(p.cb), f(p.cr)
	}
	if len(p.alpha.pix) > 0 {
		p.alpha = f(p.alpha)
	}
}

// paste copies the samples of a tile of the same kind to (left, top), and drops those outside p.
// left and top are multiples of the subsampling.
func (p *planes[T]) paste(tile *planes[T], left, top int) {
	p.y.paste(tile.y, left, top)
	if !p.isGrey() {
		p.cb.paste(tile.cb, left>>p.subX, top>>p.subY)
		p.cr.paste(tile.cr, left>>p.subX, top>>p.subY)
	}
	if len(p.alpha.pix) > 0 {
		p.alpha.paste(tile.alpha, left, top)
	}
}

func (p channel[T]) paste(tile channel[T], left, top int) {
	for y := range min(tile.height, p.height-top) {
		copy(p.row(top + y)[left:], tile.row(y))
	}
}

// scale returns the channel in another size, of the nearest samples to the top left.
func (p channel[T]) scale(width, height int) channel[T] {
	if p.width == width && p.height == height {
		return p
	}
	q := newChannel[T](width, height)
	for y := range height {
		row, from := q.row(y), p.row(y*p.height/height)
		for x := range row {
			row[x] = from[x*p.width/width]
		}
	}
	return q
}

// crop returns the part of the plane at (left, top).
func (p channel[T]) crop(left, top, width, height int) channel[T] {
	q := newChannel[T](width, height)
	for y := range height {
		copy(q.row(y), p.row(top + y)[left:])
	}
	return q
}

// mirror exchanges left and right or, if vertical, top and bottom.
func (p channel[T]) mirror(vertical bool) channel[T] {
	q := newChannel[T](p.width, p.height)
	for y := range p.height {
		if vertical {
			copy(q.row(p.height-1-y), p.row(y))
			continue
		}
		out := q.row(y)
		for x, v := range p.row(y) {
			out[p.width-1-x] = v
		}
	}
	return q
}

// rotate turns the plane anticlockwise by quarters of a turn, 1 to 3.
func (p channel[T]) rotate(quarters int) channel[T] {
	if quarters == 2 {
		return p.mirror(true).mirror(false)
	}
	q := newChannel[T](p.height, p.width)
	const block = 32 // keeps the rows of both planes in the cache
	for top := 0; top < p.height; top += block {
		for left := 0; left < p.width; left += block {
			for y := top; y < min(top+block, p.height); y++ {
				row := p.row(y)
				for x := left; x < min(left+block, p.width); x++ {
					if quarters == 1 {
						q.pix[(p.width-1-x)*q.width+y] = row[x]
					} else {
						q.pix[x*q.width+p.height-1-y] = row[x]
					}
				}
			}
		}
	}
	return q
}

// upsample gives the chroma planes the size of the luma plane, with bilinear weights as libheif does
// (chroma_sampling.cc): a chroma sample lies in the middle of the pixels that share it. Like libheif, it
// also stretches limited range to full range, and leaves the description of the colours as it is.
func (p *planes[T]) upsample() {
	up := func(c channel[T]) channel[T] {
		q := newChannel[T](p.y.width, p.y.height)
		for y := range q.height {
			if p.subY == 0 {
				upsampleRow(q.row(y), c.row(y), c.row(y))
				continue
			}
			near := y / 2
			far := max(0, min(near+2*(y%2)-1, c.height-1))
			upsampleRow(q.row(y), c.row(near), c.row(far))
		}
		return q
	}
	if p.subX > 0 && !p.isGrey() {
		p.cb, p.cr = up(p.cb), up(p.cr)
	}
	p.subX, p.subY = 0, 0
	if !p.colour.fullRange && !p.isGrey() {
		p.stretch()
	}
}

// stretch converts 4:4:4 from limited to full range, by way of RGB.
func (p *planes[T]) stretch() {
	k, err := p.colour.coefficients()
	if err != nil || p.colour.matrix == identity {
		return
	}
	convert := convertFloat[T, T](k, false, p.bits, 0, 0)
	round, middle := newRounder[T](p.bits, 0), float32(int(1)<<(p.bits-1))
	rgb := make([]T, 3*p.y.width)
	for y := range p.y.height {
		luma, cb, cr := p.y.row(y), p.cb.row(y), p.cr.row(y)
		convert(rgb, luma, cb, cr)
		for x := range luma {
			r, g, b := float32(rgb[3*x]), float32(rgb[3*x+1]), float32(rgb[3*x+2])
			weigh := func(k [3]float32) float32 { return float32(r*k[0]) + float32(g*k[1]) + float32(b*k[2]) }
			luma[x], cb[x], cr[x] = round(weigh(k.y)), round(weigh(k.cb)+middle), round(weigh(k.cr)+middle)
		}
	}
}

// upsampleRow writes a row from the two nearest ones of half the width, of which near weighs three times
// as much as far.
func upsampleRow[T sample](out, near, far []T) {
	w := len(out)
	mix := func(i int) int { return 3*int(near[i]) + int(far[i]) }
	out[0] = T((mix(0) + 2) / 4)
	for i := range (w - 1) / 2 {
		a, b := mix(i), mix(i+1)
		out[2*i+1], out[2*i+2] = T((3*a+b+8)/16), T((a+3*b+8)/16)
	}
	if w%2 == 0 {
		out[w-1] = T((mix(w/2-1) + 2) / 4)
	}
}
