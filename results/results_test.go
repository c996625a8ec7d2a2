package results_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"garb/model"
	"garb/results"
)

// memory is a results.File.
type memory struct {
	bytes.Buffer
	closed, aborted int
	full            bool
}

func (m *memory) Write(p []byte) (int, error) {
	if m.full {
		return 0, errFull
	}
	return m.Buffer.Write(p)
}
func (m *memory) Close() error { m.closed++; return nil }
func (m *memory) Abort() error { m.aborted++; return nil }

var errFull = errors.New("the disk is full")

func TestLines(t *testing.T) {
	accepted, acceptance := false, 0.1
	var m memory
	w, err := results.NewLines(&m, results.Options{Kind: results.KindAnswers})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []results.Row{
		results.Answer{Picture: "a.jpg", Class: "hat", Probability: 1. / 3, Predictions: []model.ListedPrediction{
			{Prediction: model.Prediction{Class: "hat", Probability: 1. / 3, Logit: 0.1, Index: 4}}},
			Accepted: &accepted, Acceptance: &acceptance, Refusal: "not clothing",
			Model: results.Model{Name: "clothing", Digest: "sha256:12"}},
		results.PictureError{Picture: "b.jpg", Error: results.Failure{Kind: "corrupt", Message: "cut off"}},
	} {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || m.closed != 1 || m.aborted != 0 {
		t.Errorf("%v, closed %d times, aborted %d times", err, m.closed, m.aborted)
	}
	want := `{"picture":"a.jpg","class":"hat","probability":0.3333333333333333,` +
		`"predictions":[{"class":"hat","probability":0.3333333333333333,"logit":0.1}],` +
		`"accepted":false,"acceptance":0.1,"refusal":"not clothing","model":{"name":"clothing","digest":"sha256:12"}}
{"picture":"b.jpg","error":{"kind":"corrupt","message":"cut off"}}
`
	if m.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", &m, want)
	}
}

func TestLinesOnAFullDisk(t *testing.T) {
	m := memory{full: true}
	w, _ := results.NewLines(&m, results.Options{Kind: results.KindEmbeddings})
	err := w.Write(results.Embedding{Picture: "a.jpg", Embedding: []float32{1}})
	if err = errors.Join(err, w.Close()); !errors.Is(err, errFull) || m.closed != 0 || m.aborted != 1 {
		t.Errorf("%v, closed %d times, aborted %d times", err, m.closed, m.aborted)
	}
}

func TestRowsOfAnotherKindPanic(t *testing.T) {
	for _, test := range []struct {
		row  results.Row
		kind results.Kind
		ok   bool
	}{
		{results.Answer{}, results.KindAnswers, true},
		{results.Answer{}, results.KindEmbeddings, false},
		{results.Embedding{}, results.KindEmbeddings, true},
		{results.Embedding{}, results.KindAnswers, false},
		{results.PictureError{}, results.KindAnswers, true},
		{results.PictureError{}, results.KindEmbeddings, true},
	} {
		func() {
			defer func() {
				if panicked := recover() != nil; panicked == test.ok {
					t.Errorf("%T in %s: panicked is %v", test.row, test.kind, panicked)
				}
			}()
			w, err := results.NewLines(&memory{}, results.Options{Kind: test.kind})
			if err == nil {
				err = w.Write(test.row)
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
}

func TestFormatOf(t *testing.T) {
	for name, want := range map[string]string{
		"answers.jsonl": "", "s3://b/a.b/answers": "", "a.JSON": "", "s3://b/x.ndjson?endpoint=http://h.parquet": "",
		"answers.parquet": "go build -tags cloud ./cmd/garb", `a\b.csv`: ".json, .jsonl, .ndjson",
	} {
		format, err := results.FormatOf(name)
		switch {
		case want == "" && (err != nil || format == nil):
			t.Errorf("%s: %v", name, err)
		case want != "" && (!errors.Is(err, results.ErrFormat) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v does not say %q", name, err, want)
		}
	}
}
