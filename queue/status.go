package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Status is how far a job is.
type Status struct {
	Job      Job     `json:"job"`
	Put      int     `json:"put"`                 // pictures
	Done     int     `json:"done"`                // pictures with a result
	Dead     int     `json:"dead"`                // dead letters
	InFlight int     `json:"in_flight"`           // pictures in batches that workers have, about
	Rate     float64 `json:"pictures_per_second"` // over the last minute with results
	// Remaining is the time that the rest takes at this rate, in seconds; 0 if the rate is 0.
	Remaining float64 `json:"remaining_seconds"`
}

// Left returns the number of pictures without a result and without an error.
func (s Status) Left() int { return max(s.Put-s.Done-s.Dead, 0) }

// rateWindow is the time over which the rate is measured.
const rateWindow = time.Minute

// Watcher follows the status of a job. It reads each result only once. It is not safe for
// concurrent use.
type Watcher struct {
	q    *Queue
	job  Job
	last struct{ results, retries uint64 } // sequence numbers up to which the streams are counted

	done, dead, retried int
	recent              []group // results of the last minute, oldest first
}

// group is the number of pictures with a result in one second.
type group struct{ second, pictures int64 }

// Watch returns a Watcher of a job.
func (q *Queue) Watch(ctx context.Context, job string) (*Watcher, error) {
	j, err := q.Job(ctx, job)
	if err == nil {
		_, err = q.stream(ctx, resultStream(job)) // for check
	}
	return &Watcher{q: q, job: j}, err
}

// Status returns how far a job is.
func (q *Queue) Status(ctx context.Context, job string) (Status, error) {
	w, err := q.Watch(ctx, job)
	if err != nil {
		return Status{}, err
	}
	return w.Status(ctx)
}

// Status returns how far the job is.
func (w *Watcher) Status(ctx context.Context) (Status, error) {
	s := Status{Job: w.job}
	// Results are counted before pictures: so there are never more results than pictures.
	if err := w.countResults(ctx); err != nil {
		return s, err
	}
	if err := w.countRetries(ctx); err != nil {
		return s, err
	}
	var err error
	if s.Put, err = w.q.countPut(ctx, w.job.Name); err != nil {
		return s, err
	}
	s.Done, s.Dead = w.done, max(w.dead-w.retried, 0)
	claims, finished, err := w.q.countClaims(ctx, w.job.Name)
	if err != nil {
		return s, err
	}
	if finished && s.Left() > 0 {
		// Meanwhile the last batches may have come. Later ones cannot: the server hands out none.
		if err := w.countResults(ctx); err != nil {
			return s, err
		}
		if s.Done, s.Dead = w.done, max(w.dead-w.retried, 0); s.Left() > 0 {
			return s, w.q.lostResults(w.job.Name, s)
		}
	}
	if err := w.q.checkJob(ctx, w.job.Name); err != nil {
		return s, err
	}
	s.InFlight = min(claims*w.job.Batch, s.Left())
	s.Rate = w.measureRate(time.Now().Unix())
	if s.Rate > 0 {
		s.Remaining = float64(s.Left()) / s.Rate
	}
	return s, nil
}

func (w *Watcher) countResults(ctx context.Context) error {
	options := scanOptions{subject: "garb." + w.job.Name + ".result.>", after: w.last.results}
	return w.q.scan(ctx, resultStream(w.job.Name), options, func(m scanned) error {
		done, err := readCount(m.header, doneHeader)
		if err != nil {
			return err
		}
		dead, err := readCount(m.header, deadHeader)
		if err != nil {
			return err
		}
		w.last.results = m.sequence
		w.done += done
		w.dead += dead
		second := m.nanos / int64(time.Second)
		if n := len(w.recent); n == 0 || w.recent[n-1].second != second {
			w.recent = append(w.recent, group{second: second})
		}
		w.recent[len(w.recent)-1].pictures += int64(done + dead)
		for len(w.recent) > int(rateWindow/time.Second)+1 {
			w.recent = w.recent[1:]
		}
		return nil
	})
}

func (w *Watcher) countRetries(ctx context.Context) error {
	options := scanOptions{subject: "garb." + w.job.Name + ".retry.>", after: w.last.retries}
	return w.q.scan(ctx, pictureStream(w.job.Name), options, func(m scanned) error {
		n, err := readCount(m.header, picturesHeader)
		w.last.retries = m.sequence
		w.retried += n
		return err
	})
}

// measureRate returns the pictures per second over the last minute. A second in which the
// first result came is not counted: it says nothing about the time before it.
func (w *Watcher) measureRate(now int64) float64 {
	pictures, since := int64(0), now
	for i := len(w.recent) - 1; i > 0 && w.recent[i].second > now-int64(rateWindow/time.Second); i-- {
		pictures += w.recent[i].pictures
		since = w.recent[i-1].second
	}
	if since >= now {
		return 0
	}
	return float64(pictures) / float64(min(now-since, int64(rateWindow/time.Second)))
}

// countPut returns the number of pictures of a job.
func (q *Queue) countPut(ctx context.Context, job string) (int, error) {
	total := 0
	err := q.retry(ctx, func(ctx context.Context) error {
		stream, err := q.js.Stream(ctx, pictureStream(job))
		if err != nil {
			return err
		}
		m, err := stream.GetLastMsgForSubject(ctx, putSubject(job))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		total, err = readCount(m.Header, totalHeader)
		return err
	})
	return total, err
}

// countClaims returns the number of batches that workers have, and whether all batches are finished.
func (q *Queue) countClaims(ctx context.Context, job string) (claims int, finished bool, err error) {
	err = q.retry(ctx, func(ctx context.Context) error {
		consumer, failure := q.js.Consumer(ctx, pictureStream(job), consumerName)
		if errors.Is(failure, jetstream.ErrConsumerNotFound) { // no worker has come yet
			return nil
		}
		if failure != nil {
			return failure
		}
		info := consumer.CachedInfo()
		claims = info.NumAckPending
		finished = claims == 0 && info.NumPending == 0
		return nil
	})
	return claims, finished, err
}

// Progress is a rough status that costs little, however large the job is.
type Progress struct {
	Put   int     // pictures
	Share float64 // of the batches that have a result, from 0 to 1
}

// Progress returns how far a job is, roughly.
func (q *Queue) Progress(ctx context.Context, job string) (Progress, error) {
	var p Progress
	var err error
	if p.Put, err = q.countPut(ctx, job); err != nil {
		return p, err
	}
	err = q.retry(ctx, func(ctx context.Context) error {
		consumer, findErr := q.js.Consumer(ctx, pictureStream(job), consumerName)
		if findErr != nil {
			return findErr
		}
		info := consumer.CachedInfo()
		left := info.NumPending + uint64(info.NumAckPending)
		taken := info.Delivered.Stream + info.NumPending
		if taken > 0 {
			p.Share = 1 - float64(left)/float64(taken)
		}
		return nil
	})
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return p, nil
	}
	return p, err
}
