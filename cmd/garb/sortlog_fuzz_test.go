package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzSortLog: whatever a log holds, undo stays inside its folder, and lines can be appended.
func FuzzSortLog(f *testing.F) {
	f.Add([]byte(`{"op":"folder","to":"."}` + "\n" +
		`{"op":"begin","id":"1","action":"move","from":"/a","to":"c/a","was":"x","link":"y"}` + "\n"))
	f.Add([]byte(`{"op":"begin","id":"1","action":"copy","from":{"bytes":"L/8="},"to":"c/a"}` + "\n" +
		`{"op":"done","id":"1","sha256":"x"}`))
	f.Add([]byte(`{"op":"begin","id":"1","action":"link","from":"/a","to":"../a"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), sortLogName)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		h, err := readSortLog(path)
		if err != nil {
			return
		}
		for _, p := range h.pictures {
			if !filepath.IsLocal(filepath.FromSlash(string(p.To))) || !filepath.IsAbs(string(p.From)) {
				t.Errorf("%q to %q", p.From, p.To)
			}
		}
		for _, folder := range h.folders {
			if !filepath.IsLocal(folder) {
				t.Errorf("folder %q", folder)
			}
		}
		log, err := openSortLog(path)
		if err != nil {
			t.Fatal(err)
		}
		record := sortRecord{
			Op: "begin", ID: "one that no log has: \xff", Action: sortCopy, From: filePath(path + "\xff"), To: "c/a",
		}
		if err = errors.Join(log.append(record, false), log.close()); err != nil {
			t.Fatal(err)
		}
		again, err := readSortLog(path)
		if err != nil || len(again.pictures) != len(h.pictures)+1 ||
			again.pictures[len(h.pictures)].From != record.From {
			t.Errorf("%v, %d pictures after %d", err, len(again.pictures), len(h.pictures))
		}
	})
}
