// Package augment changes training pictures at random, so that a network sees each of them
// differently in every epoch.
//
// It cannot augment validation or test pictures: New takes a dataset.Training, and nothing
// else that the package exports changes a picture.
package augment

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"garb/dataset"
	"garb/picture"
)

// Config says how much pictures are changed. Its zero value changes nothing.
//
// The first seven fields mean the same as in Keras's ImageDataGenerator, with bilinear
// interpolation inside the picture and the nearest pixel outside. Every amount is drawn
// uniformly unless its field says otherwise.
type Config struct {
	// RotationRangeDegrees is the largest angle, in either direction.
	RotationRangeDegrees float64 `json:"rotation_range_degrees,omitempty"`
	// WidthShift and HeightShift are the largest shifts across and down, in either
	// direction: a share of the side if below 1, else pixels of the input. A whole number
	// n ≥ 2 gives shifts by whole pixels, at most n−1, as Keras's integers do.
	WidthShift  float64 `json:"width_shift,omitempty"`
	HeightShift float64 `json:"height_shift,omitempty"`
	// ShearDegrees is the largest angle of shear, in either direction.
	ShearDegrees float64 `json:"shear_degrees,omitempty"`
	// Zoom bounds the factors by which distances across and down shrink: each is drawn from
	// [1−Zoom, 1+Zoom].
	Zoom float64 `json:"zoom,omitempty"`
	// HorizontalFlip and VerticalFlip mirror a picture with probability 1/2.
	HorizontalFlip bool `json:"horizontal_flip,omitempty"`
	VerticalFlip   bool `json:"vertical_flip,omitempty"`

	// CropMin is the smallest share of the area of a random crop, which is stretched to the
	// input's size (Szegedy et al. 2015). 0 takes the whole picture, as the Spec's Fit does.
	// The crop has the aspect ratio of the picture if Fit is Stretch, else that of the input,
	// and the share is that of the largest such crop.
	CropMin float64 `json:"crop_min,omitempty"`
	// CropAspect is the largest factor, in either direction, by which the crop's aspect
	// ratio differs from that; the factor's logarithm is drawn uniformly. 0 and 1 keep the
	// aspect ratio. CropAspect needs CropMin.
	CropAspect float64 `json:"crop_aspect,omitempty"`

	// Brightness, Contrast and Saturation bound factors, drawn from [1−v, 1+v], of the
	// levels, of their distances from the picture's mean luma, and of their distances from
	// the pixel's luma.
	Brightness float64 `json:"brightness,omitempty"`
	Contrast   float64 `json:"contrast,omitempty"`
	Saturation float64 `json:"saturation,omitempty"`

	// Erasing is the probability that a rectangle of the picture becomes noise (Zhong et al.
	// 2020). It has 2 to 20 % of the area, and is 0.3 to 3.3 times as high as wide.
	Erasing float64 `json:"erasing,omitempty"`

	// Mixup and CutMix are the α of the Beta(α, α) distribution of the shares when two
	// pictures of a batch are mixed: by their weighted mean (Zhang et al. 2018), or by a
	// rectangle of one in the other (Yun et al. 2019). With both on, each batch gets one of
	// them, with equal probability.
	Mixup  float64 `json:"mixup,omitempty"`
	CutMix float64 `json:"cutmix,omitempty"`

	// QuarterTurns is the probability that a picture is rotated by 90°, 180° or 270°, each
	// equally likely, before it is cropped. Its pixels stay the same.
	QuarterTurns float64 `json:"quarter_turns,omitempty"`
	// ZoomOut is the largest factor by which the sides of a quarter of the pictures are
	// divided. The smaller picture is at a random place on a background of one colour: a
	// grey in half of these pictures, any colour in the others. 0 and 1 keep the sizes.
	ZoomOut float64 `json:"zoom_out,omitempty"`
	// ShrinkMin scales a quarter of the pictures down to thumbnails and up again. The
	// thumbnail's shorter side has at least ShrinkMin pixels and at most the input's; its
	// logarithm is drawn uniformly. 0 changes nothing, and neither does a value that is not
	// below the input's shorter side.
	ShrinkMin int `json:"shrink_min,omitempty"`
	// BlurMax is the largest standard deviation, in pixels of the input, of the Gaussian blur
	// of a quarter of the pictures.
	BlurMax float64 `json:"blur_max,omitempty"`
	// Noise is the largest standard deviation, in levels of 255, of the Gaussian noise that a
	// quarter of the pictures get. It is independent for each channel of each pixel.
	Noise float64 `json:"noise,omitempty"`
}

// Bounds that Validate checks where the meaning of a field implies none.
const (
	maxDegrees = 180
	maxShear   = 89 // at 90 a picture becomes a line
	maxShift   = 4096
	minAlpha   = 1e-3 // below it nearly every share is 0 or 1
	maxAlpha   = 1000
	maxAspect  = 10
)

// Enabled reports whether the Config changes anything.
func (c Config) Enabled() bool { return c != Config{} }

// Validate returns an error if a field is out of its bounds.
func (c Config) Validate() error {
	for _, v := range []struct {
		name    string
		value   float64
		largest float64
	}{
		{"rotation range", c.RotationRangeDegrees, maxDegrees},
		{"width shift", c.WidthShift, maxShift},
		{"height shift", c.HeightShift, maxShift},
		{"shear", c.ShearDegrees, maxShear},
		{"zoom", c.Zoom, 0.99}, // at 1 a picture becomes one pixel
		{"smallest crop", c.CropMin, 1},
		{"crop aspect", c.CropAspect, maxAspect},
		{"brightness", c.Brightness, 1},
		{"contrast", c.Contrast, 1},
		{"saturation", c.Saturation, 1},
		{"erasing", c.Erasing, 1},
		{"mixup", c.Mixup, maxAlpha},
		{"cutmix", c.CutMix, maxAlpha},
		{"quarter turns", c.QuarterTurns, 1},
		{"zoom out", c.ZoomOut, maxZoomOut},
		{"smallest thumbnail", float64(c.ShrinkMin), maxShrinkMin},
		{"blur", c.BlurMax, maxBlur},
		{"noise", c.Noise, maxNoise},
	} {
		if !(v.value >= 0 && v.value <= v.largest) {
			return fmt.Errorf("augmentation: the %s is %v; it must be between 0 and %v", v.name, v.value, v.largest)
		}
	}
	switch {
	case c.CropAspect != 0 && c.CropMin == 0:
		return errors.New("augmentation: a crop aspect needs a smallest crop, such as 0.65")
	case c.CropAspect != 0 && c.CropAspect < 1:
		return fmt.Errorf("augmentation: the crop aspect is %v; it must be 1 or more, such as 1.33", c.CropAspect)
	case c.ZoomOut != 0 && c.ZoomOut < 1:
		return fmt.Errorf("augmentation: the zoom out is %v; it must be 1 or more, such as 2", c.ZoomOut)
	case c.Mixup != 0 && c.Mixup < minAlpha || c.CutMix != 0 && c.CutMix < minAlpha:
		return fmt.Errorf("augmentation: mixup is %v and cutmix is %v; each must be 0, or between %v and %v",
			c.Mixup, c.CutMix, minAlpha, maxAlpha)
	case c.CropMin != 0 && c.CropMin < 0.01:
		return fmt.Errorf("augmentation: the smallest crop is %v; it must be 0, or between 0.01 and 1", c.CropMin)
	}
	return nil
}

// Views makes the changed pictures of a training set. Several goroutines may use it.
type Views struct {
	config Config
	// spec is the network's. decoding has the pixels that the smallest crop needs. values
	// converts a picture that has the input's size.
	spec, decoding, values picture.Spec
	set                    *dataset.Set
	seed                   uint64
	limits                 picture.Limits
	backgrounds            *Backgrounds // nil if pictures keep their own
}

// New returns the views of a training set for a network's spec. The limits apply to each
// picture. Errors are about an invalid config, spec or limits.
func New(c Config, spec picture.Spec, train dataset.Training, seed uint64, l picture.Limits) (*Views, error) {
	if err := errors.Join(c.Validate(), spec.Validate(), l.Validate()); err != nil {
		return nil, err
	}
	v := &Views{config: c, spec: spec, decoding: spec, values: spec, set: train.Set, seed: seed, limits: l}
	v.values.Fit = picture.Stretch
	if c.CropMin > 0 {
		v.decoding.CropRatio = 0
		side := math.Sqrt(c.CropMin / max(c.CropAspect, 1)) // the smallest share of the picture's side
		v.decoding.Width = int(math.Ceil(float64(spec.Width) / side))
		v.decoding.Height = int(math.Ceil(float64(spec.Height) / side))
	}
	if c.QuarterTurns > 0 {
		side := max(v.decoding.Width, v.decoding.Height) // enough for either orientation
		v.decoding.Width, v.decoding.Height = side, side
	}
	return v, nil
}

// Load reads the picture of a sample of the training set and writes its view in an epoch to
// dst: Height × Width × Channels values, as Spec.Load does. With n samples, index + n is a
// second view of sample index in the same epoch, and so on. The view depends only on the
// seed, the epoch and the index. Errors name the file, and are otherwise those of
// dataset.Sample.Read and picture.Spec.Load. Load panics if index is negative, or if dst has
// another length.
//
// The steps are: decode, replace the background (see SetBackgrounds), rotate by quarter
// turns, crop and resize, place on a larger background, resample (the affine changes), flip,
// change colours, degrade, erase. Load skips the changes that are off.
func (v *Views) Load(ctx context.Context, epoch, index int, dst []float32) error {
	number := index % len(v.set.Samples)
	sample := v.set.Samples[number]
	data, err := sample.Read(v.limits)
	if err != nil {
		return err
	}
	p, _, err := v.decoding.Decode(ctx, data, v.limits)
	if err != nil {
		return fmt.Errorf("%s: %w", sample.Path, err)
	}
	if p, err = v.replaceBackground(ctx, p, number, v.stream(forBackgrounds, epoch, index)); err != nil {
		return err
	}
	d := v.config.drawChanges(v.stream(forPictures, epoch, index), v.spec.Width, v.spec.Height)
	d.scene = v.config.drawScene(v.stream(forScenes, epoch, index), v.spec.Width, v.spec.Height)
	p = rotateQuarters(p, d.scene.quarters)
	inner := d.scene.shrinkSpec(v.spec)
	if v.config.CropMin > 0 {
		left, top, width, height := d.crop.bounds(p.Width, p.Height, v.spec)
		p = inner.ResizePart(p, left, top, width, height)
	} else {
		p = inner.Resize(p)
	}
	p = d.scene.place(p, v.spec.Width, v.spec.Height)
	v.values.Tensor(d.apply(p, v.spec.Filter), dst)
	return nil
}

// Each purpose has random numbers of its own.
const (
	forPictures    = 1
	forBatches     = 2
	forScenes      = 3
	forBackgrounds = 4
)

// stream returns the random numbers of one picture or batch for a purpose. The seed depends
// on all arguments, so the order of work does not matter.
func (v *Views) stream(purpose uint64, epoch, index int) *rand.Rand {
	return rand.New(rand.NewPCG(v.seed^purpose<<56, uint64(epoch)<<32^uint64(index)))
}

// changes are one picture's random changes.
type changes struct {
	crop                             crop
	affine                           affine
	flipAcross, flipDown             bool
	brightness, contrast, saturation float64 // factors
	erase                            bool
	erased                           rectangle
	scene                            scene
}

// drawChanges draws the changes of an input of the given size. It also draws the changes that are off, so
// that turning on one change does not affect the others.
func (c Config) drawChanges(r *rand.Rand, width, height int) changes {
	within := func(limit float64) float64 { return float64(limit * (2*float64(r.Float64()) - 1)) }
	var d changes
	degrees := within(c.RotationRangeDegrees)
	across, down := drawShift(c.WidthShift, width, r.Float64()), drawShift(c.HeightShift, height, r.Float64())
	shear := within(c.ShearDegrees)
	zoomAcross, zoomDown := 1+within(c.Zoom), 1+within(c.Zoom)
	d.affine = newAffine(degrees, across, down, shear, zoomAcross, zoomDown, width, height)
	d.flipAcross = r.Float64() < 0.5 && c.HorizontalFlip
	d.flipDown = r.Float64() < 0.5 && c.VerticalFlip
	d.crop = crop{c.CropMin + float64((1-c.CropMin)*r.Float64()), max(c.CropAspect, 1),
		r.Float64(), r.Float64(), r.Float64()}
	d.brightness, d.contrast, d.saturation = 1+within(c.Brightness), 1+within(c.Contrast), 1+within(c.Saturation)
	d.erase = r.Float64() < c.Erasing
	d.erased = rectangle{
		minErased + float64((maxErased-minErased)*r.Float64()), math.Exp(within(math.Log(erasedAspect))),
		r.Float64(), r.Float64(), r,
	}
	return d
}

// drawShift returns the shift, in pixels, for a random u from [0, 1).
func drawShift(limit float64, side int, u float64) float64 {
	switch {
	case limit < 1:
		return float64(limit * float64(side) * (2*float64(u) - 1))
	case limit >= 2 && limit == math.Trunc(limit):
		// A whole number below the limit, with a sign drawn separately, as in Keras.
		n := int(2 * limit * u)
		return float64(n / 2 * (1 - n%2*2))
	}
	return float64(limit * (2*float64(u) - 1))
}

// apply changes p, which has the input's size. It may return another picture.
func (d *changes) apply(p *picture.RGB, filter picture.Filter) *picture.RGB {
	if d.affine != identity {
		p = d.affine.resample(p)
	}
	if d.flipAcross {
		flipAcross(p)
	}
	if d.flipDown {
		flipDown(p)
	}
	if d.brightness != 1 || d.contrast != 1 || d.saturation != 1 {
		changeColours(p, d.brightness, d.contrast, d.saturation)
	}
	p = d.scene.degrade(p, filter)
	if d.erase {
		d.erased.erase(p)
	}
	return p
}

// crop is a random crop of a picture.
type crop struct {
	area      float64 // a share
	maxAspect float64 // largest factor of the aspect ratio, in either direction
	// The factor's logarithm and the crop's place, from 0 to 1 of what is possible.
	aspect, left, top float64
}

// bounds returns the crop of a picture of width × height, in pixels.
func (t crop) bounds(width, height int, s picture.Spec) (left, top, cropWidth, cropHeight int) {
	fullWidth, fullHeight := float64(width), float64(height)
	baseWidth, baseHeight := fullWidth, fullHeight
	if s.Fit != picture.Stretch {
		scale := min(fullWidth/float64(s.Width), fullHeight/float64(s.Height))
		baseWidth, baseHeight = scale*float64(s.Width), scale*float64(s.Height)
	}
	// The crop is baseWidth·√(area·f) wide and baseHeight·√(area/f) high. The factor f is
	// drawn from those for which both fit, of which 1 is always one.
	low := max(-math.Log(t.maxAspect), math.Log(t.area)+float64(2*math.Log(baseHeight/fullHeight)))
	high := min(math.Log(t.maxAspect), -math.Log(t.area)-float64(2*math.Log(baseWidth/fullWidth)))
	factor := math.Exp(low + float64((high-low)*t.aspect))
	side := func(exact float64, limit int) int { return min(max(int(math.Round(exact)), 1), limit) }
	cropWidth = side(baseWidth*math.Sqrt(t.area*factor), width)
	cropHeight = side(baseHeight*math.Sqrt(t.area/factor), height)
	return int(t.left * float64(width-cropWidth+1)), int(t.top * float64(height-cropHeight+1)), cropWidth, cropHeight
}
