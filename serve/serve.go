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
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"garb/serve/access"
	"garb/serve/connection"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/observe"
	"garb/serve/registry"
	"garb/serve/reload"
	"garb/serve/request"
	"garb/serve/trypage"
)

// Server is a service with open models.
type Server struct {
	running  atomic.Pointer[Config] // the settings as they are now, see Apply
	backend  request.Backend
	observer *observe.Observer
	log      *slog.Logger
	tls      *access.Certificate // nil without TLS
	admin    net.Listener        // for probes and metrics; nil if there is none
	try      *trypage.Page       // the page that classifies in the browser; nil if there is none

	mu       sync.Mutex
	endWatch func() // ends the watching of the files of keys and certificate

	keysMu   sync.Mutex
	keyNames []string // those with metrics
}

// Opener opens the model at a path, and checks it: its file, and its golden logits.
type Opener = registry.Opener

// Classifier is what the service needs of a model; *model.Classifier implements it.
type Classifier = engine.Classifier

// ModelConfig holds the settings of models and their versions.
type ModelConfig = registry.Config

// NamedModel is a model to serve, and the name that it is served under.
type NamedModel = registry.NamedModel

// New opens the models and prepares a service. log gets a record for each request and for each change
// of models.
func New(c Config, open Opener, log *slog.Logger) (_ *Server, err error) {
	if err = c.Validate(); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &Server{}
	s.running.Store(&c)
	depth := func() float64 { return float64(s.backend.Scheduler.Depth()) }
	if s.observer, err = observe.New(c.observe(), log.Handler(), depth); err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAnswers(), s.closeObserver())
		}
	}()
	s.log = s.observer.Log
	for _, e := range connection.Events() {
		s.observer.CreateConnections(string(e))
	}
	s.observer.SetQueueLimit(c.Engine.Queue)
	s.backend.Metrics = s.observer.Metrics
	s.backend.Scheduler = engine.NewScheduler(c.engine(), s.observer.Metrics)
	s.backend.Bodies = request.NewBodies(c.Bodies, s.observer.Metrics)
	s.backend.Probes = request.NewBodies(request.ProbeBodyConfig(), s.observer.Metrics)
	s.backend.Streams = func() request.StreamConfig {
		now := s.settings()
		return request.StreamConfig{MessageTimeout: now.RequestTimeout, IdleTimeout: now.Connection.IdleTimeout}
	}
	if c.TryFolder != "" {
		if s.try, err = trypage.Open(c.TryFolder); err != nil {
			return nil, fmt.Errorf("serve: %w", err)
		}
	}
	fetcher, err := fetch.New(c.fetch())
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s.backend.SetFetcher(fetcher)
	keys, err := access.OpenKeys(s.files(c))
	if err != nil {
		return nil, err
	}
	s.backend.SetKeys(keys)
	s.forgetKeys()
	if c.TLSCert != "" {
		if s.tls, err = access.OpenCertificate(s.files(c)); err != nil {
			return nil, err
		}
		s.recordExpiry()
	}
	if err = s.openAnswers(c.Answers); err != nil {
		return nil, err
	}
	if s.backend.Models, err = registry.Open(c.Models, c.engine(), open, s.observer.Metrics, s.log); err != nil {
		return nil, err
	}
	s.endWatch = s.watchFiles()
	return s, nil
}

// settings returns the settings as they are now.
func (s *Server) settings() *Config { return s.running.Load() }

// files returns the settings of the files that are watched.
func (s *Server) files(c Config) access.Config {
	files := access.Default()
	files.APIKeyFile, files.TLSCert, files.TLSKey = c.APIKeyFile, c.TLSCert, c.TLSKey
	files.OnSuccess, files.OnFailure = s.logReload, s.logReload
	return files
}

// OpenToAll reports whether the service accepts requests from other machines without an API key.
func (s *Server) OpenToAll(l net.Listener) bool {
	a, ok := l.Addr().(*net.TCPAddr)
	return ok && !a.IP.IsLoopback() && !s.backend.Keys().Required()
}

// UseAdmin makes Serve serve probes and metrics on a listener of their own, too, without API keys. It must be
// called before Serve.
func (s *Server) UseAdmin(l net.Listener) { s.admin = l }

// Serve serves requests on listeners until ctx ends. Then it lets requests in progress finish, see
// Config.DrainDelay and Config.Grace. It returns nil if all of them did. It closes the server.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	work, end := context.WithCancelCause(context.Background())
	defer end(nil)
	public, err := s.newServer(work, listeners)
	if err != nil {
		return err
	}
	failed := make(chan error, len(listeners)+1)
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Go(func() { failed <- public.Serve(l) })
	}
	if s.admin != nil {
		probes, adminErr := s.newAdminServer()
		if adminErr != nil {
			return errors.Join(adminErr, public.Close())
		}
		serving.Go(func() { failed <- probes.Serve(s.admin) })
		defer serving.Wait()
		defer probes.Close()
	}
	watching, unwatch := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	if s.settings().Models.Folder != "" {
		watchers.Go(func() { s.backend.Models.Watch(watching) })
	}
	select {
	case err = <-failed:
		err = errors.Join(err, public.Close())
	case <-ctx.Done():
		err = s.stop(public, func() { end(engine.ErrStopping) })
	}
	unwatch()
	watchers.Wait()
	return errors.Join(err, s.Close())
}

// newServer returns the server of the service's listeners. work is the parent of the contexts of all
// requests.
func (s *Server) newServer(work context.Context, listeners []net.Listener) (*connection.Server, error) {
	c := s.settings().connection()
	c.BaseContext, c.Log, c.Count = work, s.log, func(e connection.Event) { s.observer.CountConnection(string(e)) }
	if s.tls != nil {
		c.TLS = s.tls.TLSConfig()
	}
	loopback := false
	for _, l := range listeners {
		a, ok := l.Addr().(*net.TCPAddr)
		loopback = loopback || ok && a.IP.IsLoopback()
	}
	return connection.New(c, s.handler(loopback))
}

// newAdminServer returns the server of the listener for probes and metrics.
func (s *Server) newAdminServer() (*connection.Server, error) {
	c := s.settings().connection()
	c.Log, c.Count = s.log, func(e connection.Event) { s.observer.CountConnection(string(e)) }
	a, ok := s.admin.Addr().(*net.TCPAddr)
	return connection.New(c, s.adminHandler(ok && a.IP.IsLoopback()))
}

// stop shuts the service down: it is not ready any more, and then requests in progress get the grace
// period. It calls end to cancel those that are left.
func (s *Server) stop(public *connection.Server, end func()) error {
	c := s.settings()
	s.backend.Scheduler.Drain()
	s.log.Info("stopping", "drain_delay", c.DrainDelay.String(), "grace", c.Grace.String(),
		"pictures_under_way", s.backend.Scheduler.Depth())
	time.Sleep(c.DrainDelay)
	s.backend.Scheduler.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), c.Grace)
	defer cancel()
	err := public.Shutdown(ctx)
	if err != nil {
		end()
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = public.Shutdown(last)
		err = errors.Join(fmt.Errorf("serve: requests were still in progress after the grace period of %v", c.Grace),
			public.Close())
	}
	return err
}

// Close ends the models and what the service does in the background. Serve calls it at the end.
func (s *Server) Close() error {
	s.mu.Lock()
	s.endWatch()
	s.mu.Unlock()
	s.backend.Models.Close()
	return errors.Join(s.closeAnswers(), s.closeObserver())
}

// closingTime limits the time to write the answers, and to send the telemetry, that are left at the end.
const closingTime = 5 * time.Second

// closeObserver sends the telemetry that is left.
func (s *Server) closeObserver() error {
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	return s.observer.Close(ctx)
}

// recordExpiry records when the certificate expires.
func (s *Server) recordExpiry() {
	if s.tls == nil { // there is none, or it is being opened
		return
	}
	if at, err := s.tls.NotAfter(); err == nil {
		s.observer.SetCertificateExpiry(at)
	}
}

// logReload logs that files were loaded, or why they could not be.
func (s *Server) logReload(state reload.State) {
	s.observer.CountReload(state.Name, state.Status == reload.Current)
	s.recordExpiry()
	if state.Name == access.KeysName && state.Status == reload.Current {
		s.forgetKeys()
	}
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

// forgetKeys removes the metrics of API keys that are gone.
func (s *Server) forgetKeys() {
	keys := s.backend.Keys()
	if keys == nil { // they are being opened
		return
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	names := keys.Names()
	for _, name := range s.keyNames {
		if !slices.Contains(names, name) {
			s.observer.RemoveKey(name)
		}
	}
	s.keyNames = names
}

// watchFiles reloads the API keys and the certificate until the returned function is called. It runs even
// if Serve is never called, since Handler needs the keys.
func (s *Server) watchFiles() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watchers sync.WaitGroup
	watchers.Go(func() { s.backend.Keys().Watch(ctx) })
	if s.tls != nil {
		watchers.Go(func() { s.tls.Watch(ctx) })
	}
	return func() {
		cancel()
		watchers.Wait()
	}
}
