package heif

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"garb/internal/raster"
)

// avifFile is an AVIF file in a decoder of its own: libavif, which reads the boxes, with dav1d.
type avifFile struct {
	*machine
	decoder uint32 // its avifDecoder
}

// Fields of libavif 1.4.2's structures in 32-bit WebAssembly (avif/avif.h), in bytes from the start.
const (
	decoderSizeLimit   = 28 // imageSizeLimit
	decoderStrictFlags = 40
	decoderImage       = 44
	decoderImageCount  = 52
	decoderAlpha       = 132 // alphaPresent
	decoderDiagnosis   = 144 // diag.error, 256 bytes
	decoderBytes       = 400

	imageWidth         = 0
	imageHeight        = 4
	imageDepth         = 8
	imageFormat        = 12 // yuvFormat
	imageRange         = 16 // yuvRange
	imagePlanes        = 24 // yuvPlanes
	imageStrides       = 36 // yuvRowBytes
	imageAlpha         = 52 // alphaPlane
	imageAlphaStride   = 56
	imagePremultiplied = 64
	imageICC           = 68
	imagePrimaries     = 76
	imageMatrix        = 80
	imageTransforms    = 88 // transformFlags
	imageRotation      = 132
	imageMirror        = 133
	imageEXIF          = 136
	imageXMP           = 144
	imageBytes         = 152

	// Bits of imageTransforms.
	transformRotation = 1 << 2
	transformMirror   = 1 << 3
)

// The memory limit of one AVIF picture's decoder. The code and its tables take 3 MiB. dav1d holds the
// picture and what it predicts from: 16-bit samples of 4:4:4 with alpha take 8 bytes per pixel, twice,
// since grids are put together from their tiles.
const (
	avifMemoryBase     = 24 << 20
	avifMemoryPerPixel = 24
)

// avifHeaderTime limits the time for a file's boxes. They take about a millisecond.
const avifHeaderTime = 10 * time.Second

// isAVIF reports whether Pillow's AVIF reader takes the file: by its major brand, and by one of the
// brands that libavif asks for.
func isAVIF(data []byte) bool {
	if len(data) < 16 || string(data[4:8]) != "ftyp" {
		return false
	}
	r := &reader{data: data, end: len(data)}
	_, body, _, ok := r.takeBox()
	if !ok || body.end-body.start < 8 {
		return false
	}
	var brands []string
	for at := body.start; at+4 <= body.end; at += 4 {
		if at != body.start+4 { // the minor version
			brands = append(brands, string(data[at:at+4]))
		}
	}
	return slices.Contains([]string{"avif", "avis", "mif1", "msf1"}, brands[0]) &&
		(slices.Contains(brands, "avif") || slices.Contains(brands, "avis"))
}

// readAVIFHeader reads the boxes of an AVIF file.
func readAVIFHeader(data []byte) (raster.Header, error) {
	ctx, cancel := context.WithTimeout(context.Background(), avifHeaderTime)
	defer cancel()
	f, err := openAVIF(ctx, data)
	if err != nil {
		return raster.Header{}, err
	}
	defer f.close()
	return f.readHeader()
}

// decodeAVIF decodes the picture, or the first frame of a sequence, to RGB over white. It does not
// rotate, mirror or crop it.
func decodeAVIF(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	f, err := openAVIF(ctx, data)
	if err != nil {
		return raster.Image{}, err
	}
	defer f.close()
	h, err := f.readHeader()
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(h.Width, h.Height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	f.allow(avifMemory(len(data), h.Width*h.Height))
	if err = f.do("avifDecoderNextImage"); err != nil {
		return raster.Image{}, err
	}
	p, err := f.readPicture()
	if err != nil {
		return raster.Image{}, err
	}
	if p.width != h.Width || p.height != h.Height {
		return raster.Image{}, raster.Corruptf("the picture has %d × %d pixels and its description %d × %d",
			p.width, p.height, h.Width, h.Height)
	}
	return p.toRGB(ctx)
}

// avifMemory returns the memory limit in bytes for a file and its picture.
func avifMemory(fileBytes, pixels int) int64 {
	return avifMemoryBase + 2*int64(fileBytes) + avifMemoryPerPixel*int64(pixels)
}

// openAVIF parses a file as Pillow does.
func openAVIF(ctx context.Context, data []byte) (*avifFile, error) {
	m, err := avifDecoder.start(ctx, avifMemory(len(data), 0))
	if err != nil {
		return nil, err
	}
	f := &avifFile{machine: m}
	if err = f.parse(data); err != nil {
		m.close()
		return nil, err
	}
	return f, nil
}

func (f *avifFile) parse(data []byte) (err error) {
	at, err := f.allocate(len(data), data)
	if err != nil {
		return err
	}
	if f.decoder, err = f.call("avifDecoderCreate"); err != nil {
		return err
	}
	settings, err := f.view(f.decoder, decoderBytes)
	if err != nil {
		return err
	}
	// Pillow demands that alpha has a size (AVIF_STRICT_ALPHA_ISPE_REQUIRED), but neither a pixi box
	// nor a valid clap box.
	const alphaSize = 1 << 2
	binary.LittleEndian.PutUint32(settings[decoderStrictFlags:], alphaSize)
	if err = f.do("avifDecoderSetIOMemory", uint64(at), uint64(len(data))); err != nil {
		return err
	}
	return f.do("avifDecoderParse")
}

// do calls a function of the decoder that returns an avifResult.
func (f *avifFile) do(name string, args ...uint64) error {
	result, err := f.call(name, append([]uint64{uint64(f.decoder)}, args...)...)
	if err != nil || result == 0 {
		return err
	}
	return f.explainResult(result)
}

// explainResult returns the error for an avifResult other than AVIF_RESULT_OK.
func (f *avifFile) explainResult(result uint32) error {
	const ( // values of avifResult
		noYUVFormat = 4
		badDepth    = 6
		noCodec     = 15
		truncated   = 20
		unfinished  = 25 // AVIF_RESULT_NOT_IMPLEMENTED
		outOfMemory = 26
	)
	switch result {
	case truncated:
		return raster.ErrTruncated
	case noYUVFormat, badDepth, noCodec, unfinished:
		return raster.Unsupportedf("%s; save it as JPEG or PNG", f.describe(result))
	case outOfMemory:
		return f.tooLarge()
	}
	if f.ctx.Err() != nil || f.memory.refused {
		return f.explain("decoding", nil)
	}
	text := f.describe(result)
	if strings.Contains(text, "dimensions are too large") {
		return fmt.Errorf("%w: %s", raster.ErrTooLarge, text)
	}
	return raster.Corruptf("%s", text)
}

// describe returns libavif's words for an avifResult.
func (f *avifFile) describe(result uint32) string {
	text := fmt.Sprintf("libavif: error %d", result)
	at, err := f.call("avifResultToString", uint64(result))
	if err != nil {
		return text
	}
	const longest = 64
	if name, err := f.view(at, longest); err == nil {
		text = "libavif: " + cutText(name)
	}
	if decoder, err := f.view(f.decoder, decoderBytes); err == nil && decoder[decoderDiagnosis] != 0 {
		text += ": " + cutText(decoder[decoderDiagnosis:])
	}
	return text
}

// cutText returns C's text, up to a zero, without what is not ASCII.
func cutText(data []byte) string {
	for i, c := range data {
		if c < ' ' || c > '~' {
			return string(data[:i])
		}
	}
	return string(data)
}

// image returns the decoder's avifImage, valid until the next call.
func (f *avifFile) image() (decoder, image []byte, err error) {
	if decoder, err = f.view(f.decoder, decoderBytes); err != nil {
		return nil, nil, err
	}
	image, err = f.view(uint32(number(decoder, decoderImage)), imageBytes)
	return decoder, image, err
}

// number returns the 32-bit number at an offset.
func number(data []byte, at int) int { return int(binary.LittleEndian.Uint32(data[at:])) }

func (f *avifFile) readHeader() (h raster.Header, err error) {
	decoder, image, err := f.image()
	if err != nil {
		return h, err
	}
	h = raster.Header{
		Width: number(image, imageWidth), Height: number(image, imageHeight),
		BitsPerSample: number(image, imageDepth),
		Grey:          number(image, imageFormat) == format400,
		Alpha:         number(decoder, decoderAlpha) != 0,
		Animated:      number(decoder, decoderImageCount) > 1,
	}
	for _, block := range []struct {
		to *[]byte
		at int
	}{{&h.ICC, imageICC}, {&h.EXIF, imageEXIF}, {&h.XMP, imageXMP}} {
		if *block.to, err = f.readBlock(image, block.at); err != nil {
			return h, err
		}
	}
	h.Orientation = readTransforms(number(image, imageTransforms), image[imageRotation], image[imageMirror])
	if h.Orientation == 0 && hasOrientation(h.EXIF) {
		h.Orientation = 1
	}
	return h, nil
}

// readBlock returns a copy of the bytes that a structure of a pointer and a size describes.
func (f *avifFile) readBlock(image []byte, at int) ([]byte, error) {
	size := number(image, at+4)
	if size == 0 {
		return nil, nil
	}
	block, err := f.view(uint32(number(image, at)), size)
	return bytes.Clone(block), err
}

// Values of avifPixelFormat.
const (
	format444 = 1 + iota
	format422
	format420
	format400
)

// readPicture returns the picture that has been decoded. Its samples are valid until the next call.
func (f *avifFile) readPicture() (*yuvPicture, error) {
	_, image, err := f.image()
	if err != nil {
		return nil, err
	}
	p := &yuvPicture{
		width: number(image, imageWidth), height: number(image, imageHeight), depth: number(image, imageDepth),
		fullRange:     number(image, imageRange) == 1,
		matrix:        int(binary.LittleEndian.Uint16(image[imageMatrix:])),
		primaries:     int(binary.LittleEndian.Uint16(image[imagePrimaries:])),
		premultiplied: number(image, imagePremultiplied) != 0,
	}
	switch number(image, imageFormat) {
	case format444:
	case format422:
		p.subX = 1
	case format420:
		p.subX, p.subY = 1, 1
	case format400:
		p.grey = true
	default:
		return nil, raster.Unsupportedf("its planes are of an unknown format; save it as JPEG or PNG")
	}
	switch p.depth {
	case 8, 10, 12, 16:
	default:
		return nil, raster.Unsupportedf("it has %d bits per sample; save it as JPEG or PNG", p.depth)
	}
	if err = f.readPlane(&p.y, image, imagePlanes, imageStrides, p.width, p.height, p.depth); err != nil {
		return nil, err
	}
	if !p.grey {
		width, height := p.chromaWidth(), p.chromaHeight()
		if err = f.readPlane(&p.cb, image, imagePlanes+4, imageStrides+4, width, height, p.depth); err != nil {
			return nil, err
		}
		if err = f.readPlane(&p.cr, image, imagePlanes+8, imageStrides+8, width, height, p.depth); err != nil {
			return nil, err
		}
	}
	if number(image, imageAlpha) == 0 {
		return p, nil
	}
	return p, f.readPlane(&p.alpha, image, imageAlpha, imageAlphaStride, p.width, p.height, p.depth)
}

// readPlane sets p to the plane whose address and stride are at the given offsets of image.
func (f *avifFile) readPlane(p *avifPlane, image []byte, at, strideAt, width, height, depth int) (err error) {
	rowBytes := width * ((depth + 7) / 8)
	p.stride = number(image, strideAt)
	if p.stride < rowBytes || width <= 0 || height <= 0 || p.stride > len(f.memory.bytes)/height {
		return raster.Corruptf("a plane is missing")
	}
	p.samples, err = f.view(uint32(number(image, at)), p.stride*(height-1)+rowBytes)
	return err
}
