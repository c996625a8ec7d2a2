package explain

import (
	"image/color"
	"math"
)

// even are 256 colours from dark violet to light yellow, in which equal steps of the
// value are equal steps of lightness: they are laid out in Oklab (Ottosson 2020), whose
// first axis is lightness as people see it, and keep their order in grey print.
var even = func() (all [256]color.NRGBA) {
	for i := range all {
		t := float64(i) / 255
		hue := (305 - 200*t) / 180 * math.Pi
		all[i] = oklab(0.16+0.8*t, 0.13*math.Cos(hue), 0.13*math.Sin(hue))
	}
	return all
}()

// oklab turns a colour of Oklab into sRGB, at the nearest value where it has none.
func oklab(lightness, a, b float64) color.NRGBA {
	l := lightness + 0.3963377774*a + 0.2158037573*b
	m := lightness - 0.1055613458*a - 0.0638541728*b
	s := lightness - 0.0894841775*a - 1.2914855480*b
	l, m, s = l*l*l, m*m*m, s*s*s
	return color.NRGBA{
		level(4.0767416621*l - 3.3077115913*m + 0.2309699292*s),
		level(-1.2684380046*l + 2.6097574011*m - 0.3413193965*s),
		level(-0.0041960863*l - 0.7034186147*m + 1.7076147010*s), 255,
	}
}

// level is a linear light from 0 to 1 as sRGB has it.
func level(v float64) uint8 {
	if v = min(max(v, 0), 1); v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(math.Round(255 * v))
}

// signed is the colour of a share from −1 to 1: what speaks for a class as colour has it,
// what speaks against it in blue. It is transparent at 0.
func signed(share float64) color.NRGBA {
	if share >= 0 {
		return colour(min(share, 1))
	}
	share = min(-share, 1)
	return color.NRGBA{R: 30, G: uint8(math.Round(90 + 100*(1-share))), B: 255,
		A: uint8(math.Round(255 * 0.8 * share))}
}
