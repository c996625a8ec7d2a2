package main

import (
	"github.com/spf13/cobra"

	"garb/augment"
)

// addAugmentFlags adds the flags that say how training pictures are changed. The
// defaults are what c holds.
func addAugmentFlags(command *cobra.Command, c *augment.Config) {
	flags := command.Flags()
	number := func(p *float64, name, usage string) { flags.Float64Var(p, name, *p, usage) }
	number(&c.RotationRangeDegrees, "rotation-range", "turn by up to this many degrees either way")
	number(&c.WidthShift, "width-shift", "shift across by up to this many pixels, or share of the width if below 1")
	number(&c.HeightShift, "height-shift", "shift down by up to this many pixels, or share of the height if below 1")
	number(&c.ShearDegrees, "shear", "shear by up to this many degrees either way")
	number(&c.Zoom, "zoom", "zoom by factors from 1−v to 1+v")
	flags.BoolVar(&c.HorizontalFlip, "horizontal-flip", c.HorizontalFlip, "mirror every other picture left to right")
	flags.BoolVar(&c.VerticalFlip, "vertical-flip", c.VerticalFlip, "mirror every other picture top to bottom")
	number(&c.CropMin, "crop-min",
		"take a random part of at least this share of the area, such as 0.65 (0: the whole picture)")
	number(&c.CropAspect, "crop-aspect", "stretch that part's width over height by up to this factor, such as 1.33")
	number(&c.Brightness, "brightness", "multiply brightness by factors from 1−v to 1+v")
	number(&c.Contrast, "contrast", "multiply contrast by factors from 1−v to 1+v")
	number(&c.Saturation, "saturation", "multiply saturation by factors from 1−v to 1+v")
	number(&c.Erasing, "erasing", "probability that a rectangle of a picture becomes noise")
	number(&c.Mixup, "mixup", "mix pictures by shares from Beta(v, v), such as 0.2 (0: off)")
	number(&c.QuarterTurns, "quarter-turns", "probability that a picture is turned by 90°, 180° or 270°")
	number(&c.ZoomOut, "zoom-out",
		"shrink every fourth picture by up to this factor, on a plain background, such as 2.5")
	flags.IntVar(&c.ShrinkMin, "shrink", c.ShrinkMin,
		"make every fourth picture a thumbnail of at least this many pixels a side and large again, such as 48")
	number(&c.BlurMax, "blur-max",
		"blur every fourth picture by up to this many pixels (standard deviation), such as 2.5")
	number(&c.Noise, "noise", "add noise of up to this many levels of 255 to every fourth picture, such as 25")
	number(&c.CutMix, "cutmix", "exchange rectangles of pictures, by shares from Beta(v, v), such as 1 (0: off)")
}
