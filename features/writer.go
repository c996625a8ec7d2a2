package features

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// spillBytes is the size of the vectors that a Writer keeps in memory.
const spillBytes = 64 << 20

// Writer writes a file of features, whose vectors come in any order. Beyond 64 MiB it keeps them in
// a temporary folder beside the file. It is safe for concurrent use.
type Writer struct {
	path  string
	meta  Meta
	spill int // vectors in memory before they go to the folder

	mu     sync.Mutex
	rows   []row
	folder string // "" until it is needed
	runs   []string
}

// Create starts a file of features. There is no file at path until Close.
func Create(path string, m Meta) *Writer {
	if m.Columns < 1 || m.Columns > maxColumns {
		panic(fmt.Sprintf("features: vectors of %d values", m.Columns))
	}
	return &Writer{path: path, meta: m, spill: max(1, spillBytes/(4*m.Columns))}
}

// Add adds the vector of a picture, which it copies. A picture may be added several times with the
// same vector. It panics if the vector has the wrong length.
func (w *Writer) Add(d Digest, vector []float32) error {
	if len(vector) != w.meta.Columns {
		panic(fmt.Sprintf("features: a vector of %d values, not %d", len(vector), w.meta.Columns))
	}
	if !isFinite(vector) {
		return fmt.Errorf("the features of the picture with the SHA-256 %v are not finite numbers", d)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows = append(w.rows, row{d, slices.Clone(vector)})
	if len(w.rows) < w.spill {
		return nil
	}
	return w.spillRows()
}

// spillRows writes the vectors in memory to a file of their own.
func (w *Writer) spillRows() error {
	if w.folder == "" {
		folder, err := os.MkdirTemp(filepath.Dir(w.path), ".garb-features-")
		if err != nil {
			return err
		}
		w.folder = folder
	}
	m, err := newMemory(w.path, w.rows)
	if err != nil {
		return err
	}
	name := filepath.Join(w.folder, fmt.Sprintf("%d.safetensors", len(w.runs)))
	if _, err := write(context.Background(), name, w.meta, []source{m}, nil); err != nil {
		return err
	}
	w.rows, w.runs = nil, append(w.runs, name)
	return nil
}

// Close writes the file, and returns the number of its vectors. The error is a *ConflictError if a
// picture was added with different vectors, or ctx's. Nothing may be added afterwards.
func (w *Writer) Close(ctx context.Context) (rows int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.removeFolder()
	if len(w.runs) == 0 {
		m, err := newMemory(w.path, w.rows)
		if err != nil {
			return 0, err
		}
		return write(ctx, w.path, w.meta, []source{m}, nil)
	}
	if err := w.spillRows(); err != nil {
		return 0, err
	}
	return merge(ctx, w.path, w.meta.Part, w.runs, nil)
}

// Discard ends the Writer without a file.
func (w *Writer) Discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeFolder()
}

func (w *Writer) removeFolder() {
	if w.folder != "" {
		os.RemoveAll(w.folder)
	}
	w.folder, w.rows, w.runs = "", nil, nil
}
