package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Results returns the rows of a job in the order in which its pictures were put, so that two
// calls return the same. A picture that became a dead letter and was tried again has only its
// latest row. Unless partial, the error is an *IncompleteError if pictures have neither a result
// nor an error.
func (q *Queue) Results(ctx context.Context, job string, partial bool) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		s, err := q.Status(ctx, job)
		if err == nil && !partial && s.Left() > 0 {
			err = &IncompleteError{job, s}
		}
		var last uint64
		if err == nil {
			last, err = q.lastSequence(ctx, pictureStream(job))
		}
		if err != nil {
			yield(Row{}, err)
			return
		}
		reading, cancel := context.WithCancel(ctx)
		defer cancel()
		for rows := range q.readBatches(reading, job, last) {
			r := <-rows
			if r.err != nil {
				yield(Row{}, r.err)
				return
			}
			for _, row := range r.rows {
				if !yield(row, nil) {
					return
				}
			}
		}
		err = ctx.Err()
		if err == nil {
			err = q.checkJob(ctx, job)
		}
		if err != nil {
			yield(Row{}, err)
		}
	}
}

// lookahead is the number of batches that Results reads at a time.
const lookahead = 16

// batchRows are the rows of a batch, or an error.
type batchRows struct {
	rows []Row
	err  error
}

// readBatches reads the results of batches 1 to last, several at a time, in their order.
func (q *Queue) readBatches(ctx context.Context, job string, last uint64) <-chan chan batchRows {
	order := make(chan chan batchRows, lookahead)
	go func() {
		defer close(order)
		for n := uint64(1); n <= last; n++ {
			done := make(chan batchRows, 1)
			select {
			case order <- done:
			case <-ctx.Done():
				return
			}
			go func() {
				rows, err := q.readBatch(ctx, job, n)
				done <- batchRows{rows, err}
			}()
		}
	}()
	return order
}

// readBatch returns the rows of a batch, none if it has no result. Rows of later attempts
// replace its dead letters.
func (q *Queue) readBatch(ctx context.Context, job string, n uint64) ([]Row, error) {
	var rows []Row
	for attempt := 0; ; attempt++ {
		r, err := q.readRows(ctx, job, n, attempt)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the result of batch %d of job %q: %w", n, job, err)
		}
		if attempt == 0 {
			rows = r
		} else {
			replace(rows, r)
		}
		if _, dead := countRows(rows); dead == 0 {
			return rows, nil
		}
	}
}

// replace replaces rows by later ones of the same pictures. Both are sorted by index.
func replace(rows, later []Row) {
	i := 0
	for _, row := range later {
		for i < len(rows) && rows[i].Index < row.Index {
			i++
		}
		if i < len(rows) && rows[i].Index == row.Index {
			rows[i] = row
		}
	}
}

// readRows returns the rows of one attempt at a batch.
func (q *Queue) readRows(ctx context.Context, job string, batch uint64, attempt int) ([]Row, error) {
	m, err := q.readResult(ctx, job, batch, attempt)
	if err != nil {
		return nil, err
	}
	r, err := parseResult(m.Data)
	if err != nil {
		return nil, err
	}
	rows := r.Rows
	for i := range r.Parts {
		m, err := q.readMessage(ctx, resultStream(job), partSubject(job, batch, attempt, r.Writer, i))
		if err != nil {
			return nil, fmt.Errorf("part %d is missing: %v", i+1, err) //nolint:errorlint // not a missing result
		}
		part, err := parseResult(m.Data)
		if err != nil {
			return nil, err
		}
		rows = append(rows, part.Rows...)
	}
	return rows, nil
}

// readResult reads the result of one attempt at a batch. The error is jetstream.ErrMsgNotFound if
// there is none.
func (q *Queue) readResult(ctx context.Context, job string, batch uint64, attempt int) (
	*jetstream.RawStreamMsg, error) {
	return q.readMessage(ctx, resultStream(job), resultSubject(job, batch, attempt))
}

func (q *Queue) readMessage(ctx context.Context, stream, subject string) (*jetstream.RawStreamMsg, error) {
	s, err := q.stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	var m *jetstream.RawStreamMsg
	err = q.retry(ctx, func(ctx context.Context) error {
		var getErr error
		m, getErr = s.GetLastMsgForSubject(ctx, subject)
		return getErr
	})
	return m, err
}

// lastSequence returns the sequence number of the last message of a stream.
func (q *Queue) lastSequence(ctx context.Context, name string) (uint64, error) {
	s, err := q.stream(ctx, name)
	if err != nil {
		return 0, err
	}
	var last uint64
	err = q.retry(ctx, func(ctx context.Context) error {
		info, infoErr := s.Info(ctx)
		if infoErr == nil {
			last = info.State.LastSeq
		}
		return infoErr
	})
	return last, err
}

// Dead returns the dead letters of a job, in the order in which the pictures were put.
func (q *Queue) Dead(ctx context.Context, job string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		found, err := q.findDead(ctx, job)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for _, d := range found {
			rows, err := q.readRows(ctx, job, d.batch, d.attempt)
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, row := range rows {
				if row.Failure != nil && !yield(row, nil) {
					return
				}
			}
		}
	}
}

// deadBatch is a result with dead letters that were not put in again.
type deadBatch struct {
	batch   uint64
	attempt int
}

// findDead returns the results with dead letters that were not put in again, sorted by batch.
func (q *Queue) findDead(ctx context.Context, job string) ([]deadBatch, error) {
	if _, err := q.Job(ctx, job); err != nil {
		return nil, err
	}
	latest := map[uint64]int{} // batches with dead letters, and their last attempt with a result
	options := scanOptions{subject: "garb." + job + ".result.>"}
	err := q.scan(ctx, resultStream(job), options, func(m scanned) error {
		batch, attempt, err := parseSubject(m.subject)
		if err != nil {
			return err
		}
		dead, err := readCount(m.header, deadHeader)
		if err != nil {
			return err
		}
		if have, ok := latest[batch]; dead > 0 && (!ok || attempt > have) {
			latest[batch] = attempt
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = q.scan(ctx, pictureStream(job), scanOptions{subject: "garb." + job + ".retry.>"}, func(m scanned) error {
		batch, attempt, subjectErr := parseSubject(m.subject)
		if have, ok := latest[batch]; ok && attempt > have {
			delete(latest, batch)
		}
		return subjectErr
	})
	return sortDead(latest), err
}

// parseSubject returns the batch and the attempt in a subject.
func parseSubject(subject string) (uint64, int, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 {
		return 0, 0, fmt.Errorf("a message has the subject %q", subject)
	}
	batch, err := strconv.ParseUint(parts[3], 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("a message has the subject %q", subject)
	}
	attempt, err := strconv.Atoi(parts[4])
	if err != nil || attempt < 0 {
		return 0, 0, fmt.Errorf("a message has the subject %q", subject)
	}
	return batch, attempt, nil
}

// RetryDead puts all dead letters in again and returns their number. Their results replace
// the errors.
func (q *Queue) RetryDead(ctx context.Context, job string) (int, error) {
	found, err := q.findDead(ctx, job)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, d := range found {
		n, err := q.retryBatch(ctx, job, d)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// retryBatch puts the dead letters of a batch in again. The stream of pictures keeps one message
// for each attempt: if another process has put it in, its pictures are not put in twice.
func (q *Queue) retryBatch(ctx context.Context, job string, d deadBatch) (int, error) {
	rows, err := q.readRows(ctx, job, d.batch, d.attempt)
	if err != nil {
		return 0, err
	}
	s, err := q.stream(ctx, pictureStream(job))
	if err != nil {
		return 0, err
	}
	var m *jetstream.RawStreamMsg
	err = q.retry(ctx, func(ctx context.Context) error {
		m, err = s.GetMsg(ctx, d.batch)
		return err
	})
	if err != nil {
		return 0, err
	}
	b, err := parseBatch(m.Data)
	if err != nil {
		return 0, err
	}
	dead := map[int]bool{}
	for _, row := range rows {
		if row.Failure != nil {
			dead[row.Index] = true
		}
	}
	again := batch{Dir: b.Dir, Of: d.batch, Attempt: d.attempt + 1}
	for _, e := range b.Pictures {
		if dead[e.Index] {
			again.Pictures = append(again.Pictures, e)
		}
	}
	message, err := newMessage(retrySubject(job, d.batch, again.Attempt), again)
	if err != nil {
		return 0, err
	}
	message.Header.Set(picturesHeader, strconv.Itoa(len(again.Pictures)))
	err = q.retry(ctx, func(ctx context.Context) error {
		_, putErr := q.js.PublishMsg(ctx, message, jetstream.WithExpectLastSequencePerSubject(0),
			jetstream.WithRetryAttempts(0))
		return putErr
	})
	if isConflict(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return len(again.Pictures), nil
}

// sortDead returns the batches of a map in their order.
func sortDead(latest map[uint64]int) []deadBatch {
	var all []deadBatch
	for _, n := range slices.Sorted(maps.Keys(latest)) {
		all = append(all, deadBatch{n, latest[n]})
	}
	return all
}
