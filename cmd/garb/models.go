package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"garb"
	"garb/backbone"
	"garb/internal/download"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

func newModelsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "models",
		Short: "List, get and describe pretrained weights",
		Example: `  garb models list
  garb models pull xception
  garb models show xception`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("models has no subcommand %q; it has list, pull and show", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newModelsListCommand(), newModelsPullCommand(), newModelsShowCommand())
	return command
}

func newModelsListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the weights that garb knows",
		Example: `  garb models list --json`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return listModels(command.OutOrStdout(), asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return command
}

// modelState is a line of `models list`.
type modelState struct {
	weights.Source
	Kind  string `json:"kind"`  // "model", which classifies, or "weights", to train on
	State string `json:"state"` // "built in", "pulled", "not pulled"
	Path  string `json:"path,omitempty"`
}

// builtInModels are the models in the binary, as sources of their own.
var builtInModels = []weights.Source{
	{Name: garb.Clothing, Architecture: "efficientnet-lite0", BuiltIn: true, Licence: "Apache-2.0",
		Description: "garments, 10 classes", Origin: "garb train"},
	{Name: garb.ImageNet, Architecture: "efficientnet-lite0", BuiltIn: true, WithTop: true, Licence: "Apache-2.0",
		Description: "ImageNet, 1000 classes", Origin: "the weights efficientnet-lite0"},
}

func listModels(out io.Writer, asJSON bool) error {
	var all []modelState
	for _, s := range builtInModels {
		all = append(all, modelState{Source: s, Kind: "model", State: "built in"})
	}
	for _, s := range weights.Sources() {
		m := modelState{Source: s, Kind: "weights", State: "built in"}
		if !s.BuiltIn {
			path, err := s.Path()
			if err != nil {
				return err
			}
			m.State = "not pulled"
			if _, err := os.Stat(path); err == nil {
				m.State, m.Path = "pulled", path
			}
		}
		all = append(all, m)
	}
	if asJSON {
		for _, m := range all {
			if err := json.NewEncoder(out).Encode(m); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tKIND\tNETWORK\tSTATE\tLICENCE\tWHAT")
	for _, m := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Kind, m.Architecture, m.State, m.Licence, m.Description)
	}
	return table.Flush()
}

func newModelsPullCommand() *cobra.Command {
	var file, url string
	var asJSON bool
	command := &cobra.Command{
		Use:   "pull NAME",
		Short: "Get weights from their official source",
		Long: `Get weights from their official source, check their digest, and keep them in
garb's folder: GARB_HOME, or garb in the user's cache folder. The proxy variables
HTTPS_PROXY and NO_PROXY are obeyed.`,
		Example: `  garb models pull xception
  garb models pull xception --from xception_weights_tf_dim_ordering_tf_kernels_notop.h5`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("pull needs the name of weights: %s", strings.Join(pullable(), ", "))
			}
			if !slices.Contains(pullable(), args[0]) {
				return fmt.Errorf("no weights to pull are named %q; there are: %s", args[0], strings.Join(pullable(), ", "))
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return pullable(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(command *cobra.Command, args []string) error {
			s, _ := weights.Lookup(args[0])
			if url != "" {
				s.URL = url
			}
			var path string
			var err error
			if file != "" {
				path, err = weights.PullFile(s, file)
			} else {
				p := newDownloadProgress(command.ErrOrStderr(), s.Name)
				path, err = weights.Pull(command.Context(), download.DefaultClient(), s, p.report)
				p.finish()
			}
			if err != nil {
				return err
			}
			return showPulled(command.OutOrStdout(), s, path, asJSON)
		},
	}
	command.Flags().StringVar(&file, "from", "", "take the official file from `FILE` instead of the network")
	command.Flags().StringVar(&url, "url", "", "take the official file from another `URL`, such as a mirror")
	command.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	command.MarkFlagsMutuallyExclusive("from", "url")
	return command
}

// pullable returns the names of weights that are not built in.
func pullable() []string {
	var names []string
	for _, s := range weights.Sources() {
		if !s.BuiltIn {
			names = append(names, s.Name)
		}
	}
	return names
}

func showPulled(out io.Writer, s weights.Source, path string, asJSON bool) error {
	d, err := describe(s.Name)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(d)
	}
	fmt.Fprintf(out, "%s is in %s: %s parameters, %s\n", s.Name, path, grouped(d.Parameters), d.Digest)
	return nil
}

// downloadProgress shows how far a download is: a bar on a terminal, else a line
// at every tenth.
type downloadProgress struct {
	out    io.Writer
	name   string
	bar    *bar  // nil where there is no terminal
	tenths int64 // said so far
	began  time.Time

	done, total atomic.Int64
}

func newDownloadProgress(out io.Writer, name string) *downloadProgress {
	p := &downloadProgress{out: out, name: name, began: time.Now()}
	p.bar = newBar(out, p.line)
	return p
}

func (p *downloadProgress) report(done, total int64) {
	p.done.Store(done)
	p.total.Store(total)
	if p.bar != nil || total <= 0 {
		return
	}
	if tenths := done * 10 / total; tenths > p.tenths {
		p.tenths = tenths
		fmt.Fprintf(p.out, "%s: %d of %d MB\n", p.name, done/1e6, total/1e6)
	}
}

// line is what a terminal shows.
func (p *downloadProgress) line() string {
	done, total := p.done.Load(), p.total.Load()
	text := fmt.Sprintf("%s %.1f MB", p.name, float64(done)/1e6)
	if total <= 0 || done == 0 {
		return text
	}
	share := float64(done) / float64(total)
	return text + fmt.Sprintf(" / %.1f MB %s %v", float64(total)/1e6, filled(share, 48), remaining(p.began, share))
}

// finish ends the bar, complete or not.
func (p *downloadProgress) finish() {
	if p.bar != nil {
		p.bar.end(true)
	}
}

func newModelsShowCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "show NAME|FILE|RUN",
		Short: "Describe a model or weights: network, input, parameters, digest, licence",
		Example: `  garb models show clothing
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
			if asJSON {
				return json.NewEncoder(command.OutOrStdout()).Encode(d)
			}
			return d.print(command.OutOrStdout())
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
	Training     *garb.Training    `json:"training,omitempty"`
	Tensors      int               `json:"tensors,omitempty"` // of a file of weights
	Stored       []string          `json:"stored,omitempty"`  // float32, float16
	Bytes        int               `json:"bytes,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// describe describes weights or a model. Names of weights are not those of
// models; a file or folder is a model if it says so.
func describe(reference string) (*description, error) {
	if s, ok := weights.Lookup(reference); ok {
		d, err := describeWeights(reference)
		if err == nil {
			d.Licence, d.Origin = s.Licence, s.Origin
		}
		return d, err
	}
	m, err := garb.Open(reference, garb.Options{})
	if info, statErr := os.Stat(reference); errors.Is(err, garb.ErrNotModel) && statErr == nil && !info.IsDir() {
		return describeWeights(reference)
	}
	if err != nil {
		return nil, err
	}
	about := m.Model()
	a, err := backbone.Lookup(about.Architecture)
	if err != nil {
		return nil, err
	}
	d := &description{
		Name: m.Name(), Architecture: a.Name, Input: &about.Preprocessing,
		Digest: m.Digest(), Classes: m.Classes(), Training: about.Training,
	}
	d.Parameters = a.Features(about.Preprocessing.Height, about.Preprocessing.Width).ParamCount() +
		(a.FeatureCount+1)*len(d.Classes)
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
	d := &description{Name: reference, Tensors: len(f.Names()), Bytes: f.Size(), Digest: f.Digest(), Metadata: f.Metadata}
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
	}
	return d, nil
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
		row("network", "%s", networkText(d.Architecture, d.WithTop))
	}
	if i := d.Input; i != nil {
		row("input", "%d×%d RGB, %v, (x − %v) / %v", i.Width, i.Height, i.Filter, i.Mean[0], i.Std[0])
	}
	row("parameters", "%s", grouped(d.Parameters))
	switch n := len(d.Classes); {
	case n > 20:
		row("classes", "%d", n)
	case n > 0:
		row("classes", "%s", strings.Join(d.Classes, ", "))
	}
	if t := d.Training; t != nil {
		row("trained", "by garb %s on %d pictures, epoch %d", t.Garb, t.Pictures[0], t.Epoch)
		row("accuracy", "%.3f on %d validation pictures", t.Validation, t.Pictures[1])
	}
	if len(d.Stored) > 0 {
		row("stored", "%d tensors, %s, %.1f MB", d.Tensors, strings.Join(d.Stored, " and "), float64(d.Bytes)/1e6)
	}
	row("digest", "%s", d.Digest)
	if d.Licence != "" {
		row("licence", "%s", d.Licence)
		row("origin", "%s", d.Origin)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		row("· "+key, "%.200s", d.Metadata[key])
	}
	return table.Flush()
}
