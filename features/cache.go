package features

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"garb/internal/safefile"
	"garb/weights"
)

// Cache keeps feature vectors between runs, in one file for each key. It is safe for concurrent use.
// Vectors that were not saved yet are in memory, at most 64 MiB, and in a temporary folder beside the
// file. Get does not find the latter.
type Cache struct {
	path   string
	meta   Meta
	spill  int // vectors in memory before they go to the folder
	mu     sync.Mutex
	rows   map[Digest][]float32 // in memory
	folder string               // "" until it is needed
	runs   []string             // files in the folder
	failed error                // to write them
}

// OpenCache opens the cache of vectors of this key and length. It ignores a file that cannot be
// read: the features are computed again.
func OpenCache(k Key, columns int) (*Cache, error) {
	home, err := weights.Home()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic("features: " + err.Error()) // plain values only
	}
	sum := sha256.Sum256(text)
	return &Cache{
		path: filepath.Join(home, "features", fmt.Sprintf("%x.safetensors", sum[:8])),
		meta: Meta{Key: k, Columns: columns}, spill: max(1, spillBytes/(4*columns)), rows: map[Digest][]float32{},
	}, nil
}

// openStored opens the file with the saved vectors. It is closed after each use: Windows does not
// replace files that are open.
func (c *Cache) openStored() (*File, bool) {
	f, err := openUnsorted(c.path)
	if err != nil {
		return nil, false
	}
	if f.CheckKey(c.meta.Key, c.meta.Columns) != nil {
		f.Close()
		return nil, false
	}
	return f, true
}

// Get returns the vector of a picture, and false if the cache has none.
func (c *Cache) Get(d Digest) ([]float32, bool) {
	c.mu.Lock()
	v, ok := c.rows[d]
	c.mu.Unlock()
	if ok {
		return v, true
	}
	f, ok := c.openStored()
	if !ok {
		return nil, false
	}
	defer f.Close()
	v, ok, err := f.Lookup(d)
	return v, ok && err == nil
}

// Put adds the vector of a picture, which must not change afterwards. A vector that is not finite
// is not kept.
func (c *Cache) Put(d Digest, vector []float32) {
	if !isFinite(vector) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows[d] = vector
	if len(c.rows) >= c.spill && c.failed == nil {
		c.failed = c.spillRows()
	}
}

// listRows returns the vectors in memory.
func (c *Cache) listRows() []row {
	var rows []row
	for d, v := range c.rows {
		rows = append(rows, row{d, v})
	}
	return rows
}

// spillRows writes the vectors in memory to a file of their own.
func (c *Cache) spillRows() (err error) {
	if err = os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	if c.folder == "" {
		if c.folder, err = os.MkdirTemp(filepath.Dir(c.path), ".garb-features-"); err != nil {
			return err
		}
	}
	m, err := newMemory(c.path, c.listRows())
	if err != nil {
		return err
	}
	name := filepath.Join(c.folder, fmt.Sprintf("%d.safetensors", len(c.runs)))
	if _, err := write(context.Background(), name, c.meta, []source{m}, nil); err != nil {
		return err
	}
	c.rows, c.runs = map[Digest][]float32{}, append(c.runs, name)
	return nil
}

// Save writes the vectors that were put since the last Save, together with those that other
// processes have written since.
func (c *Cache) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.removeFolder()
	if c.failed != nil {
		return fmt.Errorf("writing the cache of features: %w", c.failed)
	}
	if len(c.rows) == 0 && len(c.runs) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	lock := flock.New(c.path + ".lock")
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("locking the cache of features: %w", err)
	}
	defer lock.Unlock()
	if err := c.write(); err != nil {
		return fmt.Errorf("writing the cache of features: %w", err)
	}
	c.rows = map[Digest][]float32{}
	return nil
}

// removeFolder removes the temporary folder.
func (c *Cache) removeFolder() {
	if c.folder != "" {
		os.RemoveAll(c.folder)
	}
	c.folder, c.runs, c.failed = "", nil, nil
}

// write writes the saved vectors and those in memory. Saved vectors that are damaged are lost.
func (c *Cache) write() error {
	stored, err := Open(c.path)
	if err != nil {
		return c.writeWith(nil)
	}
	if stored.CheckKey(c.meta.Key, c.meta.Columns) != nil || stored.Check(context.Background(), nil) != nil {
		stored.Close()
		return c.writeWith(nil)
	}
	err = c.writeWith(stored)
	if format := new(FormatError); errors.As(err, &format) {
		return c.writeWith(nil)
	}
	return err
}

// writeWith writes the vectors of a file, unless it is nil, which it closes, and those that were not
// saved yet.
func (c *Cache) writeWith(stored *File) error {
	var sources []source
	if stored != nil {
		defer stored.Close()
		sources = append(sources, stored)
	}
	for _, name := range c.runs {
		f, err := openUnsorted(name)
		if err != nil {
			return err
		}
		defer f.Close()
		sources = append(sources, f)
	}
	m, err := newMemory(c.path, c.listRows())
	if err != nil {
		return err
	}
	// Windows does not replace files that are open.
	next := c.path + ".new"
	if _, err = write(context.Background(), next, c.meta, append(sources, m), nil); err != nil {
		return err
	}
	if stored != nil {
		stored.Close()
	}
	return safefile.Rename(next, c.path)
}
