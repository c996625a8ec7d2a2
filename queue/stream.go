package queue

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// openStream is a stream that this process has used.
type openStream struct {
	jetstream.Stream
	created time.Time
	last    uint64 // sequence number of its last message when it was first used
}

// stream returns a stream, and remembers it.
func (q *Queue) stream(ctx context.Context, name string) (openStream, error) {
	if s, ok := q.streams.Load(name); ok {
		return s.(openStream), nil
	}
	var s openStream
	err := q.retry(ctx, func(ctx context.Context) error {
		found, err := q.js.Stream(ctx, name)
		if err == nil {
			s = q.remember(name, found)
		}
		return err
	})
	return s, err
}

// remember keeps what check compares a stream with later.
func (q *Queue) remember(name string, s jetstream.Stream) openStream {
	info := s.CachedInfo()
	kept, _ := q.streams.LoadOrStore(name, openStream{s, info.Created, info.State.LastSeq})
	return kept.(openStream)
}

// check returns a *StoreError if a stream of a job lacks messages, of which there must be at least
// a number. No message of these streams is ever deleted, so their numbers have no gaps. The server
// notices damage only when it reads a file; then it skips the damaged messages, or all after them.
func (q *Queue) check(ctx context.Context, name string, least uint64) error {
	s, err := q.stream(ctx, name)
	if err != nil {
		return err
	}
	return q.retry(ctx, func(ctx context.Context) error {
		found, err := q.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		info := found.CachedInfo()
		last := max(info.State.LastSeq, least)
		if info.Created.Equal(s.created) { // it is not a new job of the same name
			last = max(last, s.last)
		}
		if lost := last - info.State.Msgs; lost > 0 {
			return q.damaged(name, fmt.Sprintf("%d of %d messages cannot be read", lost, last))
		}
		return q.checkMessage(ctx, name, last)
	})
}

// checkMessage returns a *StoreError if a message cannot be read. The number 0 means none.
func (q *Queue) checkMessage(ctx context.Context, name string, number uint64) error {
	if number == 0 {
		return nil
	}
	s, err := q.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	_, err = s.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return q.damaged(name, fmt.Sprintf("message %d cannot be read", number))
	}
	return err
}

// checkJob returns a *StoreError if a job lacks pictures or results.
func (q *Queue) checkJob(ctx context.Context, job string) error {
	put, err := q.readPut(ctx, job)
	if err == nil {
		err = q.check(ctx, pictureStream(job), put)
	}
	if err == nil {
		err = q.check(ctx, resultStream(job), 0)
	}
	return err
}

// putKey is the key of the number of batches that Put has stored. It is in the bucket of marks.
const putKey = "put"

// notePut stores the number of batches, for checkJob.
func (q *Queue) notePut(ctx context.Context, job string, batches uint64) error {
	return q.retry(ctx, func(ctx context.Context) error {
		marks, err := q.js.KeyValue(ctx, markBucket(job))
		if err == nil {
			_, err = marks.PutString(ctx, putKey, strconv.FormatUint(batches, 10))
		}
		return err
	})
}

// readPut returns what notePut has stored, or 0.
func (q *Queue) readPut(ctx context.Context, job string) (uint64, error) {
	var batches uint64
	err := q.retry(ctx, func(ctx context.Context) error {
		marks, err := q.js.KeyValue(ctx, markBucket(job))
		if err != nil {
			return err
		}
		entry, err := marks.Get(ctx, putKey)
		if err == nil {
			batches, err = strconv.ParseUint(string(entry.Value()), 10, 64)
		}
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		return err
	})
	return batches, err
}

// damaged returns the error of a stream that lacks messages.
func (q *Queue) damaged(stream, text string) error {
	return &StoreError{Dir: q.place(), Text: describeStream(q.options.Dir, stream) + ": " + text}
}

// describeStream returns the folder of a stream in that of the queue, or its name if that is elsewhere.
func describeStream(dir, stream string) string {
	if dir == "" {
		return "stream " + stream
	}
	return filepath.Join(streamsFolder, stream)
}

// lostResults returns the error of a job whose batches are all finished, but not all have results: the
// file with the results was damaged, or the power was lost before it was synced.
func (q *Queue) lostResults(job string, s Status) error {
	err := &StoreError{Dir: q.place(), Text: fmt.Sprintf("%s: %d of %d pictures have no result, although all batches "+
		"were acknowledged", describeStream(q.options.Dir, resultStream(job)), s.Left(), s.Put)}
	if q.host != nil {
		err.Hint = hintConsumer(pictureStream(job)) + "; if the pictures still have no result, remove the " +
			"whole folder of the queue and put the pictures again"
	}
	return err
}

// hintConsumer says how to hand out all batches of a job again.
func hintConsumer(stream string) string {
	return "end all commands that use the queue, and remove its folder " + consumerFolder(stream) +
		": the results stay, and the batches are handed out again"
}

// consumerFolder returns the folder with the state of a job's consumer, in that of the queue.
func consumerFolder(stream string) string {
	return filepath.Join(streamsFolder, stream, "obs", consumerName)
}

// codeConsumerStore is the server's code of an error about the files of a consumer.
const codeConsumerStore jetstream.ErrorCode = 10012

// explainConsumer returns a *StoreError for an error of a consumer whose files are damaged, and other
// errors unchanged.
func (q *Queue) explainConsumer(stream string, err error) error {
	var answer *jetstream.APIError
	if q.host == nil || !errors.As(err, &answer) || answer.ErrorCode != codeConsumerStore {
		return err
	}
	return &StoreError{q.place(), fmt.Sprintf("%s: %v", consumerFolder(stream), err), hintConsumer(stream)}
}
