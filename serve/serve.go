// Package serve serves models over HTTP: with a web page for people, and APIs for programs.
//
//	request → limits, key → body, bounded → pictures → place in the queue → decode
//	        → batch → logits → predictions → answer
//
// Decoding and inference are separate: each has a limit on what is processed at a time, and the queue
// between them is bounded.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// Server is a service with open models.
type Server struct {
	config  Config
	models  *models
	metrics *metrics
	log     *slog.Logger
	keys    *keys // nil if no API key is needed
	tls     *certificate
	traces  *tracer // nil if there is no endpoint
	fetch   *fetcher
	http    *http.Server

	decoders chan struct{} // holds a token for each picture that is being decoded
	depth    atomic.Int64  // pictures in progress
	bodies   atomic.Int64  // bytes of all bodies in progress
	stopping atomic.Bool
}

// New opens the models and prepares a service. log gets a record for each request and for each change
// of models.
func New(c Config, open Opener, log *slog.Logger) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	for _, n := range []*int{&c.Workers, &c.Decoders} {
		if *n == 0 {
			*n = runtime.GOMAXPROCS(0)
		}
	}
	s := &Server{config: c, log: log, decoders: make(chan struct{}, c.Decoders)}
	s.metrics = newMetrics(func() float64 { return float64(s.depth.Load()) })
	s.log = slog.New(countingHandler{log.Handler(), s.metrics.logErrors})
	var err error
	if c.APIKeyFile != "" {
		if s.keys, err = openKeys(c.APIKeyFile); err != nil {
			return nil, err
		}
	}
	if c.TLSCert != "" {
		if s.tls, err = openCertificate(c.TLSCert, c.TLSKey); err != nil {
			return nil, err
		}
	}
	s.fetch = newFetcher(c.URLPrefixes, c.Limits.MaxBytes, nil)
	if c.TraceEndpoint != "" {
		if s.traces, err = newTracer(c.TraceEndpoint, s.log); err != nil {
			return nil, err
		}
	}
	if s.models, err = openModels(c, open, s.metrics, s.log); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC without TLS
	s.http = &http.Server{
		Handler: s.Handler(), Protocols: protocols,
		ReadHeaderTimeout: c.HeaderTimeout, ReadTimeout: c.RequestTimeout, IdleTimeout: c.IdleTimeout,
		// A response that begins just before the timeout still has to be written.
		WriteTimeout: c.RequestTimeout + c.HeaderTimeout, MaxHeaderBytes: c.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // mostly errors of clients
	}
	return s, nil
}

// OpenToAll reports whether the service accepts requests from other machines without an API key.
func (s *Server) OpenToAll(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return ok && !a.IP.IsLoopback() && s.keys == nil
}

// Serve serves requests on a listener until ctx ends. Then it refuses new requests, and lets those in
// progress finish within the grace period. It returns nil if all of them did.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	l = netutil.LimitListener(l, s.config.MaxConnections)
	work, end := context.WithCancelCause(context.Background())
	defer end(nil)
	s.http.BaseContext = func(net.Listener) context.Context { return work }
	failed := make(chan error, 1)
	go func() {
		if s.tls != nil {
			s.http.TLSConfig = s.tls.config()
			failed <- s.http.ServeTLS(l, "", "")
			return
		}
		failed <- s.http.Serve(l)
	}()
	watching, unwatch := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if s.config.ModelsFolder != "" {
			s.models.watch(watching)
		}
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = s.stop(func() { end(errStopping) })
	}
	unwatch()
	<-watched
	s.models.close()
	s.traces.close()
	return err
}

// stop shuts the service down: it is not ready any more, and requests in progress get the grace
// period. It calls end to cancel those that are left.
func (s *Server) stop(end func()) error {
	s.stopping.Store(true)
	s.log.Info("stopping", "grace", s.config.Grace.String(), "pictures_under_way", s.depth.Load())
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		end()
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.http.Shutdown(last)
		err = errors.Join(fmt.Errorf("serve: requests were still in progress after the grace period of %v",
			s.config.Grace), s.http.Close())
	}
	return err
}

// Close closes a server on which Serve was not called.
func (s *Server) Close() error {
	s.models.close()
	s.traces.close()
	return nil
}

// admit takes places in the queue for n pictures, or fails at once. release frees them.
func (s *Server) admit(n int) (release func(), err error) {
	if s.stopping.Load() {
		s.metrics.count(rejected, "stopping")
		return nil, errStopping
	}
	if s.depth.Add(int64(n)) > int64(s.config.Queue) {
		s.depth.Add(int64(-n))
		s.metrics.count(rejected, "full")
		return nil, errFull
	}
	return func() { s.depth.Add(int64(-n)) }, nil
}

// handleLive handles GET /healthz: the process responds.
func (s *Server) handleLive(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, map[string]string{"status": "ok"})
}

// handleReady handles GET /readyz: the service accepts requests.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	if s.stopping.Load() {
		writeError(w, r, errStopping)
		return
	}
	versions := map[string]int{}
	for _, v := range s.models.list() {
		versions[v.name] = v.number
	}
	writeJSON(w, "application/json", http.StatusOK, map[string]any{"status": "ready", "models": versions})
}
