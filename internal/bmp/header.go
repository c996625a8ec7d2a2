package bmp

import (
	"encoding/binary"
	"fmt"

	"garb/internal/raster"
)

// Mode is the kind of a bitmap's pixels. The modes are Pillow's.
type Mode int

// The modes of bitmaps.
const (
	Bilevel Mode = iota // black and white
	Grey
	Indexed // colours of a palette
	RGB
	RGBA
)

// Bitmap is the header of a device-independent bitmap (DIB), which is the content of a BMP file or of
// a picture in an icon.
type Bitmap struct {
	Width, Height int
	Mode          Mode
	Pixels        int // offset of the pixels

	bits        int // per pixel, as the header says
	compression uint32
	topDown     bool
	stride      int // of uncompressed rows
	masks       [4]uint32
	layout      layout // of a pixel in modes RGB and RGBA
	palette     [256][3]uint8
}

// Compression methods (wingdi.h, BITMAPINFOHEADER).
const (
	uncompressed = 0
	rle8         = 1
	rle4         = 2
	bitFields    = 3
)

const (
	coreHeaderSize = 12 // BITMAPCOREHEADER, of OS/2 1
	infoHeaderSize = 40 // BITMAPINFOHEADER, the first without masks
	v3HeaderSize   = 56 // BITMAPV3INFOHEADER, the first with a mask of alpha
)

// Header returns what the header says of the picture.
func (b *Bitmap) Header() raster.Header {
	h := raster.Header{Width: b.Width, Height: b.Height, BitsPerSample: min(b.bits, 8)}
	if b.bits == 16 {
		h.BitsPerSample = 5
	}
	h.Grey = b.Mode == Bilevel || b.Mode == Grey
	h.Alpha = b.Mode == RGBA
	return h
}

// Parse parses the header of a bitmap that begins at offset at. pixels is the offset of the pixels, or
// 0 if they follow the header. rawAlpha says that the fourth byte of uncompressed pixels is alpha, which
// otherwise only bit fields say.
func Parse(data []byte, at, pixels int, rawAlpha bool) (*Bitmap, error) {
	if at+4 > len(data) {
		return nil, raster.ErrTruncated
	}
	size := int(binary.LittleEndian.Uint32(data[at:]))
	switch size {
	case coreHeaderSize, infoHeaderSize, 52, v3HeaderSize, 64, 108, 124:
	default:
		return nil, raster.Unsupportedf("BMP with a header of %d bytes", size)
	}
	if at+size > len(data) {
		return nil, raster.ErrTruncated
	}
	header, end := data[at:at+size], at+size
	b := &Bitmap{}
	colours := b.readSize(header)
	if b.Width == 0 || b.Height == 0 {
		return nil, raster.Corruptf("BMP of %d × %d pixels", b.Width, b.Height)
	}
	if b.compression == bitFields {
		n, err := b.readMasks(header, data[end:])
		if err != nil {
			return nil, err
		}
		end += n
	}
	if err := b.chooseLayout(rawAlpha); err != nil {
		return nil, err
	}
	if b.bits > 8 {
		b.Pixels = pixels
		if pixels == 0 {
			b.Pixels = end
		}
		return b, nil
	}
	if colours == 0 {
		colours = 1 << b.bits
	}
	n, err := b.readPalette(data[end:], colours, size == coreHeaderSize)
	if err != nil {
		return nil, err
	}
	switch pixels {
	case 0:
		b.Pixels = end + n
	case fileHeaderSize + size: // taken for files whose writers forgot the palette
		b.Pixels = pixels + paletteEntrySize(size == coreHeaderSize)*colours
	default:
		b.Pixels = pixels
	}
	return b, nil
}

// readSize reads size and kind of the picture and returns the number of colours in the palette, or 0 if
// the header does not say it.
func (b *Bitmap) readSize(header []byte) (colours int) {
	le := binary.LittleEndian
	if len(header) == coreHeaderSize {
		b.Width, b.Height = int(le.Uint16(header[4:])), int(le.Uint16(header[6:]))
		b.bits = int(le.Uint16(header[10:]))
		b.stride = rowSize(b.Width, b.bits)
		return 0
	}
	b.Width, b.Height = int(le.Uint32(header[4:])), int(le.Uint32(header[8:]))
	if header[11] == 0xff { // a negative height, as Pillow tells it
		b.topDown = true
		b.Height = 1<<32 - b.Height
	}
	b.bits = int(le.Uint16(header[14:]))
	b.compression = le.Uint32(header[16:])
	b.stride = rowSize(b.Width, b.bits)
	return int(le.Uint32(header[32:]))
}

// rowSize returns the number of bytes of an uncompressed row, which is padded to 4 bytes.
func rowSize(width, bits int) int { return (width*bits + 31) / 32 * 4 }

// readMasks reads the masks of bit fields, which are in the header or, of size 40, behind it. It returns
// how many bytes behind the header it has read.
func (b *Bitmap) readMasks(header, behind []byte) (n int, err error) {
	masks, count := header[min(infoHeaderSize, len(header)):], 3
	if len(header) >= v3HeaderSize {
		count = 4
	}
	if len(header) == infoHeaderSize {
		if len(behind) < 12 {
			return 0, raster.ErrTruncated
		}
		masks, n = behind, 12
	}
	for i := range count {
		b.masks[i] = binary.LittleEndian.Uint32(masks[4*i:])
	}
	return n, nil
}

// chooseLayout sets mode and layout of the pixels, other than those of palettes.
func (b *Bitmap) chooseLayout(rawAlpha bool) error {
	switch b.bits {
	case 1, 4, 8:
		b.Mode = Indexed
	case 16, 24, 32:
		b.Mode = RGB
	default:
		return raster.Unsupportedf("BMP of %d bits per pixel", b.bits)
	}
	switch b.compression {
	case uncompressed:
		b.layout = plainLayouts[b.bits]
		if rawAlpha && b.bits == 32 {
			b.layout = layout{size: 4, at: [4]int{2, 1, 0, 3}, alpha: true}
		}
	case rle8, rle4:
		if b.bits > 8 {
			return raster.Unsupportedf("BMP of %d bits per pixel with RLE", b.bits)
		}
	case bitFields:
		masks := b.masks
		if b.bits < 32 {
			masks[3] = 0
		}
		var ok bool
		if b.layout, ok = fieldLayouts[fields{b.bits, masks}]; !ok {
			return raster.Unsupportedf("BMP with bit fields of %d bits and masks %x", b.bits, masks)
		}
	default:
		return raster.Unsupportedf("BMP with compression method %d", b.compression)
	}
	if b.layout.alpha {
		b.Mode = RGBA
	}
	return nil
}

func paletteEntrySize(core bool) int {
	if core {
		return 3
	}
	return 4
}

// readPalette reads a palette of the given number of colours, blue first, which may be cut, and returns
// how many bytes it has read. Pillow takes a picture whose palette is a ramp of grey for a grey one.
func (b *Bitmap) readPalette(data []byte, colours int, core bool) (n int, err error) {
	if colours > 1<<16 {
		return 0, raster.Unsupportedf("BMP with %d colours in its palette", colours)
	}
	size := paletteEntrySize(core)
	data = data[:min(len(data), size*colours)]
	if isGreyRamp(data, size, colours) {
		b.Mode = Grey
		if colours <= 2 {
			b.Mode = Bilevel
		}
		return len(data), nil
	}
	if len(data)/size > len(b.palette) {
		return 0, fmt.Errorf("%w: BMP with %d colours in its palette", raster.ErrUnsupported, colours)
	}
	for i := range len(data) / size {
		entry := data[size*i:]
		b.palette[i] = [3]uint8{entry[2], entry[1], entry[0]}
	}
	return len(data), nil
}

// isGreyRamp reports whether the palette is complete and has grey of level i at index i, or black and
// white.
func isGreyRamp(palette []byte, size, colours int) bool {
	for i := range colours {
		level := uint8(i)
		if colours == 2 {
			level = uint8(255 * i)
		}
		if len(palette) < size*i+3 {
			return false
		}
		entry := palette[size*i:]
		if entry[0] != level || entry[1] != level || entry[2] != level {
			return false
		}
	}
	return true
}
