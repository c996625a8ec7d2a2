package request

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"garb/serve/engine"
	"garb/serve/observe"
)

// BodyConfig holds the limits of the bodies of requests.
type BodyConfig struct {
	MaxBytes int64 // of one request
	// BudgetBytes limits the bodies of all requests together; those of gRPC count three times.
	BudgetBytes int64
	MaxPictures int // of one request
}

// DefaultBodyConfig returns the default limits.
func DefaultBodyConfig() BodyConfig {
	return BodyConfig{MaxBytes: 32 << 20, BudgetBytes: 256 << 20, MaxPictures: 32}
}

// ProbeBodyConfig returns the settings of the bodies of calls that need no API key. Nobody without a key may take
// the budget of the others, and no probe may fail because that is used up. Only names are sent.
func ProbeBodyConfig() BodyConfig {
	return BodyConfig{MaxBytes: 4 << 10, BudgetBytes: 16 << 20, MaxPictures: 1}
}

// Validate reports settings that cannot work.
func (c BodyConfig) Validate() error {
	switch {
	case c.MaxPictures < 1:
		return fmt.Errorf("the maximum number of pictures per request is %d; it must be at least 1", c.MaxPictures)
	case c.MaxBytes < 1:
		return fmt.Errorf("the maximum size of a request body is %d bytes; it must be at least 1", c.MaxBytes)
	case c.BudgetBytes/(1+messageCopies) < c.MaxBytes:
		return fmt.Errorf("the budget of %d bytes for all bodies must be at least %d times the limit of %d bytes for "+
			"one body, since gRPC copies it", c.BudgetBytes, 1+messageCopies, c.MaxBytes)
	}
	return nil
}

// Bodies reads the bodies of requests within the limits of a service.
type Bodies struct {
	config  atomic.Pointer[BodyConfig]
	metrics *observe.Metrics
	used    atomic.Int64 // bytes of all bodies in progress
}

// NewBodies returns a reader of bodies. The limits must be valid.
func NewBodies(c BodyConfig, m *observe.Metrics) *Bodies {
	b := &Bodies{metrics: m}
	b.Apply(c)
	return b
}

// Apply changes the limits, which must be valid. Bodies that are being read may keep the previous ones.
func (b *Bodies) Apply(c BodyConfig) { b.config.Store(&c) }

// MaxPictures returns the largest number of pictures of one request.
func (b *Bodies) MaxPictures() int { return b.config.Load().MaxPictures }

// maxBytes returns the largest number of bytes of one body.
func (b *Bodies) maxBytes() int64 { return b.config.Load().MaxBytes }

// Used returns the number of bytes of all bodies in progress.
func (b *Bodies) Used() int64 { return b.used.Load() }

// Read reads a request's body and decompresses it, within the limit of one body and the budget
// of all bodies. release returns the body's share of the budget.
func (b *Bodies) Read(w http.ResponseWriter, r *http.Request) (data []byte, release func(), err error) {
	if r.ContentLength > b.maxBytes() {
		return nil, nil, b.tooLarge()
	}
	length := r.ContentLength
	var plain io.Reader = http.MaxBytesReader(w, r.Body, b.maxBytes())
	if encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding != "" && encoding != "identity" {
		length = -1
		if plain, err = decompress(encoding, plain); err != nil {
			return nil, nil, b.bodyError(r, err)
		}
	}
	if data, release, err = b.readBounded(plain, length); err != nil {
		return nil, nil, b.bodyError(r, err)
	}
	return data, release, nil
}

// decompress returns a reader of the decompressed data; encoding is a content coding of HTTP.
func decompress(encoding string, compressed io.Reader) (io.Reader, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(compressed)
	case "deflate": // in zlib's frame: RFC 9110, section 8.4.1.2
		return zlib.NewReader(compressed)
	}
	return nil, fmt.Errorf("%w %.20q; only gzip and deflate are supported", ErrEncoding, encoding)
}

// readBounded reads all of r, which has length bytes, or an unknown number if length is negative. Its
// share of the budget of all bodies grows with the bytes that have arrived, so a client that
// announces a large body but sends nothing takes nothing.
func (b *Bodies) readBounded(r io.Reader, length int64) (data []byte, release func(), err error) {
	taken := int64(0)
	release = func() { b.used.Add(-taken) }
	most := int(b.maxBytes()) + 1 // one more, to read the end
	if length >= 0 {
		most = int(length) + 1
	}
	const first = 64 << 10
	for {
		if len(data) == cap(data) {
			size := min(max(first, 2*len(data)), most)
			more := int64(size - len(data))
			if err := b.reserve(more); err != nil {
				release()
				return nil, nil, err
			}
			taken += more
			data = append(make([]byte, 0, size), data...)
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > b.maxBytes():
			release()
			return nil, nil, b.tooLarge()
		case err == io.EOF:
			return data, release, nil
		case err != nil:
			release()
			return nil, nil, err
		}
	}
}

// reserve takes bytes of the budget of all bodies. The caller subtracts them from b.used later.
func (b *Bodies) reserve(bytes int64) error {
	if b.used.Add(bytes) > b.config.Load().BudgetBytes {
		b.used.Add(-bytes)
		b.metrics.CountRejected(observe.RejectedBodies)
		return engine.ErrFull
	}
	return nil
}

// messageCopies is the number of copies of a gRPC message beside the body: connect's own, and the
// decoded message.
const messageCopies = 2

// ReadMessage reads the body of a unary gRPC request: a byte that says whether the message is
// compressed, its length, and the message. In the result the message is decompressed.
func (b *Bodies) ReadMessage(w http.ResponseWriter, r *http.Request) (frame []byte, release func(), err error) {
	frame, release, err = b.Read(w, r)
	if err != nil {
		return nil, nil, err
	}
	const prefix = 5
	if len(frame) < prefix || int(binary.BigEndian.Uint32(frame[1:])) != len(frame)-prefix {
		release()
		return nil, nil, fmt.Errorf("%w: the length of the message is not the stated one", ErrInvalid)
	}
	if frame[0] == 1 {
		compressed, free := frame[prefix:], release
		plain, err := decompress(strings.ToLower(r.Header.Get("Grpc-Encoding")), bytes.NewReader(compressed))
		if err == nil {
			// The frame begins with the prefix.
			frame, release, err = b.readBounded(io.MultiReader(bytes.NewReader(make([]byte, prefix)), plain), -1)
		}
		free()
		if err != nil {
			return nil, nil, b.bodyError(r, err)
		}
		binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-prefix))
		r.Header.Del("Grpc-Encoding")
	}
	copies := int64(messageCopies * len(frame))
	if err := b.reserve(copies); err != nil {
		release()
		return nil, nil, err
	}
	free := release
	return frame, func() { b.used.Add(-copies); free() }, nil
}

func (b *Bodies) tooLarge() error {
	return fmt.Errorf("%w: the body has more than %d bytes", ErrTooLarge, b.maxBytes())
}

// bodyError returns the error to report for an error in reading a body.
func (b *Bodies) bodyError(r *http.Request, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return b.tooLarge()
	case errors.Is(err, ErrTooLarge), errors.Is(err, engine.ErrFull), errors.Is(err, ErrMediaType),
		errors.Is(err, ErrInvalid):
		return err
	case r.Context().Err() != nil:
		return r.Context().Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the body ended early", ErrInvalid)
	}
	return fmt.Errorf("%w: the body could not be read: %w", ErrInvalid, err)
}
