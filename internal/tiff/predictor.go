package tiff

// undoPrediction restores a row that predictor 2 or 3 has changed.
func (d *decoder) undoPrediction(row []byte) {
	if d.predictor == 3 {
		undoFloatPrediction(row)
		return
	}
	step := d.stored * d.bits / 8
	if d.planar {
		step = d.bits / 8
	}
	d.addLeft(row, step)
}

// addLeft adds to each sample of a row the one that is step bytes to its left (TIFF 6.0, section 14).
func (d *decoder) addLeft(row []byte, step int) {
	switch d.bits {
	case 8:
		for i := step; i < len(row); i++ {
			row[i] += row[i-step]
		}
	case 16:
		for i := step; i+1 < len(row); i += 2 {
			d.order.PutUint16(row[i:], d.order.Uint16(row[i:])+d.order.Uint16(row[i-step:]))
		}
	default:
		for i := step; i+3 < len(row); i += 4 {
			d.order.PutUint32(row[i:], d.order.Uint32(row[i:])+d.order.Uint32(row[i-step:]))
		}
	}
}

// undoFloatPrediction restores a row of numbers of 32 bits to little-endian order. The row has first the
// highest bytes of all numbers, then the next ones, each as the difference from the byte to its left
// (TIFF Technical Note 3).
func undoFloatPrediction(row []byte) {
	for i := 1; i < len(row); i++ {
		row[i] += row[i-1]
	}
	bytes, n := append([]byte(nil), row...), len(row)/4
	for i := range n {
		for b := range 4 {
			row[4*i+b] = bytes[(3-b)*n+i]
		}
	}
}
