package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
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

func newModelsShowCommand() *cobra.Command {
	var asJSON bool
	var svg string
	command := &cobra.Command{
		Use:   "show NAME|FILE|RUN",
		Short: "Describe a model or weights: network, input, parameters, and each layer with its time",
		Long: `Describe a model or weights: network, input, parameters, digest, licence, and its
layers in a table: what each gives (height × width × channels), its parameters, the
multiply-adds for one picture, the side of the square of pixels that one of its
values sees, and the time that it takes here, on one core. A batch-norm or activation
that has no time is computed as a part of the layer before it.`,
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
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().StringVar(&svg, "svg", "", "draw the network into a `FILE` instead")
	command.MarkFlagsMutuallyExclusive("json", "svg")
	return command
}

// description is what `models show` tells.
type description struct {
	Name         string            `json:"name"`
	Architecture string            `json:"architecture,omitempty"` // "" if the tensors are no backbone's
	WithTop      bool              `json:"with_top"`               // of weights: with the network's own top
	Input        *picture.Spec     `json:"input,omitempty"`
	Parameters   int               `json:"parameters"`
	Digest       string            `json:"digest"`
	Licence      string            `json:"licence,omitempty"`
	Origin       string            `json:"origin,omitempty"`
	Classes      []string          `json:"classes,omitempty"` // of a model
	Training     *model.Training   `json:"training,omitempty"`
	Acceptance   *model.Acceptance `json:"acceptance,omitempty"`
	Tensors      int               `json:"tensors,omitempty"` // of a file of weights
	Stored       []string          `json:"stored,omitempty"`  // float32, float16
	Bytes        int               `json:"bytes,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Layers       []layerRow        `json:"layers,omitempty"`

	network *nn.Graph // nil if the tensors are no network's
	weights nn.Weights
}

// describe describes weights or a model. Names of weights are not those of
// models; a file or folder is a model if it says so.
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

// describeSource describes weights that have a name.
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
		weights: n.Tensors,
	}
	if d.network, err = nn.NewGraph(n.Layers); err != nil {
		return nil, err
	}
	if d.Architecture == "" {
		d.Architecture = fmt.Sprintf("of its own, %s", count(len(n.Layers)-1, "layer"))
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

// listLabelChoices says how a training changed and chose the labels of its data set, and
// grouped the pictures: pairs of a word and names. A model whose record does not say has
// none.
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

// describePreprocessing says in a line what a network's preprocessing is.
func describePreprocessing(s picture.Spec) string {
	colours := "RGB"
	if s.Grey {
		colours = "grey"
	}
	text := fmt.Sprintf("%d×%d %s, %v, ", s.Width, s.Height, colours, s.Filter)
	switch {
	case s.Fit == picture.Crop && s.CropRatio != 0:
		text += fmt.Sprintf("the middle %.3g %%, ", 100*s.CropRatio)
	case s.Fit != picture.Stretch:
		text += string(s.Fit) + ", "
	}
	if m, d := s.Mean, s.Std; !s.PreparesAlike() {
		return text + fmt.Sprintf("(x − %.4g %.4g %.4g) / %.4g %.4g %.4g", m[0], m[1], m[2], d[0], d[1], d[2])
	}
	if s.Mean[0] == 0 && s.Std[0] == 1 {
		return text + "samples as they are"
	}
	return text + fmt.Sprintf("(x − %v) / %v", s.Mean[0], s.Std[0])
}

func (d *description) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", what, fmt.Sprintf(format, args...))
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
	row("parameters", "%s", groupDigits(d.Parameters))
	switch n := len(d.Classes); {
	case n > 20:
		row("classes", "%d", n)
	case n > 0:
		row("classes", "%s", strings.Join(d.Classes, ", "))
	}
	if t := d.Training; t != nil {
		if len(t.Averaged) > 0 {
			row("trained", "on %s; the mean of %s", count(t.Pictures[0], "picture"), count(len(t.Averaged), "model"))
		} else {
			row("trained", "by garb %s on %s, epoch %d", t.Garb, count(t.Pictures[0], "picture"), t.Epoch)
			row("accuracy", "%.3f on %s", t.Validation, count(t.Pictures[1], "validation picture"))
		}
		for _, choice := range listLabelChoices(t) {
			row(choice[0], "%s", escape(choice[1]))
		}
	}
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

// profile measures the network's layers on one core; both results are nil without one.
func (d *description) profile(ctx context.Context) (*nn.Graph, []time.Duration, error) {
	if d.network == nil {
		return nil, nil, nil
	}
	plan, err := nn.Compile(d.network, d.weights, nn.Options{Threads: 1})
	if err != nil {
		return nil, nil, err
	}
	const rounds = 9 // the fastest of them is the layer's own time, without what else runs here
	input := make([]float32, tensor.Len(plan.InputShape()))
	for i := range input {
		input[i] = float32(i%17)/8 - 1 // a network of zeros would be another's work: ReLUs let nothing through
	}
	times, err := plan.Profile(ctx, input, rounds)
	return d.network, times, err
}

// layerRow is a line of the table of layers.
type layerRow struct {
	Name           string  `json:"name,omitempty"`
	Does           string  `json:"does"`
	Shape          []int   `json:"shape"`
	Parameters     int     `json:"parameters"`
	MultiplyAdds   int     `json:"multiply_adds"`
	ReceptiveField int     `json:"receptive_field,omitempty"` // pixels; 0: the whole picture
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
	fmt.Fprintln(table, "\nLAYER\tDOES\tGIVES\tPARAMETERS\tMULTIPLY-ADDS\tSEES\tMILLISECONDS")
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
		sees, took := "all", "·"
		if r.ReceptiveField > 0 {
			sees = fmt.Sprintf("%d", r.ReceptiveField)
		}
		if r.Milliseconds > 0 {
			took = fmt.Sprintf("%.3f %s", r.Milliseconds,
				strings.Repeat("▪", int(math.Round(60*r.Milliseconds/total))))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Does, tensor.ShapeString(r.Shape),
			orDot(r.Parameters),
			orDot(r.MultiplyAdds), sees, took)
	}
	fmt.Fprintf(table, "together\t%s\t\t%s\t%s\t\t%.3f\n", count(len(rows)-1, "layer"), groupDigits(params), groupDigits(work),
		total)
	return table.Flush()
}

func drawNetwork(out io.Writer, path, title string, g *nn.Graph, times []time.Duration) error {
	if g == nil {
		return errors.New("these weights belong to no network that garb has, so there is nothing to draw")
	}
	if err := safefile.Write(path, func(w io.Writer) error { return diagram.WriteSVG(w, g, title, times) }); err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s: %s\n", path, count(len(g.Layers())-1, "layer"))
	return nil
}
