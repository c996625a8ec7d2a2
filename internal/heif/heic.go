package heif

import (
	"bytes"
	"context"
	"encoding/binary"

	"garb/internal/raster"
)

// Colour spaces and chroma formats of libheif.
const (
	spaceYCbCr = 0
	spaceRGB   = 1
	spaceGrey  = 2

	chroma420 = 1
	chroma422 = 2
	chroma444 = 3
)

// rowBytes returns the distance in bytes between rows of width samples in libheif: rows have at
// least 64 samples and begin at multiples of 16 bytes.
func rowBytes(width, sampleBytes int) int { return (max(width, 64)*sampleBytes + 15) &^ 15 }

// decodeHEIC decodes the picture to RGB over white. libheif applies the file's rotation,
// mirroring and cropping.
func decodeHEIC(ctx context.Context, data []byte, c *container, p *picture) ([]byte, error) {
	data = bytes.Clone(data)
	copy(data[c.majorBrand:], "heic") // the module refuses other major brands unread
	pixels, err := decodeItem(ctx, data, p)
	if err != nil {
		return nil, err
	}
	alpha := c.findAlpha(data, c.primary)
	if alpha == 0 || c.items[alpha].kind != "hvc1" {
		return pixels, nil
	}
	opacity, err := decodeAlpha(ctx, data, c, p, alpha)
	if err != nil {
		return nil, err
	}
	for i, v := range pixels {
		a := int(opacity[i])
		pixels[i] = byte((int(v)*a + 255*(255-a) + 127) / 255)
	}
	return pixels, nil
}

// decodeAlpha decodes the alpha plane of p. The module does not return alpha, so data is
// changed to have the alpha plane as its primary item.
func decodeAlpha(ctx context.Context, data []byte, c *container, p *picture, alpha uint32) ([]byte, error) {
	plane := *p
	plane.colour = colour{matrix: unspecified}
	if err := c.checkPresent(alpha); err != nil {
		return nil, err
	}
	if err := c.checkHEVC(data, alpha, &plane.colour); err != nil {
		return nil, err
	}
	if _, _, _, w, h, err := c.readGeometry(data, alpha); err != nil || w != p.width || h != p.height {
		return nil, raster.Unsupportedf("its alpha plane has another size than its picture; save it as PNG")
	}
	switch at := c.primaryBox; at.end - at.start {
	case 2:
		if alpha > 0xffff {
			return nil, raster.Corruptf("its alpha plane cannot be addressed")
		}
		binary.BigEndian.PutUint16(data[at.start:], uint16(alpha))
	case 4:
		binary.BigEndian.PutUint32(data[at.start:], alpha)
	}
	data[c.items[alpha].flagsAt] &^= 1 // not hidden
	return decodeItem(ctx, data, &plane)
}

// decodeItem decodes the primary item of data.
//
// The module's decode(file, fileBytes, sizesOnly, width, height, space, chroma,
// premultiplied, pixels) writes 8-bit planes one after another, or RGBA; rows are
// aligned.
func decodeItem(ctx context.Context, data []byte, p *picture) ([]byte, error) {
	m, err := heicDecoder.start(ctx, p.memoryLimit(data))
	if err != nil {
		return nil, err
	}
	defer m.close()
	file, err := m.allocate(len(data), data)
	if err != nil {
		return nil, err
	}
	numbers, err := m.allocate(20, make([]byte, 20))
	if err != nil {
		return nil, err
	}
	decode := func(sizesOnly, pixels uint64) error {
		at := uint64(numbers)
		return m.decode(uint64(file), uint64(len(data)), sizesOnly, at, at+4, at+8, at+12, at+16, pixels)
	}
	if err = decode(1, 0); err != nil {
		return nil, err
	}
	description, err := m.readNumbers(numbers, 5)
	if err != nil {
		return nil, err
	}
	width, height, space, chroma := int(description[0]), int(description[1]), description[2], description[3]
	if err = compareSizes(p.width, p.height, width, height); err != nil {
		return nil, err
	}
	layout, size, err := layOut(width, height, space, chroma)
	if err != nil {
		return nil, err
	}
	samples, err := m.decodeSamples(size, decode)
	if err != nil {
		return nil, err
	}
	if space == spaceRGB {
		return overWhite(samples, width, height, description[4] != 0), nil
	}
	layout.y = samples[:layout.yStride*height]
	if !layout.grey {
		chroma := samples[len(layout.y):size]
		layout.cb, layout.cr = chroma[:len(chroma)/2], chroma[len(chroma)/2:]
	}
	return layout.toRGB(p.colour)
}

// layOut returns the layout of the module's output, without samples, and its size in bytes.
func layOut(width, height int, space, chroma uint32) (p planes, size int, err error) {
	p = planes{width: width, height: height, yStride: rowBytes(width, 1)}
	switch {
	case space == spaceRGB:
		return p, rowBytes(width, 4) * height, nil
	case space == spaceGrey:
		p.grey = true
		return p, p.yStride * height, nil
	case space == spaceYCbCr && chroma >= chroma420 && chroma <= chroma444:
		if chroma != chroma444 {
			p.subX = 1
		}
		if chroma == chroma420 {
			p.subY = 1
		}
		p.cStride = rowBytes((width+p.subX)>>p.subX, 1)
		p.cHeight = (height + p.subY) >> p.subY
		return p, p.yStride*height + 2*p.cStride*p.cHeight, nil
	}
	return p, 0, raster.Unsupportedf("its colours are coded in an unknown way (%d, %d)", space, chroma)
}

// decodeSamples calls decode, which writes size bytes of samples, and returns them.
func (m *machine) decodeSamples(size int, decode func(sizesOnly, pixels uint64) error) ([]byte, error) {
	guard := bytes.Repeat([]byte{0xa5}, 64) // overwritten if rows are longer than expected
	out, err := m.allocate(size+len(guard), nil)
	if err != nil {
		return nil, err
	}
	if !m.module.Memory().Write(out+uint32(size), guard) {
		return nil, m.explain("decoding", nil)
	}
	if err = decode(0, uint64(out)); err != nil {
		return nil, err
	}
	samples, err := m.view(out, size+len(guard))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(samples[size:], guard) {
		return nil, raster.Corruptf("it has more pixels than its boxes say")
	}
	return samples[:size], nil
}

// overWhite composites RGBA, whose rows are aligned, over white.
func overWhite(rgba []byte, width, height int, premultiplied bool) []byte {
	pixels := make([]byte, 3*width*height)
	for y := range height {
		row := rgba[y*rowBytes(width, 4):][:4*width]
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
