package heif

import (
	"bytes"
	"context"
)

// decodeAVIF gives the coded picture, before rotation, as RGB over white.
//
// The module's decode(file, fileBytes, sizesOnly, allFrames, width, height, depth,
// count, durations, pixels) writes 4 samples a pixel with alpha multiplied in: bytes, or
// 16-bit numbers if the file has more than 8 bits. It returns 1 even if no frame could
// be decoded, but then leaves durations alone.
func decodeAVIF(ctx context.Context, data []byte, p *picture) ([]byte, error) {
	m, err := avifDecoder.start(ctx, p.memory(data))
	if err != nil {
		return nil, err
	}
	defer m.close()
	file, err := m.block(len(data), data)
	if err != nil {
		return nil, err
	}
	untouched := bytes.Repeat([]byte{0xff}, 8)
	numbers, err := m.block(16+8, append(make([]byte, 16), untouched...))
	if err != nil {
		return nil, err
	}
	width, height, depth, count, duration := uint64(numbers), uint64(numbers+4), uint64(numbers+8),
		uint64(numbers+12), uint64(numbers+16)
	decode := func(sizesOnly, pixels uint64) error {
		done, err := m.call("decode", uint64(file), uint64(len(data)), sizesOnly, 0, width, height, depth, count,
			duration, pixels)
		if err == nil && done == 0 {
			err = m.failed("decoding", nil)
		}
		return err
	}
	if err := decode(1, 0); err != nil {
		return nil, err
	}
	sizes, err := m.numbers(numbers, 3)
	if err != nil {
		return nil, err
	}
	if int(sizes[0]) != p.codedWidth || int(sizes[1]) != p.codedHeight {
		return nil, corrupt("its boxes contradict each other: %d × %d and %d × %d pixels", p.codedWidth,
			p.codedHeight, sizes[0], sizes[1])
	}
	area := p.codedWidth * p.codedHeight
	sampleBytes := 1
	if sizes[2] > 8 {
		sampleBytes = 2
	}
	out, err := m.block(4*sampleBytes*area, nil)
	if err != nil {
		return nil, err
	}
	if err := decode(0, uint64(out)); err != nil {
		return nil, err
	}
	written, err := m.bytes(uint32(duration), 8)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(written, untouched) {
		return nil, m.failed("decoding", nil)
	}
	rgba, err := m.bytes(out, 4*sampleBytes*area)
	if err != nil {
		return nil, err
	}
	pixels := make([]byte, 3*area)
	for i := range area {
		to := pixels[3*i:][:3]
		if sampleBytes == 1 {
			from := rgba[4*i:][:4]
			white := 255 - from[3]
			for j := range to {
				to[j] = byte(min(int(from[j])+int(white), 255))
			}
			continue
		}
		from := rgba[8*i:][:8]
		sample := func(j int) int { return int(from[2*j]) | int(from[2*j+1])<<8 }
		white := 65535 - sample(3)
		for j := range to {
			to[j] = byte((min(sample(j)+white, 65535) + 128) / 257)
		}
	}
	return pixels, nil
}
