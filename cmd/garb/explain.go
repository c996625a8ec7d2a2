package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/explain"
	"garb/model"
	"garb/picture"
)

// explainFlags say what to look at.
type explainFlags struct {
	dataFlags
	model, out, neighbours string
	classes, layers        []string
	top                    int
	page, force            bool
}

func newExplainCommand() *cobra.Command {
	f := explainFlags{dataFlags: newDataFlags()}
	command := &cobra.Command{
		Use:   "explain --out DIR [flags] PICTURE",
		Short: "Show what a network sees in a picture",
		Long: `Show what a network sees in a picture, as pictures in a folder:

  cam-CLASS.png        what speaks for a class, and what against it
  gradcam-CLASS.png    what the class rests on, for any network
  occlusion-CLASS.png  by how much less sure it is where the picture is covered
  features-LAYER.png   what a layer makes of the picture, channel by channel
  filters.png          what the first layer looks for
  neighbours.png       the pictures of a folder that it sees most like this one
  explain.json         all of it in figures; --html writes a page, index.html, too

Without --class these are the most probable classes, without --layer some layers
from the first to the last. A layer without a name of its own is called by its
place; a name that there is not is answered with all there are.

Ctrl-C keeps what is drawn by then.`,
		Example: `  garb explain photo.jpg --out look --html
  garb explain photo.jpg --out look --class dress --class skirt --force
  garb explain photo.jpg --out look --model runs/mine --neighbours pictures --html
  garb explain photo.jpg --out look --layer stem/conv --layer 42`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("explain needs one picture, a file or - for standard input")
			case f.out == "":
				return errors.New("explain needs --out, the folder to write to")
			case f.top < 1:
				return fmt.Errorf("--top %d: there is at least one class to look at", f.top)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runExplain(c, args[0], f) },
	}
	flags := command.Flags()
	flags.StringVar(&f.model, "model", model.Clothing, "model: a file, a run's folder, clothing, garments or imagenet")
	flags.StringVar(&f.out, "out", "", "folder to write to")
	flags.StringArrayVar(&f.classes, "class", nil, "class to look at, again for more (default the most probable)")
	flags.IntVar(&f.top, "top", 3, "how many of the most probable classes to look at")
	flags.StringArrayVar(&f.layers, "layer", nil,
		"layer whose feature maps to draw, by name or place, again for more (default some)")
	flags.StringVar(&f.neighbours, "neighbours", "",
		"data set, such as the training data, or any folder to find the nearest pictures in")
	f.dataFlags.add(command)
	flags.BoolVar(&f.page, "html", false, "write a page with everything, index.html")
	flags.BoolVar(&f.force, "force", false,
		"write into a folder that has files, replacing those of an earlier explain")
	return command
}

// explanation is a picture being looked at.
type explanation struct {
	*cobra.Command
	explainFlags
	classifier *model.Classifier
	layers     *explain.Layers
	picture    *picture.RGB
	input      []float32
	classes    []int
	maps       []int             // layers
	all        []labelledPicture // to find neighbours in
	tally      *dataset.Tally    // what gave none; nil without neighbours
	compared   int               // pictures that could be
	folder     outFolder
	found      explain.Findings
}

func runExplain(c *cobra.Command, path string, f explainFlags) error {
	l := &explanation{Command: c, explainFlags: f}
	if err := l.prepare(path); err != nil {
		return err
	}
	err := l.draw(c.Context())
	if err != nil && c.Context().Err() == nil {
		return err
	}
	l.found.Stopped = err != nil
	return errors.Join(err, l.finish())
}

// prepare finds out all that can be wrong before anything is written.
func (l *explanation) prepare(path string) error {
	files := expand([]string{path})
	if len(files) > 1 {
		return fmt.Errorf("%s matches %s; explain takes one picture", path, count(len(files), "file"))
	}
	path = files[0].name
	data, err := files[0].read(l.InOrStdin(), picture.DefaultLimits())
	if err != nil {
		return fmt.Errorf("%s: %s", path, explainError(err))
	}
	if l.classifier, err = model.Open(l.model, model.Options{}); err != nil {
		return err
	}
	spec := l.classifier.Spec()
	if l.picture, err = picture.Decode(l.Context(), data, l.classifier.Limits()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	l.input = make([]float32, spec.ValueCount())
	spec.Tensor(l.picture, l.input)
	row := make([]float32, l.classifier.OutputCount())
	if err := l.classifier.Outputs(l.Context(), l.input, row); err != nil {
		return err
	}
	answer, logits := l.classifier.Answer(row), row[:len(l.classifier.Classes())]
	if err := l.chooseClasses(logits); err != nil {
		return err
	}
	network, err := l.classifier.Network()
	if err != nil {
		return err
	}
	if l.layers, err = explain.NewLayers(network); err != nil {
		return err
	}
	if err := l.chooseLayers(); err != nil {
		return err
	}
	if l.neighbours != "" {
		if l.all, l.tally, err = trainingPictures(l.Command, l.dataFlags, l.neighbours); err != nil {
			return err
		}
	}
	l.found = explain.Findings{
		Picture: path, Width: l.picture.Width, Height: l.picture.Height,
		Model: l.classifier.Name(), Digest: l.classifier.Digest(), Input: [2]int{spec.Width, spec.Height},
		Predictions: l.classifier.List(answer.Predictions[:min(max(l.top, len(l.classes)), len(logits))]),
		Maps:        []explain.MapFile{}, Layers: []explain.LayerFile{},
	}
	if !answer.Accepted {
		l.found.Refused = answer.Refusal
	}
	l.folder, err = openOutFolder(l.out, l.force)
	return err
}

// maxListed is the number of classes that an error lists.
const maxListed = 40

func (l *explanation) chooseClasses(logits []float32) error {
	ranking, names := model.Ranking(logits), l.classifier.Classes()
	if len(l.explainFlags.classes) == 0 {
		l.classes = ranking[:min(l.top, len(ranking))]
		return nil
	}
	for _, name := range l.explainFlags.classes {
		at := slices.IndexFunc(ranking, func(class int) bool { return names[class] == name })
		if at < 0 {
			var known []string
			for _, class := range ranking[:min(len(ranking), maxListed)] {
				known = append(known, names[class])
			}
			more := ""
			if len(ranking) > maxListed {
				more = fmt.Sprintf(" (the most probable of %d)", len(ranking))
			}
			return fmt.Errorf("--class %q: the model has no such class; there are %s%s", name,
				strings.Join(known, ", "), more)
		}
		if !slices.Contains(l.classes, ranking[at]) {
			l.classes = append(l.classes, ranking[at])
		}
	}
	return nil
}

func (l *explanation) chooseLayers() error {
	if len(l.explainFlags.layers) == 0 {
		l.maps = l.layers.Spread()
		return nil
	}
	for _, name := range l.explainFlags.layers {
		i, err := l.layers.Find(name)
		if err != nil {
			return fmt.Errorf("--layer: %w", err)
		}
		if !slices.Contains(l.maps, i) {
			l.maps = append(l.maps, i)
		}
	}
	return nil
}

// draw draws everything, what is quick first.
func (l *explanation) draw(ctx context.Context) error {
	for _, part := range []func(context.Context) error{l.drawCAM, l.drawLayers, l.drawFilters, l.drawOcclusion,
		l.drawNeighbours} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drawCAM draws what speaks for a class and against it, and Grad-CAM, which shows the
// former alone.
func (l *explanation) drawCAM(ctx context.Context) error {
	for _, class := range l.classes {
		m, err := l.classifier.ActivationMap(ctx, l.input, class)
		if errors.Is(err, model.ErrNoActivationMap) {
			l.found.LeftOut = append(l.found.LeftOut, "Class activation maps: "+err.Error()+".")
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.drawMap(explain.KindCAM, class, m, explain.Overlay{Signed: true, Low: "against",
			High: "for"}); err != nil {
			return err
		}
		if err := l.drawMap(explain.KindGradCAM, class, explain.GradCAM(m), explain.Overlay{Low: "nothing",
			High: "most"}); err != nil {
			return err
		}
	}
	return nil
}

func (l *explanation) drawOcclusion(ctx context.Context) error {
	bar := newCounter(l.Command, "covered", explain.Occlusions)
	maps, err := explain.Occlusion(ctx, l.classifier, l.input, l.classes, bar.add)
	bar.finish()
	if err != nil {
		return err
	}
	for i, class := range l.classes {
		most := max(slices.Max(maps[i].Values), -slices.Min(maps[i].Values))
		o := explain.Overlay{Signed: true, Low: fmt.Sprintf("+%.1f %%", 100*most),
			High: fmt.Sprintf("-%.1f %%", 100*most)}
		if err := l.drawMap(explain.KindOcclusion, class, maps[i], o); err != nil {
			return err
		}
	}
	return nil
}

// mapTitles say what each kind of map shows of a class.
var mapTitles = map[string]string{
	explain.KindCAM: "activation", explain.KindGradCAM: "Grad-CAM", explain.KindOcclusion: "if covered",
}

// drawMap lays a map over the picture.
func (l *explanation) drawMap(kind string, class int, m *model.ActivationMap, o explain.Overlay) error {
	name := l.classifier.Classes()[class]
	o.Map, o.Title = m, name+": "+mapTitles[kind]
	file, err := l.folder.draw(kind, name, o.Draw(l.picture, l.classifier.Spec()))
	if err != nil {
		return err
	}
	l.found.Maps = append(l.found.Maps, explain.MapFile{
		File: file, Kind: kind, Class: name, Height: m.Height, Width: m.Width,
		Range: [2]float32{slices.Min(m.Values), slices.Max(m.Values)},
	})
	return nil
}

func (l *explanation) drawLayers(ctx context.Context) error {
	for _, i := range l.maps {
		m, err := l.layers.ComputeMap(ctx, i, l.input)
		if err != nil {
			return err
		}
		channels := m.Strongest()
		file, err := l.folder.draw("features", m.Layer, m.DrawGrid(channels))
		if err != nil {
			return err
		}
		low, high := m.Range()
		l.found.Layers = append(l.found.Layers, explain.LayerFile{
			File: file, Layer: m.Layer, Number: m.Number, Op: m.Op,
			Shape: [3]int{m.Height, m.Width, m.Channels}, Channels: channels, Range: [2]float32{low, high},
		})
	}
	return nil
}

func (l *explanation) drawFilters(context.Context) error {
	m, layer, shape := l.layers.DrawFilters()
	if m == nil {
		l.found.LeftOut = append(l.found.LeftOut, "Filters: the network begins with no convolution that sees colours.")
		return nil
	}
	file, err := l.folder.draw("filters", "", m)
	l.found.Filters = &explain.FiltersFile{File: file, Layer: layer, Shape: shape}
	return err
}

// finish writes the findings, and says what there is.
func (l *explanation) finish() error {
	err := l.folder.write("explain.json", func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(l.found)
	})
	if err != nil {
		return err
	}
	open := "explain.json"
	if l.page {
		open = "index.html"
		if err := l.folder.write(open, func(w io.Writer) error {
			return explain.WritePage(w, l.out,
				&l.found)
		}); err != nil {
			return err
		}
	}
	if l.found.Refused != "" {
		fmt.Fprintf(openTextOut(l.Command), "refused as %q; closest to:\n", escape(l.found.Refused))
	}
	for _, p := range l.found.Predictions {
		fmt.Fprintf(openTextOut(l.Command), "%5.1f %%  %s\n", 100*p.Probability, p.Class)
	}
	for _, text := range l.found.LeftOut {
		fmt.Fprintln(openTextOut(l.Command), text)
	}
	fmt.Fprintf(openTextOut(l.Command), "wrote %s: %s; see %s\n", l.out, count(l.folder.pictures, "picture"),
		filepath.Join(l.out, open))
	if l.tally == nil {
		return nil
	}
	printSkips(l.Command, l.tally)
	return l.dataFlags.close(l.Command, l.compared, l.tally)
}

// encodePNG writes a picture.
func encodePNG(m image.Image) func(io.Writer) error {
	return func(w io.Writer) error { return png.Encode(w, m) }
}
