package heif

import (
	"bytes"
	"context"
	"encoding/binary"
)

// Colour spaces and chroma formats, numbered as in libheif.
const (
	spaceYCbCr = 0
	spaceRGB   = 1
	spaceGrey  = 2

	chroma420 = 1
	chroma422 = 2
	chroma444 = 3
)

// stride is the distance in bytes between rows of width samples as libheif lays them
// out: rows of at least 64 samples, a multiple of 16 bytes apart.
func stride(width, sampleBytes int) int { return (max(width, 64)*sampleBytes + 15) &^ 15 }

// decodeHEIC gives the picture as RGB over white. libheif has applied the file's
// rotation, mirroring and cropping.
func decodeHEIC(ctx context.Context, data []byte, c *container, p *picture) ([]byte, error) {
	data = bytes.Clone(data)
	copy(data[c.majorBrand:], "heic") // the module refuses other major brands unread
	pixels, err := decodeItem(ctx, data, p)
	if err != nil {
		return nil, err
	}
	alpha := c.alpha(data, c.primary)
	if alpha == 0 || c.items[alpha].kind != "hvc1" {
		return pixels, nil
	}
	// The module gives no alpha: have it decode the same file with the alpha plane as its
	// primary item.
	plane := *p
	plane.colour = colour{matrix: unspecified}
	if err := c.present(alpha); err != nil {
		return nil, err
	}
	if err := c.checkHEVC(data, alpha, &plane.colour); err != nil {
		return nil, err
	}
	if _, _, _, w, h, err := c.geometry(data, alpha); err != nil || w != p.width || h != p.height {
		return nil, unsupported("its alpha plane has another size than its picture; save it as PNG")
	}
	switch at := c.primaryBox; at.end - at.start {
	case 2:
		if alpha > 0xffff {
			return nil, corrupt("its alpha plane can't be addressed")
		}
		binary.BigEndian.PutUint16(data[at.start:], uint16(alpha))
	case 4:
		binary.BigEndian.PutUint32(data[at.start:], alpha)
	}
	data[c.items[alpha].flagsAt] &^= 1 // not hidden
	opacity, err := decodeItem(ctx, data, &plane)
	if err != nil {
		return nil, err
	}
	for i, v := range pixels {
		a := int(opacity[i])
		pixels[i] = byte((int(v)*a + 255*(255-a) + 127) / 255)
	}
	return pixels, nil
}

// decodeItem decodes the primary item of data.
//
// The module's decode(file, fileBytes, sizesOnly, width, height, space, chroma,
// premultiplied, pixels) writes 8-bit planes one after another, or RGBA; rows are
// aligned.
func decodeItem(ctx context.Context, data []byte, p *picture) ([]byte, error) {
	m, err := heicDecoder.start(ctx, p.memory(data))
	if err != nil {
		return nil, err
	}
	defer m.close()
	file, err := m.block(len(data), data)
	if err != nil {
		return nil, err
	}
	numbers, err := m.block(20, make([]byte, 20))
	if err != nil {
		return nil, err
	}
	decode := func(sizesOnly, pixels uint64) error {
		at := uint64(numbers)
		done, err := m.call("decode", uint64(file), uint64(len(data)), sizesOnly, at, at+4, at+8, at+12, at+16, pixels)
		if err == nil && done == 0 {
			err = m.failed("decoding", nil)
		}
		return err
	}
	if err := decode(1, 0); err != nil {
		return nil, err
	}
	told, err := m.numbers(numbers, 5)
	if err != nil {
		return nil, err
	}
	if int(told[0]) != p.width || int(told[1]) != p.height {
		return nil, corrupt("its boxes contradict each other: %d × %d and %d × %d pixels", p.width, p.height, told[0],
			told[1])
	}
	planes := planes{width: p.width, height: p.height, yStride: stride(p.width, 1)}
	size := 0
	switch space, chroma := told[2], told[3]; {
	case space == spaceRGB:
		size = stride(p.width, 4) * p.height
	case space == spaceGrey:
		planes.grey = true
		size = planes.yStride * p.height
	case space == spaceYCbCr && chroma >= chroma420 && chroma <= chroma444:
		if chroma != chroma444 {
			planes.subX = 1
		}
		if chroma == chroma420 {
			planes.subY = 1
		}
		planes.cStride = stride((p.width+planes.subX)>>planes.subX, 1)
		planes.cHeight = (p.height + planes.subY) >> planes.subY
		size = planes.yStride*p.height + 2*planes.cStride*planes.cHeight
	default:
		return nil, unsupported("its colours are coded in a way that isn't known (%d, %d)", space, chroma)
	}
	// Guard bytes tell if rows are longer than they should be.
	guard := bytes.Repeat([]byte{0xa5}, 64)
	out, err := m.block(size+len(guard), nil)
	if err != nil {
		return nil, err
	}
	if !m.module.Memory().Write(out+uint32(size), guard) {
		return nil, m.failed("decoding", nil)
	}
	if err := decode(0, uint64(out)); err != nil {
		return nil, err
	}
	samples, err := m.bytes(out, size+len(guard))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(samples[size:], guard) {
		return nil, corrupt("its pixels are more than its boxes say")
	}
	if told[2] == spaceRGB {
		return overWhite(samples, p.width, p.height, told[4] != 0), nil
	}
	planes.y = samples[:planes.yStride*p.height]
	if !planes.grey {
		chroma := samples[len(planes.y):size]
		planes.cb, planes.cr = chroma[:len(chroma)/2], chroma[len(chroma)/2:]
	}
	return planes.rgb(p.colour)
}

// overWhite composites RGBA, whose rows are aligned, over white.
func overWhite(rgba []byte, width, height int, premultiplied bool) []byte {
	pixels := make([]byte, 3*width*height)
	for y := range height {
		row := rgba[y*stride(width, 4):][:4*width]
		for x := range width {
			from, to := row[4*x:][:4], pixels[3*(y*width+x):][:3]
			a := int(from[3])
			for j := range to {
				v := int(from[j])
				if !premultiplied {
					v = (v*a + 127) / 255
				}
				to[j] = byte(min(v+255-a, 255))
			}
		}
	}
	return pixels
}
