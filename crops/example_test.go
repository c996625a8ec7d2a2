package crops_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"log"
	"os"
	"path/filepath"

	"garb/crops"
	"garb/dataset"
	"garb/picture"
)

// photoAndMask writes street.png, a photo of 200 × 300 pixels, and its mask to a folder. In the
// mask, label 1 is a bag, label 2 a sweater and label 3 trousers; 0 is the street.
func photoAndMask(folder string) {
	photo := image.NewGray(image.Rect(0, 0, 200, 300))
	mask := image.NewGray(photo.Bounds())
	for label, area := range []image.Rectangle{
		{},
		image.Rect(10, 180, 55, 230),
		image.Rect(60, 60, 140, 150),
		image.Rect(70, 150, 130, 280),
	} {
		draw.Draw(mask, area, image.NewUniform(color.Gray{Y: uint8(label)}), image.Point{}, draw.Src)
		draw.Draw(photo, area, image.NewUniform(color.Gray{Y: uint8(60 * label)}), image.Point{}, draw.Src)
	}
	for name, m := range map[string]image.Image{"photos/street.png": photo, "masks/street.png": mask} {
		var b bytes.Buffer
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), png.Encode(&b, m)); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// A segmentation data set becomes pictures of single garments: each label's part of a photo,
// with a margin around it.
func ExampleCutter_Cut() {
	folder, err := os.MkdirTemp("", "crops")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	photoAndMask(folder)

	rule := crops.DefaultRule()
	rule.Ignore = []string{"street", "bag"}
	rule.Merge = map[string]string{"trousers": "pants"}
	cutter, err := crops.NewCutter([]string{"street", "bag", "sweater", "trousers"}, rule)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	var tally dataset.Tally
	pairs, err := crops.FindPairs(ctx, filepath.Join(folder, "photos"), filepath.Join(folder, "masks"), &tally)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pair := range pairs {
		photo, err := crops.Read(ctx, pair, picture.DefaultLimits())
		if err != nil {
			fmt.Println(err)
			return
		}
		cut, err := cutter.Cut(ctx, photo)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range cut.Crops {
			fmt.Println(pair.Name, c.Label, "is", c.Class, "at", c.Box, "with", c.Pixels, "pixels")
		}
	}
	// Output:
	// street sweater is sweater at (46,45)-(154,165) with 7200 pixels
	// street trousers is pants at (59,130)-(141,300) with 7800 pixels
}

// Parts of the same photos that show no garment teach a model what is none of its classes.
func ExampleNegatives() {
	folder, err := os.MkdirTemp("", "crops")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	photoAndMask(folder)

	rule := crops.DefaultRule()
	rule.Ignore = []string{"street", "bag"}
	cutter, err := crops.NewCutter([]string{"street", "bag", "sweater", "trousers"}, rule)
	if err != nil {
		fmt.Println(err)
		return
	}
	photo, err := crops.Read(context.Background(), crops.Pair{
		Name:  "street",
		Photo: filepath.Join(folder, "photos", "street.png"),
		Mask:  filepath.Join(folder, "masks", "street.png"),
	}, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	cut, err := cutter.Cut(context.Background(), photo)
	if err != nil {
		fmt.Println(err)
		return
	}
	negatives := crops.DefaultNegatives()
	negatives.MinSide = 40
	for _, n := range cut.FindNegatives(negatives) {
		fmt.Printf("around %q: %d pixels of garments\n", n.Label, n.Pixels)
	}
	// Output:
	// around "bag": 0 pixels of garments
	// around "": 0 pixels of garments
}

// The names of a mask's labels are usually in a text file, one a line.
func ExampleParseNames() {
	names, err := crops.ParseNames([]byte("null\nskin\nsneakers\nboots\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	rule := crops.DefaultRule()
	rule.Ignore = []string{"null", "skin"}
	rule.Merge = map[string]string{"sneakers": "shoes", "boots": "shoes"}
	cutter, err := crops.NewCutter(names, rule)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cutter.Classes())
	// Output: [shoes]
}

// A rule that names a label which does not exist is an error that names the likely ones.
func ExampleRuleError() {
	rule := crops.DefaultRule()
	rule.Ignore = []string{"sneaker"}
	_, err := crops.NewCutter([]string{"null", "skin", "sneakers"}, rule)
	var wrong *crops.RuleError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Field, wrong.Name, wrong.Known)
	}
	// Output: ignore sneaker [null skin sneakers]
}

// A crop is a picture of one garment, with a mask that says which of its pixels are the garment's.
func ExampleCut() {
	folder, err := os.MkdirTemp("", "crops")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	photoAndMask(folder)

	rule := crops.DefaultRule()
	rule.Classes = []string{"trousers"}
	cutter, err := crops.NewCutter([]string{"street", "bag", "sweater", "trousers"}, rule)
	if err != nil {
		fmt.Println(err)
		return
	}
	photo, err := crops.Read(context.Background(), crops.Pair{
		Name:  "street",
		Photo: filepath.Join(folder, "photos", "street.png"),
		Mask:  filepath.Join(folder, "masks", "street.png"),
	}, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	cut, err := cutter.Cut(context.Background(), photo)
	if err != nil {
		fmt.Println(err)
		return
	}
	trousers := cut.Crops[0]
	garment := 0
	for _, v := range cut.Mask(trousers).Pix {
		if v == 255 {
			garment++
		}
	}
	fmt.Println(cut.Picture(trousers.Box).Bounds().Size(), "pixels,", garment, "of the", trousers.Class)
	// Output: (82,170) pixels, 7800 of the trousers
}
