package observe

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// LogHandler is a slog.Handler that counts records which could not be written, for example because
// the disk is full. If the context has a trace, it adds trace_id and span_id at the top level of the
// record.
type LogHandler struct {
	root    slog.Handler
	grouped []func(slog.Handler) slog.Handler // the first group, and all groups and attributes after it
	metrics *Metrics
}

// NewLogHandler returns a LogHandler that writes to next.
func NewLogHandler(next slog.Handler, m *Metrics) *LogHandler {
	return &LogHandler{root: next, metrics: m}
}

// Enabled reports whether the underlying handler handles records of a level.
func (h *LogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.root.Enabled(ctx, level)
}

// Handle writes a record.
func (h *LogHandler) Handle(ctx context.Context, r slog.Record) error {
	next := h.root
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		ids := []slog.Attr{
			slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()),
		}
		if len(h.grouped) == 0 {
			r = r.Clone()
			r.AddAttrs(ids...)
		} else {
			next = next.WithAttrs(ids)
		}
	}
	for _, add := range h.grouped {
		next = add(next)
	}
	err := next.Handle(ctx, r)
	if err != nil {
		h.metrics.CountLogError()
	}
	return err
}

// TraceID returns the identifier of the context's trace, "" if there is none.
func TraceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		return span.TraceID().String()
	}
	return ""
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *LogHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	if len(attributes) == 0 {
		return h
	}
	if len(h.grouped) == 0 {
		return &LogHandler{root: h.root.WithAttrs(attributes), metrics: h.metrics}
	}
	return h.add(func(next slog.Handler) slog.Handler { return next.WithAttrs(attributes) })
}

// WithGroup returns a handler that puts the following attributes into a group.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.add(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

// add returns a handler with one more group or list of attributes.
func (h *LogHandler) add(f func(slog.Handler) slog.Handler) *LogHandler {
	return &LogHandler{root: h.root, grouped: append(slices.Clip(h.grouped), f), metrics: h.metrics}
}

// levelOf is a handler that is enabled for the levels of another one.
type levelOf struct {
	slog.Handler
	levels slog.Handler
}

func (h levelOf) Enabled(ctx context.Context, level slog.Level) bool {
	return h.levels.Enabled(ctx, level)
}

func (h levelOf) WithAttrs(attributes []slog.Attr) slog.Handler {
	return levelOf{h.Handler.WithAttrs(attributes), h.levels}
}

func (h levelOf) WithGroup(name string) slog.Handler {
	return levelOf{h.Handler.WithGroup(name), h.levels}
}
