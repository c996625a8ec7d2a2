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

// conversion is what to convert, and how.
type conversion struct {
	from, to          string
	dtype             dtypeFlag
	force             bool
	classes           []string
	classesFrom       string
	preprocess        string
	side              int
	filter            string
	withPreprocessing bool
	quantize          string
}

func newConvertCommand() *cobra.Command {
	c := conversion{dtype: dtypeFlag(tensor.Float32)}
	command := &cobra.Command{
		Use:   "convert MODEL|FILE OUT.safetensors|OUT.onnx|OUT.keras|OUT.tflite",
		Short: "Take models from Keras and ONNX, and write garb's for them",
		Long: `Take a model from another program's file, or write one of garb's for other programs,
without Python.

In: a .keras archive, an .h5 file of any version of Keras, or an .onnx file. With
--classes or --classes-from the whole network becomes a model, whatever its layers are.
Without them, if the network of a Keras file has one of garb's backbones, only the
backbone's weights are kept, to train on; so are those of a state dict of torchvision's
MobileNetV2, ResNet18 or ResNet50, a .pth or .safetensors file. Any other network is kept
as a whole with its outputs numbered, to train on by garb train --backbone
OUT.safetensors. Neither Keras nor ONNX
stores the preprocessing. For
known networks garb uses the standard one and prints it; otherwise give --preprocess,
--size and --resize.

Out: of a model (a file, a run's folder, clothing, garments or imagenet) an ONNX file, for ONNX
Runtime, Triton, OpenVINO, phones and GPUs, a .keras archive, which Keras 3 loads, or a
.tflite file for LiteRT (TensorFlow Lite) on Android, iOS and small computers, with the
class names inside. --with-preprocessing lets the model take pictures as they are, resized:
uint8, or in a .keras file float32, of 0 to 255.
--quantize int8 stores the weights of an ONNX file in a quarter to a third of the space,
each before a DequantizeLinear: it answers as garb's own int8 file, computing in float32.
An ONNX or .tflite file of a model that judges whether a picture shows any of its classes
has the acceptance, 0 to 1, as a further output; a .keras file has not, and it is never read
back. garb does not read .tflite files.

--dtype chooses how a .safetensors file stores the weights: float16 takes half the
space, int8 a quarter. int8 weights have one scale per output channel. Answers are
computed in float32 in any case.`,
		Example: `  garb convert course_model.keras mine.safetensors --classes-from clothing-dataset-small
  garb convert resnet50.h5 resnet.safetensors --classes cat,dog --preprocess resnet50
  garb convert exported.onnx mine.safetensors --classes cat,dog --preprocess torch
  garb convert exported.onnx backbone.safetensors --preprocess torch
  garb convert clothing clothing.onnx --with-preprocessing
  garb convert clothing small.onnx --quantize int8
  garb convert runs/mine mine.keras
  garb convert garments garments.tflite --with-preprocessing
  garb convert model.keras xception.safetensors
  garb convert resnet18-f37072fd.pth resnet18.safetensors
  garb convert --dtype float16 runs/mine small.safetensors`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("convert needs a file to read and one to write, not %s",
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
	flags := command.Flags()
	flags.Var(&c.dtype, "dtype", "how to store the values: float32, float16 in half the space, or int8 in a quarter")
	flags.BoolVar(&c.force, "force", false, "overwrite the file to write")
	flags.StringSliceVar(&c.classes, "classes", nil, "names of the outputs, in order, comma-separated")
	flags.StringVar(&c.classesFrom, "classes-from", "", "take the names from the folders of a data set's `DIR`")
	flags.StringVar(&c.preprocess, "preprocess", "",
		"how pictures are prepared: "+strings.Join(convert.Preprocessings(),
			", "))
	flags.IntVar(&c.side, "size", 0, "side of the pictures, in pixels; 0: what the file says")
	flags.StringVar(&c.filter, "resize", "",
		"how pictures are resized: nearest, bilinear or bicubic; Keras's own way is nearest")
	flags.BoolVar(&c.withPreprocessing, "with-preprocessing", false,
		"let the written model take pictures of its size, 0 to 255, not prepared values")
	flags.StringVar(&c.quantize, "quantize", "",
		"store the weights of an ONNX model as `TYPE`: int8, in a quarter to a third of the space")
	command.MarkFlagsMutuallyExclusive("classes", "classes-from")
	return command
}

// check reports arguments and flags that contradict each other.
func (c *conversion) check(from, to string) error {
	c.from, c.to = from, to
	switch extension := strings.ToLower(filepath.Ext(to)); {
	case strings.EqualFold(filepath.Ext(from), ".tflite"):
		return fmt.Errorf("garb writes .tflite files and does not read them: convert what %s was made from", from)
	case extension != ".safetensors" && extension != ".onnx" && extension != ".keras" && extension != ".tflite":
		return fmt.Errorf("the file to write, %s, must end in .safetensors, .onnx, .keras or .tflite", to)
	case extension != ".safetensors" && c.dtype != dtypeFlag(tensor.Float32):
		return errors.New("--dtype is for .safetensors; other files have float32, and .onnx takes --quantize int8")
	case extension == ".safetensors" && c.withPreprocessing:
		return errors.New("--with-preprocessing is for .onnx, .keras and .tflite; a .safetensors file says how " +
			"pictures are prepared")
	case c.quantize != "" && c.quantize != "int8":
		return fmt.Errorf("--quantize %s: it is int8", c.quantize)
	case extension == ".safetensors" && c.quantize != "":
		return errors.New("--quantize is for .onnx; a .safetensors file takes --dtype int8")
	case extension != ".onnx" && c.quantize != "":
		return errors.New("--quantize is for .onnx")
	case c.side < 0:
		return fmt.Errorf("--size %d: a side is positive", c.side)
	}
	return nil
}

func (c *conversion) run(ctx context.Context, out io.Writer) error {
	isModel, native := model.IsModel(c.from), strings.EqualFold(filepath.Ext(c.to), ".safetensors")
	if isModel {
		if err := c.refuseFileFlags(); err != nil {
			return err
		}
	}
	if !isModel && !exists(c.from) {
		return fmt.Errorf("%s: there is no such file or run, and the built-in models are %s: %w", c.from,
			strings.Join(model.BuiltInNames(), ", "), fs.ErrNotExist)
	}
	switch {
	case isModel && native:
		return storeModel(out, c.from, c.to, tensor.DType(c.dtype))
	case isModel:
		return c.write(out, c.from)
	}
	whole := c.classes != nil || c.classesFrom != "" || !native || strings.EqualFold(filepath.Ext(c.from), ".onnx")
	if whole {
		return c.takeModel(ctx, out)
	}
	if err := c.refuseFileFlags(); err != nil {
		return err
	}
	err := convertWeights(out, c.from, c.to, tensor.DType(c.dtype))
	var none *keras.NotABackboneError
	if errors.As(err, &none) { // then it can only be meant as a whole
		return c.takeModel(ctx, out)
	}
	return err
}

// refuseFileFlags refuses flags about what a model of garb's says itself.
func (c *conversion) refuseFileFlags() error {
	if c.classes != nil || c.classesFrom != "" || c.preprocess != "" || c.side != 0 || c.filter != "" {
		return errors.New("--classes, --classes-from, --preprocess, --size and --resize are for whole models of " +
			"other programs' files")
	}
	return nil
}

// takeModel makes a model of another program's file.
func (c *conversion) takeModel(ctx context.Context, out io.Writer) error {
	o := convert.Options{Classes: c.classes, Preprocess: c.preprocess, Side: c.side, Filter: picture.Filter(c.filter),
		Unnamed: strings.EqualFold(filepath.Ext(c.to), ".safetensors")}
	if c.classesFrom != "" {
		var err error
		if o.Classes, err = convert.ClassesFrom(c.classesFrom); err != nil {
			return err
		}
	}
	in, err := convert.Read(ctx, c.from, o)
	if err != nil {
		return err
	}
	m := in.Model
	fmt.Fprintf(out, "read        %s: %s\n", c.from, in.Format)
	network := fmt.Sprintf("of its own, %s", count(len(m.Network)-1, "layer"))
	if m.Architecture != "" {
		network = m.Architecture + " with a head: its weights can be trained on"
	}
	values := 0
	for _, t := range m.Tensors {
		values += tensor.Len(t.Shape)
	}
	fmt.Fprintf(out, "network     %s\n", network)
	fmt.Fprintf(out, "parameters  %s in %s\n", groupDigits(values), count(len(m.Tensors), "tensor"))
	because := "asked for"
	if in.Recognised != "" {
		because = in.Recognised + "; --preprocess, --size and --resize choose another"
	}
	s := m.Preprocessing
	fmt.Fprintf(out, "pictures    %d × %d, %v, preprocessing %s, as %s\n", s.Width, s.Height, s.Filter, in.Preprocess,
		because)
	if m.Unnamed {
		fmt.Fprintf(out, "classes     none named (--classes names them): train on it by garb train --backbone %s\n",
			c.to)
	} else {
		fmt.Fprintf(out, "classes     %s\n", listClasses(m.Classes))
	}
	if in.Judged {
		fmt.Fprintln(out, "acceptance  dropped: garb does not read it back, so this model answers for every picture")
	}
	native := c.to
	if !strings.EqualFold(filepath.Ext(c.to), ".safetensors") { // from one program to another
		folder, err := os.MkdirTemp("", "garb-convert-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		native = filepath.Join(folder, strings.TrimSuffix(filepath.Base(c.to), filepath.Ext(c.to))+".safetensors")
	}
	if tensor.DType(c.dtype) != tensor.Float32 {
		m.Tensors = m.Tensors.As(tensor.DType(c.dtype))
		if err := m.SetGolden(ctx, nil); err != nil { // rounded weights answer otherwise
			return err
		}
	}
	if err := m.Save(native, tensor.DType(c.dtype)); err != nil {
		return err
	}
	if native != c.to {
		return c.write(out, native)
	}
	return reportFile(out, c.to, c.dtype)
}

// listClasses names classes, some of them if there are many.
func listClasses(classes []string) string {
	const most = 12
	if n := len(classes); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(classes[:most], ", "), n-most)
	}
	return strings.Join(classes, ", ")
}

// write writes a model for other programs.
func (c *conversion) write(out io.Writer, reference string) error {
	m, err := model.Open(reference, model.Options{})
	if err != nil {
		return err
	}
	written, err := convert.Write(c.to, m, convert.WriteOptions{Preprocessing: c.withPreprocessing,
		Int8: c.quantize == "int8"})
	if err != nil {
		return err
	}
	info, err := os.Stat(c.to)
	if err != nil {
		return err
	}
	s := m.Spec()
	shape := fmt.Sprintf("[n %d %d %d]", s.Height, s.Width, s.Channels())
	input := fmt.Sprintf("float32 %s: (sample − %v) / %v of red, green, blue", shape, s.Mean, s.Std)
	if s.Grey {
		input = fmt.Sprintf("float32 %s: (level of grey − %v) / %v", shape, s.Mean[0], s.Std[0])
	}
	if c.withPreprocessing {
		kind := "uint8"
		if strings.EqualFold(filepath.Ext(c.to), ".keras") {
			kind = "float32, 0 to 255,"
		}
		input = fmt.Sprintf("%s %s: pictures resized by %v", kind, shape, s.Filter)
	}
	fmt.Fprintf(out, "model       %s, %s\n", m.Name(), count(len(m.Classes()), "class"))
	fmt.Fprintf(out, "input       %s\n", input)
	switch {
	case written.Acceptance:
		fmt.Fprintf(out, "acceptance  output \"acceptance\", 0 to 1; below %.3f a picture is %q\n",
			m.AcceptanceThreshold(),
			escape(m.Description().Acceptance.Refusal))
	case written.WithoutAcceptance != "":
		fmt.Fprintf(out, "acceptance  dropped: %s. The file answers for every picture\n", written.WithoutAcceptance)
	}
	if c.quantize != "" {
		fmt.Fprintf(out, "weights     %s, with a scale for each output; depthwise kernels and small tensors float32\n",
			c.quantize)
	}
	fmt.Fprintf(out, "wrote       %s: %.1f MB\n", c.to, float64(info.Size())/1e6)
	return nil
}

// reportFile says what a file of garb's is.
func reportFile(out io.Writer, path string, dtype dtypeFlag) error {
	f, err := tensor.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote       %s: %s, %.1f MB\n", path, &dtype, float64(f.Size())/1e6)
	fmt.Fprintf(out, "digest      %s\n", f.Digest())
	return nil
}

// convertWeights takes a backbone's weights out of a file.
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

// storeModel writes a model of garb's with its values stored as dtype.
func storeModel(out io.Writer, from, to string, dtype tensor.DType) error {
	m, err := model.Store(from, to, dtype)
	if err != nil {
		return err
	}
	network := cmp.Or(m.Architecture, "a network of its own")
	fmt.Fprintf(out, "read        %s: a model of %s, %s\n", from, network, count(len(m.Classes), "class"))
	return reportFile(out, to, dtypeFlag(dtype))
}

func describeNetwork(architecture string, withTop bool) string {
	if withTop {
		return architecture + " with its top"
	}
	return architecture + " without top"
}

// groupDigits writes a count with commas: 20,861,480.
func groupDigits(n int) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// dtypeFlag is a tensor.DType by the name that people use.
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
	return errors.New("it is float32, float16 or int8")
}

func (d *dtypeFlag) Type() string { return "type" }
