// Package parquet writes results as Apache Parquet files, with the columns that the JSON lines have
// as keys. It adds itself to package results for files that end in .parquet when it is imported.
//
// A value that a row does not have is null; a list that it does not have is empty. The metadata of
// a file has the model's name and digest under the keys garb.model and garb.digest, and the kind of
// its rows under garb.kind.
package parquet

import (
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"garb/results"
)

func init() { results.Register(".parquet", New) }

// answerRow is a row of answers: a results.Answer or a results.PictureError.
type answerRow struct {
	Picture     string       `parquet:"picture"`
	Class       *string      `parquet:"class,optional,dict"`
	Probability *float64     `parquet:"probability,optional"`
	Predictions []prediction `parquet:"predictions,list"`
	Set         []string     `parquet:"set,list"`
	Labels      []string     `parquet:"labels,list"`
	Accepted    *bool        `parquet:"accepted,optional"`
	Acceptance  *float64     `parquet:"acceptance,optional"`
	Refusal     *string      `parquet:"refusal,optional,dict"`
	Model       *modelName   `parquet:"model,optional"`
	Sorted      *string      `parquet:"sorted,optional"`
	SortError   *string      `parquet:"sort_error,optional"`
	Error       *failure     `parquet:"error,optional"`
}

// prediction is a model.ListedPrediction.
type prediction struct {
	Class       string  `parquet:"class,dict"`
	Probability float64 `parquet:"probability"`
	Logit       float32 `parquet:"logit"`
	WNID        *string `parquet:"wnid,optional,dict"`
	Index       *int64  `parquet:"index,optional"`
}

// modelName is a results.Model.
type modelName struct {
	Name   string `parquet:"name,dict"`
	Digest string `parquet:"digest,dict"`
}

// failure is a results.Failure.
type failure struct {
	Kind    string `parquet:"kind,dict"`
	Message string `parquet:"message,dict"`
}

// embeddingRow is a row of embeddings: a results.Embedding or a results.PictureError.
type embeddingRow struct {
	Picture   string    `parquet:"picture"`
	Embedding []float32 `parquet:"embedding,list"`
	Error     *failure  `parquet:"error,optional"`
}

const (
	maxGroupBytes = 32 << 20 // of values in a row group, which is in memory until it is complete
	maxGroupRows  = 100_000
	pageBytes     = 1 << 20
)

// New returns a Writer of a Parquet file. It is a results.Format.
func New(to results.File, o results.Options) (results.Writer, error) {
	options := []parquet.WriterOption{
		parquet.Compression(&parquet.Zstd),
		parquet.PageBufferSize(pageBytes),
		parquet.KeyValueMetadata("garb.kind", string(o.Kind)),
		parquet.KeyValueMetadata("garb.model", o.Model.Name),
		parquet.KeyValueMetadata("garb.digest", o.Model.Digest),
	}
	switch o.Kind {
	case results.KindAnswers:
		return &writer[answerRow]{file: to, kind: o.Kind, rows: parquet.NewGenericWriter[answerRow](to, options...),
			convert: convertToAnswer}, nil
	case results.KindEmbeddings:
		return &writer[embeddingRow]{file: to, kind: o.Kind, rows: parquet.NewGenericWriter[embeddingRow](to,
			options...),
			convert: convertToEmbedding}, nil
	}
	panic(fmt.Sprintf("parquet: unknown kind %q", o.Kind))
}

// writer writes rows of one kind.
type writer[T any] struct {
	file    results.File
	kind    results.Kind
	rows    *parquet.GenericWriter[T]
	convert func(results.Row) (row T, bytes int)

	groupRows, groupBytes int // of the row group in memory
}

// Write writes a row.
func (w *writer[T]) Write(r results.Row) error {
	results.CheckKind(r, w.kind)
	row, bytes := w.convert(r)
	if _, err := w.rows.Write([]T{row}); err != nil {
		return err
	}
	w.groupRows++
	w.groupBytes += bytes
	if w.groupRows < maxGroupRows && w.groupBytes < maxGroupBytes {
		return nil
	}
	w.groupRows, w.groupBytes = 0, 0
	return w.rows.Flush()
}

// Close writes the rest, and makes the file appear.
func (w *writer[T]) Close() error {
	if err := w.rows.Close(); err != nil {
		return errors.Join(err, w.file.Abort())
	}
	return w.file.Close()
}

// Abort drops the file.
func (w *writer[T]) Abort() error { return w.file.Abort() }

// convertToAnswer returns a row of answers, and the size of its values.
func convertToAnswer(r results.Row) (answerRow, int) {
	if e, ok := r.(results.PictureError); ok {
		f, size := convertFailure(e)
		return answerRow{Picture: e.Picture, Error: f}, size
	}
	a := r.(results.Answer)
	row := answerRow{
		Picture: a.Picture, Class: &a.Class, Probability: &a.Probability, Set: a.Set, Accepted: a.Accepted,
		Acceptance: a.Acceptance, Refusal: orNull(a.Refusal), Model: &modelName{a.Model.Name, a.Model.Digest},
		Sorted: orNull(a.Sorted), SortError: orNull(a.SortError),
	}
	if a.Labels != nil {
		row.Labels = *a.Labels
	}
	const fixed = 200 // numbers and pointers
	size := fixed + len(a.Picture) + len(a.Sorted) + len(a.SortError)
	for _, p := range a.Predictions {
		listed := prediction{Class: p.Class, Probability: p.Probability, Logit: p.Logit, WNID: orNull(p.WNID)}
		if p.Index != nil {
			index := int64(*p.Index)
			listed.Index = &index
		}
		row.Predictions = append(row.Predictions, listed)
		size += 50 + len(p.Class)
	}
	for _, class := range a.Set {
		size += len(class)
	}
	return row, size
}

// convertToEmbedding returns a row of embeddings, and the size of its values.
func convertToEmbedding(r results.Row) (embeddingRow, int) {
	if e, ok := r.(results.PictureError); ok {
		f, size := convertFailure(e)
		return embeddingRow{Picture: e.Picture, Error: f}, size
	}
	e := r.(results.Embedding)
	return embeddingRow{Picture: e.Picture, Embedding: e.Embedding}, len(e.Picture) + 4*len(e.Embedding)
}

// convertFailure returns the error of a row, and the size of the row.
func convertFailure(e results.PictureError) (*failure, int) {
	return &failure{e.Error.Kind, e.Error.Message}, len(e.Picture) + len(e.Error.Kind) + len(e.Error.Message)
}

// orNull returns a pointer to a text, or nil for an empty one, which the JSON lines omit.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
