package explain

import (
	"image/color"
	"math"
)

// colourMap has 256 colours from dark violet to light yellow, in equal steps of lightness as
// people see it, which is the first axis of Oklab (Ottosson 2020). So it keeps its order when
// printed in grey.
var colourMap = func() (all [256]color.NRGBA) {
	for i := range all {
		t := float64(i) / 255
		hue := (305 - float64(200*t)) / 180 * math.Pi
		all[i] = fromOklab(0.16+float64(0.8*t), 0.13*math.Cos(hue), 0.13*math.Sin(hue))
	}
	return all
}()

// fromOklab converts a colour from Oklab to sRGB, and clips what sRGB cannot show.
func fromOklab(lightness, a, b float64) color.NRGBA {
	l := lightness + float64(0.3963377774*a) + float64(0.2158037573*b)
	m := lightness - float64(0.1055613458*a) - float64(0.0638541728*b)
	s := lightness - float64(0.0894841775*a) - float64(1.2914855480*b)
	l, m, s = l*l*l, m*m*m, s*s*s
	return color.NRGBA{
		encodeSRGB(float64(4.0767416621*l) - float64(3.3077115913*m) + float64(0.2309699292*s)),
		encodeSRGB(float64(-1.2684380046*l) + float64(2.6097574011*m) - float64(0.3413193965*s)),
		encodeSRGB(float64(-0.0041960863*l) - float64(0.7034186147*m) + float64(1.7076147010*s)), 255,
	}
}

// encodeSRGB returns the sRGB value of a linear intensity from 0 to 1.
func encodeSRGB(v float64) uint8 {
	if v = min(max(v, 0), 1); v <= 0.0031308 {
		v *= 12.92
	} else {
		v = float64(1.055*math.Pow(v, 1/2.4)) - 0.055
	}
	return uint8(math.Round(255 * v))
}

// signedColour returns the colour of a share from −1 to 1: heatColour for what speaks for a
// class, and blue for what speaks against it. It is transparent at 0.
func signedColour(share float64) color.NRGBA {
	if share >= 0 {
		return heatColour(min(share, 1))
	}
	share = min(-share, 1)
	return color.NRGBA{
		R: 30, G: uint8(math.Round(90 + float64(100*(1-share)))), B: 255, A: uint8(math.Round(255 * 0.8 * share)),
	}
}
