package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCompletion runs the queries of a shell.
func TestCompletion(t *testing.T) {
	skipSmall(t, "service")
	for _, c := range []struct {
		args      []string
		want      []string
		directive string
	}{
		{[]string{"train", "--optimizer", ""}, []string{"adam", "adamw", "sgd"}, "NoFileComp"},
		{[]string{"train", "--optimizer", "s"}, []string{"sgd"}, "NoFileComp"},
		{[]string{"train", "--optimizer=adam"}, []string{"adam", "adamw"}, "NoFileComp"},
		{[]string{"train", "--schedule", ""}, []string{"constant", "step", "cosine", "one-cycle"}, "NoFileComp"},
		{[]string{"lr-find", "--monitor", ""}, []string{"accuracy", "loss"}, "NoFileComp"},
		{[]string{"train", "--fine-tune", ""}, []string{"none", "all"}, "NoFileComp"},
		{[]string{"train", "--resize", "b"}, []string{"bilinear", "bicubic"}, "NoFileComp"},
		{[]string{"train", "--backbone", "x"}, []string{"xception"}, "Default"},
		{[]string{"train", "--size", "2"}, []string{"224", "240", "260", "280", "299"}, "NoFileComp"},
		{[]string{"train", "--teacher", "clothing,im"}, []string{"clothing,imagenet"}, "Default"},
		{[]string{"train", "--epochs", ""}, nil, "NoFileComp"},
		{[]string{"train", "--data", ""}, []string{"csv", "tsv", "zip", "tar", "gz", "tgz"}, "FilterFileExt"},
		{[]string{"train", "--out", ""}, nil, "FilterDirs"},
		{[]string{"train", "--config", ""}, []string{"json", "yaml", "yml"}, "FilterFileExt"},
		{[]string{"train", "--resume", ""}, nil, "FilterDirs"},
		{[]string{"train", ""}, nil, "NoFileComp"},
		{[]string{"sweep", "--optimizer", "adam,s"}, []string{"adam,sgd"}, "NoFileComp"},
		{[]string{"sweep", "--backbone", "xception,small"}, []string{"xception,small-cnn"}, "Default"},
		{[]string{"convert", "--dtype", ""}, []string{"float16", "float32", "int8"}, "NoFileComp"},
		{[]string{"convert", "--quantize", ""}, []string{"int8"}, "NoFileComp"},
		{[]string{"convert", "--preprocess", "res"}, []string{"rescale", "resnet50"}, "NoFileComp"},
		{[]string{"map", "--method", ""}, []string{"tsne", "pca"}, "NoFileComp"},
		{[]string{"map", "--out", ""}, []string{"html"}, "FilterFileExt"},
		{[]string{"embed", "--out", ""}, []string{"npy"}, "FilterFileExt"},
		{[]string{"evaluate", "--split", ""}, []string{"validation", "test", "all"}, "NoFileComp"},
		{[]string{"classify", "--model", ""}, []string{"clothing", "garments", "imagenet"}, "Default"},
		{[]string{"classify", ""}, pictureFiles.endings, "FilterFileExt"},
		{[]string{"compare", "clo"}, []string{"clothing"}, "Default"},
		{[]string{"models", "pull", "xc"}, []string{"xception"}, "NoFileComp"},
		{[]string{"models", "show", "ima"}, []string{"imagenet"}, "Default"},
		{[]string{"data", "pull", "clothing-s"}, []string{"clothing-small"}, "NoFileComp"},
		{[]string{"serve", "--models", ""}, nil, "FilterDirs"},
	} {
		code, out, _ := runGarb(t, nil, append([]string{"__complete"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		got := slices.DeleteFunc(lines[:len(lines)-1], func(line string) bool { return line == "" })
		if code != exitDone || !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%v: %d %v, want %v", c.args, code, got, c.want)
		}
		directive := map[string]string{":0": "Default", ":4": "NoFileComp", ":8": "FilterFileExt",
			":16": "FilterDirs"}[lines[len(lines)-1]]
		if directive != c.directive {
			t.Errorf("%v: %s, want %s", c.args, lines[len(lines)-1], c.directive)
		}
	}
}

// TestCompletionOfCommands: commands are still suggested, also by help, and the scripts exist.
func TestCompletionOfCommands(t *testing.T) {
	for _, args := range [][]string{{"__complete", "cla"}, {"__complete", "help", "cla"}} {
		if _, out, _ := runGarb(t, nil, args...); !strings.HasPrefix(out, "classify") {
			t.Errorf("%v: %s", args, out)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, _ := runGarb(t, nil, "completion", shell); code != exitDone ||
			!strings.Contains(out, "__complete") {
			t.Errorf("%s: %d", shell, code)
		}
	}
}

// TestEveryFlagHasValues: flagValues has exactly the flags that take text. A new flag needs a
// row there.
func TestEveryFlagHasValues(t *testing.T) {
	skipSmall(t, "service")
	used := map[string]bool{}
	arguments := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "garb ")
		arguments[name] = true
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			own := name + " " + f.Name
			_, ownRow := flagValues[own]
			_, row := flagValues[f.Name]
			switch f.Value.Type() {
			case "bool", "int", "int64", "uint64", "float64", "duration":
			default:
				if !ownRow && !row {
					t.Errorf("--%s of %s is not in flagValues", f.Name, name)
				}
			}
			if ownRow {
				used[own] = true
			} else {
				used[f.Name] = true
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand())
	for name := range flagValues {
		if !used[name] {
			t.Errorf("flagValues has %q, which is no flag", name)
		}
	}
	for name := range argumentValues {
		if !arguments[name] {
			t.Errorf("argumentValues has %q, which is no command", name)
		}
	}
}

// TestChoices: an invalid value is refused before anything is done, and the error suggests the
// value that was probably meant.
func TestChoices(t *testing.T) {
	skipSmall(t, "service")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"train", "--data", "x", "--optimizer", "adma"},
			`--optimizer "adma": it must be adam, adamw or sgd; did you mean adam?`},
		{[]string{"sweep", "--data", "x", "--optimizer", "adam,sdg"},
			`--optimizer "adam,sdg": it must be adam, adamw or sgd; did you mean sgd?`},
		{[]string{"train", "--data", "x", "--schedule", "cosinus"}, "did you mean cosine?"},
		{[]string{"embed", "--backbone", "xception", "--resize", "lanczos", example},
			`--resize "lanczos": it must be nearest, bilinear or bicubic` + "\n"},
		{[]string{"map", "--data", "x", "--method", "umap"}, "it must be tsne or pca"},
		{[]string{"convert", "--dtype", "float8", "a", "b.safetensors"}, "did you mean float16?"},
		{[]string{"convert", "--quantize", "int4", "a", "b.onnx"}, "it must be int8; did you mean int8?"},
	} {
		code, _, errOut := runGarb(t, nil, c.args...)
		if code != exitMisused || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: %d %q, want %q", c.args, code, errOut, c.want)
		}
	}
	// Nothing is a value where it is the default.
	if code, _, errOut := runGarb(t, nil, "embed", "--resize", "", "--json", example); code != exitDone {
		t.Errorf("%d %s", code, errOut)
	}
}
