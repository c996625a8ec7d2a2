// Package serve answers over HTTP: a page for people, and APIs for programs.
//
//	request → limits, key → body, bounded → pictures → place in the queue → decode
//	        → batch → logits → predictions → answer
//
// Decoding and inference are kept apart: so many pictures are decoded at a time, a model
// computes so many batches at a time, and what waits between them is bounded.
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

// Server is a service with its models open.
type Server struct {
	config  Config
	models  *models
	metrics *metrics
	log     *slog.Logger
	keys    *keys // nil lets everybody in
	tls     *certificate
	traces  *tracer // nil without
	fetch   *fetcher
	http    *http.Server

	decoders chan struct{} // a token for each picture that may be decoded at a time
	depth    atomic.Int64  // pictures under way
	bodies   atomic.Int64  // bytes of the bodies under way
	stopping atomic.Bool
}

// New opens the models and prepares a service. log gets a record for each request, and
// for what happens to models.
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
		// An answer may begin when the time for it ends, and has to be written.
		WriteTimeout: c.RequestTimeout + c.HeaderTimeout, MaxHeaderBytes: c.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what strangers do wrong
	}
	return s, nil
}

// OpenToAll reports whether anybody who reaches the port is let in, from other machines
// too.
func (s *Server) OpenToAll(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return ok && !a.IP.IsLoopback() && s.keys == nil
}

// Serve answers on a listener until ctx ends. Then it takes nothing new, lets what is
// under way finish within the grace time, and returns nil if all of it did.
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
	return errors.Join(err, s.models.close(), s.traces.close())
}

// stop ends the service: not ready from now on, and what is under way has the grace time.
func (s *Server) stop(end func()) error {
	s.stopping.Store(true)
	s.log.Info("stopping", "grace", s.config.Grace.String(), "pictures_under_way", s.depth.Load())
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		end() // their work stops, and they are told
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.http.Shutdown(last)
		err = errors.Join(fmt.Errorf("serve: requests were still under way after the grace time of %v",
			s.config.Grace), s.http.Close())
	}
	return err
}

// Close ends a server that was never told to serve.
func (s *Server) Close() error { return errors.Join(s.models.close(), s.traces.close()) }

// admit takes places for n pictures, or refuses at once. release gives them back.
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

// live says that the process answers, ready that it takes requests.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, "application/json", http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
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
