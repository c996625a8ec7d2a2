package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"

	"garb/dataset"
	"garb/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are limits for tests, in which nothing is far away.
func quick() store.Options {
	o := store.Default()
	o.Attempts, o.FirstWait, o.MaxWait = 3, time.Microsecond, time.Microsecond
	return o
}

// open returns a Store that is closed after the test.
func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s := store.New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// setCredentials keeps the machine's own settings out of a test.
func setCredentials(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "verysecret", "AWS_REGION": "",
		"AWS_DEFAULT_REGION":        "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_PROFILE": "",
		"AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_S3": "",
	} {
		t.Setenv(name, value)
	}
}

// startS3 starts a local S3 server with a bucket named b. The function returns the URL of a key.
func startS3(t *testing.T) func(key string) string {
	t.Helper()
	setCredentials(t)
	backend := s3mem.New()
	if err := backend.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return func(key string) string { return s3URL(server.URL, key) }
}

// s3URL returns the URL of a key in bucket b of a local server.
func s3URL(server, key string) string {
	query := url.Values{"endpoint": {server}, "use_path_style": {"true"}}
	return (&url.URL{Scheme: "s3", Host: "b", Path: "/" + key, RawQuery: query.Encode()}).String()
}

// put writes an object.
func put(t *testing.T, s *store.Store, url string, content []byte) {
	t.Helper()
	w, err := s.Create(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// An object or file that has another version than the wanted one is not returned.
func TestReadVersion(t *testing.T) {
	locate := startS3(t)
	s := open(t, quick())
	for _, url := range []string{locate("a.jpg"), t.TempDir() + "/a.jpg"} {
		put(t, s, url, []byte("old"))
		var version string
		for o, err := range s.List(t.Context(), url, nil) {
			if err != nil {
				t.Fatal(err)
			}
			version = o.Version
		}
		if data, err := s.ReadVersion(t.Context(), url, version, 100); err != nil || string(data) != "old" {
			t.Errorf("read %q, %v", data, err)
		}
		time.Sleep(20 * time.Millisecond) // the versions of files are times
		put(t, s, url, []byte("new"))
		if data, err := s.ReadVersion(t.Context(), url, version, 100); !errors.Is(err, store.ErrChanged) {
			t.Errorf("read %q, %v", data, err)
		}
	}
}

// list returns the URLs of a listing, and its error.
func list(ctx context.Context, s *store.Store, url string, tally *dataset.Tally) (urls []string, err error) {
	for o, err := range s.List(ctx, url, tally) {
		if err != nil {
			return urls, err
		}
		urls = append(urls, o.URL)
	}
	return urls, nil
}

func TestS3WritesListsAndReads(t *testing.T) {
	at := startS3(t)
	s := open(t, quick())
	keys := []string{"set/a.jpg", "set/b/c d.jpg", "set/b/ü%3F?#.png", "set/hash0123", "set/~last.webp", "other.jpg",
		"set/.hidden.jpg", "set/notes.txt", "set/b/.git/x.jpg"}
	for _, key := range keys {
		put(t, s, at(key), []byte("content of "+key))
	}
	for _, folder := range []string{"set", "set/"} {
		var tally dataset.Tally
		got, err := list(t.Context(), s, at(folder), &tally)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{at("set/a.jpg"), at("set/b/c d.jpg"), at("set/b/ü%3F?#.png"),
			at("set/hash0123"), at("set/~last.webp")}
		if !slices.Equal(got, want) {
			t.Errorf("listed %q\nwant   %q", got, want)
		}
		if hidden, other := tally.Count(dataset.ReasonHidden), tally.Count(dataset.ReasonOther); hidden != 2 ||
			other != 1 {
			t.Errorf("%d hidden and %d other files, want 2 and 1", hidden, other)
		}
		for _, u := range got {
			data, err := s.Read(t.Context(), u, 100)
			if err != nil || !strings.HasPrefix(string(data), "content of set/") {
				t.Errorf("%s: %q, %v", u, data, err)
			}
		}
	}
	got, err := list(t.Context(), s, at("set/notes.txt"), &dataset.Tally{})
	if err != nil || len(got) != 1 || got[0] != at("set/notes.txt") {
		t.Errorf("an object that is named: %q, %v", got, err)
	}
	if _, err = list(t.Context(), s, at("nothing"), &dataset.Tally{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("listing nothing: %v", err)
	}
	if _, err = s.Read(t.Context(), at("nothing.jpg"), 100); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("reading nothing: %v", err)
	}
	if _, err = s.Read(t.Context(), at("set/a.jpg"), 10); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("reading too much: %v", err)
	}
	if _, err = s.Read(t.Context(), at("set/a.jpg"), int64(len("content of set/a.jpg"))); err != nil {
		t.Errorf("reading just enough: %v", err)
	}
}

func TestS3VersionsDiffer(t *testing.T) {
	at := startS3(t)
	s := open(t, quick())
	version := func(url string) string {
		for o, err := range s.List(t.Context(), url, &dataset.Tally{}) {
			if err != nil {
				t.Fatal(err)
			}
			return o.Version
		}
		t.Fatal("nothing is listed")
		return ""
	}
	put(t, s, at("set/a.jpg"), []byte("one"))
	first := version(at("set/a.jpg"))
	if listed := version(at("set/")); listed != first || first == "" {
		t.Errorf("version %q in the folder's listing, %q alone", listed, first)
	}
	put(t, s, at("set/a.jpg"), []byte("two"))
	if second := version(at("set/a.jpg")); second == first {
		t.Errorf("both contents have version %q", first)
	}
}

func TestS3ListsManyPages(t *testing.T) {
	at := startS3(t)
	s := open(t, quick())
	const n = 2345
	for i := range n {
		put(t, s, at(fmt.Sprintf("many/%04d.jpg", i)), nil)
	}
	got, err := list(t.Context(), s, at("many"), &dataset.Tally{})
	if err != nil || len(got) != n || !slices.IsSorted(got) {
		t.Errorf("%d objects, %v; want %d in order", len(got), err, n)
	}
	seen := 0
	for range s.List(t.Context(), at("many"), &dataset.Tally{}) {
		if seen++; seen == 1500 {
			break
		}
	}
	if seen != 1500 {
		t.Errorf("stopped after %d", seen)
	}
}

func TestS3WritesInParts(t *testing.T) {
	at := startS3(t)
	s := open(t, quick())
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // 20 MB, in several parts
	w, err := s.Create(t.Context(), at("large.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(large, 100_000) {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(t.Context(), at("large.jsonl"), 1<<30); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the object appears before it is complete: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(t.Context(), at("large.jsonl"), 1<<30); err != nil || !bytes.Equal(got, large) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(large))
	}
}

func TestS3Abort(t *testing.T) {
	at := startS3(t)
	s := open(t, quick())
	for _, size := range []int{0, 10, 20 << 20} {
		w, err := s.Create(t.Context(), at("half.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Abort(), w.Abort()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(t.Context(), at("half.jsonl"), 1<<30); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after %d bytes and Abort: %v", size, err)
		}
	}
}
