package main

import (
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
)

// predictionTable writes answers as CSV (RFC 4180). The columns are the command's own, the
// probability of the predicted class, the probabilities of all classes in the model's order,
// and the error of a picture without an answer. Names are written byte for byte.
type predictionTable struct {
	rows   *csv.Writer
	own    int      // number of the command's own columns, which come first
	values []string // of the current row
}

// newPredictionTable starts a table of a model's answers with its header.
func newPredictionTable(w io.Writer, classifier *model.Classifier, own ...string) (*predictionTable, error) {
	t := &predictionTable{rows: csv.NewWriter(w), own: len(own)}
	header := slices.Concat(own, []string{"probability"}, classifier.DistinctClasses(), []string{"error"})
	t.values = make([]string, len(header))
	return t, t.rows.Write(header)
}

// writeAnswer writes the row of a picture with an answer.
func (t *predictionTable) writeAnswer(predictions []model.Prediction, own ...string) error {
	return t.write("", predictions, own)
}

// writeUnsorted writes the row of a picture with an answer that could not be sorted into its
// class's folder.
func (t *predictionTable) writeUnsorted(err error, predictions []model.Prediction, own ...string) error {
	return t.write("not sorted: "+err.Error(), predictions, own)
}

// writeFailure writes the row of a picture without an answer.
func (t *predictionTable) writeFailure(message string, own ...string) error {
	return t.write(message, nil, own)
}

func (t *predictionTable) write(message string, predictions []model.Prediction, own []string) error {
	clear(t.values)
	copy(t.values, own)
	if len(predictions) > 0 {
		t.values[t.own] = formatProbability(predictions[0].Probability)
	}
	for _, p := range predictions {
		t.values[t.own+1+p.Index] = formatProbability(p.Probability)
	}
	t.values[len(t.values)-1] = message
	return t.rows.Write(t.values)
}

// flush writes what is buffered.
func (t *predictionTable) flush() error {
	t.rows.Flush()
	return t.rows.Error()
}

// formatProbability formats a probability with as many digits as it takes to parse it exactly.
func formatProbability(p float64) string { return strconv.FormatFloat(p, 'g', -1, 64) }

// writePredictions writes the answers of a report as a table, with a row for each picture of
// the set, in order.
func writePredictions(w io.Writer, classifier *model.Classifier, r *evaluate.Report, set *dataset.Set) error {
	t, err := newPredictionTable(w, classifier, "picture", "label", "predicted")
	if err != nil {
		return err
	}
	message := map[string]string{}
	for _, s := range r.Skipped {
		message[s.Picture] = strings.TrimPrefix(s.Message, s.Picture+": ")
	}
	answers := r.Answers
	for _, s := range set.Samples {
		label := set.Classes[s.Label]
		if len(answers) > 0 && answers[0].Sample.Path == s.Path {
			a := answers[0]
			answers = answers[1:]
			err = t.writeAnswer(a.Predictions, s.Path, label, a.Predictions[0].Class)
		} else {
			err = t.writeFailure(message[s.Path], s.Path, label)
		}
		if err != nil {
			return err
		}
	}
	return t.flush()
}
