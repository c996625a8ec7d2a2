//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/explain"
	"garb/internal/safefile"
	"garb/model"
	"garb/project"
)

// mapFlags holds the flags of map.
type mapFlags struct {
	dataFlags
	model, data, out, method string
	limit                    int
	layout                   project.TSNE
}

// inputComponents is the number of principal components that t-SNE starts from. This reduces
// noise and time, and hardly changes the distances.
const inputComponents = 50

const mapHelp = `Draw a map of the pictures of a data set or of any tree of folders, from their embeddings
reduced to two dimensions. The map is one HTML file with a thumbnail of each picture:
point at one, zoom in, and move from picture to picture with the arrow keys.

t-SNE keeps neighbours together, but distances between far pictures mean nothing. PCA shows
the two directions of the largest variance. The same seed gives the same map.`

func newMapCommand() *cobra.Command {
	f := mapFlags{dataFlags: newDataFlags(), layout: project.DefaultTSNE()}
	command := &cobra.Command{
		Use:   "map --data DATA [flags]",
		Short: "Draw a map of pictures in which similar ones are close together",
		Long:  mapHelp,
		Example: `  garb map --data pictures
  garb map --data pictures --model runs/mine --out mine.html
  garb map --data pictures --method pca --limit 500`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0:
				return fmt.Errorf("map takes its pictures as --data, not as the argument %q", args[0])
			case f.data == "":
				return errors.New("map needs --data: a data set, or a folder of pictures")
			case f.method != methodTSNE && f.method != methodPCA:
				return fmt.Errorf("--method %q: it must be %s or %s", f.method, methodTSNE, methodPCA)
			case f.limit < 0:
				return fmt.Errorf("--limit %d: it must be a number of pictures, or 0 for all", f.limit)
			}
			return f.layout.Validate()
		},
		RunE: func(c *cobra.Command, _ []string) error { return runMap(c, f) },
	}
	flags := command.Flags()
	addModelFlag(flags, &f.model)
	flags.StringVar(&f.data, "data", "", "data set (a folder, a table or an archive), or any folder of pictures")
	f.add(command)
	flags.StringVar(&f.out, "out", "map.html", "HTML file to write")
	flags.StringVar(&f.method, "method", methodTSNE, "dimensionality reduction: tsne or pca")
	flags.Uint64Var(&f.layout.Seed, "seed", f.layout.Seed, "random seed")
	flags.IntVar(&f.limit, "limit", 5000,
		"draw at most N pictures, chosen at random (0 for all); the time of t-SNE grows with the square of N")
	flags.Float64Var(&f.layout.Perplexity, "perplexity", f.layout.Perplexity,
		"perplexity of t-SNE: roughly the number of neighbours of each picture")
	return command
}

func runMap(c *cobra.Command, f mapFlags) error {
	all, tally, err := listLabelledPictures(c, f.dataFlags, f.data)
	if err != nil {
		return err
	}
	if f.limit > 0 && len(all) > f.limit {
		say(c, "chose %d of %s at random; --limit 0 uses all", f.limit, count(len(all), "picture"))
		all = sample(all, f.limit, f.layout.Seed)
	}
	classifier, err := model.Open(f.model, model.Options{Threads: 1, Limits: f.options.Limits()})
	if err != nil {
		return err
	}
	atlas := &explain.Atlas{Title: "A map of " + filepath.Base(filepath.Clean(f.data)), Data: f.data,
		Model: classifier.Name()}
	embeddings, err := embedAll(c, classifier, all, f.data, atlas, tally)
	if err != nil {
		return err
	}
	if len(embeddings) == 0 {
		return fmt.Errorf("%s: no picture could be read, so there is nothing to draw", f.data)
	}
	atlas.Judged = haveClasses(atlas.Points, classifier.Classes())
	if err := f.place(c, embeddings, atlas); err != nil {
		return err
	}
	if err := safefile.Write(f.out, atlas.WritePage); err != nil {
		return fmt.Errorf("cannot write %s: %w", f.out, err)
	}
	fmt.Fprintf(openTextOut(c), "wrote %s: %s, by %s\n", f.out, count(len(atlas.Points), "picture"), atlas.Method)
	printSkips(c, tally)
	return f.close(c, len(embeddings), tally)
}

// sample chooses some pictures at random, and keeps their order.
func sample(all []labelledPicture, count int, seed uint64) []labelledPicture {
	chosen := rand.New(rand.NewPCG(seed, 0)).Perm(len(all))[:count]
	slices.Sort(chosen)
	some := make([]labelledPicture, count)
	for i, at := range chosen {
		some[i] = all[at]
	}
	return some
}

// examined holds the embedding and the prediction for a picture.
type examined struct {
	embedding  []float32
	prediction model.Prediction
	thumbnail  *image.NRGBA
}

// embedAll fills an atlas, and returns the embedding of each of its pictures. It skips and
// counts pictures that cannot be read.
func embedAll(c *cobra.Command, classifier *model.Classifier, all []labelledPicture, root string, atlas *explain.Atlas,
	tally *dataset.Tally) ([][]float32, error) {
	bar := newCounter(c, "pictures", len(all))
	defer bar.finish()
	var embeddings [][]float32
	i := -1
	err := each(c.Context(), listSources(all), c.InOrStdin(), classifier.Limits(),
		func(ctx context.Context, data []byte) (examined, error) { return examine(ctx, classifier, data) },
		func(a outcome[examined]) error {
			i++
			bar.add(1)
			if a.err != nil {
				tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
				return nil
			}
			atlas.Add(explain.Point{
				Class: all[i].class, Part: all[i].part, Path: shortenPath(root, a.source.name),
				Answer: a.value.prediction.Class, Probability: a.value.prediction.Probability,
			}, a.value.thumbnail)
			embeddings = append(embeddings, a.value.embedding)
			return nil
		})
	return embeddings, err
}

func examine(ctx context.Context, classifier *model.Classifier, data []byte) (examined, error) {
	spec := classifier.Spec()
	p, _, err := spec.Decode(ctx, data, classifier.Limits())
	if err != nil {
		return examined{}, err
	}
	input := make([]float32, spec.ValueCount())
	spec.Tensor(p, input)
	s := examined{embedding: make([]float32, classifier.FeatureCount()),
		thumbnail: explain.Fit(p, explain.ThumbnailSide)}
	if err := classifier.Features(ctx, input, s.embedding); err != nil {
		return examined{}, err
	}
	logits := make([]float32, len(classifier.Classes()))
	if err := classifier.HeadLogits(ctx, s.embedding, logits); err != nil {
		return examined{}, err
	}
	s.prediction = classifier.Predictions(logits)[0]
	return s, nil
}

// haveClasses reports whether all pictures are labelled with classes of the model.
func haveClasses(points []explain.Point, classes []string) bool {
	return !slices.ContainsFunc(points, func(p explain.Point) bool { return !slices.Contains(classes, p.Class) })
}

// place reduces the embeddings to two dimensions.
func (f mapFlags) place(c *cobra.Command, embeddings [][]float32, atlas *explain.Atlas) error {
	components := inputComponents
	if f.method == methodPCA {
		components = 2
	}
	rows, shares, err := project.PCA(c.Context(), embeddings, components, f.layout.Seed)
	if err != nil {
		return err
	}
	if f.method == methodPCA {
		atlas.Method = "principal components"
		atlas.Note = fmt.Sprintf("horizontal: %.0f %% of the variance, vertical: %.0f %%", 100*shares[0], 100*shares[1])
		for i, row := range rows {
			atlas.Points[i].X, atlas.Points[i].Y = row[0], row[1]
		}
		return nil
	}
	bar := newCounter(c, "steps", f.layout.Iterations)
	defer bar.finish()
	f.layout.Progress = func(int) { bar.add(1) }
	points, divergence, err := f.layout.Layout(c.Context(), rows)
	if err != nil {
		return err
	}
	atlas.Method = "t-SNE"
	atlas.Note = fmt.Sprintf("perplexity %v, seed %d, divergence %.2f", f.layout.Perplexity, f.layout.Seed, divergence)
	for i, p := range points {
		atlas.Points[i].X, atlas.Points[i].Y = p[0], p[1]
	}
	return nil
}
