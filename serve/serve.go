// Package serve serves models over HTTP: with a web page for people, and APIs for programs.
//
//	request → limits, key → body, bounded → pictures → place in the queue → decode
//	        → batch → logits → predictions → answer
//
// It composes the packages below it: engine, registry, one package for each protocol, and so on.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/observe"
	"garb/serve/registry"
	"garb/serve/reload"
	"garb/serve/request"
)

// Server is a service with open models.
type Server struct {
	config  Config
	backend request.Backend
	metrics *observe.Metrics
	log     *slog.Logger
	tls     *access.Certificate
	// endWatch ends the watching of the files of keys and certificate.
	endWatch func()
	traces   *observe.Tracer // nil if there is no endpoint
	http     *http.Server
}

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener = registry.Opener

// Classifier is what the service needs of a model; *model.Classifier implements it.
type Classifier = engine.Classifier

// NamedModel is a model to serve, and the name that it is served under.
type NamedModel = registry.NamedModel

// New opens the models and prepares a service. log gets a record for each request and for each change
// of models.
func New(c Config, open Opener, log *slog.Logger) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &Server{config: c}
	s.metrics = observe.NewMetrics(func() float64 { return float64(s.backend.Scheduler.Depth()) })
	s.log = slog.New(countingHandler{log.Handler(), s.metrics})
	s.backend = request.Backend{
		Scheduler: engine.NewScheduler(c.Engine, s.metrics), Bodies: request.NewBodies(c.Bodies, s.metrics),
		MaxPictures: c.Bodies.MaxPictures, Metrics: s.metrics,
		Streams: request.StreamConfig{MessageTimeout: c.RequestTimeout, IdleTimeout: c.IdleTimeout},
		Fetcher: fetch.New(c.URLPrefixes, c.Engine.Limits.MaxBytes, nil),
	}
	var err error
	files := access.Default()
	files.APIKeyFile, files.TLSCert, files.TLSKey = c.APIKeyFile, c.TLSCert, c.TLSKey
	files.OnSuccess, files.OnFailure = s.logReload, s.logReload
	if s.backend.Keys, err = access.OpenKeys(files); err != nil {
		return nil, err
	}
	if c.TLSCert != "" {
		if s.tls, err = access.OpenCertificate(files); err != nil {
			return nil, err
		}
	}
	if c.TraceEndpoint != "" {
		if s.traces, err = observe.NewTracer(c.TraceEndpoint, s.log); err != nil {
			return nil, err
		}
	}
	if s.backend.Models, err = registry.Open(c.Models, c.Engine, open, s.metrics, s.log); err != nil {
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
	s.endWatch = s.watchFiles()
	return s, nil
}

// OpenToAll reports whether the service accepts requests from other machines without an API key.
func (s *Server) OpenToAll(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return ok && !a.IP.IsLoopback() && !s.backend.Keys.Required()
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
			s.http.TLSConfig = s.tls.TLSConfig()
			failed <- s.http.ServeTLS(l, "", "")
			return
		}
		failed <- s.http.Serve(l)
	}()
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	if s.config.Models.Folder != "" {
		watchers.Go(func() { s.backend.Models.Watch(watching) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = s.stop(func() { end(engine.ErrStopping) })
	}
	unwatch()
	watchers.Wait()
	s.endWatch()
	s.backend.Models.Close()
	s.traces.Close()
	return err
}

// logReload logs that files were loaded, or why they could not be.
func (s *Server) logReload(state reload.State) {
	result := "failure"
	if state.Status == reload.Current {
		result = "success"
	}
	s.metrics.CountReload(state.Name, result)
	switch state.Status {
	case reload.Current:
		s.log.Info("loaded", "file", state.Name, "detail", state.Detail)
	case reload.Stale:
		s.log.Warn("a file cannot be reloaded; its old contents remain in use", "file", state.Name,
			"detail", state.Detail, "error", state.Err.Error())
	case reload.Refused:
		s.log.Error("a file cannot be reloaded; its old contents are no longer used", "file", state.Name,
			"error", state.Err.Error())
	}
}

// stop shuts the service down: it is not ready any more, and requests in progress get the grace
// period. It calls end to cancel those that are left.
func (s *Server) stop(end func()) error {
	s.backend.Scheduler.Stop()
	s.log.Info("stopping", "grace", s.config.Grace.String(), "pictures_under_way", s.backend.Scheduler.Depth())
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

// watchFiles reloads the API keys and the certificate until the returned function is called. It runs even
// if Serve is never called, since Handler needs the keys.
func (s *Server) watchFiles() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	watchers.Go(func() { s.backend.Keys.Watch(ctx) })
	if s.tls != nil {
		watchers.Go(func() { s.tls.Watch(ctx) })
	}
	return func() {
		cancel()
		watchers.Wait()
	}
}

// Close closes a server on which Serve was not called.
func (s *Server) Close() error {
	s.endWatch()
	s.backend.Models.Close()
	s.traces.Close()
	return nil
}

// handleLive handles GET /healthz: the process responds.
func (s *Server) handleLive(w http.ResponseWriter, _ *http.Request) {
	request.WriteJSON(w, "application/json", http.StatusOK, map[string]string{"status": "ok"})
}

// fileStates returns the states of the files of API keys and TLS.
func (s *Server) fileStates() []reload.State {
	states := []reload.State{}
	if keys, ok := s.backend.Keys.State(); ok {
		states = append(states, keys)
	}
	if s.tls != nil {
		states = append(states, s.tls.State())
	}
	return states
}

// handleReady handles GET /readyz: the service accepts requests. With ?verbose it also returns the states
// of files.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	if s.backend.Scheduler.Stopping() {
		request.WriteError(w, r, engine.ErrStopping)
		return
	}
	versions := map[string]int{}
	for _, v := range s.backend.Models.List() {
		versions[v.Name] = v.Number
	}
	answer := map[string]any{"status": "ready", "models": versions}
	if r.URL.Query().Has("verbose") {
		answer["files"] = s.fileStates()
	}
	request.WriteJSON(w, "application/json", http.StatusOK, answer)
}
