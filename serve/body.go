package serve

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
)

// readBody reads a request's body and decompresses it, within the limit of one body and the budget
// of all bodies. release returns the body's share of the budget. It fails if the service is stopping.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (data []byte, release func(), err error) {
	if s.stopping.Load() {
		return nil, nil, errStopping
	}
	if r.ContentLength > s.config.MaxBodyBytes {
		return nil, nil, s.tooLarge()
	}
	length := r.ContentLength
	var plain io.Reader = http.MaxBytesReader(w, r.Body, s.config.MaxBodyBytes)
	if encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding != "" && encoding != "identity" {
		length = -1
		if plain, err = decompress(encoding, plain); err != nil {
			return nil, nil, s.bodyError(r, err)
		}
	}
	if data, release, err = s.readBounded(plain, length); err != nil {
		return nil, nil, s.bodyError(r, err)
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
	return nil, fmt.Errorf("%w: the content encoding %.20q; only gzip and deflate are supported", errMediaType,
		encoding)
}

// readBounded reads all of r, which has length bytes, or an unknown number if length is negative. Its
// share of the budget of all bodies grows with the bytes that have arrived, so a client that
// announces a large body but sends nothing takes nothing.
func (s *Server) readBounded(r io.Reader, length int64) (data []byte, release func(), err error) {
	taken := int64(0)
	release = func() { s.bodies.Add(-taken) }
	most := int(s.config.MaxBodyBytes) + 1 // one more, to read the end
	if length >= 0 {
		most = int(length) + 1
	}
	const first = 64 << 10
	for {
		if len(data) == cap(data) {
			size := min(max(first, 2*len(data)), most)
			more := int64(size - len(data))
			if err := s.reserve(more); err != nil {
				release()
				return nil, nil, err
			}
			taken += more
			data = append(make([]byte, 0, size), data...)
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > s.config.MaxBodyBytes:
			release()
			return nil, nil, s.tooLarge()
		case err == io.EOF:
			return data, release, nil
		case err != nil:
			release()
			return nil, nil, err
		}
	}
}

// reserve takes bytes of the budget of all bodies. The caller subtracts them from s.bodies later.
func (s *Server) reserve(bytes int64) error {
	if s.bodies.Add(bytes) > s.config.BodyBudgetBytes {
		s.bodies.Add(-bytes)
		s.metrics.count(rejected, "bodies")
		return errFull
	}
	return nil
}

// messageCopies is the number of copies of a gRPC message beside the body: connect's own, and the
// decoded message.
const messageCopies = 2

// readMessage reads the body of a unary gRPC request: a byte that says whether the message is
// compressed, its length, and the message. In the result the message is decompressed.
func (s *Server) readMessage(w http.ResponseWriter, r *http.Request) (frame []byte, release func(), err error) {
	frame, release, err = s.readBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	const prefix = 5
	if len(frame) > prefix && frame[0] == 1 {
		compressed, free := frame[prefix:], release
		var plain io.Reader
		if int(binary.BigEndian.Uint32(frame[1:])) != len(compressed) {
			err = fmt.Errorf("%w: the length of the message is not the stated one", errBadRequest)
		} else {
			plain, err = decompress(strings.ToLower(r.Header.Get("Grpc-Encoding")), bytes.NewReader(compressed))
		}
		if err == nil {
			// The frame begins with the prefix.
			frame, release, err = s.readBounded(io.MultiReader(bytes.NewReader(make([]byte, prefix)), plain), -1)
		}
		free()
		if err != nil {
			return nil, nil, s.bodyError(r, err)
		}
		binary.BigEndian.PutUint32(frame[1:], uint32(len(frame)-prefix))
		r.Header.Del("Grpc-Encoding")
	}
	copies := int64(messageCopies * len(frame))
	if err := s.reserve(copies); err != nil {
		release()
		return nil, nil, err
	}
	free := release
	return frame, func() { s.bodies.Add(-copies); free() }, nil
}

func (s *Server) tooLarge() error {
	return fmt.Errorf("%w: the body has more than %d bytes", errTooLarge, s.config.MaxBodyBytes)
}

// bodyError returns the error to report for an error in reading a body.
func (s *Server) bodyError(r *http.Request, err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return s.tooLarge()
	case errors.Is(err, errTooLarge), errors.Is(err, errFull), errors.Is(err, errMediaType),
		errors.Is(err, errBadRequest):
		return err
	case r.Context().Err() != nil:
		return r.Context().Err()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the body ended early", errBadRequest)
	}
	return fmt.Errorf("%w: the body could not be read: %w", errBadRequest, err)
}
