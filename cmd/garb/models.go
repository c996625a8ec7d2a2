package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/convert"
	"garb/internal/download"
	"garb/model"
	"garb/picture"
	"garb/weights"
)

func newModelsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "models",
		Aliases: []string{"model"},
		Short:   "List, download and describe models and pretrained weights",
		Example: `  garb models list
  garb models pull xception
  garb models show xception`,
		Args: refuseArguments,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newModelsListCommand(), newModelsPullCommand(), newModelsShowCommand())
	return command
}

func newModelsListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List models and pretrained weights",
		Example: `  garb models list --json`,
		Args:    refuseArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return listModels(command.OutOrStdout(), asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return command
}

// modelState is a line of `models list`.
type modelState struct {
	weights.Source
	Kind       string       `json:"kind"`  // "model", or "weights" to train on
	State      string       `json:"state"` // "built in", "pulled", "not pulled"
	Path       string       `json:"path,omitempty"`
	Input      picture.Spec `json:"input"`
	Parameters int          `json:"parameters,omitempty"` // of weights
}

// describeSourceState returns the line of `models list` for weights, as if they were built in.
func describeSourceState(s weights.Source) (modelState, error) {
	m := modelState{Source: s, Kind: "weights", State: "built in"}
	if about := s.Application; about != nil {
		var err error
		m.Parameters = about.Parameters
		m.Input, err = convert.ApplicationSpec(*about)
		return m, err
	}
	a, err := backbone.Lookup(s.Architecture)
	if err != nil {
		return m, err
	}
	g := a.Features(a.MinSide, a.MinSide)
	if s.WithTop {
		g = a.WithTop(a.MinSide, a.MinSide)
	}
	m.Input, m.Parameters = a.Spec, g.ParamCount()
	return m, nil
}

// builtInModels describes the models in the binary.
var builtInModels = []weights.Source{
	{Name: model.Clothing, Architecture: "efficientnet-lite0", BuiltIn: true, Licence: "Apache-2.0",
		Description: "garments, 10 classes", Origin: "garb train"},
	{Name: model.Garments, Architecture: "efficientnet-lite0", BuiltIn: true, Licence: "Apache-2.0",
		Description: "garments, 17 classes", Origin: "garb train"},
	{Name: model.ImageNet, Architecture: "efficientnet-lite0", BuiltIn: true, WithTop: true, Licence: "Apache-2.0",
		Description: "ImageNet, 1000 classes", Origin: "the weights efficientnet-lite0"},
}

func listModels(out io.Writer, asJSON bool) error {
	all, err := listModelStates()
	if err != nil {
		return err
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
	fmt.Fprintln(table, "NAME\tKIND\tNETWORK\tSTATE\tLICENCE\tPARAMETERS\tINPUT\tDESCRIPTION")
	for _, m := range all {
		parameters := ""
		if m.Parameters > 0 {
			parameters = fmt.Sprintf("%.1f M", float64(m.Parameters)/1e6)
		}
		network := m.Architecture
		if m.Application != nil {
			network = m.Application.Keras
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Kind, network, m.State, m.Licence, parameters,
			describePreprocessing(m.Input), m.Description)
	}
	return table.Flush()
}

// listModelStates lists the built-in models and all weights.
func listModelStates() ([]modelState, error) {
	var all []modelState
	for _, s := range builtInModels {
		if !slices.Contains(model.BuiltInNames(), s.Name) {
			continue
		}
		m, err := model.Open(s.Name, model.Options{})
		if err != nil {
			return nil, err
		}
		all = append(all, modelState{Source: s, Kind: "model", State: "built in", Input: m.Spec()})
	}
	for _, s := range weights.Sources() {
		m, err := describeSourceState(s)
		if err != nil {
			return nil, err
		}
		if !s.BuiltIn {
			path, err := s.Path()
			if err != nil {
				return nil, err
			}
			m.State = "not pulled"
			if exists(path) {
				m.State, m.Path = "pulled", path
			}
		}
		all = append(all, m)
	}
	return all, nil
}

const modelsPullHelp = `Download pretrained weights from their official source, verify their digest, and store
them in garb's cache folder: GARB_HOME, or garb in the user's cache folder. The proxy
variables HTTPS_PROXY and NO_PROXY are respected.

Networks of keras.applications are named keras- and their Keras name in lower case, such as
keras-mobilenetv2 and keras-efficientnetb0. They are backbones for garb train and embed.`

func newModelsPullCommand() *cobra.Command {
	var file, url string
	var asJSON bool
	command := &cobra.Command{
		Use:   "pull NAME",
		Short: "Download pretrained weights",
		Long:  modelsPullHelp,
		Example: `  garb models pull xception
  garb models pull keras-efficientnetb0
  garb models pull xception --from xception_weights_tf_dim_ordering_tf_kernels_notop.h5
  garb models pull resnet18 --from resnet18-f37072fd.pth`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("pull needs the name of weights: %s", strings.Join(listPullable(), ", "))
			}
			if !slices.Contains(listPullable(), args[0]) {
				return fmt.Errorf("unknown weights %q; %s", args[0],
					suggest(args[0], listPullable(), "the names are "))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			s, _ := weights.Lookup(args[0])
			if url != "" {
				s.URL = url
			}
			path, err := pull(command, s, file)
			if err != nil {
				return err
			}
			return showPulled(command.OutOrStdout(), s, path, asJSON)
		},
	}
	command.Flags().StringVar(&file, "from", "", "read the official file from `FILE` instead of downloading it")
	command.Flags().StringVar(&url, "url", "", "download the official file from `URL`, such as a mirror")
	command.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	command.MarkFlagsMutuallyExclusive("from", "url")
	return command
}

// pull downloads the file of a source, or reads a copy of it, and stores its weights. It
// returns their path.
func pull(command *cobra.Command, s weights.Source, file string) (path string, err error) {
	var data []byte
	origin := s.URL
	if file != "" {
		origin = file
		data, err = weights.ReadCopy(s, file)
	} else {
		p := newDownloadProgress(openProgress(command), s.Name)
		data, err = weights.Download(command.Context(), download.DefaultClient(), s, p.report)
		p.finish()
	}
	if err != nil {
		return "", err
	}
	if s.MD5 == "" && s.SHA256Prefix == "" {
		fmt.Fprintf(command.ErrOrStderr(), "%s: no digest is published to verify it; its SHA-256 is %x\n", origin,
			sha256.Sum256(data))
	}
	if s.Application != nil {
		return convert.KeepApplication(command.Context(), s, origin, data)
	}
	return weights.Keep(s, origin, data)
}

// listPullable lists the names of weights that are not built in.
func listPullable() []string {
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
	fmt.Fprintf(out, "%s is in %s: %s parameters, %s\n", s.Name, path, groupDigits(d.Parameters), d.Digest)
	return nil
}

// downloadProgress shows the progress of a download: with a bar on a terminal, otherwise with
// a line at every tenth.
type downloadProgress struct {
	out    io.Writer
	name   string
	bar    *bar  // nil if lines are printed instead
	tenths int64 // printed so far
	began  time.Time

	done, total atomic.Int64
}

func newDownloadProgress(out io.Writer, name string) *downloadProgress {
	p := &downloadProgress{out: out, name: name, began: time.Now()}
	p.bar = newBar(out, p.formatLine)
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

// formatLine returns the line that a terminal shows.
func (p *downloadProgress) formatLine() string {
	done, total := p.done.Load(), p.total.Load()
	text := fmt.Sprintf("%s %.1f MB", p.name, float64(done)/1e6)
	if total <= 0 || done == 0 {
		return text
	}
	share := float64(done) / float64(total)
	return fmt.Sprintf("%s / %.1f MB %s %v", text, float64(total)/1e6, drawBar(share, 48),
		estimateRemaining(p.began, share))
}

// finish ends the bar, complete or not.
func (p *downloadProgress) finish() {
	if p.bar != nil {
		p.bar.end(true)
	}
}
