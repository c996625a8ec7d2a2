package tiff

import (
	"bytes"
	"encoding/binary"
	"math"

	"garb/internal/raster"
)

// Tags (TIFF 6.0, section 8 and supplements).
const (
	tagImageWidth      = 256
	tagImageLength     = 257
	tagBitsPerSample   = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagOrientation     = 274
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripByteCounts = 279
	tagPlanarConfig    = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileLength      = 323
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagJPEGTables      = 347
	tagXMP             = 700
	tagICCProfile      = 34675
	tagHDPhoto         = 0xbc01 // of Windows Media Photo
)

// typeSizes has the size of a value of each type, or 0.
var typeSizes = [...]int{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8}

// Types of integers.
const (
	typeShort  = 3
	typeLong   = 4
	typeSByte  = 6
	typeSShort = 8
	typeSLong  = 9
	typeIFD    = 13
	typeLong8  = 16
)

// directory is the first image file directory of a file.
type directory struct {
	order binary.ByteOrder
	// standard says that the number 42 or 43 of the file header is in the byte order of the file. libtiff
	// insists on it, Pillow's own reader does not.
	standard bool
	// cut says that the directory is cut, so that entries are missing.
	cut     bool
	entries map[int]entry
	more    bool // another directory follows
}

// entry is the value of a tag.
type entry struct {
	valueType int
	data      []byte
}

// parseDirectory parses the file header and the first directory. As Pillow does, it takes the first of
// several entries of a tag, and those that are there of a directory that is cut.
func parseDirectory(data []byte) (*directory, error) {
	if len(data) < 8 {
		return nil, raster.ErrTruncated
	}
	d := &directory{order: binary.LittleEndian, entries: map[int]entry{}}
	if data[0] == 'M' {
		d.order = binary.BigEndian
	}
	big := false
	switch head := data[:4]; {
	case bytes.Equal(head, []byte("II*\x00")), bytes.Equal(head, []byte("MM\x00*")):
		d.standard = true
	case bytes.Equal(head, []byte("II\x00*")), bytes.Equal(head, []byte("MM*\x00")):
	case bytes.Equal(head, []byte("II+\x00")):
		d.standard, big = true, true
	case bytes.Equal(head, []byte("MM\x00+")):
		return nil, raster.Unsupportedf("BigTIFF in big-endian byte order")
	default:
		return nil, raster.Corruptf("it does not begin with the header of a TIFF file")
	}
	r := directoryReader{directory: d, data: data, wide: big}
	return d, r.read()
}

// directoryReader reads a directory.
type directoryReader struct {
	*directory
	data []byte
	wide bool // BigTIFF: counts and offsets have 64 bits
	// outside is the number of bytes of values outside the directory. If it is more than the file has,
	// values are skipped.
	outside int
}

// uint reads a count or an offset, which is at most math.MaxInt.
func (r *directoryReader) uint(b []byte) int {
	if r.wide {
		return int(min(r.order.Uint64(b), math.MaxInt))
	}
	return int(r.order.Uint32(b))
}

func (r *directoryReader) read() error {
	wordSize, countSize := 4, 2
	at := 4
	if r.wide {
		wordSize, countSize, at = 8, 8, 8
		if len(r.data) < 16 {
			return raster.ErrTruncated
		}
	}
	first := r.uint(r.data[at:])
	if first == 0 {
		return raster.Corruptf("TIFF without a picture")
	}
	if first > len(r.data) || countSize > len(r.data)-first {
		return raster.ErrTruncated
	}
	rest := r.data[first:]
	count := int(r.order.Uint16(rest))
	if r.wide {
		count = r.uint(rest)
	}
	rest = rest[countSize:]
	entrySize := 4 + 2*wordSize
	for range count {
		if len(rest) < entrySize {
			r.cut = true
			return nil
		}
		if ok := r.readEntry(rest[:entrySize], wordSize); !ok {
			return nil
		}
		rest = rest[entrySize:]
	}
	if len(rest) >= wordSize {
		next := r.uint(rest)
		r.more = next != 0 && next != first
	}
	return nil
}

// readEntry reads an entry. It returns false if its value is cut, where Pillow stops.
func (r *directoryReader) readEntry(e []byte, wordSize int) bool {
	tag, valueType := int(r.order.Uint16(e)), int(r.order.Uint16(e[2:]))
	if _, found := r.entries[tag]; found || valueType >= len(typeSizes) || typeSizes[valueType] == 0 {
		return true
	}
	count := r.uint(e[4:])
	value := e[4+wordSize:]
	size := typeSizes[valueType]
	if count > math.MaxInt/16 {
		return true
	}
	size *= count
	if size > wordSize {
		at := r.uint(value)
		if r.outside += size; r.outside > len(r.data) || r.outside < 0 {
			return true
		}
		if at > len(r.data) || size > len(r.data)-at {
			return false
		}
		value = r.data[at:]
	}
	if size > 0 {
		r.entries[tag] = entry{valueType, value[:size]}
	}
	return true
}

// ints returns the integers of a tag, or those given if there is no such tag. Other types than integers
// of at least 16 bits are an error.
func (d *directory) ints(tag int, otherwise ...int) ([]int, error) {
	e, ok := d.entries[tag]
	if !ok {
		return otherwise, nil
	}
	size := typeSizes[e.valueType]
	values := make([]int, len(e.data)/size)
	for i := range values {
		b := e.data[i*size:]
		switch e.valueType {
		case typeShort:
			values[i] = int(d.order.Uint16(b))
		case typeLong, typeIFD:
			values[i] = int(d.order.Uint32(b))
		case typeSByte:
			values[i] = int(int8(b[0]))
		case typeSShort:
			values[i] = int(int16(d.order.Uint16(b)))
		case typeSLong:
			values[i] = int(int32(d.order.Uint32(b)))
		case typeLong8:
			values[i] = int(min(d.order.Uint64(b), math.MaxInt))
		default:
			return nil, raster.Corruptf("TIFF with tag %d of type %d", tag, e.valueType)
		}
	}
	return values, nil
}

// int returns the first integer of a tag, or otherwise if there is no such tag.
func (d *directory) int(tag, otherwise int) (int, error) {
	values, err := d.ints(tag, otherwise)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}
