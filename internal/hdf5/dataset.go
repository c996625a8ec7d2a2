package hdf5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"garb/internal/kernel"
)

// Dataset is an array of numbers.
type Dataset struct {
	object
	shape    []int
	datatype datatype
	layout   message
}

// maxValues limits a dataset: 4 GiB of float32, far beyond any network of garb and small enough
// that no product of sizes overflows.
const maxValues = 1 << 30

func (f *File) openDataset(path string, header []message) (*Dataset, error) {
	d := &Dataset{object: object{f, path, header}}
	space, err := d.findMessage(messageDataspace, "dataspace")
	if err != nil {
		return nil, err
	}
	shape, err := f.decodeDataspace(space)
	if err != nil {
		return nil, err
	}
	kind, err := d.findMessage(messageDatatype, "datatype")
	if err != nil {
		return nil, err
	}
	if d.datatype, err = f.decodeDatatype(kind); err != nil {
		return nil, err
	}
	if d.layout, err = d.findMessage(messageLayout, "layout"); err != nil {
		return nil, err
	}
	if _, ok := countValues(shape, maxValues); !ok {
		return nil, &FormatError{space.offset, fmt.Sprintf("%s has the shape %d", path, shape)}
	}
	d.shape = make([]int, len(shape))
	for i, n := range shape {
		if n > math.MaxInt32 {
			return nil, &FormatError{space.offset, fmt.Sprintf("%s has the shape %d", path, shape)}
		}
		d.shape[i] = int(n)
	}
	return d, nil
}

// Shape returns the dataset's dimensions, none for a scalar.
func (d *Dataset) Shape() []int { return append([]int(nil), d.shape...) }

// Len returns the number of values.
func (d *Dataset) Len() int {
	n := 1
	for _, dimension := range d.shape {
		n *= dimension
	}
	return n
}

// Floats reads all values in row-major order into new memory. It reads floating-point numbers of 2,
// 4 and 8 bytes; those of 8 are rounded to float32.
func (d *Dataset) Floats() ([]float32, error) {
	t := d.datatype
	if t.class != classFloat || t.bigEndian || t.bytes != 2 && t.bytes != 4 && t.bytes != 8 {
		return nil, &UnsupportedError{fmt.Sprintf("%s of class %d and %d bytes per value", d.path, t.class, t.bytes)}
	}
	raw, err := d.read(uint64(d.Len()) * t.bytes)
	if err != nil {
		return nil, err
	}
	values := make([]float32, d.Len())
	switch t.bytes {
	case 2:
		kernel.FromHalf(values, raw)
	case 4:
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case 8:
		for i := range values {
			values[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	}
	return values, nil
}

// read returns the dataset's bytes, of the given number. They may be part of the file.
func (d *Dataset) read(size uint64) ([]byte, error) {
	c := d.file.cursorOver(d.layout)
	version, class := c.u8(), c.u8()
	if c.err == nil && version != 3 && version != 4 {
		return nil, &UnsupportedError{fmt.Sprintf("layout version %d of %s", version, d.path)}
	}
	if size == 0 {
		return nil, c.err
	}
	switch class {
	case 0: // compact: in the header itself
		raw := c.take(uint64(c.u16()))
		return d.checkLength(raw, c.err, size)
	case 1: // contiguous
		address, length := c.u64(), c.u64()
		if c.err == nil && address == undefinedAddress {
			return nil, &FormatError{d.layout.offset, d.path + " was never written"}
		}
		if c.err != nil {
			return nil, c.err
		}
		raw, err := d.file.slice(address, length)
		return d.checkLength(raw, err, size)
	case 2:
		if version != 3 {
			return nil, &UnsupportedError{fmt.Sprintf("chunks of layout version %d in %s", version, d.path)}
		}
		return d.readChunks(c, size)
	}
	return nil, &UnsupportedError{fmt.Sprintf("layout class %d of %s", class, d.path)}
}

// checkLength passes raw and err on, with an error if raw does not have size bytes.
func (d *Dataset) checkLength(raw []byte, err error, size uint64) ([]byte, error) {
	if err == nil && uint64(len(raw)) != size {
		err = &FormatError{d.layout.offset, fmt.Sprintf("%s has %d bytes instead of %d", d.path, len(raw), size)}
	}
	return raw, err
}

// chunk is a stored box of a dataset.
type chunk struct {
	origin     []int // index of its first value
	stored     []byte
	filterMask uint32 // a set bit turns that filter off
}

// maxExpansion is the highest ratio of deflate: two symbols of one bit each stand
// for 258 bytes (RFC 1951).
const maxExpansion = 1032

// The chunks at a dataset's edges reach beyond it. Those of h5py are not larger
// than the dataset along any axis, so that they waste at most a factor of 2 per
// axis.
const (
	maxPadding = 16
	minPadding = 1 << 20
)

// chunkLayout describes how a dataset is divided into chunks.
type chunkLayout struct {
	box   []int  // shape of a chunk
	bytes uint64 // of a chunk
	count int    // number of chunks
	tree  uint64 // address of their index
}

// readChunks reads a dataset of size bytes that is stored in chunks.
func (d *Dataset) readChunks(c *cursor, size uint64) ([]byte, error) {
	layout, err := d.readChunkLayout(c, size)
	if err != nil {
		return nil, err
	}
	filters, err := d.filterNumbers()
	if err != nil {
		return nil, err
	}
	chunks, stored, err := d.findChunks(layout)
	if err != nil {
		return nil, err
	}
	// The array and a chunk are allocated below: neither may be larger than the
	// stored bytes can expand to.
	if size > maxExpansion*stored || layout.bytes > maxExpansion*stored {
		return nil, &FormatError{d.layout.offset,
			fmt.Sprintf("%s has %d bytes stored for %d", d.path, stored, max(size, layout.bytes))}
	}
	raw := make([]byte, size)
	for _, next := range chunks {
		values, err := unfilter(next, filters, layout.bytes, d.datatype.bytes)
		if err != nil {
			return nil, &FormatError{d.layout.offset,
				fmt.Sprintf("%s has a chunk that cannot be unpacked: %v", d.path, err)}
		}
		d.copyChunk(raw, values, next.origin, layout.box)
	}
	return raw, nil
}

// readChunkLayout reads the layout and checks that the chunks are not much larger than the
// dataset's size bytes.
func (d *Dataset) readChunkLayout(c *cursor, size uint64) (chunkLayout, error) {
	axes := int(c.u8()) - 1 // the last is the value's bytes
	layout := chunkLayout{tree: c.u64(), bytes: d.datatype.bytes, count: 1}
	if c.err == nil && (axes != len(d.shape) || axes == 0) {
		return layout, &FormatError{d.layout.offset, d.path + " has chunks of another number of axes"}
	}
	layout.box = make([]int, max(axes, 0))
	for i := range layout.box {
		n := c.u32()
		if c.err != nil {
			return layout, c.err
		}
		if n == 0 || uint64(n) > maxValues || layout.bytes > 8*maxValues/uint64(n) {
			return layout, &FormatError{d.layout.offset, d.path + " has chunks of no or a huge size"}
		}
		layout.box[i] = int(n)
		layout.bytes *= uint64(n)
		layout.count *= (d.shape[i] + layout.box[i] - 1) / layout.box[i]
	}
	if uint64(layout.count)*layout.bytes > maxPadding*size+minPadding {
		return layout, &FormatError{d.layout.offset, d.path + " has chunks far larger than itself"}
	}
	return layout, nil
}

// findChunks returns all chunks and the number of stored bytes.
func (d *Dataset) findChunks(layout chunkLayout) ([]chunk, uint64, error) {
	var chunks []chunk
	stored := uint64(0)
	seen := map[int]bool{} // by number in row-major order
	err := d.file.walkTree(layout.tree, chunkTree, 8+8*(len(layout.box)+1), func(key *cursor, address uint64) error {
		length := uint64(key.u32())
		next := chunk{filterMask: key.u32(), origin: make([]int, len(layout.box))}
		number := 0
		for i, side := range layout.box {
			at := key.u64()
			if key.err != nil {
				return key.err
			}
			if at >= uint64(d.shape[i]) || at%uint64(side) != 0 {
				return &FormatError{key.base, d.path + " has a chunk outside its shape"}
			}
			next.origin[i] = int(at)
			number = number*((d.shape[i]+side-1)/side) + int(at)/side
		}
		if seen[number] {
			return &FormatError{key.base, d.path + " has a chunk twice"}
		}
		seen[number] = true
		data, err := d.file.slice(address, length)
		next.stored = data
		stored += length
		chunks = append(chunks, next)
		return err
	})
	if err == nil && len(chunks) != layout.count {
		err = &FormatError{d.layout.offset,
			fmt.Sprintf("%s has %d of its %d chunks", d.path, len(chunks), layout.count)}
	}
	return chunks, stored, err
}

// copyChunk copies a chunk's rows to their places. Rows outside the shape are ignored.
func (d *Dataset) copyChunk(dst, src []byte, origin, box []int) {
	valueBytes := int(d.datatype.bytes)
	last := len(box) - 1
	row := min(box[last], d.shape[last]-origin[last]) * valueBytes
	at := make([]int, last) // row within the box
	for {
		inside, to, from := true, 0, 0
		for i := range at {
			inside = inside && origin[i]+at[i] < d.shape[i]
			to = to*d.shape[i] + origin[i] + at[i]
			from = from*box[i] + at[i]
		}
		if inside {
			to = (to*d.shape[last] + origin[last]) * valueBytes
			from *= box[last] * valueBytes
			copy(dst[to:to+row], src[from:])
		}
		i := last - 1
		for ; i >= 0; i-- {
			at[i]++
			if at[i] < box[i] && origin[i]+at[i] < d.shape[i] {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

// Filters (The HDF Group's registered filter numbers).
const (
	filterDeflate    = 1
	filterShuffle    = 2
	filterFletcher32 = 3
)

// filterNumbers returns the numbers of the filters in the order of writing.
func (d *Dataset) filterNumbers() ([]uint16, error) {
	var list []uint16
	for _, m := range d.header {
		if m.kind != messageFilters {
			continue
		}
		c := d.file.cursorOver(m)
		version, n := c.u8(), int(c.u8())
		if version == 1 {
			c.skip(6)
		} else if c.err == nil && version != 2 {
			return nil, &UnsupportedError{fmt.Sprintf("filter version %d", version)}
		}
		for range n {
			number := c.u16()
			nameBytes := uint64(0)
			if version == 1 || number >= 256 {
				nameBytes = uint64(c.u16())
			}
			c.skip(2)
			settings := uint64(c.u16())
			if version == 1 {
				nameBytes = (nameBytes + 7) / 8 * 8
				settings += settings % 2
			}
			c.skip(nameBytes)
			c.skip(4 * settings)
			if c.err != nil {
				return nil, c.err
			}
			if number != filterDeflate && number != filterShuffle && number != filterFletcher32 {
				return nil, &UnsupportedError{fmt.Sprintf("%s with filter %d", d.path, number)}
			}
			list = append(list, number)
		}
	}
	return list, nil
}

// unfilter undoes a chunk's filters, which must give exactly size bytes.
func unfilter(c chunk, filters []uint16, size, valueBytes uint64) ([]byte, error) {
	data := c.stored
	for i := len(filters) - 1; i >= 0; i-- {
		if i < 32 && c.filterMask&(1<<i) != 0 {
			continue
		}
		switch filters[i] {
		case filterFletcher32:
			if len(data) < 4 {
				return nil, io.ErrUnexpectedEOF
			}
			data = data[:len(data)-4]
		case filterDeflate:
			r, err := zlib.NewReader(bytes.NewReader(data))
			if err != nil {
				return nil, err
			}
			// With fletcher32 before deflate, 4 bytes of checksum follow the values.
			data, err = io.ReadAll(io.LimitReader(r, int64(size)+5))
			if err != nil {
				return nil, err
			}
		case filterShuffle:
			data = unshuffle(data, int(valueBytes))
		}
	}
	if uint64(len(data)) != size {
		return nil, fmt.Errorf("%d bytes instead of %d", len(data), size)
	}
	return data, nil
}

// unshuffle undoes the filter that stores the first bytes of all values, then the second bytes, and
// so on.
func unshuffle(src []byte, valueBytes int) []byte {
	dst := make([]byte, len(src))
	n := len(src) / valueBytes
	for b := range valueBytes {
		for i := range n {
			dst[i*valueBytes+b] = src[b*n+i]
		}
	}
	copy(dst[n*valueBytes:], src[n*valueBytes:])
	return dst
}
