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
	Name        string // the path of both below their folders, with slashes and without extension
	Photo, Mask string // paths
}

// FindPairs pairs the photos below one folder with the masks below another whose names are the
// same except for the extension. The pairs are in the order of the photos' paths. FindPairs
// adds to tally what has no partner, and photos or masks whose names differ only in extension
// or letter case.
func FindPairs(ctx context.Context, photos, masks string, tally *dataset.Tally) ([]Pair, error) {
	photoNames, photosByName, err := listByName(ctx, photos, tally)
	if err != nil {
		return nil, err
	}
	maskNames, masksByName, err := listByName(ctx, masks, tally)
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, key := range photoNames {
		photo, mask := photosByName[key], masksByName[key]
		switch {
		case len(photo.paths) > 1:
			for _, path := range photo.paths {
				tally.Add(dataset.ReasonBadMask, path,
					fmt.Sprintf("%d photos share the name %s", len(photo.paths), photo.name))
			}
		case len(mask.paths) > 1:
			tally.Add(dataset.ReasonBadMask, photo.paths[0], fmt.Sprintf("the photo has %d masks, such as %s and %s",
				len(mask.paths), mask.paths[0], mask.paths[1]))
		case len(mask.paths) == 0:
			tally.Add(dataset.ReasonNoLabel, photo.paths[0],
				fmt.Sprintf("the photo has no mask %s.png in %s", photo.name, masks))
		default:
			pairs = append(pairs, Pair{photo.name, photo.paths[0], mask.paths[0]})
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

// namesakes are the files of one name: several if extensions or letter case differ.
type namesakes struct {
	name  string
	paths []string
}

// listByName returns the names, without letter case, of the pictures below a folder, in order,
// and the files of each name.
func listByName(ctx context.Context, folder string, tally *dataset.Tally) ([]string, map[string]namesakes, error) {
	paths, err := dataset.Pictures(ctx, folder, tally)
	if err != nil {
		return nil, nil, err
	}
	var order []string
	files := make(map[string]namesakes, len(paths))
	for _, path := range paths {
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return nil, nil, err
		}
		name := filepath.ToSlash(strings.TrimSuffix(relative, filepath.Ext(relative)))
		key := foldCase(name)
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
	Err           error // the cause, or nil
}

func (e *MaskError) Error() string {
	text := e.Path + ": " + e.Message
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *MaskError) Unwrap() error { return e.Err }

// Crop is a part of a photo that shows one garment or, with Rule.Whole, a whole photo with one
// class of its garments.
type Crop struct {
	// Label is the label's name, and Class its class. The Label of a whole photo is its Class,
	// which may have several labels.
	Label, Class string
	Box          image.Rectangle
	Pixels       int // of the label, or of all labels of the class

	indices []uint8 // of the label, or of all labels of the class, ascending
}

// Cut is the result of a rule for one photo.
type Cut struct {
	Crops []Crop // by index; whole photos by class
	// The wanted labels that did not become crops: Few have too few pixels, Small have too
	// small a box, and Hidden have a box where another garment has at least as many pixels.
	// For whole photos these count classes, and Hidden are too small beside the largest.
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

// Mask returns the mask of a crop's picture: 255 at the pixels of the crop's label, or of a
// whole photo's class, and 0 elsewhere.
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

// Read reads a photo and its mask. Errors about the mask are *MaskError; those about the photo
// are those of dataset.Sample.Read and picture.Decode.
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

// Cut finds the crops of a photo. If the mask has an index without a name, the error is a
// *MaskError; other errors are ctx's.
func (c *Cutter) Cut(ctx context.Context, p *Photo) (*Cut, error) {
	extents := p.mask.extents()
	for index, e := range extents {
		if e.pixels > 0 && c.kind[index] == unknown {
			return nil, &MaskError{p.pair.Mask,
				fmt.Sprintf("the mask has index %d in %d of %d pixels, but the names end at %d",
					index, e.pixels, len(p.mask.indices), len(c.names)-1), nil}
		}
	}
	cut := &Cut{cutter: c, photo: p}
	if c.rule.Whole > 0 {
		cut.findWhole(extents)
		return cut, ctx.Err()
	}
	return cut, cut.findBoxes(ctx, extents)
}

// mask has a label's index for each pixel.
type mask struct {
	width, height int
	indices       []uint8 // width × height, rows from top to bottom
}

// readMask reads the mask of a photo, whose header is info. The mask must have the size of the
// upright photo, and its orientation must be clear: a photo that EXIF rotates has the same size
// both ways if it is rotated by 180°, mirrored or square.
func readMask(path string, photo *picture.RGB, info picture.Info, limits picture.Limits) (*mask, error) {
	data, err := dataset.Sample{Path: path}.Read(limits)
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be read", err}
	}
	own, err := picture.Identify(data)
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be read", err}
	}
	if message := checkMask(own, info, photo.Width, photo.Height); message != "" {
		return nil, &MaskError{path, message, nil}
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, &MaskError{path, "the mask cannot be decoded", err}
	}
	var pixels []uint8
	var stride int
	step := uint8(1) // the difference between the levels of two indices
	switch m := decoded.(type) {
	case *image.Paletted:
		pixels, stride = m.Pix, m.Stride
	case *image.Gray:
		pixels, stride = m.Pix, m.Stride
		// Package png scales grey of 1, 2 and 4 bits to 0 … 255.
		const depthAt = 24 // after the signature, the header's length and name, width and height
		step = uint8(255 / (1<<data[depthAt] - 1))
	default:
		return nil, &MaskError{path,
			fmt.Sprintf("the mask has %s; it must be grey with at most 8 bits, or have a palette",
				describePixels(decoded)), nil}
	}
	out := &mask{own.Width, own.Height, make([]uint8, 0, own.Width*own.Height)}
	for y := range own.Height {
		for _, level := range pixels[y*stride:][:own.Width] {
			out.indices = append(out.indices, level/step)
		}
	}
	return out, nil
}

// checkMask returns why a mask with the header own cannot be used with a photo, whose header is
// info and whose upright size is width × height, or "".
func checkMask(own, info picture.Info, width, height int) string {
	rotated := info.Orientation != 1
	switch {
	case own.Format != picture.PNG:
		return fmt.Sprintf("the mask is a %s file; it must be PNG", own.Format)
	case own.Orientation != 1:
		return "EXIF rotates the mask; store it upright"
	case rotated && own.Width == info.Width && own.Height == info.Height && info.Orientation >= 5 &&
		info.Width != info.Height:
		return fmt.Sprintf("the mask has the size of the photo as stored, %d × %d, which EXIF rotates; "+
			"store both upright", own.Width, own.Height)
	case own.Width != width || own.Height != height:
		return fmt.Sprintf("the mask has %d × %d pixels, its photo %d × %d", own.Width, own.Height, width, height)
	case rotated && (info.Orientation < 5 || info.Width == info.Height):
		return "EXIF rotates or mirrors the photo, and the mask may or may not follow; store both upright"
	}
	return ""
}

// describePixels says what pixels a decoded PNG has.
func describePixels(m image.Image) string {
	switch m.(type) {
	case *image.Gray16:
		return "16-bit grey pixels"
	case *image.RGBA:
		return "RGB pixels"
	case *image.RGBA64, *image.NRGBA64:
		return "16-bit colour or transparent pixels"
	}
	return "transparent pixels"
}

// extent counts the pixels of an index and has their bounding box.
type extent struct {
	pixels int
	box    image.Rectangle
}

// findBoxes makes a crop of each wanted label.
func (cut *Cut) findBoxes(ctx context.Context, extents [maxNames]extent) error {
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
			box := c.widen(e.box).Intersect(m.bounds())
			cut.Crops = append(cut.Crops, Crop{c.names[index], c.class[index], box, e.pixels, []uint8{uint8(index)}})
		}
	}
	return nil
}

// findWhole makes a crop of the whole photo for each class that is large enough. The largest
// class may be one that is not wanted.
func (cut *Cut) findWhole(extents [maxNames]extent) {
	c := cut.cutter
	classes := map[string]extent{}
	indices := map[string][]uint8{} // of wanted labels
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

// bounds returns the box of the whole mask.
func (m *mask) bounds() image.Rectangle { return image.Rect(0, 0, m.width, m.height) }

// extents returns the extent of each index.
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

// dominates reports whether a label has more pixels than each other garment. A crop that shows
// more of a coat than of the sweater below it is not a picture of a sweater.
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

// FindReason returns the reason for which an error of Read or Cut leaves a photo out.
func FindReason(err error) dataset.Reason {
	var mask *MaskError
	if errors.As(err, &mask) {
		return dataset.ReasonBadMask
	}
	return dataset.FindReason(err)
}
