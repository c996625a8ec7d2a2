// Package connection limits what connections may cost an HTTP server, and lets clients read every answer.
//
// A [Server] is an [http.Server] over HTTP/1.1 and HTTP/2, with or without TLS, that
//
//   - limits the connections in all and of each client address, and closes the longest idle one when a new
//     one needs its place;
//   - keeps reading for a while after it has answered and closed its side, so that a client that sends its
//     whole request before it reads still finds the answer (a lingering close);
//   - closes HTTP/2 connections whose headers do not end within the header timeout, or that send more resets,
//     pings, settings or other frames without content than any client needs;
//   - logs and counts the errors of the server itself, such as a lack of file descriptors.
//
// [WithTimeout] limits the time of a request including the reading of its body.
package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config holds the settings of a server.
type Config struct {
	// MaxConnections is the largest number of open connections, and MaxPerClient that of one client address;
	// 0 means no limit. Connections that arrive by a proxy all have the proxy's address. Those of unix sockets
	// have no address, and only MaxConnections limits them.
	MaxConnections, MaxPerClient int
	// IPv6Prefix is the number of leading bits that IPv6 addresses of one client have in common.
	IPv6Prefix int

	// HeaderTimeout limits the time of a TLS handshake and of a request's header, over HTTP/2 too. ReadTimeout
	// limits the time of a whole request, and WriteTimeout the time from its header to the end of the answer.
	// IdleTimeout limits the time without a request.
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	MaxHeaderBytes                                        int

	Linger Linger
	HTTP2  HTTP2

	TLS *tls.Config // nil serves without TLS
	// BaseContext, if not nil, is the parent of the contexts of all requests.
	BaseContext context.Context
	// Log gets errors; nil discards them.
	Log *slog.Logger
	// Count, if not nil, is called for each event. It must be safe for concurrent use.
	Count func(Event)
}

// Linger limits how long a connection is read after the server has answered its last request and closed its
// side, and how long the body of an HTTP/2 request is read after the answer. Lingering connections do not count as
// open.
type Linger struct {
	Bytes   int64         // the largest number of bytes to read
	Timeout time.Duration // the time in all
	Idle    time.Duration // the time without a byte
	// StreamIdle is the time without a byte of an HTTP/2 request's body. A client that has read the status and
	// stopped sending, as Go's does, learns only then that the answer has ended.
	StreamIdle time.Duration
	// Max is the largest number of such connections and requests, and MaxPerClient that of one client address.
	// Further ones are closed at once. With Max 0 all are.
	Max, MaxPerClient int
}

// HTTP2 limits HTTP/2 connections.
type HTTP2 struct {
	MaxStreams       int // the largest number of concurrent requests of a connection
	MaxContinuations int // the largest number of CONTINUATION frames of one header block
	// Resets limits RST_STREAM frames, Windows limits WINDOW_UPDATE frames, and Controls limits all other frames
	// without content: PING, SETTINGS, PRIORITY, empty DATA and unknown types.
	Resets, Windows, Controls Rate
}

// Rate limits the frames of a kind: Burst at first, PerSecond more each second, and PerRequest more for each
// request and for each DATA frame with content. No more than Burst can be saved up.
type Rate struct{ Burst, PerSecond, PerRequest float64 }

// Event is something that happened to a connection, for metrics. Its value is a name in snake case.
type Event string

// The events of a server.
const (
	Evicted       Event = "evicted"        // closed while idle, for a new connection
	ClientLimit   Event = "client_limit"   // refused: the client has MaxPerClient connections, none of them idle
	LingerLimit   Event = "linger_limit"   // closed without lingering: too many connections linger
	LingerCut     Event = "linger_cut"     // the client was still sending at the limit of bytes or time
	HeaderTimeout Event = "header_timeout" // an HTTP/2 header or control frame was not complete in time
	Flood         Event = "flood"          // more HTTP/2 frames without content than allowed
	Handshake     Event = "handshake"      // a TLS handshake failed
	AcceptError   Event = "accept_error"   // a connection could not be accepted
	ServerError   Event = "server_error"   // any other error of the HTTP server
)

// Events returns all events, so that metrics can start at 0.
func Events() []Event {
	return []Event{Evicted, ClientLimit, LingerLimit, LingerCut, HeaderTimeout, Flood, Handshake, AcceptError,
		ServerError}
}

// DefaultConfig returns the default settings.
func DefaultConfig() Config {
	return Config{
		MaxConnections: 1024, MaxPerClient: 512, IPv6Prefix: 64, // a /64 is what one subscriber has at least
		HeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		// The times are those of nginx: lingering_time and lingering_timeout.
		Linger: Linger{
			Bytes: 64 << 20, Timeout: 30 * time.Second, Idle: 5 * time.Second, StreamIdle: time.Second,
			Max: 256, MaxPerClient: 64,
		},
		HTTP2: HTTP2{
			MaxStreams: 128, MaxContinuations: 32,
			// The bursts and rates of Resets and Controls are those of nghttp2. gRPC clients may send a PING and
			// several WINDOW_UPDATE frames for each answer.
			Resets:   Rate{Burst: 1000, PerSecond: 33, PerRequest: 0.5},
			Controls: Rate{Burst: 1000, PerSecond: 33, PerRequest: 4},
			Windows:  Rate{Burst: 10_000, PerSecond: 1000, PerRequest: 16},
		},
	}
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, b := range []struct {
		setting      string
		value, least int64
	}{
		{"connections", int64(c.MaxConnections), 0},
		{"connections of a client", int64(c.MaxPerClient), 0},
		{"bits of an IPv6 prefix", int64(c.IPv6Prefix), 1},
		{"header timeout", int64(c.HeaderTimeout), 1},
		{"read timeout", int64(c.ReadTimeout), 1},
		{"write timeout", int64(c.WriteTimeout), 1},
		{"idle timeout", int64(c.IdleTimeout), 1},
		{"bytes of a header", int64(c.MaxHeaderBytes), 1024},
		{"bytes of a lingering close", c.Linger.Bytes, 0},
		{"time of a lingering close", int64(c.Linger.Timeout), 0},
		{"idle time of a lingering close", int64(c.Linger.Idle), 0},
		{"idle time of a request after its answer", int64(c.Linger.StreamIdle), 0},
		{"lingering connections", int64(c.Linger.Max), 0},
		{"lingering connections of a client", int64(c.Linger.MaxPerClient), 0},
		{"HTTP/2 streams", int64(c.HTTP2.MaxStreams), 1},
		{"CONTINUATION frames", int64(c.HTTP2.MaxContinuations), 1},
		{"burst of resets", int64(c.HTTP2.Resets.Burst), 1},
		{"burst of window updates", int64(c.HTTP2.Windows.Burst), 1},
		{"burst of control frames", int64(c.HTTP2.Controls.Burst), 1},
	} {
		if b.value < b.least {
			return fmt.Errorf("connection: %s: %d is below %d", b.setting, b.value, b.least)
		}
	}
	if c.IPv6Prefix > 8*net.IPv6len {
		return fmt.Errorf("connection: an IPv6 prefix of %d bits: an address has only 128", c.IPv6Prefix)
	}
	if c.ReadTimeout < c.HeaderTimeout {
		return errors.New("connection: the read timeout must not be shorter than the header timeout")
	}
	return nil
}

// count reports an event.
func (c *Config) count(e Event) {
	if c.Count != nil {
		c.Count(e)
	}
}
