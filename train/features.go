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

	"github.com/gofrs/flock"

	"garb/dataset"
	"garb/model"
	"garb/tensor"
	"garb/weights"
)

// cache keeps feature vectors between runs, in one file for each backbone and preprocessing, by
// the digest of the picture's bytes.
type cache struct {
	path    string
	count   int // of values in a vector
	mu      sync.Mutex
	vectors map[string][]float32
	changed bool
}

// openCache opens the cache of a backbone and preprocessing. It ignores a file that cannot be read:
// the features are computed again.
//
// Its version rises when the same picture gives other features than before, as after a change of
// the decoders. Pictures that other limits accept have caches of their own: they must not be found
// where they are refused.
func openCache(e *model.Extractor, weightsDigest string) (*cache, error) {
	home, err := weights.Home()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(e.Spec())
	if err != nil {
		return nil, err
	}
	l := e.Limits()
	key := sha256.Sum256(fmt.Appendf(nil, "features 2\n%s\n%s\n%t %d %d\n", weightsDigest, spec, l.KeepTruncated,
		l.MaxPixels, l.MaxDecodedPixels))
	c := &cache{
		path:  filepath.Join(home, "features", fmt.Sprintf("%x.safetensors", key[:8])),
		count: e.FeatureCount(), vectors: map[string][]float32{},
	}
	c.addStored()
	return c, nil
}

// addStored adds the vectors of the file to those in memory.
func (c *cache) addStored() {
	f, err := tensor.ReadFile(c.path)
	if err != nil {
		return
	}
	all, err := f.Tensor("features")
	digests := strings.Fields(f.Metadata["digests"])
	if err != nil || len(all.Data) != len(digests)*c.count {
		return
	}
	for i, d := range digests {
		if _, ok := c.vectors[d]; !ok {
			c.vectors[d] = all.Data[i*c.count:][:c.count]
		}
	}
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

// save writes the cache if it has new vectors, together with those that other processes have
// written since it was opened.
func (c *cache) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	lock := flock.New(c.path + lockFile)
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("locking the cache of features: %w", err)
	}
	defer lock.Unlock()
	c.addStored()
	all := tensor.New(len(c.vectors), c.count)
	digests := make([]string, 0, len(c.vectors))
	for d, v := range c.vectors {
		copy(all.Data[len(digests)*c.count:], v)
		digests = append(digests, d)
	}
	c.changed = false
	metadata := map[string]string{"digests": strings.Join(digests, " ")}
	return tensor.WriteFile(c.path, metadata, tensor.Map{"features": all}, tensor.Float32)
}

// embed returns the feature vector of an encoded picture, from the cache if it has it.
func (c *cache) embed(ctx context.Context, e *model.Extractor, data []byte, digest string) ([]float32, error) {
	if vector, ok := c.get(digest); ok {
		return vector, nil
	}
	vector, err := e.Embed(ctx, data)
	if err == nil {
		c.put(digest, vector)
	}
	return vector, err
}

// computeFeatures returns the feature vectors of the pictures of a set that can be read, and the set
// of these pictures. done is called for each picture.
func computeFeatures(
	ctx context.Context, e *model.Extractor, c *cache, set *dataset.Set, tally *dataset.Tally, done func(),
) (vectors, *dataset.Set, scanResult, error) {
	kept, s, err := scanPictures(ctx, set, e.Limits(), tally, done, func(data []byte, digest string) error {
		_, err := c.embed(ctx, e, data, digest)
		return err
	})
	// The vectors computed before an interruption are saved for the next run.
	if err = errors.Join(err, c.save()); err != nil {
		return nil, nil, s, err
	}
	var v vectors
	for _, digest := range s.digests {
		vector, _ := c.get(digest)
		v = append(v, vector)
	}
	return v, kept, s, nil
}
