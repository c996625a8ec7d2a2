package heif

import (
	"bytes"
	"context"

	"garb/internal/raster"
)

// decodeAVIF decodes the picture, before rotation, to RGB over white.
//
// The module's decode(file, fileBytes, sizesOnly, allFrames, width, height, depth,
// count, durations, pixels) writes 4 samples a pixel with alpha multiplied in: bytes, or
// 16-bit numbers if the file has more than 8 bits. It returns 1 even if no frame could
// be decoded, but then does not write durations.
func decodeAVIF(ctx context.Context, data []byte, p *picture) ([]byte, error) {
	m, err := avifDecoder.start(ctx, p.memoryLimit(data))
	if err != nil {
		return nil, err
	}
	defer m.close()
	file, err := m.allocate(len(data), data)
	if err != nil {
		return nil, err
	}
	untouched := bytes.Repeat([]byte{0xff}, 8)
	numbers, err := m.allocate(16+8, append(make([]byte, 16), untouched...))
	if err != nil {
		return nil, err
	}
	decode := func(sizesOnly, pixels uint64) error {
		width, height, depth := uint64(numbers), uint64(numbers+4), uint64(numbers+8)
		count, durations := uint64(numbers+12), uint64(numbers+16)
		return m.decode(uint64(file), uint64(len(data)), sizesOnly, 0, width, height, depth, count, durations, pixels)
	}
	if err = decode(1, 0); err != nil {
		return nil, err
	}
	sizes, err := m.readNumbers(numbers, 3)
	if err != nil {
		return nil, err
	}
	if err = compareSizes(p.codedWidth, p.codedHeight, int(sizes[0]), int(sizes[1])); err != nil {
		return nil, err
	}
	area, sampleBytes := p.codedWidth*p.codedHeight, 1
	if sizes[2] > 8 {
		sampleBytes = 2
	}
	out, err := m.allocate(4*sampleBytes*area, nil)
	if err != nil {
		return nil, err
	}
	if err = decode(0, uint64(out)); err != nil {
		return nil, err
	}
	durations, err := m.view(numbers+16, 8)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(durations, untouched) {
		return nil, m.explain("decoding", nil)
	}
	rgba, err := m.view(out, 4*sampleBytes*area)
	if err != nil {
		return nil, err
	}
	pixels := make([]byte, 3*area)
	blend := blend8
	if sampleBytes == 2 {
		blend = blend16
	}
	for i := range area {
		blend(pixels[3*i:][:3], rgba[4*sampleBytes*i:][:4*sampleBytes])
	}
	return pixels, nil
}

// decode calls the module's decode, which returns 1 unless it fails.
func (m *machine) decode(args ...uint64) error {
	done, err := m.call("decode", args...)
	if err == nil && done == 0 {
		err = m.explain("decoding", nil)
	}
	return err
}

// compareSizes compares the size that the boxes give with the decoder's.
func compareSizes(width, height, decodedWidth, decodedHeight int) error {
	if width != decodedWidth || height != decodedHeight {
		return raster.Corruptf("its boxes contradict each other: %d × %d and %d × %d pixels",
			width, height, decodedWidth, decodedHeight)
	}
	return nil
}

// blend8 sets dst to src, premultiplied RGBA, over white.
func blend8(dst, src []byte) {
	white := 255 - int(src[3])
	for i := range dst {
		dst[i] = byte(min(int(src[i])+white, 255))
	}
}

// blend16 does what blend8 does for samples of 16 bits.
func blend16(dst, src []byte) {
	sample := func(i int) int { return int(src[2*i]) | int(src[2*i+1])<<8 }
	white := 65535 - sample(3)
	for i := range dst {
		dst[i] = byte((min(sample(i)+white, 65535) + 128) / 257)
	}
}
