package request

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"garb/serve/engine"
)

// StreamConfig holds the timeouts of streams of messages.
type StreamConfig struct {
	// MessageTimeout limits the time of a message: to arrive, to be answered, and to be sent.
	MessageTimeout time.Duration
	// IdleTimeout limits the time between a client's messages.
	IdleTimeout time.Duration
}

// MessageReader reads the body of a stream of gRPC messages. Each message is read and decompressed within
// the limits of bodies, and takes its share of their budget until the next one is read. It may be used by
// one goroutine, but for Stop.
type MessageReader struct {
	bodies  *Bodies
	request *http.Request
	control *http.ResponseController
	config  StreamConfig
	// encoding is the compression of compressed messages.
	encoding string
	current  io.Reader // what is left of the current message
	size     int64     // of the current message
	count    int       // of messages
	release  func()
	err      error

	mu       sync.Mutex
	waiting  bool // for the next message
	stopping bool
}

// NewMessageReader returns a reader of a request's messages, which share the budget of bodies. The caller must
// close it.
func (b *Backend) NewMessageReader(w http.ResponseWriter, r *http.Request, bodies *Bodies) *MessageReader {
	return &MessageReader{bodies: bodies, request: r, control: http.NewResponseController(w), config: b.Streams(),
		encoding: strings.ToLower(r.Header.Get("Grpc-Encoding")), current: strings.NewReader(""), release: func() {}}
}

// Read reads from the current message: its five bytes of prefix, and its content without compression. After
// its end it reads the next message.
func (m *MessageReader) Read(p []byte) (int, error) {
	n, err := m.current.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	m.Close()
	if m.err == nil {
		m.current, m.err = m.next()
	}
	if m.err != nil {
		return 0, m.err
	}
	return m.current.Read(p)
}

// Err returns why there is no next message: io.EOF at the end of the stream, nil if there may be one.
func (m *MessageReader) Err() error { return m.err }

// Size returns the size of the current message without compression.
func (m *MessageReader) Size() int64 { return m.size }

// Count returns the number of messages up to the current one.
func (m *MessageReader) Count() int { return m.count }

// Close frees the share of the budget that the current message has.
func (m *MessageReader) Close() error {
	m.release()
	m.release = func() {}
	m.current = strings.NewReader("")
	return nil
}

// Stop makes the reader fail with engine.ErrStopping before the next message.
func (m *MessageReader) Stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
	if m.waiting {
		_ = m.control.SetReadDeadline(time.Now()) // if it fails, the grace period ends the stream
	}
}

// wait sets whether the reader waits for the next message, and the deadline of reading. It fails if the
// reader was stopped.
func (m *MessageReader) wait(waiting bool, timeout time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting = waiting; m.stopping {
		return engine.ErrStopping
	}
	_ = m.control.SetReadDeadline(time.Now().Add(timeout)) // not every ResponseWriter has deadlines: in tests
	return m.request.Context().Err()                       // its end may have set the deadline before
}

// next reads the next message.
func (m *MessageReader) next() (io.Reader, error) {
	if err := m.wait(true, m.config.IdleTimeout); err != nil {
		return nil, err
	}
	prefix := make([]byte, 5)
	_, err := io.ReadFull(m.request.Body, prefix)
	if stopped := m.wait(false, m.config.MessageTimeout); stopped != nil && err != nil {
		return nil, stopped
	}
	switch {
	case err == io.EOF: //nolint:errorlint // ReadFull returns it itself
		return nil, io.EOF
	case err != nil:
		return nil, m.bodyError(err)
	}
	data, err := m.read(int64(binary.BigEndian.Uint32(prefix[1:])), prefix[0] == 1)
	if err != nil {
		return nil, m.bodyError(err)
	}
	m.size = int64(len(data))
	m.count++
	prefix[0] &^= 1
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(data)))
	return io.MultiReader(bytes.NewReader(prefix), bytes.NewReader(data)), nil
}

// bodyError returns the error to report for an error in reading a message.
func (m *MessageReader) bodyError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, io.EOF): // of the decompressor; it must not look like the end of the stream
		err = io.ErrUnexpectedEOF
	}
	return m.bodies.bodyError(m.request, err)
}

// read reads the content of a message of size bytes, and decompresses it.
func (m *MessageReader) read(size int64, compressed bool) (data []byte, err error) {
	if size > m.bodies.maxBytes() {
		return nil, m.bodies.tooLarge()
	}
	data, release, err := m.bodies.readBounded(io.LimitReader(m.request.Body, size), size)
	if err == nil && int64(len(data)) < size {
		release()
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if compressed {
		free := release
		var plain io.Reader
		plain, err = decompress(m.encoding, bytes.NewReader(data))
		if err == nil {
			data, release, err = m.bodies.readBounded(plain, -1)
		}
		free()
		if err != nil {
			return nil, err
		}
	}
	copies := int64(messageCopies * len(data))
	if err = m.bodies.reserve(copies); err != nil {
		release()
		return nil, err
	}
	m.release = func() { m.bodies.used.Add(-copies); release() }
	return data, nil
}
