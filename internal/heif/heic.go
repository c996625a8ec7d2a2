package heif

import (
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
	m, err := p.toRGB(ctx)
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
func inParallel(parent context.Context, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(parent)
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
	if err := firstCause(errs); err != nil {
		return err
	}
	return parent.Err() // between two calls
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
