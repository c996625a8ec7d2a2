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

// body reads a request's body, unpacked if it is compressed, within its own bound and that
// of all together. release gives back what it took of the latter. A service that stops
// reads none.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (data []byte, release func(), err error) {
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
		if plain, err = unpacked(encoding, plain); err != nil {
			return nil, nil, s.bodyError(r, err)
		}
	}
	if data, release, err = s.read(plain, length); err != nil {
		return nil, nil, s.bodyError(r, err)
	}
	return data, release, nil
}

// unpacked is what compressed holds, in an encoding as HTTP names it.
func unpacked(encoding string, compressed io.Reader) (io.Reader, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(compressed)
	case "deflate": // in zlib's frame: RFC 9110, section 8.4.1.2
		return zlib.NewReader(compressed)
	}
	return nil, fmt.Errorf("%w: a body in %.20q; gzip, deflate and plain ones are read", errMediaType, encoding)
}

// read reads all of r, which holds length bytes, or any number if length is negative. What
// it takes of the bound on all bodies grows with what has come, so that those who announce
// much and send nothing take nothing.
func (s *Server) read(r io.Reader, length int64) (data []byte, release func(), err error) {
	taken := int64(0)
	release = func() { s.bodies.Add(-taken) }
	most := int(s.config.MaxBodyBytes) + 1 // one more to meet the end in
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

// reserve takes bytes of the bound on all bodies, to be given back to s.bodies.
func (s *Server) reserve(bytes int64) error {
	if s.bodies.Add(bytes) > s.config.BodyBudgetBytes {
		s.bodies.Add(-bytes)
		s.metrics.count(rejected, "bodies")
		return errFull
	}
	return nil
}

// messageCopies is how many times a gRPC message's size the protocol takes beside the body:
// its own copy, and the decoded message.
const messageCopies = 2

// message reads the body of a unary gRPC request: a byte that says whether the message is
// compressed, its length, and the message, which is unpacked in the result.
func (s *Server) message(w http.ResponseWriter, r *http.Request) (frame []byte, release func(), err error) {
	frame, release, err = s.body(w, r)
	if err != nil {
		return nil, nil, err
	}
	const prefix = 5
	if len(frame) > prefix && frame[0] == 1 {
		compressed, free := frame[prefix:], release
		var plain io.Reader
		if int(binary.BigEndian.Uint32(frame[1:])) != len(compressed) {
			err = fmt.Errorf("%w: its message has another length than it says", errBadRequest)
		} else {
			plain, err = unpacked(strings.ToLower(r.Header.Get("Grpc-Encoding")), bytes.NewReader(compressed))
		}
		if err == nil {
			// What is read begins with room for the prefix.
			frame, release, err = s.read(io.MultiReader(bytes.NewReader(make([]byte, prefix)), plain), -1)
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
	return fmt.Errorf("%w: its body has more than %d bytes", errTooLarge, s.config.MaxBodyBytes)
}

// bodyError says why a body could not be read.
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
		return fmt.Errorf("%w: its body ended early", errBadRequest)
	}
	return fmt.Errorf("%w: its body could not be read: %w", errBadRequest, err)
}
