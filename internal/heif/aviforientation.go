package heif

import (
	"bytes"
	"encoding/binary"
)

// readTransforms returns the EXIF orientation that an AVIF picture's irot and imir boxes amount to
// (quarter turns anticlockwise, then mirrored, as MIAF fixes the order: ISO/IEC 23000-22, 7.3.6.7).
// It is 0 if they do not change the picture.
func readTransforms(flags int, turns, axis byte) int {
	if flags&transformRotation == 0 {
		turns = 0
	}
	if flags&transformMirror == 0 {
		return [4]int{0, 8, 3, 6}[turns&3]
	}
	if axis == 0 { // top and bottom change places
		return [4]int{4, 5, 2, 7}[turns&3]
	}
	return [4]int{2, 7, 4, 5}[turns&3]
}

// hasOrientation reports whether an EXIF block has an orientation. In AVIF the boxes say how the
// picture is turned: Pillow replaces the block's orientation by 1 where they do not.
func hasOrientation(exif []byte) bool {
	const orientation, entryBytes = 0x0112, 12
	for bytes.HasPrefix(exif, []byte("Exif\x00\x00")) {
		exif = exif[6:]
	}
	if len(exif) < 8 {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if exif[0] == 'M' {
		order = binary.BigEndian
	}
	at := uint64(order.Uint32(exif[4:]))
	if at+2 > uint64(len(exif)) {
		return false
	}
	entries := exif[at+2:]
	for range order.Uint16(exif[at:]) {
		if len(entries) < entryBytes {
			return false
		}
		if order.Uint16(entries) == orientation {
			return true
		}
		entries = entries[entryBytes:]
	}
	return false
}
