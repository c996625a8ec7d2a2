// Package exif finds out how a picture is to be turned, by the rules of Pillow 13
// (Image.getexif and ImageOps.exif_transpose).
package exif

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp"
)

// orientationTag is the tag of the orientation (Exif 2.32, table 4).
const orientationTag = 0x0112

// Upright is the orientation of a picture that is not to be turned.
const Upright = 1

// Orientation returns EXIF's orientation, 1 to 8. exif is an EXIF block, a TIFF file with or
// without "Exif\0\0" before it, and xmp an XMP packet; both may be nil. The packet counts only if
// the block has no orientation. What cannot be read is Upright.
func Orientation(exif, xmp []byte) int {
	value, found, ok := readTag(exif)
	switch {
	case !ok:
		return Upright
	case !found:
		value = readXMP(xmp)
	}
	if value >= 1 && value <= 8 && value == math.Trunc(value) {
		return int(value)
	}
	return Upright
}

// xmpOrientation matches the orientation as an attribute and as an element.
var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

func readXMP(xmp []byte) float64 {
	if m := xmpOrientation.FindSubmatch(xmp); m != nil {
		return float64(m[1][0] - '0')
	}
	return Upright
}

// readTag reads the orientation of an EXIF block. found is false if the block has none, and ok if
// it is not an EXIF block.
func readTag(exif []byte) (value float64, found, ok bool) {
	const name = "Exif\x00\x00"
	for range 2 { // some programs write the name twice
		exif = bytes.TrimPrefix(exif, []byte(name))
	}
	if len(exif) == 0 {
		return 0, false, true
	}
	if len(exif) < 8 {
		return 0, false, false
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00", "II\x00*":
		order = binary.LittleEndian
	case "MM\x00*", "MM*\x00", "MM\x00+":
		order = binary.BigEndian
	default:
		return 0, false, false
	}
	at := uint64(order.Uint32(exif[4:]))
	if at+2 > uint64(len(exif)) {
		return 0, false, true
	}
	value, found = readDirectory(exif, at, order)
	return value, found, true
}

// readDirectory reads the orientation of the directory at a position. As Pillow does, it stops at the
// first value that lies behind the end, and skips values once all together are longer than the block.
func readDirectory(exif []byte, at uint64, order binary.ByteOrder) (value float64, found bool) {
	entries := exif[at+2:]
	seen := map[uint16]bool{}
	total := uint64(0)
	for range order.Uint16(exif[at:]) {
		if len(entries) < entryBytes {
			break
		}
		e := entries[:entryBytes]
		entries = entries[entryBytes:]
		tag, kind := order.Uint16(e), order.Uint16(e[2:])
		size := sizes[kind] * uint64(order.Uint32(e[4:]))
		if seen[tag] || size == 0 {
			continue
		}
		data := e[8:]
		if size > uint64(len(data)) {
			if total += size; total > uint64(len(exif)) {
				continue
			}
			from := uint64(order.Uint32(data))
			if from+size > uint64(len(exif)) {
				break
			}
			data = exif[from:]
		}
		seen[tag] = true
		if tag == orientationTag {
			return readValue(kind, data, order), true
		}
	}
	return 0, false
}

// entryBytes is the size of a directory's entry: tag, type, count and value or its offset.
const entryBytes = 12

// TIFF's types of values.
const (
	typeByte      = 1
	typeASCII     = 2
	typeShort     = 3
	typeLong      = 4
	typeRational  = 5
	typeSByte     = 6
	typeUndefined = 7
	typeSShort    = 8
	typeSLong     = 9
	typeSRational = 10
	typeFloat     = 11
	typeDouble    = 12
	typeIFD       = 13
	typeLong8     = 16
)

// sizes has the bytes of a value of each type.
var sizes = map[uint16]uint64{
	typeByte: 1, typeASCII: 1, typeShort: 2, typeLong: 4, typeRational: 8, typeSByte: 1, typeUndefined: 1,
	typeSShort: 2, typeSLong: 4, typeSRational: 8, typeFloat: 4, typeDouble: 8, typeIFD: 4, typeLong8: 8,
}

// readValue reads the first value of a kind. Text and bytes are no orientation.
func readValue(kind uint16, data []byte, order binary.ByteOrder) float64 {
	switch kind {
	case typeShort:
		return float64(order.Uint16(data))
	case typeSShort:
		return float64(int16(order.Uint16(data)))
	case typeLong, typeIFD:
		return float64(order.Uint32(data))
	case typeSLong:
		return float64(int32(order.Uint32(data)))
	case typeSByte:
		return float64(int8(data[0]))
	case typeLong8:
		return float64(order.Uint64(data))
	case typeFloat:
		return float64(math.Float32frombits(order.Uint32(data)))
	case typeDouble:
		return math.Float64frombits(order.Uint64(data))
	case typeRational:
		return float64(order.Uint32(data)) / float64(order.Uint32(data[4:]))
	case typeSRational:
		return float64(int32(order.Uint32(data))) / float64(int32(order.Uint32(data[4:])))
	}
	return 0
}
