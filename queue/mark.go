package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"garb/results"
)

// mark is what is known of a batch that comes back. The server only counts how often it was
// handed out.
type mark struct {
	Returned int         `json:"returned"`         // how often workers have handed it back
	Failed   int         `json:"failed"`           // how often because a picture could not be read
	Current  int         `json:"current"`          // index of the picture that a careful worker is at, or none
	Deaths   map[int]int `json:"deaths,omitempty"` // workers that have died at a picture, by its index
}

// none is the value of Current when no picture is being computed.
const none = -1

// maxDeaths is the number of workers that a picture may kill, after the batch has killed
// others, before it becomes a dead letter.
const maxDeaths = 3

func (c *claim) markKey() string { return fmt.Sprintf("%d-%d", c.first, c.attempt) }

// readMark reads the mark of a batch. If a worker has died at a picture, it counts that.
func (r *run) readMark(ctx context.Context, c *claim) (mark, error) {
	m := mark{Current: none}
	err := r.q.retry(ctx, func(ctx context.Context) error {
		entry, err := r.marks.Get(ctx, c.markKey())
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(entry.Value(), &m)
	})
	if m.Current != none {
		if m.Deaths == nil {
			m.Deaths = map[int]int{}
		}
		m.Deaths[m.Current]++
		m.Current = none
	}
	return m, err
}

func (r *run) writeMark(ctx context.Context, c *claim) error {
	data, err := json.Marshal(c.mark)
	if err != nil {
		return err
	}
	return r.q.retry(ctx, func(ctx context.Context) error {
		_, err := r.marks.Put(ctx, c.markKey(), data)
		return err
	})
}

// computeCarefully computes a batch whose workers have died: one picture at a time, with a
// mark at each. So the next worker knows which picture it was if this one dies, too.
func (r *run) computeCarefully(ctx context.Context, c *claim) ([]Row, error) {
	rows := make([]Row, len(c.Pictures))
	for i, p := range c.Pictures {
		if deaths := c.mark.Deaths[p.Index]; deaths >= maxDeaths {
			rows[i] = Row{Picture: p.Name, Index: p.Index, Failure: &results.Failure{Kind: "worker_died",
				Message: fmt.Sprintf("%d workers ended without notice while they computed this picture", deaths)}}
			continue
		}
		c.mark.Current = p.Index
		if err := r.writeMark(ctx, c); err != nil {
			return nil, err
		}
		var err error
		if rows[i], err = r.computePicture(ctx, c, i); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
