package exif

import (
	"encoding/binary"
	"math"
	"testing"
)

// entry is an entry of a directory, with its value or values as bytes in little endian.
type entry struct {
	tag, kind uint16
	count     uint32
	value     []byte
}

// block encodes a TIFF file whose directory begins at 8 bytes and a gap. Values of more than four
// bytes follow the directory.
func block(order binary.AppendByteOrder, gap int, entries ...entry) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, uint32(8+gap))
	b = append(b, make([]byte, gap)...)
	b = order.AppendUint16(b, uint16(len(entries)))
	far := len(b) + entryBytes*len(entries)
	var values []byte
	for _, e := range entries {
		b = order.AppendUint16(order.AppendUint16(b, e.tag), e.kind)
		b = order.AppendUint32(b, e.count)
		if len(e.value) > 4 {
			b = order.AppendUint32(b, uint32(far+len(values)))
			values = append(values, e.value...)
			continue
		}
		b = append(append(b, e.value...), make([]byte, 4-len(e.value))...)
	}
	return append(b, values...)
}

// one is an entry of one number of a type, of which the low bytes are given in the byte order.
func one(order binary.AppendByteOrder, kind uint16, value int64) entry {
	var b []byte
	switch sizes[kind] {
	case 1:
		b = []byte{byte(value)}
	case 2:
		b = order.AppendUint16(nil, uint16(value))
	case 4:
		b = order.AppendUint32(nil, uint32(value))
	case 8:
		b = order.AppendUint64(nil, uint64(value))
	}
	return entry{orientationTag, kind, 1, b}
}

func TestOrientation(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	half := entry{orientationTag, typeFloat, 1, le.AppendUint32(nil, math.Float32bits(6.5))}
	other, turned := entry{0x0110, typeASCII, 3, []byte("ab\x00")}, one(le, typeShort, 6)
	plain, large := block(le, 0, turned), block(be, 0, one(be, typeShort, 6))
	float := entry{orientationTag, typeFloat, 1, le.AppendUint32(nil, math.Float32bits(6))}
	double := entry{orientationTag, typeDouble, 1, le.AppendUint64(nil, math.Float64bits(6))}
	ratio := entry{orientationTag, typeRational, 1, le.AppendUint32(le.AppendUint32(nil, 12), 2)}
	negative := le.AppendUint32(le.AppendUint32(nil, 1<<32-12), 1<<32-2) // −12 / −2
	for name, test := range map[string]struct {
		exif []byte
		want int
	}{
		"little endian":           {plain, 6},
		"big endian":              {large, 6},
		"after a gap":             {block(be, 5, one(be, typeShort, 8)), 8},
		"after others":            {block(le, 0, other, other, one(le, typeShort, 2)), 2},
		"the first of two":        {block(le, 0, one(le, typeShort, 9), turned), 1},
		"the first readable":      {block(le, 0, entry{orientationTag, 99, 1, []byte{3}}, turned), 6},
		"an empty one before":     {block(le, 0, entry{orientationTag, typeShort, 0, []byte{3}}, turned), 6},
		"least":                   {block(le, 0, one(le, typeShort, 1)), 1},
		"0":                       {block(le, 0, one(le, typeShort, 0)), 1},
		"9":                       {block(le, 0, one(le, typeShort, 9)), 1},
		"LONG":                    {block(le, 0, one(le, typeLong, 6)), 6},
		"LONG, big endian":        {block(be, 0, one(be, typeLong, 3)), 3},
		"SSHORT":                  {block(be, 0, one(be, typeSShort, 6)), 6},
		"SSHORT, negative":        {block(be, 0, one(be, typeSShort, -6)), 1},
		"SLONG":                   {block(be, 0, one(be, typeSLong, 7)), 7},
		"SLONG, negative":         {block(be, 0, one(be, typeSLong, -7)), 1},
		"SBYTE":                   {block(be, 0, one(be, typeSByte, 5)), 5},
		"IFD":                     {block(be, 0, one(be, typeIFD, 5)), 5},
		"LONG8":                   {block(le, 0, one(le, typeLong8, 4)), 4},
		"BYTE, which is no level": {block(le, 0, one(le, typeByte, 6)), 1},
		"UNDEFINED":               {block(le, 0, one(le, typeUndefined, 6)), 1},
		"ASCII":                   {block(le, 0, one(le, typeASCII, '6')), 1},
		"FLOAT":                   {block(le, 0, float), 6},
		"FLOAT, not whole":        {block(le, 0, half), 1},
		"DOUBLE":                  {block(le, 0, double), 6},
		"RATIONAL":                {block(le, 0, ratio), 6},
		"SRATIONAL":               {block(le, 0, entry{orientationTag, typeSRational, 1, negative}), 6},
		"two values":              {block(le, 0, entry{orientationTag, typeShort, 2, []byte{6, 0, 3, 0}}), 6},
		"three values":            {block(le, 0, entry{orientationTag, typeShort, 3, []byte{6, 0, 3, 0, 3, 0}}), 6},
		"another tag":             {block(le, 0, entry{0x0113, typeShort, 1, []byte{6, 0}}), 1},
		"nothing":                 {block(le, 0), 1},
		"a name before":           {append([]byte("Exif\x00\x00"), plain...), 6},
		"a name twice":            {append([]byte("Exif\x00\x00Exif\x00\x00"), plain...), 6},
		"a name three times":      {append([]byte("Exif\x00\x00Exif\x00\x00Exif\x00\x00"), plain...), 1},
		"only a name":             {[]byte("Exif\x00\x00"), 1},
		"another name before":     {append([]byte("Exit\x00\x00"), plain...), 1},
		"42 the other way round":  {append([]byte("II\x00*"), plain[4:]...), 6},
		"and in big endian":       {append([]byte("MM*\x00"), large[4:]...), 6},
		"43 in big endian":        {append([]byte("MM\x00+"), large[4:]...), 6}, // in little endian, Pillow fails
		"another beginning":       {append([]byte("IM*\x00"), plain[4:]...), 1},
		"a directory elsewhere":   {[]byte("II*\x00\x09\x00\x00\x00\x00\x00"), 1},
		"a directory far away":    {[]byte("II*\x00\xff\xff\xff\xff\x00\x00"), 1},
		"an entry cut off":        {plain[:21], 1},
		"a value far away":        {block(le, 0, double)[:26], 1},
	} {
		if have := Orientation(test.exif, nil); have != test.want {
			t.Errorf("%s: %d, want %d", name, have, test.want)
		}
	}
}

// TestOrientationAfterOthers checks that a value that lies beyond the block ends reading, and that one
// that is longer than the block is skipped.
func TestOrientationAfterOthers(t *testing.T) {
	le := binary.LittleEndian
	for count, want := range map[uint32]int{20: 1, 2000: 6} {
		other := entry{0x0110, typeASCII, count, le.AppendUint32(nil, 30)}
		if have := Orientation(block(le, 0, other, one(le, typeShort, 6)), nil); have != want {
			t.Errorf("after %d letters: %d, want %d", count, have, want)
		}
	}
}

// TestXMP reads the orientation of an XMP packet, which counts only if EXIF has none.
func TestXMP(t *testing.T) {
	turned := block(binary.LittleEndian, 0, one(binary.LittleEndian, typeShort, 6))
	unknown := block(binary.LittleEndian, 0, one(binary.LittleEndian, typeShort, 0))
	text := block(binary.LittleEndian, 0, entry{orientationTag, typeASCII, 2, []byte("6\x00")})
	for _, test := range []struct {
		name string
		exif []byte
		xmp  string
		want int
	}{
		{"attribute", nil, `<rdf:Description tiff:Orientation="3" a="b"/>`, 3},
		{"element", nil, `<tiff:Orientation>8</tiff:Orientation>`, 8},
		{"the first of two", nil, `tiff:Orientation="2" tiff:Orientation="4"`, 2},
		{"9", nil, `tiff:Orientation="9"`, 1},
		{"0", nil, `tiff:Orientation="0"`, 1},
		{"single quotes", nil, `tiff:Orientation='6'`, 1},
		{"after an empty EXIF", []byte("Exif\x00\x00"), `tiff:Orientation="3"`, 3},
		{"after EXIF without it", block(binary.BigEndian, 0), `tiff:Orientation="3"`, 3},
		{"after EXIF with another", turned, `tiff:Orientation="3"`, 6},
		{"after EXIF with 0", unknown, `tiff:Orientation="3"`, 1},
		{"after EXIF with text", text, `tiff:Orientation="3"`, 1},
		{"after EXIF that cannot be read", []byte("XXXXXXXX"), `tiff:Orientation="3"`, 1},
	} {
		if have := Orientation(test.exif, []byte(test.xmp)); have != test.want {
			t.Errorf("%s: %d, want %d", test.name, have, test.want)
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add(block(binary.LittleEndian, 0, one(binary.LittleEndian, typeShort, 6)), []byte(`tiff:Orientation="3"`))
	f.Add(block(binary.BigEndian, 3, one(binary.BigEndian, typeLong8, 6)), []byte{})
	f.Fuzz(func(t *testing.T, exif, xmp []byte) {
		if v := Orientation(exif, xmp); v < 1 || v > 8 {
			t.Errorf("orientation %d", v)
		}
	})
}
