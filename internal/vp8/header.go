package vp8

import (
	"fmt"

	"garb/internal/raster"
)

const segments = 4

// header is the frame header (RFC 6386, sections 9 and 19.2), but for its size.
type header struct {
	first      boolReader   // the first partition
	partitions []boolReader // those of coefficients

	updatesSegments      bool
	segmentProbabilities [3]uint8
	filter, simpleFilter bool
	strengthOf           [segments][2]strength // without and with subblocks
	quantizers           [segments]quantizer
	tables               [blockTypes]tokenTable
	skips                bool
	skipProbability      uint8
}

// quantizer has the factors of the coefficients of each type of block.
type quantizer struct{ luma, lumaDC, chroma steps }

// segmentation says how segments differ.
type segmentation struct {
	enabled, absolute bool
	quantizers        [segments]int
	levels            [segments]int
}

// apply returns the value of a segment.
func (s *segmentation) apply(values *[segments]int, segment, base int) int {
	switch {
	case !s.enabled:
		return base
	case s.absolute:
		return values[segment]
	}
	return base + values[segment]
}

func (h *header) readHeader(data []byte) error {
	size := int(uint32(data[0])|uint32(data[1])<<8|uint32(data[2])<<16) >> 5
	data = data[headerSize:]
	if size > len(data) {
		return fmt.Errorf("VP8: the first partition: %w", raster.ErrTruncated)
	}
	h.first = newBoolReader(data[:size])
	r := &h.first
	r.readFlag() // colour space: there is one
	r.readFlag() // whether samples need no clamping: they are clamped
	s := h.readSegmentation()
	h.readFilter(&s)
	if r.ended {
		return fmt.Errorf("VP8: the header: %w", raster.ErrTruncated)
	}
	if err := h.splitPartitions(data[size:]); err != nil {
		return err
	}
	h.readQuantizers(&s)
	r.readFlag() // whether probabilities hold for later frames
	h.readTokenTables()
	if h.skips = r.readFlag(); h.skips {
		h.skipProbability = uint8(r.readNumber(8))
	}
	return nil
}

func (h *header) readSegmentation() segmentation {
	r := &h.first
	s := segmentation{enabled: r.readFlag(), absolute: true}
	if !s.enabled {
		return s
	}
	h.updatesSegments = r.readFlag()
	if r.readFlag() {
		s.absolute = r.readFlag()
		for i := range s.quantizers {
			s.quantizers[i] = r.readOptional(7)
		}
		for i := range s.levels {
			s.levels[i] = r.readOptional(6)
		}
	}
	if h.updatesSegments {
		for i := range h.segmentProbabilities {
			h.segmentProbabilities[i] = 255
			if r.readFlag() {
				h.segmentProbabilities[i] = uint8(r.readNumber(8))
			}
		}
	}
	return s
}

func (h *header) readFilter(s *segmentation) {
	r := &h.first
	h.simpleFilter = r.readFlag()
	level, sharpness := r.readNumber(6), r.readNumber(3)
	h.filter = level > 0
	intra, subblocks := 0, 0 // differences of the level
	changes := r.readFlag()
	if changes {
		changes = r.readFlag()
	}
	if changes {
		var differences [8]int // of four reference frames and of four modes
		for i := range differences {
			differences[i] = r.readOptional(6)
		}
		intra, subblocks = differences[0], differences[4]
	}
	for i := range h.strengthOf {
		l := s.apply(&s.levels, i, level) + intra
		h.strengthOf[i][0] = newStrength(min(max(l, 0), 63), sharpness)
		h.strengthOf[i][1] = newStrength(min(max(l+subblocks, 0), 63), sharpness)
	}
}

// splitPartitions splits data into the partitions of coefficients. All but the last are preceded by
// their sizes, of 3 bytes each.
func (h *header) splitPartitions(data []byte) error {
	n := 1 << h.first.readNumber(2)
	sizes := 3 * (n - 1)
	if len(data) <= sizes {
		return fmt.Errorf("VP8: the partitions: %w", raster.ErrTruncated)
	}
	rest := data[sizes:]
	h.partitions = make([]boolReader, n)
	for i := range n - 1 {
		size := min(int(data[3*i])|int(data[3*i+1])<<8|int(data[3*i+2])<<16, len(rest))
		h.partitions[i] = newBoolReader(rest[:size])
		rest = rest[size:]
	}
	if len(rest) == 0 {
		return fmt.Errorf("VP8: the last partition: %w", raster.ErrTruncated)
	}
	h.partitions[n-1] = newBoolReader(rest)
	return nil
}

func (h *header) readQuantizers(s *segmentation) {
	r := &h.first
	base := r.readNumber(7)
	var differences [5]int
	for i := range differences {
		differences[i] = r.readOptional(4)
	}
	at := func(index, highest int) int { return min(max(index, 0), highest) }
	for i := range h.quantizers {
		q := s.apply(&s.quantizers, i, base)
		dc := func(difference, highest int) int32 { return int32(dcSteps[at(q+difference, highest)]) }
		ac := func(difference int) int32 { return int32(acSteps[at(q+difference, 127)]) }
		h.quantizers[i] = quantizer{
			luma:   steps{dc(differences[0], 127), ac(0)},
			lumaDC: steps{2 * dc(differences[1], 127), max(ac(differences[2])*155/100, 8)},
			chroma: steps{dc(differences[3], 117), ac(differences[4])},
		}
	}
}

func (h *header) readTokenTables() {
	probabilities := coefficientProbabilities
	for t := range probabilities {
		for b := range probabilities[t] {
			for c := range probabilities[t][b] {
				for i := range probabilities[t][b][c] {
					if h.first.read(coefficientUpdates[t][b][c][i]) {
						probabilities[t][b][c][i] = uint8(h.first.readNumber(8))
					}
				}
			}
		}
	}
	for t := range h.tables {
		for place, band := range bandOf {
			for c := range contexts {
				copy(h.tables[t][place][c][:], probabilities[t][band][c][:])
			}
		}
	}
}
