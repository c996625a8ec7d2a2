package heif

// plane has the samples of one channel, in rows without padding.
type plane struct {
	width, height int
	pix           []uint8
}

func newPlane(width, height int) plane { return plane{width, height, make([]uint8, width*height)} }

func (p plane) row(y int) []uint8 { return p.pix[y*p.width:][:p.width:p.width] }

// planes is a picture in Y'CbCr, or in grey if cb and cr are empty.
type planes struct {
	y, cb, cr  plane
	subX, subY int // log2 of the chroma's subsampling
	colour     colour
}

// newPlanes returns black planes. chroma is one of chromaNone to chroma444.
func newPlanes(width, height, chroma int) *planes {
	p := &planes{y: newPlane(width, height)}
	switch chroma {
	case chroma420:
		p.subX, p.subY = 1, 1
	case chroma422:
		p.subX = 1
	}
	if chroma != chromaNone {
		p.cb = newPlane((width+p.subX)>>p.subX, (height+p.subY)>>p.subY)
		p.cr = newPlane(p.cb.width, p.cb.height)
	}
	return p
}

func (p *planes) isGrey() bool { return len(p.cb.pix) == 0 }

// chroma returns the kind of the chroma planes, chromaNone to chroma444.
func (p *planes) chroma() int {
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
func (p *planes) change(f func(plane) plane) {
	p.y = f(p.y)
	if !p.isGrey() {
		p.cb, p.cr = f(p.cb), f(p.cr)
	}
}

// paste copies the samples of a tile of the same kind to (left, top), and drops those outside p.
// left and top are multiples of the subsampling.
func (p *planes) paste(tile *planes, left, top int) {
	p.y.paste(tile.y, left, top)
	if !p.isGrey() {
		p.cb.paste(tile.cb, left>>p.subX, top>>p.subY)
		p.cr.paste(tile.cr, left>>p.subX, top>>p.subY)
	}
}

func (p plane) paste(tile plane, left, top int) {
	for y := range min(tile.height, p.height-top) {
		copy(p.row(top + y)[left:], tile.row(y))
	}
}

// crop returns the part of the plane at (left, top).
func (p plane) crop(left, top, width, height int) plane {
	q := newPlane(width, height)
	for y := range height {
		copy(q.row(y), p.row(top + y)[left:])
	}
	return q
}

// mirror exchanges left and right or, if vertical, top and bottom.
func (p plane) mirror(vertical bool) plane {
	q := newPlane(p.width, p.height)
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
func (p plane) rotate(quarters int) plane {
	if quarters == 2 {
		return p.mirror(true).mirror(false)
	}
	q := newPlane(p.height, p.width)
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
func (p *planes) upsample() {
	up := func(c plane) plane {
		q := newPlane(p.y.width, p.y.height)
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
func upsampleRows(q, c plane, y int) {
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
			out[2*i+1], out[2*i+2] = uint8((3*a+b+2)/4), uint8((a+3*b+2)/4)
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
	out[0] = uint8((3*int(nearBorder[0]) + int(farBorder[0]) + 2) / 4)
	if w%2 == 0 {
		out[w-1] = uint8((3*int(nearBorder[w/2-1]) + int(farBorder[w/2-1]) + 2) / 4)
	}
}

// upsampleRow writes a row from the two nearest ones of half the width, with the given weights.
func upsampleRow(out, near, far []uint8, nearWeight, farWeight int) {
	w := len(out)
	mix := func(i int) int { return nearWeight*int(near[i]) + farWeight*int(far[i]) }
	sum := nearWeight + farWeight
	out[0] = uint8((mix(0) + sum/2) / sum)
	for i := range (w - 1) / 2 {
		a, b := mix(i), mix(i+1)
		out[2*i+1], out[2*i+2] = uint8((3*a+b+2*sum)/(4*sum)), uint8((a+3*b+2*sum)/(4*sum))
	}
	if w%2 == 0 {
		out[w-1] = uint8((mix(w/2-1) + sum/2) / sum)
	}
}
