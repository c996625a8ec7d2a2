package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/convert"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
)

// backboneFlags choose a bare backbone and its preprocessing.
type backboneFlags struct {
	backbone, weights string
	featuresAt        string // a layer of a network that is none of garb's
	size              int
	channels          int    // 0: those of the backbone
	preprocess        string // of another program's file that does not say it
	resize            string
	spec              *picture.Spec // preprocessing in place of the backbone's own; nil: its own
}

func (b *backboneFlags) add(c *cobra.Command, defaultBackbone string) {
	c.Flags().StringVar(&b.backbone, "backbone", defaultBackbone,
		"backbone: efficientnet-lite0 to -lite4, xception, mobilenet-v2, resnet18, resnet50, small-cnn, one of "+
			"keras.applications (garb models list), or a model, run, Keras or ONNX file that has one")
	c.Flags().StringVar(&b.weights, "weights", "",
		"the backbone's weights: a safetensors file, or a .pth file of PyTorch (default its own)")
	c.Flags().StringVar(&b.featuresAt, "features-at", "",
		"`LAYER` whose output the features are, of a network that is none of garb's (default before its classifier)")
	c.Flags().IntVar(&b.size, "size", 0, "side of the input, in pixels (default the backbone's)")
	c.Flags().StringVar(&b.preprocess, "preprocess", "",
		"how pictures are prepared for a Keras or ONNX file that does not say it: "+strings.Join(convert.Preprocessings(), ", "))
	c.Flags().IntVar(&b.channels, "channels", 0,
		"channels of the input: 3, or 1 for grey pictures (default the backbone's)")
	c.Flags().StringVar(&b.resize, "resize", "",
		"resize filter: nearest, bilinear or bicubic (default the backbone's)")
}

// resolve returns the backbone and its preprocessing with the flags applied.
func (b *backboneFlags) resolve() (backbone.Architecture, picture.Spec, error) {
	a, err := backbone.Lookup(b.backbone)
	reference := b.backbone
	if reference == backbone.OwnName && b.weights != "" { // resolved before
		reference = b.weights
	}
	switch {
	case err == nil && b.featuresAt != "":
		return a, picture.Spec{},
			fmt.Errorf("--features-at is for networks that are none of garb's; %s has its features", a.Name)
	case err == nil:
	case exists(reference) || model.IsModel(reference) || isApplication(reference):
		if isForeign(reference) {
			if reference, err = convertOnce(context.Background(), reference,
				convert.Options{Preprocess: b.preprocess, Side: b.size}); err != nil {
				return a, picture.Spec{}, err
			}
			b.preprocess = "" // which is in the file now
		}
		base, err := model.FindBackbone(reference, b.featuresAt)
		if err != nil {
			return a, picture.Spec{}, err
		}
		if b.weights != "" && b.weights != base.Weights {
			return a, picture.Spec{}, errors.New("--backbone names a file, which has the weights; omit --weights")
		}
		a, b.backbone, b.weights = base.Architecture, base.Name, base.Weights
	default:
		if name := findNearest(b.backbone, listBackbones()); name != "" {
			return a, picture.Spec{},
				fmt.Errorf("--backbone %q: there is no such backbone; did you mean %s?", b.backbone, name)
		}
		return a, picture.Spec{}, err
	}
	if b.preprocess != "" {
		return a, picture.Spec{},
			fmt.Errorf("--preprocess is for Keras and ONNX files; %s has its own way to prepare pictures", b.backbone)
	}
	spec := a.Spec
	if b.spec != nil {
		spec = *b.spec
	}
	if b.size != 0 {
		spec.Width, spec.Height = b.size, b.size
	}
	if b.resize != "" {
		spec.Filter = picture.Filter(b.resize)
	}
	switch b.channels {
	case 0:
	case 1:
		spec.Grey = true
	case 3:
		spec.Grey = false
	default:
		return a, spec, fmt.Errorf("--channels %d; there are 1, grey, and 3, red, green and blue", b.channels)
	}
	if err := a.CheckSize(spec.Height, spec.Width); err != nil && b.size != 0 {
		return a, spec, fmt.Errorf("--size %d: %w", b.size, err)
	}
	a, err = a.Adapt(spec)
	if err != nil && b.channels != 0 {
		return a, spec, fmt.Errorf("--channels %d: %w", b.channels, err)
	}
	return a, spec, errors.Join(err, spec.Validate())
}

func newEmbedCommand() *cobra.Command {
	var (
		reference string
		network   backboneFlags
		asJSON    bool
		out       string
	)
	command := &cobra.Command{
		Use:   "embed [flags] PICTURE|DIR ...",
		Short: "Give the feature vectors of pictures",
		Long: `Give the feature vector of each picture: what the network makes of it before its
head decides. 1280 values for EfficientNet-Lite, 2048 for Xception.

It prints the beginning of each vector; with --json all of it, one object a line;
with --out F.npy it writes an array of float32, one row for each picture in order,
for numpy.load, and F.csv, which says which row is which picture's. Pictures that cannot
be read are named on standard error and have no row.`,
		Example: `  garb embed --json photo.jpg
  garb embed --out features.npy wardrobe/
  garb embed --backbone xception --weights xception.safetensors --size 150 --resize nearest photo.jpg`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("embed needs a picture or a folder of pictures")
			case c.Flags().Changed("model") && network.backbone != "":
				return errors.New("--model and --backbone exclude each other: a model has its backbone")
			case network.backbone == "" &&
				(network.weights != "" || network.size != 0 || network.channels != 0 || network.resize != ""):
				return errors.New("--weights, --size, --channels and --resize go with --backbone: a model brings its own")
			case out != "" && asJSON:
				return errors.New("--out and --json exclude each other")
			case network.backbone != "":
				_, _, err := network.resolve()
				return err
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if out != "" {
				if err := checkNamesFile(namePicturesFile(out)); err != nil {
					return err
				}
			}
			all, tally, err := findSources(c, args)
			if err != nil {
				return err
			}
			e, err := openExtractor(reference, network, model.Options{Threads: chooseThreads(all)})
			if err != nil {
				return err
			}
			if out != "" {
				return embedToFile(c, e, all, tally, out)
			}
			return embed(c, e, all, tally, asJSON)
		},
	}
	command.Flags().StringVar(&reference, "model", model.Clothing,
		"model: a file, a run's folder, clothing, garments or imagenet")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line, with the whole vector")
	command.Flags().StringVar(&out, "out", "",
		"write the vectors to this .npy file, and the pictures' names to a .csv file beside it")
	addStrictFlag(command)
	network.add(command, "")
	return command
}

func openExtractor(reference string, network backboneFlags, o model.Options) (*model.Extractor, error) {
	if network.backbone == "" {
		c, err := model.Open(reference, o)
		if err != nil {
			return nil, err
		}
		return c.Extractor, nil
	}
	a, spec, err := network.resolve()
	if err != nil {
		return nil, err
	}
	weights := cmp.Or(network.weights, a.Name)
	f, err := model.OpenBackbone(weights)
	if err != nil {
		return nil, err
	}
	e, err := model.NewExtractor(a, f, spec, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", weights, err)
	}
	return e, nil
}

// pictureEmbedding is a line of embed.
type pictureEmbedding struct {
	Picture   string    `json:"picture"`
	Embedding []float32 `json:"embedding"`
}

// shownValues is how many values of a vector people are shown.
const shownValues = 6

func embed(c *cobra.Command, e *model.Extractor, all []source, tally *dataset.Tally, asJSON bool) error {
	out := bufio.NewWriter(c.OutOrStdout())
	lines := json.NewEncoder(out)
	failures := 0
	err := eachEmbedding(c, e, all, func(a outcome[[]float32]) (err error) {
		defer func() { err = errors.Join(err, out.Flush()) }()
		if a.err != nil {
			tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
		}
		switch {
		case a.err != nil && asJSON:
			failures++
			return lines.Encode(pictureError{a.source.name, describeFailure(a.err)})
		case a.err != nil:
			failures++
			reportError(c.ErrOrStderr(), a.source.name, a.err)
			return nil
		case asJSON:
			return lines.Encode(pictureEmbedding{a.source.name, a.value})
		}
		_, err = fmt.Fprintf(out, "%s: %d values, %.4f …\n", escape(a.source.name), len(a.value),
			a.value[:min(shownValues, len(a.value))])
		return err
	})
	if err != nil {
		return err
	}
	return closeSources(c, all, failures, tally)
}

func eachEmbedding(c *cobra.Command, e *model.Extractor, all []source, use func(outcome[[]float32]) error) error {
	return each(c.Context(), all, c.InOrStdin(), e.Limits(),
		func(ctx context.Context, data []byte) ([]float32, error) { return e.Embed(ctx, data) }, use)
}

// embedToFile writes the vectors as an array, and the pictures' names in the same order.
// Pictures that cannot be read are named and have no row.
func embedToFile(c *cobra.Command, e *model.Extractor, all []source, tally *dataset.Tally, path string) error {
	var rows [][]float32
	var names []string
	failures := 0
	err := eachEmbedding(c, e, all, func(a outcome[[]float32]) error {
		if a.err != nil {
			failures++
			tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
			reportError(c.ErrOrStderr(), a.source.name, a.err)
			return nil
		}
		rows, names = append(rows, a.value), append(names, a.source.name)
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		closeSources(c, all, failures, tally)
		return fmt.Errorf("%s is not written: no picture could be read", path)
	}
	// The names first: an array without names is worse than names without an array.
	if err := safefile.Write(namePicturesFile(path), func(w io.Writer) error { return writeNames(w, names) }); err != nil {
		return err
	}
	err = safefile.Write(path, func(w io.Writer) error { return writeNPY(w, rows, e.FeatureCount()) })
	if err != nil {
		return err
	}
	fmt.Fprintf(openTextOut(c), "wrote %s: %d × %d, and %s: the pictures' names\n", path, len(rows), e.FeatureCount(),
		namePicturesFile(path))
	return closeSources(c, all, failures, tally)
}

// namePicturesFile is the file with the names of an array's rows: beside it, with the ending
// .csv in place of .npy, or after any other.
func namePicturesFile(array string) string {
	if extension := filepath.Ext(array); strings.EqualFold(extension, ".npy") {
		array = strings.TrimSuffix(array, extension)
	}
	return array + ".csv"
}

// namesHeader is the first line of a file of names.
const namesHeader = "row,picture\n"

// checkNamesFile returns an error if a file is there that embed did not write: somebody
// who names the array like a table of labels is not to lose the table.
func checkNamesFile(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(namesHeader))
	if n, err := io.ReadFull(f, head); err != nil || string(head[:n]) != namesHeader {
		return fmt.Errorf("--out: the names of the pictures would be written to %s, where another file is; name "+
			"another --out", path)
	}
	return nil
}

// writeNames writes a table of rows, counted from 0 as NumPy does, and names.
func writeNames(w io.Writer, names []string) error {
	if _, err := io.WriteString(w, namesHeader); err != nil {
		return err
	}
	var rows [][]string
	for i, name := range names {
		rows = append(rows, []string{strconv.Itoa(i), name})
	}
	return csv.NewWriter(w).WriteAll(rows)
}

// writeNPY writes rows as NumPy's file format, version 1.0: a header of a multiple
// of 64 bytes, then float32 little-endian.
func writeNPY(w io.Writer, rows [][]float32, columns int) error {
	const magic = "\x93NUMPY\x01\x00"
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", len(rows), columns)
	for (len(magic)+2+len(text)+1)%64 != 0 {
		text += " "
	}
	text += "\n"
	header := append([]byte(magic), byte(len(text)), byte(len(text)>>8))
	if _, err := w.Write(append(header, text...)); err != nil {
		return err
	}
	for _, row := range rows {
		if err := binary.Write(w, binary.LittleEndian, row); err != nil {
			return err
		}
	}
	return nil
}
