//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/model"
	"garb/serve"
	"garb/serve/listen"
)

func (s *service) run(c *cobra.Command) error {
	switch {
	case s.printConfig:
		return s.settings.print(c.OutOrStdout())
	case s.checkConfig:
		_, err := fmt.Fprintln(c.OutOrStdout(), "the settings are valid")
		return err
	}
	// A computing thread keeps its core for milliseconds, and the Go scheduler would let threads
	// that read and write wait that long. With one more thread, the operating system schedules
	// them. Each picture is computed by one thread: two threads would wait for each other, and
	// under load for a core.
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + 1)
	config := s.config // the flags keep their values, for reloads
	for _, n := range []*int{&config.Engine.Workers, &config.Engine.Decoders} {
		if *n == 0 {
			*n = cores
		}
	}
	level := new(slog.LevelVar)
	level.Set(chooseLogLevel(s.settings.flags))
	log := slog.New(slog.NewJSONHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))

	notifier, err := listen.NewNotifier()
	if err != nil {
		return err
	}
	listeners, admin, err := openListeners(c.Context(), config, log)
	if err != nil {
		return err
	}
	server, err := serve.New(config, func(path string) (serve.Classifier, error) {
		return model.Open(path, model.Options{Threads: 1, Accept: s.accept.threshold})
	}, log)
	if err != nil {
		return errors.Join(err, closeListeners(append(listeners, admin)))
	}
	if admin != nil {
		server.UseAdmin(admin)
	}
	s.announce(c, server, listeners, admin)
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer s.watchHangups(ctx, server, notifier, level, log)()
	notify(log, notifier.Ready)
	go notifier.Watch(ctx, server.CheckHealth, func(err error) { log.Warn("systemd", "error", err.Error()) })
	context.AfterFunc(c.Context(), func() { notify(log, notifier.Stopping) })
	return server.Serve(c.Context(), listeners...)
}

// openListeners opens the listeners of the service, and that for probes and metrics, nil if there is none.
func openListeners(
	ctx context.Context, config serve.Config, log *slog.Logger,
) (listeners []net.Listener, admin net.Listener, err error) {
	sockets, err := listen.Inherit()
	if err != nil {
		return nil, nil, err
	}
	defer sockets.Close()
	if config.AdminAddr != "" { // before the other address, which may be all of systemd's sockets that are left
		var opened []net.Listener
		if opened, err = sockets.Listen(ctx, config.AdminAddr); err != nil {
			return nil, nil, err
		}
		if len(opened) != 1 {
			return nil, nil, errors.Join(fmt.Errorf("%s stands for %d sockets; probes and metrics need one",
				config.AdminAddr, len(opened)), closeListeners(opened))
		}
		admin = opened[0]
	}
	if listeners, err = sockets.Listen(ctx, config.Addr); err != nil {
		return nil, nil, errors.Join(err, closeListeners([]net.Listener{admin}))
	}
	if unused := sockets.Unused(); len(unused) > 0 {
		log.Warn("sockets of systemd are not used", "sockets", unused)
	}
	return listeners, admin, nil
}

// closeListeners closes those of the listeners that are not nil.
func closeListeners(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// announce prints where the service listens, and a warning if anyone can use it.
func (s *service) announce(c *cobra.Command, server *serve.Server, listeners []net.Listener, admin net.Listener) {
	scheme := "http"
	if s.config.TLSCert != "" {
		scheme = "https"
	}
	openToAll := false
	for _, l := range listeners {
		at := scheme + "://" + l.Addr().String()
		if l.Addr().Network() == "unix" {
			at = "unix:" + l.Addr().String()
		}
		fmt.Fprintf(c.OutOrStdout(), "garb is serving on %s (stop with Ctrl-C)\n", at)
		openToAll = openToAll || server.OpenToAll(l)
	}
	if admin != nil {
		fmt.Fprintf(c.OutOrStdout(), "garb serves probes and metrics on %s\n", admin.Addr())
	}
	if openToAll {
		fmt.Fprintln(c.ErrOrStderr(), "garb: warning: anyone who can reach this port can use the service; "+
			"use --api-key-file to require keys, or --addr localhost:8080 to serve only this machine")
	}
}

// watchHangups reloads the files of keys and certificate, and the configuration file if there is one, at each
// SIGHUP, until the returned function is called.
func (s *service) watchHangups(
	ctx context.Context, server *serve.Server, notifier *listen.Notifier, level *slog.LevelVar, log *slog.Logger,
) (stop func()) {
	if hangup == nil { // the system has no such signal
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, hangup)
	r := &reloader{current: s, log: log, count: func(err error) { server.CountReload("config", err == nil) },
		apply: func(next *service) error {
			if err := server.Apply(next.config); err != nil {
				return err
			}
			level.Set(chooseLogLevel(next.settings.flags))
			return nil
		},
		around: func(reload func()) {
			notify(log, notifier.Reloading)
			reload()
			if err := server.ReloadFiles(); err != nil {
				log.Error("files could not be reloaded", "error", err.Error())
			}
			notify(log, notifier.Ready)
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watch(ctx, hangups)
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}

// notify tells systemd something. A failure is logged: the service works without it.
func notify(log *slog.Logger, send func() error) {
	if err := send(); err != nil {
		log.Warn("systemd could not be notified", "error", err.Error())
	}
}

// chooseLogLevel returns the minimum log level: --quiet logs only warnings and errors,
// --verbose also logs clients' errors.
func chooseLogLevel(flags *pflag.FlagSet) slog.Level {
	isOn := func(name string) bool {
		f := flags.Lookup(name)
		return f != nil && f.Value.String() == "true"
	}
	switch {
	case isOn(quietFlag):
		return slog.LevelWarn
	case isOn(verboseFlag):
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
