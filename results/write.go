package results

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// Kind says which rows a file has. Every file may also have rows that are a PictureError.
type Kind string

// The kinds of files.
const (
	KindAnswers    Kind = "answers"
	KindEmbeddings Kind = "embeddings"
)

// Options describes a file of results.
type Options struct {
	Kind  Kind
	Model Model // stored in the file's metadata, if its format has any
}

// File is what a Writer writes to. The content appears when Close returns nil; Abort drops it.
// A store.Writer is a File.
type File interface {
	io.Writer
	Close() error
	Abort() error
}

// Writer writes rows. It is not safe for concurrent use. Exactly one of Close and Abort ends it,
// and its File with it; after a failed Close, Abort does nothing.
type Writer interface {
	// Write writes a row. The row must be of the file's kind, or a PictureError; Write panics
	// otherwise.
	Write(row Row) error
	// Close writes what is buffered, and makes the file appear.
	Close() error
	// Abort drops the file.
	Abort() error
}

// Format returns a Writer that writes to a file in one format.
type Format func(to File, o Options) (Writer, error)

var (
	formatsMu sync.Mutex
	formats   = map[string]Format{".jsonl": NewLines, ".ndjson": NewLines, ".json": NewLines}
)

// elsewhere has the extensions of formats that the default build of garb leaves out.
var elsewhere = map[string]string{".parquet": "Parquet"}

// Register adds the format of files with an extension, such as ".parquet". Packages of formats
// call it when they are imported.
func Register(extension string, f Format) {
	formatsMu.Lock()
	defer formatsMu.Unlock()
	if _, ok := formats[extension]; ok {
		panic("results: the extension " + extension + " is registered twice")
	}
	formats[extension] = f
}

// ErrFormat is wrapped by the errors of FormatOf.
var ErrFormat = errors.New("unknown format")

// FormatOf returns the format of a file, by the extension of its path or URL. Without an
// extension the format is JSON lines.
func FormatOf(name string) (Format, error) {
	name, _, _ = strings.Cut(name, "?")
	extension := strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/")))
	if extension == "" {
		return NewLines, nil
	}
	formatsMu.Lock()
	defer formatsMu.Unlock()
	if f, ok := formats[extension]; ok {
		return f, nil
	}
	if format, ok := elsewhere[extension]; ok {
		return nil, fmt.Errorf("%w: %s is in the build garb-cloud: go build -tags cloud ./cmd/garb", ErrFormat, format)
	}
	known := strings.Join(slices.Sorted(maps.Keys(formats)), ", ")
	return nil, fmt.Errorf("%w %q: the known ones are %s", ErrFormat, extension, known)
}

// lines writes JSON lines.
type lines struct {
	file    File
	buffer  *bufio.Writer
	encoder *json.Encoder
	kind    Kind
}

// NewLines returns a Writer of JSON lines: each row is one object in a line. It is a Format.
func NewLines(to File, o Options) (Writer, error) {
	buffer := bufio.NewWriterSize(to, 64<<10)
	return &lines{to, buffer, json.NewEncoder(buffer), o.Kind}, nil
}

func (w *lines) Write(row Row) error {
	CheckKind(row, w.kind)
	return w.encoder.Encode(row)
}

func (w *lines) Close() error {
	if err := w.buffer.Flush(); err != nil {
		return errors.Join(err, w.file.Abort())
	}
	return w.file.Close()
}

func (w *lines) Abort() error { return w.file.Abort() }

// CheckKind panics unless a row may be in a file of a kind. Formats call it.
func CheckKind(row Row, kind Kind) {
	switch row.(type) {
	case PictureError:
		return
	case Answer:
		if kind == KindAnswers {
			return
		}
	case Embedding:
		if kind == KindEmbeddings {
			return
		}
	}
	panic(fmt.Sprintf("results: %T in a file of %s", row, kind))
}
