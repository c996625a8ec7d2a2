package connection

import (
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync/atomic"
)

// conn is a connection that lingers when it is closed after an answer.
type conn struct {
	net.Conn
	limits *limiter
	ended  atomic.Bool // the client closed its side, or the connection broke
	closed atomic.Bool

	answered atomic.Bool // something was written since the last header was read

	// The limiter's lock guards these.
	owner  *client
	idle   *list.Element // nil while there is a request
	placed bool
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !isTimeout(err) {
		c.ended.Store(true)
	}
	return n, err
}

// Write notes that there is something for the client to read. With TLS that is also the notice of the close.
func (c *conn) Write(p []byte) (int, error) {
	c.answered.Store(true)
	return c.Conn.Write(p)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// CloseWrite closes the server's side. The server calls it when it has answered and will only wait before it calls
// Close, so the connection lingers from now on.
func (c *conn) CloseWrite() error { return c.Close() }

// Close closes the connection: at once if it is idle, else once the client has closed its side or a limit is
// reached. It does not wait for that.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if !c.limits.leave(c) {
		return c.Conn.Close()
	}
	go c.linger()
	return nil
}

// abort closes the connection at once.
func (c *conn) abort() {
	c.closed.Store(true)
	c.limits.drop(c)
	c.Conn.Close()
}

// linger closes the server's side, and discards what the client sends until it closes its own side or a limit is
// reached. Without this, closing a connection with unread data resets it, and the client may lose the answer.
func (c *conn) linger() {
	defer c.limits.done(c)
	defer c.Conn.Close()
	if w, ok := c.Conn.(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil {
		return
	}
	config := &c.limits.config.Linger
	if discard(c.Conn, config.Bytes, config.Timeout, config.Idle, c.SetReadDeadline) != nil {
		c.limits.config.count(LingerCut)
	}
}

// baseConn returns the conn under the layers of TLS and HTTP/2, or nil.
func baseConn(c net.Conn) *conn {
	for {
		switch layer := c.(type) {
		case *conn:
			return layer
		case *framedConn:
			c = layer.Conn
		case *tls.Conn:
			c = layer.NetConn()
		default:
			return nil
		}
	}
}
