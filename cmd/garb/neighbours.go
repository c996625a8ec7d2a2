package main

import (
	"context"
	"fmt"
	"os"

	"garb/dataset"
	"garb/explain"
	"garb/model"
	"garb/picture"
)

// Dimensions of the sheet of neighbours.
const (
	shownNeighbours  = 8
	neighbourSide    = 140 // pixels
	neighbourColumns = 5
)

// drawNeighbours draws the pictures of a folder with the most similar embeddings.
func (l *explanation) drawNeighbours(ctx context.Context) error {
	if len(l.all) == 0 {
		return nil
	}
	near, err := l.compare(ctx)
	if err != nil {
		return err
	}
	if len(near) == 0 {
		l.found.LeftOut = append(l.found.LeftOut,
			"Neighbours: "+l.neighbours+" has no other readable picture.")
		return nil
	}
	found := &explain.NeighboursFile{
		Folder: l.neighbours, Compared: len(near), Nearest: explain.Nearest(near, shownNeighbours),
	}
	tiles := []explain.Tile{{
		Picture: explain.Fit(l.picture, neighbourSide),
		Lines:   []string{"this picture", l.found.Predictions[0].Class + "?"},
	}}
	for _, n := range found.Nearest {
		var p *picture.RGB
		if p, err = readPicture(ctx, n.Path, l.classifier.Limits()); err != nil {
			return err
		}
		tiles = append(tiles, explain.Tile{
			Picture: explain.Fit(p, neighbourSide), Lines: []string{n.Class, fmt.Sprintf("%.3f", n.Similarity)},
		})
	}
	title := fmt.Sprintf("nearest of %s, with their class and the cosine similarity of the embeddings",
		count(len(near), "picture"))
	if found.File, err = l.folder.draw("neighbours", "", explain.DrawGrid(title, tiles, neighbourColumns)); err != nil {
		return err
	}
	l.found.Neighbours = found
	return nil
}

// compare returns the similarity of all pictures of the folder, except the picture itself.
func (l *explanation) compare(ctx context.Context) ([]explain.Neighbour, error) {
	classifier, err := model.Open(l.model, model.Options{Threads: 1, Limits: l.options.Limits()})
	if err != nil {
		return nil, err
	}
	own := make([]float32, classifier.FeatureCount())
	if err = classifier.Features(ctx, l.input, own); err != nil {
		return nil, err
	}
	self, _ := os.Stat(l.found.Picture)
	var near []explain.Neighbour
	bar := newCounter(l.Command, "neighbours", len(l.all))
	defer bar.finish()
	i := -1
	err = each(ctx, listSources(l.all), l.InOrStdin(), classifier.Limits(), classifier.Embed,
		func(a outcome[[]float32]) error {
			i++
			bar.add(1)
			if a.err != nil {
				l.tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
				return nil
			}
			if info, statErr := os.Stat(a.source.name); statErr == nil && self != nil && os.SameFile(info, self) {
				return nil
			}
			l.compared++
			near = append(near, explain.Neighbour{
				Path: a.source.name, Class: l.all[i].class, Similarity: explain.Similarity(own, a.value),
			})
			return nil
		})
	return near, err
}

// readPicture reads and decodes a file.
func readPicture(ctx context.Context, path string, limits picture.Limits) (*picture.RGB, error) {
	data, err := source{name: path}.read(nil, limits)
	if err != nil {
		return nil, err
	}
	p, err := picture.Decode(ctx, data, limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
