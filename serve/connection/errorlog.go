package connection

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"strings"
	"syscall"
)

// errorLog writes the messages of an http.Server to a structured log, each at the level that fits it.
type errorLog struct {
	log   *slog.Logger
	count func(Event)
}

func newErrorLog(to *slog.Logger, count func(Event)) *log.Logger {
	return log.New(errorLog{to, count}, "", 0)
}

// messages are the beginnings of the HTTP server's messages that need a level of their own. All others are
// errors.
var messages = []struct {
	prefix string
	level  slog.Level
	event  Event
}{
	{"http: Accept error", slog.LevelError, AcceptError},
	// Clients cause these.
	{"http: TLS handshake error", slog.LevelDebug, Handshake},
	{"http2: server connection error", slog.LevelDebug, ""},
	{"http2: server closing client connection", slog.LevelDebug, ""},
	{"http2: server: error reading preface", slog.LevelDebug, ""},
	{"http2: received GOAWAY", slog.LevelDebug, ""},
	{"timeout waiting for SETTINGS frames", slog.LevelDebug, ""},
	{"timeout waiting for PING response", slog.LevelDebug, ""},
	{"http: URL query contains semicolon", slog.LevelDebug, ""},
}

// Write logs a message.
func (l errorLog) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	level, event := slog.LevelError, ServerError
	for _, m := range messages {
		if strings.HasPrefix(text, m.prefix) {
			level, event = m.level, m.event
			break
		}
	}
	if event != "" {
		l.count(event)
	}
	l.log.Log(context.Background(), level, "HTTP server", "error", text)
	return len(p), nil
}

// isTooManyFiles reports whether the process or the system has no file descriptor left.
func isTooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
