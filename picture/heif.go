//go:build !small

package picture

import (
	"garb/internal/heif"
	"garb/internal/raster"
)

// heifCodec decodes AVIF and HEIC.
var heifCodec = codec{readHEIFHeader, heif.Decode}

func readHEIFHeader(data []byte) (raster.Header, error) {
	_, h, err := heif.ReadHeader(data)
	return h, err
}

// findHEIF returns AVIF or HEIC if data are of that format, and "" if not. Broken files have a format, too.
func findHEIF(data []byte) (Format, error) {
	format, _, _ := heif.ReadHeader(data)
	return Format(format), nil
}
