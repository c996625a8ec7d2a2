package augment

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"garb/dataset"
	"garb/picture"
)

// Backgrounds replace the backgrounds of training pictures, so that a network learns the
// object and not the place where it was photographed.
type Backgrounds struct {
	// Paths are the files of the backgrounds.
	Paths []string
	// Masks has the file of each sample's mask, or "": a picture of the sample's size, white
	// where the object is and black around it.
	Masks []string
	// Share is the probability that a picture with a mask gets another background.
	Share float64
}

// SetBackgrounds makes Load replace the backgrounds of pictures that have a mask. It panics
// if b.Masks has not one entry for each sample, or if b.Paths is empty. Do not call it
// while Load runs.
func (v *Views) SetBackgrounds(b Backgrounds) {
	if len(b.Masks) != len(v.set.Samples) || len(b.Paths) == 0 {
		panic(fmt.Sprintf("augment: %d masks for %d pictures, and %d backgrounds", len(b.Masks), len(v.set.Samples),
			len(b.Paths)))
	}
	v.backgrounds = &b
}

// backgroundMin is the smallest visible share of a background's sides.
const backgroundMin = 0.4

// replaceBackground returns the picture p of a sample on another background, or p if it has no
// mask or chance decides so. It blends the mask's edge over about a pixel of p.
func (v *Views) replaceBackground(ctx context.Context, p *picture.RGB, sample int, r *rand.Rand) (*picture.RGB,
	error) {
	if v.backgrounds == nil || v.backgrounds.Masks[sample] == "" || r.Float64() >= v.backgrounds.Share {
		return p, nil
	}
	mask, err := v.readPicture(ctx, v.backgrounds.Masks[sample])
	if err != nil {
		return nil, err
	}
	background, err := v.readPicture(ctx, v.backgrounds.Paths[r.IntN(len(v.backgrounds.Paths))])
	if err != nil {
		return nil, err
	}
	size := picture.Spec{Width: p.Width, Height: p.Height, Filter: picture.Bilinear, Fit: picture.Stretch}
	mask = size.Resize(mask)
	out := cropBackground(background, size, r)
	for y := range p.Height {
		for x := range p.Width {
			alpha, full := smoothMask(mask, x, y)
			at := 3 * (y*p.Width + x)
			for c := range 3 {
				out.Pix[at+c] = uint8((alpha*int(p.Pix[at+c]) + (full-alpha)*int(out.Pix[at+c]) + full/2) / full)
			}
		}
	}
	return out, nil
}

// readPicture reads and decodes a picture within the limits.
func (v *Views) readPicture(ctx context.Context, path string) (*picture.RGB, error) {
	data, err := dataset.Sample{Path: path}.Read(v.limits)
	if err != nil {
		return nil, err
	}
	p, err := picture.Decode(ctx, data, v.limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// cropBackground returns a random crop of a background, resized to the given size.
func cropBackground(background *picture.RGB, size picture.Spec, r *rand.Rand) *picture.RGB {
	scale := min(float64(background.Width)/float64(size.Width), float64(background.Height)/float64(size.Height))
	scale *= backgroundMin + float64((1-backgroundMin)*r.Float64())
	side := func(n, limit int) int { return min(max(int(math.Round(scale*float64(n))), 1), limit) }
	width, height := side(size.Width, background.Width), side(size.Height, background.Height)
	left, top := r.IntN(background.Width-width+1), r.IntN(background.Height-height+1)
	return size.ResizePart(background, left, top, width, height)
}

// smoothMask returns the sum of the mask's levels at (x, y) and its neighbours, and the
// largest that it can be.
func smoothMask(mask *picture.RGB, x, y int) (sum, full int) {
	for row := max(y-1, 0); row <= min(y+1, mask.Height-1); row++ {
		for column := max(x-1, 0); column <= min(x+1, mask.Width-1); column++ {
			sum += int(mask.Pix[3*(row*mask.Width+column)])
			full += 255
		}
	}
	return sum, full
}
