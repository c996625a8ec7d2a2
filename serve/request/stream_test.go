package request

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"garb/serve/engine"
	"garb/serve/observe"
)

// reader returns a reader of the messages of a body, which must have at most 1000 bytes each.
func reader(body []byte) (*Bodies, *MessageReader) {
	bodies := NewBodies(BodyConfig{MaxBytes: 1000, BudgetBytes: 3000, MaxPictures: 1},
		observe.NewMetrics(func() float64 { return 0 }))
	b := &Backend{Streams: func() StreamConfig { return StreamConfig{time.Minute, time.Minute} }}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Grpc-Encoding", "gzip")
	return bodies, b.NewMessageReader(httptest.NewRecorder(), r, bodies)
}

// frame returns a message with its prefix.
func frame(compressed byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(len(message))), message...)
}

// TestMessageReader: messages are read one by one, and each frees its share of the budget.
func TestMessageReader(t *testing.T) {
	bodies, m := reader(append(frame(0, []byte("one")), frame(1, compress(t, "second"))...))
	for i, want := range []string{"one", "second"} {
		got := make([]byte, 5+len(want))
		if _, err := io.ReadFull(m, got); err != nil || !bytes.Equal(got, frame(0, []byte(want))) {
			t.Errorf("%q, %v", got, err)
		}
		if m.Count() != i+1 || m.Size() != int64(len(want)) || bodies.Used() < 3*m.Size() {
			t.Errorf("message %d of %d bytes has %d bytes of the budget", m.Count(), m.Size(), bodies.Used())
		}
	}
	if n, err := m.Read(make([]byte, 9)); n != 0 || err != io.EOF || m.Err() != io.EOF { //nolint:errorlint // itself
		t.Errorf("the end: %d, %v", n, err)
	}
	if bodies.Used() != 0 {
		t.Errorf("%d bytes are left", bodies.Used())
	}
	_, m = reader(frame(0, nil))
	m.Stop()
	if _, err := m.Read(make([]byte, 9)); !errors.Is(err, engine.ErrStopping) {
		t.Errorf("after Stop: %v", err)
	}
}

// FuzzMessageReader: whatever a client sends, what is read are whole messages within the limit, and nothing of
// the budget is left.
func FuzzMessageReader(f *testing.F) {
	f.Add(append(frame(0, []byte("one")), frame(1, []byte("no gzip"))...))
	f.Add(frame(1, compress(f, "message")))
	f.Add(frame(0, make([]byte, 1001)))
	f.Add([]byte{0, 255, 255, 255, 255})
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		bodies, m := reader(body)
		all, err := io.ReadAll(m)
		if (err == nil) != errors.Is(m.Err(), io.EOF) {
			t.Errorf("%v, %v", err, m.Err())
		}
		for len(all) > 0 {
			size := int(binary.BigEndian.Uint32(all[1:]))
			if all[0]&1 != 0 || size > 1000 || len(all) < 5+size {
				t.Fatalf("%x", all)
			}
			all = all[5+size:]
		}
		if err := m.Close(); err != nil || bodies.Used() != 0 {
			t.Errorf("%v, %d bytes are left", err, bodies.Used())
		}
	})
}
