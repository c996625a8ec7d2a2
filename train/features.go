package train

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"garb/dataset"
	"garb/model"
	"garb/tensor"
	"garb/weights"
)

// cache keeps feature vectors between runs, in one file for each backbone and
// preprocessing: a vector depends on these and on the picture's bytes, by whose
// digest it is kept.
type cache struct {
	path    string
	count   int // of values in a vector
	mu      sync.Mutex
	vectors map[string][]float32
	changed bool
}

// openCache opens the cache of a backbone and preprocessing. A file that cannot be
// read is no loss: the features are computed again.
func openCache(e *model.Extractor, weightsDigest string) (*cache, error) {
	home, err := weights.Home()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(e.Spec())
	if err != nil {
		return nil, err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "features 1\n%s\n%s\n", weightsDigest, spec))
	c := &cache{
		path:  filepath.Join(home, "features", fmt.Sprintf("%x.safetensors", key[:8])),
		count: e.FeatureCount(), vectors: map[string][]float32{},
	}
	f, err := tensor.ReadFile(c.path)
	if err != nil {
		return c, nil
	}
	all, err := f.Tensor("features")
	digests := strings.Fields(f.Metadata["digests"])
	if err != nil || len(all.Data) != len(digests)*c.count {
		return c, nil
	}
	for i, d := range digests {
		c.vectors[d] = all.Data[i*c.count:][:c.count]
	}
	return c, nil
}

func (c *cache) get(digest string) ([]float32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.vectors[digest]
	return v, ok
}

func (c *cache) put(digest string, v []float32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vectors[digest], c.changed = v, true
}

// save writes the cache, if there is anything new.
func (c *cache) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	all := tensor.New(len(c.vectors), c.count)
	digests := make([]string, 0, len(c.vectors))
	for d, v := range c.vectors {
		copy(all.Data[len(digests)*c.count:], v)
		digests = append(digests, d)
	}
	c.changed = false
	return tensor.WriteFile(c.path, map[string]string{"digests": strings.Join(digests, " ")},
		tensor.Map{"features": all},
		tensor.Float32)
}

// of returns the feature vector of an encoded picture.
func (c *cache) of(ctx context.Context, e *model.Extractor, data []byte, digest string) ([]float32, error) {
	if vector, ok := c.get(digest); ok {
		return vector, nil
	}
	vector, err := e.Embed(ctx, data)
	if err == nil {
		c.put(digest, vector)
	}
	return vector, err
}

// compute returns the feature vectors of the pictures of a set that can be read, on
// all cores, with that set. done is called for each picture.
func compute(ctx context.Context, e *model.Extractor, c *cache, set *dataset.Set, tally *dataset.Tally,
	done func()) (vectors, *dataset.Set, scan, error) {
	kept, s, err := scanned(ctx, set, e.Limits(), tally, done, func(data []byte, digest string) error {
		_, err := c.of(ctx, e, data, digest)
		return err
	})
	// What was computed before an interruption is kept for the next run.
	if err := errors.Join(err, c.save()); err != nil {
		return nil, nil, s, err
	}
	var v vectors
	for _, digest := range s.digests {
		vector, _ := c.get(digest)
		v = append(v, vector)
	}
	return v, kept, s, nil
}
