package heif

// sps is what the sequence parameter set of an HEVC picture (ITU-T H.265, 7.3.2.2)
// says about its size and its colours.
type sps struct {
	width, height int // inside the conformance window
	colour        colour
}

// bits reads bit fields of a NAL unit, without its emulation-prevention bytes.
type bits struct {
	data     []byte
	at       int // in bits
	overread bool
}

func (b *bits) u(n int) uint32 {
	var v uint32
	for range n {
		if b.at>>3 >= len(b.data) {
			b.overread = true
			return 0
		}
		v = v<<1 | uint32(b.data[b.at>>3]>>(7-b.at&7)&1)
		b.at++
	}
	return v
}

func (b *bits) skip(n int) { b.at += n }

func (b *bits) flag() bool { return b.u(1) == 1 }

// ue reads an Exp-Golomb number.
func (b *bits) ue() uint32 {
	zeros := 0
	for !b.flag() {
		zeros++
		if zeros > 31 || b.overread {
			b.overread = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.u(zeros)
}

// maxHVCC bounds a decoder configuration, in bytes: a few hundred are usual.
const maxHVCC = 64 << 10

// parseHVCC finds the sequence parameter set in a decoder configuration (hvcC) and
// reads it. ok is false if there is none or it can't be read.
func parseHVCC(body []byte) (s sps, ok bool) {
	r := &reader{data: body, at: 22, end: len(body)}
	if len(body) < 23 || len(body) > maxHVCC {
		return
	}
	for range r.uint(1) {
		kind := r.uint(1) & 63
		for range r.uint(2) {
			nal := r.text(int(r.uint(2)))
			if r.overread {
				return
			}
			if kind == 33 {
				return parseSPS([]byte(nal))
			}
		}
	}
	return
}

func parseSPS(nal []byte) (s sps, ok bool) {
	b := &bits{}
	zeros := 0
	for i, v := range nal {
		if zeros >= 2 && v == 3 {
			zeros = 0
			continue
		}
		if v == 0 {
			zeros++
		} else {
			zeros = 0
		}
		if i >= 2 { // past the NAL header
			b.data = append(b.data, v)
		}
	}
	b.skip(4)
	subLayers := int(b.u(3))
	b.skip(1)
	profileTierLevel(b, subLayers)
	b.ue()
	chroma := b.ue()
	if chroma == 3 {
		b.skip(1) // whether the planes are coded apart: they aren't subsampled either way
	}
	width, height := int64(b.ue()), int64(b.ue())
	if b.flag() {
		unitX, unitY := int64(1), int64(1)
		if chroma == 1 || chroma == 2 {
			unitX = 2
		}
		if chroma == 1 {
			unitY = 2
		}
		left, right, top, bottom := int64(b.ue()), int64(b.ue()), int64(b.ue()), int64(b.ue())
		width -= unitX * (left + right)
		height -= unitY * (top + bottom)
	}
	if b.overread || width <= 0 || height <= 0 {
		return
	}
	s.width, s.height = int(width), int(height)
	s.colour = colour{matrix: unspecified}
	b.ue()
	b.ue()
	orderBits := int(b.ue()) + 4
	from := subLayers
	if b.flag() {
		from = 0
	}
	for range subLayers - from + 1 {
		b.ue()
		b.ue()
		b.ue()
	}
	for range 6 {
		b.ue()
	}
	if b.flag() { // scaling lists are in use
		if b.flag() { // and given here
			scalingLists(b)
		}
	}
	b.skip(2)
	if b.flag() {
		b.skip(8)
		b.ue()
		b.ue()
		b.skip(1)
	}
	if !referenceSets(b) || orderBits > 16 {
		return s, false
	}
	if b.flag() {
		for range b.ue() {
			b.skip(orderBits + 1)
			if b.overread || b.at>>3 > len(b.data) {
				return s, false
			}
		}
	}
	b.skip(2)
	if b.flag() { // video usability information
		if b.flag() && b.u(8) == 255 {
			b.skip(32)
		}
		if b.flag() {
			b.skip(1)
		}
		if b.flag() {
			b.skip(3)
			s.colour.fullRange = b.flag()
			if b.flag() {
				b.skip(16)
				s.colour.matrix = int(b.u(8))
			}
		}
	}
	return s, !b.overread
}

func profileTierLevel(b *bits, subLayers int) {
	b.skip(96)
	var profile, level [8]bool
	for i := range subLayers {
		profile[i], level[i] = b.flag(), b.flag()
	}
	if subLayers > 0 {
		b.skip(2 * (8 - subLayers))
	}
	for i := range subLayers {
		if profile[i] {
			b.skip(88)
		}
		if level[i] {
			b.skip(8)
		}
	}
}

func scalingLists(b *bits) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for m := 0; m < 6; m += step {
			if !b.flag() {
				b.ue()
				continue
			}
			if size > 1 {
				b.ue()
			}
			for range min(64, 16<<(2*size)) {
				b.ue()
			}
		}
	}
}

// referenceSets passes over the short-term reference picture sets.
func referenceSets(b *bits) bool {
	count := b.ue()
	if count > 64 {
		return false
	}
	deltas := uint32(0) // of the set before
	for set := range count {
		if set > 0 && b.flag() {
			b.skip(1)
			b.ue()
			n := uint32(0)
			for range deltas + 1 {
				kept := b.flag() // used by this picture
				if !kept {
					kept = b.flag() // or by a later one
				}
				if kept {
					n++
				}
			}
			deltas = n
		} else {
			negative, positive := b.ue(), b.ue()
			if negative > 16 || positive > 16 {
				return false
			}
			deltas = negative + positive
			for range deltas {
				b.ue()
				b.skip(1)
			}
		}
		if b.overread {
			return false
		}
	}
	return true
}
