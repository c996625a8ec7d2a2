package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// listener accepts connections within the limits. With TLS, it returns them after their handshakes.
type listener struct {
	net.Listener
	server *Server

	ready    chan accepted
	done     chan struct{} // closed by Close
	closing  sync.Once
	accepted sync.WaitGroup // goroutines that accept or shake hands
}

type accepted struct {
	conn net.Conn
	err  error
}

func (s *Server) listen(inner net.Listener) *listener {
	l := &listener{Listener: inner, server: s, ready: make(chan accepted), done: make(chan struct{})}
	if s.config.TLS != nil {
		l.accepted.Go(l.shakeHands)
	}
	return l
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	if l.server.config.TLS == nil {
		c, err := l.acceptPlain()
		if err != nil {
			return nil, err
		}
		return newFramedConn(c, c), nil
	}
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// acceptPlain accepts a connection and gives it a place.
func (l *listener) acceptPlain() (*conn, error) {
	for {
		inner, err := l.Listener.Accept()
		if err != nil {
			if isTooManyFiles(err) {
				l.server.limits.evictIdle()
			}
			return nil, err
		}
		c := &conn{Conn: inner, limits: l.server.limits}
		if l.server.limits.admit(c, l.isClosed) {
			return c, nil
		}
		inner.Close()
	}
}

// shakeHands accepts connections and makes their TLS handshakes, each in a goroutine of its own. An error ends it
// only if the listener is closed: others are passed on to the HTTP server, which accepts again after a pause.
func (l *listener) shakeHands() {
	for {
		c, err := l.acceptPlain()
		if err != nil {
			if !l.pass(nil, err) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l.accepted.Go(func() { l.shakeHand(c) })
	}
}

// pass hands a connection or an error to Accept. It reports whether the listener is still open.
func (l *listener) pass(c net.Conn, err error) bool {
	select {
	case l.ready <- accepted{c, err}:
		return true
	case <-l.done:
		return false
	}
}

// shakeHand makes the TLS handshake. An HTTP/2 connection is passed on as one in plain text, since the HTTP server
// would hide its frames from us otherwise.
func (l *listener) shakeHand(c *conn) {
	secure := tls.Server(c, l.server.config.TLS)
	ctx, cancel := context.WithTimeout(context.Background(), l.server.config.HeaderTimeout)
	defer cancel()
	defer context.AfterFunc(l.server.stopping, cancel)()
	if err := secure.HandshakeContext(ctx); err != nil {
		l.server.refuseHandshake(c, err)
		return
	}
	var passed net.Conn = secure
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		passed = newFramedConn(secure, c)
	}
	if !l.pass(passed, nil) {
		c.abort()
	}
}

// refuseHandshake closes a connection whose handshake failed. A client that spoke HTTP without TLS is told so.
func (s *Server) refuseHandshake(c *conn, err error) {
	s.config.count(Handshake)
	s.log.Debug("TLS handshake failed", "client", c.RemoteAddr().String(), "error", err)
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && string(record.RecordHeader[:1]) >= "A" &&
		string(record.RecordHeader[:1]) <= "Z" { // the first letter of a method
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c, "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n"+
			"Content-Type: text/plain; charset=utf-8\r\n\r\nThis server needs https.\n")
	}
	c.abort()
}

func (l *listener) isClosed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Close closes the listener.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		close(l.done)
		err = l.Listener.Close()
		l.server.limits.wake()
	})
	return err
}
