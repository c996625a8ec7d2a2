package engine

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

// cache holds the answers about pictures that came before, up to a number of bytes; the answers that
// have not been used for the longest time make room. It is safe for concurrent use.
type cache struct {
	maxBytes int64

	mu      sync.Mutex
	bytes   int64
	entries map[cacheKey]*list.Element
	order   list.List // of *cacheEntry, the last used first
}

// cacheKey identifies an answer: the digests of the encoded picture and of the model, and the options
// that change what is computed. A threshold is not one: it is applied to answers later.
type cacheKey struct {
	picture [sha256.Size]byte
	model   string
	explain bool
	class   int
}

type cacheEntry struct {
	key    cacheKey
	answer Answer
	bytes  int64
}

// newCache returns a cache, nil if it may hold no bytes.
func newCache(maxBytes int64) *cache {
	if maxBytes <= 0 {
		return nil
	}
	return &cache{maxBytes: maxBytes, entries: map[cacheKey]*list.Element{}}
}

func newCacheKey(e *Engine, picture []byte, o Options) cacheKey {
	k := cacheKey{picture: sha256.Sum256(picture), model: e.Digest(), explain: o.Explain}
	if o.Explain {
		k.class = o.Class
	}
	return k
}

// find returns the answer with a key.
func (c *cache) find(k cacheKey) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[k]
	if !ok {
		return Answer{}, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*cacheEntry).answer, true
}

// add adds an answer, which nobody may change afterwards. One that is larger than the cache is not kept.
func (c *cache) add(k cacheKey, a Answer) {
	a.Decode, a.Wait, a.Inference = 0, 0, 0
	entry := &cacheEntry{k, a, countBytes(a)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[k]; ok || entry.bytes > c.maxBytes {
		return
	}
	c.entries[k] = c.order.PushFront(entry)
	for c.bytes += entry.bytes; c.bytes > c.maxBytes; {
		oldest := c.order.Remove(c.order.Back()).(*cacheEntry)
		delete(c.entries, oldest.key)
		c.bytes -= oldest.bytes
	}
}

// countBytes returns about the number of bytes that an answer takes. The names of classes belong to the
// model.
func countBytes(a Answer) int64 {
	const (
		fixed      = 600 // the entry, its key, its places in the map and in the list
		prediction = 40  // with a name
		name       = 16
	)
	n := fixed + 4*(cap(a.Outputs)+cap(a.Embedding)) + prediction*cap(a.Predictions) + name*(cap(a.Labels)+cap(a.Set))
	if a.Heat != nil {
		n += 4 * cap(a.Heat.Values)
	}
	return int64(n)
}
