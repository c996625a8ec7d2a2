package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/internal/download"
)

type entry struct {
	name, text string
	mode       os.FileMode
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644 | e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// good returns an archive such as a repository gives, and its source.
func good(t testing.TB) ([]byte, Source) {
	t.Helper()
	entries := []entry{{"set-main/README.md", "read me", 0}, {"set-main/train/a/1", "one", 0},
		{"set-main/validation/a/2", "two", 0}}
	root := t.TempDir()
	for _, e := range entries {
		path := filepath.Join(root, strings.TrimPrefix(e.name, "set-main/"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(e.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := ComputeDigest(root)
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, entries...), Source{Name: "stand-in", Digest: digest, MaxBytes: 1 << 20}
}

// empty reports whether a folder is empty.
func empty(t *testing.T, folder string) bool {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(left) == 0
}

func TestPull(t *testing.T) {
	data, s := good(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			w.Write(data)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	s.URL = server.URL + "/good"
	to := filepath.Join(t.TempDir(), "sets", "set")
	if err := Pull(t.Context(), download.DefaultClient(), s, to, nil); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "train", "a", "1")); err != nil || string(text) != "one" {
		t.Errorf("%q, %v", text, err)
	}
	if err := Pull(t.Context(), download.DefaultClient(), s, to, nil); err == nil ||
		!strings.Contains(err.Error(), "exists") {
		t.Errorf("into a folder that exists: %v", err)
	}
	folder := t.TempDir()
	s.URL = server.URL + "/none"
	var failed *DownloadError
	err := Pull(t.Context(), download.DefaultClient(), s, filepath.Join(folder, "set"), nil)
	if !errors.As(err, &failed) || failed.Name != s.Name {
		t.Errorf("a missing archive: %v", err)
	}
	if !empty(t, folder) {
		t.Error("a missing archive left something")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder = t.TempDir()
	if err := Unpack(ctx, data, s, filepath.Join(folder, "set")); !errors.Is(err, context.Canceled) ||
		!empty(t, folder) {
		t.Errorf("stopped: %v", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	_, s := good(t)
	s.MaxBytes = 1000
	for name, data := range map[string][]byte{
		"no archive":   []byte("text"),
		"upwards":      archive(t, entry{"set/train/a/1", "x", 0}, entry{"set/../../evil", "x", 0}),
		"rooted":       archive(t, entry{"/evil", "x", 0}),
		"backslash":    archive(t, entry{`train\..\..\evil`, "x", 0}),
		"link":         archive(t, entry{"train/a", "/etc", os.ModeSymlink}),
		"twice":        archive(t, entry{"train/a/1", "x", 0}, entry{"train/a/1", "y", 0}),
		"file, folder": archive(t, entry{"train", "x", 0}, entry{"train/a/1", "y", 0}),
		"too much": archive(t, entry{"train/a/1", strings.Repeat("0", 600), 0},
			entry{"train/a/2", strings.Repeat("0", 600), 0}),
	} {
		folder := t.TempDir()
		if err := Unpack(t.Context(), data, s, filepath.Join(folder, "set")); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
		if !empty(t, folder) {
			t.Errorf("%s left something", name)
		}
	}
	var wrong *DigestError
	folder := t.TempDir()
	err := Unpack(t.Context(), archive(t, entry{"train/a/1", "other", 0}), s, filepath.Join(folder, "set"))
	if !errors.As(err, &wrong) || !empty(t, folder) {
		t.Errorf("another data set: %v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	data, _ := good(f)
	f.Add(data)
	f.Add(archive(f, entry{"a/../../b", "x", 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		folder := t.TempDir()
		Unpack(t.Context(), data, Source{MaxBytes: 1 << 16}, filepath.Join(folder, "set"))
		if !empty(t, folder) {
			t.Error("something was left")
		}
	})
}
