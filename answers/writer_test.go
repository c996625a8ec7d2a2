package answers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"garb/model"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(victimVariable); folder != "" {
		writeUntilKilled(folder)
	}
	goleak.VerifyTestMain(m)
}

// counts counts the events of a writer.
type counts struct {
	stored, feedback, removed atomic.Int64
	dropped                   map[Reason]*atomic.Int64
	size                      atomic.Int64
}

func (c *counts) events() Events {
	c.dropped = map[Reason]*atomic.Int64{}
	for _, reason := range Reasons() {
		c.dropped[reason] = new(atomic.Int64)
	}
	return Events{
		Stored: func() { c.stored.Add(1) }, Feedback: func() { c.feedback.Add(1) },
		Dropped: func(r Reason) { c.dropped[r].Add(1) }, Removed: func(int64) { c.removed.Add(1) },
		Size: c.size.Store,
	}
}

func newTestWriter(t *testing.T, c Config, events Events) *Writer {
	t.Helper()
	w, err := NewWriter(c, slog.New(slog.DiscardHandler), events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(context.Background()) })
	return w
}

func closeWriter(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// readAll reads the answers in a folder.
func readAll(t *testing.T, r *Reader) (all []*Record) {
	t.Helper()
	for record, err := range r.Records(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// storeWaiting stores an answer as Store does, but waits for a place in the queue.
func storeWaiting(t *testing.T, w *Writer, r *Record, picture []byte) {
	t.Helper()
	if err := w.send(context.Background(), task{record: r, picture: picture}); err != nil {
		t.Fatal(err)
	}
}

func makeRecord(id string, index int) *Record {
	acceptance, accepted := 0.75, true
	return &Record{
		RequestID: id, Index: index, Time: time.Date(2026, 11, 27, 20, 0, index, 123_000, time.UTC), TraceID: "abc",
		Key: "shop", Model: Model{"clothing", 3, "sha256:" + strings.Repeat("a", 64)},
		Picture: Picture{Format: "jpeg", Width: 40, Height: 30}, Class: "dress",
		Predictions: []Prediction{{"dress", 0.7}, {"skirt", 0.2}, {"hat", 0.1}},
		Acceptance:  &acceptance, Accepted: &accepted, Set: []string{"dress", "skirt"},
		Embedding: Embedding{0, -1.5, math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1))},
	}
}

func TestWhatIsStoredIsRead(t *testing.T) {
	c := Default(filepath.Join(t.TempDir(), "new", "answers"))
	c.KeepPictures, c.Top = true, 2
	var n counts
	w := newTestWriter(t, c, n.events())
	picture := []byte("the bytes of a picture")
	w.Store(makeRecord("one", 0), picture)
	w.Store(makeRecord("one", 1), picture)
	w.Store(makeRecord("two", 0), nil)
	closeWriter(t, w)

	r := &Reader{Folder: c.Folder}
	got := readAll(t, r)
	want := []*Record{makeRecord("one", 0), makeRecord("one", 1), makeRecord("two", 0)}
	for i, record := range want {
		record.Predictions = record.Predictions[:2]
		if i < 2 {
			record.Picture.SHA256 = got[i].Picture.SHA256
			record.Picture.Bytes = len(picture)
			record.Picture.File = "pictures/" + got[i].Picture.SHA256[:2] + "/" + got[i].Picture.SHA256 + ".jpg"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	kept, err := os.ReadFile(filepath.Join(c.Folder, filepath.FromSlash(got[0].Picture.File)))
	if err != nil || !bytes.Equal(kept, picture) {
		t.Errorf("the kept picture: %q, %v", kept, err)
	}
	if n.stored.Load() != 3 || r.Skipped().Total() != 0 {
		t.Errorf("stored %d, skipped %+v", n.stored.Load(), r.Skipped())
	}
	checkModes(t, c.Folder)
}

// checkModes makes sure that only the owner can read what was written.
func checkModes(t *testing.T, folder string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return
	}
	var size int64
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		size += info.Size()
		return nil
	})
	if err != nil || size == 0 {
		t.Fatal(size, err)
	}
}

func TestSetAnswer(t *testing.T) {
	predictions := []model.Prediction{{Index: 1, Class: "hat", Probability: 0.9}, {Class: "dress", Probability: 0.1}}
	acceptance, accepted := 0.25, false
	for name, c := range map[string]struct {
		model.Answer
		want Record
	}{
		"judged": {
			model.Answer{Predictions: predictions, Judged: true, Acceptance: acceptance, Set: []string{"hat"}},
			Record{Acceptance: &acceptance, Accepted: &accepted, Set: []string{"hat"}},
		},
		"several labels": {
			model.Answer{Predictions: predictions, Accepted: true, Acceptance: 1, Labels: []string{}},
			Record{Labels: []string{}},
		},
	} {
		var got Record
		got.SetAnswer(c.Answer)
		c.want.Class, c.want.Predictions = "hat", []Prediction{{"hat", 0.9}, {"dress", 0.1}}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWithoutEmbeddingsAndPictures(t *testing.T) {
	c := Default(t.TempDir())
	c.Embeddings = false
	w := newTestWriter(t, c, Events{})
	w.Store(makeRecord("one", 0), []byte("picture"))
	closeWriter(t, w)
	got := readAll(t, &Reader{Folder: c.Folder})
	if len(got) != 1 || got[0].Embedding != nil || got[0].Picture.File != "" || got[0].Picture.Bytes != 7 {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(c.Folder, picturesFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("pictures were kept", err)
	}
}

func TestSample(t *testing.T) {
	for _, share := range []float64{0, 0.1, 0.5, 1} {
		c := Default(t.TempDir())
		c.Sample = share
		a, b := &Writer{config: c}, &Writer{config: c}
		const n = 10_000
		chosen := 0
		for i := range n {
			id := fmt.Sprint("request-", i)
			if a.Samples(id) != b.Samples(id) {
				t.Fatal("two writers choose differently")
			}
			if a.Samples(id) {
				chosen++
			}
		}
		// Five standard deviations of a binomial distribution.
		if d := math.Abs(float64(chosen) - share*n); d > 5*math.Sqrt(share*(1-share)*n) {
			t.Errorf("%v: %d of %d", share, chosen, n)
		}
	}
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // with a clock that waits for nobody
		c := Default(t.TempDir())
		c.MaxFileAge = time.Hour
		w := newTestWriter(t, c, Events{})
		for i := range 4 {
			w.Store(makeRecord(fmt.Sprint(i), 0), nil)
			time.Sleep(31 * time.Minute)
		}
		closeWriter(t, w)
		names, err := listFiles(c.Folder)
		if err != nil || len(names) != 2 {
			t.Errorf("by age: %v, %v", names, err)
		}
	})
	c := Default(t.TempDir())
	c.MaxFileBytes, c.MaxTotalBytes = maxLine, 4*maxLine
	var n counts
	w := newTestWriter(t, c, n.events())
	const stored = 150
	big := makeRecord("", 0)
	big.Embedding = make(Embedding, 10_000) // 53 kB in base64
	for i := range stored {
		r := *big
		r.RequestID = fmt.Sprint(i)
		storeWaiting(t, w, &r, nil)
	}
	closeWriter(t, w)
	all := readAll(t, &Reader{Folder: c.Folder})
	size := int64(0)
	names, _ := listFiles(c.Folder)
	for _, name := range names {
		info, err := os.Stat(filepath.Join(c.Folder, name))
		if err != nil || info.Size() > c.MaxFileBytes {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		size += info.Size()
	}
	if size > c.MaxTotalBytes || size != n.size.Load() || n.removed.Load() == 0 || len(names) < 3 {
		t.Errorf("%d bytes in %d files, reported %d, removed %d", size, len(names), n.size.Load(), n.removed.Load())
	}
	for i, r := range all {
		if want := fmt.Sprint(stored - len(all) + i); r.RequestID != want {
			t.Fatalf("answer %d has the id %s, want %s", i, r.RequestID, want)
		}
	}
}

// TestRemovedFilesAreReplaced: what is written after an operator moved the files away is not lost.
func TestRemovedFilesAreReplaced(t *testing.T) {
	c := Default(t.TempDir())
	w := newTestWriter(t, c, Events{})
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not rename or remove files that the writer has open")
	}
	send := func(id string) {
		t.Helper()
		w.Store(makeRecord(id, 0), nil)
		if err := w.StoreFeedback(context.Background(), Feedback{RequestID: id, Class: "hat"}, "shop"); err != nil {
			t.Fatal(err)
		}
	}
	send("before")
	moved := t.TempDir()
	names, err := listFiles(c.Folder)
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	for _, name := range append(names, feedbackName) {
		if err := os.Rename(filepath.Join(c.Folder, name), filepath.Join(moved, name)); err != nil {
			t.Fatal(err)
		}
	}
	send("after")
	closeWriter(t, w)
	for folder, want := range map[string]string{moved: "before", c.Folder: "after"} {
		var found []string
		r := &Reader{Folder: folder}
		for record, err := range r.Records(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, record.RequestID)
		}
		for f, err := range r.Feedback(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, f.RequestID)
		}
		if diff := cmp.Diff([]string{want, want}, found); diff != "" {
			t.Error(diff)
		}
	}
}

// TestClockSetBack: names sort in the order of writing, although an earlier file is of the future.
func TestClockSetBack(t *testing.T) {
	folder := t.TempDir()
	const future = "answers-20990101T000000.000000Z.jsonl"
	if err := os.WriteFile(filepath.Join(folder, future), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w := newTestWriter(t, Default(folder), Events{})
		w.Store(makeRecord("one", 0), nil)
		closeWriter(t, w)
	}
	names, err := listFiles(folder)
	want := []string{future, "answers-20990101T000000.000001Z.jsonl", "answers-20990101T000000.000002Z.jsonl"}
	if diff := cmp.Diff(want, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestOldPicturesAreRemoved(t *testing.T) {
	c := Default(t.TempDir())
	c.KeepPictures, c.MaxFileBytes, c.MaxTotalBytes = true, maxLine, 2*maxLine
	var n counts
	w := newTestWriter(t, c, n.events())
	picture := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, maxLine/4) }
	for i := range 12 {
		storeWaiting(t, w, makeRecord(fmt.Sprint(i), 0), picture(i))
		// The first picture is used again and again, so it stays.
		storeWaiting(t, w, makeRecord(fmt.Sprint(i), 1), picture(0))
	}
	closeWriter(t, w)
	kept := map[string]bool{}
	for _, r := range readAll(t, &Reader{Folder: c.Folder}) {
		if _, err := os.Stat(filepath.Join(c.Folder, r.Picture.File)); err == nil {
			kept[r.RequestID+"/"+fmt.Sprint(r.Index)] = true
		}
	}
	if !kept["0/0"] || kept["1/0"] || !kept["11/0"] || n.size.Load() > c.MaxTotalBytes || n.removed.Load() != 5 {
		t.Errorf("kept %v, %d bytes, removed %d", kept, n.size.Load(), n.removed.Load())
	}
	// The next writer knows the pictures that are there, and removes what a killed writer left.
	left := filepath.Join(c.Folder, "pictures", "ab", ".123.tmp")
	if err := errors.Join(os.MkdirAll(filepath.Dir(left), 0o700), os.WriteFile(left, picture(1), 0o600)); err != nil {
		t.Fatal(err)
	}
	before := n.size.Load()
	closeWriter(t, newTestWriter(t, c, n.events()))
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) || n.size.Load() != before {
		t.Errorf("%v; %d bytes, before %d", err, n.size.Load(), before)
	}
}

func TestOneWriterAtATime(t *testing.T) {
	c := Default(t.TempDir())
	w := newTestWriter(t, c, Events{})
	var locked *LockedError
	if _, err := NewWriter(c, slog.New(slog.DiscardHandler), Events{}); !errors.As(err, &locked) {
		t.Errorf("a second writer: %v", err)
	}
	closeWriter(t, w)
	closeWriter(t, newTestWriter(t, c, Events{}))
}

// TestStoreNeverWaits: with nobody writing, Store returns, and what does not fit is counted.
func TestStoreNeverWaits(t *testing.T) {
	c := Default(t.TempDir())
	c.Queue, c.QueueBytes = 3, 100
	var n counts
	w, err := openWriter(c, slog.New(slog.DiscardHandler), n.events())
	if err != nil {
		t.Fatal(err)
	}
	w.Store(makeRecord("large", 0), make([]byte, 1000)) // alone, so it may be larger than the queue
	w.Store(makeRecord("small", 0), make([]byte, 1))
	w.Store(makeRecord("none", 0), nil) // its zero bytes do not fit either: the queue is over its bound
	for range 5 {
		w.Store(makeRecord("more", 0), nil)
	}
	if got := n.dropped[ReasonQueue].Load(); got != 7 {
		t.Errorf("%d dropped", got)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f := Feedback{RequestID: "large", Class: "hat"}
	if err = w.StoreFeedback(ended, f, "shop"); !errors.Is(err, context.Canceled) {
		t.Errorf("feedback with an ended context: %v", err)
	}
	go w.run()
	closeWriter(t, w)
	w.Store(makeRecord("late", 0), nil)
	if n.stored.Load() != 1 || n.dropped[ReasonClosed].Load() != 1 {
		t.Errorf("stored %d, late %d", n.stored.Load(), n.dropped[ReasonClosed].Load())
	}
	if err = w.StoreFeedback(context.Background(), f, "shop"); !errors.Is(err, ErrClosed) {
		t.Errorf("feedback after Close: %v", err)
	}
}

// fullDisk is a file on a disk that can become full.
type fullDisk struct {
	output
	full *atomic.Bool
	cut  bool // Truncate fails, too
}

func (f fullDisk) Write(p []byte) (int, error) {
	if f.full.Load() {
		n, err := f.output.Write(p[:len(p)/2])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.output.Write(p)
}

func (f fullDisk) Truncate(size int64) error {
	if f.cut {
		return syscall.EIO
	}
	return f.output.Truncate(size)
}

// TestFullDisk: what cannot be written is counted and logged once; answers before and after stay
// readable.
func TestFullDisk(t *testing.T) {
	for _, cut := range []bool{false, true} {
		var log bytes.Buffer
		var full atomic.Bool
		var n counts
		c := Default(t.TempDir())
		w, err := openWriter(c, slog.New(slog.NewTextHandler(&log, nil)), n.events())
		if err != nil {
			t.Fatal(err)
		}
		w.folder.create = func(path string) (output, error) {
			f, err := createFile(path)
			return fullDisk{f, &full, cut}, err
		}
		go w.run()
		for i, isFull := range []bool{false, true, true, false, false} {
			sent := n.stored.Load() + n.dropped[ReasonWrite].Load()
			full.Store(isFull)
			w.Store(makeRecord(fmt.Sprint(i), 0), nil)
			for n.stored.Load()+n.dropped[ReasonWrite].Load() == sent {
				runtime.Gosched()
			}
		}
		closeWriter(t, w)
		r := &Reader{Folder: c.Folder}
		var ids []string
		for _, record := range readAll(t, r) {
			ids = append(ids, record.RequestID)
		}
		torn := 0
		if cut {
			torn = 2 // what could not be cut off
		}
		if got := strings.Join(ids, " "); got != "0 3 4" || r.Skipped() != (Skipped{Torn: torn}) {
			t.Errorf("%v: read %q, skipped %+v", cut, got, r.Skipped())
		}
		if n.dropped[ReasonWrite].Load() != 2 || strings.Count(log.String(), "cannot be stored") != 1 ||
			!strings.Contains(log.String(), "stored again") || !strings.Contains(log.String(), "lost=2") {
			t.Errorf("%v: %d dropped; log:\n%s", cut, n.dropped[ReasonWrite].Load(), log.String())
		}
	}
}

// victimVariable is the environment variable that tells this program to be the victim of a test.
const victimVariable = "GARB_TEST_WRITE_ANSWERS"

// writeUntilKilled stores answers and pictures as fast as it can.
func writeUntilKilled(folder string) {
	c := Default(folder)
	c.KeepPictures = true
	w, err := NewWriter(c, slog.Default(), Events{Stored: func() { fmt.Println("stored") }})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		r := makeRecord(fmt.Sprint(os.Getpid(), "-", i), 0)
		r.Embedding = make(Embedding, 2048)
		picture := fmt.Appendf(nil, "picture %d", i)
		if err := w.send(context.Background(), task{record: r, picture: picture}); err != nil {
			panic(err)
		}
	}
}

// TestKill kills writers in the midst of their work. Everything that they reported is there.
func TestKill(t *testing.T) {
	folder := t.TempDir()
	reported := 0
	for range 5 {
		enough := reported + 100
		victim := exec.Command(os.Args[0])
		victim.Env = append(os.Environ(), victimVariable+"="+folder)
		var errOut bytes.Buffer
		victim.Stderr = &errOut
		out, err := victim.StdoutPipe()
		if err = errors.Join(err, victim.Start()); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if reported++; reported == enough {
				break
			}
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			reported++
		}
		_ = victim.Wait()
		if errOut.Len() > 0 {
			t.Fatal(errOut.String())
		}
	}
	r := &Reader{Folder: folder}
	all := readAll(t, r)
	names, err := listFiles(folder)
	if err != nil || len(names) != 5 {
		t.Errorf("%d files, %v", len(names), err)
	}
	if s := r.Skipped(); len(all) < reported || reported == 0 || s.Total() > s.Torn || s.Torn > 5 {
		t.Errorf("%d answers of %d reported, skipped %+v", len(all), reported, s)
	}
	for _, record := range all {
		if _, err := os.Stat(filepath.Join(folder, record.Picture.File)); err != nil {
			t.Fatal(err)
		}
	}
	closeWriter(t, newTestWriter(t, Default(folder), Events{}))
}

func TestInvalidSettings(t *testing.T) {
	for word, change := range map[string]func(*Config){
		"folder":      func(c *Config) { c.Folder = "" },
		"share":       func(c *Config) { c.Sample = math.NaN() },
		"1.5":         func(c *Config) { c.Sample = 1.5 },
		"predictions": func(c *Config) { c.Top = -1 },
		"file of":     func(c *Config) { c.MaxFileBytes = 1 },
		"age":         func(c *Config) { c.MaxFileAge = 0 },
		"twice":       func(c *Config) { c.MaxTotalBytes = c.MaxFileBytes },
		"feedback":    func(c *Config) { c.MaxFeedbackBytes = 0 },
		"remember":    func(c *Config) { c.Remember = 0 },
		"queue":       func(c *Config) { c.Queue = 0 },
	} {
		c := Default(t.TempDir())
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
		if _, err := NewWriter(c, slog.New(slog.DiscardHandler), Events{}); err == nil {
			t.Errorf("%s: a writer was opened", word)
		}
	}
}

func TestInvalidRecordsAreCounted(t *testing.T) {
	c := Default(t.TempDir())
	var n counts
	w := newTestWriter(t, c, n.events())
	for _, change := range []func(*Record){
		func(r *Record) { r.Class = "" },
		func(r *Record) { r.RequestID = strings.Repeat("x", 1000) },
		func(r *Record) { r.Time = time.Time{} },
		func(r *Record) { r.Index = -1 },
		func(r *Record) { r.Predictions[0].Probability = math.NaN() },
		func(r *Record) { r.Embedding[0] = float32(math.Inf(1)) },
		func(r *Record) { *r.Acceptance = 2 },
		func(r *Record) { r.Picture.SHA256 = "../../etc" },
		func(r *Record) { r.Labels = []string{strings.Repeat("x", maxLine)} },
	} {
		r := makeRecord("one", 0)
		change(r)
		w.Store(r, nil)
	}
	closeWriter(t, w)
	if got := n.dropped[ReasonInvalid].Load(); got != 9 || n.stored.Load() != 0 {
		t.Errorf("%d invalid, %d stored", got, n.stored.Load())
	}
}

func BenchmarkStore(b *testing.B) {
	c := Default(b.TempDir())
	w, err := NewWriter(c, slog.New(slog.DiscardHandler), Events{})
	if err != nil {
		b.Fatal(err)
	}
	r, picture := makeRecord("one", 0), make([]byte, 100_000)
	r.Embedding = make(Embedding, 1280)
	for b.Loop() {
		if err := w.send(context.Background(), task{record: r, picture: picture}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
