package jpeg

import "garb/internal/raster"

// assembler upsamples the planes and converts them to RGB.
type assembler struct {
	m       raster.Image
	next    int         // row of m
	rows    []upsampler // of each component
	ahead   int         // greatest number of rows below one of m that its samples depend on
	convert func(out, a, b, c, e []byte)
}

func newAssembler(d *decoder) assembler {
	a := assembler{convert: d.chooseConversion()}
	if d.samples != nil {
		d.samples.allocate(d.width, d.height, len(d.components))
		a.m.Height = d.height
	} else {
		a.m = raster.NewIn(d.pix, ceilDiv(d.width, d.scale), ceilDiv(d.height, d.scale))
	}
	for i := range d.components {
		a.rows = append(a.rows, newUpsampler(d, &d.components[i]))
		a.ahead = max(a.ahead, a.rows[i].high)
	}
	return a
}

// assemble writes the picture's rows that depend only on those of the planes above row known of the
// picture.
func (d *decoder) assemble(known int) error {
	a := &d.assembler
	if a.rows == nil {
		*a = newAssembler(d)
	}
	until := known - a.ahead
	if known >= a.m.Height {
		until = a.m.Height
	}
	var row [4][]byte
	for ; a.next < until; a.next++ {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for i := range a.rows {
			row[i] = a.rows[i].upsample(a.next)
		}
		if d.samples != nil {
			d.samples.addRow(row)
			continue
		}
		a.convert(a.m.Row(a.next), row[0], row[1], row[2], row[3])
	}
	return nil
}

// chooseConversion chooses the colour space as libjpeg does: from the JFIF and Adobe segments,
// otherwise from the components' names.
func (d *decoder) chooseConversion() func(out, a, b, c, e []byte) {
	switch len(d.components) {
	case 1:
		return expandGrey
	case 3:
		ids := [3]byte{d.components[0].id, d.components[1].id, d.components[2].id}
		rgb := false
		switch {
		case d.jfif:
		case d.adobe:
			rgb = d.adobeTransform == 0
		default:
			rgb = d.process.lossless || ids == [3]byte{'R', 'G', 'B'}
		}
		if rgb {
			return interleave
		}
		return yccToRGB
	}
	if d.adobe && d.adobeTransform != 0 {
		return ycckToRGB
	}
	return cmykToRGB
}

func expandGrey(out, a, _, _, _ []byte) {
	for i := range len(out) / 3 {
		v := a[i]
		o := out[3*i:][:3]
		o[0], o[1], o[2] = v, v, v
	}
}

func interleave(out, a, b, c, _ []byte) {
	for i := range len(out) / 3 {
		o := out[3*i:][:3]
		o[0], o[1], o[2] = a[i], b[i], c[i]
	}
}

// Factors of JFIF's conversion, round(x·2¹⁶).
const (
	fixRed       = 91881  // 1.402
	fixBlue      = 116130 // 1.772
	fixGreenBlue = 22554  // 0.344136286
	fixGreenRed  = 46802  // 0.714136286
	half         = 1 << 15
)

func yccToRGB(out, y, cb, cr, _ []byte) {
	n := len(out) / 3
	done := convert(out, y[:n], cb[:n], cr[:n])
	out, y, cb, cr = out[3*done:], y[done:n], cb[done:n], cr[done:n]
	for i, v := range y {
		l, b, r := int32(v), int32(cb[i])-128, int32(cr[i])-128
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clampByte(l + (fixRed*r+half)>>16)
		o[1] = clampByte(l + (-fixGreenBlue*b-fixGreenRed*r+half)>>16)
		o[2] = clampByte(l + (fixBlue*b+half)>>16)
	}
}

// cmykToRGB converts inverted CMYK: each value is the light that the ink lets through.
func cmykToRGB(out, c, m, y, k []byte) {
	for i := range len(out) / 3 {
		o := out[3*i:][:3]
		light := int32(k[i])
		o[0], o[1], o[2] = absorb(c[i], light), absorb(m[i], light), absorb(y[i], light)
	}
}

// ycckToRGB converts YCC to inverted CMY, which libjpeg turns into CMY by 255 − RGB, and then to
// RGB.
func ycckToRGB(out, y, cb, cr, k []byte) {
	yccToRGB(out, y, cb, cr, nil)
	for i := range len(out) / 3 {
		o := out[3*i:][:3]
		light := int32(k[i])
		o[0], o[1], o[2] = absorb(255-o[0], light), absorb(255-o[1], light), absorb(255-o[2], light)
	}
}

// absorb returns the light that ink lets through: light − (255−through)·light/255, rounded.
func absorb(through byte, light int32) byte {
	t := (255-int32(through))*light + 128
	return clampByte(light - (t>>8+t)>>8)
}

// upsampler returns the rows of a component at the picture's resolution.
type upsampler struct {
	c          *component
	wide, high int  // samples of the picture per sample of the component
	fancy      bool // triangle filter; otherwise samples are repeated
	sums       []int16
	out        []byte
}

func newUpsampler(d *decoder, c *component) upsampler {
	least := d.unit / d.scale
	u := upsampler{c: c, wide: d.maxH * least / (c.h * c.size), high: d.maxV * least / (c.v * c.size)}
	// libjpeg filters if a component is halved in width, in height, or in both, but not in pictures
	// of one sample per block, nor in planes of one or two columns.
	u.fancy = least > 1 && (u.wide == 2 && u.high <= 2 && c.width > 2 || u.wide == 1 && u.high == 2)
	if u.wide > 1 || u.high > 1 {
		whole := (c.width + vectorSamples - 1) / vectorSamples * vectorSamples
		u.out = make([]byte, whole*u.wide)
		u.sums = make([]int16, whole+2)
	}
	return u
}

// vectorSamples is the number of samples that the assembly processes at once. Buffers have room for
// whole vectors.
const vectorSamples = 16

// planeRow returns a row of the component's samples. Rows outside the picture repeat its first or
// last one.
func (u *upsampler) planeRow(y int) []byte {
	y = min(max(y, 0), u.c.height-1) % u.c.planeHeight
	return u.c.plane[y*u.c.stride:][:u.c.width]
}

// upsample returns row y of the picture.
func (u *upsampler) upsample(y int) []byte {
	near := u.planeRow(y / u.high)
	switch {
	case u.wide == 1 && u.high == 1:
		return near
	case !u.fancy:
		for i, v := range near {
			for j := range u.wide {
				u.out[i*u.wide+j] = v
			}
		}
	case u.high == 1:
		for i, v := range near {
			u.sums[1+i] = int16(v)
		}
		u.expandRow(len(near), 1, 2, 2)
	default:
		far := u.planeRow(y/2 - 1 + y%2*2)
		if u.wide == 1 {
			bias := int32(1 + y%2)
			for i, v := range near {
				u.out[i] = byte((3*int32(v) + int32(far[i]) + bias) >> 2)
			}
			return u.out
		}
		addRows(u.sums[1:], near, far)
		u.expandRow(len(near), 8, 7, 4)
	}
	return u.out
}

// expandRow applies the horizontal half of the filter to n sums, repeating those at the ends:
//
//	out[2i] = (3·sums[i] + sums[i−1] + evenBias) >> shift
//	out[2i+1] = (3·sums[i] + sums[i+1] + oddBias) >> shift
func (u *upsampler) expandRow(n int, evenBias, oddBias int16, shift uint) {
	u.sums[0], u.sums[n+1] = u.sums[1], u.sums[n]
	expand(u.out, u.sums, n, evenBias, oddBias, shift)
}

func expandGeneric(out []byte, sums []int16, n int, evenBias, oddBias int16, shift uint) {
	before, a := sums[0], sums[1]
	for i, after := range sums[2:][:n] {
		out[2*i] = byte((3*a + before + evenBias) >> shift)
		out[2*i+1] = byte((3*a + after + oddBias) >> shift)
		before, a = a, after
	}
}

// addRowsGeneric sets sums[i] = 3·near[i] + far[i].
func addRowsGeneric(sums []int16, near, far []byte) {
	for i, v := range near {
		sums[i] = 3*int16(v) + int16(far[i])
	}
}
