package heif

import "encoding/binary"

// wrapCoded returns a HEIC file whose only item is the given HEVC picture, with its decoder
// configuration (hvcC). The file says that the colours are BT.601's in full range, so that libheif
// returns the samples as they are coded.
func wrapCoded(width, height int, configuration, coded []byte) []byte {
	const (
		zeros    = "\x00\x00\x00\x00"
		handler  = zeros + zeros + "pict" + zeros + zeros + zeros + "\x00"
		primary  = "\x00\x00\x00\x00" + "\x00\x01"
		itemInfo = "\x02\x00\x00\x00" + "\x00\x01" + "\x00\x00" + "hvc1" + "\x00"
		colours  = "nclx" + "\x00\x01\x00\x0d\x00\x06" + "\x80"
		// One item with the properties 1 to 3, the first of which is essential.
		associations = "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "\x00\x01" + "\x03\x81\x02\x03"
	)
	size := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(width))
	size = binary.BigEndian.AppendUint32(size, uint32(height))
	properties := concat(box("hvcC", configuration), box("ispe", size), box("colr", []byte(colours)))
	infos := append([]byte("\x00\x00\x00\x00\x00\x01"), box("infe", []byte(itemInfo))...)
	// The item's only extent, whose offset is filled in below.
	location := []byte(zeros + "\x44\x00" + "\x00\x01" + "\x00\x01" + "\x00\x00" + "\x00\x01" + zeros)
	location = binary.BigEndian.AppendUint32(location, uint32(len(coded)))
	meta := concat([]byte{0, 0, 0, 0}, box("hdlr", []byte(handler)), box("pitm", []byte(primary)), box("iinf", infos),
		box("iprp", concat(box("ipco", properties), box("ipma", []byte(associations)))), box("iloc", location))
	file := concat(box("ftyp", []byte("heic\x00\x00\x00\x00mif1heic")), box("meta", meta))
	offset := len(file) + 8
	binary.BigEndian.PutUint32(file[len(file)-8:], uint32(offset))
	return append(file, box("mdat", coded)...)
}

func box(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 8+len(body)), uint32(8+len(body)))
	return append(append(b, kind...), body...)
}

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
