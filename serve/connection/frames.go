package connection

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// preface is what an HTTP/2 client sends first: RFC 9113, section 3.4.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// The frames of RFC 9113, section 6, and their flags.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameWindowUpdate = 8
	frameContinuation = 9

	flagEndStream  = 0x1 // of DATA
	flagEndHeaders = 0x4 // of HEADERS and CONTINUATION
	flagPadded     = 0x8 // of DATA

	frameHeaderSize = 9
	maxPadding      = 256 // with the byte that states its length
)

var (
	errFlood         = errors.New("connection: too many HTTP/2 frames without content")
	errContinuations = errors.New("connection: too many CONTINUATION frames")
)

// frames follows the frames that an HTTP/2 client sends. It reads only their headers, and leaves all other checks to
// the HTTP server.
type frames struct {
	limits *HTTP2

	other     bool // the client does not speak HTTP/2
	prefaced  int  // bytes of the preface so far
	header    [frameHeaderSize]byte
	have      int // bytes of the frame's header so far
	remaining int // bytes of the frame's payload to come

	inBlock       bool // a header block has begun, and its last frame has not
	continuations int  // of this header block
	units         int  // frames and header blocks that have ended

	resets, windows, controls bucket
}

func newFrames(limits *HTTP2) *frames {
	return &frames{
		limits: limits, resets: bucket{rate: limits.Resets}, windows: bucket{rate: limits.Windows},
		controls: bucket{rate: limits.Controls},
	}
}

// feed follows the bytes that were read next. It fails when the client exceeds a limit.
func (f *frames) feed(p []byte, now time.Time) error {
	for len(p) > 0 && !f.other {
		switch {
		case f.prefaced < len(preface):
			f.other = p[0] != preface[f.prefaced]
			f.prefaced++
			p = p[1:]
		case f.have < frameHeaderSize:
			n := copy(f.header[f.have:], p)
			f.have += n
			p = p[n:]
			if f.have == frameHeaderSize {
				if err := f.begin(now); err != nil {
					return err
				}
			}
		default:
			n := min(f.remaining, len(p))
			f.remaining -= n
			p = p[n:]
			f.end()
		}
	}
	return nil
}

// begin handles a frame whose header is complete.
func (f *frames) begin(now time.Time) error {
	f.remaining = int(binary.BigEndian.Uint32(f.header[:4]) >> 8)
	kind, flags := f.header[3], f.header[4]
	ok := true
	switch kind {
	case frameHeaders:
		f.inBlock, f.continuations = flags&flagEndHeaders == 0, 0
		f.credit(now)
	case frameContinuation:
		f.inBlock = flags&flagEndHeaders == 0
		if f.continuations++; f.continuations > f.limits.MaxContinuations {
			return errContinuations
		}
	case frameData:
		switch {
		case flags&flagPadded != 0 && f.remaining <= maxPadding, f.remaining == 0 && flags&flagEndStream == 0:
			ok = f.controls.take(now)
		case f.remaining > 0:
			f.credit(now)
		}
	case frameReset:
		ok = f.resets.take(now)
	case frameWindowUpdate:
		ok = f.windows.take(now)
	default:
		ok = f.controls.take(now)
	}
	if !ok {
		return errFlood
	}
	f.end()
	return nil
}

// credit adds what a request or its data allows.
func (f *frames) credit(now time.Time) {
	for _, b := range []*bucket{&f.resets, &f.windows, &f.controls} {
		b.refill(now, b.rate.PerRequest)
	}
}

// end handles the end of a frame, if it has come.
func (f *frames) end() {
	if f.remaining > 0 {
		return
	}
	f.have = 0
	if !f.inBlock {
		f.units++
	}
}

// incomplete reports whether the client has begun a header block or a frame other than DATA, and not ended it. A
// frame counts from its first byte.
func (f *frames) incomplete() bool {
	if f.other || f.prefaced < len(preface) {
		return false
	}
	isData := f.have == frameHeaderSize && f.header[3] == frameData
	return f.inBlock || f.have > 0 && !isData
}

// bucket is a token bucket. It is full at first.
type bucket struct {
	rate  Rate
	taken float64
	last  time.Time
}

// refill adds the tokens of the time since the last call, and more.
func (b *bucket) refill(now time.Time, more float64) {
	if !b.last.IsZero() {
		more += float64(max(0, now.Sub(b.last).Seconds()) * b.rate.PerSecond)
	}
	b.last = now
	b.taken = max(0, b.taken-more)
}

// take takes a token, and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	b.refill(now, 0)
	b.taken++
	return b.taken <= b.rate.Burst
}

// framedConn is a connection that may carry HTTP/2, in plain text or inside TLS. It is closed when the client
// exceeds a limit.
type framedConn struct {
	net.Conn
	base   *conn
	frames *frames // only Read uses it

	mu     sync.Mutex
	timer  *time.Timer // closes the connection; nil until the first incomplete frame
	unit   int         // the frame that the timer runs for, -1 if it does not run
	closed bool
}

func newFramedConn(c net.Conn, base *conn) *framedConn {
	return &framedConn{Conn: c, base: base, frames: newFrames(&base.limits.config.HTTP2), unit: -1}
}

// Read reads from the connection. It fails when the client exceeds a limit.
func (c *framedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 || c.frames.other {
		return n, err
	}
	if excess := c.frames.feed(p[:n], time.Now()); excess != nil {
		c.base.limits.config.count(Flood)
		c.abort()
		return 0, excess
	}
	c.watch()
	return n, err
}

// watch runs the timer while a frame is incomplete.
func (c *framedConn) watch() {
	unit := -1
	if c.frames.incomplete() {
		unit = c.frames.units
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || unit == c.unit {
		return
	}
	c.unit = unit
	switch {
	case unit < 0:
		c.timer.Stop()
	case c.timer == nil:
		c.timer = time.AfterFunc(c.base.limits.config.HeaderTimeout, c.expire)
	default:
		c.timer.Reset(c.base.limits.config.HeaderTimeout)
	}
}

// expire closes the connection because of an incomplete frame. A timer may fire while it is stopped, so expire
// checks that it still runs.
func (c *framedConn) expire() {
	c.mu.Lock()
	runs := c.unit >= 0 && !c.closed
	c.mu.Unlock()
	if runs {
		c.base.limits.config.count(HeaderTimeout)
		c.abort()
	}
}

func (c *framedConn) abort() {
	c.stop()
	c.base.abort()
}

// stop ends the timer.
func (c *framedConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// CloseWrite closes the server's side of a connection without TLS.
func (c *framedConn) CloseWrite() error {
	if w, ok := c.Conn.(*conn); ok {
		c.stop()
		return w.CloseWrite()
	}
	return nil
}

// Close closes the connection.
func (c *framedConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
