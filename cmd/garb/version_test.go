package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"garb/model"
)

func TestBuildOf(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	commit := []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef0123"), setting("vcs.time",
		"2026-07-01T12:00:00Z")}
	clean, changed := append(commit[:2:2], setting("vcs.modified", "false")),
		append(commit[:2:2], setting("vcs.modified",
			"true"))
	for name, c := range map[string]struct {
		info *debug.BuildInfo
		want string
		json string
	}{
		"no info": {nil, "(commit unknown, date unknown, " + runtime.Version() + ")",
			`"commit":"unknown","commit_date":"unknown","dirty":null`},
		"no commit": {&debug.BuildInfo{}, "(commit unknown, date unknown, " + runtime.Version() + ")",
			`"commit":"unknown","commit_date":"unknown","dirty":null`},
		"clean": {&debug.BuildInfo{Settings: clean},
			"(commit 0123456789ab, date 2026-07-01, " + runtime.Version() + ")",
			`"commit":"0123456789abcdef0123","commit_date":"2026-07-01T12:00:00Z","dirty":false`},
		"changed": {&debug.BuildInfo{Settings: changed}, "(commit 0123456789ab with changes, date 2026-07-01, " +
			runtime.Version() + ")", `"dirty":true`},
		"short": {&debug.BuildInfo{Settings: []debug.BuildSetting{setting("vcs.revision", "1"), setting("vcs.time",
			"2026")}}, "(commit 1, date 2026, " + runtime.Version() + ")", `"dirty":null`},
	} {
		b := describeBuild(c.info)
		if got, want := b.String(), "garb "+model.Version+" "+c.want; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		text, err := json.Marshal(b)
		if err != nil || !strings.Contains(string(text), c.json) {
			t.Errorf("%s: %s, %v, want %s", name, text, err, c.json)
		}
	}
}

func TestVersion(t *testing.T) {
	skipSmall(t, "ImageNet network")
	code, out, _ := runGarb(t, nil, "version")
	if code != exitDone || !strings.Contains(out, model.Version) || strings.Count(out, "sha256:") != 3 ||
		!strings.Contains(out, "commit    ") {
		t.Errorf("%d\n%s", code, out)
	}
	code, out, errOut := runGarb(t, nil, "--version")
	if code != exitDone || out != readBuild().String()+"\n" || errOut != "" {
		t.Errorf("%d %q %q", code, out, errOut)
	}
	code, out, _ = runGarb(t, nil, "version", "--json")
	o := decodeObject(t, out, "version", "commit", "commit_date", "dirty", "go", "os", "arch", "kernels", "threads",
		"models")
	if code != exitDone || o["version"] != model.Version || o["os"] != runtime.GOOS ||
		o["threads"] != float64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%d %v", code, o)
	}
	models := o["models"].([]any)
	if len(models) != 3 || models[0].(map[string]any)["name"] != model.Clothing ||
		!strings.HasPrefix(models[1].(map[string]any)["digest"].(string), "sha256:") {
		t.Errorf("%v", models)
	}
}
