package heif

// sps has the size and colours in the sequence parameter set of an HEVC picture (ITU-T H.265,
// 7.3.2.2).
type sps struct {
	width, height int // inside the conformance window
	chroma        int // chroma_format_idc: chromaNone to chroma444
	bits          int // of luma and of chroma samples, 8 to 16
	colour        colour
}

// Values of chroma_format_idc, which libheif has too.
const (
	chromaNone = 0
	chroma420  = 1
	chroma422  = 2
	chroma444  = 3
)

// bits reads bit fields of a NAL unit without emulation-prevention bytes.
type bits struct {
	data     []byte
	at       int // in bits
	overread bool
}

func (b *bits) take(n int) uint32 {
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

func (b *bits) takeFlag() bool { return b.take(1) == 1 }

// takeGolomb reads an Exp-Golomb number.
func (b *bits) takeGolomb() uint32 {
	zeros := 0
	for !b.takeFlag() {
		zeros++
		if zeros > 31 || b.overread {
			b.overread = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.take(zeros)
}

// maxHVCC limits a decoder configuration, in bytes; a few hundred are usual.
const maxHVCC = 64 << 10

// parseHVCC finds and parses the sequence parameter set in a decoder configuration (hvcC). ok is
// false if there is none or it cannot be read.
func parseHVCC(body []byte) (s sps, ok bool) {
	r := &reader{data: body, at: 22, end: len(body)}
	if len(body) < 23 || len(body) > maxHVCC {
		return
	}
	for range r.takeUint(1) {
		kind := r.takeUint(1) & 63
		for range r.takeUint(2) {
			nal := r.takeText(int(r.takeUint(2)))
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

// parseSPS parses the NAL unit of a sequence parameter set, whose fields it reads in order.
func parseSPS(nal []byte) (s sps, ok bool) {
	b := &bits{data: removeEmulationPrevention(nal)}
	b.skip(4)
	subLayers := int(b.take(3))
	b.skip(1)
	skipProfileTierLevel(b, subLayers)
	b.takeGolomb()
	s.chroma = int(b.takeGolomb())
	if s.width, s.height, ok = takeSize(b, s.chroma); !ok {
		return s, false
	}
	lumaBits, chromaBits := b.takeGolomb(), b.takeGolomb()
	if lumaBits > 8 || chromaBits != lumaBits && s.chroma != chromaNone {
		return s, false
	}
	s.bits = 8 + int(lumaBits)
	orderBits := int(b.takeGolomb()) + 4
	firstLayer := subLayers
	if b.takeFlag() {
		firstLayer = 0
	}
	for range 3*(subLayers-firstLayer+1) + 6 {
		b.takeGolomb()
	}
	if used := b.takeFlag(); used && b.takeFlag() { // scaling lists are present, not the default ones
		skipScalingLists(b)
	}
	b.skip(2)
	if b.takeFlag() {
		b.skip(8)
		b.takeGolomb()
		b.takeGolomb()
		b.skip(1)
	}
	if !skipReferenceSets(b) || orderBits > 16 || !skipLongTermReferences(b, orderBits) {
		return s, false
	}
	b.skip(2)
	s.colour = takeColour(b)
	return s, !b.overread
}

// removeEmulationPrevention returns the bytes of a NAL unit behind its header, without the
// bytes that prevent start codes.
func removeEmulationPrevention(nal []byte) []byte {
	var data []byte
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
		if i >= 2 {
			data = append(data, v)
		}
	}
	return data
}

// takeSize reads the size inside the conformance window.
func takeSize(b *bits, chroma int) (int, int, bool) {
	if chroma == chroma444 {
		b.skip(1) // whether the planes are coded separately; they are not subsampled either way
	}
	width, height := int64(b.takeGolomb()), int64(b.takeGolomb())
	if b.takeFlag() {
		unitX, unitY := int64(1), int64(1)
		if chroma == chroma420 || chroma == chroma422 {
			unitX = 2
		}
		if chroma == chroma420 {
			unitY = 2
		}
		width -= unitX * (int64(b.takeGolomb()) + int64(b.takeGolomb()))  // left and right
		height -= unitY * (int64(b.takeGolomb()) + int64(b.takeGolomb())) // top and bottom
	}
	return int(width), int(height), !b.overread && width > 0 && height > 0 && chroma <= chroma444
}

// takeColour reads the colours in the video usability information.
func takeColour(b *bits) colour {
	c := colour{matrix: unspecified}
	if !b.takeFlag() { // no such information
		return c
	}
	if b.takeFlag() && b.take(8) == 255 {
		b.skip(32)
	}
	if b.takeFlag() {
		b.skip(1)
	}
	if b.takeFlag() {
		b.skip(3)
		c.fullRange = b.takeFlag()
		if b.takeFlag() {
			c.primaries = int(b.take(8))
			b.skip(8)
			c.matrix = int(b.take(8))
		}
	}
	return c
}

// skipLongTermReferences skips the long-term reference pictures, with picture order counts
// of so many bits.
func skipLongTermReferences(b *bits, orderBits int) bool {
	if !b.takeFlag() {
		return true
	}
	for range b.takeGolomb() {
		b.skip(orderBits + 1)
		if b.overread || b.at>>3 > len(b.data) {
			return false
		}
	}
	return true
}

func skipProfileTierLevel(b *bits, subLayers int) {
	b.skip(96)
	var profile, level [8]bool
	for i := range subLayers {
		profile[i], level[i] = b.takeFlag(), b.takeFlag()
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

func skipScalingLists(b *bits) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for m := 0; m < 6; m += step {
			if !b.takeFlag() {
				b.takeGolomb()
				continue
			}
			if size > 1 {
				b.takeGolomb()
			}
			for range min(64, 16<<(2*size)) {
				b.takeGolomb()
			}
		}
	}
}

// skipReferenceSets skips the short-term reference picture sets.
func skipReferenceSets(b *bits) bool {
	count := b.takeGolomb()
	if count > 64 {
		return false
	}
	deltas := uint32(0) // of the previous set
	for set := range count {
		if set > 0 && b.takeFlag() {
			deltas = skipPredictedSet(b, deltas)
			continue
		}
		negative, positive := b.takeGolomb(), b.takeGolomb()
		if negative > 16 || positive > 16 {
			return false
		}
		deltas = negative + positive
		for range deltas {
			b.takeGolomb()
			b.skip(1)
		}
	}
	return !b.overread
}

// skipPredictedSet skips a set that is coded as changes to the previous one, with so many
// deltas, and returns its number of deltas.
func skipPredictedSet(b *bits, deltas uint32) uint32 {
	b.skip(1)
	b.takeGolomb()
	n := uint32(0)
	for range deltas + 1 {
		used := b.takeFlag() // by this picture
		if !used {
			used = b.takeFlag() // by a later one
		}
		if used {
			n++
		}
		if b.overread {
			break
		}
	}
	return n
}
