package reload_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"garb/serve/reload"
)

// errMalformed is the error of files with the word "bad".
var errMalformed = errors.New("malformed")

// join returns the contents of files, separated by "+".
func join(files [][]byte, _ string) (string, error) {
	text := string(bytes.Join(files, []byte("+")))
	if strings.Contains(text, "bad") {
		return "", errMalformed
	}
	return text, nil
}

// clock is a clock that stands still until a test moves it.
type clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

func (c *clock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

func (c *clock) Clock() reload.Clock {
	return reload.Clock{
		Wall:    func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.wall },
		Elapsed: func() time.Duration { c.mu.Lock(); defer c.mu.Unlock(); return c.elapsed },
	}
}

// watched is a value with a clock and the reports that it made.
type watched struct {
	*reload.Value[string]
	t       *testing.T
	clock   *clock
	path    string
	reports []string
}

// open opens a value of one file with the contents "one".
func open(t *testing.T, change func(*reload.Config[string])) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "file"), clock: &clock{wall: time.Unix(1e9, 0)}}
	write(t, w.path, "one")
	c := reload.Config[string]{
		Name: "the text", Paths: []string{w.path}, Load: join, Clock: w.clock.Clock(),
		Describe:  func(text string) string { return text + "!" },
		OnSuccess: func(s reload.State) { w.reports = append(w.reports, string(s.Status)) },
		OnFailure: func(s reload.State) { w.reports = append(w.reports, string(s.Status)+": "+s.Err.Error()) },
	}
	if change != nil {
		change(&c)
	}
	v, err := reload.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Value = v
	return w
}

// check runs n checks, an interval apart.
func (w *watched) check(n int) {
	for range n {
		w.clock.advance(reload.DefaultInterval)
		w.Check()
	}
}

// want checks the value, or that it is refused if want is "".
func (w *watched) want(want string, status reload.Status) {
	w.t.Helper()
	got, err := w.Get()
	if got != want || (want == "") != errors.Is(err, reload.ErrUnavailable) {
		w.t.Errorf("got %q and %v, want %q", got, err, want)
	}
	if s := w.State(); s.Status != status || (s.Err == nil) != (status == reload.Current) ||
		want != "" && s.Detail != want+"!" {
		w.t.Errorf("the state is %+v, want %s", s, status)
	}
}

func (w *watched) wantReports(want ...string) {
	w.t.Helper()
	for i, r := range w.reports {
		w.reports[i] = strings.ReplaceAll(r, filepath.Dir(w.path)+string(filepath.Separator), "")
	}
	if got := strings.Join(w.reports, "\n"); got != strings.Join(want, "\n") {
		w.t.Errorf("the reports are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChangeIsLoadedWhenTwoChecksFindIt(t *testing.T) {
	w := open(t, nil)
	write(t, w.path, "two")
	w.check(1)
	w.want("one", reload.Current)
	w.check(1)
	w.want("two", reload.Current)
	if s := w.State(); s.Reloads != 1 || s.Failures != 0 || !s.Loaded.Equal(time.Unix(1e9+1, 0)) {
		t.Errorf("%+v", s)
	}
	w.wantReports("current", "current")
}

// TestSameSizeAndTimeIsAChange: contents count, not times and sizes.
func TestSameSizeAndTimeIsAChange(t *testing.T) {
	w := open(t, nil)
	info, err := os.Stat(w.path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.path, "two")
	if err := os.Chtimes(w.path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	w.check(2)
	w.want("two", reload.Current)
}

// TestEmptiedFileIsLoaded: an emptied file is a change like any other; Load decides what it means.
func TestEmptiedFileIsLoaded(t *testing.T) {
	w := open(t, nil)
	write(t, w.path, "")
	w.check(2)
	if got, err := w.Get(); got != "" || err != nil || w.State().Reloads != 1 {
		t.Errorf("%q, %v, %+v", got, err, w.State())
	}
}

func TestFailuresKeepTheValueForTheGracePeriod(t *testing.T) {
	folder := func(t *testing.T, path string) {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, path string)
		reason string
	}{
		"malformed": {func(t *testing.T, path string) { write(t, path, "bad") }, "malformed"},
		"too large": {func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 1<<20+1)) }, "more than"},
		"removed":   {func(*testing.T, string) {}, "file"},
		"a folder":  {folder, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, nil)
			if err := os.Remove(w.path); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, w.path)
			w.check(1)
			w.want("one", reload.Current)
			w.check(1)
			w.want("one", reload.Stale)
			if err := w.State().Err; !strings.Contains(err.Error(), c.reason) {
				t.Errorf("the reason is %v", err)
			}
			w.check(8) // until the end of the grace period
			w.want("one", reload.Stale)
			w.check(1)
			w.want("", reload.Refused)
			w.check(5)
			if s := w.State(); s.Failures != 2 || s.StaleSeconds != 8 {
				t.Errorf("%+v", s)
			}
			if len(w.reports) != 3 {
				t.Errorf("reports: %q", w.reports)
			}

			if err := os.RemoveAll(w.path); err != nil {
				t.Fatal(err)
			}
			write(t, w.path, "one") // the same contents as before
			w.check(1)
			w.want("one", reload.Current)
			if len(w.reports) != 4 || w.reports[3] != "current" {
				t.Errorf("reports: %q", w.reports)
			}
		})
	}
}

// TestKeepUntil: a value with a time of its own is used until then, and no longer.
func TestKeepUntil(t *testing.T) {
	w := open(t, func(c *reload.Config[string]) {
		c.KeepUntil = func(string) time.Time { return time.Unix(1e9+60, 0) }
	})
	write(t, w.path, "bad")
	w.check(119)
	w.want("one", reload.Stale)
	w.check(1)
	w.want("", reload.Refused)
	write(t, w.path, "two")
	w.check(2)
	w.want("two", reload.Current)
	w.wantReports("current", "stale: malformed", "refused: malformed", "current")
}

// TestClockJumps: the grace period does not depend on the time of day.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		w := open(t, nil)
		w.clock.jump(jump)
		w.want("one", reload.Current)
		write(t, w.path, "bad")
		w.check(10)
		w.want("one", reload.Stale)
		w.clock.jump(-2 * jump)
		w.want("one", reload.Stale)
		w.check(1)
		w.want("", reload.Refused)
	}
}

// TestFilesThatDoNotStopChanging: without two checks that agree, the old value is used for the grace
// period only.
func TestFilesThatDoNotStopChanging(t *testing.T) {
	w := open(t, nil)
	for i := range 10 {
		write(t, w.path, strings.Repeat("x", i+1))
		w.check(1)
		w.want("one", reload.Current)
	}
	write(t, w.path, "y")
	w.check(1)
	w.want("", reload.Refused)
	write(t, w.path, "z")
	w.check(2)
	w.want("z", reload.Current)
	w.wantReports("current", "refused: the files do not stop changing", "current")
}

// TestChangesAfterAFailure: the first failure remains the reason while the file changes again and again.
func TestChangesAfterAFailure(t *testing.T) {
	w := open(t, nil)
	write(t, w.path, "bad")
	w.check(2)
	for i := range 9 {
		write(t, w.path, strings.Repeat("x", i+1))
		w.check(1)
	}
	w.want("", reload.Refused)
	w.wantReports("current", "stale: malformed", "refused: malformed")
}

// TestNobodyChecks: a value whose files are no longer checked is refused, and State says why.
func TestNobodyChecks(t *testing.T) {
	w := open(t, nil)
	w.clock.advance(reload.DefaultGrace)
	w.want("one", reload.Current)
	w.clock.advance(1)
	w.want("", reload.Refused)
	w.Check()
	w.want("one", reload.Current)
}

// TestFilesReplacedOneAfterAnother: between the two writes the files do not belong together.
func TestFilesReplacedOneAfterAnother(t *testing.T) {
	second := filepath.Join(t.TempDir(), "second")
	write(t, second, "one")
	w := open(t, func(c *reload.Config[string]) {
		c.Paths = append(c.Paths, second)
		c.Load = func(files [][]byte, _ string) (string, error) {
			if !bytes.Equal(files[0], files[1]) {
				return "", errors.New("they do not match")
			}
			return string(files[0]), nil
		}
	})
	write(t, w.path, "two")
	w.check(1)
	write(t, second, "two")
	w.check(2)
	w.want("two", reload.Current)
	w.wantReports("current", "current") // the mismatch was too short to be reported

	write(t, w.path, "three")
	w.check(4)
	w.want("two", reload.Stale)
	write(t, second, "three")
	w.check(2)
	w.want("three", reload.Current)
	w.wantReports("current", "current", "stale: they do not match", "current")
}

// TestMovedBoundary: what moves from one file to the next is a change, too.
func TestMovedBoundary(t *testing.T) {
	second := filepath.Join(t.TempDir(), "second")
	write(t, second, "two")
	w := open(t, func(c *reload.Config[string]) { c.Paths = append(c.Paths, second) })
	write(t, w.path, "onet")
	write(t, second, "wo")
	w.check(2)
	w.want("onet+wo", reload.Current)
}

// TestSameFailureAgain: a failure that comes back after a recovery is reported again.
func TestSameFailureAgain(t *testing.T) {
	w := open(t, nil)
	for _, text := range []string{"bad", "one", "bad", "two", "bad"} {
		write(t, w.path, text)
		w.check(2)
	}
	w.wantReports("current", "stale: malformed", "current", "stale: malformed", "current", "stale: malformed")
}

// TestModified: the state has the time of the file that was changed last.
func TestModified(t *testing.T) {
	second := filepath.Join(t.TempDir(), "second")
	write(t, second, "two")
	w := open(t, func(c *reload.Config[string]) { c.Paths = []string{c.Paths[0], second, c.Paths[0]} })
	for path, seconds := range map[string]int64{w.path: 1e9, second: 1e9 + 5} {
		if err := os.Chtimes(path, time.Time{}, time.Unix(seconds, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Reload(); err != nil || !w.State().Modified.Equal(time.Unix(1e9+5, 0)) {
		t.Errorf("%v, %v", err, w.State().Modified)
	}
}

// TestSymbolicLinks: Kubernetes swaps the link of the folder that the file's link points into.
func TestSymbolicLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("creating symbolic links needs a privilege")
	}
	root := t.TempDir()
	link := func(target, name string) {
		t.Helper()
		temporary := filepath.Join(root, "..tmp")
		if err := os.Symlink(target, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"1", "2"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name, "keys"), "v"+name)
	}
	link("1", "..data")
	link(filepath.Join("..data", "keys"), "keys")
	w := open(t, func(c *reload.Config[string]) { c.Paths = []string{filepath.Join(root, "keys")} })
	w.want("v1", reload.Current)
	link("2", "..data")
	if err := os.RemoveAll(filepath.Join(root, "1")); err != nil {
		t.Fatal(err)
	}
	w.check(2)
	w.want("v2", reload.Current)
	if err := os.Remove(filepath.Join(root, "..data")); err != nil { // the secret is gone
		t.Fatal(err)
	}
	w.check(11)
	w.want("", reload.Refused)
}

func TestReloadDoesNotWait(t *testing.T) {
	w := open(t, nil)
	write(t, w.path, "two")
	if err := w.Reload(); err != nil {
		t.Error(err)
	}
	w.want("two", reload.Current)
	write(t, w.path, "bad")
	if err := w.Reload(); !errors.Is(err, errMalformed) {
		t.Error(err)
	}
	w.want("two", reload.Stale)
	write(t, w.path, "two")
	if err := w.Reload(); err != nil {
		t.Error(err)
	}
	w.want("two", reload.Current)
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "bad")
	for name, c := range map[string]reload.Config[string]{
		"no name":         {Paths: []string{path}, Load: join},
		"no files":        {Name: "n", Load: join},
		"no loader":       {Name: "n", Paths: []string{path}},
		"negative grace":  {Name: "n", Paths: []string{path}, Load: join, Grace: -1},
		"malformed file":  {Name: "n", Paths: []string{path}, Load: join},
		"missing file":    {Name: "n", Paths: []string{path + "x"}, Load: join},
		"a folder":        {Name: "n", Paths: []string{filepath.Dir(path)}, Load: join},
		"a file too long": {Name: "n", Paths: []string{path}, Load: join, MaxBytes: 2},
	} {
		if _, err := reload.Open(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestConcurrentUse is for the race detector: readers see whole values while a writer replaces the file.
func TestConcurrentUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not replace a file that is open at nearly all times")
	}
	path := filepath.Join(t.TempDir(), "file")
	texts := map[string]bool{strings.Repeat("a", 5000): true, strings.Repeat("b", 7000): true}
	replace := func(text string) {
		write(t, path+".new", text)
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	}
	replace(strings.Repeat("a", 5000))
	v, err := reload.Open(reload.Config[string]{Name: "n", Paths: []string{path}, Load: join,
		Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { v.Watch(ctx) })
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if text, err := v.Get(); err != nil || !texts[text] {
					t.Errorf("%d bytes, %v", len(text), err)
					return
				}
				_ = v.State()
				runtime.Gosched()
			}
		})
	}
	for range 20 {
		for text := range texts {
			replace(text)
			time.Sleep(5 * time.Millisecond)
		}
	}
	cancel()
	all.Wait()
	if v.State().Reloads == 0 {
		t.Error("no reload took place")
	}
}

// TestWatch: a change takes effect within two intervals, by the real clock's rules.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		v, err := reload.Open(reload.Config[string]{Name: "n", Paths: []string{path}, Load: join})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the service starts slowly
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go v.Watch(ctx)
		synctest.Wait()
		if got, err := v.Get(); got != "one" {
			t.Errorf("%q, %v", got, err)
		}
		write(t, path, "two")
		time.Sleep(2*reload.DefaultInterval + time.Millisecond)
		synctest.Wait()
		if got, err := v.Get(); got != "two" {
			t.Errorf("%q, %v", got, err)
		}
		time.Sleep(time.Hour)
		if got, err := v.Get(); got != "two" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
