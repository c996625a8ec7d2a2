// Package jpeg decodes JPEG pictures to the pixels that libjpeg-turbo gives,
// which Pillow, TensorFlow and so the training of most networks see: its accurate
// integer transform (and, at reduced scale, its 4×4, 2×2 and 1×1 ones), its
// triangle-filtered chroma upsampling and its fixed-point colour conversion.
//
// Baseline, extended sequential and progressive pictures of 8 bits with Huffman
// coding are decoded: grey, YCbCr, RGB, CMYK and YCCK, with any sampling factors.
package jpeg

import (
	"context"
	"errors"
	"fmt"
)

//go:generate sh -c "cd _generate && go run . -out ../jpeg_amd64.s -stubs ../stubs_amd64.go -pkg jpeg"

// ErrUnsupported is wrapped by errors about valid files of a kind that is not
// decoded: arithmetic coding, 12 bits, lossless, hierarchical.
var ErrUnsupported = errors.New("unsupported JPEG")

// FormatError says how the data break the format.
type FormatError string

func (e FormatError) Error() string { return "invalid JPEG: " + string(e) }

// errTruncated is the format error of data that end too early.
const errTruncated = FormatError("the data end in the middle of the picture")

// Header is what the frame header says.
type Header struct {
	Width, Height int // in pixels, at full scale
	Components    int // 1, 3 or 4
	Progressive   bool
}

// Limits of one decoding.
const (
	// maxScans bounds the work that a progressive file can ask for: each scan goes
	// over the whole picture. Encoders write about 10.
	maxScans = 200
)

// ReadHeader reads up to the frame header.
func ReadHeader(data []byte) (Header, error) {
	d := decoder{data: data}
	if err := d.segments(true); err != nil {
		return Header{}, err
	}
	return Header{d.width, d.height, len(d.components), d.progressive}, nil
}

// Decode decodes a picture at 1/scale of its size, where scale is 1, 2, 4 or 8:
// sides are rounded up. The result has 3 bytes a pixel, R, G, B, without padding.
// CMYK is taken as Adobe writes it, inverted, and turned into RGB as Pillow does.
//
// It allocates at most 3 bytes for each pixel of the result, 4 for each sample,
// and for progressive pictures 2 for each coefficient. It panics if scale is
// another number. It returns ctx's error soon after ctx ends.
func Decode(ctx context.Context, data []byte, scale int) (pixels []byte, width, height int, err error) {
	if scale != 1 && scale != 2 && scale != 4 && scale != 8 {
		panic(fmt.Sprintf("jpeg: scale of 1/%d", scale))
	}
	d := decoder{ctx: ctx, data: data, scale: scale}
	if err := d.segments(false); err != nil {
		return nil, 0, 0, err
	}
	width, height = ceilDiv(d.width, scale), ceilDiv(d.height, scale)
	return d.pixels(width, height), width, height, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// component is one colour channel.
type component struct {
	id           byte
	h, v         int // sampling factors
	quantization int // table

	// size is the side of a block in the plane: 8 at full scale.
	size int
	// blocksWide and blocksHigh count the blocks that hold picture; stride blocks
	// fill whole minimum coded units.
	blocksWide, blocksHigh     int
	strideBlocks, heightBlocks int
	// width and height count the samples that hold picture.
	width, height int
	plane         []byte
	stride        int // of the plane

	coefficients []int16 // of all blocks, in progressive pictures

	dc, ac     *huffman
	prediction int32
}

type decoder struct {
	ctx   context.Context
	data  []byte
	at    int // next byte of data
	scale int

	width, height   int
	progressive     bool
	components      []component
	maxH, maxV      int
	quantization    [4][64]int32 // in natural order
	hasQuantization [4]bool
	dc, ac          [4]*huffman
	restartInterval int
	scans           int

	jfif           bool
	adobe          bool
	adobeTransform byte

	bits    bitReader
	eobRun  int32
	scratch [64]int16
}

const (
	markerSOF0 = 0xc0
	markerSOF1 = 0xc1
	markerSOF2 = 0xc2
	markerDHT  = 0xc4
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerDQT  = 0xdb
	markerDRI  = 0xdd
	markerAPP0 = 0xe0
	markerAPPE = 0xee
)

// segments reads marker segments until the picture is complete or, with
// headerOnly, the frame header is read.
func (d *decoder) segments(headerOnly bool) error {
	if len(d.data) < 2 || d.data[0] != 0xff || d.data[1] != markerSOI {
		return FormatError("it does not begin with the start marker")
	}
	d.at = 2
	for {
		marker, err := d.nextMarker()
		if err != nil {
			return err
		}
		switch {
		case marker == markerEOI:
			if d.scans == 0 {
				return FormatError("it has no picture")
			}
			return d.finish()
		case marker >= markerRST0 && marker <= markerRST7, marker == 0x01:
			continue // stray restart markers carry nothing
		}
		if d.at+2 > len(d.data) {
			return errTruncated
		}
		length := int(d.data[d.at])<<8 | int(d.data[d.at+1])
		if length < 2 {
			return FormatError("a segment is shorter than its length")
		}
		if d.at+length > len(d.data) {
			return errTruncated
		}
		body := d.data[d.at+2 : d.at+length]
		d.at += length
		switch {
		case marker == markerSOF0 || marker == markerSOF1 || marker == markerSOF2:
			if err := d.frame(body, marker == markerSOF2); err != nil {
				return err
			}
			if headerOnly {
				return nil
			}
		case marker == markerDHT:
			err = d.huffmanTables(body)
		case marker > markerSOF2 && marker <= 0xcf && marker != 0xc8:
			return fmt.Errorf("%w: coding process %d", ErrUnsupported, marker-markerSOF0)
		case marker == markerDQT:
			err = d.quantizationTables(body)
		case marker == markerDRI:
			if len(body) != 2 {
				return FormatError("the restart interval has another length")
			}
			d.restartInterval = int(body[0])<<8 | int(body[1])
		case marker == markerSOS:
			if err := d.scan(body); err != nil {
				return err
			}
			if d.complete() {
				return d.finish()
			}
		case marker == markerAPP0:
			d.jfif = d.jfif || len(body) >= 5 && string(body[:5]) == "JFIF\x00"
		case marker == markerAPPE:
			if len(body) >= 12 && string(body[:5]) == "Adobe" {
				d.adobe, d.adobeTransform = true, body[11]
			}
		}
		if err != nil {
			return err
		}
	}
}

// nextMarker finds the next marker. Bytes before it are passed over, as libjpeg
// does.
func (d *decoder) nextMarker() (byte, error) {
	for ; d.at+1 < len(d.data); d.at++ {
		if d.data[d.at] == 0xff && d.data[d.at+1] != 0 && d.data[d.at+1] != 0xff {
			d.at += 2
			return d.data[d.at-1], nil
		}
	}
	return 0, errTruncated
}

// complete reports whether a sequential picture has all its components: nothing
// more needs to be read. A progressive one is read to its end.
func (d *decoder) complete() bool {
	if d.progressive {
		return false
	}
	for i := range d.components {
		if d.components[i].plane == nil {
			return false
		}
	}
	return true
}

func (d *decoder) frame(body []byte, progressive bool) error {
	if d.components != nil {
		return FormatError("it has two frames")
	}
	if len(body) < 6 {
		return FormatError("the frame header is too short")
	}
	if body[0] != 8 {
		return fmt.Errorf("%w: %d bits a sample", ErrUnsupported, body[0])
	}
	d.progressive = progressive
	d.height, d.width = int(body[1])<<8|int(body[2]), int(body[3])<<8|int(body[4])
	if d.width == 0 || d.height == 0 {
		return FormatError("a side of the picture is 0")
	}
	n := int(body[5])
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("%w: %d components", ErrUnsupported, n)
	}
	if len(body) != 6+3*n {
		return FormatError("the frame header has another length")
	}
	components := make([]component, n)
	for i := range components {
		c := &components[i]
		spec := body[6+3*i:]
		c.id, c.h, c.v, c.quantization = spec[0], int(spec[1]>>4), int(spec[1]&15), int(spec[2])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantization > 3 {
			return FormatError("a component has impossible sampling factors or tables")
		}
		for _, other := range components[:i] {
			if other.id == c.id {
				return FormatError("two components have one name")
			}
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
	}
	if n == 1 { // sampling factors of a single component mean nothing
		components[0].h, components[0].v, d.maxH, d.maxV = 1, 1, 1, 1
	}
	d.components = components
	if d.scale == 0 {
		return nil
	}
	least := 8 / d.scale
	unitsWide, unitsHigh := ceilDiv(d.width, 8*d.maxH), ceilDiv(d.height, 8*d.maxV)
	for i := range components {
		c := &components[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return fmt.Errorf("%w: sampling factors that do not divide", ErrUnsupported)
		}
		// At reduced scale subsampled components are reduced less, as libjpeg does.
		c.size = least
		for c.size < 8 && d.maxH*least%(c.h*c.size*2) == 0 && d.maxV*least%(c.v*c.size*2) == 0 {
			c.size *= 2
		}
		c.blocksWide, c.blocksHigh = ceilDiv(d.width*c.h, 8*d.maxH), ceilDiv(d.height*c.v, 8*d.maxV)
		c.strideBlocks, c.heightBlocks = unitsWide*c.h, unitsHigh*c.v
		c.width = ceilDiv(d.width*c.h*c.size, 8*d.maxH)
		c.height = ceilDiv(d.height*c.v*c.size, 8*d.maxV)
		c.stride = c.strideBlocks * c.size
	}
	return nil
}

func (d *decoder) quantizationTables(body []byte) error {
	for len(body) > 0 {
		precision, table := body[0]>>4, body[0]&15
		body = body[1:]
		size := 64 * (int(precision) + 1)
		if precision > 1 || table > 3 || len(body) < size {
			return FormatError("a quantization table is malformed")
		}
		for i := range 64 {
			if precision == 0 {
				d.quantization[table][zigzag[i]] = int32(body[i])
			} else {
				d.quantization[table][zigzag[i]] = int32(body[2*i])<<8 | int32(body[2*i+1])
			}
		}
		d.hasQuantization[table] = true
		body = body[size:]
	}
	return nil
}

// zigzag is the place of the i-th coefficient in the order of the file.
var zigzag = [64 + 16]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
	// Runs that lead past the block end here.
	63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
}
