package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/train"
)

func TestSourceText(t *testing.T) {
	odd := filepath.Join(t.TempDir(), "photos:2")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]train.Source{
		"a":           {Path: "a", Weight: 1},
		"a:0.5":       {Path: "a", Weight: 0.5},
		`C:\pictures`: {Path: `C:\pictures`, Weight: 1},
		`C:\p:3`:      {Path: `C:\p`, Weight: 3},
		odd:           {Path: odd, Weight: 1}, // a folder of this name exists
		odd + ":4":    {Path: odd, Weight: 4},
	} {
		got, err := parseSource(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
		if again, err := parseSource(formatSource(got)); err != nil || again != got {
			t.Errorf("%q, written %q, is %+v, %v", text, formatSource(got), again, err)
		}
	}
	for _, text := range []string{"", "a:0", "a:-1", "a:NaN"} {
		if s, err := parseSource(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}

// TestSourcesOfFlagsAndFile: flags that name data sets replace those of a settings file,
// separately for each flag.
func TestSourcesOfFlagsAndFile(t *testing.T) {
	skipSmall(t, "settings files in YAML")
	file := filepath.Join(t.TempDir(), "run.yaml")
	err := os.WriteFile(file, []byte(`data: first
sources: [{path: second, weight: 0.5}, {path: pasted, weight: 1, train_only: true}]
other: [{path: cats, weight: 2}]
`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		flags   []string
		data    string
		weight  float64
		sources []train.Source
		other   []train.Source
	}{
		"the file alone": {nil, "first", 0, []train.Source{{Path: "second", Weight: .5},
			{Path: "pasted", Weight: 1, TrainOnly: true}}, []train.Source{{Path: "cats", Weight: 2}}},
		"other data": {[]string{"--data", "a:2", "--data", "b"}, "a", 2, []train.Source{{Path: "b", Weight: 1},
			{Path: "pasted", Weight: 1, TrainOnly: true}}, []train.Source{{Path: "cats", Weight: 2}}},
		"other training data": {[]string{"--train-data", "c:3"}, "first", 0,
			[]train.Source{{Path: "second", Weight: .5},
				{Path: "c", Weight: 3, TrainOnly: true}}, []train.Source{{Path: "cats", Weight: 2}}},
		"other pictures": {[]string{"--other", "dogs", "--other", "walls:0.1"}, "first", 0,
			[]train.Source{{Path: "second", Weight: .5}, {Path: "pasted", Weight: 1, TrainOnly: true}},
			[]train.Source{{Path: "dogs", Weight: 1}, {Path: "walls", Weight: .1}}},
	} {
		got, err := parseConfig(t, append([]string{"--config", file}, c.flags...)...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Data != c.data || got.DataWeight != c.weight {
			t.Errorf("%s: data %q with the weight %v", name, got.Data, got.DataWeight)
		}
		if diff := cmp.Diff(c.sources, got.Sources); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(c.other, got.Other); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
