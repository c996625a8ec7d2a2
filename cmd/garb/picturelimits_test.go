package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// readsNoPictures are the commands with flags for models or data sets that decode no picture, or, as
// queue work, take the limits from elsewhere.
var readsNoPictures = []string{"convert", "data from-feedback", "data relabel", "queue work"}

// TestCommandsHaveLimitFlags checks that every command that reads pictures says which it accepts.
func TestCommandsHaveLimitFlags(t *testing.T) {
	var visit func(c *cobra.Command)
	found := 0
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		name := strings.TrimPrefix(c.CommandPath(), "garb ")
		reads := slices.ContainsFunc([]string{"model", "data", "image-column", "photos"}, func(flag string) bool {
			return c.Flags().Lookup(flag) != nil
		}) && !slices.Contains(readsNoPictures, name)
		for _, flag := range []string{"max-pixels", "truncated"} {
			if has := c.Flags().Lookup(flag) != nil; has != reads {
				t.Errorf("%s: --%s is there: %v", name, flag, has)
			}
		}
		if reads {
			found++
		}
	}
	visit(newRootCommand())
	if found < 10 {
		t.Errorf("only %d commands read pictures", found)
	}
}

func TestLimitFlags(t *testing.T) {
	for _, test := range []struct {
		pixels, truncated string
		want              func(l *picture.Limits)
	}{
		{"", "", func(*picture.Limits) {}},
		{"1200", "keep", func(l *picture.Limits) {
			l.MaxPixels, l.MaxDecodedPixels, l.KeepTruncated = 1200, 1200, true
		}},
		{"", "refuse", func(*picture.Limits) {}},
		{"0", "", nil}, {"-1", "", nil}, {"many", "", nil}, {"1e6", "", nil}, {"", "yes", nil},
	} {
		var f limitFlags
		c := &cobra.Command{}
		f.add(c.Flags())
		var err error
		if test.pixels != "" {
			err = c.Flags().Set("max-pixels", test.pixels)
		}
		if test.truncated != "" {
			err = errors.Join(err, c.Flags().Set("truncated", test.truncated))
		}
		if (err == nil) != (test.want != nil) {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		want := picture.DefaultLimits()
		if err == nil {
			test.want(&want)
			if got := f.limits(); got != want {
				t.Errorf("%+v: %+v", test, got)
			}
		}
	}
}

// TestTruncatedPictures reads a photo that is cut short, with commands of each kind.
func TestTruncatedPictures(t *testing.T) {
	photo, err := os.ReadFile("../../examples/t-shirt.jpg")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	cut := filepath.Join(data, "t-shirt", "cut.jpg")
	for path, content := range map[string][]byte{
		cut: photo[:len(photo)*9/10], filepath.Join(data, "t-shirt", "whole.jpg"): photo,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"classify", cut},
		{"embed", cut, "--json"},
		{"explain", cut, "--out", filepath.Join(t.TempDir(), "new")},
		{"evaluate", "--data", data, "--strict"},
		{"data", "check", data},
	} {
		code, out, errOut := runGarb(t, nil, args...)
		if code == exitDone || !strings.Contains(out+errOut, "cut off") {
			t.Errorf("%q: %d, %s%s", args, code, out, errOut)
		}
		if args[0] == "classify" && !strings.Contains(errOut, "use --truncated keep") {
			t.Errorf("%q: no hint in %s", args, errOut)
		}
		if args[0] == "explain" { // the folder of the first try may be there
			args[len(args)-1] = filepath.Join(t.TempDir(), "again")
		}
		code, out, errOut = runGarb(t, nil, append(args, "--truncated", "keep")...)
		if args[0] == "data" { // all pictures are of one class, which fails
			if !strings.Contains(out, "repaired") || !strings.Contains(out, "cut.jpg (") {
				t.Errorf("%q, kept: %s%s", args, out, errOut)
			}
		} else if code != exitDone {
			t.Errorf("%q, kept: %d, %s%s", args, code, out, errOut)
		}
	}
	code, out, errOut := runGarb(t, nil, "classify", cut, "--truncated", "keep", "--max-pixels", "1000")
	if code == exitDone || !strings.Contains(errOut, "too large") || !strings.Contains(errOut, "raise --max-pixels") {
		t.Errorf("--max-pixels: %d, %s%s", code, out, errOut)
	}
}

// TestDataCheckKinds names pictures of unusual kinds.
func TestDataCheckKinds(t *testing.T) {
	data := t.TempDir()
	for name, from := range map[string]string{
		"a/turned.png": "orientation6.jpg", "a/moves.gif": "animated.gif", "b/clear.png": "alpha.png",
		"b/deep.png": "bits16.png",
	} {
		content, err := os.ReadFile(filepath.Join("../../picture/testdata", from))
		path := filepath.Join(data, name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(t.TempDir(), "check.html")
	_, out, errOut := runGarb(t, nil, "data", "check", data, "--html", page)
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err, errOut)
	}
	for _, want := range []string{
		"turned.png (it is jpeg)", "moves.gif", "clear.png", "deep.png (16 bits)", "turned.png (6)",
	} {
		if !strings.Contains(out, want) || !bytes.Contains(html, []byte(want)) {
			t.Errorf("no %q in\n%s%s", want, out, errOut)
		}
	}
	_, out, _ = runGarb(t, nil, "data", "check", data, "--json")
	var h dataset.Health
	if err := json.Unmarshal([]byte(out), &h); err != nil {
		t.Fatal(err)
	}
	counts := map[dataset.Kind]int{}
	for _, k := range h.Kinds {
		counts[k.Kind] = k.Count
	}
	for kind, want := range map[dataset.Kind]int{
		dataset.KindExtension: 1, dataset.KindAnimated: 1, dataset.KindAlpha: 2, dataset.KindDeep: 1,
		dataset.KindOrientation: 1, dataset.KindGrey: 1, dataset.KindCMYK: 0,
	} {
		if counts[kind] != want {
			t.Errorf("%s: %d, want %d", kind, counts[kind], want)
		}
	}
}

// convertToKeras writes the model clothing as a Keras file in a new folder, and returns the arguments
// that convert it back to the file native.
func convertToKeras(t *testing.T) (folder, native string, convert []string) {
	folder = t.TempDir()
	file := filepath.Join(folder, "own.keras")
	if code, out, errOut := runGarb(t, nil, "convert", "clothing", file); code != exitDone {
		t.Fatal(out, errOut)
	}
	native = filepath.Join(folder, "back.safetensors")
	return folder, native, []string{"convert", "--force", file, native,
		"--classes", "dress,hat,longsleeve,outwear,pants,shirt,shoes,shorts,skirt,t-shirt"}
}

// TestConvertOrientation checks what converted models do with EXIF's orientation, and that garb says
// so.
func TestConvertOrientation(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder, native, convert := convertToKeras(t)
	for _, test := range []struct {
		flags []string
		want  picture.Orientation
		says  string
	}{
		{nil, picture.ApplyOrientation, "turned upright, as their EXIF says; override"},
		{[]string{"--exif-orientation", "ignore"}, picture.IgnoreOrientation,
			"not turned, whatever their EXIF says, as requested"},
		{[]string{"--exif-orientation", "apply"}, picture.ApplyOrientation,
			"turned upright, as their EXIF says, as requested"},
	} {
		code, out, errOut := runGarb(t, nil, slices.Concat(convert, test.flags)...)
		if code != exitDone || !strings.Contains(out, test.says) {
			t.Errorf("%v: %d, %s%s", test.flags, code, out, errOut)
			continue
		}
		m, err := model.Open(native, model.Options{})
		if err != nil || m.Spec().Orientation != test.want {
			t.Errorf("%v: %v, %v", test.flags, m.Spec(), err)
		}
		_, out, _ = runGarb(t, nil, "models", "show", native)
		if says := strings.Contains(out, "EXIF orientation ignored"); says != (test.want == picture.IgnoreOrientation) {
			t.Errorf("%v: models show says: %s", test.flags, out)
		}
	}
	unnamed := slices.DeleteFunc(slices.Clone(convert), func(s string) bool { return s == "--classes" })[:4]
	code, out, errOut := runGarb(t, nil, append(unnamed, "--exif-orientation", "ignore")...)
	if code != exitDone || !strings.Contains(out, "as requested") {
		t.Errorf("without --classes: %d, %s%s", code, out, errOut)
	}
	code, _, errOut = runGarb(t, nil, "data", "check", folder, "--exif-orientation", "ignore")
	if code == exitDone || !strings.Contains(errOut, "requires --labels-quality") {
		t.Errorf("data check: %d, %s", code, errOut)
	}
}

// TestIgnoredOrientation checks that a picture is classified as it is stored by a model that ignores
// EXIF's orientation.
func TestIgnoredOrientation(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder, native, convert := convertToKeras(t)
	photo, err := os.ReadFile("../../examples/dress.jpg")
	if err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00II*\x00\x08\x00\x00\x00" + // a directory of one entry: orientation 6
		"\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00")
	segment := append(binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2)), exif...)
	turned := slices.Concat(photo[:2], segment, photo[2:])
	answers := map[string]string{}
	for name, data := range map[string][]byte{"photo.jpg": photo, "turned.jpg": turned} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"apply", "ignore"} {
			runGarb(t, nil, append(slices.Clone(convert), "--exif-orientation", flag)...)
			_, out, errOut := runGarb(t, nil, "embed", "--json", "--model", native, path)
			_, vector, ok := strings.Cut(out, `"embedding":`)
			if !ok {
				t.Fatal(out, errOut)
			}
			answers[name+" "+flag] = vector
		}
	}
	plain := answers["photo.jpg apply"]
	if plain != answers["photo.jpg ignore"] || plain != answers["turned.jpg ignore"] ||
		plain == answers["turned.jpg apply"] {
		t.Error("orientations are not applied or ignored as the model says")
	}
}
