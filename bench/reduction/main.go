// Command reduction measures what decoding large JPEGs at reduced scale does to
// answers: it makes 12-megapixel photos of a labelled set's pictures, and lets the
// built-in classifier answer on each twice, decoded at reduced and at full scale.
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

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// megapixels is the size of the photos: that of a phone's camera.
const megapixels = 12e6

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: reduction DIR, a folder with one folder of pictures for each class")
	}
	set, err := dataset.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	limits := picture.DefaultLimits()
	limits.MaxBytes = 64 << 20 // of a bitmap of 12 megapixels
	classifier, err := model.Open(model.Clothing, model.Options{Threads: 1, Limits: limits})
	if err != nil {
		log.Fatal(err)
	}
	var mu sync.Mutex
	var reducedRight, fullRight, differ, count int
	var largest, sum float64
	reductions := map[int]int{}

	var wait sync.WaitGroup
	next := make(chan dataset.Sample)
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for s := range next {
				a, b, reduction, err := both(classifier, s, limits)
				if err != nil {
					log.Fatal(s.Path, ": ", err)
				}
				class := set.Classes[s.Label]
				d := math.Abs(probability(a, class) - probability(b, class))
				mu.Lock()
				count++
				reductions[reduction]++
				if a[0].Class == class {
					reducedRight++
				}
				if b[0].Class == class {
					fullRight++
				}
				if a[0].Class != b[0].Class {
					differ++
				}
				sum, largest = sum+d, max(largest, d)
				mu.Unlock()
			}
		}()
	}
	for _, s := range set.Samples {
		next <- s
	}
	close(next)
	wait.Wait()
	fmt.Printf("pictures of 12 megapixels     %d (decoded at 1/n: %v)\n", count, reductions)
	fmt.Printf("accuracy at reduced scale     %.4f (%d right)\n", float64(reducedRight)/float64(count), reducedRight)
	fmt.Printf("accuracy at full scale        %.4f (%d right)\n", float64(fullRight)/float64(count), fullRight)
	fmt.Printf("other first class             %d\n", differ)
	fmt.Printf("probability of the right one  differs by %.4f on average, %.4f at most\n", sum/float64(count), largest)
}

// both classifies a sample's photo at reduced and at full scale. The latter gets
// the photo's pixels as a bitmap, which is always decoded whole.
func both(c *model.Classifier, s dataset.Sample, l picture.Limits) (reduced, full []model.Prediction, reduction int,
	err error) {
	ctx := context.Background()
	data, err := s.Read(l)
	if err != nil {
		return nil, nil, 0, err
	}
	p, err := picture.Decode(ctx, data, l)
	if err != nil {
		return nil, nil, 0, err
	}
	scale := math.Sqrt(megapixels / float64(p.Width*p.Height))
	large := picture.Spec{
		Width: int(scale * float64(p.Width)), Height: int(scale * float64(p.Height)),
		Filter: picture.Bicubic, Fit: picture.Stretch,
	}.Resize(p)
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, rgba(large), &jpeg.Options{Quality: 90}); err != nil {
		return nil, nil, 0, err
	}
	info, err := picture.Identify(photo.Bytes())
	if err != nil {
		return nil, nil, 0, err
	}
	if reduced, err = c.Classify(ctx, photo.Bytes()); err != nil {
		return nil, nil, 0, err
	}
	whole, err := picture.Decode(ctx, photo.Bytes(), l)
	if err != nil {
		return nil, nil, 0, err
	}
	var bitmap bytes.Buffer
	if err := bmp.Encode(&bitmap, rgba(whole)); err != nil {
		return nil, nil, 0, err
	}
	full, err = c.Classify(ctx, bitmap.Bytes())
	return reduced, full, c.Spec().Reduction(info), err
}

func rgba(p *picture.RGB) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := 0; i < p.Width*p.Height; i++ {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255
	}
	return m
}

func probability(predictions []model.Prediction, class string) float64 {
	for _, p := range predictions {
		if p.Class == class {
			return p.Probability
		}
	}
	return 0
}
