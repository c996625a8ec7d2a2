package azure_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"garb/dataset"
	"garb/store"
	_ "garb/store/azure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service answers like Azure Blob Storage, for one container of the account "account".
type service struct {
	mu     sync.Mutex
	blobs  map[string]string
	status int // of all answers, unless 0

	tag      string // of all blobs
	redirect string // address to which all requests are redirected, unless ""
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("x-ms-version", "2025-01-01")
	w.Header().Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	w.Header().Set("x-ms-creation-time", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
	key := strings.TrimPrefix(r.URL.Path, "/account/b/")
	switch content, exists := s.blobs[key]; {
	case s.redirect != "":
		w.Header().Set("Location", s.redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case s.status != 0:
		w.Header().Set("x-ms-error-code", fmt.Sprint("Code", s.status))
		w.WriteHeader(s.status)
	case r.URL.Query().Get("comp") == "list":
		s.list(w, r)
	case r.Method == http.MethodPut:
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.blobs[key] = string(data)
		w.WriteHeader(http.StatusCreated)
	case !exists:
		w.Header().Set("x-ms-error-code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"`+s.tag+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if r.Method == http.MethodGet {
			io.WriteString(w, content)
		}
	}
}

// list answers with two blobs at a time.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	prefix, from, next, n := r.URL.Query().Get("prefix"), r.URL.Query().Get("marker"), "", 0
	io.WriteString(w, `<?xml version="1.0"?><EnumerationResults><Blobs>`)
	for _, key := range slices.Sorted(maps.Keys(s.blobs)) {
		if !strings.HasPrefix(key, prefix) || key < from {
			continue
		}
		if n == 2 {
			next = key
			break
		}
		n++
		fmt.Fprintf(w, "<Blob><Name>%s</Name><Properties><Last-Modified>%s</Last-Modified><Etag>%s</Etag>"+
			"<Content-Length>%d</Content-Length></Properties></Blob>", key, time.Unix(1e9,
			0).UTC().Format(http.TimeFormat), s.tag, len(s.blobs[key]))
	}
	fmt.Fprintf(w, "</Blobs><NextMarker>%s</NextMarker></EnumerationResults>", next)
}

func start(t *testing.T) (fake *service, s *store.Store, at func(key string) string) {
	t.Helper()
	fake = &service{blobs: map[string]string{}, tag: "0x7"}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	for _, name := range []string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGEBLOB_CONNECTIONSTRING",
		"AZURE_STORAGE_SAS_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", base64.StdEncoding.EncodeToString([]byte("secret")))
	o := store.Default()
	o.Attempts, o.FirstWait, o.MaxWait = 2, time.Microsecond, time.Microsecond
	s = store.New(o)
	t.Cleanup(func() { s.Close() })
	domain := strings.TrimPrefix(server.URL, "http://")
	return fake, s, func(key string) string {
		query := url.Values{"domain": {domain}, "localemu": {"true"}, "protocol": {"http"},
			"storage_account": {"account"}}
		return (&url.URL{Scheme: "azblob", Host: "b", Path: "/" + key, RawQuery: query.Encode()}).String()
	}
}

func TestWritesListsAndReads(t *testing.T) {
	_, s, at := start(t)
	for _, key := range []string{"set/a b.jpg", "set/b.jpg", "set/c/ü.png", "set/.hidden"} {
		w, err := s.Create(t.Context(), at(key))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "content")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := s.Create(t.Context(), at("set/dropped.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "content")
	w.Abort()
	var tally dataset.Tally
	var got []string
	for o, err := range s.List(t.Context(), at("set"), &tally) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Version == "" || o.Size != 7 {
			t.Errorf("%+v, want a version, and size 7", o)
		}
		got = append(got, o.URL)
		if data, err := s.Read(t.Context(), o.URL, 7); err != nil || string(data) != "content" {
			t.Errorf("read %q, %v", data, err)
		}
	}
	want := []string{at("set/a b.jpg"), at("set/b.jpg"), at("set/c/ü.png")}
	if !slices.Equal(got, want) || tally.Count(dataset.ReasonHidden) != 1 {
		t.Errorf("listed %q, %d hidden; want %q and 1", got, tally.Count(dataset.ReasonHidden), want)
	}
}

// Another version of a blob is not returned, nor what another address has.
func TestChangedAndRedirected(t *testing.T) {
	fake, s, at := start(t)
	fake.blobs["a.jpg"] = "content"
	if data, err := s.ReadVersion(t.Context(), at("a.jpg"), "0x7", 100); err != nil || string(data) != "content" {
		t.Errorf("read %q, %v", data, err)
	}
	fake.tag = "0x8"
	if data, err := s.ReadVersion(t.Context(), at("a.jpg"), "0x7", 100); !errors.Is(err, store.ErrChanged) {
		t.Errorf("read %q, %v", data, err)
	}
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	fake.redirect = other.URL + "/secret"
	_, err := s.Read(t.Context(), at("a.jpg"), 100)
	if !errors.Is(err, store.ErrRedirect) || !strings.Contains(err.Error(), other.URL) || asked {
		t.Errorf("%v; the other address was asked: %v", err, asked)
	}
}

func TestErrors(t *testing.T) {
	fake, s, at := start(t)
	for status, want := range map[int]error{0: store.ErrNotFound, 403: store.ErrDenied, 503: store.ErrTemporary} {
		fake.status = status
		if _, err := s.Read(t.Context(), at("a.jpg"), 100); !errors.Is(err, want) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		} else if errors.Is(want, store.ErrDenied) && !strings.Contains(err.Error(), "AZURE_STORAGE_KEY") {
			t.Errorf("no hint: %v", err)
		}
	}
}

func TestSignaturesStayOutOfErrors(t *testing.T) {
	_, s, at := start(t)
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2025&sig=verysecret")
	closed := httptest.NewServer(nil)
	closed.Close()
	u, _ := url.Parse(at("a.jpg"))
	query := u.Query()
	query.Set("domain", strings.TrimPrefix(closed.URL, "http://"))
	u.RawQuery = query.Encode()
	_, err := s.Read(t.Context(), u.String(), 100)
	if !errors.Is(err, store.ErrTemporary) || strings.Contains(err.Error(), "verysecret") {
		t.Errorf("error %v", err)
	}
}
