//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// connect opens a connection to the first service that is closed when ctx ends.
func (s *soak) connect(ctx context.Context, f fault) (c net.Conn, ok bool) {
	c, err := dial(ctx, f.from, s.service.host)
	if err != nil {
		if ctx.Err() == nil {
			s.add(f.name, "no connection", false, err.Error())
		}
		return nil, false
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return &closer{c, stop}, true
}

// closer is a connection that does something else when it is closed.
type closer struct {
	net.Conn
	stop func() bool
}

func (c *closer) Close() error {
	c.stop()
	return c.Conn.Close()
}

// sendHeaderSlowly sends a request, and then the header of another one byte by byte until the service closes the
// connection. The first answer shows that the service has accepted the connection: its time begins only then.
func (s *soak) sendHeaderSlowly(ctx context.Context, f fault) {
	c, ok := s.connect(ctx, f)
	if !ok {
		return
	}
	defer c.Close()
	if !s.askHealth(ctx, f, c) {
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	closed := make(chan struct{}) // when the service closes its side, perhaps after an answer
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, c)
	}()
	began := time.Now()
	for _, b := range []byte("POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + strings.Repeat("a", 200)) {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
		select {
		case <-closed:
			if ctx.Err() == nil {
				s.add(f.name, "disconnected", true, "")
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	if took := time.Since(began); ctx.Err() == nil {
		s.add(f.name, "disconnected", took < 10*time.Second, fmt.Sprintf("not for %v", took))
	}
}

// askHealth sends a request on a connection and checks that it is answered.
func (s *soak) askHealth(ctx context.Context, f fault, c net.Conn) bool {
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	ok := err == nil && answer.StatusCode == http.StatusOK
	if !ok && ctx.Err() == nil {
		s.add(f.name, "no answer", false, fmt.Sprint(err))
	}
	return ok
}

// sendBodySlowly sends a body byte by byte with a deadline. The answer has to come soon after it.
func (s *soak) sendBodySlowly(ctx context.Context, f fault) {
	c, ok := s.connect(ctx, f)
	if !ok {
		return
	}
	defer c.Close()
	began := time.Now()
	fmt.Fprintf(c, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n"+
		"X-Request-Timeout: 1s\r\nContent-Length: %d\r\n\r\n", len(s.photo))
	sending, end := context.WithCancel(ctx)
	defer end()
	go func() {
		for _, b := range s.photo {
			if _, err := c.Write([]byte{b}); err != nil || sending.Err() != nil {
				return
			}
			pause(sending, 50*time.Millisecond)
		}
	}()
	s.readStatus(ctx, f, c, time.Since(began) < 5*time.Second, http.StatusGatewayTimeout)
}

// readStatus reads an answer and checks its status.
func (s *soak) readStatus(ctx context.Context, f fault, c net.Conn, right bool, want int) {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.add(f.name, "no answer", false, fmt.Sprintf("want %d: %v", want, err))
		return
	}
	defer answer.Body.Close()
	s.add(f.name, strconv.Itoa(answer.StatusCode), right && answer.StatusCode == want,
		fmt.Sprintf("want %d", want))
}

// sendHalfBody announces a longer body than it sends, and closes its side of the connection.
func (s *soak) sendHalfBody(ctx context.Context, f fault) {
	c, ok := s.connect(ctx, f)
	if !ok {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(s.photo))
	if _, err := c.Write(s.photo[:rand.IntN(len(s.photo))]); err != nil {
		s.add(f.name, "not sent", ctx.Err() != nil, err.Error())
		return
	}
	_ = c.(*closer).Conn.(*net.TCPConn).CloseWrite()
	s.readStatus(ctx, f, c, true, 499) // the service cannot know that the client still reads
}

// uploadRefused returns a fault that sends a whole body before it reads why the request was refused.
func (s *soak) uploadRefused(size int) func(ctx context.Context, f fault) {
	return func(ctx context.Context, f fault) {
		for _, request := range []struct {
			path, header string
			want         int
		}{
			{"/v1/nothing", "", http.StatusNotFound},
			{"/v1/classify?model=none", "", http.StatusNotFound},
			{"/v1/classify", "Content-Type: application/pdf\r\n", http.StatusUnsupportedMediaType},
			{"/v1/classify", "Sec-Fetch-Site: cross-site\r\n", http.StatusForbidden},
			{"/healthz", "", http.StatusMethodNotAllowed},
		} {
			c, ok := s.connect(ctx, f)
			if !ok {
				return
			}
			if size > 32<<20 && request.want == http.StatusUnsupportedMediaType {
				request.header, request.want = "", http.StatusRequestEntityTooLarge
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n", request.path,
				request.header, size)
			if _, err := io.Copy(c, io.LimitReader(zeros{}, int64(size))); err != nil && ctx.Err() == nil {
				s.add(f.name, "not sent", false, fmt.Sprintf("%s: %v", request.path, err))
			} else {
				s.readStatus(ctx, f, c, true, request.want)
			}
			c.Close()
		}
	}
}

// zeros is an endless body of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// holdIdle opens 1,100 connections from one address, sends a request on each, and keeps them open. All
// requests get their answers, another address is served, and at most 512 stay open.
func (s *soak) holdIdle(ctx context.Context, f fault) {
	var all []net.Conn
	defer func() { closeAll(all) }()
	for range 1100 {
		c, ok := s.connect(ctx, f)
		if !ok {
			return
		}
		all = append(all, c)
		if !s.askHealth(ctx, f, c) {
			return
		}
	}
	s.expectOthersServed(ctx, f)
	if open := waitForOpen(all, 512); ctx.Err() == nil {
		s.add(f.name, "the address limited", open <= 512, fmt.Sprintf("%d are open", open))
	}
}

// waitForOpen returns how many connections are open. It waits for a while until there are no more than most: the
// service closes a connection for a new one, but the client learns of that a moment later.
func waitForOpen(all []net.Conn, most int) (open int) {
	for range 100 {
		if open = countOpen(all); open <= most {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return open
}

// holdSilent opens 10,000 connections from 40 addresses, or as many as descriptors allow, and sends nothing. Once
// in a while it waits until another client is served: when connections come faster than the service accepts them,
// Linux drops some of them, those of others too, before any server knows of them.
func (s *soak) holdSilent(ctx context.Context, f fault) {
	const reserve = 2000 // descriptors for all others
	count := 10_000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < uint64(count+reserve) {
		count = max(int(limit.Cur)-reserve, 100)
	}
	var all []net.Conn
	defer func() { closeAll(all) }()
	for i := range count {
		c, err := dial(ctx, fmt.Sprintf("127.0.2.%d", 1+i%40), s.service.host)
		if err != nil {
			if ctx.Err() == nil {
				s.add(f.name, "no connection", false, err.Error())
			}
			return
		}
		if all = append(all, c); len(all)%2000 == 0 {
			s.expectOthersServed(ctx, f)
		}
	}
	s.expectOthersServed(ctx, f)
	if open := waitForOpen(all, 1024); ctx.Err() == nil {
		s.add(f.name, fmt.Sprintf("%d opened, limited", count), open <= 1024, fmt.Sprintf("%d are open", open))
	}
}

// expectOthersServed sends the photo from an address that has no connection yet, and reads a probe.
func (s *soak) expectOthersServed(ctx context.Context, f fault) {
	began := time.Now()
	s.expect(ctx, f.name+": another address", "127.0.3.1", s.photo, nil, http.StatusOK)
	answer, err := http.Get(s.service.admin + "/readyz")
	if err == nil {
		answer.Body.Close()
		err = map[bool]error{false: errors.New(answer.Status)}[answer.StatusCode == http.StatusOK]
	}
	if took := time.Since(began); err == nil && took > 5*time.Second {
		err = fmt.Errorf("it took %v", took)
	}
	if ctx.Err() == nil {
		s.add(f.name+": probe", "ready", err == nil, fmt.Sprint(err))
	}
}

// countOpen returns how many connections the service has not closed.
func countOpen(all []net.Conn) (open int) {
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			open++
		}
	}
	return open
}

// closeAll closes connections.
func closeAll(all []net.Conn) {
	for _, c := range all {
		c.Close()
	}
}

// The first bytes of HTTP/2, its types of frames that are used here, and flags.
const (
	preface           = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameContinuation = 9
	flagEndHeaders    = 4
)

// appendFrame appends a frame of HTTP/2.
func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b = append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags, byte(stream>>24), byte(stream>>16), byte(stream>>8),
		byte(stream))
	return append(b, payload...)
}

// appendHeader appends the fields of a POST request to /v1/classify, in HPACK.
func appendHeader(b []byte) []byte {
	b = append(b, 0x83, 0x86) // :method POST, :scheme http
	for index, value := range []string{1: "localhost", 4: "/v1/classify"} {
		if value != "" {
			b = append(append(b, byte(index), byte(len(value))), value...)
		}
	}
	return b
}

// flood sends what next returns until the service closes the connection, which it has to do before all are
// sent.
func (s *soak) flood(ctx context.Context, f fault, next func(b []byte, i int) []byte) {
	const count = 50_000
	c, ok := s.connect(ctx, f)
	if !ok {
		return
	}
	defer c.Close()
	closed := make(chan struct{})
	go func() { // reads what the service answers, so that it is not kept from reading
		defer close(closed)
		_, _ = io.Copy(io.Discard, c)
	}()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	b := appendFrame([]byte(preface), frameSettings, 0, 0, nil)
	for i := range count {
		if b = next(b, i); len(b) < 16<<10 && i < count-1 {
			continue
		}
		if _, err := c.Write(b); err != nil {
			break
		}
		b = b[:0]
	}
	select {
	case <-closed:
		s.add(f.name, "disconnected", true, "")
	case <-time.After(10 * time.Second):
		s.add(f.name, "not disconnected", ctx.Err() != nil, "")
	}
}

// resetRapidly opens streams and resets each at once.
func (s *soak) resetRapidly(ctx context.Context, f fault) {
	header := appendHeader(nil)
	s.flood(ctx, f, func(b []byte, i int) []byte {
		stream := uint32(2*i + 1)
		b = appendFrame(b, frameHeaders, flagEndHeaders, stream, header)
		return appendFrame(b, frameReset, 0, stream, []byte{0, 0, 0, 8})
	})
}

// floodPing sends PING frames.
func (s *soak) floodPing(ctx context.Context, f fault) {
	s.flood(ctx, f, func(b []byte, _ int) []byte {
		return appendFrame(b, framePing, 0, 0, make([]byte, 8))
	})
}

// floodSettings sends empty SETTINGS frames.
func (s *soak) floodSettings(ctx context.Context, f fault) {
	s.flood(ctx, f, func(b []byte, _ int) []byte { return appendFrame(b, frameSettings, 0, 0, nil) })
}

// continueForever sends a header whose CONTINUATION frames never end.
func (s *soak) continueForever(ctx context.Context, f fault) {
	field := append([]byte{0, 1, 'x', 100}, bytes.Repeat([]byte{'y'}, 100)...)
	s.flood(ctx, f, func(b []byte, i int) []byte {
		if i == 0 {
			return appendFrame(b, frameHeaders, 0, 1, appendHeader(nil))
		}
		return appendFrame(b, frameContinuation, 0, 1, field)
	})
}

// sendHeaderBomb sends headers that refer thousands of times to one long field, so that some 16 kB stand
// for 48 MB. The service must refuse them.
func (s *soak) sendHeaderBomb(ctx context.Context, f fault) {
	c, ok := s.connect(ctx, f)
	if !ok {
		return
	}
	defer c.Close()
	header := append(appendHeader(nil), 0x40, 1, 'x', 0x7f, 0xa1, 0x1e) // a field of 127 + 33 + 30·128 = 4,000 bytes
	header = append(header, bytes.Repeat([]byte{'y'}, 4000)...)
	header = append(header, bytes.Repeat([]byte{0x80 | 62}, 12_000)...)
	b := appendFrame([]byte(preface), frameSettings, 0, 0, nil)
	for i := range 4 {
		b = appendFrame(b, frameHeaders, flagEndHeaders|1, uint32(2*i+1), header)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write(b) // the service may have closed the connection
	// Status 431 is not in HPACK's table, and its digits are not worth Huffman's code.
	var text []byte
	for !bytes.Contains(text, []byte("431")) {
		part := make([]byte, 4096)
		n, err := c.Read(part)
		if text = append(text, part[:n]...); err != nil {
			break
		}
	}
	if ctx.Err() == nil {
		s.add(f.name, "431", bytes.Contains(text, []byte("431")), fmt.Sprintf("%q", text))
	}
}
