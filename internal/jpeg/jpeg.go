// Package jpeg decodes JPEG pictures to exactly the pixels of libjpeg-turbo, which
// Pillow and TensorFlow use and with which most networks are trained. It has the
// same accurate integer transform (and, at reduced scale, the 4×4, 2×2 and 1×1
// ones), triangle-filtered chroma upsampling, fixed-point colour conversion and smoothing of
// progressive pictures that are incomplete.
//
// It decodes baseline, extended sequential and progressive pictures of 8 bits with Huffman or
// arithmetic coding, and lossless ones with Huffman coding: grey, YCbCr, RGB, CMYK and YCCK, with
// any sampling factors that divide the largest.
//
// Damaged files are decoded as Pillow decodes them: where libjpeg-turbo warns and goes on, so does
// this package, to the same pixels, and names the repair. Unlike libjpeg-turbo, whose limit for sides
// is 65500, it decodes all sizes that the format has.
package jpeg

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"garb/internal/raster"
)

//go:generate sh -c "cd _generate && go run . -out ../jpeg_amd64.s -stubs ../stubs_amd64.go -pkg jpeg"
//go:generate go run ../kernel/_neon jpeg

// Repairs that this package makes.
const (
	repairEarlyEnd    = "entropy-coded data end early"
	repairBadCode     = "entropy-coded data have invalid codes"
	repairRestart     = "restart markers are missing or misplaced"
	repairSurplus     = "there are surplus bytes between segments"
	repairScans       = "scans are missing"
	repairProgression = "scans contradict each other"
	repairTables      = "Huffman tables are missing"
	repairEnd         = "the end marker is missing"
	repairCut         = "the file is cut off"
)

// Decode decodes a picture. CMYK is taken as inverted, as Adobe writes it, and converted to RGB as
// Pillow does. Lossless pictures come at full size whatever the scale, as from libjpeg-turbo.
//
// Decode allocates at most 3 bytes per pixel of the result, 1 per sample at the scale, and 2 per
// coefficient of a row of minimum coded units or, for pictures of several scans, of all. The latter are
// collected at full size, whose pixels then
// count against o.MaxPixels. Decode panics for scales other than 1, 2, 4 and 8. It returns ctx's error
// soon after ctx ends.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	scale := max(o.Scale, 1)
	if scale != 1 && scale != 2 && scale != 4 && scale != 8 {
		panic(fmt.Sprintf("jpeg: scale of 1/%d", scale))
	}
	r := headerReader{data: data}
	err := r.read()
	if err != nil {
		return raster.Image{}, err
	}
	if r.lossless {
		scale = 1 // libjpeg reduces in the transform, which lossless coding does not have
	}
	width, height := ceilDiv(r.header.Width, scale), ceilDiv(r.header.Height, scale)
	if err = raster.CheckPixels(width, height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	d := decoder{ctx: ctx, data: data, scale: scale, maxPixels: o.MaxPixels, keepTruncated: o.KeepTruncated,
		pix: o.Pix}
	if o.KeepTruncated {
		// Pillow closes the file, once, where the data end.
		d.data = append(slices.Clip(data), 0xff, markerEOI)
	}
	err = d.decode()
	cut := o.KeepTruncated && !hasMarker(data[min(d.at, len(data)):])
	if err != nil && (!cut || !errors.Is(err, raster.ErrCorrupt)) {
		return raster.Image{}, err
	}
	m := d.assembler.m
	if err != nil { // no row is complete
		m = raster.New(width, height)
		if r.header.CMYK { // Pillow's picture without ink is white
			for i := range m.Pix {
				m.Pix[i] = 255
			}
		}
	}
	m.Repairs = d.repairs.Repairs
	if cut {
		m.AddRepair(repairCut)
	}
	return m, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// component is one colour channel.
type component struct {
	id                byte
	h, v              int // sampling factors
	quantizationIndex byte
	quantization      *[64]int16 // of the component's first scan, in natural order

	// size is the side of a block in the plane, 8 at full scale.
	size int
	// blocksWide and blocksHigh count the blocks that hold a part of the picture; strideBlocks and
	// heightBlocks those of whole minimum coded units.
	blocksWide, blocksHigh     int
	strideBlocks, heightBlocks int
	// width and height count the samples that belong to the picture.
	width, height int
	// plane has the rows of samples or, if coefficients are not collected, the last rows of them, each
	// in place of the one that comes planeHeight before.
	plane               []byte
	stride, planeHeight int // of the plane

	// coefficients has those of all blocks of a picture of several scans, otherwise of one row of
	// minimum coded units. Of the latter hasAC says which blocks may have more than the first one.
	coefficients []int16
	hasAC        []bool
	progress     progress

	dcIndex, acIndex byte // tables of the current scan
	dc, ac           *huffman
	prediction       int32
	context          uint8 // of the next first coefficient in arithmetic coding
}

// process is a coding process.
type process struct{ progressive, arithmetic, lossless bool }

// processes has the coding processes by the marker of their frame header.
var processes = map[byte]process{
	markerSOF0: {},
	markerSOF1: {},
	markerSOF2: {progressive: true},
	markerSOF3: {lossless: true},

	markerSOF9:  {arithmetic: true},
	markerSOF10: {arithmetic: true, progressive: true},
}

// decoder decodes one picture.
type decoder struct {
	ctx       context.Context
	data      []byte
	at        int // next byte of data
	scale     int
	maxPixels int
	// keepTruncated says that errors behind the picture do not matter.
	keepTruncated bool
	repairs       raster.Image // only its repairs
	pix           []uint8      // memory for the result

	width, height   int
	process         process
	components      []component
	maxH, maxV      int
	unit            int           // side of a block as stored: 8 or, in lossless coding, 1
	quantization    [4]*[64]int16 // in natural order
	dc, ac          [4]*huffmanSpec
	restartInterval int
	conditioning    conditioning
	nextRestart     byte // number of the next restart marker

	jfif           bool
	adobe          bool
	adobeTransform byte

	buffered  bool // there are several scans, whose coefficients are collected
	scans     int
	started   bool // the start marker has been read
	entropy   entropyDecoder
	assembler assembler
	samples   *Samples // takes the samples instead of a picture, if it is not nil
	// exhausted says that the data of the scan or of the interval have ended early.
	exhausted    bool
	untilRestart int // number of minimum coded units
	unitsRead    int // number of minimum coded units since the last restart marker
	// goodRow is the last row of minimum coded units of the last scan for which there were data.
	goodRow int
	scratch [64]int16
}

// decode reads the picture into the components' planes.
func (d *decoder) decode() error {
	s, err := d.readToScan()
	if err != nil {
		return err
	}
	if s == nil {
		return raster.Corruptf("the JPEG has no picture")
	}
	if err = d.layOut(); err != nil {
		return err
	}
	d.buffered = d.process.progressive || len(s.components) < len(d.components)
	if d.buffered {
		if err = raster.CheckPixels(d.width, d.height, d.maxPixels); err != nil {
			return err
		}
	}
	d.chooseEntropyDecoder()
	for s != nil {
		if err = d.readScan(s); err != nil {
			return err
		}
		if !d.buffered {
			if err = d.assemble(ceilDiv(d.height, d.scale)); err != nil {
				return err
			}
			return d.finish(s)
		}
		if s, err = d.readToScan(); err != nil {
			return err
		}
	}
	if err = d.transformAll(); err != nil {
		return err
	}
	return d.assemble(ceilDiv(d.height, d.scale))
}

// pillowBlock is the number of bytes that Pillow reads at once.
const pillowBlock = 1 << 16

// endOfPillowBlock returns the end of the block with the byte before at.
func endOfPillowBlock(at int) int { return (at + pillowBlock - 1) &^ (pillowBlock - 1) }

// finish reads what follows a picture of one scan up to its end marker. Errors count as far as
// Pillow has read the data.
func (d *decoder) finish(s *scan) error {
	if d.keepTruncated {
		return nil
	}
	if !hasMarker(d.data[d.at:]) {
		if e, ok := d.entropy.(*sequentialDecoder); ok && e.suspends(s, d.unitsRead) {
			return raster.ErrTruncated
		}
		d.repairs.AddRepair(repairEnd)
	}
	d.data = d.data[:min(len(d.data), endOfPillowBlock(d.at))]
	next, err := d.readToScan()
	if errors.Is(err, raster.ErrTruncated) {
		return nil
	}
	if next != nil {
		return raster.Corruptf("the JPEG has a second picture instead of an end marker")
	}
	return err
}

// chooseEntropyDecoder chooses the entropy decoder of the coding process. Lossless coding has its own.
func (d *decoder) chooseEntropyDecoder() {
	switch {
	case d.process.lossless:
	case d.process.arithmetic:
		d.entropy = &arithmeticDecoder{d: d}
	case d.process.progressive:
		d.entropy = &progressiveDecoder{d: d}
	default:
		d.setStandardTables()
		d.entropy = &sequentialDecoder{d: d}
	}
}

// layOut checks the sampling factors and computes the sizes of the components' planes.
func (d *decoder) layOut() error {
	d.maxH, d.maxV = 1, 1
	for i := range d.components {
		c := &d.components[i]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return raster.Corruptf("a component of the JPEG has invalid sampling factors")
		}
		d.maxH, d.maxV = max(d.maxH, c.h), max(d.maxV, c.v)
	}
	if d.unit = 8; d.process.lossless {
		d.unit = 1
	}
	least := d.unit / d.scale
	unitsWide, unitsHigh := ceilDiv(d.width, d.unit*d.maxH), ceilDiv(d.height, d.unit*d.maxV)
	for i := range d.components {
		c := &d.components[i]
		// At reduced scale subsampled components are reduced less, as in libjpeg.
		c.size = least
		for c.size < d.unit && d.maxH*least%(c.h*c.size*2) == 0 && d.maxV*least%(c.v*c.size*2) == 0 {
			c.size *= 2
		}
		if d.maxH%(c.h*c.size/least) != 0 || d.maxV%(c.v*c.size/least) != 0 {
			return raster.Unsupportedf("JPEG with sampling factors that do not divide")
		}
		c.blocksWide, c.blocksHigh = ceilDiv(d.width*c.h, d.unit*d.maxH), ceilDiv(d.height*c.v, d.unit*d.maxV)
		c.strideBlocks, c.heightBlocks = unitsWide*c.h, unitsHigh*c.v
		c.width = ceilDiv(d.width*c.h*c.size, d.unit*d.maxH)
		c.height = ceilDiv(d.height*c.v*c.size, d.unit*d.maxV)
		c.stride = c.strideBlocks * c.size
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
