package gcs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"garb/dataset"
	"garb/store"
	_ "garb/store/gcs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers like the JSON API of Google Cloud Storage, for one bucket named b.
type service struct {
	mu      sync.Mutex
	objects map[string]string
	status  int // of all answers, unless 0

	generation string // of all objects
	redirect   string // address to which all requests are redirected, unless ""
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.EscapedPath()
	key, isObject := strings.CutPrefix(path, "/storage/v1/b/b/o/")
	if !isObject {
		key, isObject = strings.CutPrefix(path, "/b/") // downloads
	}
	key, _ = url.PathUnescape(key)
	switch {
	case s.redirect != "":
		w.Header().Set("Location", s.redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case s.status != 0:
		w.WriteHeader(s.status)
		fmt.Fprintf(w, `{"error":{"code":%d,"message":"about %d"}}`, s.status, s.status)
	case strings.HasPrefix(path, "/upload/"):
		s.upload(w, r)
	case path == "/storage/v1/b/b/o":
		s.list(w, r)
	case !isObject || s.objects[key] == "":
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":{"code":404,"message":"No such object"}}`)
	case strings.HasPrefix(path, "/b/") || r.URL.Query().Get("alt") == "media":
		w.Header().Set("X-Goog-Generation", s.generation)
		io.WriteString(w, s.objects[key])
	default:
		json.NewEncoder(w).Encode(s.describe(key))
	}
}

func (s *service) describe(key string) map[string]string {
	return map[string]string{"kind": "storage#object", "name": key, "bucket": "b", "generation": s.generation,
		"size": strconv.Itoa(len(s.objects[key])), "updated": time.Unix(1e9, 0).Format(time.RFC3339)}
}

// upload stores the second part of a multipart body.
func (s *service) upload(w http.ResponseWriter, r *http.Request) {
	_, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	var attributes struct{ Name string }
	if part, err := parts.NextPart(); err != nil || json.NewDecoder(part).Decode(&attributes) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	part, err := parts.NextPart()
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	data, err := io.ReadAll(part)
	if err != nil {
		return
	}
	s.objects[attributes.Name] = string(data)
	json.NewEncoder(w).Encode(s.describe(attributes.Name))
}

// list answers with two objects at a time.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	prefix, from := r.URL.Query().Get("prefix"), r.URL.Query().Get("pageToken")
	answer := map[string]any{"kind": "storage#objects"}
	var items []map[string]string
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if !strings.HasPrefix(key, prefix) || key < from {
			continue
		}
		if len(items) == 2 {
			answer["nextPageToken"] = key
			break
		}
		items = append(items, s.describe(key))
	}
	answer["items"] = items
	json.NewEncoder(w).Encode(answer)
}

func start(t *testing.T) (*service, *store.Store) {
	t.Helper()
	fake := &service{objects: map[string]string{}, generation: "7"}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	o := store.Default()
	o.Attempts, o.FirstWait, o.MaxWait = 2, time.Microsecond, time.Microsecond
	s := store.New(o)
	t.Cleanup(func() { s.Close() })
	return fake, s
}

func TestWritesListsAndReads(t *testing.T) {
	fake, s := start(t)
	for _, key := range []string{"set/a b.jpg", "set/b.jpg", "set/c/ü.png", "set/.hidden"} {
		w, err := s.Create(t.Context(), (&url.URL{Scheme: "gs", Host: "b", Path: "/" + key}).String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "content")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := s.Create(t.Context(), "gs://b/set/dropped.jpg")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "content")
	w.Abort()
	var tally dataset.Tally
	var got []string
	for o, err := range s.List(t.Context(), "gs://b/set", &tally) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Version != "7" || o.Size != 7 {
			t.Errorf("%+v, want version 7 and size 7", o)
		}
		got = append(got, o.URL)
		if data, err := s.Read(t.Context(), o.URL, 7); err != nil || string(data) != "content" {
			t.Errorf("read %q, %v", data, err)
		}
	}
	want := []string{"gs://b/set/a%20b.jpg", "gs://b/set/b.jpg", "gs://b/set/c/%C3%BC.png"}
	if !slices.Equal(got, want) || tally.Count(dataset.ReasonHidden) != 1 {
		t.Errorf("listed %q, %d hidden; want %q and 1 of %v", got, tally.Count(dataset.ReasonHidden), want,
			fake.objects)
	}
}

// Another generation of an object is not returned, nor what another address has.
func TestChangedAndRedirected(t *testing.T) {
	fake, s := start(t)
	fake.objects["a.jpg"] = "content"
	if data, err := s.ReadVersion(t.Context(), "gs://b/a.jpg", "7", 100); err != nil || string(data) != "content" {
		t.Errorf("read %q, %v", data, err)
	}
	fake.generation = "8"
	if data, err := s.ReadVersion(t.Context(), "gs://b/a.jpg", "7", 100); !errors.Is(err, store.ErrChanged) {
		t.Errorf("read %q, %v", data, err)
	}
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	fake.redirect = other.URL + "/secret"
	_, err := s.Read(t.Context(), "gs://b/a.jpg", 100)
	if !errors.Is(err, store.ErrRedirect) || !strings.Contains(err.Error(), other.URL) || asked {
		t.Errorf("%v; the other address was asked: %v", err, asked)
	}
}

func TestErrors(t *testing.T) {
	fake, s := start(t)
	for status, want := range map[int]error{0: store.ErrNotFound, 401: store.ErrDenied, 403: store.ErrDenied,
		429: store.ErrTemporary,
		503: store.ErrTemporary} {
		fake.status = status
		if _, err := s.Read(t.Context(), "gs://b/a.jpg", 100); !errors.Is(err, want) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		} else if errors.Is(want, store.ErrDenied) && !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS") {
			t.Errorf("no hint: %v", err)
		}
	}
	_, err := s.Read(t.Context(), "gs://b/a.jpg?secret=hidden", 100)
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "parameter secret") {
		t.Errorf("an unknown parameter: %v", err)
	}
}
