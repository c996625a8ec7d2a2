package jpeg

// pixels puts the planes together.
func (d *decoder) pixels(width, height int) []byte {
	out := make([]byte, 3*width*height)
	rows := make([]upsampler, len(d.components))
	for i := range rows {
		rows[i] = newUpsampler(d, &d.components[i], width)
	}
	convert := d.conversion()
	var row [4][]byte
	for y := range height {
		for i := range rows {
			row[i] = rows[i].row(y)
		}
		convert(out[3*width*y:][:3*width], row[0], row[1], row[2], row[3])
	}
	return out
}

// conversion tells the colour space as libjpeg does: from the JFIF and Adobe
// segments, otherwise from the components' names.
func (d *decoder) conversion() func(out, a, b, c, e []byte) {
	switch len(d.components) {
	case 1:
		return grey
	case 3:
		ids := [3]byte{d.components[0].id, d.components[1].id, d.components[2].id}
		rgb := false
		switch {
		case d.jfif:
		case d.adobe:
			rgb = d.adobeTransform == 0
		default:
			rgb = ids == [3]byte{'R', 'G', 'B'}
		}
		if rgb {
			return interleave
		}
		return yccToRGB
	}
	if d.adobe && d.adobeTransform == 2 {
		return ycckToRGB
	}
	return cmykToRGB
}

func grey(out, a, _, _, _ []byte) {
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
	y, cb, cr = y[:n], cb[:n], cr[:n]
	for i, v := range y {
		l, b, r := int32(v), int32(cb[i])-128, int32(cr[i])-128
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = clampByte(l + (fixRed*r+half)>>16)
		o[1] = clampByte(l + (-fixGreenBlue*b-fixGreenRed*r+half)>>16)
		o[2] = clampByte(l + (fixBlue*b+half)>>16)
	}
}

// cmykToRGB takes inverted CMYK: each value is the light that the ink lets through.
func cmykToRGB(out, c, m, y, k []byte) {
	for i := range len(out) / 3 {
		o := out[3*i:][:3]
		light := int32(k[i])
		o[0], o[1], o[2] = inked(c[i], light), inked(m[i], light), inked(y[i], light)
	}
}

// ycckToRGB is cmykToRGB after YCC to inverted CMY, which libjpeg turns into CMY
// by 255 − RGB.
func ycckToRGB(out, y, cb, cr, k []byte) {
	yccToRGB(out, y, cb, cr, nil)
	for i := range len(out) / 3 {
		o := out[3*i:][:3]
		light := int32(k[i])
		o[0], o[1], o[2] = inked(255-o[0], light), inked(255-o[1], light), inked(255-o[2], light)
	}
}

// inked is what ink leaves of the light: light − (255−through)·light/255, rounded.
func inked(through byte, light int32) byte {
	t := (255-int32(through))*light + 128
	return clampByte(light - (t>>8+t)>>8)
}

// upsampler gives the rows of a component at the picture's resolution.
type upsampler struct {
	c            *component
	wide, high   int  // samples of the picture for one of the component
	fancy        bool // triangle filter; otherwise samples are repeated
	sums         []int32
	out          []byte
	last, second int // rows of the plane that sums was made from
}

func newUpsampler(d *decoder, c *component, width int) upsampler {
	u := upsampler{c: c, wide: d.maxH * (8 / d.scale) / (c.h * c.size), high: d.maxV * (8 / d.scale) / (c.v * c.size)}
	// libjpeg filters where a component is halved in width, in height, or in both,
	// but not in pictures of one sample a block, nor in planes of one or two columns.
	u.fancy = d.scale < 8 && (u.wide == 2 && u.high <= 2 && c.width > 2 || u.wide == 1 && u.high == 2)
	if u.wide > 1 || u.high > 1 {
		u.out = make([]byte, (c.width+1)*u.wide)
		u.sums = make([]int32, c.width)
	}
	return u
}

// plane returns a row of the component's samples; beyond the picture the last row
// goes on.
func (u *upsampler) plane(y int) []byte {
	y = min(max(y, 0), u.c.height-1)
	return u.c.plane[y*u.c.stride:][:u.c.width]
}

// row returns row y of the picture.
func (u *upsampler) row(y int) []byte {
	near := u.plane(y / u.high)
	if u.wide == 1 && u.high == 1 {
		return near
	}
	if !u.fancy {
		for i, v := range near {
			for j := range u.wide {
				u.out[i*u.wide+j] = v
			}
		}
		return u.out
	}
	n := len(near)
	if u.high == 1 {
		out := u.out[:2*n]
		out[0] = near[0]
		for i := 1; i < n; i++ {
			a, b := int32(near[i-1]), int32(near[i])
			out[2*i-1] = byte((3*a + b + 2) >> 2)
			out[2*i] = byte((3*b + a + 1) >> 2)
		}
		out[2*n-1] = near[n-1]
		return out
	}
	far := u.plane(y/2 - 1 + y%2*2)
	if u.wide == 1 {
		bias := int32(1 + y%2)
		for i, v := range near {
			u.out[i] = byte((3*int32(v) + int32(far[i]) + bias) >> 2)
		}
		return u.out
	}
	sums, out := u.sums[:n], u.out[:2*n]
	for i, v := range near {
		sums[i] = 3*int32(v) + int32(far[i])
	}
	out[0] = byte((4*sums[0] + 8) >> 4)
	a := sums[0]
	for i := 1; i < n; i++ {
		b := sums[i]
		out[2*i-1] = byte((3*a + b + 7) >> 4)
		out[2*i] = byte((3*b + a + 8) >> 4)
		a = b
	}
	out[2*n-1] = byte((4*sums[n-1] + 7) >> 4)
	return out
}
