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
// thing and not the place where it was photographed.
type Backgrounds struct {
	// Paths are the backgrounds' files.
	Paths []string
	// Masks has for each sample of the training set the file of its mask, "" for none: a
	// picture of the sample's size, white where the thing is and black around it.
	Masks []string
	// Share is the probability that a picture with a mask gets another background.
	Share float64
}

// SetBackgrounds makes Load put pictures that have a mask on other backgrounds. It panics
// if there is not one entry for each sample in b.Masks, or if b.Paths is empty. It must not
// be called while Load is under way.
func (v *Views) SetBackgrounds(b Backgrounds) {
	if len(b.Masks) != len(v.set.Samples) || len(b.Paths) == 0 {
		panic(fmt.Sprintf("augment: %d masks of %d pictures, and %d backgrounds", len(b.Masks), len(v.set.Samples),
			len(b.Paths)))
	}
	v.backgrounds = &b
}

// backgroundMin is the least share of a background's sides that is seen.
const backgroundMin = 0.4

// paste returns the picture p of a sample on another background, or p if its turn has not
// come. The mask's edge is blended over about a pixel of p.
func (v *Views) paste(ctx context.Context, p *picture.RGB, sample int, r *rand.Rand) (*picture.RGB, error) {
	if v.backgrounds == nil || v.backgrounds.Masks[sample] == "" || r.Float64() >= v.backgrounds.Share {
		return p, nil
	}
	read := func(path string) (*picture.RGB, error) {
		data, err := dataset.Sample{Path: path}.Read(v.limits)
		if err != nil {
			return nil, err
		}
		read, err := picture.Decode(ctx, data, v.limits)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return read, nil
	}
	mask, err := read(v.backgrounds.Masks[sample])
	if err != nil {
		return nil, err
	}
	back, err := read(v.backgrounds.Paths[r.IntN(len(v.backgrounds.Paths))])
	if err != nil {
		return nil, err
	}
	to := picture.Spec{Width: p.Width, Height: p.Height, Filter: picture.Bilinear, Fit: picture.Stretch}
	mask = to.Resize(mask)
	// A part of the background of p's shape.
	scale := min(float64(back.Width)/float64(p.Width), float64(back.Height)/float64(p.Height))
	scale *= backgroundMin + (1-backgroundMin)*r.Float64()
	side := func(n, limit int) int { return min(max(int(math.Round(scale*float64(n))), 1), limit) }
	width, height := side(p.Width, back.Width), side(p.Height, back.Height)
	left, top := r.IntN(back.Width-width+1), r.IntN(back.Height-height+1)
	out := to.ResizePart(back, left, top, width, height)
	for y := range p.Height {
		for x := range p.Width {
			alpha, count := 0, 0
			for _, row := range [3]int{y - 1, y, y + 1} {
				for _, column := range [3]int{x - 1, x, x + 1} {
					if row >= 0 && row < p.Height && column >= 0 && column < p.Width {
						alpha += int(mask.Pix[3*(row*p.Width+column)])
						count++
					}
				}
			}
			at, full := 3*(y*p.Width+x), 255*count
			for c := range 3 {
				out.Pix[at+c] = uint8((alpha*int(p.Pix[at+c]) + (full-alpha)*int(out.Pix[at+c]) + full/2) / full)
			}
		}
	}
	return out, nil
}
