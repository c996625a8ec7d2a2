package parquet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"garb/model"
	"garb/results"
	_ "garb/results/parquet"
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

// write writes rows as a Parquet file.
func write(t fataler, kind results.Kind, rows ...results.Row) []byte {
	format, err := results.FormatOf("s3://bucket/results.PARQUET?region=x")
	if err != nil {
		t.Fatal(err)
	}
	var m memory
	w, err := format(&m, results.Options{Kind: kind, Model: results.Model{Name: "clothing", Digest: "sha256:12"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || m.closed != 1 || m.aborted != 0 {
		t.Fatal(err, m.closed, m.aborted)
	}
	return m.Bytes()
}

type fataler interface{ Fatal(...any) }

// drawAnswer draws an answer whose values are whatever a model can say.
func drawAnswer(t *rapid.T) results.Answer {
	text := rapid.StringN(0, 20, -1)
	number := rapid.Float64Range(0, 1)
	a := results.Answer{
		Picture: text.Draw(t, "picture"), Class: text.Draw(t, "class"), Probability: number.Draw(t, "probability"),
		Model: results.Model{Name: text.Draw(t, "name"), Digest: text.Draw(t, "digest")},
		Set:   rapid.SliceOfN(text, 0, 3).Draw(t, "set"), Refusal: text.Draw(t, "refusal"),
		Sorted: text.Draw(t, "sorted"), SortError: text.Draw(t, "sort error"),
		Predictions: []model.ListedPrediction{},
	}
	if len(a.Set) == 0 {
		a.Set = nil
	}
	for range rapid.IntRange(0, 4).Draw(t, "predictions") {
		p := model.ListedPrediction{Prediction: model.Prediction{
			Class: text.Draw(t, "class"), Probability: number.Draw(t, "probability"),
			Logit: rapid.Float32Range(-100, 100).Draw(t, "logit"),
		}, WNID: text.Draw(t, "wnid")}
		if p.WNID != "" {
			index := rapid.IntRange(0, 999).Draw(t, "index")
			p.Index = &index
		}
		a.Predictions = append(a.Predictions, p)
	}
	if rapid.Bool().Draw(t, "multi-label") {
		labels := rapid.SliceOfN(text, 1, 3).Draw(t, "labels")
		a.Labels = &labels
	}
	if rapid.Bool().Draw(t, "judged") {
		accepted, acceptance := rapid.Bool().Draw(t, "accepted"), number.Draw(t, "acceptance")
		a.Accepted, a.Acceptance = &accepted, &acceptance
	}
	return a
}

// TestRowsEqualTheJSON checks that a Parquet file has what the JSON lines have.
func TestRowsEqualTheJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rows []results.Row
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				rows = append(rows, results.PictureError{Picture: "x.jpg",
					Error: results.Failure{Kind: "corrupt", Message: rapid.String().Draw(t, "message")}})
			} else {
				rows = append(rows, drawAnswer(t))
			}
		}
		read := readJSON(t, write(t, results.KindAnswers, rows...))
		if len(read) != len(rows) {
			t.Fatalf("%d rows, want %d", len(read), len(rows))
		}
		for i, row := range rows {
			if want := toJSON(t, row); !cmp.Equal(read[i], want) {
				t.Fatalf("row %d: %s", i, cmp.Diff(want, read[i]))
			}
		}
	})
}

// toJSON returns a row as a JSON line says it, decoded.
func toJSON(t fataler, row any) map[string]any {
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// readJSON reads the rows of a file of answers by their columns' names. Nulls and empty lists are
// left out, as in JSON lines, except for the list of predictions.
func readJSON(t fataler, file []byte) (all []map[string]any) {
	for _, row := range readRows[answer](t, file) {
		all = append(all, toJSON(t, row))
	}
	for _, row := range all {
		if row["error"] != nil {
			delete(row, "predictions")
		}
	}
	return all
}

// answer is a row as another program would declare it.
type answer struct {
	Picture     string   `parquet:"picture" json:"picture"`
	Class       *string  `parquet:"class,optional" json:"class,omitempty"`
	Probability *float64 `parquet:"probability,optional" json:"probability,omitempty"`
	Predictions []struct {
		Class       string  `parquet:"class" json:"class"`
		Probability float64 `parquet:"probability" json:"probability"`
		Logit       float32 `parquet:"logit" json:"logit"`
		WNID        *string `parquet:"wnid,optional" json:"wnid,omitempty"`
		Index       *int64  `parquet:"index,optional" json:"index,omitempty"`
	} `parquet:"predictions,list" json:"predictions"`
	Set        []string `parquet:"set,list" json:"set,omitempty"`
	Labels     []string `parquet:"labels,list" json:"labels,omitempty"`
	Accepted   *bool    `parquet:"accepted,optional" json:"accepted,omitempty"`
	Acceptance *float64 `parquet:"acceptance,optional" json:"acceptance,omitempty"`
	Refusal    *string  `parquet:"refusal,optional" json:"refusal,omitempty"`
	Model      *struct {
		Name   string `parquet:"name" json:"name"`
		Digest string `parquet:"digest" json:"digest"`
	} `parquet:"model,optional" json:"model,omitempty"`
	Sorted    *string `parquet:"sorted,optional" json:"sorted,omitempty"`
	SortError *string `parquet:"sort_error,optional" json:"sort_error,omitempty"`
	Error     *struct {
		Kind    string `parquet:"kind" json:"kind"`
		Message string `parquet:"message" json:"message"`
	} `parquet:"error,optional" json:"error,omitempty"`
}

// readRows reads a file.
func readRows[T any](t fataler, file []byte) []T {
	r := parquet.NewGenericReader[T](bytes.NewReader(file))
	defer r.Close()
	rows := make([]T, r.NumRows())
	if n, err := r.Read(rows); n != len(rows) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatal("read ", n, " rows: ", err)
	}
	return rows
}

// embedding is a row of embeddings as another program would declare it.
type embedding struct {
	Picture   string    `parquet:"picture"`
	Embedding []float32 `parquet:"embedding,list"`
}

func TestEmbeddingsKeepTheirBits(t *testing.T) {
	values := []float32{0, float32(math.Copysign(0, -1)), 1e-45, math.MaxFloat32, 1. / 3, -2.5}
	file := write(t, results.KindEmbeddings, results.Embedding{Picture: "a.jpg", Embedding: values},
		results.PictureError{Picture: "b.jpg", Error: results.Failure{Kind: "corrupt", Message: "cut off"}})
	rows := readRows[embedding](t, file)
	if len(rows) != 2 || rows[0].Picture != "a.jpg" || rows[1].Picture != "b.jpg" || len(rows[1].Embedding) != 0 {
		t.Fatalf("rows %v", rows)
	}
	for i, v := range rows[0].Embedding {
		if math.Float32bits(v) != math.Float32bits(values[i]) {
			t.Errorf("value %d is %v, want %v", i, v, values[i])
		}
	}
}

func TestMetadata(t *testing.T) {
	file := write(t, results.KindAnswers, results.Answer{Picture: "a.jpg"})
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"garb.kind": "answers", "garb.model": "clothing",
		"garb.digest": "sha256:12"} {
		if got, _ := f.Lookup(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, column := range f.Metadata().RowGroups[0].Columns {
		if codec := column.MetaData.Codec.String(); codec != "ZSTD" {
			t.Errorf("%v is compressed with %s", column.MetaData.PathInSchema, codec)
		}
	}
}

// discard is a results.File that keeps nothing.
type discard struct {
	memory
	bytes int64
}

func (d *discard) Write(p []byte) (int, error) { d.bytes += int64(len(p)); return len(p), nil }

// TestMemoryIsBounded writes 256 MB of embeddings, and expects the heap to stay small.
func TestMemoryIsBounded(t *testing.T) {
	const rows, columns = 50_000, 1280
	var d discard
	format, _ := results.FormatOf("x.parquet")
	w, err := format(&d, results.Options{Kind: results.KindEmbeddings})
	if err != nil {
		t.Fatal(err)
	}
	vector := make([]float32, columns)
	state := uint32(1)
	var most uint64
	for i := range rows {
		for j := range vector {
			state = state*1664525 + 1013904223
			vector[j] = math.Float32frombits(state>>9 | 0x3f800000)
		}
		if err := w.Write(results.Embedding{Picture: fmt.Sprintf("%d.jpg", i), Embedding: vector}); err != nil {
			t.Fatal(err)
		}
		if i%5000 == 4999 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MB of values, %d MB in the file, at most %d MB of memory", rows*columns*4>>20, d.bytes>>20, most>>20)
	if most > 160<<20 {
		t.Errorf("%d MB of memory for a file of %d MB", most>>20, d.bytes>>20)
	}
}

func TestFullDisk(t *testing.T) {
	format, _ := results.FormatOf("x.parquet")
	m := memory{full: true}
	w, err := format(&m, results.Options{Kind: results.KindAnswers})
	if err != nil {
		t.Fatal(err)
	}
	writeErr := w.Write(results.Answer{Picture: "a.jpg"})
	if err := errors.Join(writeErr, w.Close()); !errors.Is(err, errFull) || m.closed != 0 || m.aborted == 0 {
		t.Errorf("error %v, closed %d times, aborted %d times", err, m.closed, m.aborted)
	}
}

func TestPyarrow(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to a Python with the packages of results/parquet/testdata/requirements.txt")
	}
	index, accepted, acceptance := 3, true, 0.1+0.2
	labels := []string{"shirt"}
	rows := []results.Row{
		results.Answer{Picture: "s3://b/ü.jpg", Class: "shirt", Probability: 1. / 3,
			Predictions: []model.ListedPrediction{
				{Prediction: model.Prediction{Class: "shirt", Probability: 1. / 3, Logit: 0.1}, WNID: "n1",
					Index: &index},
				{Prediction: model.Prediction{Class: "hat", Probability: 5e-324, Logit: -7}},
			}, Set: []string{"shirt", "hat"}, Labels: &labels, Accepted: &accepted, Acceptance: &acceptance,
			Model: results.Model{Name: "clothing", Digest: "sha256:12"}},
		results.PictureError{Picture: "b.jpg", Error: results.Failure{Kind: "corrupt", Message: "cut off"}},
	}
	folder := t.TempDir()
	var lines bytes.Buffer
	for _, row := range rows {
		if err := json.NewEncoder(&lines).Encode(row); err != nil {
			t.Fatal(err)
		}
	}
	vector := results.Embedding{Picture: "a.jpg", Embedding: []float32{0.1, -2.5, 1e-45}}
	var vectors bytes.Buffer
	if err := json.NewEncoder(&vectors).Encode(vector); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"answers.parquet": write(t, results.KindAnswers, rows...), "answers.jsonl": lines.Bytes(),
		"embeddings.parquet": write(t, results.KindEmbeddings, vector), "embeddings.jsonl": vectors.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), python, "testdata/compare.py", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
