package features

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"garb/internal/safefile"
)

// source is a list of vectors in ascending order of their digests.
type source interface {
	name() string
	count() int64
	// readDigests returns a reader of the digests, one after another.
	readDigests() io.Reader
	readVector(row int64, into []float32) error
}

func (f *File) name() string { return f.path }

func (f *File) count() int64 { return f.rows }

// memory is a source in memory.
type memory struct {
	title string
	rows  []row
}

type row struct {
	digest Digest
	vector []float32
}

// newMemory sorts rows; the error is a *ConflictError if a picture has two vectors.
func newMemory(title string, rows []row) (memory, error) {
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	kept := rows[:0]
	for _, r := range rows {
		if n := len(kept); n > 0 && kept[n-1].digest == r.digest {
			if !slices.Equal(kept[n-1].vector, r.vector) {
				return memory{}, &ConflictError{r.digest, title, title}
			}
			continue
		}
		kept = append(kept, r)
	}
	return memory{title, kept}, nil
}

func (m memory) name() string { return m.title }

func (m memory) count() int64 { return int64(len(m.rows)) }

func (m memory) readDigests() io.Reader {
	var b bytes.Buffer
	for _, r := range m.rows {
		b.Write(r.digest[:])
	}
	return &b
}

func (m memory) readVector(row int64, into []float32) error {
	copy(into, m.rows[row].vector)
	return nil
}

// cursor is a place in a source.
type cursor struct {
	source
	order   int // of the source, which decides between equal digests
	row     int64
	digest  Digest
	digests io.Reader
}

// advance goes to the next row, and reports whether there is one.
func (c *cursor) advance() (bool, error) {
	c.row++
	if c.row >= c.count() {
		return false, nil
	}
	before := c.digest
	if _, err := io.ReadFull(c.digests, c.digest[:]); err != nil {
		return false, fmt.Errorf("reading %s: %w", c.name(), err)
	}
	if c.row > 0 && bytes.Compare(before[:], c.digest[:]) >= 0 {
		return false, &FormatError{c.name(), "its digests are not in ascending order"}
	}
	return true, nil
}

// cursors is a heap, the smallest digest first.
type cursors []*cursor

func (c cursors) Len() int { return len(c) }

func (c cursors) Less(i, j int) bool {
	if n := bytes.Compare(c[i].digest[:], c[j].digest[:]); n != 0 {
		return n < 0
	}
	return c[i].order < c[j].order
}

func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) }

func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// walk calls use for each digest of the sources in ascending order, with the cursor of the first
// source that has it, and again, after the same digest before, for each other source that has it.
func walk(ctx context.Context, sources []source, use func(c *cursor, again bool) error) error {
	var all cursors
	for i, s := range sources {
		c := &cursor{source: s, order: i, row: -1, digests: s.readDigests()}
		more, err := c.advance()
		if err != nil {
			return err
		}
		if more {
			all = append(all, c)
		}
	}
	heap.Init(&all)
	var before Digest
	for n := 0; len(all) > 0; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := all[0]
		if err := use(c, n > 0 && c.digest == before); err != nil {
			return err
		}
		before = c.digest
		more, err := c.advance()
		if err != nil {
			return err
		}
		if more {
			heap.Fix(&all, 0)
		} else {
			heap.Pop(&all)
		}
	}
	return nil
}

// countRows counts the different digests of sources.
func countRows(ctx context.Context, sources []source) (rows int64, err error) {
	err = walk(ctx, sources, func(_ *cursor, again bool) error {
		if !again {
			rows++
		}
		return nil
	})
	return rows, err
}

// checkConflicts returns a *ConflictError if a picture has two different vectors.
func checkConflicts(ctx context.Context, columns int, sources []source) error {
	first, other := make([]float32, columns), make([]float32, columns)
	var from *cursor
	var at int64
	return walk(ctx, sources, func(c *cursor, again bool) error {
		if !again {
			from, at = c, c.row
			return nil
		}
		if err := errors.Join(from.readVector(at, first), c.readVector(c.row, other)); err != nil {
			return err
		}
		if !slices.Equal(first, other) {
			return &ConflictError{c.digest, from.name(), c.name()}
		}
		return nil
	})
}

// write writes the rows of sources to a file, each digest once, with the vector of the first source
// that has it. done, if not nil, is called after each row.
func write(ctx context.Context, path string, m Meta, sources []source, done func()) (int64, error) {
	rows, err := countRows(ctx, sources)
	if err != nil {
		return 0, err
	}
	header, err := encodeHeader(m, rows)
	if err != nil {
		return 0, err
	}
	return rows, safefile.Write(path, func(file io.Writer) error {
		hash := sha256.New()
		w := io.MultiWriter(file, hash)
		if _, err := w.Write(header); err != nil {
			return err
		}
		err := walk(ctx, sources, func(c *cursor, again bool) error {
			if again {
				return nil
			}
			_, failed := w.Write(c.digest[:])
			return failed
		})
		if err != nil {
			return err
		}
		values, data := make([]float32, m.Columns), make([]byte, 0, 4*m.Columns)
		err = walk(ctx, sources, func(c *cursor, again bool) error {
			if again {
				return nil
			}
			if failed := c.readVector(c.row, values); failed != nil {
				return failed
			}
			data = data[:0]
			for _, v := range values {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
			if done != nil {
				done()
			}
			_, failed := w.Write(data)
			return failed
		})
		if err != nil {
			return err
		}
		_, err = file.Write(hash.Sum(nil))
		return err
	})
}

// maxOpen is the number of files that a merge opens at a time, well below the usual limit of 1024.
const maxOpen = 256

// MergeProgress has functions, or nil, that Merge calls.
type MergeProgress struct {
	Checked func(vectors int) // with the vectors of each block of a file that was checked
	Written func()            // for each vector that was written
}

// Merge writes the vectors of several files to one, which has no Part, and returns their number. It
// keeps neither in memory, and first checks the content of all files. Several files may have the same
// picture, with the same vector. Errors include *FormatError, *ChangedError, *KeyError,
// *ConflictError, and ctx's. It panics if there are no files.
func Merge(ctx context.Context, path string, parts []string, p MergeProgress) (rows int64, err error) {
	if len(parts) == 0 {
		panic("features: no files to merge")
	}
	for _, name := range parts {
		f, err := openUnsorted(name)
		if err != nil {
			return 0, err
		}
		if err = errors.Join(f.Check(ctx, p.Checked), f.Close()); err != nil {
			return 0, err
		}
	}
	return merge(ctx, path, "", parts, p.Written)
}

// merge merges files to one with the given Part.
func merge(ctx context.Context, path, part string, parts []string, done func()) (rows int64, err error) {
	folder := ""
	for len(parts) > maxOpen { // in rounds
		if folder == "" {
			if folder, err = os.MkdirTemp(filepath.Dir(path), ".garb-merge-"); err != nil {
				return 0, err
			}
			defer os.RemoveAll(folder)
		}
		var merged []string
		for group := range slices.Chunk(parts, maxOpen) {
			name := filepath.Join(folder, fmt.Sprintf("%d-%d.safetensors", len(parts), len(merged)))
			if _, err := mergeOpen(ctx, name, "", group, nil); err != nil {
				return 0, err
			}
			merged = append(merged, name)
		}
		parts = merged
	}
	return mergeOpen(ctx, path, part, parts, done)
}

// mergeOpen merges files that may all be open at a time.
func mergeOpen(ctx context.Context, path, part string, parts []string, done func()) (int64, error) {
	var sources []source
	var first *File
	for _, name := range parts {
		f, err := openUnsorted(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if first == nil {
			first = f
		}
		if err := f.CheckKey(first.Key, first.Columns); err != nil {
			return 0, fmt.Errorf("%w than %s", err, first.path)
		}
		sources = append(sources, f)
	}
	if err := checkConflicts(ctx, first.Columns, sources); err != nil {
		return 0, err
	}
	return write(ctx, path, Meta{first.Key, first.Columns, part}, sources, done)
}

// CheckKey returns a *KeyError unless the file has features with this key and length.
func (f *File) CheckKey(k Key, columns int) error {
	differences := f.Key.Differences(k)
	if f.Columns != columns {
		differences = append(differences, fmt.Sprintf("length of a vector (%d, not %d)", f.Columns, columns))
	}
	if len(differences) > 0 {
		return &KeyError{f.path, differences}
	}
	return nil
}
