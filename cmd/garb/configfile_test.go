package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/train"
)

// parseConfig returns the settings that garb train would run with.
func parseConfig(t *testing.T, args ...string) (train.Config, error) {
	t.Helper()
	flags := newTrainFlags()
	command := &cobra.Command{Use: "train", RunE: func(c *cobra.Command, _ []string) error { return flags.finish(c) }}
	flags.add(command)
	_, _, err := runCommand(t, command, args...)
	return flags.config, err
}

func TestConfigPrecedence(t *testing.T) {
	skipSmall(t, "settings files in YAML")
	folder := t.TempDir()
	file := func(name, text string) string { return write(t, folder, name, []byte(text)) }
	base := []string{"--data", "pictures", "--out", "o"}
	for name, c := range map[string]struct {
		file  string
		flags []string
		same  []string // the flags that come to the same settings without a file
	}{
		"a few keys as JSON": {file("a.json", `{"data": "pictures", "epochs": 20, "augment": {"zoom": 0.2}}`), nil,
			[]string{"--epochs", "20", "--zoom", "0.2"}},
		"a few keys as YAML": {file("a.yaml",
			"data: pictures\nepochs: 20\nlearning_rate: 1e-2\naugment:\n  zoom: 0.2\n  horizontal_flip: true\n"), nil,
			[]string{"--epochs", "20", "--learning-rate", "0.01", "--zoom", "0.2", "--horizontal-flip"}},
		"flags take precedence": {file("b.yml", "data: other\nepochs: 20\nbatch: 8\n"),
			[]string{"--data", "pictures", "--epochs", "10"}, []string{"--batch", "8"}}, // 10 epochs are the default
		"a flag back to its default": {file("c.yaml",
			"data: pictures\nbinary: true\ninner: [100]\nteachers: [clothing]\nfine_tune: all\n"),
			[]string{"--binary=false", "--inner", "0", "--fine-tune", "2"},
			[]string{"--teacher", "clothing", "--fine-tune", "2"}},
		"a list is replaced": {file("d.yaml",
			"data: pictures\nfine_tune: all\nteachers: [clothing, imagenet]\nteacher_weight: 0.3\n"),
			[]string{"--teacher", "imagenet"},
			[]string{"--fine-tune", "all", "--teacher", "imagenet", "--teacher-weight", "0.3"}},
		"a backbone brings its preprocessing": {file("e.yaml", "data: pictures\nbackbone: xception\n"), nil,
			[]string{"--backbone", "xception"}},
		"a part of the preprocessing": {file("f.yaml",
			"data: pictures\nbackbone: xception\npreprocessing: {width: 150, height: 150}\n"), nil,
			[]string{"--backbone", "xception", "--size", "150"}},
		"a size for the file's": {file("g.yaml",
			"data: pictures\nbackbone: xception\npreprocessing: {filter: bicubic}\n"),
			[]string{"--size", "150"},
			[]string{"--backbone", "xception", "--size", "150", "--resize", "bicubic"}},
		"another backbone": {file("h.yaml",
			"data: pictures\nbackbone: xception\nweights: x.h5\npreprocessing: {width: 150, height: 150}\n"),
			[]string{"--backbone", "efficientnet-lite1"}, []string{"--backbone", "efficientnet-lite1"}},
		"defaults of fine-tuning": {file("i.yaml", "data: pictures\nfine_tune: all\n"), nil,
			[]string{"--fine-tune", "all"}},
		"own rate with fine-tuning": {file("j.yaml",
			"data: pictures\nfine_tune: all\nlearning_rate: 0.001\nschedule: constant\n"), nil,
			[]string{"--fine-tune", "all", "--learning-rate", "0.001", "--schedule", "constant"}},
		"a large seed": {file("k.json", `{"data": "pictures", "seed": 18446744073709551615}`), nil,
			[]string{"--seed", "18446744073709551615"}},
		"a large seed as YAML": {file("k.yaml", "data: pictures\nseed: 18446744073709551615\n"), nil,
			[]string{"--seed", "18446744073709551615"}},
		"its folder is not taken": {file("l.yaml", "data: pictures\nout: taken\n"), nil, nil},
	} {
		got, err := parseConfig(t, append([]string{"--config", c.file, "--out", "o"}, c.flags...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := parseConfig(t, append(base, c.same...)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestConfigDefaultOut: a file without --out gets the default folder, not its own.
func TestConfigDefaultOut(t *testing.T) {
	skipSmall(t, "settings files in YAML")
	file := write(t, t.TempDir(), "out.yaml", []byte("data: pictures\nout: taken\n"))
	got, err := parseConfig(t, "--config", file)
	if err != nil || !strings.HasPrefix(got.Out, filepath.Join("runs", "pictures-")) {
		t.Errorf("folder %q, %v", got.Out, err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	skipSmall(t, "settings files in YAML")
	folder := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"a.json":     {`{"epoch": 3}`, `unknown key "epoch"; did you mean "epochs"?`},
		"b.yaml":     {"augment:\n  zom: 3\n", `unknown key "augment.zom"; did you mean "augment.zoom"?`},
		"c.yaml":     {"learning-rate: 3\n", `unknown key "learning-rate"; did you mean "learning_rate"?`},
		"d.yaml":     {"frobnicate: 3\n", `unknown key "frobnicate"`},
		"e.json":     {`{"epochs": "many"}`, `the value of "epochs" is a string; it must be a whole number`},
		"f.yaml":     {"epochs: 1.5\n", `must be a whole number`},
		"g.yaml":     {"fine_tune: 3\n", `the value of "fine_tune" is a number; it must be text, in quotes`},
		"h.yaml":     {"augment: 3\n", `must be an object`},
		"i.yaml":     {"inner: 3\n", `must be a list`},
		"j.yaml":     {"", "no settings"},
		"k.json":     {"[1]", "no settings"},
		"l.json":     {`{"epochs": 3`, "unexpected end"},
		"m.yaml":     {"epochs: [", "yaml"},
		"n.yaml":     {"epochs: 3\n---\nepochs: 4\n", "several documents"},
		"o.txt":      {"epochs: 3\n", "must end in .json, .yaml or .yml"},
		"p.yaml":     {"epochs: 3\nepochs: 4\n", "already defined"},
		"q.yaml":     {"epochs: .inf\n", "Inf"},
		"r.yaml":     {"augment: {1: 2}\n", "keys that are not text"},
		"s.yaml":     {"optimizer: adma\n", "adam, adamw, sgd"},
		"t.yaml":     {"backbone: resnet\n", "resnet"},
		"large.json": {strings.Repeat(" ", maxConfigBytes+1), "large"},
	} {
		path := write(t, folder, name, []byte(c.text))
		_, err := parseConfig(t, "--data", "pictures", "--config", path)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := parseConfig(t, "--config", filepath.Join(folder, "nix.json")); err == nil {
		t.Error("no file, no error")
	}
	if _, err := parseConfig(t, "--config", write(t, folder, "data.yaml", []byte("epochs: 3\n"))); err == nil ||
		!strings.Contains(err.Error(), "--data") {
		t.Errorf("no data: %v", err)
	}
}

// TestConfigOfARun: the config.json of a run gives the same settings to train, sweep and
// lr-find.
func TestConfigOfARun(t *testing.T) {
	skipSmall(t, "ImageNet network")
	folder := t.TempDir()
	want, err := parseConfig(t, "--data", "pictures", "--out", filepath.Join(folder, "run"), "--backbone", "xception",
		"--size", "150", "--momentum", "0", "--warm-up", "0", "--validation-share", "0.3", "--test-share", "0",
		"--split-seed", "0", "--seed", "0", "--inner", "5", "--tensorboard", "--zoom", "0.1", "--epochs", "3")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err = os.Mkdir(want.Out, 0o755); err != nil {
		t.Fatal(err)
	}
	path := write(t, want.Out, "config.json", text)
	for _, named := range []string{path, want.Out} {
		got, parseErr := parseConfig(t, "--config", named, "--out", want.Out)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	small := write(t, folder, "small.yaml",
		[]byte("data: "+data+"\nbatch: 4\nepochs: 1\npreprocessing: {width: 32, height: 32}\n"))
	out, _, err := runCommand(t, newLRFindCommand(), "--config", small, "--steps", "10", "--json")
	if err != nil || !strings.Contains(out, "proposed") {
		t.Errorf("lr-find: %v %s", err, out)
	}
	sweep := filepath.Join(folder, "sweep")
	out, _, err = runCommand(t, newSweepCommand(), "--config", small, "--learning-rate", "1e-3,1e-2", "--out", sweep,
		"--tensorboard")
	if err != nil || strings.Count(out, "learning-rate=") != 2 {
		t.Errorf("sweep: %v %s", err, out)
	}
	events, err := filepath.Glob(filepath.Join(sweep, "*", "seed1", "tensorboard", "events.out.tfevents.*"))
	if err != nil || len(events) != 2 {
		t.Errorf("event files: %v, %v", events, err)
	}
	if _, _, err := runCommand(t, newTrainCommand(), "--resume", want.Out, "--config", path); err == nil ||
		!strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("resume: %v", err)
	}
}

// TestConfigKeepsZeros: a setting with a nonzero default is written even if it is zero.
// Otherwise reading the file would give the default.
func TestConfigKeepsZeros(t *testing.T) {
	var check func(name string, v reflect.Value)
	check = func(name string, v reflect.Value) {
		for i := range v.NumField() {
			f, tag := v.Type().Field(i), v.Type().Field(i).Tag.Get("json")
			if f.Type.Kind() == reflect.Struct {
				check(name+f.Name+".", v.Field(i))
			} else if !v.Field(i).IsZero() &&
				(strings.Contains(tag, "omitempty") || strings.Contains(tag, "omitzero")) {
				t.Errorf("%s%s is not written when it is zero, and its default is %v", name, f.Name, v.Field(i))
			}
		}
	}
	check("", reflect.ValueOf(train.Default()))
}

// TestFlagsAreRemembered: the value of each flag can be set again, as --config and --resume
// do.
func TestFlagsAreRemembered(t *testing.T) {
	for _, command := range []*cobra.Command{newTrainCommand(), newSweepCommand(), newLRFindCommand()} {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			text := map[string]string{"bool": "true", "int": "3", "uint64": "3", "float64": "0.25", "string": "a",
				"stringSlice": "a,b", "names": "a=b", "DATA[:WEIGHT]": "a:2",
				"refuse|keep": "keep", "apply|ignore": "ignore", "DIR[:WEIGHT]": "a:2", "shard": "1/2"}[f.Value.Type()]
			if text == "" {
				t.Fatalf("--%s of %s: no value of type %s is tried here", f.Name, command.Name(), f.Value.Type())
			}
			if err := command.Flags().Set(f.Name, text); err != nil {
				t.Fatal(err)
			}
			before := f.Value.String()
			given := rememberFlags(command)
			other := map[string]string{"bool": "false", "stringSlice": "c", "names": "c=d",
				"refuse|keep": "refuse", "apply|ignore": "apply", "shard": "0/3"}[f.Value.Type()]
			if other == "" {
				other = "7"
			}
			if err := f.Value.Set(other); err != nil {
				t.Fatal(err)
			}
			if err := given.restore(); err != nil || f.Value.String() != before {
				t.Errorf("--%s of %s: %q became %q, %v", f.Name, command.Name(), before, f.Value.String(), err)
			}
		})
	}
}
