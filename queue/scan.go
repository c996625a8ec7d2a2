package queue

import (
	"context"
	"errors"

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
	return errors.Join(failed, err)
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
	left := info.NumPending
	if left == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for left > 0 {
		m, err := messages.Next(jetstream.NextContext(ctx))
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
	}
	return nil
}
