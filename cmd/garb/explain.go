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

// explainFlags holds the flags of explain.
type explainFlags struct {
	dataFlags
	model, out, neighbours string
	classes, layers        []string
	top                    int
	page, force            bool
}

const explainHelp = `Visualize what a model sees in a picture. The results are files in a folder:

  cam-CLASS.png        class activation map: evidence for and against a class
  gradcam-CLASS.png    Grad-CAM: evidence for a class, for any network
  occlusion-CLASS.png  occlusion map: change in probability when a part is covered
  features-LAYER.png   feature maps of a layer, channel by channel
  filters.png          filters of the first layer
  neighbours.png       the pictures of a folder with the most similar embeddings
  explain.json         all results as numbers
  index.html           a page with everything, with --html

Without --class, the most probable classes are explained. Without --layer, some layers from
the first to the last are shown. A layer without a name is selected by its position. If
there is no layer of that name, the error lists all layers.

Ctrl-C stops and keeps what has been drawn.`

func newExplainCommand() *cobra.Command {
	f := explainFlags{dataFlags: newDataFlags()}
	command := &cobra.Command{
		Use:   "explain --out DIR [flags] PICTURE",
		Short: "Visualize what a model sees in a picture",
		Long:  explainHelp,
		Example: `  garb explain photo.jpg --out look --html
  garb explain photo.jpg --out look --class dress --class skirt --force
  garb explain photo.jpg --out look --model runs/mine --neighbours pictures --html
  garb explain photo.jpg --out look --layer stem/conv --layer 42`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("explain needs one picture: a file, or - for standard input")
			case f.out == "":
				return errors.New("explain needs --out: the folder to write to")
			case f.top < 1:
				return fmt.Errorf("--top %d: it must be at least 1", f.top)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runExplain(c, args[0], f) },
	}
	flags := command.Flags()
	addModelFlag(flags, &f.model)
	flags.StringVar(&f.out, "out", "", "output folder")
	flags.StringArrayVar(&f.classes, "class", nil, "class to explain; repeatable (default the most probable classes)")
	flags.IntVar(&f.top, "top", 3, "number of most probable classes to explain")
	flags.StringArrayVar(&f.layers, "layer", nil,
		"layer whose feature maps to draw, by name or position; repeatable (default some layers)")
	flags.StringVar(&f.neighbours, "neighbours", "",
		"find the nearest pictures in this data set (such as the training data) or folder")
	f.add(command)
	flags.BoolVar(&f.page, "html", false, "write a page with everything, index.html")
	flags.BoolVar(&f.force, "force", false,
		"write to a folder that is not empty, and replace the files of an earlier explain")
	return command
}

// explanation is the work of explain on one picture.
type explanation struct {
	*cobra.Command
	explainFlags
	classifier *model.Classifier
	layers     *explain.Layers
	picture    *picture.RGB
	input      []float32
	classes    []int
	maps       []int             // layers
	all        []labelledPicture // candidates for neighbours
	tally      *dataset.Tally    // nil without --neighbours
	compared   int               // number of candidates that could be read
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

// prepare checks everything that can be wrong before anything is written.
func (l *explanation) prepare(path string) error {
	path, err := l.openPicture(path)
	if err != nil {
		return err
	}
	spec := l.classifier.Spec()
	row := make([]float32, l.classifier.OutputCount())
	if err = l.classifier.Outputs(l.Context(), l.input, row); err != nil {
		return err
	}
	answer, logits := l.classifier.Answer(row), row[:len(l.classifier.Classes())]
	if err = l.chooseClasses(logits); err != nil {
		return err
	}
	network, err := l.classifier.Network()
	if err != nil {
		return err
	}
	if l.layers, err = explain.NewLayers(network); err != nil {
		return err
	}
	if err = l.chooseLayers(); err != nil {
		return err
	}
	if l.neighbours != "" {
		if l.all, l.tally, err = listTrainingPictures(l.Command, l.dataFlags, l.neighbours); err != nil {
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

// openPicture reads the picture and opens the model. It returns the path of the picture.
func (l *explanation) openPicture(path string) (string, error) {
	files := expand([]string{path})
	if len(files) > 1 {
		return "", fmt.Errorf("%s matches %s; explain takes one picture", path, count(len(files), "file"))
	}
	path = files[0].name
	data, err := files[0].read(l.InOrStdin(), l.options.Limits())
	if err != nil {
		return "", fmt.Errorf("%s: %s", path, explainError(err))
	}
	if l.classifier, err = model.Open(l.model, model.Options{Limits: l.options.Limits()}); err != nil {
		return "", err
	}
	spec := l.classifier.Spec()
	if l.picture, _, err = spec.DecodeWhole(l.Context(), data, l.classifier.Limits()); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	l.input = make([]float32, spec.ValueCount())
	spec.Tensor(l.picture, l.input)
	return path, nil
}

// maxListed is the maximum number of classes that an error lists.
const maxListed = 40

func (l *explanation) chooseClasses(logits []float32) error {
	ranking, names := model.Rank(logits), l.classifier.Classes()
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
			return fmt.Errorf("--class %q: the model has no such class; its classes are %s%s", name,
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

// draw draws everything, the quick parts first.
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

// drawCAM draws the class activation map, with evidence for and against each class, and
// Grad-CAM, which shows only the evidence for it.
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
		cam := explain.Overlay{Signed: true, Low: "against", High: "for"}
		if err := l.drawMap(explain.KindCAM, class, m, cam); err != nil {
			return err
		}
		gradCAM := explain.Overlay{Low: "none", High: "most"}
		if err := l.drawMap(explain.KindGradCAM, class, explain.GradCAM(m), gradCAM); err != nil {
			return err
		}
	}
	return nil
}

func (l *explanation) drawOcclusion(ctx context.Context) error {
	bar := newCounter(l.Command, "occlusions", explain.Occlusions)
	maps, err := explain.Occlusion(ctx, l.classifier, l.input, l.classes, bar.add)
	bar.finish()
	if err != nil {
		return err
	}
	for i, class := range l.classes {
		most := max(slices.Max(maps[i].Values), -slices.Min(maps[i].Values))
		o := explain.Overlay{
			Signed: true, Low: fmt.Sprintf("+%.1f %%", 100*most), High: fmt.Sprintf("-%.1f %%", 100*most),
		}
		if err := l.drawMap(explain.KindOcclusion, class, maps[i], o); err != nil {
			return err
		}
	}
	return nil
}

// mapTitles are the titles of the kinds of maps.
var mapTitles = map[string]string{
	explain.KindCAM: "activation", explain.KindGradCAM: "Grad-CAM", explain.KindOcclusion: "occlusion",
}

// drawMap draws a map as an overlay on the picture.
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
		l.found.LeftOut = append(l.found.LeftOut, "Filters: the first layer is not a convolution over colours.")
		return nil
	}
	file, err := l.folder.draw("filters", "", m)
	l.found.Filters = &explain.FiltersFile{File: file, Layer: layer, Shape: shape}
	return err
}

// finish writes the findings, and prints a summary.
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
		err := l.folder.write(open, func(w io.Writer) error { return explain.WritePage(w, l.out, &l.found) })
		if err != nil {
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
	return l.close(l.Command, l.compared, l.tally)
}

// encodePNG returns a function that writes a picture as PNG.
func encodePNG(m image.Image) func(io.Writer) error {
	return func(w io.Writer) error { return png.Encode(w, m) }
}
