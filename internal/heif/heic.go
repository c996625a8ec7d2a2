package heif

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"

	"garb/internal/raster"
)

// heicPicture decodes the items of a HEIC file, whose samples are stored in T.
type heicPicture[T sample] struct {
	data []byte
	*container
}

// decodeHEIC decodes the primary item over white.
func decodeHEIC(ctx context.Context, data []byte, c *container, description *picture) (raster.Image, error) {
	if description.bits > 8 {
		return heicPicture[uint16]{data, c}.decode(ctx, description)
	}
	return heicPicture[uint8]{data, c}.decode(ctx, description)
}

func (h heicPicture[T]) decode(ctx context.Context, description *picture) (raster.Image, error) {
	p, err := h.decodeItem(ctx, h.primary)
	if err != nil {
		return raster.Image{}, err
	}
	m, err := p.toRGB()
	if err != nil {
		return raster.Image{}, err
	}
	opacity, bits := p.alpha, p.alphaBits
	*p = planes[T]{} // free it before alpha takes as much
	if description.tileAlpha {
		blend(m, opacity, bits, false)
	}
	if description.alpha == 0 {
		return m, nil
	}
	if p, err = h.decodeItem(ctx, description.alpha); err != nil {
		return raster.Image{}, err
	}
	blend(m, p.y.scale(m.Width, m.Height), p.bits, h.items[h.primary].premultipliedBy == description.alpha)
	return m, nil
}

// blend lays the picture over white. opacity has the picture's size and samples of the given bits.
func blend[T sample](m raster.Image, opacity channel[T], bits int, premultiplied bool) {
	for i, v := range opacity.pix {
		a := uint8(v >> (bits - 8))
		for j, v := range m.Pix[3*i : 3*i+3] {
			if premultiplied {
				m.Pix[3*i+j] = uint8(min(int(v)+255-int(a), 255))
			} else {
				m.Pix[3*i+j] = raster.OverWhite(v, a)
			}
		}
	}
}

// decodeWithAlpha decodes an item and its alpha plane.
func (h heicPicture[T]) decodeWithAlpha(ctx context.Context, id uint32) (*planes[T], error) {
	p, err := h.decodeItem(ctx, id)
	if err != nil || h.alphas[id] == 0 {
		return p, err
	}
	alpha, err := h.decodeItem(ctx, h.alphas[id])
	if err != nil {
		return nil, err
	}
	p.alpha, p.alphaBits = alpha.y.scale(p.y.width, p.y.height), alpha.bits
	return p, nil
}

// decodeItem decodes an item for which checkItem returns no error, and turns, mirrors and crops it.
func (h heicPicture[T]) decodeItem(ctx context.Context, id uint32) (*planes[T], error) {
	width, height, changes, _, _, err := h.readGeometry(h.data, id)
	if err != nil {
		return nil, err
	}
	var p *planes[T]
	switch it := h.items[id]; {
	case it.kind == "hvc1":
		p, err = h.decodeCoded(ctx, id)
	case it.kind == "grid":
		p, err = h.decodeGrid(ctx, id)
	case it.kind == "iovl":
		p, err = h.decodeOverlay(ctx, id)
	case it.kind == "iden" && len(it.tiles) == 1:
		p, err = h.decodeWithAlpha(ctx, it.tiles[0])
	default:
		err = raster.Unsupportedf("its picture is coded as %q; save it as JPEG or PNG", it.kind)
	}
	if err != nil {
		return nil, err
	}
	if p.y.width != width || p.y.height != height {
		return nil, raster.Corruptf("picture item %d has %d × %d pixels and is described with %d × %d",
			id, p.y.width, p.y.height, width, height)
	}
	for _, t := range changes {
		p.transform(t)
	}
	h.eachProperty(h.data, id, func(kind string, body []byte) {
		if kind == "colr" && len(body) >= 11 && string(body[:4]) == "nclx" && !p.colour.rgb {
			p.colour = colour{
				primaries: int(binary.BigEndian.Uint16(body[4:])),
				matrix:    int(binary.BigEndian.Uint16(body[8:])), fullRange: body[10]&0x80 != 0,
			}
		}
	})
	return p, nil
}

// decodeGrid decodes a picture of tiles, which have the same size and lie in rows from the top.
func (h heicPicture[T]) decodeGrid(ctx context.Context, id uint32) (*planes[T], error) {
	g, err := h.readGrid(h.data, id)
	if err != nil {
		return nil, err
	}
	tiles := h.items[id].tiles
	first, err := h.decodeWithAlpha(ctx, tiles[0])
	if err != nil {
		return nil, err
	}
	tileWidth, tileHeight := first.y.width, first.y.height
	if tileWidth*g.columns < g.width || tileHeight*g.rows < g.height {
		return nil, raster.Corruptf("its tiles do not cover the picture")
	}
	if tileWidth&first.subX != 0 || tileHeight&first.subY != 0 {
		return nil, raster.Unsupportedf("its tiles have odd sides; save it as JPEG or PNG")
	}
	whole := newPlanes[T](g.width, g.height, first.chroma(), first.bits)
	whole.colour = first.colour
	if len(first.alpha.pix) > 0 {
		whole.alpha, whole.alphaBits = newChannel[T](g.width, g.height), first.alphaBits
	}
	whole.paste(first, 0, 0)
	err = inParallel(ctx, len(tiles)-1, func(ctx context.Context, i int) error {
		i++ // the first is done
		left, top := i%g.columns*tileWidth, i/g.columns*tileHeight
		if left >= g.width || top >= g.height {
			return nil
		}
		tile, tileErr := h.decodeWithAlpha(ctx, tiles[i])
		if tileErr != nil {
			return tileErr
		}
		if !tile.matches(first) {
			return raster.Corruptf("its tiles differ in size or colours")
		}
		whole.paste(tile, left, top)
		return nil
	})
	return whole, err
}

// matches reports whether two tiles can be in the same grid.
func (p *planes[T]) matches(q *planes[T]) bool {
	return p.y.width == q.y.width && p.y.height == q.y.height && p.chroma() == q.chroma() && p.bits == q.bits &&
		p.colour.rgb == q.colour.rgb && p.alphaBits == q.alphaBits
}

// inParallel calls f with 0 to n-1 on as many goroutines as there are processors. It returns the error
// of the lowest number, and stops the other calls when one fails.
func inParallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		next  int
		errs  = make([]error, n)
	)
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1
	}
	for range min(runtime.GOMAXPROCS(0), n) {
		group.Go(func() {
			for i := take(); i < n && ctx.Err() == nil; i = take() {
				if errs[i] = f(ctx, i); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	group.Wait()
	return firstCause(errs)
}

// firstCause returns the first error that is not due to the end of the context, or else the first.
func firstCause(errs []error) error {
	var ended error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if ended == nil {
			ended = err
		}
	}
	return ended
}

// The memory that an instance is expected to take for one coded picture. A picture of 12 megapixels takes
// 71 MiB in 4:2:0 of 8 bits: 4 bytes for each byte of samples, and the file. The limit is twice that and
// memoryReserve.
const (
	codedMemoryBase    = 4 << 20
	codedMemoryPerByte = 4
	memoryReserve      = 32 << 20
)

// decodeCoded decodes an HEVC picture.
//
// The module's decode(file, fileBytes, sizesOnly, width, height, space, chroma, premultiplied, pixels)
// writes planes one after another, whose rows are aligned, and whose samples have 16 bits if the
// picture has more than 8.
func (h heicPicture[T]) decodeCoded(ctx context.Context, id uint32) (*planes[T], error) {
	s, configuration, err := h.readHEVC(h.data, id)
	if err != nil {
		return nil, err
	}
	file := wrapCoded(s.width, s.height, configuration, h.itemBytes(h.data, id))
	p := newPlanes[T](s.width, s.height, s.chroma, s.bits)
	p.colour = s.colour
	expected := codedMemoryBase + codedMemoryPerByte*int64(p.alignedBytes()) + int64(len(file))
	m, err := heicDecoder.startReserved(ctx, 2*expected+memoryReserve, expected)
	if err != nil {
		return nil, err
	}
	defer m.close()
	at, err := m.allocate(len(file), file)
	if err != nil {
		return nil, err
	}
	const numberCount = 5
	numbers, err := m.allocate(4*numberCount, make([]byte, 4*numberCount))
	if err != nil {
		return nil, err
	}
	decode := func(sizesOnly, pixels uint64) error {
		n := uint64(numbers)
		done, failure := m.call("decode", uint64(at), uint64(len(file)), sizesOnly, n, n+4, n+8, n+12, n+16, pixels)
		if failure == nil && done == 0 {
			failure = m.explain("decoding", nil)
		}
		return failure
	}
	if err = decode(1, 0); err != nil {
		return nil, err
	}
	description, err := m.readNumbers(numbers, numberCount)
	if err != nil {
		return nil, err
	}
	if int(description[0]) != s.width || int(description[1]) != s.height || int(description[3]) != s.chroma {
		return nil, raster.Corruptf("picture item %d is another picture than its header says", id)
	}
	samples, err := m.decodeSamples(p.alignedBytes(), decode)
	if err != nil {
		return nil, err
	}
	for _, to := range []channel[T]{p.y, p.cb, p.cr} {
		samples = to.unpack(samples, s.bits)
	}
	return p, nil
}

// rowBytes returns the distance in bytes between rows of width samples in libheif: rows have at
// least 64 samples and begin at multiples of 16 bytes.
func rowBytes(width, sampleBytes int) int { return (max(width, 64)*sampleBytes + 15) &^ 15 }

// alignedBytes returns the size of the planes in libheif.
func (p *planes[T]) alignedBytes() int {
	sampleBytes := (p.bits + 7) / 8
	size := rowBytes(p.y.width, sampleBytes) * p.y.height
	if !p.isGrey() {
		size += 2 * rowBytes(p.cb.width, sampleBytes) * p.cb.height
	}
	return size
}

// unpack sets the channel to samples as libheif arranges them, and returns the rest.
func (p channel[T]) unpack(samples []byte, bits int) []byte {
	sampleBytes := (bits + 7) / 8
	stride := rowBytes(p.width, sampleBytes)
	for y := range p.height {
		from := samples[y*stride:]
		switch row := any(p.row(y)).(type) {
		case []uint8:
			copy(row, from)
		case []uint16:
			for x := range row {
				if sampleBytes == 1 { // the colours have more bits than alpha, or fewer
					row[x] = uint16(from[x])
				} else {
					row[x] = binary.LittleEndian.Uint16(from[2*x:])
				}
			}
		}
	}
	return samples[p.height*stride:]
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
