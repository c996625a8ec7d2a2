package icc

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

// tag is a tag of a profile.
type tag struct {
	name string
	data []byte
}

// encode encodes a profile.
func encode(space string, tags ...tag) []byte {
	data := make([]byte, headerBytes)
	copy(data[16:], space)
	copy(data[36:], "acsp")
	data = binary.BigEndian.AppendUint32(data, uint32(len(tags)))
	at := len(data) + tagEntryBytes*len(tags)
	var bodies []byte
	for _, t := range tags {
		data = append(data, t.name...)
		data = binary.BigEndian.AppendUint32(data, uint32(at+len(bodies)))
		data = binary.BigEndian.AppendUint32(data, uint32(len(t.data)))
		bodies = append(bodies, t.data...)
	}
	return append(data, bodies...)
}

func fixed(values ...float64) (b []byte) {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(int32(math.Round(v*65536))))
	}
	return b
}

func xyz(values ...float64) []byte {
	return append([]byte("XYZ \x00\x00\x00\x00"), fixed(values...)...)
}

func gamma(g float64) []byte {
	return append([]byte("curv\x00\x00\x00\x00\x00\x00\x00\x01"), byte(g), byte(g*256))
}

func parametric(kind byte, values ...float64) []byte {
	return append([]byte{'p', 'a', 'r', 'a', 0, 0, 0, 0, 0, kind, 0, 0}, fixed(values...)...)
}

// sampled is a curve of 1,024 samples.
func sampled(f func(float64) float64) []byte {
	b := []byte("curv\x00\x00\x00\x00\x00\x00\x04\x00")
	for i := range 1024 {
		b = binary.BigEndian.AppendUint16(b, uint16(math.Round(65535*f(float64(i)/1023))))
	}
	return b
}

// srgb is the curve of sRGB.
func srgb(x float64) float64 {
	if x < 0.04045 {
		return x / 12.92
	}
	return math.Pow((x+0.055)/1.055, 2.4)
}

func describe(s string) []byte {
	b := binary.BigEndian.AppendUint32([]byte("desc\x00\x00\x00\x00"), uint32(len(s)+1))
	return append(append(b, s...), 0)
}

func describe4(s string) []byte {
	b := []byte("mluc\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0cenUS")
	b = append(b, 0, 0, 0, byte(2*len(s)), 0, 0, 0, 28)
	for _, r := range s {
		b = binary.BigEndian.AppendUint16(b, uint16(r))
	}
	return b
}

func TestRead(t *testing.T) {
	curves := func(c []byte) []tag { return []tag{{"rTRC", c}, {"gTRC", c}, {"bTRC", c}} }
	primaries := []tag{{"rXYZ", xyz(0.4360, 0.2225, 0.0139)}, {"gXYZ", xyz(0.3851, 0.7169, 0.0971)},
		{"bXYZ", xyz(0.1431, 0.0606, 0.7141)}}
	p3 := []tag{{"rXYZ", xyz(0.5151, 0.2412, -0.0011)}, {"gXYZ", xyz(0.2919, 0.6922, 0.0419)},
		{"bXYZ", xyz(0.1572, 0.0666, 0.7841)}}
	parametricSRGB := parametric(3, 2.4, 1/1.055, 0.055/1.055, 1/12.92, 0.04045)
	name := func(s string) []tag { return []tag{{"desc", describe(s)}} }
	for _, test := range []struct {
		what string
		data []byte
		want Profile
	}{
		{"sRGB with samples", encode("RGB ", slices.Concat(name("a"), primaries, curves(sampled(srgb)))...),
			Profile{"a", true}},
		{"sRGB with a formula", encode("RGB ", slices.Concat(primaries, curves(parametricSRGB))...), Profile{"", true}},
		{"sRGB's primaries, gamma 2.2", encode("RGB ", slices.Concat(primaries, curves(gamma(2.2)))...),
			Profile{"", true}},
		{"linear", encode("RGB ", slices.Concat(name("lin"), primaries, curves(gamma(1)))...), Profile{"lin", false}},
		{"one other curve", encode("RGB ", slices.Concat(primaries, curves(parametricSRGB)[:2],
			[]tag{{"bTRC", gamma(1.8)}})...), Profile{}},
		{"Display P3", encode("RGB ", slices.Concat([]tag{{"desc", describe4("Display P3")}}, p3,
			curves(parametricSRGB))...), Profile{"Display P3", false}},
		{"no curves", encode("RGB ", primaries...), Profile{}},
		{"grey", encode("GRAY", tag{"kTRC", gamma(2.2)}), Profile{"", true}},
		{"linear grey", encode("GRAY", tag{"kTRC", []byte("curv\x00\x00\x00\x00\x00\x00\x00\x00")}), Profile{}},
		{"CMYK", encode("CMYK", name("Coated \x01FOGRA39")...), Profile{"Coated FOGRA39", false}},
		{"power with an offset", encode("GRAY", tag{"kTRC", parametric(2, 2.2, 1, 0, 0.0)}), Profile{"", true}},
		{"power, offset too large", encode("GRAY", tag{"kTRC", parametric(2, 2.2, 1, 0, 0.3)}), Profile{}},
		{"linear part", encode("GRAY", tag{"kTRC", parametric(4, 2.2, 1, 0, 0.428, 0.6, 0, 0)}), Profile{"", true}},
		{"an unknown formula", encode("GRAY", tag{"kTRC", parametric(5, 2.2)}), Profile{}},
	} {
		if got, ok := Read(test.data); !ok || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.what, got, ok, test.want)
		}
	}
	if _, ok := Read(make([]byte, 200)); ok {
		t.Error("zeros are taken for a profile")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(encode("RGB ", tag{"desc", describe("a")}, tag{"rXYZ", xyz(1, 2, 3)}, tag{"rTRC", sampled(srgb)}))
	f.Add(encode("GRAY", tag{"desc", describe4("b")}, tag{"kTRC", parametric(4, 1, 2, 3, 4, 5, 6, 7)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := Read(data); len(p.Name) > 4*maxNameBytes || !ok && p != (Profile{}) {
			t.Errorf("%+v, %v", p, ok)
		}
	})
}
