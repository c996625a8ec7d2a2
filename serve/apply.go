package serve

import (
	"context"
	"errors"
	"fmt"

	"garb/serve/access"
	"garb/serve/fetch"
)

// Apply changes those settings of a running service that can change: the queue, the limits of bodies and
// pictures, the timeouts of requests, the file of API keys and the URL prefixes. It ignores the others. If
// it fails, nothing changes.
func (s *Server) Apply(c Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.settings()
	now := c.applyTo(*before)
	if err := now.Validate(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	fetcher, err := fetch.New(now.fetch())
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if now.APIKeyFile != before.APIKeyFile {
		keys, err := access.OpenKeys(s.files(now))
		if err != nil {
			return err
		}
		s.endWatch()
		s.backend.SetKeys(keys)
		s.forgetKeys()
		s.endWatch = s.watchFiles()
	}
	s.backend.SetFetcher(fetcher)
	s.backend.Scheduler.Apply(now.Engine)
	s.observer.SetQueueLimit(now.Engine.Queue)
	s.backend.Bodies.Apply(now.Bodies)
	s.running.Store(&now)
	return nil
}

// ReloadFiles reads the files of API keys and TLS now, without waiting until they change.
func (s *Server) ReloadFiles() error {
	err := s.backend.Keys().Reload()
	if s.tls != nil {
		err = errors.Join(err, s.tls.Reload())
	}
	return err
}

// CountReload counts a reload of a file, such as the configuration.
func (s *Server) CountReload(file string, ok bool) { s.observer.CountReload(file, ok) }

// CheckHealth returns an error if the service does not respond before ctx ends, for a watchdog.
func (s *Server) CheckHealth(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.backend.Models.List() // waits for the registry's lock
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("serve: the models do not respond")
	}
}
