//go:build small

package picture

import (
	"slices"

	"garb/internal/edition"
)

// heifCodec has no functions: findHEIF refuses AVIF and HEIC before they are called.
var heifCodec codec

// heifBrands are the brands of AVIF and HEIC files.
var heifBrands = []string{
	"avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1",
}

// findHEIF refuses AVIF and HEIC files, which it recognizes by their major brand. For other data it
// returns "".
func findHEIF(data []byte) (Format, error) {
	if len(data) < 12 || string(data[4:8]) != "ftyp" || !slices.Contains(heifBrands, string(data[8:12])) {
		return "", nil
	}
	return "", &Error{
		Unsupported, "an AVIF or HEIC picture; convert it to JPEG or PNG",
		&edition.MissingError{Part: "AVIF and HEIC", Build: edition.Default},
	}
}
