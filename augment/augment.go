// Package augment changes training pictures at random, so that a network sees
// each of them another way in every epoch.
//
// Only training pictures: New takes a dataset.Training, and nothing else that is
// exported changes a picture. Pictures to judge a network by cannot be augmented.
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

// Config says how far pictures are changed. Its zero value changes nothing.
//
// The first seven mean what they mean in Keras's ImageDataGenerator, with the
// nearest pixel outside the picture and bilinear interpolation inside. Every
// amount is drawn uniformly, unless another way is named.
type Config struct {
	// RotationRangeDegrees is the largest angle, either way.
	RotationRangeDegrees float64 `json:"rotation_range_degrees,omitempty"`
	// WidthShift and HeightShift bound the shift across and down, either way: a
	// share of the side if below 1, else pixels of the input. Whole numbers n from 2
	// on give shifts by whole pixels, n−1 at most, as Keras's integers do.
	WidthShift  float64 `json:"width_shift,omitempty"`
	HeightShift float64 `json:"height_shift,omitempty"`
	// ShearDegrees is the largest angle of shear, either way.
	ShearDegrees float64 `json:"shear_degrees,omitempty"`
	// Zoom bounds the two factors, across and down, by which distances in the picture
	// shrink: both are from [1−Zoom, 1+Zoom], each for itself.
	Zoom float64 `json:"zoom,omitempty"`
	// HorizontalFlip and VerticalFlip mirror every other picture.
	HorizontalFlip bool `json:"horizontal_flip,omitempty"`
	VerticalFlip   bool `json:"vertical_flip,omitempty"`

	// CropMin is the smallest share of the area that a random part of the picture
	// has; the part is stretched to the input's size (Szegedy et al. 2015). 0 takes
	// the whole picture, as the Spec's Fit does. The part has the shape of the picture
	// if Fit is Stretch, else the shape of the input, and the share is of the largest
	// such part.
	CropMin float64 `json:"crop_min,omitempty"`
	// CropAspect is the largest factor, either way, by which the part's width over
	// height differs from that shape; it is drawn uniformly in its logarithm. 0 and 1
	// keep the shape. It goes with CropMin.
	CropAspect float64 `json:"crop_aspect,omitempty"`

	// Brightness, Contrast and Saturation bound relative changes: a factor from
	// [1−v, 1+v] on the levels, on their distances from the picture's mean luma, and
	// on their distances from the pixel's luma.
	Brightness float64 `json:"brightness,omitempty"`
	Contrast   float64 `json:"contrast,omitempty"`
	Saturation float64 `json:"saturation,omitempty"`

	// Erasing is the probability that a rectangle of the picture becomes noise (Zhong
	// et al. 2020): of 2 to 20 % of the area, and 0.3 to 3.3 times as high as wide.
	Erasing float64 `json:"erasing,omitempty"`

	// Mixup and CutMix are the α of the Beta(α, α) distribution that shares are drawn
	// from when two pictures of a batch become one: by their mean (Zhang et al. 2018),
	// or by a rectangle of the one in the other (Yun et al. 2019). With both on, each
	// batch has one of them, by the toss of a coin.
	Mixup  float64 `json:"mixup,omitempty"`
	CutMix float64 `json:"cutmix,omitempty"`

	// QuarterTurns is the probability that a picture is turned by 90°, 180° or 270°, each
	// as likely, before a part of it is taken: its sides are exchanged, its pixels stay.
	QuarterTurns float64 `json:"quarter_turns,omitempty"`
	// ZoomOut is the largest factor by which the sides of every fourth picture are divided.
	// What is around the smaller picture, which is at a random place, has one colour: a
	// grey or any, each for half of these pictures. 0 and 1 leave all as large as they are.
	ZoomOut float64 `json:"zoom_out,omitempty"`
	// ShrinkMin makes every fourth picture a thumbnail and then as large again: its shorter
	// side has from ShrinkMin pixels to those of the input, drawn uniformly in the
	// logarithm. 0 keeps all, and so does what is not below the input's shorter side.
	ShrinkMin int `json:"shrink_min,omitempty"`
	// BlurMax is the largest standard deviation, in pixels of the input, of the Gaussian
	// that every fourth picture is blurred by.
	BlurMax float64 `json:"blur_max,omitempty"`
	// Noise is the largest standard deviation, in levels of 255, of the Gaussian noise
	// that every fourth picture gets: in each channel of each pixel its own.
	Noise float64 `json:"noise,omitempty"`
}

// Bounds of what Validate accepts, where the meaning has none.
const (
	maxDegrees = 180
	maxShear   = 89 // at 90 a picture becomes a line
	maxShift   = 4096
	minAlpha   = 1e-3 // below it every share is 0 or 1
	maxAlpha   = 1000
	maxAspect  = 10
)

// Enabled tells whether anything is changed.
func (c Config) Enabled() bool { return c != Config{} }

// Validate reports a value that has no meaning.
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
			return fmt.Errorf("augmentation: %s %v; it is from 0 to %v", v.name, v.value, v.largest)
		}
	}
	switch {
	case c.CropAspect != 0 && c.CropMin == 0:
		return errors.New("augmentation: a crop aspect needs a smallest crop, such as 0.65")
	case c.CropAspect != 0 && c.CropAspect < 1:
		return fmt.Errorf("augmentation: crop aspect %v; it is a factor of 1 or more, such as 1.33", c.CropAspect)
	case c.ZoomOut != 0 && c.ZoomOut < 1:
		return fmt.Errorf("augmentation: zoom out %v; it is a factor of 1 or more, such as 2", c.ZoomOut)
	case c.Mixup != 0 && c.Mixup < minAlpha || c.CutMix != 0 && c.CutMix < minAlpha:
		return fmt.Errorf("augmentation: mixup %v and cutmix %v; each is 0, or from %v to %v", c.Mixup, c.CutMix,
			minAlpha, maxAlpha)
	case c.CropMin != 0 && c.CropMin < 0.01:
		return fmt.Errorf("augmentation: smallest crop %v; it is a share of the area from 0.01 to 1", c.CropMin)
	}
	return nil
}

// Views are the changed pictures of a training set. They may be used by several
// goroutines.
type Views struct {
	config Config
	// spec is the network's; roomy asks for as many pixels as the smallest crop needs;
	// values takes a picture that has its size already.
	spec, roomy, values picture.Spec
	set                 *dataset.Set
	seed                uint64
	limits              picture.Limits
	backgrounds         *Backgrounds // nil if pictures keep theirs
}

// New returns the views of a training set for a network's spec. The limits hold
// for each picture. It returns an error if the config or the spec is not valid.
func New(c Config, spec picture.Spec, train dataset.Training, seed uint64, l picture.Limits) (*Views, error) {
	if err := errors.Join(c.Validate(), spec.Validate(), l.Validate()); err != nil {
		return nil, err
	}
	v := &Views{config: c, spec: spec, roomy: spec, values: spec, set: train.Set, seed: seed, limits: l}
	v.values.Fit = picture.Stretch
	if c.CropMin > 0 {
		v.roomy.CropRatio = 0
		side := math.Sqrt(c.CropMin / max(c.CropAspect, 1)) // of the picture's, at least
		v.roomy.Width = int(math.Ceil(float64(spec.Width) / side))
		v.roomy.Height = int(math.Ceil(float64(spec.Height) / side))
	}
	if c.QuarterTurns > 0 {
		side := max(v.roomy.Width, v.roomy.Height) // for either way of being turned
		v.roomy.Width, v.roomy.Height = side, side
	}
	return v, nil
}

// Load reads the picture of the training set's sample index and writes the view of
// it that an epoch has to dst: Height × Width × Channels values, as Spec.Load does. An epoch
// may show a picture again, with other changes: index + n, of n samples, is sample index
// for the second time, and so on. The view depends on the seed, the epoch and the index
// alone. Errors name the file and are otherwise those of dataset.Sample.Read and
// picture.Spec.Load. It panics if index is negative, or if dst has another length.
//
// Decoded, perhaps put on another background (see SetBackgrounds), turned by quarters,
// and resized (or a random part of it) to the input or to a place inside it, the picture
// goes through one affine resample, mirrors, colours, a loss of quality and erasing, each
// only if it is on.
func (v *Views) Load(ctx context.Context, epoch, index int, dst []float32) error {
	number := index % len(v.set.Samples)
	sample := v.set.Samples[number]
	data, err := sample.Read(v.limits)
	if err != nil {
		return err
	}
	p, _, err := v.roomy.Decode(ctx, data, v.limits)
	if err != nil {
		return fmt.Errorf("%s: %w", sample.Path, err)
	}
	if p, err = v.paste(ctx, p, number, v.stream(ofBackgrounds, epoch, index)); err != nil {
		return err
	}
	d := v.config.draw(v.stream(ofPictures, epoch, index), v.spec.Width, v.spec.Height)
	d.scene = v.config.drawScene(v.stream(ofScenes, epoch, index), v.spec.Width, v.spec.Height)
	p = turn(p, d.scene.quarters)
	inner := d.scene.nearer(v.spec)
	if v.config.CropMin > 0 {
		left, top, width, height := d.part.of(p.Width, p.Height, v.spec)
		p = inner.ResizePart(p, left, top, width, height)
	} else {
		p = inner.Resize(p)
	}
	p = d.scene.place(p, v.spec.Width, v.spec.Height)
	v.values.Tensor(d.apply(p, v.spec.Filter), dst)
	return nil
}

// What random numbers are for: each use has its own.
const (
	ofPictures = 1
	ofBatches  = 2
	ofScenes   = 3
	// Of what is put on other backgrounds.
	ofBackgrounds = 4
)

// stream returns the random numbers of one picture, or of one batch. It is seeded
// by all that names it, so that no order of work matters.
func (v *Views) stream(use uint64, epoch, index int) *rand.Rand {
	return rand.New(rand.NewPCG(v.seed^use<<56, uint64(epoch)<<32^uint64(index)))
}

// draw is one picture's changes.
type draw struct {
	part                             part
	affine                           affine
	flipAcross, flipDown             bool
	brightness, contrast, saturation float64 // factors
	erase                            bool
	erased                           patch
	scene                            scene
}

// draw draws the changes of an input of the given size. Everything is drawn,
// whether it is on or not: turning on one change leaves the others as they were.
func (c Config) draw(r *rand.Rand, width, height int) draw {
	within := func(limit float64) float64 { return limit * (2*r.Float64() - 1) }
	var d draw
	degrees := within(c.RotationRangeDegrees)
	across, down := shift(c.WidthShift, width, r.Float64()), shift(c.HeightShift, height, r.Float64())
	shear := within(c.ShearDegrees)
	zoomAcross, zoomDown := 1+within(c.Zoom), 1+within(c.Zoom)
	d.affine = newAffine(degrees, across, down, shear, zoomAcross, zoomDown, width, height)
	d.flipAcross = r.Float64() < 0.5 && c.HorizontalFlip
	d.flipDown = r.Float64() < 0.5 && c.VerticalFlip
	d.part = part{c.CropMin + (1-c.CropMin)*r.Float64(), max(c.CropAspect, 1), r.Float64(), r.Float64(), r.Float64()}
	d.brightness, d.contrast, d.saturation = 1+within(c.Brightness), 1+within(c.Contrast), 1+within(c.Saturation)
	d.erase = r.Float64() < c.Erasing
	d.erased = patch{minErased + (maxErased-minErased)*r.Float64(), math.Exp(within(math.Log(erasedAspect))),
		r.Float64(), r.Float64(), r}
	return d
}

// shift is the shift, in pixels, that u from [0, 1) stands for.
func shift(limit float64, side int, u float64) float64 {
	switch {
	case limit < 1:
		return limit * float64(side) * (2*u - 1)
	case limit >= 2 && limit == math.Trunc(limit):
		// A whole number below the limit, and a sign for itself, as Keras draws them.
		n := int(2 * limit * u)
		return float64(n / 2 * (1 - n%2*2))
	}
	return limit * (2*u - 1)
}

// apply changes p, which has the input's size, and may return another picture.
func (d *draw) apply(p *picture.RGB, filter picture.Filter) *picture.RGB {
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
		colour(p, d.brightness, d.contrast, d.saturation)
	}
	p = d.scene.degrade(p, filter)
	if d.erase {
		d.erased.erase(p)
	}
	return p
}

// part is a random part of a picture.
type part struct {
	area      float64 // share
	maxAspect float64 // largest factor of the shape, either way
	// From 0 to 1: place of the factor's logarithm, and of the part, in the room there
	// is.
	aspect, left, top float64
}

// of returns the part of a picture of width × height, in pixels.
func (t part) of(width, height int, s picture.Spec) (left, top, partWidth, partHeight int) {
	fullWidth, fullHeight := float64(width), float64(height)
	baseWidth, baseHeight := fullWidth, fullHeight
	if s.Fit != picture.Stretch {
		scale := min(fullWidth/float64(s.Width), fullHeight/float64(s.Height))
		baseWidth, baseHeight = scale*float64(s.Width), scale*float64(s.Height)
	}
	// The part is baseWidth·√(area·f) wide and baseHeight·√(area/f) high. Only factors
	// f are drawn with which both fit; 1 is always one of them.
	low := max(-math.Log(t.maxAspect), math.Log(t.area)+2*math.Log(baseHeight/fullHeight))
	high := min(math.Log(t.maxAspect), -math.Log(t.area)-2*math.Log(baseWidth/fullWidth))
	factor := math.Exp(low + (high-low)*t.aspect)
	side := func(exact float64, limit int) int { return min(max(int(math.Round(exact)), 1), limit) }
	partWidth = side(baseWidth*math.Sqrt(t.area*factor), width)
	partHeight = side(baseHeight*math.Sqrt(t.area/factor), height)
	return int(t.left * float64(width-partWidth+1)), int(t.top * float64(height-partHeight+1)), partWidth, partHeight
}
