package nn

// arena plans memory that values share if they are not needed at the same time.
type arena struct {
	placed []placement
	length int // in values
}

type placement struct {
	offset, length int
	alive          span
}

// span is the range of stages, both ends included, during which a value is needed.
type span struct{ first, last int }

// use extends a span that began as {-1, -1} to a stage. Stages come in order.
func (s *span) use(stage int) {
	if s.first < 0 {
		s.first = stage
	}
	s.last = stage
}

// place returns the lowest offset, at a cache line, that no value of an overlapping span covers.
func (a *arena) place(length int, alive span) int {
	const line = 16 // values in a cache line
	offset := 0
	for moved := true; moved; {
		moved = false
		for _, p := range a.placed {
			apart := p.alive.last < alive.first || p.alive.first > alive.last ||
				p.offset >= offset+length || p.offset+p.length <= offset
			if !apart {
				offset = (p.offset + p.length + line - 1) / line * line
				moved = true
			}
		}
	}
	a.placed = append(a.placed, placement{offset, length, alive})
	a.length = max(a.length, offset+length)
	return offset
}
