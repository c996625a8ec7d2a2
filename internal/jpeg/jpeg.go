// Package jpeg decodes JPEG pictures to exactly the pixels of libjpeg-turbo, which
// Pillow and TensorFlow use and with which most networks are trained. It has the
// same accurate integer transform (and, at reduced scale, the 4×4, 2×2 and 1×1
// ones), triangle-filtered chroma upsampling and fixed-point colour conversion.
//
// It decodes baseline, extended sequential and progressive pictures of 8 bits with
// Huffman coding: grey, YCbCr, RGB, CMYK and YCCK, with any sampling factors.
package jpeg

import (
	"context"
	"fmt"

	"garb/internal/raster"
)

//go:generate sh -c "cd _generate && go run . -out ../jpeg_amd64.s -stubs ../stubs_amd64.go -pkg jpeg"

// maxScans limits the work for a progressive file: each scan covers the whole
// picture. Encoders write about 10.
const maxScans = 200

// Decode decodes a picture. CMYK is taken as inverted, as Adobe writes it, and converted to RGB as
// Pillow does.
//
// Decode allocates at most 3 bytes per pixel of the result, 4 per sample, and for
// progressive pictures 2 per coefficient. It panics for scales other than 1, 2, 4 and 8. It returns
// ctx's error soon after ctx ends.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	scale := max(o.Scale, 1)
	if scale != 1 && scale != 2 && scale != 4 && scale != 8 {
		panic(fmt.Sprintf("jpeg: scale of 1/%d", scale))
	}
	h, err := ReadHeader(data)
	if err != nil {
		return raster.Image{}, err
	}
	width, height := ceilDiv(h.Width, scale), ceilDiv(h.Height, scale)
	if err = raster.CheckPixels(width, height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	d := decoder{ctx: ctx, data: data, scale: scale}
	if err = d.readSegments(); err != nil {
		return raster.Image{}, err
	}
	m := raster.New(width, height)
	d.assemble(m)
	return m, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// component is one colour channel.
type component struct {
	id           byte
	h, v         int // sampling factors
	quantization int // table

	// size is the side of a block in the plane, 8 at full scale.
	size int
	// blocksWide and blocksHigh count the blocks that hold a part of the picture; strideBlocks and
	// heightBlocks those of whole minimum coded units.
	blocksWide, blocksHigh     int
	strideBlocks, heightBlocks int
	// width and height count the samples that belong to the picture.
	width, height int
	plane         []byte
	stride        int // of the plane

	coefficients []int16 // of all blocks of a progressive picture

	dc, ac     *huffman
	prediction int32
}

type decoder struct {
	ctx   context.Context
	data  []byte
	at    int // next byte of data
	scale int

	width, height   int
	process         process
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
	markerSOF0  = 0xc0
	markerSOF1  = 0xc1
	markerSOF2  = 0xc2
	markerSOF3  = 0xc3
	markerDHT   = 0xc4
	markerSOF9  = 0xc9
	markerSOF10 = 0xca
	markerDAC   = 0xcc
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDNL   = 0xdc
	markerDRI   = 0xdd
	markerEXP   = 0xdf
	markerAPP0  = 0xe0
	markerAPPE  = 0xee
	markerCOM   = 0xfe
)

// process is a coding process.
type process struct{ progressive, arithmetic, lossless bool }

// processes has the coding processes by the marker of their frame header.
var processes = map[byte]process{
	markerSOF0: {},
	markerSOF1: {},
	markerSOF2: {progressive: true},
}

// readSegments reads marker segments up to the end of the picture.
func (d *decoder) readSegments() error {
	if len(d.data) < 2 || d.data[0] != 0xff || d.data[1] != markerSOI {
		return raster.Corruptf("it does not begin with the start marker")
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
				return raster.Corruptf("it has no picture")
			}
			return d.transformAll()
		case marker >= markerRST0 && marker <= markerRST7, marker == 0x01:
			continue // markers without a segment
		}
		body, err := d.takeSegment()
		if err != nil {
			return err
		}
		if err := d.readSegment(marker, body); err != nil {
			return err
		}
		if marker == markerSOS && d.isComplete() {
			return d.transformAll()
		}
	}
}

// takeSegment returns the body of the segment behind a marker.
func (d *decoder) takeSegment() ([]byte, error) {
	if d.at+2 > len(d.data) {
		return nil, raster.ErrTruncated
	}
	length := int(d.data[d.at])<<8 | int(d.data[d.at+1])
	if length < 2 {
		return nil, raster.Corruptf("a segment has a length below 2")
	}
	if d.at+length > len(d.data) {
		return nil, raster.ErrTruncated
	}
	d.at += length
	return d.data[d.at-length+2 : d.at], nil
}

// readSegment reads a segment and, if it is the header of a scan, the scan.
func (d *decoder) readSegment(marker byte, body []byte) error {
	switch {
	case marker == markerDHT:
		return d.readHuffmanTables(body)
	case marker == markerDAC: // of arithmetic coding
	case marker >= markerSOF0 && marker <= 0xcf && marker != 0xc8:
		p, ok := processes[marker]
		if !ok {
			return raster.Unsupportedf("JPEG of coding process %d", marker-markerSOF0)
		}
		d.process = p
		return d.readFrameHeader(body)
	case marker == markerDQT:
		return d.readQuantizationTables(body)
	case marker == markerDRI:
		if len(body) != 2 {
			return raster.Corruptf("the segment of the restart interval has the wrong length")
		}
		d.restartInterval = int(body[0])<<8 | int(body[1])
	case marker == markerSOS:
		return d.readScan(body)
	case marker == markerAPP0:
		d.jfif = d.jfif || len(body) >= 5 && string(body[:5]) == "JFIF\x00"
	case marker == markerAPPE:
		if len(body) >= 12 && string(body[:5]) == "Adobe" {
			d.adobe, d.adobeTransform = true, body[11]
		}
	}
	return nil
}

// nextMarker skips to the next marker and returns it. Like libjpeg it ignores bytes
// between segments.
func (d *decoder) nextMarker() (byte, error) {
	for ; d.at+1 < len(d.data); d.at++ {
		if d.data[d.at] == 0xff && d.data[d.at+1] != 0 && d.data[d.at+1] != 0xff {
			d.at += 2
			return d.data[d.at-1], nil
		}
	}
	return 0, raster.ErrTruncated
}

// isComplete reports whether all components of a sequential picture have been read.
// A progressive picture is read to its end.
func (d *decoder) isComplete() bool {
	if d.process.progressive {
		return false
	}
	for i := range d.components {
		if d.components[i].plane == nil {
			return false
		}
	}
	return true
}

// readFrameHeader reads the size and the components, and lays out their planes.
func (d *decoder) readFrameHeader(body []byte) error {
	if d.components != nil {
		return raster.Corruptf("it has two frames")
	}
	if len(body) < 6 {
		return raster.Corruptf("the frame header is too short")
	}
	if body[0] != 8 {
		return raster.Unsupportedf("JPEG of %d bits per sample", body[0])
	}
	d.height, d.width = int(body[1])<<8|int(body[2]), int(body[3])<<8|int(body[4])
	if d.width == 0 || d.height == 0 {
		return raster.Corruptf("a side of the picture is 0")
	}
	n := int(body[5])
	if n != 1 && n != 3 && n != 4 {
		return raster.Unsupportedf("JPEG of %d components", n)
	}
	if len(body) != 6+3*n {
		return raster.Corruptf("the frame header has the wrong length")
	}
	if err := d.readComponents(body[6:]); err != nil {
		return err
	}
	return d.layOut()
}

func (d *decoder) readComponents(specs []byte) error {
	d.components = make([]component, len(specs)/3)
	for i := range d.components {
		c := &d.components[i]
		spec := specs[3*i:]
		c.id, c.h, c.v, c.quantization = spec[0], int(spec[1]>>4), int(spec[1]&15), int(spec[2])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quantization > 3 {
			return raster.Corruptf("a component has invalid sampling factors or tables")
		}
		for _, other := range d.components[:i] {
			if other.id == c.id {
				return raster.Corruptf("two components have the same name")
			}
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
	}
	if len(d.components) == 1 { // sampling factors of a single component mean nothing
		d.components[0].h, d.components[0].v, d.maxH, d.maxV = 1, 1, 1, 1
	}
	return nil
}

// layOut computes the sizes of the components' planes.
func (d *decoder) layOut() error {
	least := 8 / d.scale
	unitsWide, unitsHigh := ceilDiv(d.width, 8*d.maxH), ceilDiv(d.height, 8*d.maxV)
	for i := range d.components {
		c := &d.components[i]
		if d.maxH%c.h != 0 || d.maxV%c.v != 0 {
			return raster.Unsupportedf("JPEG with sampling factors that do not divide")
		}
		// At reduced scale subsampled components are reduced less, as in libjpeg.
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

func (d *decoder) readQuantizationTables(body []byte) error {
	for len(body) > 0 {
		precision, table := body[0]>>4, body[0]&15
		body = body[1:]
		size := 64 * (int(precision) + 1)
		if precision > 1 || table > 3 || len(body) < size {
			return raster.Corruptf("a quantization table is malformed")
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

// zigzag has the place in a block of the i-th coefficient in the file.
var zigzag = [64 + 16]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
	// Runs past the block's end stop here.
	63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
}
