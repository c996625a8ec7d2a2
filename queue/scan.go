package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// scanOptions says which messages scan reads.
type scanOptions struct {
	subject string // filter; "" means all
	after   uint64 // sequence number before the first message
	bodies  bool   // read bodies too, not only headers
}

// scanned is a message of a stream.
type scanned struct {
	subject  string
	sequence uint64
	nanos    int64 // when it was stored, since 1970
	header   nats.Header
	data     []byte
}

// scan calls use for the messages of a stream in their order, up to its end. If the server is
// out of reach for a while, it continues after the last message.
func (q *Queue) scan(ctx context.Context, stream string, o scanOptions, use func(scanned) error) error {
	var failed error
	err := q.retry(ctx, func(attempt context.Context) error {
		err := q.scanOnce(ctx, attempt, stream, &o, func(m scanned) error {
			failed = use(m)
			return failed
		})
		if failed != nil {
			return nil // not the server's: do not try again
		}
		return err
	})
	if failed != nil || err != nil {
		return errors.Join(failed, err)
	}
	return q.check(ctx, stream, 0)
}

// scanOnce reads with one consumer. setUp bounds the time of its creation only.
func (q *Queue) scanOnce(ctx, setUp context.Context, name string, o *scanOptions, use func(scanned) error) error {
	config := jetstream.OrderedConsumerConfig{HeadersOnly: !o.bodies, DeliverPolicy: jetstream.DeliverAllPolicy}
	if o.subject != "" {
		config.FilterSubjects = []string{o.subject}
	}
	if o.after > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, o.after+1
	}
	consumer, err := q.js.OrderedConsumer(setUp, name, config)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer q.js.DeleteConsumer(context.WithoutCancel(ctx), name, info.Name) // or it goes after five minutes by itself
	left, promised, got := info.NumPending, info.NumPending, uint64(0)
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for left > 0 {
		next, cancel := context.WithTimeout(ctx, scanStall)
		m, err := messages.Next(jetstream.NextContext(next))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return q.judgeStall(ctx, name, o)
		}
		if err != nil {
			return err
		}
		about, err := m.Metadata()
		if err != nil {
			return err
		}
		o.after, left = about.Sequence.Stream, about.NumPending
		err = use(scanned{m.Subject(), about.Sequence.Stream, about.Timestamp.UnixNano(), m.Headers(), m.Data()})
		if err != nil {
			return err
		}
		got++
	}
	if got < promised {
		return q.damaged(name, fmt.Sprintf("%d of %d messages cannot be read", promised-got, promised))
	}
	return nil
}

// scanStall is the time without a message after which scan asks whether there is one.
const scanStall = 3 * time.Second

// errStalled says that a message did not come in time although the server has it.
var errStalled = fmt.Errorf("the next message does not come: %w", nats.ErrTimeout)

// judgeStall returns the reason why a consumer gets no message that the server has promised: a
// *StoreError if the server answers but cannot read the message, because it skips damaged ones
// without a word.
func (q *Queue) judgeStall(ctx context.Context, name string, o *scanOptions) error {
	ctx, cancel := context.WithTimeout(ctx, scanStall)
	defer cancel()
	s, err := q.js.Stream(ctx, name)
	if err != nil {
		return err
	}
	var options []jetstream.GetMsgOpt
	if o.subject != "" {
		options = append(options, jetstream.WithGetMsgSubject(o.subject))
	}
	if _, err = s.GetMsg(ctx, o.after+1, options...); err == nil {
		return errStalled
	}
	if isTransient(err) {
		return err
	}
	return q.damaged(name, fmt.Sprintf("the messages after number %d cannot be read: %v", o.after, err))
}
