package connection

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A header block in HPACK: GET, /, http, and x as the authority.
const block = "\x82\x84\x86\x41\x01x"

const (
	frameGoAway = 7
	flagAck     = 0x1 // of SETTINGS
)

// headers returns a HEADERS frame.
func headers(flags byte, stream uint32, block string) []byte {
	return append(frame(frameHeaders, flags, stream, len(block))[:frameHeaderSize], block...)
}

// http2Dial opens an HTTP/2 connection, with TLS if the server has it.
func http2Dial(t testing.TB, s *Server, host string) net.Conn {
	t.Helper()
	c := dial(t, "127.0.0.1", host)
	if s.config.TLS != nil {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	}
	if _, err := c.Write(append([]byte(preface), frame(frameSettings, 0, 0, 0)...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// nextFrame reads the next frame that is not SETTINGS or WINDOW_UPDATE.
func nextFrame(c net.Conn) (header, payload []byte, err error) {
	for {
		header = make([]byte, frameHeaderSize)
		if _, err := io.ReadFull(c, header); err != nil {
			return nil, nil, err
		}
		payload = make([]byte, binary.BigEndian.Uint32(header)>>8)
		if _, err := io.ReadFull(c, payload); err != nil {
			return nil, nil, err
		}
		if kind := header[3]; kind != frameSettings && kind != frameWindowUpdate {
			return header, payload, nil
		}
	}
}

// certificate returns a TLS configuration with a certificate for 127.0.0.1.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{{127, 0, 0, 1}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// overBoth runs a test without and with TLS.
func overBoth(t *testing.T, test func(t *testing.T, change func(*Config))) {
	t.Run("plain", func(t *testing.T) { test(t, func(*Config) {}) })
	t.Run("TLS", func(t *testing.T) { test(t, func(c *Config) { c.TLS = certificate(t) }) })
}

// TestHTTP2Attacks checks that the server closes connections that only cost it something.
func TestHTTP2Attacks(t *testing.T) {
	stream := uint32(1)
	next := func() uint32 { stream += 2; return stream }
	for name, attack := range map[string]struct {
		event Event
		once  []byte
		then  func() []byte
	}{
		"a header that does not end": {HeaderTimeout, headers(0, 1, block), nil},
		"a header that trickles":     {HeaderTimeout, headers(flagEndHeaders, 1, block)[:12], nil},
		"a frame that trickles":      {HeaderTimeout, frame(framePing, 0, 0, 8)[:5], nil},
		"continuations": {Flood, headers(0, 1, block), func() []byte {
			return frame(frameContinuation, 0, 1, 0)
		}},
		"rapid resets": {Flood, nil, func() []byte {
			id := next()
			return append(headers(flagEndHeaders|flagEndStream, id, block), frame(frameReset, 0, id, 4)...)
		}},
		"pings":          {Flood, nil, func() []byte { return frame(framePing, 0, 0, 8) }},
		"settings":       {Flood, nil, func() []byte { return frame(frameSettings, 0, 0, 0) }},
		"priorities":     {Flood, nil, func() []byte { return frame(framePriority, 0, 3, 5) }},
		"unknown frames": {Flood, nil, func() []byte { return frame(frameUnknown, 0, 0, 0) }},
		"empty data": {Flood, headers(flagEndHeaders, 1, block), func() []byte {
			return frame(frameData, 0, 1, 0)
		}},
		"window updates": {Flood, nil, func() []byte {
			return append(frame(frameWindowUpdate, 0, 0, 4)[:frameHeaderSize], 0, 0, 0, 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, change func(*Config)) {
				stream = 1
				var seen events
				blocks := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
				})
				s, host := start(t, blocks, func(c *Config) {
					c.HeaderTimeout = 300 * time.Millisecond
					if attack.event == Flood {
						c.HeaderTimeout = patience / 2
					}
					c.ReadTimeout, c.Count = patience, seen.count
					change(c)
				})
				c := http2Dial(t, s, host)
				drained := make(chan bool)
				go func() { // the server must be able to write
					defer close(drained)
					_, _ = io.Copy(io.Discard, c)
				}()
				_, err := c.Write(attack.once)
				for attack.then != nil && err == nil {
					_, err = c.Write(bytes.Join([][]byte{attack.then(), attack.then(), attack.then()}, nil))
				}
				<-drained // so it is closed
				if have := seen.of(attack.event); have != 1 {
					t.Errorf("%s was counted %d times", attack.event, have)
				}
				waitFor(t, "nothing is left", func() bool { return s.Stats() == Stats{} })
			})
		})
	}
}

// TestHTTP2HeaderBomb checks that headers that expand beyond the limit do not reach the handler.
func TestHTTP2HeaderBomb(t *testing.T) {
	overBoth(t, func(t *testing.T, change func(*Config)) {
		var called atomic.Int64
		s, host := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }), change)
		c := http2Dial(t, s, host)
		// One field of 3,000 bytes enters the dynamic table, as entry 62, and is repeated 10,000 times: 30 MB.
		bomb := block + "\x40\x01a\x7f\xb9\x16" + strings.Repeat("v", 3000) + strings.Repeat("\xbe", 10_000)
		if _, err := c.Write(headers(flagEndHeaders|flagEndStream, 1, bomb)); err != nil {
			t.Fatal(err)
		}
		header, payload, err := nextFrame(c)
		switch {
		case err == nil && header[3] == frameHeaders && bytes.Contains(payload, []byte("431")):
		case err == nil && header[3] == frameGoAway:
		default:
			t.Errorf("%x %x %v", header, payload, err)
		}
		if called.Load() != 0 {
			t.Error("the handler was called")
		}
	})
}

// TestHTTP2Streams checks that a connection has no more concurrent requests than allowed.
func TestHTTP2Streams(t *testing.T) {
	overBoth(t, func(t *testing.T, change func(*Config)) {
		entered := make(chan bool, 10)
		s, host := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			entered <- true
			<-r.Context().Done()
		}), func(c *Config) { c.HTTP2.MaxStreams = 2; change(c) })
		c := http2Dial(t, s, host)
		requests := append(frame(frameSettings, flagAck, 0, 0), headers(5, 1, block)...)
		requests = append(append(requests, headers(5, 3, block)...), headers(5, 5, block)...)
		if _, err := c.Write(requests); err != nil {
			t.Fatal(err)
		}
		header, _, err := nextFrame(c)
		if err != nil || header[3] != frameReset || binary.BigEndian.Uint32(header[5:]) != 5 {
			t.Errorf("%x %v", header, err)
		}
		<-entered
		<-entered
		c.Close()
	})
}

// TestHTTP2Shutdown checks that requests in progress are answered, and that the client is told to send no more.
func TestHTTP2Shutdown(t *testing.T) {
	overBoth(t, func(t *testing.T, change func(*Config)) {
		entered, leave := make(chan bool), make(chan bool)
		s, host := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- true
			<-leave
		}), change)
		c := http2Dial(t, s, host)
		if _, err := c.Write(headers(flagEndHeaders|flagEndStream, 1, block)); err != nil {
			t.Fatal(err)
		}
		<-entered
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(t.Context()) }()
		header, _, err := nextFrame(c)
		if err != nil || header[3] != frameGoAway {
			t.Fatalf("%x %v", header, err)
		}
		close(leave)
		for header[3] != frameHeaders {
			if header, _, err = nextFrame(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// TestTLS checks requests over TLS, and what clients without it are told.
func TestTLS(t *testing.T) {
	var seen events
	s, host := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.TLS != nil && r.TLS.HandshakeComplete)
	}), func(c *Config) {
		c.TLS, c.HeaderTimeout, c.Count = certificate(t), 500*time.Millisecond, seen.count
	})
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2,
		}
		answer, err := (&http.Client{Transport: transport}).Get("https://" + host)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		transport.CloseIdleConnections()
		want := map[bool]string{false: "HTTP/1.1 true", true: "HTTP/2.0 true"}[http2]
		if string(text) != want || err != nil {
			t.Errorf("%q, %v, want %q", text, err, want)
		}
	}
	plain := dial(t, "127.0.0.1", host)
	fmt.Fprint(plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if text := untilClosed(t, plain); !strings.HasPrefix(text, "HTTP/1.0 400 ") {
		t.Errorf("%q", text)
	}
	untilClosed(t, dial(t, "127.0.0.1", host)) // silent, so its handshake times out
	waitFor(t, "two handshakes failed", func() bool { return seen.of(Handshake) == 2 })
	waitFor(t, "nothing is left", func() bool { return s.Stats() == Stats{} })
	dial(t, "127.0.0.1", host) // its handshake is in progress when the server is closed
}
