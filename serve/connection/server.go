package connection

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Server is an HTTP server with limits on its connections.
type Server struct {
	config Config
	log    *slog.Logger
	limits *limiter
	http   *http.Server

	stopping context.Context // ends TLS handshakes
	stop     context.CancelFunc
}

// New prepares a server. The handler gets the requests of all its listeners.
func New(c Config, handler http.Handler) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: c, log: cmp.Or(c.Log, slog.New(slog.DiscardHandler))}
	s.limits = newLimiter(&s.config)
	s.stopping, s.stop = context.WithCancel(context.Background())
	if c.TLS != nil {
		s.config.TLS = c.TLS.Clone()
		s.config.TLS.NextProtos = []string{"h2", "http/1.1"}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for gRPC without TLS, and see shakeHand
	base := cmp.Or(c.BaseContext, context.Background())
	s.http = &http.Server{
		Handler: withTLSState(s.drainStreams(handler)), Protocols: protocols,
		ReadHeaderTimeout: c.HeaderTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
		IdleTimeout: c.IdleTimeout, MaxHeaderBytes: c.MaxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: c.HTTP2.MaxStreams,
			SendPingTimeout:      c.IdleTimeout, // finds clients that are gone while their request is computed
			WriteByteTimeout:     c.WriteTimeout,
		},
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if base := baseConn(c); base != nil {
				s.limits.note(base, state)
			}
		},
		ErrorLog: newErrorLog(s.log, s.config.count),
	}
	return s, nil
}

type connKey struct{}

// withTLSState returns a handler that sets Request.TLS of HTTP/2 requests over TLS, whose connections are plain
// text to the HTTP server.
func withTLSState(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if framed, ok := r.Context().Value(connKey{}).(*framedConn); ok && r.TLS == nil {
			if secure, ok := framed.Conn.(*tls.Conn); ok {
				state := secure.ConnectionState()
				r.TLS = &state
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Serve serves requests on a listener until the server is stopped, and closes the listener. It returns nil after
// Shutdown and Close. Several listeners may be served at a time; the limits hold for all of them together.
func (s *Server) Serve(inner net.Listener) error {
	l := s.listen(inner)
	err := s.http.Serve(l)
	l.Close()
	l.accepted.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown closes the listeners and waits until all requests are answered, and then for clients that still send
// what nobody needs, so that they can read their answers. It returns the error of ctx if that ends first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	if err := s.http.Shutdown(ctx); err != nil {
		return err
	}
	const pause = 10 * time.Millisecond
	end := time.Now().Add(s.config.Linger.Idle)
	for s.Stats().Lingering > 0 && ctx.Err() == nil && time.Now().Before(end) {
		time.Sleep(pause)
	}
	return s.Close()
}

// Close closes the listeners and all connections at once.
func (s *Server) Close() error {
	s.stop()
	s.limits.close()
	return s.http.Close()
}

// Stats are the numbers of a server's connections.
type Stats struct {
	Open      int // connections that take a place
	Idle      int // those of them without a request
	Lingering int // connections and HTTP/2 requests that are still read after the answer
	Clients   int // client addresses with connections
}

// Stats returns the present numbers.
func (s *Server) Stats() Stats {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return Stats{
		Open: s.limits.open, Idle: s.limits.idle, Lingering: len(s.limits.linger) + s.limits.drains,
		Clients: len(s.limits.clients),
	}
}
