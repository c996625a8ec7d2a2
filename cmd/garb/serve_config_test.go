//go:build !small

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"garb/serve"
)

// readService returns the service that garb serve would start with.
func readService(t *testing.T, environment map[string]string, args ...string) (*service, error) {
	t.Helper()
	s, flags := newServiceFlags()
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	var err error
	s.settings, err = readSettings(flags, func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	})
	if err == nil {
		err = s.finish()
	}
	return s, err
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	return write(t, t.TempDir(), "garb.yaml", []byte(text))
}

func TestServeConfigPrecedence(t *testing.T) {
	path := writeConfig(t, `# a comment
queue: 100
max-batch: 5
timeout: 10s
addr: :9000
accept: 0.25
quiet: true
allow-url-prefix: [https://a.example/, "https://b.example/"]
model:
  - clothing=clothing
  - big=imagenet
`)
	s, err := readService(t, map[string]string{"GARB_MAX_BATCH": "6", "GARB_TIMEOUT": "20s", "GARB_CONFIG": path},
		"--timeout", "30s", "--model", "only=clothing")
	if err != nil {
		t.Fatal(err)
	}
	c := s.config
	if c.Engine.Queue != 100 || c.Engine.MaxBatch != 6 || c.RequestTimeout != 30*time.Second || c.Addr != ":9000" ||
		s.accept.String() != "0.25" || s.settings.flags.Lookup(quietFlag).Value.String() != "true" {
		t.Errorf("%+v %v", c, s.accept)
	}
	if want := []string{"https://a.example/", "https://b.example/"}; !slices.Equal(c.URLPrefixes, want) {
		t.Errorf("prefixes %v", c.URLPrefixes)
	}
	if want := []serve.NamedModel{{Name: "only", Path: "clothing"}}; !slices.Equal(c.Models.Models, want) {
		t.Errorf("models %v", c.Models.Models)
	}
	for flag, want := range map[string]string{"queue": path + ":2", "max-batch": "GARB_MAX_BATCH",
		"timeout": "--timeout", "workers": "", "model": "--model", "config": "GARB_CONFIG"} {
		if got := s.settings.sources[flag]; got != want {
			t.Errorf("%s comes from %q, not %q", flag, got, want)
		}
	}
	// The printed settings are a file that gives the same ones.
	var printed bytes.Buffer
	if err = s.settings.print(&printed); err != nil {
		t.Fatal(err)
	}
	again, err := readService(t, nil, "--config", writeConfig(t, printed.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, printed.String())
	}
	if diff := cmp.Diff(s.config, again.config); diff != "" || again.accept.String() != "0.25" {
		t.Errorf("%s in\n%s", diff, printed.String())
	}
	for _, line := range []string{"queue: 100 # " + path + ":2\n", "max-batch: 6 # GARB_MAX_BATCH\n",
		"timeout: 30s # --timeout\n", "workers: 0 # default\n",
		"# not set: admin-addr, allow-host, allow-private-prefix, api-key-file, "} {
		if !strings.Contains(printed.String(), line) {
			t.Errorf("no %q in\n%s", line, printed.String())
		}
	}
}

// TestServeConfigHasEveryFlag: each flag of serve can be set by a file.
func TestServeConfigHasEveryFlag(t *testing.T) {
	values := map[string]string{"int": "7", "int64": "7", "float64": "0.5", "duration": "7s", "string": "text",
		"bool": "true", "refuse|keep": "keep",
		"stringArray": "[a, b]", "threshold": "0.5"}
	_, flags := newServiceFlags()
	flags.VisitAll(func(f *pflag.Flag) {
		value := values[f.Value.Type()]
		s := &settings{flags: flags, sources: map[string]string{}, path: writeConfig(t, f.Name+": "+value)}
		err := s.readFile()
		switch {
		case !isSetting(f):
			if err == nil {
				t.Errorf("a file sets --%s", f.Name)
			}
		case err != nil:
			t.Error(err)
		case strings.Trim(f.Value.String(), "[]") != strings.ReplaceAll(strings.Trim(value, "[]"), " ", ""):
			t.Errorf("--%s is %s", f.Name, f.Value)
		}
	})
}

func TestServeConfigSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"queue: 1\nmax-bacth: 2\n":         `garb.yaml:2: unknown setting "max-bacth"; did you mean "max-batch"?`,
		"max_batch: 2\n":                   `garb.yaml:1: unknown setting "max_batch"; did you mean "max-batch"?`,
		"frobnicate: 2\n":                  `garb.yaml:1: unknown setting "frobnicate"`,
		"config: x\n":                      `garb.yaml:1: unknown setting "config"`,
		"\nqueue: many\n":                  `garb.yaml:2: queue: "many": it must be a whole number`,
		"timeout: 30\n":                    `garb.yaml:1: timeout: "30": it must be a duration such as 500ms`,
		"accept: 2\n":                      `garb.yaml:1: accept: "2": `,
		"queue: [1]\n":                     "garb.yaml:1: queue: it must be a single value",
		"model: clothing\n":                "garb.yaml:1: model: it must be a list, such as [a, b]",
		"queue:\n":                         "garb.yaml:1: queue has no value",
		"model:\n  - a: b\n":               "garb.yaml:2: model has no value",
		"queue: {a: 1}\n":                  "garb.yaml:1: queue has no value",
		"a: &x 1\nqueue: *x\n":             "garb.yaml:2: queue has no value",
		"queue: 1\nworkers: 2\nqueue: 3\n": "garb.yaml:3: queue is already set in line 1",
		"[queue]\n":                        "garb.yaml:1: the file must have lines such as max-batch: 8",
		"queue = 8\n":                      "garb.yaml:1: the file must have lines such as max-batch: 8",
		"queue: 1\n---\nqueue: 2\n":        "several documents",
		"queue: [\n":                       "garb.yaml: line ",
		"queue: 0\n":                       "queue 0: must be at least 1",
		"tls-cert: x\n":                    "use both --tls-cert and --tls-key",
	} {
		_, err := readService(t, nil, "--config", writeConfig(t, text))
		if err == nil || !strings.Contains(addHint(err).Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := readService(t, nil, "--config", writeConfig(t, "a: 1\nb: 2\n"))
	if err == nil || strings.Count(err.Error(), "unknown") != 2 {
		t.Errorf("not all errors: %v", err)
	}
	if _, err = readService(t, nil, "--config", "no/garb.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, empty := range []string{"", "# only a comment\n", "---\n", "{}\n"} {
		if _, err := readService(t, nil, "--config", writeConfig(t, empty)); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestServePrintsAndChecksItsSettings(t *testing.T) {
	path := writeConfig(t, "queue: 99\n")
	out, _, err := runCommand(t, newServeCommand(), "--config", path, "--print-config")
	if err != nil || !strings.Contains(out, "queue: 99 # "+path+":1\n") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = runCommand(t, newServeCommand(), "--config", path, "--check-config")
	if err != nil || out != "the settings are valid\n" {
		t.Errorf("%v\n%s", err, out)
	}
	for _, flag := range []string{"--check-config", "--print-config"} {
		var errOut bytes.Buffer
		args := []string{"serve", "--config", writeConfig(t, "queue: no\n"), flag}
		code := run(t.Context(), args, nil, &errOut, &errOut)
		if code != exitMisused || !strings.Contains(errOut.String(), "garb.yaml:1: queue") {
			t.Errorf("%d %s", code, errOut.String())
		}
	}
}

// newTestReloader returns a reloader of a service, with what it applied, counted and logged.
func newTestReloader(t *testing.T, path string, args ...string) (r *reloader, applied *[]serve.Config, failures *int,
	log *bytes.Buffer) {
	t.Helper()
	s, err := readService(t, nil, append([]string{"--config", path}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	applied, failures, log = new([]serve.Config), new(int), new(bytes.Buffer)
	return &reloader{
		current: s,
		apply: func(next *service) error {
			if next.config.APIKeyFile == "refused" {
				return errors.New("the service cannot read its keys")
			}
			*applied = append(*applied, next.config)
			return nil
		},
		count: func(err error) {
			if err != nil {
				*failures++
			}
		},
		log: slog.New(slog.NewTextHandler(log, nil)),
	}, applied, failures, log
}

func TestReload(t *testing.T) {
	path := writeConfig(t, "queue: 100\nmax-batch: 2\ntimeout: 10s\nallow-url-prefix: [https://a.example/]\n")
	r, applied, failures, log := newTestReloader(t, path, "--timeout", "20s")
	first := r.current.config
	for _, step := range []struct {
		name, text string
		want       func(*serve.Config) // changes of the first settings
		log        []string
		failures   int
	}{
		{"a limit and a list", "queue: 200\nmax-batch: 2\ntimeout: 11s\nallow-url-prefix: [https://b.example/]\n",
			func(c *serve.Config) { c.Engine.Queue, c.URLPrefixes = 200, []string{"https://b.example/"} },
			[]string{`level=INFO msg="configuration reloaded"`, `changed="[allow-url-prefix queue]"`}, 0},
		{"nothing", "queue: 200\nmax-batch: 2\nallow-url-prefix: [https://b.example/]\n",
			func(c *serve.Config) { c.Engine.Queue, c.URLPrefixes = 200, []string{"https://b.example/"} },
			[]string{"changed=[]"}, 0},
		{"a bad value", "queue: none\n", nil,
			[]string{"level=ERROR", "the previous settings stay",
				`garb.yaml:1: queue: \"none\": it must be a whole number`}, 1},
		{"settings that contradict each other", "queue: 200\nmax-pictures: 300\n", nil, []string{"level=ERROR"}, 2},
		{"what the service refuses", "api-key-file: refused\n", nil, []string{"cannot read its keys"}, 3},
		{"a setting that needs a restart", "queue: 300\nmax-batch: 8\n",
			func(c *serve.Config) { c.Engine.Queue, c.URLPrefixes = 300, nil },
			[]string{`changed="[allow-url-prefix queue]"`, `msg="changed settings need a restart"`,
				"settings=[max-batch]"}, 3},
		{"the same again", "queue: 300\nmax-batch: 8\n",
			func(c *serve.Config) { c.Engine.Queue, c.URLPrefixes = 300, nil },
			[]string{"changed=[]", "settings=[max-batch]"}, 3},
		{"back to the default", "",
			func(c *serve.Config) { c.Engine.Queue, c.URLPrefixes = serve.Default().Engine.Queue, nil },
			[]string{"changed=[queue]", "settings=[max-batch]"}, 3},
	} {
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		*applied = nil
		log.Reset()
		r.reload()
		for _, want := range step.log {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: no %s in the log:\n%s", step.name, want, log)
			}
		}
		if *failures != step.failures {
			t.Errorf("%s: %d failures", step.name, *failures)
		}
		if step.want == nil {
			if len(*applied) > 0 {
				t.Errorf("%s: it was applied", step.name)
			}
			continue
		}
		want := first
		step.want(&want)
		if len(*applied) != 1 {
			t.Errorf("%s: applied %d times", step.name, len(*applied))
		} else if diff := cmp.Diff(want, (*applied)[0]); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func TestReloadWithoutTheFile(t *testing.T) {
	path := writeConfig(t, "queue: 100\n")
	r, applied, failures, _ := newTestReloader(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if r.reload(); *failures != 1 || len(*applied) != 0 || r.current.config.Engine.Queue != 100 {
		t.Errorf("%d failures, queue %d", *failures, r.current.config.Engine.Queue)
	}
}

// TestReloadableFlagsChangeOnlyWhatTheyName: a reload changes no other field of the settings.
func TestReloadableFlagsChangeOnlyWhatTheyName(t *testing.T) {
	_, flags := newServiceFlags()
	values := map[string]string{"int": "40", "int64": "400000000", "duration": "7s", "string": "keys", "bool": "true",
		"refuse|keep": "keep",
		"stringArray": "[https://b.example/]"}
	for _, name := range reloadableFlags {
		f := flags.Lookup(name)
		if f == nil {
			t.Errorf("there is no --%s", name)
			continue
		}
		path := writeConfig(t, "")
		r, applied, failures, log := newTestReloader(t, path)
		before := reflect.ValueOf(r.current.config)
		value := values[f.Value.Type()]
		if name == "max-body" {
			value = "1000" // the bodies of all requests have to fit
		}
		if err := os.WriteFile(path, []byte(name+": "+value), 0o600); err != nil {
			t.Fatal(err)
		}
		if r.reload(); len(*applied) != 1 || *failures != 0 || !strings.Contains(log.String(), "changed=["+name+"]") {
			t.Errorf("--%s was not applied: %s", name, log)
			continue
		}
		changed, after := 0, reflect.ValueOf((*applied)[0])
		for i := range before.NumField() {
			if !cmp.Equal(before.Field(i).Interface(), after.Field(i).Interface()) {
				changed++
			}
		}
		if want := map[bool]int{true: 0, false: 1}[name == quietFlag || name == verboseFlag]; changed != want {
			t.Errorf("--%s changed %d fields", name, changed)
		}
	}
}

func TestReloadAtHangup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGHUP")
	}
	path := writeConfig(t, "queue: 100\n")
	r, _, _, _ := newTestReloader(t, path)
	reloaded := make(chan int, 1)
	r.apply = func(next *service) error { reloaded <- next.config.Engine.Queue; return nil }
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	go r.watch(t.Context(), hangups)
	if err := os.WriteFile(path, []byte("queue: 150\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = own.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case queue := <-reloaded:
		if queue != 150 {
			t.Errorf("queue %d", queue)
		}
	case <-time.After(10 * time.Second):
		t.Error("SIGHUP changed nothing")
	}
}

func FuzzConfigLines(f *testing.F) {
	for _, text := range []string{"queue: 8\n", "model: [a, b]\n", "a: &x 1\nb: *x\n", "#\n", "---\n...\n",
		"? [a]\n: b\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := parseConfigLines(data)
		for _, l := range lines {
			if err != nil || l.number < 1 || !l.isList && len(l.values) != 1 {
				t.Errorf("%+v, %v", l, err)
			}
		}
	})
}
