package connection

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestErrorLog(t *testing.T) {
	for message, want := range map[string]struct {
		level slog.Level
		event Event
	}{
		"http: Accept error: accept tcp [::]:80: too many open files; retrying":        {slog.LevelError, AcceptError},
		"http: panic serving 192.0.2.1:1: x":                                           {slog.LevelError, ServerError},
		"http: superfluous response.WriteHeader call from x (y.go:1)":                  {slog.LevelError, ServerError},
		"http2: server connection error from 192.0.2.1:1: connection error: PROTOCOL":  {slog.LevelDebug, ""},
		"http: TLS handshake error from 192.0.2.1:1: EOF":                              {slog.LevelDebug, Handshake},
		"http: URL query contains semicolon, which is no longer a supported separator": {slog.LevelDebug, ""},
	} {
		var seen events
		var out bytes.Buffer
		handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})
		newErrorLog(slog.New(handler), seen.count).Print(message)
		if text := out.String(); !strings.Contains(text, "level="+want.level.String()) ||
			!strings.Contains(text, message) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %s", message, text)
		}
		if len(seen.counts) != 0 != (want.event != "") || want.event != "" && seen.of(want.event) != 1 {
			t.Errorf("%s: counted as %v", message, seen.counts)
		}
	}
}
