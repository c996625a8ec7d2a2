package nn

// RunBytes returns the memory that one run of a batch of images works in. The plan keeps it for later
// runs.
func (p *Plan) RunBytes(images int) int64 {
	values := int64(p.threads) * int64(p.arenaLen+p.scratchLen)
	for _, s := range p.values {
		if s.place == inBatch {
			values += int64(images) * int64(s.length)
		}
	}
	return 4 * values
}
