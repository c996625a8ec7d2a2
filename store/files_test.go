package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/dataset"
	"garb/store"
)

func TestFolders(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a.jpg", "b/c d.png", "b/.hidden.jpg", "notes.txt", "z.webp"} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(name),
			0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := dataset.Pictures(t.Context(), folder, &dataset.Tally{})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, quick())
	var tally dataset.Tally
	got, err := list(t.Context(), s, folder, &tally)
	if err != nil || !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("listed %q, %v; want %q", got, err, want)
	}
	if tally.Count(dataset.ReasonHidden) != 1 || tally.Count(dataset.ReasonOther) != 1 {
		t.Errorf("tally %v", tally.Counts())
	}
	slashed := filepath.ToSlash(folder)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed
	}
	urls, err := list(t.Context(), s, "file://"+slashed, &dataset.Tally{})
	if err != nil || len(urls) != 3 || !strings.HasSuffix(urls[1], "/b/c%20d.png") {
		t.Fatalf("listed %q, %v", urls, err)
	}
	data, err := s.Read(t.Context(), urls[1], 9)
	if err != nil || string(data) != "b/c d.png" {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err = s.Read(t.Context(), urls[1], 8); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("reading too much: %v", err)
	}
	if _, err = list(t.Context(), s, filepath.Join(folder, "none"), &tally); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("listing nothing: %v", err)
	}
	one, err := list(t.Context(), s, filepath.Join(folder, "notes.txt"), &tally)
	if err != nil || len(one) != 1 {
		t.Errorf("a file that is named: %q, %v", one, err)
	}
}

func TestFilesAppearWhenComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	s := open(t, quick())
	for _, abort := range []bool{true, false} {
		w, err := s.Create(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write([]byte("row\n")); err != nil {
			t.Fatal(err)
		}
		if _, err = os.Stat(path); err == nil {
			t.Error("the file appears before it is complete")
		}
		if abort {
			err = w.Abort()
		} else {
			err = errors.Join(w.Close(), w.Abort())
		}
		if err != nil {
			t.Fatal(err)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); (len(entries) == 0) != abort {
			t.Errorf("%d files, aborted: %v", len(entries), abort)
		}
	}
}

func TestWrongURLs(t *testing.T) {
	setCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	s := open(t, quick())
	for url, test := range map[string]struct {
		want error
		text string
	}{
		"ftp://host/a.jpg":                        {store.ErrScheme, "file://, s3://"},
		"gs://b/a.jpg":                            {store.ErrScheme, "go build -tags cloud ./cmd/garb"},
		"azblob://b/a.jpg":                        {store.ErrScheme, "go build -tags cloud ./cmd/garb"},
		"s3:///a.jpg":                             {store.ErrURL, "names no bucket"},
		"s3://b":                                  {store.ErrURL, "not an object"},
		"s3://b/100%.jpg":                         {store.ErrURL, "%25"},
		"s3://b/a#1.jpg":                          {store.ErrURL, "%23"},
		"s3://user:verysecret@b/a.jpg":            {store.ErrURL, "environment variables"},
		"s3://b/a.jpg":                            {nil, "AWS_REGION"},
		"s3://b/a.jpg?region=x&token=verysecret":  {nil, `unknown query parameter "token"`},
		"s3://b/a.jpg?region=eu-west-1":           {store.ErrDenied, "AWS_PROFILE"},
		"file://host/a.jpg":                       {store.ErrURL, "file:///PATH"},
		"file:///a.jpg?x=verysecret":              {store.ErrURL, "without parameters"},
		filepath.Join(t.TempDir(), "missing.jpg"): {store.ErrNotFound, "check the path"},
	} {
		_, err := s.Read(t.Context(), url, 100)
		switch {
		case err == nil:
			t.Errorf("%s: no error", url)
		case test.want != nil && !errors.Is(err, test.want):
			t.Errorf("%s: error %v, want %v", url, err, test.want)
		case !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "verysecret"):
			t.Errorf("%s: error %v; want %q, and no secret", url, err, test.text)
		}
	}
}

func TestIsURL(t *testing.T) {
	for argument, want := range map[string]bool{
		"s3://b/k": true, "file:///x": true, "gs://b": true,
		`C:\pictures`: false, "c://x": false, "a/b": false, "./s3://b": false,
	} {
		if got := store.IsURL(argument); got != want {
			t.Errorf("IsURL(%q) is %v", argument, got)
		}
	}
}
