package explain

import (
	"context"

	"garb/model"
	"garb/picture"
)

// Model is the part of a classifier that Occlusion needs.
type Model interface {
	Spec() picture.Spec
	Classes() []string
	Logits(ctx context.Context, inputs, logits []float32) error
	Predictions(logits []float32) []model.Prediction
}

// occlusionCells is the number of cells along each side of Occlusion's grid. The square that
// covers the input is two cells wide.
const occlusionCells = 14

// Occlusion computes batches of occlusionBatch covered inputs, or fewer if they would have
// more than maxCovered values together.
const (
	occlusionBatch = 14
	maxCovered     = 1 << 22
)

// Occlusions is the number of covered inputs that Occlusion computes.
const Occlusions = occlusionCells * occlusionCells

// coverLevel is the grey level of the square that covers the input, from 0 to 255.
const coverLevel = 127.5

// Occlusion moves a grey square, a seventh of the input's side wide, over an input. For each
// of the classes it returns a map of how much the class's probability falls (Zeiler and Fergus
// 2014): a positive value means that the class depends on what was covered, a negative one that
// it is more probable without. Occlusion calls progress after each batch with its size. Errors
// are ctx's or m's.
func Occlusion(ctx context.Context, m Model, input []float32, classes []int,
	progress func(n int)) ([]*model.ActivationMap, error) {
	spec, count := m.Spec(), len(m.Classes())
	together := max(1, min(occlusionBatch, maxCovered/len(input)))
	logits := make([]float32, together*count)
	if err := m.Logits(ctx, input, logits[:count]); err != nil {
		return nil, err
	}
	whole := probabilities(m, logits[:count])
	maps := make([]*model.ActivationMap, len(classes))
	for i := range maps {
		maps[i] = &model.ActivationMap{Height: occlusionCells, Width: occlusionCells,
			Values: make([]float32, Occlusions)}
	}
	inputs := make([]float32, together*len(input))
	for from := 0; from < Occlusions; from += together {
		batch := min(together, Occlusions-from)
		for i := range batch {
			place := from + i
			one := inputs[i*len(input):][:len(input)]
			copy(one, input)
			cover(one, spec, place/occlusionCells, place%occlusionCells)
		}
		if err := m.Logits(ctx, inputs[:batch*len(input)], logits[:batch*count]); err != nil {
			return nil, err
		}
		for i := range batch {
			p := probabilities(m, logits[i*count:][:count])
			for j, class := range classes {
				maps[j].Values[from+i] = float32(whole[class] - p[class])
			}
		}
		progress(batch)
	}
	return maps, nil
}

// cover draws the grey square around a cell of the grid on an input.
func cover(input []float32, spec picture.Spec, row, column int) {
	// The cell is in the middle of the square, with half a cell on each side.
	bounds := func(cell, side int) (from, to int) {
		return max((2*cell-1)*side/(2*occlusionCells), 0),
			min(((2*cell+3)*side+2*occlusionCells-1)/(2*occlusionCells), side)
	}
	top, bottom := bounds(row, spec.Height)
	left, right := bounds(column, spec.Width)
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			for c := range spec.Channels() {
				input[spec.Channels()*(y*spec.Width+x)+c] = (coverLevel - spec.Mean[c]) / spec.Std[c]
			}
		}
	}
}

// probabilities returns the probabilities of the classes in the order of the logits.
func probabilities(m Model, logits []float32) []float64 {
	all := make([]float64, len(logits))
	predictions := m.Predictions(logits)
	for i, class := range model.Rank(logits) {
		all[class] = predictions[i].Probability
	}
	return all
}
