package nn

// arena plans memory that values share which are not needed at the same time.
type arena struct {
	placed []placement
	length int // values in all
}

type placement struct {
	offset, length int
	alive          span
}

// span is the steps, first and last included, during which a value is needed.
type span struct{ first, last int }

// use extends a span that began as {-1, -1} to a step; steps come in order.
func (s *span) use(step int) {
	if s.first < 0 {
		s.first = step
	}
	s.last = step
}

// place returns the lowest offset, at a cache line, that no value alive at the same
// time covers.
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
