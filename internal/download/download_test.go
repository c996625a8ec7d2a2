package download

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// content is the file that the tests download.
var content = bytes.Repeat([]byte("0123456789"), 100_000)

// server serves content. Its first answers end after cut bytes each, or have the status fail.
type server struct {
	*httptest.Server
	cuts   []int // one for each of the first answers
	fail   int   // the status of the first answers, instead of cuts; 0 for none
	fails  int   // how many
	tag    string
	ranges []string // of the requests
}

func newServer(t *testing.T) *server {
	s := &server{tag: `"1"`}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	before := minWait
	minWait = time.Millisecond
	t.Cleanup(func() { minWait = before })
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.fails > 0 {
		s.fails--
		w.WriteHeader(s.fail)
		return
	}
	if s.tag != "" {
		w.Header().Set("ETag", s.tag)
	}
	if len(s.cuts) > 0 {
		w = &cutWriter{w, s.cuts[0]}
		s.cuts = s.cuts[1:]
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// cutWriter ends the connection after left bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	w.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestGet(t *testing.T) {
	s := newServer(t)
	var calls, last, total int64
	data, err := Get(t.Context(), s.Client(), s.URL, int64(len(content)), func(done, all int64) {
		calls, last, total = calls+1, done, all
	})
	if err != nil || !bytes.Equal(data, content) {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if calls == 0 || last != int64(len(content)) || total != last {
		t.Errorf("progress: %d calls, %d of %d", calls, last, total)
	}
	s.cuts = []int{1000}
	if _, err := Get(t.Context(), s.Client(), s.URL, 1<<20, nil); err == nil || len(s.ranges) != 2 {
		t.Errorf("an answer cut short: %v after %d requests", err, len(s.ranges))
	}
}

func TestGetRefuses(t *testing.T) {
	s := newServer(t)
	for name, c := range map[string]struct {
		address  string
		maxBytes int64
		word     string
	}{
		"scheme":   {"file:///etc/passwd", 1, `"file"`},
		"address":  {"http://[", 1, "missing"},
		"too long": {s.URL, int64(len(content)) - 1, "at most 999999"},
		"no host":  {"http://127.0.0.1:1/", 1, "refused"},
	} {
		for _, get := range []func() ([]byte, error){
			func() ([]byte, error) { return Get(t.Context(), s.Client(), c.address, c.maxBytes, nil) },
			func() ([]byte, error) { return Fetch(t.Context(), s.Client(), c.address, c.maxBytes, "", nil) },
		} {
			data, err := get()
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%s: %d bytes, %v", name, len(data), err)
			} else if name != "address" && strings.Contains(err.Error(), c.address) {
				t.Errorf("%s: the error repeats the address: %v", name, err)
			}
		}
	}
}

// TestBodyIsBounded serves a body without a length.
func TestBodyIsBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	_, err := Fetch(t.Context(), endless.Client(), endless.URL, 1<<20, "", nil)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
}

// TestFetchResumes checks that after each interruption Fetch asks only for what is missing.
func TestFetchResumes(t *testing.T) {
	s := newServer(t)
	s.cuts = []int{300_000, 1, 200_000, 0, 0, 400_000}
	data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, "", nil)
	if err != nil || !bytes.Equal(data, content) {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	want := "[ bytes=300000- bytes=300001- bytes=500001- bytes=500001- bytes=500001- bytes=900001-]"
	if got := fmt.Sprint(s.ranges); got != want {
		t.Errorf("requests for %s, want %s", got, want)
	}
}

// TestFetchBeginsAnew checks that Fetch never joins two versions of a file.
func TestFetchBeginsAnew(t *testing.T) {
	for name, change := range map[string]func(*server){
		"another version": func(s *server) { s.tag = `"2"` },
		"weak tag":        func(s *server) { s.tag = `W/"1"` },
		"no tag":          func(s *server) { s.tag = "" },
	} {
		s := newServer(t)
		if name != "another version" {
			change(s)
		}
		s.cuts = []int{300_000}
		calls := 0
		data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, "", func(int64, int64) {
			if calls++; calls == 1 {
				change(s)
			}
		})
		if err != nil || !bytes.Equal(data, content) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestFetchRetriesStatuses(t *testing.T) {
	for status, requests := range map[int]int{429: 3, 500: 3, 503: 3, 404: 1, 403: 1, 501: 1} {
		s := newServer(t)
		s.fail, s.fails = status, 2
		data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, "", nil)
		if (err == nil) != (requests == 3) || err == nil && !bytes.Equal(data, content) || len(s.ranges) != requests {
			t.Errorf("status %d: %d bytes, %v after %d requests", status, len(data), err, len(s.ranges))
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprint("the server answered ", status)) {
			t.Error(err)
		}
	}
	s := newServer(t)
	s.fail, s.fails = 500, maxAttempts
	if _, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, "", nil); err == nil || len(s.ranges) != maxAttempts {
		t.Errorf("%v after %d requests", err, len(s.ranges))
	}
}

// TestFetchKeepsPartialFile checks that a download which was stopped continues in the next call,
// and that what is left of it is removed.
func TestFetchKeepsPartialFile(t *testing.T) {
	s := newServer(t)
	partial := filepath.Join(t.TempDir(), "cache", "file.partial")
	ctx, cancel := context.WithCancel(t.Context())
	s.cuts = []int{300_000, 200_000}
	var received atomic.Int64
	_, err := Fetch(ctx, s.Client(), s.URL, 1<<20, partial, func(done, _ int64) {
		if received.Store(done); done == 500_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || received.Load() != 500_000 {
		t.Fatalf("%v after %d bytes", err, received.Load())
	}
	s.ranges = nil
	data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, partial, nil)
	if err != nil || !bytes.Equal(data, content) || fmt.Sprint(s.ranges) != "[bytes=500000-]" {
		t.Errorf("%d bytes, %v; requests for %q", len(data), err, s.ranges)
	}
	if _, err := os.Stat(partial); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file: %v", err)
	}
}

// TestFetchIgnoresOtherPartialFiles has partial files that Fetch must not use.
func TestFetchIgnoresOtherPartialFiles(t *testing.T) {
	s := newServer(t)
	for name, text := range map[string]string{
		"another address":   "http://elsewhere\n\"1\"\nxxxx",
		"another version":   s.URL + "\n\"0\"\nxxxx",
		"no validator":      s.URL + "\n\nxxxx",
		"not a partial one": "xxxx",
		"empty":             "",
		"longer":            s.URL + "\n\"1\"\n" + strings.Repeat("x", len(content)+1),
	} {
		partial := filepath.Join(t.TempDir(), "partial")
		if err := os.WriteFile(partial, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, partial, nil)
		if err != nil || !bytes.Equal(data, content) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

// TestFetchWithoutResuming checks that a failure leaves no partial file if the server supports no
// ranges, not even an old one.
func TestFetchWithoutResuming(t *testing.T) {
	s := newServer(t)
	s.tag = ""
	partial := filepath.Join(t.TempDir(), "partial")
	if err := os.WriteFile(partial, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.cuts = []int{10, 10, 10, 10, 10}
	if _, err := Fetch(t.Context(), s.Client(), s.URL, 1<<20, partial, nil); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(partial); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file: %v", err)
	}
}

func TestDefaultClient(t *testing.T) {
	transport := DefaultClient().Transport.(*http.Transport)
	if transport.ResponseHeaderTimeout != answerTimeout || transport.Proxy == nil {
		t.Errorf("%+v", transport)
	}
}

// TestFetchGivesUp meets servers that send bytes for ever and never more of the file: the number
// of attempts is bounded.
func TestFetchGivesUp(t *testing.T) {
	newServer(t) // shortens the waits
	part := func(w http.ResponseWriter, n int) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content[:n])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, handle := range map[string]func(w http.ResponseWriter, r *http.Request, request int){
		"no range satisfies": func(w http.ResponseWriter, r *http.Request, _ int) {
			if r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			part(w, 1000)
		},
		"always the first range": func(w http.ResponseWriter, r *http.Request, _ int) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-99/%d", len(content)))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[:100])
				return
			}
			part(w, 1000)
		},
		"whole, cut in turn": func(w http.ResponseWriter, _ *http.Request, request int) {
			part(w, 1000+1000*(request%2))
		},
	} {
		var requests atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := requests.Add(1)
			if n > 100 {
				w.WriteHeader(http.StatusNotFound) // ends a download that would not end
				return
			}
			handle(w, r, int(n))
		}))
		_, err := Fetch(t.Context(), s.Client(), s.URL, 1<<21, "", nil)
		s.Close()
		if err == nil || requests.Load() > 4*maxAttempts {
			t.Errorf("%s: %v after %d requests", name, err, requests.Load())
		}
	}
}

// TestFetchOfShortRanges continues where a server sends less than the rest of the file.
func TestFetchOfShortRanges(t *testing.T) {
	newServer(t) // shortens the waits
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var begin int
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &begin); n == 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		end := min(begin+400_000, len(content))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", begin, end-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content[begin:end])
	}))
	defer s.Close()
	data, err := Fetch(t.Context(), s.Client(), s.URL, 1<<21, "", nil)
	if err != nil || !bytes.Equal(data, content) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestFetchKeepsTheFileOfAnotherAddress fails before anything arrives.
func TestFetchKeepsTheFileOfAnotherAddress(t *testing.T) {
	s := newServer(t)
	s.fail, s.fails = http.StatusNotFound, 1
	partial := filepath.Join(t.TempDir(), "partial")
	const other = "http://other/\n\"1\"\nbytes"
	if err := os.WriteFile(partial, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), s.Client(), s.URL, 1<<21, partial, nil); err == nil {
		t.Error("no error")
	}
	if text, err := os.ReadFile(partial); string(text) != other {
		t.Errorf("the partial file is %q, %v", text, err)
	}
}
