package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"garb/serve/engine"
	"garb/serve/enginetest"
	"garb/serve/observe"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(copyTo); folder != "" {
		copySlowly(folder)
		return
	}
	goleak.VerifyTestMain(m)
}

// registry is a registry under test, with a models' folder of its own.
type testRegistry struct {
	*Registry
	t       *testing.T
	folder  string
	metrics *observe.Metrics
	log     *lockedBuffer
}

// lockedBuffer is a log that a test can read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openText opens models that a test writes. The file's text is the digest; one that begins with "bad"
// cannot be used. Further words are options: opposite names the other class, and memory=N is N bytes.
func openText(path string) (engine.Classifier, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(text))
	if len(words) == 0 || words[0] == "bad" {
		return nil, errors.New("its golden logits are off")
	}
	m := &enginetest.Model{Label: words[0]}
	for _, w := range words[1:] {
		if _, err := fmt.Sscanf(w, "memory=%d", &m.Memory); err == nil {
			continue
		}
		m.OnOutputs = func(_ context.Context, inputs, _ []float32) error {
			for i := range inputs {
				inputs[i] = 1 - inputs[i]
			}
			return nil
		}
	}
	return m, nil
}

// newFolder returns a models' folder. Its files are the paths and texts of files, one after another.
func newFolder(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(folder, files[i]), files[i+1])
	}
	return folder
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// openFolder opens a registry of a models' folder; change changes its settings.
func openFolder(t *testing.T, folder string, files fs.FS, change func(*Config)) (*testRegistry, error) {
	t.Helper()
	c := DefaultConfig()
	c.Folder = folder
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if files == nil {
		files = os.DirFS(folder)
	}
	engines := engine.DefaultConfig()
	engines.Workers = 1
	metrics := observe.NewMetrics(func() float64 { return 0 })
	r := &testRegistry{t: t, folder: folder, metrics: metrics, log: &lockedBuffer{}}
	var err error
	r.Registry, err = openFiles(c, engines, openText, r.metrics, slog.New(slog.NewTextHandler(r.log, nil)), files)
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

func mustOpen(t *testing.T, folder string, files fs.FS, change func(*Config)) *testRegistry {
	t.Helper()
	r, err := openFolder(t, folder, files, change)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write writes a file of the models' folder; an empty text removes what has the path.
func (r *testRegistry) write(path, text string) {
	r.t.Helper()
	path = filepath.Join(r.folder, path)
	if text == "" {
		if err := os.RemoveAll(path); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	write(r.t, path, text)
}

// answering returns the digest of what answers for a model, "" if nothing does.
func (r *testRegistry) answering(name, version string) string {
	v, release, err := r.Acquire(name, version, "")
	if err != nil {
		return ""
	}
	defer release()
	return strings.TrimPrefix(v.Digest(), "sha256:")
}

// loadedNumbers returns the numbers of the loaded versions of the model m.
func (r *testRegistry) loadedNumbers() []int {
	numbers := []int{}
	all, _ := r.Versions("m")
	for _, v := range all {
		numbers = append(numbers, v.Number)
	}
	return numbers
}

// metric returns the value of a metric with its labels, "" if it does not exist.
func (r *testRegistry) metric(name string) string {
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *testRegistry) mustScan() {
	r.t.Helper()
	if err := r.scan(); err != nil {
		r.t.Fatal(err)
	}
}

// start opens a registry of one model, m.
func start(t *testing.T, model engine.Classifier) *Registry {
	t.Helper()
	c := DefaultConfig()
	c.Models = []NamedModel{{"m", "somewhere"}}
	r, err := Open(c, engine.DefaultConfig(), func(string) (engine.Classifier, error) { return model, nil },
		observe.NewMetrics(func() float64 { return 0 }), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// TestVersionsInUseAnswer: a version that another took over from answers until its last user is
// done. (That it does not end too early shows only if it is fast enough.)
func TestVersionsInUseAnswer(t *testing.T) {
	r := start(t, &enginetest.Model{})
	old, release, err := r.Acquire("m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	now, err := r.load("m", 1, "elsewhere", "")
	if err != nil {
		t.Fatal(err)
	}
	r.activate(now)
	select {
	case <-old.Ended():
		t.Error("the old version ended while it was in use")
	case <-time.After(50 * time.Millisecond):
	}
	if err := old.WarmUp(t.Context(), make([]float32, enginetest.Spec.ValueCount())); err != nil {
		t.Error(err)
	}
	release()
	<-old.Ended()
}

// TestModelFolders: a version is its one model file, or its folder if that is a run's.
func TestModelFolders(t *testing.T) {
	folder := newFolder(t,
		"m/2/model.safetensors", "x",
		"m/3/model.safetensors", "x", "m/3/notes.txt", "x",
		"m/4/a.safetensors", "x", "m/4/b.safetensors", "x",
		"m/5/checkpoints/a_1_0.5.safetensors", "x",
		"m/6/state.safetensors", "x", "m/6/checkpoints/a_1_0.5.safetensors", "x",
		"m/7/notes.txt", "x",
		"m/12/m.safetensors", "x", "m/-1/m.safetensors", "x", "m/0/m.safetensors", "x", "m/new/m.safetensors", "x",
		"m/012/m.safetensors", "x", "m/13", "x", "m/0021/m.safetensors", "x", "m/+22/m.safetensors", "x")
	if err := os.Mkdir(filepath.Join(folder, "m/1"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := listCandidates(os.DirFS(folder), "m")
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	var numbers []int
	for _, c := range all {
		if numbers = append(numbers, c.number); c.err != nil || (c.path == "") != (c.signature == "") {
			t.Errorf("%+v", c)
		}
		got[c.number] = c.path
	}
	if !slices.Equal(numbers, []int{21, 12, 7, 6, 5, 4, 3, 2, 1}) {
		t.Errorf("the versions are %v", numbers)
	}
	for number, want := range map[int]string{
		1: "", 2: "m/2/model.safetensors", 3: "m/3/model.safetensors", 4: "m/4", 5: "m/5", 6: "m/6", 7: "m/7",
		12: "m/12/m.safetensors", 21: "m/0021/m.safetensors",
	} {
		if got[number] != want {
			t.Errorf("version %d is %q, not %q", number, got[number], want)
		}
	}
}

// TestPolicies: which versions are loaded, and which of them answers.
func TestPolicies(t *testing.T) {
	for _, test := range []struct {
		rules  func(*Config) error
		loaded []int
		main   string
	}{
		{func(*Config) error { return nil }, []int{5}, "five"},
		{func(c *Config) error { return c.AddPolicy("latest:2") }, []int{3, 5}, "five"}, // 4 is bad
		{func(c *Config) error { return c.AddPolicy("latest:9") }, []int{1, 2, 3, 5}, "five"},
		{func(c *Config) error { return c.AddPolicy("all") }, []int{1, 2, 3, 5}, "five"},
		{func(c *Config) error { return c.AddPolicy("specific:1,3,4,7") }, []int{1, 3}, "three"},
		{func(c *Config) error { return errors.Join(c.AddPolicy("specific:1"), c.AddPolicy("m=all")) },
			[]int{1, 2, 3, 5}, "five"},
		{func(c *Config) error { return errors.Join(c.AddPolicy("all"), c.AddPolicy("other=specific:1")) },
			[]int{1, 2, 3, 5}, "five"},
		{func(c *Config) error { return c.AddLabel("m:stable=2") }, []int{2, 5}, "two"},
		{func(c *Config) error { return c.AddLabel("m:stable=4") }, []int{5}, "five"}, // 4 is bad
		{func(c *Config) error { return c.AddLabel("m:canary=5") }, []int{3, 5}, "three"},
		{func(c *Config) error { return errors.Join(c.AddLabel("m:canary=5"), c.AddLabel("m:stable=1")) },
			[]int{1, 3, 5}, "one"},
		{func(c *Config) error { return c.AddShadow("m=5") }, []int{3, 5}, "three"},
		{func(c *Config) error { return errors.Join(c.AddPolicy("specific:5"), c.AddShadow("m=5")) }, []int{5}, "five"},
	} {
		folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "m/3/m.safetensors", "three",
			"m/4/m.safetensors", "bad", "m/5/m.safetensors", "five")
		var rules error
		r := mustOpen(t, folder, nil, func(c *Config) { rules = test.rules(c) })
		if rules != nil {
			t.Fatal(rules)
		}
		for range 2 { // the second scan changes nothing
			if got := r.loadedNumbers(); !slices.Equal(got, test.loaded) {
				t.Errorf("%+v %+v: loaded %v, not %v", r.config.Policies, r.config.Labels, got, test.loaded)
			}
			if got := r.answering("m", ""); got != test.main {
				t.Errorf("%+v %+v: %s answers, not %s", r.config.Policies, r.config.Labels, got, test.main)
			}
			r.mustScan()
		}
		r.Close()
	}
}

// TestAcquire: versions by numbers and labels, and errors that say what there is.
func TestAcquire(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "a/1/m.safetensors", "a")
	r := mustOpen(t, folder, nil, func(c *Config) {
		for _, label := range []string{"m:stable=1", "m:canary=2", "m:gone=7"} {
			if err := c.AddLabel(label); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, test := range []struct{ name, version, want string }{
		{"", "", "a"}, {"m", "", "one"}, {"m", "1", "one"}, {"m", "2", "two"}, {"m", "stable", "one"},
		{"m", "canary", "two"}, {"m", "gone", ""}, {"m", "3", ""}, {"m", "0", ""}, {"m", "-1", ""}, {"m", "02", ""},
		{"m", "x", ""}, {"n", "", ""}, {"a", "stable", ""},
	} {
		if got := r.answering(test.name, test.version); got != test.want {
			t.Errorf("%s, version %q: %q answers, not %q", test.name, test.version, got, test.want)
		}
	}
	_, _, err := r.Acquire("m", "3", "")
	if !errors.Is(err, ErrNoModel) ||
		!strings.Contains(err.Error(), "the versions are 1, 2; the labels are canary=2, gone=7, stable=1") {
		t.Error(err)
	}
	if _, _, err = r.Acquire("a", "3", ""); !strings.Contains(err.Error(), "the only version is 1") {
		t.Error(err)
	}
	if _, err = r.Versions("n"); !errors.Is(err, ErrNoModel) {
		t.Error(err)
	}
	var mains []string
	for _, v := range r.List() {
		mains = append(mains, fmt.Sprint(v.Name, v.Number))
	}
	if !slices.Equal(mains, []string{"a1", "m1"}) {
		t.Errorf("the models that answer are %v", mains)
	}
}

// TestCanary: the canary answers its share, and the same identifier always gets the same version.
func TestCanary(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two")
	r := mustOpen(t, folder, nil, func(c *Config) {
		if err := errors.Join(c.AddLabel("m:canary=2"), c.AddCanary("m=10%")); err != nil {
			t.Fatal(err)
		}
	})
	choose := func(id string) int {
		v, release, err := r.Acquire("m", "", id)
		if err != nil {
			t.Fatal(err)
		}
		release()
		return v.Number
	}
	const n = 10_000
	canary := 0
	for i := range n {
		id := fmt.Sprint("request ", i)
		number := choose(id)
		if number == 2 {
			canary++
		}
		if choose(id) != number {
			t.Fatalf("%s: another version answers the second time", id)
		}
	}
	// Five standard deviations of a binomial distribution are 150.
	if canary < n/10-150 || canary > n/10+150 {
		t.Errorf("the canary answered %d of %d requests", canary, n)
	}
	r.write("m/2", "")
	r.mustScan()
	for i := range 100 {
		if got := choose(fmt.Sprint("request ", i)); got != 1 {
			t.Fatalf("without the canary, version %d answers", got)
		}
	}
}

// faultFS is a file system in which some paths cannot be read.
type faultFS struct {
	fs.FS
	broken sync.Map // path → error
	hidden sync.Map // paths that listings leave out
}

func (f *faultFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.fault(name); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		_, hidden := f.hidden.Load(path.Join(name, e.Name()))
		return hidden
	}), err
}

func (f *faultFS) fault(name string) error {
	for p := name; ; p = path.Dir(p) {
		if err, ok := f.broken.Load(p); ok {
			return &fs.PathError{Op: "open", Path: name, Err: err.(error)}
		}
		if p == "." {
			return nil
		}
	}
}

func (f *faultFS) Open(name string) (fs.File, error) {
	if err := f.fault(name); err != nil {
		return nil, err
	}
	return f.FS.Open(name)
}

func (f *faultFS) Stat(name string) (fs.FileInfo, error) {
	if err := f.fault(name); err != nil {
		return nil, err
	}
	return fs.Stat(f.FS, name)
}

// TestUnreadable: what cannot be read for a moment is not removed: what is loaded stays, with one
// warning, and a metric that counts each check.
func TestUnreadable(t *testing.T) {
	for _, broken := range []string{".", "m", "m/2", "m/2/m.safetensors"} {
		folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two")
		files := &faultFS{FS: os.DirFS(folder)}
		r := mustOpen(t, folder, files, nil)
		files.broken.Store(broken, errors.New("stale file handle"))
		for range 3 {
			_ = r.scan() // an error only for the folder itself
			if got := r.answering("m", ""); got != "two" {
				t.Fatalf("%s cannot be read: %q answers", broken, got)
			}
		}
		if got := strings.Count(r.log.String(), "stale file handle"); got != 1 {
			t.Errorf("%s: the log has %d warnings: %s", broken, got, r.log)
		}
		if got := r.metric(`garb_model_unreadable_total{model="m"}`); got != "3" {
			t.Errorf("%s: the metric is %s", broken, got)
		}
		files.broken.Delete(broken)
		r.mustScan()
		if !strings.Contains(r.log.String(), "can be read again") {
			t.Errorf("%s: the log has no end: %s", broken, r.log)
		}
		r.write("m/3/m.safetensors", "three")
		r.mustScan()
		if got := r.answering("m", ""); got != "three" {
			t.Errorf("%s: after that, %q answers", broken, got)
		}
	}
}

// TestUnlisted: what a listing leaves out is not gone if it exists.
func TestUnlisted(t *testing.T) {
	for _, hidden := range []string{"m", "m/2"} {
		folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "n/1/m.safetensors", "n")
		files := &faultFS{FS: os.DirFS(folder)}
		r := mustOpen(t, folder, files, nil)
		files.hidden.Store(hidden, true)
		for range 2 {
			r.mustScan()
			if got := r.loadedNumbers(); !slices.Contains(got, 2) {
				t.Errorf("%s is not listed, and %v are loaded", hidden, got)
			}
		}
		if got := r.metric(`garb_model_unreadable_total{model="m"}`); got != "2" {
			t.Errorf("%s: the metric is %s", hidden, got)
		}
		files.hidden.Delete(hidden)
		r.mustScan()
		if got := r.loadedNumbers(); !slices.Equal(got, []int{2}) {
			t.Errorf("%s is listed again, and %v are loaded", hidden, got)
		}
	}
}

// TestUnreadableLinks does so with real errors: a link to nothing, and one to itself.
func TestUnreadableLinks(t *testing.T) {
	for _, target := range []string{"nothing", "2"} {
		elsewhere := newFolder(t, "two/m.safetensors", "two")
		folder := newFolder(t, "m/1/m.safetensors", "one")
		link := filepath.Join(folder, "m", "2")
		if err := os.Symlink(filepath.Join(elsewhere, "two"), link); err != nil {
			t.Skip(err)
		}
		r := mustOpen(t, folder, nil, nil)
		if err := errors.Join(os.Remove(link), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
		r.mustScan()
		if got := r.answering("m", ""); got != "two" {
			t.Errorf("%s: %q answers", target, got)
		}
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		r.mustScan()
		if got := r.answering("m", ""); got != "one" {
			t.Errorf("%s: without the link, %q answers", target, got)
		}
	}
}

// TestRemoved: a version that is gone is not served any more, nor is a model; but a folder without
// any entry looks like a volume that is not mounted.
func TestRemoved(t *testing.T) {
	folder := newFolder(t, "a/1/m.safetensors", "a", "b/1/m.safetensors", "b", "b/2/m.safetensors", "b2",
		"c/1/m.safetensors", "c")
	r := mustOpen(t, folder, nil, nil)
	r.write("b/2", "")
	r.write("c/1", "") // the model's folder stays
	r.mustScan()
	if got := []string{r.answering("a", ""), r.answering("b", ""), r.answering("c", "")}; !slices.Equal(got,
		[]string{"a", "b", ""}) {
		t.Errorf("after the versions are gone, %q answer", got)
	}
	r.write("b", "")
	r.mustScan()
	if got := []string{r.answering("a", ""), r.answering("b", "")}; !slices.Equal(got, []string{"a", ""}) {
		t.Errorf("after the model is gone, %q answer", got)
	}
	if got := r.metric(`garb_model_info{digest="sha256:b",model="b",version="1"}`); got != "" {
		t.Errorf("the metric of the removed model is %s", got)
	}
	r.write("a", "")
	r.write("c", "")
	if err := r.scan(); !errors.Is(err, errEmpty) || r.answering("a", "") != "a" {
		t.Errorf("an empty folder: %v", err)
	}
	r.write("a/2/m.safetensors", "new")
	r.mustScan()
	if got := r.answering("a", ""); got != "new" {
		t.Errorf("in the end, %q answers", got)
	}
}

// TestBadStart: a configured model that cannot be used, or a folder without a usable one, is an error.
func TestBadStart(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "bad/1/m.safetensors", "bad", "own", "bad")
	for name, change := range map[string]func(*Config){
		"configured": func(c *Config) { c.Models = []NamedModel{{"own", folder + "/own"}} },
		"too little space": func(c *Config) {
			c.Models, c.MemoryBytes = []NamedModel{{"m", folder + "/m/1/m.safetensors"}}, 1
		},
		"no folder": func(c *Config) { c.Folder = folder + "/nothing" },
		"no usable": func(c *Config) { c.Policies = map[string]Policy{"": {Specific: []int{7}}} },
	} {
		c := Config{Folder: folder}
		change(&c)
		if _, err := openFolder(t, c.Folder, nil, func(to *Config) {
			to.Models, to.MemoryBytes, to.Policies = c.Models, c.MemoryBytes, c.Policies
		}); err == nil {
			t.Errorf("%s: it starts", name)
		}
	}
}

// TestMemoryLimit: a version that would exceed the limit is refused until others have left.
func TestMemoryLimit(t *testing.T) {
	folder := newFolder(t, "a/1/m.safetensors", "a memory=6000000", "b/1/m.safetensors", "b memory=3000000")
	r := mustOpen(t, folder, nil, func(c *Config) { c.MemoryBytes, c.Control = 10_000_000, true })
	r.write("b/2/m.safetensors", "b2 memory=3000000") // both versions of b would be in memory for a moment
	r.mustScan()
	r.mustScan()
	if got := r.answering("b", ""); got != "b" {
		t.Errorf("%q answers", got)
	}
	if got := r.metric(`garb_model_refused_total{model="b"}`); got != "1" {
		t.Errorf("the metric is %s", got)
	}
	if !strings.Contains(r.log.String(), "it needs about 4 MB, 10 of 10 MB are in use") {
		t.Errorf("the log is %s", r.log)
	}
	if err := r.Unload("a"); err != nil {
		t.Fatal(err)
	}
	r.retiring.Wait()
	r.mustScan()
	if got := r.answering("b", ""); got != "b2" {
		t.Errorf("with free memory, %q answers", got)
	}
	r.retiring.Wait()
	if err := r.Load("a"); err != nil {
		t.Error(err)
	}
	r.retiring.Wait()
	if r.memory < 9_000_000 || r.memory > 10_000_000 {
		t.Errorf("%d bytes are counted", r.memory)
	}
}

// TestWarmUpPictures: a version must classify the given pictures.
func TestWarmUpPictures(t *testing.T) {
	photo, err := os.ReadFile("../../examples/t-shirt.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		files map[string]string
		want  string // in the error; "" if there is none
	}{
		{map[string]string{"a.jpg": string(photo), "b.jpg": string(photo), ".hidden": "x"}, ""},
		{map[string]string{"a.jpg": string(photo), "b.jpg": string(photo[:500])}, "b.jpg"},
		{map[string]string{"notes.txt": "x"}, "notes.txt"},
		{nil, "0 pictures"},
	} {
		pictures := t.TempDir()
		for name, text := range test.files {
			write(t, filepath.Join(pictures, name), text)
		}
		folder := newFolder(t, "m/1/m.safetensors", "one")
		r, err := openFolder(t, folder, nil, func(c *Config) { c.WarmUp = pictures })
		if (err == nil) != (test.want == "") || !strings.Contains(r.log.String(), test.want) {
			t.Errorf("%v: %v; %s", test.want, err, r.log)
		}
		if err == nil {
			if got := r.models["m"].main.Statistics(); got.Executions != 0 || got.Success.Count != 0 {
				t.Errorf("the statistics count the warm-up: %+v", got)
			}
		}
	}
}
