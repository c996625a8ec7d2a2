package main

import (
	"github.com/spf13/cobra"

	"garb/augment"
)

// addAugmentFlags adds the flags of data augmentation. The defaults are the values of c.
func addAugmentFlags(command *cobra.Command, c *augment.Config) {
	flags := command.Flags()
	number := func(p *float64, name, usage string) { flags.Float64Var(p, name, *p, usage) }
	number(&c.RotationRangeDegrees, "rotation-range", "rotate by up to N degrees in either direction")
	number(&c.WidthShift, "width-shift", "shift horizontally by up to N pixels, or by a share of the width if below 1")
	number(&c.HeightShift, "height-shift", "shift vertically by up to N pixels, or by a share of the height if below 1")
	number(&c.ShearDegrees, "shear", "shear by up to N degrees in either direction")
	number(&c.Zoom, "zoom", "zoom by a factor from 1−v to 1+v")
	flags.BoolVar(&c.HorizontalFlip, "horizontal-flip", c.HorizontalFlip, "flip left to right with probability 0.5")
	flags.BoolVar(&c.VerticalFlip, "vertical-flip", c.VerticalFlip, "flip top to bottom with probability 0.5")
	number(&c.CropMin, "crop-min",
		"random resized crop: minimum share of the picture's area, such as 0.65 (0 disables)")
	number(&c.CropAspect, "crop-aspect",
		"random resized crop: change the aspect ratio by up to this factor, such as 1.33")
	number(&c.Brightness, "brightness", "multiply brightness by a factor from 1−v to 1+v")
	number(&c.Contrast, "contrast", "multiply contrast by a factor from 1−v to 1+v")
	number(&c.Saturation, "saturation", "multiply saturation by a factor from 1−v to 1+v")
	number(&c.Erasing, "erasing", "random erasing: probability that a rectangle is replaced by noise")
	number(&c.Mixup, "mixup", "mixup with weights from Beta(v, v), such as 0.2 (0 disables)")
	number(&c.QuarterTurns, "quarter-turns", "probability of a rotation by 90°, 180° or 270°")
	number(&c.ZoomOut, "zoom-out",
		"with probability 0.25, shrink the picture by up to this factor on a plain background, such as 2.5")
	flags.IntVar(&c.ShrinkMin, "shrink", c.ShrinkMin,
		"with probability 0.25, downscale to a thumbnail of at least N pixels per side and upscale again, such as 48")
	number(&c.BlurMax, "blur-max",
		"with probability 0.25, apply Gaussian blur with a standard deviation of up to N pixels, such as 2.5")
	number(&c.Noise, "noise", "with probability 0.25, add noise of up to N of 255 levels, such as 25")
	number(&c.CutMix, "cutmix", "CutMix with areas from Beta(v, v), such as 1 (0 disables)")
}
