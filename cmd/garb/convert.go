package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb"
	"garb/tensor"
	"garb/weights"
)

func newConvertCommand() *cobra.Command {
	dtype := dtypeFlag(tensor.Float32)
	var force bool
	command := &cobra.Command{
		Use:   "convert FILE OUT.safetensors",
		Short: "Turn a Keras file into weights for garb",
		Long: `Turn a file of Keras into weights for garb, without Python: a .keras archive, a
.weights.h5 file, or an .h5 file of any version of Keras. FILE may also be a
safetensors file of garb's, weights or model, or a run's folder, to store it
otherwise: float16 takes half the space, int8 a quarter. Of int8, each output of a
layer has a scale of its own, and answers are computed in float32 as ever.

The networks that garb has are Keras's Xception, also inside another model, and
the small network Conv2D(32), MaxPooling2D, Flatten, Dense(64), Dense(1).`,
		Example: `  garb convert model.keras xception.safetensors
  garb convert --dtype float16 model.h5 xception.safetensors
  garb convert --dtype float16 runs/mine small.safetensors`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("convert needs a file to read and one to write, not %d arguments", len(args))
			}
			if !strings.EqualFold(filepath.Ext(args[1]), ".safetensors") {
				return fmt.Errorf("the file to write, %s, must end in .safetensors", args[1])
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			return convert(command.OutOrStdout(), args[0], args[1], tensor.DType(dtype), force)
		},
	}
	command.Flags().Var(&dtype, "dtype", "how to store the values: float32, float16 in half the space, or int8 in a quarter")
	command.Flags().BoolVar(&force, "force", false, "overwrite OUT.safetensors")
	return command
}

func convert(out io.Writer, from, to string, dtype tensor.DType, force bool) error {
	if _, err := os.Stat(to); err == nil && !force {
		return fmt.Errorf("%s exists; choose another name or use --force", to)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if garb.IsModel(from) {
		return storeModel(out, from, to, dtype)
	}
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
	f, err := tensor.ReadFile(to)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "read        %s: %s\n", from, n.Format)
	fmt.Fprintf(out, "network     %s\n", networkText(n.Architecture, n.WithTop))
	fmt.Fprintf(out, "parameters  %s in %d tensors\n", grouped(n.ParameterCount()), len(n.Tensors))
	if len(n.LeftOut) > 0 {
		fmt.Fprintf(out, "left out    %s\n", strings.Join(n.LeftOut, ", "))
	}
	fmt.Fprintf(out, "wrote       %s: %s, %.1f MB\n", to, (*dtypeFlag)(&dtype), float64(f.Size())/1e6)
	fmt.Fprintf(out, "digest      %s\n", f.Digest())
	return nil
}

// storeModel writes a model of garb's with its values stored as dtype.
func storeModel(out io.Writer, from, to string, dtype tensor.DType) error {
	m, err := garb.Store(from, to, dtype)
	if err != nil {
		return err
	}
	f, err := tensor.ReadFile(to)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "read        %s: a model of %s, %d classes\n", from, m.Architecture, len(m.Classes))
	fmt.Fprintf(out, "wrote       %s: %s, %.1f MB\n", to, (*dtypeFlag)(&dtype), float64(f.Size())/1e6)
	fmt.Fprintf(out, "digest      %s\n", f.Digest())
	return nil
}

func networkText(architecture string, withTop bool) string {
	if withTop {
		return architecture + " with its top"
	}
	return architecture + " without top"
}

// grouped writes a count with commas: 20,861,480.
func grouped(n int) string {
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
