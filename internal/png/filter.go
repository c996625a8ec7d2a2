package png

// unfilter sets out to the row that a filter made into data: W3C, PNG, section 9. above is the row
// before. All three are equally long, and out does not overlap the others. bpp is the number of bytes
// of a pixel, at least 1.
func unfilter(filter uint8, out, data, above []uint8, bpp int) {
	switch filter {
	case 0:
		copy(out, data)
	case 1:
		done := unfilterSub(out, data, bpp)
		unfilterSubFrom(done, out, data, bpp)
	case 2:
		done := unfilterUp(out, data, above)
		unfilterUpFrom(done, out, data, above)
	case 3:
		done := unfilterAverage(out, data, above, bpp)
		unfilterAverageFrom(done, out, data, above, bpp)
	case 4:
		done := unfilterPaeth(out, data, above, bpp)
		unfilterPaethFrom(done, out, data, above, bpp)
	}
}

// unfilterSubFrom unfilters what follows the first bytes, which are whole pixels.
func unfilterSubFrom(first int, out, data []uint8, bpp int) {
	for ; first < min(bpp, len(out)); first++ {
		out[first] = data[first]
	}
	for i := first; i < len(out); i++ {
		out[i] = data[i] + out[i-bpp]
	}
}

func unfilterUpFrom(first int, out, data, above []uint8) {
	for i := first; i < len(out); i++ {
		out[i] = data[i] + above[i]
	}
}

func unfilterAverageFrom(first int, out, data, above []uint8, bpp int) {
	for ; first < min(bpp, len(out)); first++ {
		out[first] = data[first] + above[first]/2
	}
	for i := first; i < len(out); i++ {
		out[i] = data[i] + uint8((int(out[i-bpp])+int(above[i]))/2)
	}
}

func unfilterPaethFrom(first int, out, data, above []uint8, bpp int) {
	for ; first < min(bpp, len(out)); first++ {
		out[first] = data[first] + above[first]
	}
	for i := first; i < len(out); i++ {
		out[i] = data[i] + predictPaeth(out[i-bpp], above[i], above[i-bpp])
	}
}

// predictPaeth returns which of left, above and aboveLeft is nearest to left + above - aboveLeft.
func predictPaeth(left, above, aboveLeft uint8) uint8 {
	l, a := int(above)-int(aboveLeft), int(left)-int(aboveLeft)
	b := max(l+a, -l-a)
	l, a = max(l, -l), max(a, -a)
	switch {
	case l <= a && l <= b:
		return left
	case a <= b:
		return above
	}
	return aboveLeft
}
