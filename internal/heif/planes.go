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
}

// paste copies the samples of a tile of the same kind to (left, top), and drops those outside p.
// left and top are multiples of the subsampling.
func (p *planes[T]) paste(tile *planes[T], left, top int) {
	p.y.paste(tile.y, left, top)
	if !p.isGrey() {
		p.cb.paste(tile.cb, left>>p.subX, top>>p.subY)
		p.cr.paste(tile.cr, left>>p.subX, top>>p.subY)
	}
}

func (p channel[T]) paste(tile channel[T], left, top int) {
	for y := range min(tile.height, p.height-top) {
		copy(p.row(top + y)[left:], tile.row(y))
	}
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
// (chroma_sampling.cc).
func (p *planes[T]) upsample() {
	up := func(c channel[T]) channel[T] {
		q := newChannel[T](p.y.width, p.y.height)
		for y := range q.height {
			if p.subY == 0 {
				upsampleRow(q.row(y), c.row(y), c.row(y), 1, 0)
				continue
			}
			upsampleRows(q, c, y)
		}
		return q
	}
	if p.subX > 0 && !p.isGrey() {
		p.cb, p.cr = up(p.cb), up(p.cr)
	}
	p.subX, p.subY = 0, 0
}

// upsampleRows writes row y of q from chroma rows of half the height and width. At the border it does
// what libheif does, which takes samples from half the distance there.
func upsampleRows[T sample](q, c channel[T], y int) {
	out := q.row(y)
	w, h := q.width, q.height
	if last := h%2 == 0 && y == h-1; y == 0 || last {
		row := c.row(0)
		if last {
			row = c.row(h/2 - 1)
		}
		out[0] = row[0]
		for i := range (w - 1) / 2 {
			a, b := int(row[i/2]), int(row[i/2+1])
			out[2*i+1], out[2*i+2] = T((3*a+b+2)/4), T((a+3*b+2)/4)
		}
		if w%2 == 0 {
			out[w-1] = row[w/2-1]
		}
		return
	}
	pair := (y - 1) / 2
	near, far := c.row(pair), c.row(pair+1)
	nearBorder, farBorder := c.row(pair/2), c.row(pair/2+1)
	if y%2 == 0 {
		near, far = far, near
		nearBorder, farBorder = farBorder, nearBorder
	}
	upsampleRow(out, near, far, 3, 1)
	out[0] = T((3*int(nearBorder[0]) + int(farBorder[0]) + 2) / 4)
	if w%2 == 0 {
		out[w-1] = T((3*int(nearBorder[w/2-1]) + int(farBorder[w/2-1]) + 2) / 4)
	}
}

// upsampleRow writes a row from the two nearest ones of half the width, with the given weights.
func upsampleRow[T sample](out, near, far []T, nearWeight, farWeight int) {
	w := len(out)
	mix := func(i int) int { return nearWeight*int(near[i]) + farWeight*int(far[i]) }
	sum := nearWeight + farWeight
	out[0] = T((mix(0) + sum/2) / sum)
	for i := range (w - 1) / 2 {
		a, b := mix(i), mix(i+1)
		out[2*i+1], out[2*i+2] = T((3*a+b+2*sum)/(4*sum)), T((a+3*b+2*sum)/(4*sum))
	}
	if w%2 == 0 {
		out[w-1] = T((mix(w/2-1) + sum/2) / sum)
	}
}
