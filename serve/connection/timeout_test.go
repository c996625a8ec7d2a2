package connection

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// timed answers each request with 504 if its body does not arrive within the timeout in its path, and with 200
// otherwise.
var timed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	timeout, err := time.ParseDuration(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r, cancel := WithTimeout(w, r, timeout)
	defer cancel()
	_, err = io.Copy(io.Discard, r.Body)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		w.WriteHeader(http.StatusGatewayTimeout)
	case err != nil:
		w.WriteHeader(499)
	}
})

// TestSlowBody checks that a body that stalls is answered with 504 over both protocols.
func TestSlowBody(t *testing.T) {
	s, host := start(t, timed, func(c *Config) { c.ReadTimeout, c.WriteTimeout = patience, patience })
	c := dial(t, "127.0.0.1", host)
	fmt.Fprint(c, "POST /50ms HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusGatewayTimeout || !answer.Close {
		t.Errorf("%v, %v", answer, err)
	}

	c = http2Dial(t, s, host)
	request := headers(flagEndHeaders, 1, "\x83\x86\x41\x01x\x04\x05/50ms") // POST
	if _, err = c.Write(append(request, frame(frameData, 0, 1, 10)...)); err != nil {
		t.Fatal(err)
	}
	header, payload, err := nextFrame(c)
	if err != nil || header[3] != frameHeaders || !strings.Contains(string(payload), "504") {
		t.Errorf("%x %q %v", header, payload, err)
	}
	if header, _, err = nextFrame(c); err != nil || binary.BigEndian.Uint32(header[5:]) != 1 {
		t.Errorf("%x %v", header, err)
	}
}

// TestTimeoutAfterTheBody checks that the timeout of a request ends its context with the right error, and spares
// the next request of the connection.
func TestTimeoutAfterTheBody(t *testing.T) {
	errs := make(chan error, 10)
	_, host := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, cancel := WithTimeout(w, r, 20*time.Millisecond)
		defer cancel()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			errs <- err
			return
		}
		<-r.Context().Done()
		time.Sleep(20 * time.Millisecond) // a deadline on the connection would end it now
		errs <- r.Context().Err()
	}), nil)
	c := dial(t, "127.0.0.1", host)
	reader := bufio.NewReader(c)
	for range 5 {
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nsome")
		answer, err := http.ReadResponse(reader, nil)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("%v, %v", answer, err)
		}
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

// TestClientGone checks that a client that goes away during its body is no timeout.
func TestClientGone(t *testing.T) {
	errs := make(chan error, 1)
	_, host := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, cancel := WithTimeout(w, r, patience)
		defer cancel()
		_, err := io.Copy(io.Discard, r.Body)
		errs <- err
	}), nil)
	c := dial(t, "127.0.0.1", host)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
	c.Close()
	if err := <-errs; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestTimeoutWithoutServer checks that a recorder and a request without a body do.
func TestTimeoutWithoutServer(t *testing.T) {
	for _, body := range []io.Reader{nil, strings.NewReader("some")} {
		r, cancel := WithTimeout(httptest.NewRecorder(), httptest.NewRequest("POST", "/", body), time.Nanosecond)
		<-r.Context().Done()
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		cancel()
		cancel()
	}
}
