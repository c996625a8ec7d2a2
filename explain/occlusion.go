package explain

import (
	"context"

	"garb/model"
	"garb/picture"
)

// Model is a classifier as this package needs one; *model.Classifier is.
type Model interface {
	Spec() picture.Spec
	Classes() []string
	Logits(ctx context.Context, inputs, logits []float32) error
	Predictions(logits []float32) []model.Prediction
}

// Occlusion's grid: so many places across, a square of two of them covered at a time.
const occlusionCells = 14

// occlusionBatch is the number of covered inputs that are computed together, unless they
// have more than maxCovered values together.
const (
	occlusionBatch = 14
	maxCovered     = 1 << 22
)

// Occlusions is the number of answers that Occlusion computes.
const Occlusions = occlusionCells * occlusionCells

// covered is the level, of 255, of the square that covers: mid-grey.
const covered = 127.5

// Occlusion slides a grey square, a seventh of the input's side, over an input and notes at
// each place by how much the probability of each of some classes falls (Zeiler and Fergus
// 2014). So a value above zero means that the class needs what was covered, and one below that
// it does better without. progress hears of each batch of answers. The error is ctx's.
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

// cover lays the square round a place of the grid over an input.
func cover(input []float32, spec picture.Spec, row, column int) {
	// The square has the cell in its middle, and half a cell on each side.
	bounds := func(cell, side int) (from, to int) {
		return max((2*cell-1)*side/(2*occlusionCells), 0),
			min(((2*cell+3)*side+2*occlusionCells-1)/(2*occlusionCells), side)
	}
	top, bottom := bounds(row, spec.Height)
	left, right := bounds(column, spec.Width)
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			for c := range spec.Channels() {
				input[spec.Channels()*(y*spec.Width+x)+c] = (covered - spec.Mean[c]) / spec.Std[c]
			}
		}
	}
}

// probabilities are those of the classes in the order of the logits.
func probabilities(m Model, logits []float32) []float64 {
	all := make([]float64, len(logits))
	predictions := m.Predictions(logits)
	for i, class := range model.Ranking(logits) {
		all[class] = predictions[i].Probability
	}
	return all
}
