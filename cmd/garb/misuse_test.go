package main

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDidYouMean: errors about unknown names suggest what was probably meant, at every level.
func TestDidYouMean(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // in the error; "" for no proposal
	}{
		{[]string{"clasify", example}, `did you mean "garb classify"?`},
		{[]string{"classif"}, `did you mean "garb classify"?`},
		{[]string{"data", "chek"}, `did you mean "garb data check"?`},
		{[]string{"models", "shw"}, `did you mean "garb models show"?`},
		{[]string{"train", "--lerning-rate", "3"}, "train has no flag --lerning-rate; did you mean --learning-rate?"},
		{[]string{"train", "--learning_rate", "3"}, "did you mean --learning-rate?"},
		{[]string{"data", "check", "--jsn"}, "data check has no flag --jsn; did you mean --json?"},
		{[]string{"classify", "-top", "3"}, "classify has no flag -top; did you mean --top?"},
		{[]string{"--vesion"}, "garb has no flag --vesion; did you mean --version?"},
		{[]string{"classify", "--quite", example}, "did you mean --quiet?"},
		{[]string{"models", "pull", "xceptoin"}, "did you mean xception?"},
		{[]string{"help", "clasify"}, `did you mean "garb classify"?`},
		{[]string{"help", "data", "chek"}, `did you mean "garb data check"?`},
		{[]string{"hlep"}, `did you mean "garb help"?`},
		{[]string{"frobnicate"}, ""},
		{[]string{"data", "frobnicate"}, ""},
		{[]string{"train", "--frobnicate"}, ""},
	} {
		code, out, errOut := runGarb(t, nil, c.args...)
		if code != exitMisused || out != "" {
			t.Errorf("%v: %d %q", c.args, code, out)
		}
		if c.want == "" && strings.Contains(errOut, "did you mean") || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: %q, want %q", c.args, errOut, c.want)
		}
	}
	if code, out, _ := runGarb(t, nil, "help", "data", "check"); code != exitDone || !strings.Contains(out,
		"garb data check DATA") {
		t.Errorf("help: %d %s", code, out)
	}
	_, _, errOut := runGarb(t, nil, "data", "frobnicate")
	if !strings.Contains(errOut, "check, crops, from-feedback, preview, pull") ||
		!strings.Contains(errOut, "garb data --help") {
		t.Error(errOut)
	}
}

// TestFlagValues: an error about a value names the flag and says what the value must be.
func TestFlagValues(t *testing.T) {
	skipSmall(t, "service")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"train", "--epochs", "many"}, `--epochs "many": it must be a whole number`},
		{[]string{"classify", "--max-pixels", "0"},
			`--max-pixels "0": it must be a positive number of pixels, such as 150000000`},
		{[]string{"train", "--seed", "-1"}, `--seed "-1": it must be a whole number, not negative`},
		{[]string{"train", "--dropout", "x"}, `--dropout "x": it must be a number`},
		{[]string{"train", "--binary=maybe"}, `--binary "maybe": it must be true or false`},
		{[]string{"classify", "--max-pixels", "0"}, `--max-pixels "0": it must be a positive number of pixels`},
		{[]string{"serve", "--accept", "most"},
			`--accept "most": an acceptance threshold is a number from 0 to 1, or all`},
		{[]string{"serve", "--accept", "NaN"}, `--accept "NaN": an acceptance threshold is a number`},
		{[]string{"serve", "--accept", "1.5"}, `--accept "1.5": an acceptance threshold is a number`},
		{[]string{"serve", "--timeout", "soon"}, `--timeout "soon": it must be a duration such as`},
	} {
		code, _, errOut := runGarb(t, nil, c.args...)
		if code != exitMisused || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: %d %q, want %q", c.args, code, errOut, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"adam", "adamw", "sgd"}
	for word, want := range map[string]string{"adma": "adam", "Adam": "adam", "adamww": "adamw", "sdg": "sgd",
		"sgd_": "sgd", "rmsprop": "", "": "", "x": ""} {
		if got := findNearest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := findNearest("val", []string{"validation", "values"}); got != "" {
		t.Errorf("two names begin so, but it is %q", got)
	}
}

// TestDistance: countEdits is a metric, and counts single edits as one.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"chek", "check", 1}, {"adma", "adam", 1}, {"kitten", "sitting", 3},
		{"größe", "grösse",
			2}} {
		if got := countEdits(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.StringOfN(rapid.RuneFrom([]rune("abü")), 0, 8, -1)
		a, b := letters.Draw(t, "a"), letters.Draw(t, "b")
		x, y := len([]rune(a)), len([]rune(b))
		d := countEdits(a, b)
		if (d == 0) != (a == b) || d != countEdits(b, a) || d > max(x, y) || d < max(x-y, y-x) {
			t.Errorf("%q, %q: %d", a, b, d)
		}
	})
	if long := strings.Repeat("a", 1<<20); countEdits(long, "a") != 1<<20 {
		t.Error("a long word was compared")
	}
}

// TestBackboneMeant: the error about an unknown backbone suggests the one that was probably
// meant, or lists all.
func TestBackboneMeant(t *testing.T) {
	for name, want := range map[string]string{
		"efficientnet-lit0": "did you mean efficientnet-lite0?", "Xceptoin": "did you mean xception?",
		"vgg16": "there are efficientnet-lite0, ",
	} {
		code, _, errOut := runGarb(t, nil, "embed", "--backbone", name, example)
		if code != exitMisused || !strings.Contains(errOut, want) {
			t.Errorf("%s: %d %s", name, code, errOut)
		}
	}
}
