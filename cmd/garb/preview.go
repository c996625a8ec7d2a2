package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/augment"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/picture"
)

// preview holds the flags of data preview, and draws the contact sheet.
type preview struct {
	dataFlags
	data          string
	rule          dataset.SplitRule
	spec          picture.Spec
	config        augment.Config
	rows, columns int
	seed          uint64
	out           string
}

const (
	sheetGap       = 4          // pixels around each picture
	maxSheetSide   = 65_535     // limit of JPEG
	maxSheetPixels = 32_000_000 // 128 MB in memory
)

const previewHelp = `Draw a contact sheet of training pictures of DATA, at the network's input size. With
augmentation flags, each row shows one picture: first the original, then its augmented
views as in the first epochs of a training with the same flags and seed. Mixup and CutMix
use other pictures of the sheet. Without augmentation flags, every cell shows a different
picture.`

func newPreviewCommand() *cobra.Command {
	p := preview{dataFlags: newDataFlags(), rule: dataset.DefaultSplitRule()}
	var network backboneFlags
	command := &cobra.Command{
		Use:   "preview DATA [flags]",
		Short: "Draw a contact sheet of training pictures and their augmentation",
		Long:  previewHelp,
		Example: `  garb data preview pictures --rotation-range 30 --zoom 0.1 --horizontal-flip
  garb data preview pictures --crop-min 0.65 --crop-aspect 1.33 --brightness 0.2 --erasing 0.25 --out sheet.jpg
  garb data preview pictures --backbone xception --size 150`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("preview needs one data set: a folder, a table or an archive")
			}
			p.data = args[0]
			var err error
			if _, p.spec, err = network.resolve(); err != nil {
				return err
			}
			return errors.Join(p.validate(), p.rule.Validate(), p.options.Validate())
		},
		RunE: func(c *cobra.Command, _ []string) error { return p.run(c) },
	}
	flags := command.Flags()
	flags.StringVar(&network.backbone, "backbone", "efficientnet-lite0", "backbone whose preprocessing to use")
	network.addInput(command)
	flags.StringVar(&p.out, "out", "preview.png", "file to write, ending in .png or .jpg")
	flags.IntVar(&p.rows, "rows", 6, "number of rows")
	flags.IntVar(&p.columns, "columns", 8, "number of columns")
	flags.Uint64Var(&p.seed, "seed", 1, "random seed for choosing and augmenting pictures")
	p.add(command)
	p.addGroups(command)
	addSplitFlags(command, &p.rule)
	addFoldFlags(command, &p.rule)
	addAugmentFlags(command, &p.config)
	return command
}

func (p *preview) validate() error {
	least := 1
	if p.config.Enabled() {
		least = 2 // the original and one view
	}
	if p.rows < 1 || p.columns < least {
		return fmt.Errorf("--rows %d --columns %d: a sheet needs at least 1 row and %d columns", p.rows, p.columns,
			least)
	}
	if p.rows > maxSheetSide || p.columns > maxSheetSide {
		return p.newSizeError()
	}
	width, height := p.size(p.rows)
	if width > maxSheetSide || height > maxSheetSide || width > maxSheetPixels/height {
		return p.newSizeError()
	}
	if p.encoder() == nil {
		return fmt.Errorf("--out %s: the name must end in .png, .jpg or .jpeg", p.out)
	}
	return p.config.Validate()
}

func (p *preview) newSizeError() error {
	return fmt.Errorf("--rows %d --columns %d: the sheet is too large for pictures of %d × %d pixels; the limits are "+
		"%d megapixels and %d pixels per side",
		p.rows, p.columns, p.spec.Width, p.spec.Height, maxSheetPixels/1_000_000, maxSheetSide)
}

// size returns the size of a sheet with the given number of rows, in pixels.
func (p *preview) size(rows int) (width, height int) {
	return p.columns*(p.spec.Width+sheetGap) + sheetGap, rows*(p.spec.Height+sheetGap) + sheetGap
}

// encoder returns the encoder for the extension of out, or nil if it is unknown.
func (p *preview) encoder() func(io.Writer, image.Image) error {
	switch strings.ToLower(filepath.Ext(p.out)) {
	case ".png":
		return png.Encode
	case ".jpg", ".jpeg":
		return func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: 90}) }
	}
	return nil
}

func (p *preview) run(c *cobra.Command) error {
	data, err := p.read(c, p.data)
	if err != nil {
		return err
	}
	splits, err := data.Split(p.rule)
	if err != nil {
		return err
	}
	train := splits.Train
	plain, err := augment.New(augment.Config{}, p.spec, train, p.seed, p.options.Limits())
	if err != nil {
		return err
	}
	views, err := augment.New(p.config, p.spec, train, p.seed, p.options.Limits())
	if err != nil {
		return err
	}

	// With augmentation, a row has one picture, and the other cells are its views.
	perRow := p.columns
	if p.config.Enabled() {
		perRow = 1
	}
	chosen, err := p.choose(c, train, plain, min(p.rows*perRow, len(train.Samples)), &data.Tally)
	if err != nil {
		return err
	}
	rows := (len(chosen) + perRow - 1) / perRow
	width, height := p.size(rows)
	sheet := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	for i, s := range chosen {
		p.draw(sheet, i/perRow, i%perRow, s.values)
	}
	if p.config.Enabled() {
		inputs := make([]float32, rows*p.spec.ValueCount())
		for epoch := 1; epoch < p.columns; epoch++ {
			if err := p.load(c.Context(), views, epoch, chosen, inputs); err != nil {
				return err
			}
			views.Mix(epoch, 0, inputs, make([]float32, rows), 1)
			for row := range rows {
				p.draw(sheet, row, epoch, inputs[row*p.spec.ValueCount():])
			}
		}
	}
	if err := safefile.Write(p.out, func(w io.Writer) error { return p.encoder()(w, sheet) }); err != nil {
		return err
	}
	for i, s := range chosen {
		sample := train.Samples[s.index]
		fmt.Fprintf(openTextOut(c), "row %d, column %d: %s, %s\n", i/perRow+1, i%perRow+1, train.Classes[sample.Label],
			escape(sample.Path))
	}
	fmt.Fprintf(openTextOut(c), "sheet     %s (%d × %d pixels)\n", p.out, width, height)
	printSkips(c, &data.Tally)
	return p.close(c, len(chosen), &data.Tally)
}

// sheetPicture is a sample of the sheet, with the values of its picture.
type sheetPicture struct {
	index  int
	values []float32
}

// choose chooses and reads count samples: one at random from each of as many equal stretches
// of the set. The set is sorted by class, so every class gets its share. If a picture cannot
// be read, choose counts it and takes the next one of the stretch. It leaves out stretches
// without a readable picture.
func (p *preview) choose(c *cobra.Command, train dataset.Training, plain *augment.Views, count int,
	tally *dataset.Tally) ([]sheetPicture, error) {
	type place struct {
		sheetPicture
		unread []int
		errs   []error
	}
	places := make([]place, count)
	err := runParallel(c.Context(), count, func(i int) error {
		at, n := &places[i], len(train.Samples)
		first, length := i*n/count, (i+1)*n/count-i*n/count
		start := rand.New(rand.NewPCG(p.seed, uint64(i))).IntN(length)
		for k := range length {
			index := first + (start+k)%length
			values := make([]float32, p.spec.ValueCount())
			err := plain.Load(c.Context(), 0, index, values)
			switch {
			case err == nil:
				at.sheetPicture = sheetPicture{index, values}
				return nil
			case c.Context().Err() != nil:
				return c.Context().Err()
			}
			at.unread, at.errs = append(at.unread, index), append(at.errs, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var all []sheetPicture
	for _, at := range places {
		for i, err := range at.errs {
			tally.Add(dataset.FindReason(err), train.Samples[at.unread[i]].Path, err.Error())
		}
		if at.values != nil {
			all = append(all, at.sheetPicture)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no picture could be read, so there is nothing to show", p.data)
	}
	return all, nil
}

// load reads the views of an epoch into inputs, one after another.
func (p *preview) load(ctx context.Context, views *augment.Views, epoch int, chosen []sheetPicture,
	inputs []float32) error {
	size := p.spec.ValueCount()
	return runParallel(ctx, len(chosen), func(i int) error {
		return views.Load(ctx, epoch, chosen[i].index, inputs[i*size:][:size])
	})
}

// runParallel calls do for 0 to count−1 on all cores, and returns the first error in this
// order.
func runParallel(ctx context.Context, count int, do func(i int) error) error {
	errs := make([]error, count)
	if err := dataset.Each(ctx, count, func(i int) { errs[i] = do(i) }); err != nil {
		return err
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// draw draws an input in a cell of the sheet. It undoes the normalization.
func (p *preview) draw(sheet *image.NRGBA, row, column int, values []float32) {
	left, top := sheetGap+column*(p.spec.Width+sheetGap), sheetGap+row*(p.spec.Height+sheetGap)
	channels := p.spec.Channels()
	level := func(i, channel int) uint8 {
		v := float64(float32(values[channels*i+channel%channels]*p.spec.Std[channel]) + p.spec.Mean[channel])
		return uint8(math.Round(min(max(v, 0), 255)))
	}
	for i := range p.spec.Width * p.spec.Height {
		sheet.SetNRGBA(left+i%p.spec.Width, top+i/p.spec.Width,
			color.NRGBA{level(i, 0), level(i, 1), level(i, 2), 255})
	}
}
