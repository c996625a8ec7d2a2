package tiff

import (
	"errors"
	"math/bits"

	"garb/internal/raster"
)

var (
	// errFaxEnd says that the data have ended, or that the end marker was read.
	errFaxEnd = errors.New("end of the fax data")
	// errNoLineEnd says that the data have ended where zeros before the end of a line were skipped.
	errNoLineEnd = errors.New("no end of the line in the fax data")
)

// faxDecoder decodes a strip or tile in modified Huffman coding, T.4 or T.6 as libtiff does (tif_fax3.h),
// which continues with the next row where codes are damaged.
type faxDecoder struct {
	data     []byte
	reversed bool // the lowest bit of a byte is the first
	at       int  // next bit of data
	end      int  // of the data, or of the zeros that libtiff appends where a code is longer than the data

	width     int
	runs      []int // of the row, white and black in turn
	reference []int // runs of the row above
	above     int   // index in reference of the run behind edge
	edge      int   // changing element of the row above, b1 in T.4
	x         int   // start of the next run, a0 in T.4, without pending
	pending   int   // what is known of the next run
	// hasLineEnds says that rows in T.4 begin with the code of the end of a line.
	hasLineEnds bool
	sawEnd      bool // 11 zeros have been read, with which the code of the end of a line begins
}

// unpackFax decodes rows of the width and height of stored, where 1 is black.
func (d *decoder) unpackFax(strip []byte, stored part) ([]byte, error) {
	options, err := d.int(tagT4Options, 0)
	if err != nil {
		return nil, err
	}
	f := faxDecoder{data: strip, reversed: d.reversed, end: 8 * len(strip)}
	f.width, f.reference = stored.width, []int{stored.width, 0}
	f.hasLineEnds = !d.faxWithoutLineEnds
	stride := (stored.width + 7) / 8
	rows := make([]byte, stride*stored.height)
	for y := range stored.height {
		if err := d.ctx.Err(); err != nil {
			return nil, err
		}
		err := f.decodeRow(d.compression, options&1 != 0)
		if errors.Is(err, errNoLineEnd) {
			// libtiff goes on as if there were no ends of lines in the file, at the start of the data.
			f.hasLineEnds, d.faxWithoutLineEnds = false, true
			f.at, f.end = 0, 8*len(strip)
			d.repairs.AddRepair("ends of lines are missing")
			err = f.decodeRow(d.compression, options&1 != 0)
		}
		switch {
		case err == nil:
		case !errors.Is(err, errFaxEnd):
			return nil, err
		case d.compression == ccittT6 && y > 0: // libtiff takes what there is
			fillRuns(rows[y*stride:][:stride], f.runs, f.width)
			d.repairs.AddRepair("the last rows are missing")
			return rows, nil
		default:
			return nil, raster.ErrTruncated
		}
		fillRuns(rows[y*stride:][:stride], f.runs, f.width)
		f.runs = append(f.runs, 0) // ends the row as a reference
		f.reference, f.runs = f.runs, f.reference
	}
	return rows, nil
}

// decodeRow decodes the runs of a row.
func (f *faxDecoder) decodeRow(compression int, twoDimensional bool) error {
	f.runs, f.x, f.pending = f.runs[:0], 0, 0
	f.edge, f.above = f.reference[0], 1
	var err error
	switch compression {
	case ccittRLE:
		err = f.readRuns()
		f.at = f.end - (f.end-f.at)&^7
	case ccittT4:
		if f.hasLineEnds {
			if err = f.readEndOfLine(); err != nil {
				return err
			}
		}
		oneDimensional := 1
		if twoDimensional {
			if oneDimensional, err = f.read(1); err != nil {
				return err
			}
		}
		if oneDimensional == 1 {
			err = f.readRuns()
		} else {
			err = f.readModes()
		}
	default:
		err = f.readModes()
	}
	if err != nil {
		return err
	}
	f.completeRow()
	if compression == ccittT6 && f.sawEnd {
		return errFaxEnd
	}
	if len(f.runs) > 2*f.width+64 {
		return raster.Corruptf("TIFF with a row of %d runs in CCITT compression", len(f.runs))
	}
	return nil
}

// peek returns the next n bits. Zeros are appended to data that have fewer, but at least one.
func (f *faxDecoder) peek(n int) (int, error) {
	if f.end-f.at < n {
		if f.end <= f.at {
			return 0, errFaxEnd
		}
		f.end = f.at + n
	}
	next := 0 // the next 3 bytes
	for i := range 3 {
		next <<= 8
		if at := f.at/8 + i; at < len(f.data) {
			b := f.data[at]
			if f.reversed {
				b = bits.Reverse8(b)
			}
			next |= int(b)
		}
	}
	return next >> (24 - f.at%8 - n) & (1<<n - 1), nil
}

// read reads n bits.
func (f *faxDecoder) read(n int) (int, error) {
	value, err := f.peek(n)
	f.at += n
	return value, err
}

// readEndOfLine reads up to the end of the code that begins a row in T.4: at least 11 zeros and a one.
func (f *faxDecoder) readEndOfLine() error {
	for !f.sawEnd {
		bits, err := f.peek(11)
		if err != nil {
			return err
		}
		if bits == 0 {
			break
		}
		f.at++
	}
	f.sawEnd = false
	for {
		bits, err := f.peek(8)
		if err != nil {
			return errNoLineEnd
		}
		if bits != 0 {
			break
		}
		f.at += 8
	}
	for {
		if bit, err := f.read(1); err != nil || bit == 1 {
			return err
		}
	}
}

// addRun ends the run, n pixels after what is known of it.
func (f *faxDecoder) addRun(n int) {
	f.runs = append(f.runs, f.pending+n)
	f.x += n
	f.pending = 0
}

// readRun reads the codes of a run of the colour, 0 for white. It returns false at bits that are no code.
func (f *faxDecoder) readRun(colour int) (bool, error) {
	table := &faxTables()[colour]
	for {
		bits, err := f.peek(faxBits - 1 + colour) // white codes have at most 12 bits
		if err != nil {
			return false, err
		}
		bits <<= 1 - colour
		if bits>>2 == 0 {
			f.at += 11
			f.sawEnd = true
			return false, nil
		}
		code := table[bits]
		if code.width == 0 {
			return false, nil
		}
		f.at += int(code.width)
		if code.run < 64 {
			f.addRun(int(code.run))
			return true, nil
		}
		f.x += int(code.run)
		f.pending += int(code.run)
	}
}

// readRuns reads a row that is coded in one dimension.
func (f *faxDecoder) readRuns() error {
	for colour := 0; ; colour ^= 1 {
		if ok, err := f.readRun(colour); err != nil || !ok || f.x >= f.width {
			return err
		}
		if n := len(f.runs); colour == 1 && f.runs[n-1] == 0 && f.runs[n-2] == 0 {
			f.runs = f.runs[:n-2]
		}
	}
}

// findEdge moves to the changing element of the row above that is of the other colour and behind x.
func (f *faxDecoder) findEdge() {
	if len(f.runs) == 0 {
		return
	}
	for f.edge <= f.x && f.edge < f.width {
		f.edge += f.takeRun() + f.takeRun()
	}
}

// takeRun returns the next run of the row above, which is 0 behind its end.
func (f *faxDecoder) takeRun() int {
	f.above++
	if f.above > len(f.reference) {
		return 0
	}
	return f.reference[f.above-1]
}

// faxMode is a mode of coding in two dimensions, with the width of its code.
type faxMode struct{ mode, shift, width int }

// Modes, of which vertical ones have a shift.
const (
	faxPass = iota
	faxHorizontal
	faxVertical
	faxExtension // which no decoder knows
	faxEndOfLine
)

// findMode returns the mode that 7 bits begin with (ITU-T T.4, table 4).
func findMode(bits int) faxMode {
	switch {
	case bits>>6 == 1:
		return faxMode{faxVertical, 0, 1}
	case bits>>4 == 0b011:
		return faxMode{faxVertical, 1, 3}
	case bits>>4 == 0b010:
		return faxMode{faxVertical, -1, 3}
	case bits>>4 == 0b001:
		return faxMode{faxHorizontal, 0, 3}
	case bits>>3 == 0b0001:
		return faxMode{faxPass, 0, 4}
	case bits>>1 == 0b000011:
		return faxMode{faxVertical, 2, 6}
	case bits>>1 == 0b000010:
		return faxMode{faxVertical, -2, 6}
	case bits == 0b0000011:
		return faxMode{faxVertical, 3, 7}
	case bits == 0b0000010:
		return faxMode{faxVertical, -3, 7}
	case bits == 0:
		return faxMode{faxEndOfLine, 0, 7}
	}
	return faxMode{faxExtension, 0, 7}
}

// readModes reads a row that is coded in two dimensions.
func (f *faxDecoder) readModes() error {
	for f.x < f.width {
		bits, err := f.peek(7)
		if err != nil {
			return err
		}
		m := findMode(bits)
		f.at += m.width
		ok := false
		switch m.mode {
		case faxPass:
			f.findEdge()
			f.edge += f.takeRun()
			f.pending += f.edge - f.x
			f.x = f.edge
			f.edge += f.takeRun()
			ok = true
		case faxHorizontal:
			colour := len(f.runs) & 1
			if ok, err = f.readRun(colour); ok {
				ok, err = f.readRun(colour ^ 1)
			}
			if ok {
				f.findEdge()
			} else {
				f.sawEnd = false
			}
		case faxVertical:
			ok = f.addVertical(m.shift)
		case faxExtension:
			f.runs = append(f.runs, f.width-f.x)
		case faxEndOfLine:
			f.runs = append(f.runs, f.width-f.x)
			_, err = f.read(4)
			f.sawEnd = true
		}
		if err != nil || !ok {
			return err
		}
	}
	if f.pending == 0 {
		return nil
	}
	if f.pending+f.x < f.width {
		if bit, err := f.read(1); err != nil || bit == 0 { // the code of a run that ends with the row
			return err
		}
	}
	f.addRun(0)
	return nil
}

// addVertical ends a run near the changing element of the row above. It returns false if that is not
// behind the run's start.
func (f *faxDecoder) addVertical(shift int) bool {
	f.findEdge()
	if f.edge+shift < f.x {
		return false
	}
	f.addRun(f.edge + shift - f.x)
	if shift < 0 {
		f.above = max(f.above-1, 0)
		if f.above < len(f.reference) {
			f.edge -= f.reference[f.above]
		}
	} else {
		f.edge += f.takeRun()
	}
	return true
}

// completeRow makes the runs as long as the row.
func (f *faxDecoder) completeRow() {
	if f.pending != 0 {
		f.addRun(0)
	}
	for f.x > f.width && len(f.runs) > 0 {
		f.x -= f.runs[len(f.runs)-1]
		f.runs = f.runs[:len(f.runs)-1]
	}
	if f.x < f.width {
		f.x = max(f.x, 0)
		if len(f.runs)&1 != 0 {
			f.addRun(0)
		}
		f.addRun(f.width - f.x)
	}
}

// fillRuns sets the bits of black runs.
func fillRuns(row []byte, runs []int, width int) {
	x := 0
	for i, n := range runs {
		n = min(max(n, 0), width-x)
		if i&1 != 0 {
			fillBits(row, x, x+n)
		}
		x += n
	}
}

// fillBits sets the bits from start to end, which is not included.
func fillBits(row []byte, start, end int) {
	for ; start < end && start%8 != 0; start++ {
		row[start/8] |= 0x80 >> (start % 8)
	}
	for ; start+8 <= end; start += 8 {
		row[start/8] = 0xff
	}
	for ; start < end; start++ {
		row[start/8] |= 0x80 >> (start % 8)
	}
}
