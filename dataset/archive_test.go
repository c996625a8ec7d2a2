package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// readArchive reads an archive as a data set, within some bytes, with a cache of its own.
func readArchive(t testing.TB, ctx context.Context, archive []byte, maxBytes int64) (*Data, string, error) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "pictures.dat")
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(folder, "cache")
	d, err := Read(ctx, path, Options{Cache: cache, MaxArchiveBytes: maxBytes})
	return d, cache, err
}

type archived struct {
	name, text, link string
	kind             byte // of a tar
}

func tarOf(t testing.TB, entries ...archived) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.text))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(e.text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t testing.TB, entries ...archived) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.link != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
			e.text = e.link
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(e.text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encrypted marks the first file of a zip as encrypted.
func encrypted(archive []byte) []byte {
	archive[bytes.Index(archive, []byte("PK\x01\x02"))+8] |= 1
	return archive
}

// TestHostileArchives checks that archives which are damaged, too large or would write outside the
// folder are errors that leave nothing behind.
func TestHostileArchives(t *testing.T) {
	sound := []archived{{name: "a/1.jpg"}, {name: "b/1.jpg"}}
	large := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"zip: out of the folder": {zipOf(t, append(sound, archived{name: "../evil.jpg"})...), "outside"},
		"zip: absolute":          {zipOf(t, append(sound, archived{name: "/etc/evil.jpg"})...), "outside"},
		"zip: backslashes":       {zipOf(t, append(sound, archived{name: `a\..\..\evil.jpg`})...), "outside"},
		"zip: zero byte":         {zipOf(t, append(sound, archived{name: "a/\x00.jpg"})...), ""},
		"zip: a file as folder":  {zipOf(t, append(sound, archived{name: "a/1.jpg/2.jpg"})...), ""},
		"zip: a name twice":      {zipOf(t, append(sound, archived{name: "a/1.jpg"})...), "twice"},
		"zip: bomb": {zipOf(t, append(sound, archived{name: "a/2.jpg", text: large},
			archived{name: "a/3.jpg", text: large})...), "more than"},
		"zip: encrypted":         {encrypted(zipOf(t, sound...)), "encrypted"},
		"zip: cut off":           {zipOf(t, sound...)[:60], ""},
		"tar: out of the folder": {tarOf(t, append(sound, archived{name: "../evil.jpg"})...), "outside"},
		"tar: absolute":          {tarOf(t, append(sound, archived{name: "/etc/evil.jpg"})...), "outside"},
		"tar: bomb": {tarOf(t, append(sound, archived{name: "a/2.jpg", text: large},
			archived{name: "a/3.jpg", text: large})...), "more than"},
		"tar: hard link outside": {tarOf(t, append(sound, archived{name: "a/2.jpg", link: "../../../etc/passwd",
			kind: tar.TypeLink})...), "outside"},
		"tar: hard link to nothing": {tarOf(t, append(sound, archived{name: "a/2.jpg", link: "b/9.jpg",
			kind: tar.TypeLink})...), "is missing"},
		"tar.gz: bomb": {gzipOf(t, tarOf(t, append(sound, archived{name: "a/2.jpg", text: large},
			archived{name: "a/3.jpg", text: large})...)), "more than"},
		"tar.gz: cut off": {gzipOf(t, tarOf(t, sound...))[:60], "damaged"},
		"tar.gz: no tar":  {gzipOf(t, []byte(large)), ""},
		"tar.gz: empty":   {gzipOf(t, nil), "no files"},
	} {
		t.Run(name, func(t *testing.T) {
			_, cache, err := readArchive(t, t.Context(), c.archive, 1<<20+100)
			if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left := listCache(cache); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(cache), "evil.jpg")); err == nil {
				t.Error("a file was written outside")
			}
		})
	}
	if _, err := Read(t.Context(), "testdata", Options{}); err != nil {
		path := filepath.Join(t.TempDir(), "a.zip")
		os.WriteFile(path, zipOf(t, sound...), 0o644)
		if _, err := Read(t.Context(), path, Options{}); !errors.Is(err, ErrArchive) {
			t.Errorf("without a cache: %v", err)
		}
	}
}

// TestLinksInArchives checks that symbolic links are counted and not followed, and that hard links
// become copies.
func TestLinksInArchives(t *testing.T) {
	sound := []archived{{name: "set/a/1.jpg"}, {name: "set/b/1.jpg"}}
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"zip": {zipOf(t, append(sound, archived{name: "set/a/2.jpg", link: "/etc/passwd"})...), ": a 1, b 1"},
		"tar": {tarOf(t, append(sound, archived{name: "set/a/2.jpg", link: "/etc/passwd", kind: tar.TypeSymlink},
			archived{name: "set/b/2.jpg", link: "set/a/1.jpg", kind: tar.TypeLink})...), ": a 1, b 2"},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, "archive")
		if err := os.WriteFile(path, c.archive, 0o644); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			d, err := Read(t.Context(), path, Options{Cache: filepath.Join(folder, "cache")})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if describe(d) != c.want || d.Tally.Count(ReasonMissing) != 1 {
				t.Errorf("%s: %s, %v", name, describe(d), d.Tally.Counts())
			}
		}
	}
}

// TestManyLinksInArchives checks that all links are counted, also when the archive is unpacked
// already and has another name.
func TestManyLinksInArchives(t *testing.T) {
	folder := t.TempDir()
	entries := []archived{{name: "a/1.jpg"}, {name: "b/1.jpg"}}
	for i := range maxListed + 5 {
		entries = append(entries, archived{name: fmt.Sprintf("a/l%d.jpg", i), link: "x", kind: tar.TypeSymlink})
	}
	for _, name := range []string{"one.tar", "two.tar"} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, tarOf(t, entries...), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Read(t.Context(), path, Options{Cache: filepath.Join(folder, "cache")})
		if err != nil {
			t.Fatal(err)
		}
		if n := d.Tally.Count(ReasonMissing); n != maxListed+5 {
			t.Errorf("%s: %d", name, n)
		}
		if s := d.Tally.Skips()[0]; s.Path != path+": a/l0.jpg" {
			t.Errorf("%s: %q", name, s.Path)
		}
	}
}

// TestDamagedCache checks that an archive is unpacked again if files of it are missing, and that
// the rest of an interrupted unpacking is removed once it is old.
func TestDamagedCache(t *testing.T) {
	folder := t.TempDir()
	cache := filepath.Join(folder, "cache")
	path := filepath.Join(folder, "a.zip")
	if err := os.WriteFile(path, zipOf(t, archived{name: "a/1.jpg"}, archived{name: "b/1.jpg"}), 0o644); err != nil {
		t.Fatal(err)
	}
	read := func(what string) string {
		d, err := Read(t.Context(), path, Options{Cache: cache})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if describe(d) != ": a 1, b 1" {
			t.Errorf("%s: %s", what, describe(d))
		}
		return filepath.Dir(d.Folder)
	}
	home := read("first")
	for what, damage := range map[string]func() error{
		"a picture is gone": func() error { return os.Remove(filepath.Join(home, "data", "a", "1.jpg")) },
		"all data are gone": func() error { return os.RemoveAll(filepath.Join(home, "data")) },
		"no list":           func() error { return os.Remove(filepath.Join(home, "unpacked.json")) },
		"list is cut off": func() error {
			return os.WriteFile(filepath.Join(home, "unpacked.json"), []byte("{"),
				0o644)
		},
		"there is one more": func() error {
			return os.WriteFile(filepath.Join(home, "data", "a", "2.jpg"), nil,
				0o644)
		},
		"an empty folder":    func() error { return errors.Join(os.RemoveAll(home), os.Mkdir(home, 0o755)) },
		"nothing is damaged": func() error { return nil },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		read(what)
	}
	old, recent := filepath.Join(cache, ".part-old"), filepath.Join(cache, ".part-recent")
	if err := errors.Join(os.MkdirAll(filepath.Join(old, "data"), 0o755), os.Mkdir(recent, 0o755),
		os.RemoveAll(home)); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(old, before, before); err != nil {
		t.Fatal(err)
	}
	read("with parts")
	if exists(old) || !exists(recent) {
		t.Errorf("the old part is there: %v, the recent: %v", exists(old), exists(recent))
	}
}

// listCache returns what a cache holds, except for the files that are locked.
func listCache(cache string) []os.DirEntry {
	all, _ := os.ReadDir(cache)
	return slices.DeleteFunc(all, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), lockSuffix) })
}

// TestLockedCache checks that a process waits while another one unpacks the same archive, takes what
// that one has unpacked, and does not wait longer than its context lasts.
func TestLockedCache(t *testing.T) {
	folder := t.TempDir()
	cache, path := filepath.Join(folder, "cache"), filepath.Join(folder, "a.zip")
	if err := os.WriteFile(path, zipOf(t, archived{name: "a/1.jpg"}), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := Read(t.Context(), path, Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Dir(d.Folder)
	lock := flock.New(home + lockSuffix)
	if locked, lockErr := lock.TryLock(); !locked || lockErr != nil {
		t.Fatal("the lock is not free: ", lockErr)
	}
	// What is complete can be read although another process holds the lock.
	if _, err = Read(t.Context(), path, Options{Cache: cache}); err != nil {
		t.Error(err)
	}
	aside := filepath.Join(folder, "aside")
	if err = os.Rename(home, aside); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*lockInterval)
	defer cancel()
	if _, err = Read(ctx, path, Options{Cache: cache}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the lock is held: %v", err)
	}
	done := make(chan error)
	go func() {
		_, readErr := Read(t.Context(), path, Options{Cache: cache})
		done <- readErr
	}()
	marker := filepath.Join(aside, "marker") // of the other process
	if err = errors.Join(os.WriteFile(marker, nil, 0o644), os.Rename(aside, home), lock.Unlock()); err != nil {
		t.Fatal(err)
	}
	if err = <-done; err != nil {
		t.Error(err)
	}
	if !exists(filepath.Join(home, "marker")) {
		t.Error("the archive was unpacked twice")
	}
}

// TestArchiveStops checks that an interrupted unpacking leaves nothing behind.
func TestArchiveStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, cache, err := readArchive(t, ctx, zipOf(t, archived{name: "a/1.jpg"}), 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := listCache(cache); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestArchiveTables checks that a table in an archive cannot name files outside.
func TestArchiveTables(t *testing.T) {
	outside := filepath.Join(lay(t, contents{"x.jpg": ""}), "x.jpg")
	d, _, err := readArchive(t, t.Context(),
		zipOf(t, archived{name: "labels.csv", text: "image,label\n1,a\n" + outside +
			",a\n"}, archived{name: "1.jpg"}), 0)
	if err != nil || describe(d) != ": a 1" || d.Tally.Count(ReasonBadRow) != 1 {
		t.Errorf("%v, %+v", err, d)
	}
}

// FuzzArchive checks that no archive makes garb panic or write outside its folder, whatever the
// bounds.
func FuzzArchive(f *testing.F) {
	f.Add(zipOf(f, archived{name: "a/1.jpg", text: "x"}, archived{name: "b/1.jpg"}))
	f.Add(tarOf(f, archived{name: "a/1.jpg", text: "x"}, archived{name: "b", link: "a", kind: tar.TypeSymlink}))
	f.Add(gzipOf(f, tarOf(f, archived{name: "a/1.jpg"}, archived{name: "../x"})))
	f.Fuzz(func(t *testing.T, archive []byte) {
		_, cache, err := readArchive(t, t.Context(), archive, 1<<20)
		if err != nil {
			return
		}
		entries, err := os.ReadDir(filepath.Dir(cache))
		if err != nil || len(entries) > 2 {
			t.Fatalf("%v, %v", entries, err)
		}
	})
}

func TestTally(t *testing.T) {
	var tally Tally
	if got := tally.Summary(1); got != "1 picture used, 0 skipped" || tally.Strict() != nil {
		t.Error(got)
	}
	tally.Add(ReasonHidden, "h", "")
	if got := tally.Summary(0); got != "0 pictures used, 0 skipped, 1 ignored (1 hidden file)" ||
		tally.Strict() != nil {
		t.Error(got)
	}
	for i := range 3 {
		tally.Add(ReasonMissing, fmt.Sprint(i), "gone "+fmt.Sprint(i))
	}
	var other Tally
	other.Add(ReasonEmpty, "e", "")
	other.Add(ReasonEmpty, "f", "")
	other.Add(ReasonBadRow, "r", "odd")
	tally.Merge(&other)
	tally.Merge(nil)
	const want = "2 pictures used, 4 skipped (3 missing, 1 malformed row), 3 ignored (1 hidden file, 2 empty folders)"
	if got := tally.Summary(2); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if tally.Skipped() != 4 || tally.Count(ReasonEmpty) != 2 || len(tally.Skips()) != 7 {
		t.Errorf("%d, %v", tally.Skipped(), tally.Skips())
	}
	var strict *StrictError
	if err := tally.Strict(); !errors.As(err, &strict) || len(strict.Skips) != 4 ||
		!strings.HasPrefix(err.Error(), "4 files skipped (3 missing, 1 malformed row), but none may be") ||
		!strings.Contains(err.Error(), "gone 2") || strings.Contains(err.Error(), "and ") {
		t.Errorf("%v", err)
	}
	for i := range 2 * maxListed {
		tally.Add(ReasonConflict, fmt.Sprint(i), "")
	}
	if err := tally.Strict(); !errors.As(err, &strict) || len(strict.Skips) != 10 || !strings.Contains(err.Error(),
		fmt.Sprintf("and %d more", 2*maxListed+4-10)) {
		t.Errorf("%v", err)
	}
	if tally.Count(ReasonConflict) != 2*maxListed || len(tally.Skips()) != 7+maxListed {
		t.Errorf("%d listed", len(tally.Skips()))
	}
	// Every reason has words.
	for _, reason := range []Reason{ReasonMissing, ReasonUnreadable, ReasonNotPicture, ReasonNoLabel, ReasonConflict,
		ReasonOutside, ReasonBadRow, ReasonExcluded, ReasonRepeated, ReasonUnlisted, ReasonOther, ReasonHidden,
		ReasonEmpty} {
		var one Tally
		one.Add(reason, "", "")
		if got := one.Summary(0); !strings.Contains(got, "(1 ") {
			t.Errorf("%s: %s", reason, got)
		}
	}
}

// TestNamesOfWindows tests that on Windows, files with names that it does not allow are skipped
// and counted: some open devices, and some are changed, so that they would replace other files.
func TestNamesOfWindows(t *testing.T) {
	refused := []string{
		"NUL", "a/aux.jpg", "com1/1.jpg", "C:/evil.jpg", `C:\e.jpg`, "a/1.jpg:stream", "a/1.jpg.", "a/1.jpg ",
		"a /2.jpg", ".. /evil.jpg", "a/b\n.jpg", "a/?.jpg", "CONOUT$",
	}
	all := []archived{{name: "a/1.jpg"}, {name: "./a/deep/2.jpg"}, {name: `b\3.jpg`}, {name: ".hidden/4.jpg"}}
	for _, name := range refused {
		all = append(all, archived{name: name})
	}
	for kind, archive := range map[string][]byte{"zip": zipOf(t, all...), "tar": tarOf(t, all...)} {
		for _, portable := range []bool{true, false} {
			var skipped []string
			u := &unpacker{
				to: t.TempDir(), maxFiles: 100, maxBytes: 1 << 20, portable: portable,
				link: func(name, message string) error {
					if !strings.Contains(message, "Windows does not allow the name") {
						t.Errorf("%q: %s", name, message)
					}
					skipped = append(skipped, name)
					return nil
				},
			}
			if !portable && runtime.GOOS == "windows" {
				continue
			}
			err := u.unpack(t.Context(), bytes.NewReader(archive), kind, int64(len(archive)))
			switch {
			case err != nil:
				t.Errorf("%s, portable %v: %v", kind, portable, err)
			case portable && (!slices.Equal(skipped, refused) || u.files != len(all)-len(refused)):
				t.Errorf("%s: skipped %q, %d files", kind, skipped, u.files)
			case !portable && (len(skipped) > 0 || u.files != len(all)):
				t.Errorf("%s on other systems: skipped %q, %d files", kind, skipped, u.files)
			}
		}
	}
}
