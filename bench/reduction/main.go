// Command reduction measures how answers change when large JPEGs are decoded at reduced scale. It makes
// 12-megapixel photos of a labelled set's pictures, and lets the built-in classifier answer for each
// twice, decoded at reduced and at full scale.
//
//	go run ./bench/reduction pictures/test
package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"log"
	"math"
	"os"
	"runtime"
	"sync"

	"golang.org/x/image/bmp"
	"golang.org/x/sync/errgroup"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// photoPixels is the number of pixels of the photos, as of a phone's camera.
const photoPixels = 12e6

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: reduction DIR, a folder with one folder of pictures for each class")
	}
	set, err := dataset.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	limits := picture.DefaultLimits()
	limits.MaxBytes = 64 << 20 // enough for a bitmap of 12 megapixels
	classifier, err := model.Open(model.Clothing, model.Options{Threads: 1, Limits: limits})
	if err != nil {
		log.Fatal(err)
	}
	total := counts{reductions: map[int]int{}}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range set.Samples {
		group.Go(func() error {
			reduced, full, reduction, err := classifyTwice(classifier, s, limits)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Path, err)
			}
			total.add(reduced, full, reduction, set.Classes[s.Label])
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		log.Fatal(err)
	}
	total.print()
}

// counts compares the answers at reduced and at full scale.
type counts struct {
	mu                      sync.Mutex
	count                   int
	reducedRight, fullRight int
	differ                  int     // pictures whose first classes differ
	sum, largest            float64 // differences of the right class's probability
	reductions              map[int]int
}

// add counts a picture whose right class is class.
func (c *counts) add(reduced, full []model.Prediction, reduction int, class string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.reductions[reduction]++
	if reduced[0].Class == class {
		c.reducedRight++
	}
	if full[0].Class == class {
		c.fullRight++
	}
	if reduced[0].Class != full[0].Class {
		c.differ++
	}
	d := math.Abs(findProbability(reduced, class) - findProbability(full, class))
	c.sum, c.largest = c.sum+d, max(c.largest, d)
}

func (c *counts) print() {
	n := float64(c.count)
	fmt.Printf("pictures of 12 megapixels     %d (decoded at 1/n: %v)\n", c.count, c.reductions)
	fmt.Printf("accuracy at reduced scale     %.4f (%d right)\n", float64(c.reducedRight)/n, c.reducedRight)
	fmt.Printf("accuracy at full scale        %.4f (%d right)\n", float64(c.fullRight)/n, c.fullRight)
	fmt.Printf("other first class             %d\n", c.differ)
	fmt.Printf("probability of the right one  differs by %.4f on average, %.4f at most\n", c.sum/n, c.largest)
}

// classifyTwice classifies a sample's photo at reduced and at full scale. For the latter, the photo's
// pixels are a bitmap, which is always decoded at full scale.
func classifyTwice(c *model.Classifier, s dataset.Sample, l picture.Limits) (reduced, full []model.Prediction,
	reduction int, err error) {
	ctx := context.Background()
	photo, err := makePhoto(ctx, s, l)
	if err != nil {
		return nil, nil, 0, err
	}
	info, err := picture.Identify(photo)
	if err != nil {
		return nil, nil, 0, err
	}
	if reduced, err = c.Classify(ctx, photo); err != nil {
		return nil, nil, 0, err
	}
	whole, err := picture.Decode(ctx, photo, l)
	if err != nil {
		return nil, nil, 0, err
	}
	var bitmap bytes.Buffer
	if err = bmp.Encode(&bitmap, toRGBA(whole)); err != nil {
		return nil, nil, 0, err
	}
	full, err = c.Classify(ctx, bitmap.Bytes())
	return reduced, full, c.Spec().Reduction(info), err
}

// makePhoto returns a sample's picture as a JPEG of 12 megapixels.
func makePhoto(ctx context.Context, s dataset.Sample, l picture.Limits) ([]byte, error) {
	data, err := s.Read(l)
	if err != nil {
		return nil, err
	}
	p, err := picture.Decode(ctx, data, l)
	if err != nil {
		return nil, err
	}
	scale := math.Sqrt(photoPixels / float64(p.Width*p.Height))
	large := picture.Spec{
		Width: int(scale * float64(p.Width)), Height: int(scale * float64(p.Height)),
		Filter: picture.Bicubic, Fit: picture.Stretch,
	}.Resize(p)
	var photo bytes.Buffer
	err = jpeg.Encode(&photo, toRGBA(large), &jpeg.Options{Quality: 90})
	return photo.Bytes(), err
}

func toRGBA(p *picture.RGB) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := 0; i < p.Width*p.Height; i++ {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255
	}
	return m
}

// findProbability returns the probability of a class.
func findProbability(predictions []model.Prediction, class string) float64 {
	for _, p := range predictions {
		if p.Class == class {
			return p.Probability
		}
	}
	return 0
}
