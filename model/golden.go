package model

import (
	"context"
	"fmt"
	"math"

	"garb/picture"
)

// Golden holds the logits, all outputs of the network, for a drawn picture. Its number is that of
// DrawGoldenPicture.
type Golden struct {
	Picture int       `json:"picture"`
	Logits  []float32 `json:"logits"`
}

// lastGoldenPicture is the largest number of a golden picture.
const lastGoldenPicture = 15

// goldenTolerance bounds the difference between a logit and the golden one, relative to
// 1 + its size. The portable kernels and the assembly differ by 1e-5 after some
// sixty layers; another preprocessing, a wrong weight or class order by more
// than 1e-2.
const goldenTolerance = 1e-3

// DrawGoldenPicture draws picture n, which is the same on every machine. Its colours, edges and
// fine texture exercise every part of the preprocessing.
func DrawGoldenPicture(n int) *picture.RGB {
	const width, height = 160, 200
	p := &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 0, 3*width*height)}
	for y := range height {
		for x := range width {
			r, g, b := x*255/width, y*255/height, (x+y)*3%256
			if dx, dy := x-80+10*n, y-100; dx*dx+dy*dy < 45*45 { // a disc
				r, b = 255-r, (x*y+17*n)%256
			}
			if x%32 < 4*(n+1)%16 { // stripes
				g = 255 - g
			}
			p.Pix = append(p.Pix, uint8(r), uint8(g), uint8(b))
		}
	}
	return p
}

// computeGolden returns the network's outputs for golden picture n.
func (c *Classifier) computeGolden(ctx context.Context, n int) (Golden, error) {
	input := make([]float32, c.spec.ValueCount())
	c.spec.Tensor(DrawGoldenPicture(n), input)
	features, err := c.embedInput(ctx, input)
	if err != nil {
		return Golden{}, err
	}
	outputs, err := c.head.runOne(ctx, features)
	return Golden{n, outputs}, err
}

// checkGolden compares the network's outputs for the golden pictures with the golden logits.
func (c *Classifier) checkGolden(ctx context.Context) error {
	for _, want := range c.description.Golden {
		got, err := c.computeGolden(ctx, want.Picture)
		if err != nil {
			return err
		}
		if err := want.compare(got.Logits); err != nil {
			return err
		}
	}
	return nil
}

// compare returns an error if logits differ from the golden ones by more than the tolerance.
func (g Golden) compare(logits []float32) error {
	for i, want := range g.Logits {
		if d := math.Abs(float64(logits[i] - want)); !(d <= goldenTolerance*(1+math.Abs(float64(want)))) {
			return fmt.Errorf("its answer to golden picture %d is wrong: logit %d is %v, not %v; the file is damaged "+
				"or was made for another version of garb", g.Picture, i, logits[i], want)
		}
	}
	return nil
}
