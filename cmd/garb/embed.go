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
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/convert"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
	"garb/results"
	"garb/shard"
)

// backboneFlags chooses a backbone and its preprocessing.
type backboneFlags struct {
	backbone, weights string
	featuresAt        string // layer of a network that is not one of garb's
	size              int
	channels          int    // 0 for those of the backbone
	preprocess        string // for a Keras or ONNX file
	resize            string
	orientation       orientationFlag
	spec              *picture.Spec // replaces the backbone's preprocessing unless nil
}

func (b *backboneFlags) add(c *cobra.Command, defaultBackbone string) {
	flags := c.Flags()
	flags.StringVar(&b.backbone, "backbone", defaultBackbone,
		"backbone: efficientnet-lite0 to -lite4, xception, mobilenet-v2, resnet18, resnet50, small-cnn, a network of "+
			"keras.applications (see garb models list), or a model, a run, a Keras or an ONNX file")
	flags.StringVar(&b.weights, "weights", "",
		"weights of the backbone: a .safetensors file, or a .pth file from PyTorch (default the pretrained weights)")
	flags.StringVar(&b.featuresAt, "features-at", "",
		"`LAYER` whose output to use as features, if the network is not one of garb's (default the classifier's input)")
	flags.StringVar(&b.preprocess, "preprocess", "",
		"preprocessing for a Keras or ONNX file: "+strings.Join(convert.Preprocessings(), ", "))
	b.addInput(c)
}

// addInput adds the flags of the input only.
func (b *backboneFlags) addInput(c *cobra.Command) {
	c.Flags().IntVar(&b.size, "size", 0, "input size, in pixels (default the backbone's)")
	c.Flags().IntVar(&b.channels, "channels", 0,
		"input channels: 3 for colour, 1 for greyscale (default the backbone's)")
	c.Flags().StringVar(&b.resize, "resize", "",
		"resize filter: nearest, bilinear or bicubic (default the backbone's)")
	addOrientationFlag(c.Flags(), &b.orientation, "the backbone's; apply, unless it comes from Keras")
}

// resolve returns the backbone and its preprocessing, with the flags applied.
func (b *backboneFlags) resolve() (backbone.Architecture, picture.Spec, error) {
	a, err := b.find()
	if err != nil {
		return a, picture.Spec{}, err
	}
	if b.preprocess != "" {
		return a, picture.Spec{},
			fmt.Errorf("--preprocess is only for Keras and ONNX files; %s has its own preprocessing", b.backbone)
	}
	spec := a.Spec
	if b.spec != nil {
		spec = *b.spec
	}
	if b.size != 0 {
		spec.Width, spec.Height = b.size, b.size
	}
	if b.orientation.isSet() {
		spec.Orientation = *b.orientation.value
	}
	if b.resize != "" {
		spec.Filter = picture.Filter(b.resize)
	}
	switch b.channels {
	case 0:
	case 1, 3:
		spec.Grey = b.channels == 1
	default:
		return a, spec, fmt.Errorf("--channels %d: it must be 1 (greyscale) or 3 (red, green, blue)", b.channels)
	}
	if err = a.CheckSize(spec.Height, spec.Width); err != nil && b.size != 0 {
		return a, spec, fmt.Errorf("--size %d: %w", b.size, err)
	}
	a, err = a.Adapt(spec)
	if err != nil && b.channels != 0 {
		return a, spec, fmt.Errorf("--channels %d: %w", b.channels, err)
	}
	return a, spec, errors.Join(err, spec.Validate())
}

// find returns the backbone. If --backbone names a file, a model or a run, find sets the name
// and the weights of the backbone in it.
func (b *backboneFlags) find() (backbone.Architecture, error) {
	a, err := backbone.Lookup(b.backbone)
	if err == nil {
		if b.featuresAt != "" {
			return a, fmt.Errorf("--features-at is only for networks that are not garb's own, unlike %s", a.Name)
		}
		return a, nil
	}
	reference := b.backbone
	if reference == backbone.OwnName && b.weights != "" { // find was called before
		reference = b.weights
	}
	if !exists(reference) && !model.IsModel(reference) && !isApplication(reference) {
		if name := findNearest(b.backbone, listBackbones()); name != "" {
			return a, fmt.Errorf("--backbone %q: unknown backbone; did you mean %s?", b.backbone, name)
		}
		return a, err
	}
	if isForeign(reference) {
		reference, err = convertOnce(context.Background(), reference,
			convert.Options{Preprocess: b.preprocess, Side: b.size})
		if err != nil {
			return a, err
		}
		b.preprocess = "" // the converted file stores it
	}
	base, err := model.FindBackbone(reference, b.featuresAt)
	if err != nil {
		return a, err
	}
	if b.weights != "" && b.weights != base.Weights {
		return a, errors.New("--backbone names a file, which includes the weights; omit --weights")
	}
	b.backbone, b.weights = base.Name, base.Weights
	return base.Architecture, nil
}

const embedHelp = `Compute the embedding of each picture: the feature vector that the backbone passes to the
head. It has 1280 values for EfficientNet-Lite and 2048 for Xception.

By default garb prints the first values of each vector. --json prints whole vectors, one
JSON object per line. --out F.npy writes a float32 array for numpy.load with one row per
picture, and F.csv with the picture of each row. Pictures that cannot be read are reported
on standard error and have no row. With --json, --out writes JSON lines to a file.

` + shardHelp

// embedFlags holds the flags of embed.
type embedFlags struct {
	model   string
	network backboneFlags
	asJSON  bool
	output  outputFlags

	accepted limitFlags
}

func newEmbedCommand() *cobra.Command {
	var f embedFlags
	command := &cobra.Command{
		Use:   "embed [flags] PICTURE|DIR ...",
		Short: "Compute embeddings (feature vectors) of pictures",
		Long:  embedHelp,
		Example: `  garb embed --json photo.jpg
  garb embed --out features.npy wardrobe/
  garb embed --out features.npy --shard 3/10 wardrobe/   # writes features.npy-00003-of-00010
  garb embed --backbone xception --weights xception.safetensors --size 150 --resize nearest photo.jpg`,
		Args: func(c *cobra.Command, args []string) error { return f.validate(c, args) },
		RunE: func(c *cobra.Command, args []string) error {
			if f.writesArray() && !f.output.shard.isSet() {
				if err := checkNamesFile(namePicturesFile(f.output.out)); err != nil {
					return err
				}
			}
			all, tally, err := findSources(c, args)
			if err != nil {
				return err
			}
			e, digest, err := openExtractor(f.model, f.network, model.Options{Threads: chooseThreads(all),
				Limits: f.accepted.limits()})
			if err != nil {
				return err
			}
			switch {
			case f.writesArray() && f.output.shard.isSet():
				return f.embedToPart(c, e, digest, all, tally)
			case f.writesArray():
				return f.embedToFile(c, e, all, tally)
			}
			return f.embed(c, e, digest, all, tally)
		},
	}
	addModelFlag(command.Flags(), &f.model)
	f.accepted.add(command.Flags())
	command.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object per line, with the whole vector")
	f.output.add(command.Flags(),
		"write the vectors to this .npy `FILE`, and the names of the pictures to a .csv file beside it; "+
			"with --json, write the lines to FILE")
	addStrictFlag(command)
	f.network.add(command, "")
	return command
}

// validate reports arguments and flags that do not go together.
func (f *embedFlags) validate(c *cobra.Command, args []string) error {
	n := &f.network
	switch {
	case len(args) == 0:
		return errors.New("embed needs a picture or a folder of pictures")
	case c.Flags().Changed("model") && n.backbone != "":
		return errors.New("--model and --backbone exclude each other: a model includes its backbone")
	case n.backbone == "" && (n.weights != "" || n.size != 0 || n.channels != 0 || n.resize != ""):
		return errors.New("--weights, --size, --channels and --resize require --backbone: a model has its own")
	case f.output.shard.isSet() && slices.Contains(args, standardInput):
		return errors.New("--shard cannot divide standard input: save the picture as a file first")
	case n.backbone != "":
		if _, _, err := n.resolve(); err != nil {
			return err
		}
	}
	return f.output.validate()
}

// writesArray reports whether the vectors are written as an array.
func (f *embedFlags) writesArray() bool { return f.output.out != "" && !f.asJSON }

// openExtractor opens an extractor, and returns the digest of its weights.
func openExtractor(reference string, network backboneFlags, o model.Options) (*model.Extractor, string, error) {
	if network.backbone == "" {
		c, err := model.Open(reference, o)
		if err != nil {
			return nil, "", err
		}
		return c.Extractor, c.Digest(), nil
	}
	a, spec, err := network.resolve()
	if err != nil {
		return nil, "", err
	}
	weights := cmp.Or(network.weights, a.Name)
	f, err := model.OpenBackbone(weights)
	if err != nil {
		return nil, "", err
	}
	e, err := model.NewExtractor(a, f, spec, o)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", weights, err)
	}
	return e, f.Digest(), nil
}

// shownValues is the number of values of a vector that are printed.
const shownValues = 6

// embed prints the vectors, or their first values.
func (f *embedFlags) embed(c *cobra.Command, e *model.Extractor, digest string, all []source,
	tally *dataset.Tally) error {
	kind := "embed as text"
	if f.asJSON {
		kind = "embed as JSON"
	}
	all, h := f.output.take(c, all, kind, digest, networkFlags...)
	var out *bufio.Writer
	failures := 0
	begin := func(w io.Writer) error {
		out = bufio.NewWriter(w)
		return nil
	}
	err := f.output.print(c, h, begin, func() (shard.End, error) {
		err := f.eachEmbedding(c, e, all, func(a outcome[[]float32]) error {
			if a.err != nil {
				failures++
				tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
			}
			return errors.Join(f.printEmbedding(c, out, a), out.Flush())
		})
		return shard.End{Rows: len(all) - failures, Failed: failures}, err
	})
	if err != nil {
		return err
	}
	return f.output.close(c, all, failures, tally)
}

// printEmbedding prints the vector of a picture, or why it has none.
func (f *embedFlags) printEmbedding(c *cobra.Command, out io.Writer, a outcome[[]float32]) error {
	lines := json.NewEncoder(out)
	switch {
	case a.err != nil && f.asJSON:
		return lines.Encode(results.PictureError{Picture: a.source.name, Error: describeFailure(a.err)})
	case a.err != nil:
		reportError(c.ErrOrStderr(), a.source.name, a.err)
		return nil
	case f.asJSON:
		return lines.Encode(results.Embedding{Picture: a.source.name, Embedding: a.value})
	}
	_, err := fmt.Fprintf(out, "%s: %d values, %.4f …\n", escape(a.source.name), len(a.value),
		a.value[:min(shownValues, len(a.value))])
	return err
}

func (f *embedFlags) eachEmbedding(c *cobra.Command, e *model.Extractor, all []source,
	use func(outcome[[]float32]) error) error {
	bar := f.output.newCounter(c, len(all))
	defer bar.finish()
	return each(c.Context(), all, c.InOrStdin(), e.Limits(),
		func(ctx context.Context, data []byte) ([]float32, error) { return e.Embed(ctx, data) },
		func(o outcome[[]float32]) error {
			bar.add(1)
			return use(o)
		})
}

// embedToFile writes the vectors as an array, and the names of the pictures in the same
// order. Pictures that cannot be read are reported and have no row.
func (f *embedFlags) embedToFile(c *cobra.Command, e *model.Extractor, all []source, tally *dataset.Tally) error {
	path := f.output.out
	var rows [][]float32
	var names []string
	failures := 0
	err := f.eachEmbedding(c, e, all, func(a outcome[[]float32]) error {
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
		return fmt.Errorf("%s was not written: no picture could be read", path)
	}
	// The names come first: an array without names is worse than names without an array.
	err = safefile.Write(namePicturesFile(path), func(w io.Writer) error { return writeNames(w, names) })
	if err != nil {
		return err
	}
	err = safefile.Write(path, func(w io.Writer) error { return writeNPY(w, rows, e.FeatureCount()) })
	if err != nil {
		return err
	}
	fmt.Fprintf(openTextOut(c), "wrote %s: %d × %d, and %s: the names of the pictures\n", path, len(rows),
		e.FeatureCount(), namePicturesFile(path))
	return closeSources(c, all, failures, tally)
}

// namePicturesFile returns the path of the file with the pictures of an array's rows: the
// same path with the extension .csv instead of .npy, or after any other extension.
func namePicturesFile(array string) string {
	if extension := filepath.Ext(array); strings.EqualFold(extension, ".npy") {
		array = strings.TrimSuffix(array, extension)
	}
	return array + ".csv"
}

// namesHeader is the first line of that file.
const namesHeader = "row,picture\n"

// checkNamesFile returns an error if the file exists and embed did not write it, so that
// nobody loses a table of labels with the same name as the array.
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
		return fmt.Errorf("--out: the names of the pictures would overwrite %s; choose another --out", path)
	}
	return nil
}

// namesWriter writes a table with the number of each row, from 0 as in NumPy, and its picture.
type namesWriter struct {
	rows *csv.Writer
	next int
}

func newNamesWriter(w io.Writer) (*namesWriter, error) {
	_, err := io.WriteString(w, namesHeader)
	return &namesWriter{rows: csv.NewWriter(w)}, err
}

func (n *namesWriter) write(name string) error {
	n.next++
	return n.rows.Write([]string{strconv.Itoa(n.next - 1), name})
}

func (n *namesWriter) flush() error {
	n.rows.Flush()
	return n.rows.Error()
}

// writeNames writes the names of the pictures of an array.
func writeNames(w io.Writer, names []string) error {
	n, err := newNamesWriter(w)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := n.write(name); err != nil {
			return err
		}
	}
	return n.flush()
}

// writeNPY writes rows in NumPy's file format.
func writeNPY(w io.Writer, rows [][]float32, columns int) error {
	if err := writeNPYHeader(w, len(rows), columns); err != nil {
		return err
	}
	for _, row := range rows {
		if err := binary.Write(w, binary.LittleEndian, row); err != nil {
			return err
		}
	}
	return nil
}

// writeNPYHeader writes the header of NumPy's file format, version 1.0, whose size is a multiple of
// 64 bytes. The values follow it as little-endian float32.
func writeNPYHeader(w io.Writer, rows, columns int) error {
	const magic = "\x93NUMPY\x01\x00"
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, columns)
	for (len(magic)+2+len(text)+1)%64 != 0 {
		text += " "
	}
	text += "\n"
	header := append([]byte(magic), byte(len(text)), byte(len(text)>>8))
	_, err := w.Write(append(header, text...))
	return err
}
