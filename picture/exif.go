package picture

import "encoding/binary"

// orientationTag is EXIF's tag for the orientation, a SHORT (Exif 2.32, table 4).
const orientationTag = 0x0112

// readOrientation reads the orientation from an EXIF block, a TIFF file. If it cannot be read, the
// picture is taken as upright.
func readOrientation(exif []byte) int {
	const upright = 1
	if len(exif) >= 6 && string(exif[:6]) == "Exif\x00\x00" {
		exif = exif[6:]
	}
	if len(exif) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := int64(order.Uint32(exif[4:]))
	if at+2 > int64(len(exif)) {
		return upright
	}
	entries := exif[at+2:]
	for range order.Uint16(exif[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == orientationTag {
			const short = 3
			if v := int(order.Uint16(entries[8:])); order.Uint16(entries[2:]) == short && v >= 1 && v <= 8 {
				return v
			}
			break
		}
		entries = entries[12:]
	}
	return upright
}

// findJPEGEXIF returns the body of a JPEG's first EXIF segment, nil if there is none.
func findJPEGEXIF(data []byte) []byte {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		marker := data[at+1]
		if marker == 0xff { // padding
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if marker == 0xda || size < 2 || at+2+size > len(data) {
			return nil
		}
		if body := data[at+4 : at+2+size]; marker == 0xe1 && len(body) >= 6 && string(body[:6]) == "Exif\x00\x00" {
			return body
		}
		at += 2 + size
	}
	return nil
}

// findPNGEXIF returns the body of a PNG's eXIf chunk, nil if there is none.
func findPNGEXIF(data []byte) []byte {
	for rest := data[8:]; len(rest) >= 12; {
		size := int64(binary.BigEndian.Uint32(rest))
		if 12+size > int64(len(rest)) {
			return nil
		}
		if string(rest[4:8]) == "eXIf" {
			return rest[8 : 8+size]
		}
		rest = rest[12+size:]
	}
	return nil
}

// turnUpright returns the picture rotated and mirrored so that it is upright.
func (p *RGB) turnUpright(orientation int) *RGB {
	// Pixel (x, y) of the upright picture is stored at start + x·stepX + y·stepY.
	w, h := p.Width, p.Height
	right, down := 1, w
	var start, stepX, stepY int
	width, height := w, h
	switch orientation {
	case 2: // mirrored
		start, stepX, stepY = (w-1)*right, -right, down
	case 3: // upside down
		start, stepX, stepY = (w-1)*right+(h-1)*down, -right, -down
	case 4: // upside down, mirrored
		start, stepX, stepY = (h-1)*down, right, -down
	case 5: // rows are columns
		start, stepX, stepY = 0, down, right
	case 6: // to be turned clockwise
		start, stepX, stepY = (h-1)*down, -down, right
	case 7:
		start, stepX, stepY = (w-1)*right+(h-1)*down, -down, -right
	case 8: // to be turned anticlockwise
		start, stepX, stepY = (w-1)*right, down, -right
	default:
		return p
	}
	if orientation >= 5 {
		width, height = h, w
	}
	q := newRGB(width, height)
	for y := range height {
		from := start + y*stepY
		for out := q.row(y); len(out) > 0; out = out[3:] {
			copy(out[:3], p.Pix[3*from:])
			from += stepX
		}
	}
	return q
}
