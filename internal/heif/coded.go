package heif

import (
	"context"
	"encoding/binary"

	"garb/internal/raster"
)

// The memory that an instance is expected to take for one coded picture: about 3 bytes for each byte of
// samples and twice the file, of which a tile of 512 pixels takes 1.4 MiB. The limit is twice that and
// memoryReserve.
const (
	codedMemoryBase    = 2 << 20
	codedMemoryPerByte = 4
	memoryReserve      = 32 << 20
)

// decodeCoded decodes an HEVC picture.
func (h heicPicture[T]) decodeCoded(ctx context.Context, id uint32) (*planes[T], error) {
	s, configuration, err := h.readHEVC(h.data, id)
	if err != nil {
		return nil, err
	}
	stream := append(parameterSets(configuration), h.itemBytes(h.data, id)...)
	expected := codedMemoryBase + codedMemoryPerByte*s.sampleBytes() + int64(len(stream))
	m, err := heicDecoder.startReserved(ctx, 2*expected+memoryReserve, expected)
	if err != nil {
		return nil, err
	}
	defer m.close()
	d, err := m.decodeHEVC(stream)
	if err != nil {
		return nil, err
	}
	if d.chroma != s.chroma || d.width != s.width || d.height != s.height || d.bits != s.bits {
		return nil, raster.Corruptf("picture item %d is another picture than its header says", id)
	}
	p := newPlanes[T](s.width, s.height, s.chroma, s.bits)
	p.colour = s.colour
	for i, to := range []channel[T]{p.y, p.cb, p.cr} {
		if err := readPlane(m, to, d.planes[i], s.bits); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// sampleBytes returns the size of the picture's samples.
func (s *sps) sampleBytes() int64 {
	size := int64(s.width) * int64(s.height) * int64((s.bits+7)/8)
	switch s.chroma {
	case chroma420:
		size += size / 2
	case chroma422:
		size *= 2
	case chroma444:
		size *= 3
	}
	return size
}

// decodedHEVC describes a picture in a machine's memory.
type decodedHEVC struct {
	chroma, bits, width, height int
	planes                      [3]placedPlane
}

// placedPlane is where a plane lies: the address of its first row, and the bytes from one row to the next.
type placedPlane struct{ at, stride uint32 }

// decodeHEVC decodes NAL units, each behind its size in 4 bytes.
func (m *machine) decodeHEVC(stream []byte) (d decodedHEVC, err error) {
	at, err := m.allocate(len(stream), stream)
	if err != nil {
		return d, err
	}
	picture, err := m.call("decode", uint64(at), uint64(len(stream)))
	if err != nil {
		return d, err
	}
	if picture == 0 {
		return d, m.explain("decoding", nil)
	}
	n, err := m.readNumbers(picture, 16)
	if err != nil {
		return d, err
	}
	d = decodedHEVC{chroma: int(n[0]), bits: int(n[5]), width: int(n[3]), height: int(n[4])}
	for i := range d.planes {
		d.planes[i] = placedPlane{n[1+5*i], n[2+5*i]}
	}
	return d, nil
}

// readPlane copies a plane of samples of the given bits, which have 16 bits each if they are more than 8.
func readPlane[T sample](m *machine, to channel[T], from placedPlane, bits int) error {
	sampleBytes := (bits + 7) / 8
	for y := range to.height {
		samples, err := m.view(from.at+uint32(y)*from.stride, to.width*sampleBytes)
		if err != nil {
			return err
		}
		switch row := any(to.row(y)).(type) {
		case []uint8:
			copy(row, samples)
		case []uint16:
			for x := range row {
				if sampleBytes == 1 { // the colours have more bits than alpha, or fewer
					row[x] = uint16(samples[x])
				} else {
					row[x] = binary.LittleEndian.Uint16(samples[2*x:])
				}
			}
		}
	}
	return nil
}

// parameterSets returns the NAL units of a decoder configuration (hvcC), each behind its size in 4 bytes.
func parameterSets(configuration []byte) []byte {
	var units []byte
	r := &reader{data: configuration, at: 22, end: len(configuration)}
	for range r.takeUint(1) {
		r.takeUint(1) // the kind of the units
		for range r.takeUint(2) {
			unit := r.takeText(int(r.takeUint(2)))
			if r.overread {
				return units
			}
			units = binary.BigEndian.AppendUint32(units, uint32(len(unit)))
			units = append(units, unit...)
		}
	}
	return units
}
