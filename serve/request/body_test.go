package request

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"garb/serve/engine"
	"garb/serve/observe"
)

func compress(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMessageLengths: a compressed gRPC message has the length that is written before it.
func TestMessageLengths(t *testing.T) {
	b := NewBodies(DefaultBodyConfig(), observe.NewMetrics(func() float64 { return 0 }))
	compressed := compress(t, "message")
	for more, ok := range map[int]bool{-1: false, 0: true, 1: false} {
		body := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(compressed)+more)), compressed...)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Grpc-Encoding", "gzip")
		frame, release, err := b.ReadMessage(httptest.NewRecorder(), r)
		switch {
		case ok && (err != nil || string(frame) != "\x00\x00\x00\x00\x07message"):
			t.Errorf("frame %q, %v", frame, err)
		case !ok && !errors.Is(err, ErrInvalid):
			t.Errorf("%d bytes more: %v", more, err)
		}
		if err == nil {
			release()
		}
		if left := b.used.Load(); left != 0 {
			t.Errorf("%d bytes are not given back", left)
		}
	}
}

// TestBudget: bodies together may take the budget to the byte, and give it back.
func TestBudget(t *testing.T) {
	b := NewBodies(BodyConfig{MaxBytes: 10, BudgetBytes: 30, MaxPictures: 1},
		observe.NewMetrics(func() float64 { return 0 }))
	if err := b.reserve(30); err != nil {
		t.Fatal(err)
	}
	if err := b.reserve(1); !errors.Is(err, engine.ErrFull) {
		t.Errorf("one byte more: %v", err)
	}
	if have := b.used.Load(); have != 30 {
		t.Errorf("%d bytes are taken", have)
	}
	b.used.Add(-30)
	for length, ok := range map[int]bool{0: true, 9: true, 10: true, 11: false} {
		for _, announced := range []int64{int64(length), -1} {
			data, release, err := b.readBounded(strings.NewReader(strings.Repeat("x", length)), announced)
			if (err == nil) != ok || !ok && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes, announced as %d: %v", length, announced, err)
			}
			if ok {
				if len(data) != length || b.used.Load() != int64(cap(data)) {
					t.Errorf("%d bytes read, %d taken for %d", len(data), b.used.Load(), cap(data))
				}
				release()
			}
			if left := b.used.Load(); left != 0 {
				t.Errorf("%d bytes, announced as %d: %d are not given back", length, announced, left)
			}
		}
	}
}

// TestBase64: pictures in JSON come in either alphabet, padded or not, as data URLs or bare.
func TestBase64(t *testing.T) {
	data := []byte{0xfb, 0xff, 0xfe, 0}
	for name, text := range map[string]string{
		"standard":       base64.StdEncoding.EncodeToString(data),
		"standard, bare": base64.RawStdEncoding.EncodeToString(data),
		"address":        base64.URLEncoding.EncodeToString(data),
		"address, bare":  base64.RawURLEncoding.EncodeToString(data),
		"data URL":       "data:image/png;base64," + base64.StdEncoding.EncodeToString(data),
	} {
		if have, err := DecodeBase64(text); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s: %x, %v", name, have, err)
		}
	}
	for _, text := range []string{"data:image/png,abc", "a", "ab*d", "+-"} {
		if _, err := DecodeBase64(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
