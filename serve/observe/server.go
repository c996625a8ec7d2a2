package observe

import (
	"context"
	"log"
	"log/slog"
	"strings"
)

// The kinds of errors of an http.Server.
const (
	serverAccept = "accept" // a connection could not be accepted, for example without free descriptors
	serverTLS    = "tls"    // a TLS handshake failed, mostly by the client's fault
	serverPanic  = "panic"  // a handler panicked outside of our own recovery
	serverOther  = "other"
)

var serverErrorKinds = []string{serverAccept, serverTLS, serverPanic, serverOther}

// ServerLog returns a logger for http.Server.ErrorLog. It counts the server's errors and writes them to
// the log: connections that could not be accepted, and panics, as errors; all others, which clients can
// cause, as debug records.
func (o *Observer) ServerLog() *log.Logger { return log.New(serverLog{o}, "", 0) }

type serverLog struct{ *Observer }

// Write logs one message of the server.
func (s serverLog) Write(text []byte) (int, error) {
	message := strings.TrimSpace(string(text))
	kind, level := serverOther, slog.LevelDebug
	switch {
	case strings.HasPrefix(message, "http: Accept error"):
		kind, level = serverAccept, slog.LevelError
	case strings.HasPrefix(message, "http: TLS handshake error"):
		kind = serverTLS
	case strings.Contains(message, "panic serving"):
		kind, level = serverPanic, slog.LevelError
	}
	s.serverErrors.WithLabelValues(kind).Inc()
	s.Log.Log(context.Background(), level, "server error", "kind", kind, "error", message)
	return len(text), nil
}
