package queue

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Picture is a picture of a job.
type Picture struct {
	// Name is a URL or a path. It is what the results call the picture.
	Name string
	// Dir is the folder that a relative path is relative to.
	Dir string
	// Version tells a changed picture from the one before. It is what the store says, or ""
	Version string
}

// Location returns the URL, or the path with its folder.
func (p Picture) Location() string {
	if p.Dir == "" || strings.Contains(p.Name, "://") || filepath.IsAbs(p.Name) {
		return p.Name
	}
	return filepath.Join(p.Dir, p.Name)
}

// key identifies a picture and its version.
type key [16]byte

func (p Picture) key() key {
	sum := sha256.Sum256([]byte(p.Location() + "\x00" + p.Version))
	return key(sum[:16])
}

// Headers of messages, for what is counted without reading the messages.
const (
	picturesHeader = "Garb-Pictures" // pictures in a batch
	totalHeader    = "Garb-Total"    // pictures that were put up to this batch
	putHeader      = "Garb-Put"      // identifies the call of Put
	doneHeader     = "Garb-Done"     // rows with a result
	deadHeader     = "Garb-Dead"     // rows with an error
)

// readCount returns the number in a header.
func readCount(h nats.Header, name string) (int, error) {
	n, err := strconv.Atoi(h.Get(name))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("the header %s is %q, not a number", name, h.Get(name))
	}
	return n, nil
}

// batch is a message of the log: pictures that a worker takes together.
type batch struct {
	Dir      string  `json:"dir,omitempty"`
	Pictures []entry `json:"pictures"`
	// A batch of pictures that are tried again names their first batch and counts the attempts.
	Of      uint64 `json:"of,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
}

// entry is a picture in a batch.
type entry struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Index   int    `json:"index"` // in its first batch
}

// parseBatch parses a message of the log.
func parseBatch(data []byte) (batch, error) {
	var b batch
	if err := json.Unmarshal(data, &b); err != nil {
		return batch{}, err
	}
	switch {
	case len(b.Pictures) == 0 || len(b.Pictures) > maxBatch:
		return batch{}, fmt.Errorf("a batch of %d pictures", len(b.Pictures))
	case b.Attempt < 0 || (b.Of == 0) != (b.Attempt == 0):
		return batch{}, fmt.Errorf("attempt %d at batch %d", b.Attempt, b.Of)
	}
	last := -1
	for _, e := range b.Pictures {
		if e.Index <= last || e.Index >= maxBatch {
			return batch{}, fmt.Errorf("picture %d follows picture %d", e.Index, last)
		}
		last = e.Index
	}
	return b, nil
}

// picture returns a picture of the batch.
func (b batch) picture(i int) Picture {
	return Picture{Name: b.Pictures[i].Name, Dir: b.Dir, Version: b.Pictures[i].Version}
}

// result is a message with the rows of a batch. Rows that do not fit in one message are in
// parts of their own, which were published before it.
type result struct {
	Rows   []Row  `json:"rows,omitempty"`
	Writer string `json:"writer,omitempty"` // of the parts
	Parts  int    `json:"parts,omitempty"`
}

// parseResult parses a message with rows.
func parseResult(data []byte) (result, error) {
	var r result
	if err := json.Unmarshal(data, &r); err != nil {
		return result{}, err
	}
	if r.Parts < 0 || r.Parts > maxBatch || (r.Parts > 0) != writerName.MatchString(r.Writer) {
		return result{}, fmt.Errorf("%d parts of writer %q", r.Parts, r.Writer)
	}
	last := -1
	for _, row := range r.Rows {
		if row.Index <= last || row.Index >= maxBatch {
			return result{}, fmt.Errorf("row %d follows row %d", row.Index, last)
		}
		last = row.Index
	}
	return r, nil
}

// writerName matches the names of writers. They are a part of subjects.
var writerName = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
