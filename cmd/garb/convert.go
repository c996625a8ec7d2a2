package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/convert"
	"garb/keras"
	"garb/model"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// conversion holds the arguments and flags of convert.
type conversion struct {
	from, to          string
	dtype             dtypeFlag
	force             bool
	classes           []string
	classesFrom       string
	preprocess        string
	orientation       orientationFlag
	side              int
	filter            string
	withPreprocessing bool
	quantize          string
}

const convertHelp = `Convert models from and to other programs' formats, without Python.

Reading: garb reads .keras archives, .h5 files of any Keras version, and .onnx files. With
--classes or --classes-from the whole network becomes a classifier, whatever its layers.
Without them, if a Keras file contains one of garb's backbones, only the backbone's weights
are kept, to train on. The same goes for state dicts of torchvision's MobileNetV2, ResNet18
and ResNet50 in .pth or .safetensors files. Any other network is kept as a whole with
numbered outputs, for garb train --backbone OUT.safetensors.

Neither Keras nor ONNX files store the preprocessing. For known networks garb uses the
standard one and prints it; otherwise pass --preprocess, --size and --resize.

Writing: the source is a model file, a run's folder, clothing, garments or imagenet. An .onnx
file is for ONNX Runtime, Triton, OpenVINO, phones and GPUs, a .keras archive for Keras 3, and
a .tflite file for LiteRT (TensorFlow Lite) on Android, iOS and small devices. The file
includes the class names.

--with-preprocessing adds the preprocessing to the network, so that it takes resized
pictures with values from 0 to 255, as uint8 (float32 in .keras files). --quantize int8
quantizes the weights of an ONNX file, with a DequantizeLinear before each use; the file is
a third to a quarter as large and computes in float32, like garb's own int8 files.

If the model refuses pictures, .onnx and .tflite files have the acceptance, 0 to 1, as a
second output; .keras files do not. garb does not read the acceptance back, and does not
read .tflite files.

--dtype chooses how a .safetensors file stores the weights: float16 takes half the space,
int8 a quarter. int8 weights have one scale per output channel. Inference runs in float32
in any case.`

const convertExamples = `  garb convert course_model.keras mine.safetensors --classes-from clothing-dataset-small
  garb convert resnet50.h5 resnet.safetensors --classes cat,dog --preprocess resnet50
  garb convert exported.onnx mine.safetensors --classes cat,dog --preprocess torch
  garb convert exported.onnx backbone.safetensors --preprocess torch
  garb convert clothing clothing.onnx --with-preprocessing
  garb convert clothing small.onnx --quantize int8
  garb convert runs/mine mine.keras
  garb convert garments garments.tflite --with-preprocessing
  garb convert model.keras xception.safetensors
  garb convert resnet18-f37072fd.pth resnet18.safetensors
  garb convert --dtype float16 runs/mine small.safetensors`

func newConvertCommand() *cobra.Command {
	c := conversion{dtype: dtypeFlag(tensor.Float32)}
	command := &cobra.Command{
		Use:     "convert MODEL|FILE OUT.safetensors|OUT.onnx|OUT.keras|OUT.tflite",
		Short:   "Convert models from Keras and ONNX, and to Keras, ONNX and TensorFlow Lite",
		Long:    convertHelp,
		Example: convertExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("convert needs a file to read and a file to write, not %s",
					count(len(args), "argument"))
			}
			return c.check(args[0], args[1])
		},
		RunE: func(command *cobra.Command, _ []string) error {
			if _, err := os.Stat(c.to); err == nil && !c.force {
				return fmt.Errorf("%s exists; choose another name or use --force", c.to)
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return c.run(command.Context(), command.OutOrStdout())
		},
	}
	c.addFlags(command)
	return command
}

func (c *conversion) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.Var(&c.dtype, "dtype", "`TYPE` of the stored weights: float32, float16 or int8")
	flags.BoolVar(&c.force, "force", false, "overwrite the output file")
	flags.StringSliceVar(&c.classes, "classes", nil, "class names in the order of the outputs: `A,B,...`")
	flags.StringVar(&c.classesFrom, "classes-from", "", "take the class names from the folders of the data set `DIR`")
	flags.StringVar(&c.preprocess, "preprocess", "",
		"preprocessing of the input: "+strings.Join(convert.Preprocessings(), ", "))
	flags.IntVar(&c.side, "size", 0, "input size, in pixels (0 takes it from the file)")
	flags.StringVar(&c.filter, "resize", "",
		"resize filter: nearest, bilinear or bicubic; Keras's default is nearest")
	addOrientationFlag(flags, &c.orientation, "ignore for Keras files, since Keras does")
	flags.BoolVar(&c.withPreprocessing, "with-preprocessing", false,
		"include the preprocessing: the written model takes resized pictures with values from 0 to 255")
	flags.StringVar(&c.quantize, "quantize", "", "quantize the weights of an ONNX file to `TYPE`: int8")
	command.MarkFlagsMutuallyExclusive("classes", "classes-from")
}

// check reports arguments and flags that contradict each other.
func (c *conversion) check(from, to string) error {
	c.from, c.to = from, to
	switch extension := strings.ToLower(filepath.Ext(to)); {
	case strings.EqualFold(filepath.Ext(from), ".tflite"):
		return fmt.Errorf("garb writes .tflite files but does not read them: convert the model that %s was made from",
			from)
	case extension != ".safetensors" && extension != ".onnx" && extension != ".keras" && extension != ".tflite":
		return fmt.Errorf("the output file %s must end in .safetensors, .onnx, .keras or .tflite", to)
	case extension != ".safetensors" && c.dtype != dtypeFlag(tensor.Float32):
		return errors.New("--dtype is for .safetensors files; other files store float32 (for .onnx see --quantize)")
	case extension == ".safetensors" && c.withPreprocessing:
		return errors.New("--with-preprocessing is for .onnx, .keras and .tflite files; a .safetensors file always " +
			"stores its preprocessing")
	case c.quantize != "" && c.quantize != "int8":
		return fmt.Errorf("--quantize %s: it must be int8", c.quantize)
	case extension == ".safetensors" && c.quantize != "":
		return errors.New("--quantize is for .onnx files; use --dtype int8 for .safetensors")
	case extension != ".onnx" && c.quantize != "":
		return errors.New("--quantize is for .onnx files")
	case c.side < 0:
		return fmt.Errorf("--size %d: it must be positive", c.side)
	}
	return nil
}

func (c *conversion) run(ctx context.Context, out io.Writer) error {
	isModel, native := model.IsModel(c.from), strings.EqualFold(filepath.Ext(c.to), ".safetensors")
	if isModel && c.hasFileFlags() {
		return errors.New("--classes, --classes-from, --preprocess, --size, --resize and --exif-orientation are " +
			"only for whole models from Keras and ONNX files")
	}
	if !isModel && !exists(c.from) {
		return fmt.Errorf("%s: no such file, run or built-in model; the built-in models are %s", c.from,
			strings.Join(model.BuiltInNames(), ", "))
	}
	switch {
	case isModel && native:
		return storeModel(out, c.from, c.to, tensor.DType(c.dtype))
	case isModel:
		return c.write(out, c.from)
	}
	if c.hasFileFlags() || !native || strings.EqualFold(filepath.Ext(c.from), ".onnx") {
		return c.takeModel(ctx, out)
	}
	err := convertWeights(out, c.from, c.to, tensor.DType(c.dtype))
	var none *keras.NotABackboneError
	if errors.As(err, &none) { // so the user can only mean the whole network
		return c.takeModel(ctx, out)
	}
	return err
}

// hasFileFlags reports whether there are flags for settings that garb's own models store.
func (c *conversion) hasFileFlags() bool {
	return c.classes != nil || c.classesFrom != "" || c.preprocess != "" || c.side != 0 || c.filter != "" ||
		c.orientation.isSet()
}

// takeModel converts another program's file to a model.
func (c *conversion) takeModel(ctx context.Context, out io.Writer) error {
	native := strings.EqualFold(filepath.Ext(c.to), ".safetensors")
	o := convert.Options{
		Classes: c.classes, Preprocess: c.preprocess, Side: c.side, Filter: picture.Filter(c.filter), Unnamed: native,
		Orientation: c.orientation.value,
	}
	if c.classesFrom != "" {
		var err error
		if o.Classes, err = convert.ReadClasses(c.classesFrom); err != nil {
			return err
		}
	}
	in, err := convert.Read(ctx, c.from, o)
	if err != nil {
		return err
	}
	c.printRead(out, in)
	path := c.to
	if !native { // from one program to another
		folder, err := os.MkdirTemp("", "garb-convert-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		path = filepath.Join(folder, strings.TrimSuffix(filepath.Base(c.to), filepath.Ext(c.to))+".safetensors")
	}
	m := in.Model
	if tensor.DType(c.dtype) != tensor.Float32 {
		m.Tensors = m.Tensors.As(tensor.DType(c.dtype))
		if err := m.SetGolden(ctx, nil); err != nil { // rounding the weights changes the outputs
			return err
		}
	}
	if err := m.Save(path, tensor.DType(c.dtype)); err != nil {
		return err
	}
	if !native {
		return c.write(out, path)
	}
	return reportFile(out, c.to, c.dtype)
}

// describeOrientation describes what a converted model does with EXIF's orientation.
func describeOrientation(o picture.Orientation, requested bool) string {
	text := "pictures are turned upright, as their EXIF says"
	if o == picture.IgnoreOrientation {
		text = "pictures are not turned, whatever their EXIF says"
	}
	switch {
	case requested:
		return text + ", as requested"
	case o == picture.IgnoreOrientation:
		return text + ", as in Keras and tf.io; override with --exif-orientation apply"
	}
	return text + "; override with --exif-orientation ignore"
}

// printRead prints what was read from another program's file.
func (c *conversion) printRead(out io.Writer, in *convert.Import) {
	m := in.Model
	fmt.Fprintf(out, "read        %s: %s\n", c.from, in.Format)
	network := fmt.Sprintf("custom, %s", count(len(m.Network)-1, "layer"))
	if m.Architecture != "" {
		network = m.Architecture + " with a head; its weights can be trained on"
	}
	values := 0
	for _, t := range m.Tensors {
		values += tensor.Len(t.Shape)
	}
	fmt.Fprintf(out, "network     %s\n", network)
	fmt.Fprintf(out, "parameters  %s in %s\n", groupDigits(values), count(len(m.Tensors), "tensor"))
	reason := "as requested"
	if in.Reason != "" {
		reason = fmt.Sprintf("as %s; override with --preprocess, --size and --resize", in.Reason)
	}
	s := m.Preprocessing
	fmt.Fprintf(out, "pictures    %d × %d, %v, preprocessing %s, %s\n", s.Width, s.Height, s.Filter, in.Preprocess,
		reason)
	fmt.Fprintf(out, "orientation %s\n", describeOrientation(s.Orientation, c.orientation.isSet()))
	if m.Unnamed {
		fmt.Fprintf(out, "classes     unnamed (name them with --classes); to train on it: garb train --backbone %s\n",
			c.to)
	} else {
		fmt.Fprintf(out, "classes     %s\n", listClasses(m.Classes))
	}
	if m.Signature != nil {
		fmt.Fprintf(out, "signature   %s\n", describeSignature(m.Signature))
	}
	if in.Judged {
		fmt.Fprintln(out, "acceptance  dropped: garb does not read it back, so this model never refuses a picture")
	}
}

// listClasses lists classes, or some of them if there are many.
func listClasses(classes []string) string {
	const limit = 12
	if n := len(classes); n > limit {
		return fmt.Sprintf("%s and %d more", strings.Join(classes[:limit], ", "), n-limit)
	}
	return strings.Join(classes, ", ")
}

// write writes a model for other programs.
func (c *conversion) write(out io.Writer, reference string) error {
	m, err := model.Open(reference, model.Options{})
	if err != nil {
		return err
	}
	export, err := convert.Write(c.to, m, convert.WriteOptions{
		Preprocessing: c.withPreprocessing, Int8: c.quantize == "int8",
	})
	if err != nil {
		return err
	}
	info, err := os.Stat(c.to)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "model       %s, %s\n", m.Name(), count(len(m.Classes()), "class"))
	fmt.Fprintf(out, "input       %s\n", c.describeInput(m.Spec()))
	switch {
	case export.Acceptance:
		fmt.Fprintf(out, "acceptance  output \"acceptance\", 0 to 1; a picture below %.3f is %q\n",
			m.AcceptanceThreshold(), escape(m.Description().Acceptance.Refusal))
	case export.DropReason != "":
		fmt.Fprintf(out, "acceptance  dropped: %s. The file never refuses a picture\n", export.DropReason)
	}
	if c.quantize != "" {
		fmt.Fprintf(out, "weights     %s, one scale per output channel; depthwise kernels and small tensors float32\n",
			c.quantize)
	}
	fmt.Fprintf(out, "wrote       %s: %.1f MB\n", c.to, float64(info.Size())/1e6)
	return nil
}

// describeInput describes the input that the written network takes.
func (c *conversion) describeInput(s picture.Spec) string {
	shape := fmt.Sprintf("[n %d %d %d]", s.Height, s.Width, s.Channels())
	switch {
	case c.withPreprocessing && strings.EqualFold(filepath.Ext(c.to), ".keras"):
		return fmt.Sprintf("float32, 0 to 255, %s: pictures resized by %v", shape, s.Filter)
	case c.withPreprocessing:
		return fmt.Sprintf("uint8 %s: pictures resized by %v", shape, s.Filter)
	case s.Grey:
		return fmt.Sprintf("float32 %s: (grey level − %v) / %v", shape, s.Mean[0], s.Std[0])
	}
	return fmt.Sprintf("float32 %s: (sample − %v) / %v of red, green, blue", shape, s.Mean, s.Std)
}

// reportFile prints the size and digest of a .safetensors file.
func reportFile(out io.Writer, path string, dtype dtypeFlag) error {
	f, err := tensor.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote       %s: %s, %.1f MB\n", path, &dtype, float64(f.Size())/1e6)
	fmt.Fprintf(out, "digest      %s\n", f.Digest())
	return nil
}

// convertWeights extracts a backbone's weights from a file.
func convertWeights(out io.Writer, from, to string, dtype tensor.DType) error {
	n, err := weights.Read(from)
	if err != nil {
		return err
	}
	if dtype != tensor.Float32 {
		n.NoteStep("rounded to " + dtypeNames[dtype])
	}
	if err := tensor.WriteFile(to, n.Metadata, n.Tensors, dtype); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	fmt.Fprintf(out, "read        %s: %s\n", from, n.Format)
	fmt.Fprintf(out, "network     %s\n", describeNetwork(n.Architecture, n.WithTop))
	fmt.Fprintf(out, "parameters  %s in %s\n", groupDigits(n.ParameterCount()), count(len(n.Tensors), "tensor"))
	if len(n.LeftOut) > 0 {
		fmt.Fprintf(out, "left out    %s\n", strings.Join(n.LeftOut, ", "))
	}
	return reportFile(out, to, dtypeFlag(dtype))
}

// storeModel writes one of garb's models with its weights stored as dtype.
func storeModel(out io.Writer, from, to string, dtype tensor.DType) error {
	m, err := model.Store(from, to, dtype)
	if err != nil {
		return err
	}
	network := cmp.Or(m.Architecture, "custom network")
	fmt.Fprintf(out, "read        %s: %s, %s\n", from, network, count(len(m.Classes), "class"))
	return reportFile(out, to, dtypeFlag(dtype))
}

func describeNetwork(architecture string, withTop bool) string {
	if withTop {
		return architecture + " with its top"
	}
	return architecture + " without top"
}

// groupDigits formats a number with thousands separators: 20,861,480.
func groupDigits(n int) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// dtypeFlag is a flag for a tensor.DType.
type dtypeFlag tensor.DType

var dtypeNames = map[tensor.DType]string{tensor.Float32: "float32", tensor.Float16: "float16", tensor.Int8: "int8"}

// String, Set and Type implement pflag.Value.
func (d *dtypeFlag) String() string { return dtypeNames[tensor.DType(*d)] }

func (d *dtypeFlag) Set(name string) error {
	for dtype, n := range dtypeNames {
		if n == name {
			*d = dtypeFlag(dtype)
			return nil
		}
	}
	return errors.New("it must be float32, float16 or int8")
}

func (d *dtypeFlag) Type() string { return "type" }
