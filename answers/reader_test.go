package answers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testFile = "answers-20261127T200000.000000Z.jsonl"

func encodeTest(t testing.TB, r *Record) []byte {
	t.Helper()
	line, err := r.encode()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestReaderSkips(t *testing.T) {
	good := encodeTest(t, makeRecord("one", 0))
	for name, c := range map[string]struct {
		text string
		want int
		Skipped
	}{
		"empty":         {"", 0, Skipped{}},
		"one":           {string(good), 1, Skipped{}},
		"torn":          {string(good) + string(good[:40]), 1, Skipped{Torn: 1}},
		"torn at end":   {string(good) + string(good[:len(good)-1]), 1, Skipped{Torn: 1}},
		"not JSON":      {"hello\n" + string(good), 1, Skipped{Invalid: 1}},
		"empty line":    {"\n" + string(good), 1, Skipped{Invalid: 1}},
		"no record":     {"{}\n" + string(good), 1, Skipped{Invalid: 1}},
		"too long":      {strings.Repeat("x", 3*maxLine) + "\n" + string(good), 1, Skipped{TooLong: 1}},
		"long and torn": {strings.Repeat("x", 3*maxLine), 0, Skipped{Torn: 1}},
		"outside": {strings.Replace(string(good), `"format":"jpeg"`, `"sha256":"`+strings.Repeat("a", 64)+
			`","file":"../../secret"`, 1), 0, Skipped{Invalid: 1}},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, testFile), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &Reader{Folder: folder}
		if got := readAll(t, r); len(got) != c.want || r.Skipped() != c.Skipped {
			t.Errorf("%s: %d records, skipped %+v; want %d, %+v", name, len(got), r.Skipped(), c.want, c.Skipped)
		}
	}
}

func TestReaderBounds(t *testing.T) {
	folder := t.TempDir()
	var text []byte
	first := makeRecord("one", 0).Time
	for i := range 10 {
		text = append(text, encodeTest(t, makeRecord("one", i))...) // a second apart
	}
	if err := os.WriteFile(filepath.Join(folder, testFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Reader{Folder: folder, From: first.Add(2 * time.Second), To: first.Add(5 * time.Second)}
	var got []int
	for _, record := range readAll(t, r) {
		got = append(got, record.Index)
	}
	if diff := cmp.Diff([]int{2, 3, 4}, got); diff != "" {
		t.Error(diff)
	}
	for range (&Reader{Folder: folder}).Records(context.Background()) {
		break // the caller may stop at any record
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for record, err := range (&Reader{Folder: folder}).Records(ended) {
		if record != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("an ended context: %v, %v", record, err)
		}
	}
	for record, err := range (&Reader{Folder: filepath.Join(folder, "none")}).Records(context.Background()) {
		if record != nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("no folder: %v, %v", record, err)
		}
	}
}

// FuzzReader: no file makes a reader fail, and what it reads can be written and read again.
func FuzzReader(f *testing.F) {
	good := encodeTest(f, makeRecord("one", 0))
	f.Add(good)
	f.Add(append(good[:len(good):len(good)], good[:99]...))
	f.Add([]byte(`{"request_id":"a","time":"2026-11-27T20:00:00Z","class":"hat","embedding":"AAAA"}` + "\n\n"))
	f.Add([]byte(`{"request_id":"a","time":"2026-11-27T20:00:00Z","class":"hat","picture":{"file":"pictures/.."}}
`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Reader
		read := 0
		_, err := decodeLines(context.Background(), &r, bytes.NewReader(data), decodeRecord,
			func(record *Record) time.Time { return record.Time },
			func(record *Record) bool { read++; checkRecord(t, record); return true })
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(data, []byte("\n"))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			lines++
		}
		if got := read + r.Skipped().Total(); got != lines {
			t.Errorf("%d lines of %d", got, lines)
		}
		for line := range bytes.Lines(data) {
			decodeHead(line)
			if f, err := decodeFeedback(line); err == nil && checkClass(f.Class) != "" {
				t.Errorf("class %q", f.Class)
			}
		}
	})
}

// checkRecord encodes and decodes a record that was read.
func checkRecord(t *testing.T, record *Record) {
	t.Helper()
	again, err := decodeRecord(encodeTest(t, record))
	if diff := cmp.Diff(record, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if record.Picture.File != "" && !filepath.IsLocal(record.Picture.File) {
		t.Errorf("the picture %q is outside", record.Picture.File)
	}
}
