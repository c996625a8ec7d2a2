package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"garb/dataset"
	"garb/store"
)

// hostile starts an S3 server that answers its requests by a function of their number, from 1.
func hostile(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) (
	address string, requests *atomic.Int64) {
	t.Helper()
	setCredentials(t)
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context()) // which may not notice that the client goes away
		defer cancel()
		defer context.AfterFunc(t.Context(), cancel)()
		answer(int(requests.Add(1)), w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// fail answers with an error as S3 does.
func fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>about %s</Message></Error>", code, code)
}

// drip writes until the client goes away.
func drip(w http.ResponseWriter, r *http.Request, piece []byte, pause time.Duration) {
	for r.Context().Err() == nil {
		if _, err := w.Write(piece); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		time.Sleep(pause)
	}
}

// hijack closes the connection of a request after writing some bytes.
func hijack(w http.ResponseWriter, text string) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(connection, text)
	connection.(*net.TCPConn).SetLinger(0) // which sends a reset
	connection.Close()
}

const content = "the content"

//nolint:gocognit,funlen // one table, and one loop that runs it
func TestHostileReads(t *testing.T) {
	impatient := quick()
	impatient.StallLimit = 100 * time.Millisecond
	hurried := quick()
	hurried.AttemptLimit = 100 * time.Millisecond
	right := func(w http.ResponseWriter) { io.WriteString(w, content) }
	tests := map[string]struct {
		options  store.Options
		answer   func(n int, w http.ResponseWriter, r *http.Request)
		want     error // nil for the content
		requests int64
		text     string // in the error
	}{
		"500, then right": {answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < 3 {
				fail(w, 500, "InternalError")
				return
			}
			right(w)
		}, requests: 3},
		"throttled, then right": {answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				fail(w, 503, "SlowDown")
				return
			}
			right(w)
		}, requests: 2},
		"429, then right": {answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				fail(w, 429, "TooManyRequests")
				return
			}
			right(w)
		}, requests: 2},
		"503 for ever": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fail(w, 503, "SlowDown") },
			want: store.ErrTemporary, requests: 3, text: "after 3 attempts: SlowDown: about SlowDown"},
		"403": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fail(w, 403, "InvalidAccessKeyId") },
			want: store.ErrDenied, requests: 1, text: "AWS_PROFILE"},
		"expired": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fail(w, 400, "ExpiredToken") },
			want: store.ErrDenied, requests: 1, text: "ExpiredToken"},
		"404": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fail(w, 404, "NoSuchKey") },
			want: store.ErrNotFound, requests: 1, text: "NoSuchKey"},
		"another region": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			fail(w, 301,
				"PermanentRedirect")
		},
			requests: 1, want: errAny, text: "AWS_REGION"},
		"307 to another address": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:9/secret")
			w.WriteHeader(307)
		}, requests: 1, want: store.ErrRedirect, text: "redirects to another address: http://127.0.0.1:9;"},
		"302": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/other")
			w.WriteHeader(302)
		}, requests: 1, want: store.ErrRedirect, text: "redirects"},
		"307 of the same address": {answer: func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				w.Header().Set("Location", r.URL.Path+"?moved")
				w.WriteHeader(307)
				return
			}
			right(w)
		}, requests: 2},
		"501": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) { fail(w, 501, "NotImplemented") },
			requests: 1, want: errAny, text: "NotImplemented"},
		"reset, then right": {answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				hijack(w, "")
				return
			}
			right(w)
		}, requests: 2},
		"reset in the content, then right": {answer: func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nthe")
				return
			}
			right(w)
		}, requests: 2},
		"shorter than stated": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nthe content")
		}, want: store.ErrTemporary, requests: 3},
		"wrong checksum": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-amz-checksum-crc32", "AAAAAA==")
			right(w)
		}, want: store.ErrTemporary, requests: 3, text: "checksum"},
		"states too much": {answer: func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1<<50))
			right(w)
		}, want: store.ErrTooLarge, requests: 1, text: "more than 1000 bytes"},
		"endless": {answer: func(_ int, w http.ResponseWriter, r *http.Request) { drip(w, r, make([]byte, 1<<16), 0) },
			want: store.ErrTooLarge, requests: 1},
		"endless error": {answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			drip(w, r, make([]byte, 1<<16), 0)
		}, want: store.ErrTemporary, requests: 3},
		"no answer": {options: impatient, answer: func(_ int, _ http.ResponseWriter,
			r *http.Request) {
			<-r.Context().Done()
		},
			want: store.ErrTemporary, requests: 3, text: "no progress for 100ms"},
		"stops in the content": {options: impatient, answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "the")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, want: store.ErrTemporary, requests: 3, text: "no progress for 100ms"},
		"byte by byte": {options: hurried, answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			drip(w, r, []byte("a"), time.Millisecond)
		}, want: store.ErrTemporary, requests: 3, text: "not done after 100ms"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			address, requests := hostile(t, test.answer)
			o := test.options
			if o.Attempts == 0 {
				o = quick()
			}
			limit := int64(1000)
			if name == "byte by byte" {
				limit = 1 << 30
			}
			data, err := open(t, o).Read(t.Context(), s3URL(address, "a.jpg"), limit)
			switch {
			case test.want == nil && (err != nil || string(data) != content):
				t.Errorf("read %q, %v", data, err)
			case test.want != nil && err == nil:
				t.Errorf("no error, but %q", data)
			case test.want != nil && !errors.Is(test.want, errAny) && !errors.Is(err, test.want):
				t.Errorf("error %v, want %v", err, test.want)
			case errors.Is(test.want, errAny) && errors.Is(err, store.ErrTemporary):
				t.Errorf("error %v", err)
			case err != nil && (!strings.Contains(err.Error(), test.text) ||
				(strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "endpoint="))):
				t.Errorf("error %v; want one line with %q, without the parameters", err, test.text)
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

var errAny = errors.New("any error that is not temporary")

// page returns a page of a listing. next is the token of the next one, or "".
func page(next string, keys ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<ListBucketResult><Name>b</Name><IsTruncated>%v</IsTruncated>", next != "")
	if next != "" {
		fmt.Fprintf(&b, "<NextContinuationToken>%s</NextContinuationToken>", next)
	}
	for _, key := range keys {
		fmt.Fprintf(&b, "<Contents><Key>%s</Key><Size>5</Size><ETag>\"%s\"</ETag>"+
			"<LastModified>2026-01-02T03:04:05Z</LastModified></Contents>", key, key)
	}
	return b.String() + "</ListBucketResult>"
}

func TestHostileListings(t *testing.T) {
	always := func(text string) func(int, http.ResponseWriter, *http.Request) {
		return func(_ int, w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	tests := map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request)
		listed int // before the error
		text   string
	}{
		"cut off":       {answer: always(page("", "p/a.jpg")[:150]), text: "invalid answer"},
		"HTML":          {answer: always("<html><body>Welcome to this network</body></html>"), text: "no listing"},
		"no XML":        {answer: always("{}"), text: "invalid answer"},
		"empty":         {answer: always(""), text: "invalid answer"},
		"empty pages":   {answer: always(page("again")), text: "does not end"},
		"repeated page": {answer: always(page("again", numbered(1000)...)), listed: 1000, text: "repeats keys"},
		"out of order":  {answer: always(page("", "p/b.jpg", "p/a.jpg")), listed: 1, text: "out of order"},
		"repeated key":  {answer: always(page("", "p/a.jpg", "p/a.jpg")), listed: 1, text: "repeats keys"},
		"other prefix":  {answer: always(page("", "q/a.jpg")), text: "out of order"},
		"no token": {answer: always(strings.Replace(page("", "p/a.jpg"), "false", "true", 1)),
			text: "goes on, but not where"},
		"no time": {answer: always(strings.Replace(page("", "p/a.jpg"), "LastModified", "Modified", 2)),
			text: "invalid answer"},
		"bad size": {answer: always(strings.Replace(page("", "p/a.jpg"), ">5<", ">five<", 1)), text: "invalid answer"},
		"endless key": {answer: func(_ int, w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<ListBucketResult><Name>b</Name><Contents><Key>")
			drip(w, r, bytes.Repeat([]byte("a"), 1<<16), 0)
		}, text: "invalid answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			address, _ := hostile(t, test.answer)
			o := quick()
			o.Attempts = 2
			got, err := list(t.Context(), open(t, o), s3URL(address, "p/"), &dataset.Tally{})
			if !errors.Is(err, store.ErrTemporary) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want one with %q", err, test.text)
			}
			if len(got) != test.listed {
				t.Errorf("%d objects before the error, want %d", len(got), test.listed)
			}
		})
	}
}

// numbered returns keys of pictures in order.
func numbered(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("p/%06d.jpg", i))
	}
	return keys
}

func TestListingGoesOnAfterErrors(t *testing.T) {
	keys := numbered(2500)
	address, requests := hostile(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n%3 == 2 {
			fail(w, 503, "SlowDown")
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("continuation-token"))
		to, next := from+1000, strconv.Itoa(from+1000)
		if to > len(keys) {
			to, next = len(keys), ""
		}
		io.WriteString(w, page(next, keys[from:to]...))
	})
	got, err := list(t.Context(), open(t, quick()), s3URL(address, "p/"), &dataset.Tally{})
	if err != nil || len(got) != len(keys) {
		t.Errorf("%d objects, %v; want %d", len(got), err, len(keys))
	}
	if n := requests.Load(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

func TestHostileWrites(t *testing.T) {
	for name, answer := range map[string]func(int, http.ResponseWriter, *http.Request){
		"denied": func(_ int, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // a connection that is closed before loses the answer
			fail(w, 403, "AccessDenied")
		},
		"silent": func(_ int, _ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"does not read": func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		for _, size := range []int{5, 12 << 20} { // one request, and several parts
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				address, _ := hostile(t, answer)
				o := quick()
				want := store.ErrDenied
				if name != "denied" {
					want = store.ErrTemporary
					o.StallLimit = 200 * time.Millisecond
				}
				w, err := open(t, o).Create(t.Context(), s3URL(address, "a.jsonl"))
				if err != nil {
					t.Fatal(err)
				}
				_, err = w.Write(make([]byte, size))
				err = errors.Join(err, w.Close())
				if !errors.Is(err, want) {
					t.Errorf("error %v, want %v", err, want)
				}
			})
		}
	}
}

func TestCancelledRequestsEnd(t *testing.T) {
	address, _ := hostile(t, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := open(t, quick())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := s.Read(ctx, s3URL(address, "a.jpg"), 100); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if _, err := list(ctx, s, s3URL(address, "p/"), &dataset.Tally{}); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
}
