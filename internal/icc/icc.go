// Package icc reads from an ICC profile what it is called and whether it is sRGB's colours. garb
// does not convert colours: networks are trained on the levels as they are stored.
package icc

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf16"
)

// Profile is what is read from an ICC profile (ICC.1:2022).
type Profile struct {
	Name string // as the profile describes itself; "" if it does not
	// SRGB reports whether levels mean what they mean in sRGB, to within a level or two: the same
	// primary colours and tone curve, or for grey pictures the same tone curve.
	SRGB bool
}

const (
	headerBytes   = 128
	tagEntryBytes = 12
	maxNameBytes  = 256
)

// Read reads a profile. ok is false if the data are no profile.
func Read(data []byte) (p Profile, ok bool) {
	if len(data) < headerBytes+4 || string(data[36:40]) != "acsp" {
		return p, false
	}
	p.Name = readText(findTag(data, "desc"))
	switch string(data[16:20]) {
	case "RGB ":
		p.SRGB = hasSRGBPrimaries(data)
		for _, channel := range []string{"rTRC", "gTRC", "bTRC"} {
			p.SRGB = p.SRGB && hasSRGBCurve(findTag(data, channel))
		}
	case "GRAY":
		p.SRGB = hasSRGBCurve(findTag(data, "kTRC"))
	}
	return p, true
}

// findTag returns the data of a tag, nil if there is none.
func findTag(data []byte, name string) []byte {
	entries := data[headerBytes+4:]
	for range binary.BigEndian.Uint32(data[headerBytes:]) {
		if len(entries) < tagEntryBytes {
			break
		}
		if string(entries[:4]) == name {
			at, size := uint64(binary.BigEndian.Uint32(entries[4:])), uint64(binary.BigEndian.Uint32(entries[8:]))
			if at+size > uint64(len(data)) {
				break
			}
			return data[at : at+size]
		}
		entries = entries[tagEntryBytes:]
	}
	return nil
}

// readText reads a text of version 2 ("desc") or the first one of version 4 ("mluc").
func readText(tag []byte) string {
	switch {
	case len(tag) >= 12 && string(tag[:4]) == "desc":
		n := min(uint64(binary.BigEndian.Uint32(tag[8:])), uint64(len(tag)-12), maxNameBytes)
		return clean(string(tag[12 : 12+n]))
	case len(tag) >= 28 && string(tag[:4]) == "mluc":
		n, at := uint64(binary.BigEndian.Uint32(tag[20:])), uint64(binary.BigEndian.Uint32(tag[24:]))
		if at > uint64(len(tag)) {
			return ""
		}
		text := tag[at:]
		text = text[:min(n, uint64(len(text)), maxNameBytes)&^1]
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(text[2*i:])
		}
		return clean(string(utf16.Decode(units)))
	}
	return ""
}

// clean drops what ends a text in C, and what is not printed.
func clean(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// hasSRGBPrimaries compares the primaries with those of sRGB under D50 (IEC 61966-2-1, adapted by
// Bradford's matrix).
func hasSRGBPrimaries(data []byte) bool {
	const tolerance = 0.003
	for name, want := range map[string][3]float64{
		"rXYZ": {0.4361, 0.2225, 0.0139}, "gXYZ": {0.3851, 0.7169, 0.0971}, "bXYZ": {0.1431, 0.0606, 0.7141},
	} {
		tag := findTag(data, name)
		if len(tag) < 20 || string(tag[:4]) != "XYZ " {
			return false
		}
		for i, v := range want {
			if math.Abs(readFixed(tag[8+4*i:])-v) > tolerance {
				return false
			}
		}
	}
	return true
}

// readFixed reads a number with 16 bits after the point.
func readFixed(b []byte) float64 { return float64(float64(int32(binary.BigEndian.Uint32(b))) / 65536) }

// hasSRGBCurve reports whether the tone curve gives half the level the light that sRGB gives it.
func hasSRGBCurve(tag []byte) bool {
	const half, tolerance = 0.21404, 0.01
	return math.Abs(evaluateCurve(tag, 0.5)-half) <= tolerance
}

// evaluateCurve returns the light of a level by a tone curve, NaN if it cannot be read.
func evaluateCurve(tag []byte, x float64) float64 {
	switch {
	case len(tag) >= 12 && string(tag[:4]) == "curv":
		n := uint64(binary.BigEndian.Uint32(tag[8:]))
		table := tag[12:]
		switch {
		case n == 0:
			return x
		case 2*n > uint64(len(table)):
			return math.NaN()
		case n == 1:
			return math.Pow(x, float64(binary.BigEndian.Uint16(table))/256)
		}
		at := float64(x * float64(n-1))
		i := min(uint64(at), n-2)
		a, b := binary.BigEndian.Uint16(table[2*i:]), binary.BigEndian.Uint16(table[2*i+2:])
		return (float64(a) + float64((at-float64(i))*(float64(b)-float64(a)))) / 65535
	case len(tag) >= 16 && string(tag[:4]) == "para":
		return evaluateParametric(int(binary.BigEndian.Uint16(tag[8:])), tag[12:], x)
	}
	return math.NaN()
}

// evaluateParametric computes a parametric curve of a kind from 0 to 4 (ICC.1:2022, table 68).
func evaluateParametric(kind int, data []byte, x float64) float64 {
	counts := [...]int{1, 3, 4, 5, 7}
	if kind >= len(counts) || len(data) < 4*counts[kind] {
		return math.NaN()
	}
	p := [7]float64{1: 1} // gamma, a, b, c, d, e, f
	for i := range counts[kind] {
		p[i] = readFixed(data[4*i:])
	}
	gamma, a, b, c, d, e, f := p[0], p[1], p[2], p[3], p[4], p[5], p[6]
	switch kind {
	case 1, 2: // c is added to the whole
		if x < -b/a {
			return c
		}
		return math.Pow(float64(a*x)+b, gamma) + c
	}
	if x < d {
		return float64(c*x) + f
	}
	return math.Pow(float64(a*x)+b, gamma) + e
}
