// Command make writes drawings as PNG files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/internal/drawn"
	"garb/picture"
)

const usage = `Usage: make [flags] DIR

Writes drawings without garments as DIR/KIND-NUMBER.png. The pictures depend on the seed and
their numbers only.

  go run ./internal/drawn/make --seed 1 --count 300 drawn
  go run ./internal/drawn/make --seed 1 --count 300 --without animal,face drawn

With --garments it writes drawings of garments instead, --count of each class, as
DIR/CLASS-SEED.png, from the seed on.

  go run ./internal/drawn/make --garments --seed 1 --count 6 garments

`

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

// run writes the pictures that the arguments ask for.
func run(args []string) error {
	flags := flag.NewFlagSet("make", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "seed of the drawings")
	count := flags.Int("count", 200, "number of pictures to write")
	without := flags.String("without", "", "comma-separated kinds to leave out, of "+strings.Join(drawn.Kinds(), ", "))
	garments := flags.Bool("garments", false, "draw garments")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("give one folder to write to: make [flags] DIR")
	}
	var left []string
	if *without != "" {
		left = strings.Split(*without, ",")
	}
	for _, kind := range left {
		if !slices.Contains(drawn.Kinds(), kind) {
			return fmt.Errorf("there is no kind %q: there are %s", kind, strings.Join(drawn.Kinds(), ", "))
		}
	}
	if *count < 1 || len(left) >= len(drawn.Kinds()) {
		return errors.New("no picture is asked for")
	}
	dir := flags.Arg(0)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if *garments {
		return writeGarments(dir, *seed, *count)
	}
	for n, written := 0, 0; written < *count; n++ {
		p, kind := drawn.DrawOther(*seed, n)
		if slices.Contains(left, kind) {
			continue
		}
		if err := write(filepath.Join(dir, fmt.Sprintf("%s-%04d.png", kind, n)), p); err != nil {
			return err
		}
		written++
	}
	return nil
}

// writeGarments writes count garments of each class.
func writeGarments(dir string, seed uint64, count int) error {
	for _, class := range drawn.Garments() {
		for s := seed; s < seed+uint64(count); s++ {
			p, err := drawn.DrawGarment(class, s)
			if err != nil {
				return err
			}
			if err := write(filepath.Join(dir, fmt.Sprintf("%s-%d.png", class, s)), p); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes a picture as a PNG file.
func write(path string, p *picture.RGB) error {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		m.SetRGBA(i%p.Width, i/p.Width, color.RGBA{p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255})
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, m), f.Close())
}
