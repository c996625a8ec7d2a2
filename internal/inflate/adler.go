package inflate

// adlerModulus is the largest prime below 2¹⁶: RFC 1950, section 8.2. The sums over adlerBlock bytes,
// which are whole vectors, fit in 32 bits.
const (
	adlerModulus = 65521
	adlerVector  = 32
	adlerBlock   = 5536
)

// updateAdler adds bytes to an Adler-32 checksum.
func updateAdler(sum uint32, p []byte) uint32 {
	a, b := sum&0xffff, sum>>16
	for len(p) > 0 {
		block := p[:min(len(p), adlerBlock)]
		p = p[len(block):]
		a, b = sumAdler(a, b, block)
		a %= adlerModulus
		b %= adlerModulus
	}
	return b<<16 | a
}

func sumAdlerGeneric(a, b uint32, p []byte) (uint32, uint32) {
	for _, v := range p {
		a += uint32(v)
		b += a
	}
	return a, b
}
