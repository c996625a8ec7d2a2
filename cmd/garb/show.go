package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/diagram"
	"garb/internal/safefile"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

const modelsShowHelp = `Describe a model or weights: network, input, number of parameters, digest and licence. A
table lists the layers: output shape (height × width × channels), parameters, multiply-adds
per picture, receptive field (side of the square, in pixels), and the time on one core of
this machine. Batch-norm and activation layers without a time are fused into the layer
before.`

func newModelsShowCommand() *cobra.Command {
	var asJSON bool
	var svg string
	command := &cobra.Command{
		Use:   "show NAME|FILE|RUN",
		Short: "Describe a model or weights, with the time of each layer",
		Long:  modelsShowHelp,
		Example: `  garb models show clothing
  garb models show clothing --svg network.svg
  garb models show efficientnet-lite0
  garb models show runs/first --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("show needs one name, file or run, not %d", len(args))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			d, err := describe(args[0])
			if err != nil {
				return err
			}
			g, times, err := d.profile(command.Context())
			if err != nil {
				return err
			}
			if svg != "" {
				return drawNetwork(command.OutOrStdout(), svg, d.Name, g, times)
			}
			if g != nil {
				d.Layers = makeLayerRows(g, times)
			}
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(d)
			}
			return d.print(openTextOut(command))
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	command.Flags().StringVar(&svg, "svg", "", "draw the network as SVG to `FILE` instead")
	command.MarkFlagsMutuallyExclusive("json", "svg")
	return command
}

// description holds what `models show` prints, and is its JSON.
type description struct {
	Name         string            `json:"name"`
	Architecture string            `json:"architecture,omitempty"` // "" if the tensors belong to no known network
	WithTop      bool              `json:"with_top"`               // for weights: with the network's own classifier
	Input        *picture.Spec     `json:"input,omitempty"`
	Parameters   int               `json:"parameters"`
	Digest       string            `json:"digest"`
	Licence      string            `json:"licence,omitempty"`
	Origin       string            `json:"origin,omitempty"`
	Classes      []string          `json:"classes,omitempty"` // for a model
	Signature    *model.Signature  `json:"signature,omitempty"`
	Training     *model.Training   `json:"training,omitempty"`
	Acceptance   *model.Acceptance `json:"acceptance,omitempty"`
	Tensors      int               `json:"tensors,omitempty"` // for weights
	Stored       []string          `json:"stored,omitempty"`  // float32, float16
	Bytes        int               `json:"bytes,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Layers       []layerRow        `json:"layers,omitempty"`

	network *nn.Graph // nil if the tensors belong to no known network
	weights nn.Weights
}

// describe describes weights or a model. Names of weights and models are distinct.
func describe(reference string) (*description, error) {
	if s, ok := weights.Lookup(reference); ok {
		d, err := describeSource(s)
		if err == nil {
			d.Licence, d.Origin = s.Licence, s.Origin
		}
		return d, err
	}
	if info, err := os.Stat(reference); err == nil && !info.IsDir() && !model.IsModel(reference) {
		return describeWeights(reference)
	}
	return describeModel(reference)
}

// describeSource describes weights with a known name.
func describeSource(s weights.Source) (*description, error) {
	if s.Application == nil {
		return describeWeights(s.Name)
	}
	path, err := s.Path()
	if err != nil {
		return nil, err
	}
	if !exists(path) {
		return nil, &weights.MissingError{Name: s.Name, Path: path}
	}
	d, err := describeModel(path)
	if err != nil {
		return nil, err
	}
	d.Name, d.Architecture, d.Classes = s.Name, "keras.applications."+s.Application.Keras, nil
	return d, nil
}

func describeModel(reference string) (*description, error) {
	m, err := model.Open(reference, model.Options{})
	if err != nil {
		return nil, err
	}
	about := m.Description()
	n, err := m.Network()
	if err != nil {
		return nil, err
	}
	d := &description{
		Name: m.Name(), Architecture: about.Architecture, Input: &about.Preprocessing,
		Digest: m.Digest(), Classes: m.Classes(), Training: about.Training, Acceptance: about.Acceptance,
		Signature: about.Signature, weights: n.Tensors,
	}
	if d.network, err = nn.NewGraph(n.Layers); err != nil {
		return nil, err
	}
	if d.Architecture == "" {
		d.Architecture = fmt.Sprintf("custom, %s", count(len(n.Layers)-1, "layer"))
	}
	d.Parameters = d.network.ParamCount()
	for _, s := range builtInModels {
		if s.Name == reference {
			d.Licence, d.Origin = s.Licence, s.Origin
		}
	}
	return d, nil
}

func describeWeights(reference string) (*description, error) {
	f, err := weights.Open(reference)
	if err != nil {
		return nil, err
	}
	d := &description{Name: reference, Tensors: len(f.Names()), Bytes: f.Size(), Digest: f.Digest(),
		Metadata: f.Metadata}
	for _, n := range f.Names() {
		d.Parameters += tensor.Len(f.Shape(n))
		if stored := dtypeNames[f.DType(n)]; !slices.Contains(d.Stored, stored) {
			d.Stored = append(d.Stored, stored)
		}
	}
	if architecture, withTop, ok := weights.Recognise(f); ok {
		d.Architecture, d.WithTop = architecture, withTop
		a, err := backbone.Lookup(architecture)
		if err != nil {
			return nil, err
		}
		d.Input = &a.Spec
		d.weights = f
		if d.network = a.Features(a.Spec.Height, a.Spec.Width); withTop {
			d.network = a.WithTop(a.Spec.Height, a.Spec.Width)
		}
	}
	return d, nil
}

// listLabelChoices returns rows that say how a training merged and chose labels, and grouped
// pictures. It returns none for a model without such a record.
func listLabelChoices(t *model.Training) (choices [][2]string) {
	var record dataRecord
	if json.Unmarshal(t.Settings, &record) != nil {
		return nil
	}
	o := record.Options
	merged := mergeValue{names: &o.Merge}
	for _, choice := range [][2]string{
		{"merged", strings.Join(merged.GetSlice(), ", ")}, {"excluded", strings.Join(o.Exclude, ", ")},
		{"chosen", strings.Join(o.Classes, ", ")}, {"grouped by", o.GroupBy + o.GroupPattern},
	} {
		if choice[1] != "" {
			choices = append(choices, choice)
		}
	}
	return choices
}

// describeSignature describes the names of a converted model's input and output on one line.
func describeSignature(s *model.Signature) string {
	return fmt.Sprintf("input %s, output %s: %s", cmp.Or(s.Input, "unnamed"),
		cmp.Or(s.Output, "unnamed"), s.Values)
}

// describePreprocessing describes the preprocessing of a network on one line.
func describePreprocessing(s picture.Spec) string {
	colours := "RGB"
	if s.Grey {
		colours = "grey"
	}
	text := fmt.Sprintf("%d×%d %s, %v, ", s.Width, s.Height, colours, s.Filter)
	if s.Orientation == picture.IgnoreOrientation {
		text += "EXIF orientation ignored, "
	}
	switch {
	case s.Fit == picture.Crop && s.CropRatio != 0:
		text += fmt.Sprintf("centre crop %.3g %%, ", 100*s.CropRatio)
	case s.Fit != picture.Stretch:
		text += string(s.Fit) + ", "
	}
	if m, d := s.Mean, s.Std; !s.PreparesAlike() {
		return text + fmt.Sprintf("(x − %.4g %.4g %.4g) / %.4g %.4g %.4g", m[0], m[1], m[2], d[0], d[1], d[2])
	}
	if s.Mean[0] == 0 && s.Std[0] == 1 {
		return text + "no normalization"
	}
	return text + fmt.Sprintf("(x − %v) / %v", s.Mean[0], s.Std[0])
}

func (d *description) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("name", "%s", d.Name)
	switch {
	case d.Classes != nil:
		row("network", "%s", d.Architecture)
	case d.Architecture != "":
		row("network", "%s", describeNetwork(d.Architecture, d.WithTop))
	}
	if i := d.Input; i != nil {
		row("input", "%s", describePreprocessing(*i))
	}
	if d.Signature != nil {
		row("signature", "%s", describeSignature(d.Signature))
	}
	row("parameters", "%s", groupDigits(d.Parameters))
	switch n := len(d.Classes); {
	case n > 20:
		row("classes", "%d", n)
	case n > 0:
		row("classes", "%s", strings.Join(d.Classes, ", "))
	}
	d.printTraining(row)
	if d.Acceptance != nil {
		for _, r := range formatAcceptance(d.Acceptance) {
			row(r[0], "%s", r[1])
		}
	}
	if len(d.Stored) > 0 {
		row("stored", "%s, %s, %.1f MB", count(d.Tensors, "tensor"), strings.Join(d.Stored, " and "),
			float64(d.Bytes)/1e6)
	}
	row("digest", "%s", d.Digest)
	if d.Licence != "" {
		row("licence", "%s", d.Licence)
		row("origin", "%s", d.Origin)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		row("· "+key, "%.200s", d.Metadata[key])
	}
	if err := table.Flush(); err != nil || d.Layers == nil {
		return err
	}
	return printLayers(out, d.Layers)
}

// printTraining prints the rows about the training of a model.
func (d *description) printTraining(row func(name, format string, args ...any)) {
	t := d.Training
	if t == nil {
		return
	}
	if len(t.Averaged) > 0 {
		row("trained", "on %s; average of %s", count(t.Pictures[0], "picture"), count(len(t.Averaged), "model"))
	} else {
		row("trained", "by garb %s on %s, epoch %d", t.Garb, count(t.Pictures[0], "picture"), t.Epoch)
		row("accuracy", "%.3f on %s", t.Validation, count(t.Pictures[1], "validation picture"))
	}
	for _, choice := range listLabelChoices(t) {
		row(choice[0], "%s", escape(choice[1]))
	}
}

// profile measures the time of each layer on one core. Both results are nil without a network.
func (d *description) profile(ctx context.Context) (*nn.Graph, []time.Duration, error) {
	if d.network == nil {
		return nil, nil, nil
	}
	plan, err := nn.Compile(d.network, d.weights, nn.Options{Threads: 1})
	if err != nil {
		return nil, nil, err
	}
	const rounds = 9 // the fastest one excludes time taken by other processes
	input := make([]float32, tensor.Len(plan.InputShape()))
	for i := range input {
		input[i] = float32(float32(i%17)/8) - 1 // zeros would be unrealistic: ReLUs would block everything
	}
	times, err := plan.Profile(ctx, input, rounds)
	return d.network, times, err
}

// layerRow is a row of the table of layers.
type layerRow struct {
	Name           string  `json:"name,omitempty"`
	Does           string  `json:"does"`
	Shape          []int   `json:"shape"`
	Parameters     int     `json:"parameters"`
	MultiplyAdds   int     `json:"multiply_adds"`
	ReceptiveField int     `json:"receptive_field,omitempty"` // pixels; 0 for the whole picture
	Milliseconds   float64 `json:"milliseconds"`
}

func makeLayerRows(g *nn.Graph, times []time.Duration) []layerRow {
	var rows []layerRow
	for i, s := range g.Summary() {
		rows = append(rows, layerRow{
			s.Layer.Name, s.Layer.String(), s.Shape, s.Params, s.MultiplyAdds, s.ReceptiveField,
			float64(times[i].Nanoseconds()) / 1e6,
		})
	}
	return rows
}

func printLayers(out io.Writer, rows []layerRow) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nLAYER\tOPERATION\tOUTPUT\tPARAMETERS\tMULTIPLY-ADDS\tRECEPTIVE FIELD\tMILLISECONDS")
	var params, work int
	var total float64
	for _, r := range rows {
		params, work, total = params+r.Parameters, work+r.MultiplyAdds, total+r.Milliseconds
	}
	orDot := func(n int) string {
		if n == 0 {
			return "·"
		}
		return groupDigits(n)
	}
	for _, r := range rows {
		field, took := "all", "·"
		if r.ReceptiveField > 0 {
			field = strconv.Itoa(r.ReceptiveField)
		}
		if r.Milliseconds > 0 {
			took = fmt.Sprintf("%.3f %s", r.Milliseconds,
				strings.Repeat("▪", int(math.Round(60*r.Milliseconds/total))))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Does, tensor.ShapeString(r.Shape),
			orDot(r.Parameters), orDot(r.MultiplyAdds), field, took)
	}
	fmt.Fprintf(table, "total\t%s\t\t%s\t%s\t\t%.3f\n", count(len(rows)-1, "layer"), groupDigits(params),
		groupDigits(work), total)
	return table.Flush()
}

func drawNetwork(out io.Writer, path, title string, g *nn.Graph, times []time.Duration) error {
	if g == nil {
		return errors.New("these weights belong to no known network, so there is nothing to draw")
	}
	err := safefile.Write(path, func(w io.Writer) error { return diagram.WriteSVG(w, g, title, times) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s: %s\n", path, count(len(g.Layers())-1, "layer"))
	return nil
}
