package crops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"garb/dataset"
	"garb/picture"
)

// Pair is a photo with its mask.
type Pair struct {
	Name        string // of both: the path below their folders, without ending, with slashes
	Photo, Mask string // paths
}

// Pairs pairs the photos below a folder with the masks of the same names, but for the
// ending, below another, in the photos' order by path. What has no partner, and photos or
// masks whose names differ in ending or letter case only, are counted by tally.
func Pairs(ctx context.Context, photos, masks string, tally *dataset.Tally) ([]Pair, error) {
	photoNames, photosByName, err := byName(ctx, photos, tally)
	if err != nil {
		return nil, err
	}
	maskNames, masksByName, err := byName(ctx, masks, tally)
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, key := range photoNames {
		found, of := photosByName[key], masksByName[key]
		switch {
		case len(found.paths) > 1:
			for _, path := range found.paths {
				tally.Add(dataset.ReasonBadMask, path,
					fmt.Sprintf("%d photos share the name %s", len(found.paths), found.name))
			}
		case len(of.paths) > 1:
			tally.Add(dataset.ReasonBadMask, found.paths[0], fmt.Sprintf("it has %d masks: %s and %s", len(of.paths),
				of.paths[0], of.paths[1]))
		case len(of.paths) == 0:
			tally.Add(dataset.ReasonNoLabel, found.paths[0],
				fmt.Sprintf("it has no mask %s.png in %s", found.name, masks))
		default:
			pairs = append(pairs, Pair{found.name, found.paths[0], of.paths[0]})
		}
	}
	for _, key := range maskNames {
		if len(photosByName[key].paths) == 0 {
			for _, path := range masksByName[key].paths {
				tally.Add(dataset.ReasonMissing, path, "the photo of this mask is not in "+photos)
			}
		}
	}
	return pairs, nil
}

// sameName are the files of one name: several if endings or letter case differ.
type sameName struct {
	name  string
	paths []string
}

// byName lists the pictures below a folder by name without letter case, and those names
// in order.
func byName(ctx context.Context, folder string, tally *dataset.Tally) ([]string, map[string]sameName, error) {
	paths, err := dataset.Pictures(ctx, folder, tally)
	if err != nil {
		return nil, nil, err
	}
	var order []string
	files := make(map[string]sameName, len(paths))
	for _, path := range paths {
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.ToSlash(strings.TrimSuffix(relative, filepath.Ext(relative)))
		key := caseless(name)
		same, ok := files[key]
		if !ok {
			order = append(order, key)
			same.name = name
		}
		same.paths = append(same.paths, path)
		files[key] = same
	}
	return order, files, nil
}

// MaskError says why a mask cannot be used with its photo.
type MaskError struct {
	Path, Message string
	Err           error // nil if Message says all
}

func (e *MaskError) Error() string {
	text := e.Path + ": " + e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause, if there is another.
func (e *MaskError) Unwrap() error { return e.Err }

// Crop is a part of a photo that shows one garment, or, with Rule.Whole, a whole photo
// with one class of its garments.
type Crop struct {
	// Label is the label's name, and Class what the rule renames it to. A whole photo's
	// Label is its Class, which may have several labels.
	Label, Class string
	Box          image.Rectangle
	Pixels       int // of the label, or of all labels of the class

	indices []uint8 // of the label, or of all labels of the class, ascending
}

// Cut is what a rule makes of one photo.
type Cut struct {
	Crops []Crop // by index; whole photos by class
	// What became no crop of the labels that the rule wants: labels with too few pixels,
	// in too small a box, and in a box where another garment has as many pixels. Of whole
	// photos these count classes, and Hidden those that are too small beside the largest.
	Few, Small, Hidden int

	cutter *Cutter
	photo  *Photo
}

// Picture returns the photo's pixels in a box, such as a crop's.
func (cut *Cut) Picture(box image.Rectangle) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		from := cut.photo.rgb.Pix[3*((box.Min.Y+y)*cut.photo.rgb.Width+box.Min.X):]
		to := m.Pix[y*m.Stride:]
		for x := range box.Dx() {
			to[4*x], to[4*x+1], to[4*x+2], to[4*x+3] = from[3*x], from[3*x+1], from[3*x+2], 255
		}
	}
	return m
}

// Mask returns where the garment is in a crop's picture: 255 at the pixels of the crop's
// label, or of a whole photo's class, and 0 elsewhere.
func (cut *Cut) Mask(crop Crop) *image.Gray {
	var level [maxNames]uint8
	for _, index := range crop.indices {
		level[index] = 255
	}
	m := image.NewGray(image.Rect(0, 0, crop.Box.Dx(), crop.Box.Dy()))
	for y := range crop.Box.Dy() {
		row := cut.photo.mask.indices[(crop.Box.Min.Y+y)*cut.photo.mask.width:]
		for x, index := range row[crop.Box.Min.X:crop.Box.Max.X] {
			m.Pix[y*m.Stride+x] = level[index]
		}
	}
	return m
}

// Photo is a photo with the label of each pixel.
type Photo struct {
	pair Pair
	rgb  *picture.RGB
	mask *mask
}

// Read reads a photo and its mask. A mask that does not fit the photo is a *MaskError;
// errors about the photo are those of dataset.Sample.Read and picture.Decode.
func Read(ctx context.Context, p Pair, limits picture.Limits) (*Photo, error) {
	data, err := dataset.Sample{Path: p.Photo}.Read(limits)
	if err != nil {
		return nil, err
	}
	info, err := picture.Identify(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Photo, err)
	}
	rgb, err := picture.Decode(ctx, data, limits)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Photo, err)
	}
	m, err := readMask(p.Mask, rgb, info, limits)
	if err != nil {
		return nil, err
	}
	return &Photo{p, rgb, m}, nil
}

// Cut finds the crops of a photo. A mask with an index that has no name is a *MaskError;
// the only other error is the context's.
func (c *Cutter) Cut(ctx context.Context, p *Photo) (*Cut, error) {
	extents := p.mask.extents()
	for index, e := range extents {
		if e.pixels > 0 && c.kind[index] == unknown {
			return nil, &MaskError{p.pair.Mask,
				fmt.Sprintf("the mask has index %d in %d of %d pixels, and the names end at %d",
					index, e.pixels, len(p.mask.indices), len(c.names)-1), nil}
		}
	}
	cut := &Cut{cutter: c, photo: p}
	if c.rule.Whole > 0 {
		cut.findWhole(extents)
		return cut, ctx.Err()
	}
	return cut, cut.find(ctx, extents)
}

// mask has a label's index for each pixel.
type mask struct {
	width, height int
	indices       []uint8 // width × height, rows from top to bottom
}

// readMask reads the mask of a photo, whose header is info. The mask has the size of the
// upright photo, and nothing may be unsure about how it lies on it: a photo that EXIF
// turns has the same size both ways if it is turned by 180°, mirrored or square.
func readMask(path string, photo *picture.RGB, info picture.Info, limits picture.Limits) (*mask, error) {
	data, err := dataset.Sample{Path: path}.Read(limits)
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be read", err}
	}
	own, err := picture.Identify(data)
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be read", err}
	}
	turned := info.Orientation != 1
	switch {
	case own.Format != picture.PNG:
		return nil, &MaskError{path, fmt.Sprintf("the mask is a %s file; it must be PNG", own.Format), nil}
	case own.Orientation != 1:
		return nil, &MaskError{path, "the mask is turned by EXIF; store it upright", nil}
	case turned && own.Width == info.Width && own.Height == info.Height && info.Orientation >= 5 &&
		info.Width != info.Height:
		return nil, &MaskError{path, fmt.Sprintf("the mask is of the photo as stored, %d × %d, which EXIF turns; "+
			"store both upright", own.Width, own.Height), nil}
	case own.Width != photo.Width || own.Height != photo.Height:
		return nil, &MaskError{path,
			fmt.Sprintf("the mask has %d × %d pixels, its photo %d × %d", own.Width, own.Height,
				photo.Width, photo.Height), nil}
	case turned && (info.Orientation < 5 || info.Width == info.Height):
		return nil, &MaskError{path, "EXIF turns or mirrors the photo, and the mask could be of either; " +
			"store both upright", nil}
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be decoded", err}
	}
	var pixels []uint8
	var stride int
	levels := uint8(1) // between two indices
	switch m := decoded.(type) {
	case *image.Paletted:
		pixels, stride = m.Pix, m.Stride
	case *image.Gray:
		pixels, stride = m.Pix, m.Stride
		// Package png spreads grey of 1, 2 and 4 bits over 0 to 255.
		const depthAt = 24 // signature 8, length and name of the header 8, width and height 8
		levels = uint8(255 / (1<<data[depthAt] - 1))
	default:
		return nil, &MaskError{path,
			fmt.Sprintf("the mask has %s; it must be grey of at most 8 bits, or have a palette",
				colours(decoded)), nil}
	}
	out := &mask{own.Width, own.Height, make([]uint8, 0, own.Width*own.Height)}
	for y := range own.Height {
		for _, level := range pixels[y*stride:][:own.Width] {
			out.indices = append(out.indices, level/levels)
		}
	}
	return out, nil
}

// colours says in words what pixels a decoded PNG has.
func colours(m image.Image) string {
	switch m.(type) {
	case *image.Gray16:
		return "grey of 16 bits"
	case *image.RGBA:
		return "RGB pixels"
	case *image.RGBA64, *image.NRGBA64:
		return "RGB or transparent pixels of 16 bits"
	}
	return "transparent pixels"
}

// extent is where the pixels of an index are.
type extent struct {
	pixels int
	box    image.Rectangle
}

// find finds the boxes of labels.
func (cut *Cut) find(ctx context.Context, extents [maxNames]extent) error {
	c, m := cut.cutter, cut.photo.mask
	for index, e := range extents {
		if e.pixels == 0 || c.kind[index] != wanted {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case e.pixels < c.rule.MinPixels:
			cut.Few++
		case min(e.box.Dx(), e.box.Dy()) < c.rule.MinSide:
			cut.Small++
		case !c.dominates(index, m.count(e.box)):
			cut.Hidden++
		default:
			cut.Crops = append(cut.Crops, Crop{c.names[index], c.class[index], c.widen(e.box).Intersect(m.bounds()),
				e.pixels, []uint8{uint8(index)}})
		}
	}
	return nil
}

// findWhole finds the classes of a whole photo. Garments that are not wanted may be the
// largest.
func (cut *Cut) findWhole(extents [maxNames]extent) {
	c := cut.cutter
	classes := map[string]extent{}
	indices := map[string][]uint8{} // of what is wanted
	largest := 0
	for index, e := range extents {
		if e.pixels == 0 || c.kind[index] < other {
			continue
		}
		name := c.class[index]
		class := classes[name]
		class.pixels += e.pixels
		class.box = class.box.Union(e.box)
		classes[name] = class
		largest = max(largest, class.pixels)
		if c.kind[index] == wanted {
			indices[name] = append(indices[name], uint8(index))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(indices)) {
		switch class := classes[name]; {
		case class.pixels < c.rule.MinPixels:
			cut.Few++
		case min(class.box.Dx(), class.box.Dy()) < c.rule.MinSide:
			cut.Small++
		case float64(class.pixels) < c.rule.Whole*float64(largest):
			cut.Hidden++
		default:
			cut.Crops = append(cut.Crops, Crop{name, name, cut.photo.mask.bounds(), class.pixels, indices[name]})
		}
	}
}

// bounds returns the box of all pixels.
func (m *mask) bounds() image.Rectangle { return image.Rect(0, 0, m.width, m.height) }

// extents finds where the pixels of each index are.
func (m *mask) extents() (extents [maxNames]extent) {
	for y := range m.height {
		row := m.indices[y*m.width:][:m.width]
		for x := 0; x < m.width; {
			start, index := x, row[x]
			for x++; x < m.width && row[x] == index; x++ {
			}
			e := &extents[index]
			e.pixels += x - start
			e.box = e.box.Union(image.Rect(start, y, x, y+1))
		}
	}
	return extents
}

// count counts the pixels of each index in a box.
func (m *mask) count(box image.Rectangle) (pixels [maxNames]int) {
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for _, index := range m.indices[y*m.width:][box.Min.X:box.Max.X] {
			pixels[index]++
		}
	}
	return pixels
}

// dominates reports whether a label has more pixels than each other garment. A sweater of
// which less is seen than of the coat over it is no picture of a sweater.
func (c *Cutter) dominates(index int, pixels [maxNames]int) bool {
	for i, n := range pixels {
		if i != index && c.kind[i] >= other && n >= pixels[index] {
			return false
		}
	}
	return true
}

// widen adds the margin to a box.
func (c *Cutter) widen(box image.Rectangle) image.Rectangle {
	margin := func(side int) int { return int(math.Round(c.rule.Margin*float64(side))) + c.rule.MarginPixels }
	x, y := margin(box.Dx()), margin(box.Dy())
	return image.Rect(box.Min.X-x, box.Min.Y-y, box.Max.X+x, box.Max.Y+y)
}

// ReasonOf returns why an error of Read or Cut leaves a photo out.
func ReasonOf(err error) dataset.Reason {
	var mask *MaskError
	if errors.As(err, &mask) {
		return dataset.ReasonBadMask
	}
	return dataset.ReasonOf(err)
}
