package webp

import (
	"context"
	"encoding/binary"

	"garb/internal/raster"
	"garb/internal/vp8l"
)

// Filters of alpha (RFC 9649, section 2.7.1.2).
const (
	filterNone = iota
	filterHorizontal
	filterVertical
	filterGradient
)

// decodeAlpha decodes the content of an ALPH chunk of a picture of the given size.
func decodeAlpha(ctx context.Context, data []byte, width, height int) ([]uint8, error) {
	if len(data) < 2 {
		return nil, errTruncated
	}
	compression, filter, preprocessing, reserved := data[0]&3, data[0]>>2&3, data[0]>>4&3, data[0]>>6
	data = data[1:]
	if compression > 1 || preprocessing > 1 || reserved != 0 {
		return nil, raster.Corruptf("WebP: unknown kind of ALPH chunk")
	}
	if compression == 0 && len(data) < width*height {
		return nil, errTruncated
	}
	plane := make([]uint8, width*height)
	if compression == 0 {
		copy(plane, data)
	} else {
		err := vp8l.DecodePlane(ctx, data, width, height, func(y int, row []uint32) {
			out := plane[y*width:][:len(row)]
			for x, v := range row {
				out[x] = uint8(v >> 8)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if filter == filterNone {
		return plane, nil
	}
	for y := range height {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row := plane[y*width:][:width]
		if y == 0 {
			addLeft(row, 0)
			continue
		}
		above := plane[(y-1)*width:][:width]
		switch filter {
		case filterHorizontal:
			addLeft(row, above[0])
		case filterVertical:
			addAbove(row, above)
		case filterGradient:
			addGradient(row, above)
		}
	}
	return plane, nil
}

// addLeft adds to each level the one to its left, and first to the first.
func addLeft(row []uint8, first uint8) {
	for x := range row {
		first += row[x]
		row[x] = first
	}
}

func addAbove(row, above []uint8) {
	const high = 0x8080808080808080
	for ; len(row) >= 8 && len(above) >= 8; row, above = row[8:], above[8:] {
		a, b := binary.LittleEndian.Uint64(row), binary.LittleEndian.Uint64(above)
		binary.LittleEndian.PutUint64(row, (a&^high+b&^high)^(a^b)&high)
	}
	for x := range row {
		row[x] += above[x]
	}
}

func addGradient(row, above []uint8) {
	left, corner := int(above[0]), int(above[0])
	above = above[:len(row)]
	for x, a := range above {
		predicted := min(max(left+int(a)-corner, 0), 255)
		corner = int(a)
		left = int(row[x] + uint8(predicted))
		row[x] = uint8(left)
	}
}
