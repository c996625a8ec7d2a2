package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"garb/backbone"
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
	State string `json:"state"` // "built in", "pulled", "not pulled"
	Path  string `json:"path,omitempty"`
}

func listModels(out io.Writer, asJSON bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(table, "NAME\tNETWORK\tSTATE\tLICENCE\tWHAT")
	}
	for _, s := range weights.Sources() {
		m := modelState{Source: s, State: "built in"}
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
		if asJSON {
			if err := json.NewEncoder(out).Encode(m); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Architecture, m.State, m.Licence, m.Description)
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
				path, err = weights.Pull(command.Context(), weights.DefaultClient(), s, p.report)
				p.finish(err == nil)
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
	d, err := describe(path, func() (*tensor.File, error) { return tensor.ReadFile(path) })
	if err != nil {
		return err
	}
	d.Name = s.Name
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
	bars   *mpb.Progress
	bar    *mpb.Bar
	tenths int64 // said so far
}

func newDownloadProgress(out io.Writer, name string) *downloadProgress {
	p := &downloadProgress{out: out, name: name}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return p
}

func (p *downloadProgress) report(done, total int64) {
	if p.bars != nil {
		if p.bar == nil {
			p.bar = p.bars.AddBar(max(total, 0),
				mpb.PrependDecorators(decor.Name(p.name+" "), decor.Counters(decor.SizeB1000(0), "% .1f / % .1f")),
				mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
		}
		p.bar.SetCurrent(done)
		return
	}
	if total <= 0 {
		return
	}
	if tenths := done * 10 / total; tenths > p.tenths {
		p.tenths = tenths
		fmt.Fprintf(p.out, "%s: %d of %d MB\n", p.name, done/1e6, total/1e6)
	}
}

// finish ends the bar, complete or not.
func (p *downloadProgress) finish(complete bool) {
	if p.bars == nil {
		return
	}
	if p.bar != nil && complete {
		p.bar.SetTotal(-1, true)
	} else if p.bar != nil {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}

func newModelsShowCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Describe weights: network, input, parameters, digest, licence",
		Example: `  garb models show efficientnet-lite0
  garb models show runs/first/checkpoints/first_07_0.853.safetensors --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("show needs one name or file, not %d", len(args))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			d, err := describe(args[0], func() (*tensor.File, error) { return weights.Open(args[0]) })
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
	WithTop      bool              `json:"with_top"`
	Input        *inputDescription `json:"input,omitempty"`
	Parameters   int               `json:"parameters"`
	Tensors      int               `json:"tensors"`
	Stored       []string          `json:"stored"` // float32, float16
	Bytes        int               `json:"bytes"`
	Digest       string            `json:"digest"`
	Licence      string            `json:"licence,omitempty"`
	Origin       string            `json:"origin,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// inputDescription is the preprocessing that the weights expect.
type inputDescription struct {
	Width  int        `json:"width"`
	Height int        `json:"height"`
	Filter string     `json:"filter"`
	Mean   [3]float32 `json:"mean"`
	Std    [3]float32 `json:"std"`
}

func describe(name string, open func() (*tensor.File, error)) (*description, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	d := &description{Name: name, Tensors: len(f.Names()), Bytes: f.Size(), Digest: f.Digest(), Metadata: f.Metadata}
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
		d.Input = &inputDescription{a.Spec.Width, a.Spec.Height, fmt.Sprint(a.Spec.Filter), a.Spec.Mean, a.Spec.Std}
	}
	if s, ok := weights.Lookup(name); ok {
		d.Licence, d.Origin = s.Licence, s.Origin
	}
	return d, nil
}

func (d *description) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	row("name", "%s", d.Name)
	if d.Architecture != "" {
		row("network", "%s", networkText(d.Architecture, d.WithTop))
	}
	if i := d.Input; i != nil {
		row("input", "%d×%d RGB, %s, (x − %v) / %v", i.Width, i.Height, i.Filter, i.Mean[0], i.Std[0])
	}
	row("parameters", "%s in %d tensors", grouped(d.Parameters), d.Tensors)
	row("stored", "%s, %.1f MB", strings.Join(d.Stored, " and "), float64(d.Bytes)/1e6)
	row("digest", "%s", d.Digest)
	if d.Licence != "" {
		row("licence", "%s", d.Licence)
		row("origin", "%s", d.Origin)
	}
	for _, key := range sortedKeys(d.Metadata) {
		row("· "+key, "%.200s", d.Metadata[key])
	}
	return table.Flush()
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
