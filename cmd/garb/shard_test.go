package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/internal/safefile"
	"garb/shard"
)

// shardedPictures returns a data set with broken pictures in it.
func shardedPictures(t *testing.T) string {
	t.Helper()
	data := drawDataSet(t)
	for _, name := range []string{"test/dark/broken.png", "train/light/0-broken.png", "validation/dark/x.png"} {
		write(t, data, name, []byte("\x89PNG\r\n\x1a\n broken"))
	}
	return data
}

// computeParts runs a command for each shard, and returns the parts, shuffled.
func computeParts(t *testing.T, count int, out string, args ...string) []string {
	t.Helper()
	var parts []string
	for _, i := range rand.Perm(count) {
		s := shard.Shard{Index: i, Count: count}
		text := s.String()
		if i%2 == 1 { // as in a pod
			t.Setenv(jobIndex, strconv.Itoa(i))
			text = strconv.Itoa(count)
		}
		code, printed, errOut := runGarb(t, nil, append(args, "--shard", text, "--out", out)...)
		if code != exitDone || strings.Contains(printed, "accuracy") {
			t.Fatalf("%v of shard %v: %d\n%s%s", args, s, code, printed, errOut)
		}
		parts = append(parts, s.FileName(out))
	}
	return parts
}

// merge merges parts, and returns the merged file.
func merge(t *testing.T, out string, parts []string, args ...string) []byte {
	t.Helper()
	code, _, errOut := runGarb(t, nil, slices.Concat([]string{"merge", "--out", out}, args, parts)...)
	if code != exitDone {
		t.Fatalf("merge: %d\n%s", code, errOut)
	}
	return readFile(t, out)
}

// TestShards: whatever the number of shards, merged they are what one machine prints.
func TestShards(t *testing.T) {
	data := shardedPictures(t)
	t.Setenv("GARB_HOME", t.TempDir())
	missing := filepath.Join(data, "missing.png")
	for _, args := range [][]string{
		{"classify", "--json", data, missing}, {"classify", "--csv", data}, {"classify", "--top", "2", data},
		{"embed", "--json", data}, {"classify", "--json", "--top", "1", missing},
	} {
		_, want, _ := runGarb(t, nil, args...)
		for _, count := range []int{1 + rand.IntN(9), 35} { // or more than there are pictures
			out := filepath.Join(t.TempDir(), "out")
			merged := merge(t, out, computeParts(t, count, out, args...))
			if string(merged) != want {
				t.Errorf("%v in %d shards:\n%s\ninstead of\n%s", args, count, merged, want)
			}
		}
		// Without --out, merge prints.
		out := filepath.Join(t.TempDir(), "out")
		computeParts(t, 3, out, args...)
		if code, printed, errOut := runGarb(t, nil, "merge", out+"-*-of-00003"); code != exitDone || printed != want {
			t.Errorf("%v: %d\n%s%s", args, code, printed, errOut)
		}
	}
}

func TestShardsOfAnArray(t *testing.T) {
	data := shardedPictures(t)
	folder := t.TempDir()
	whole := filepath.Join(folder, "whole.npy")
	// Some pictures cannot be read, so one machine's exit code is 1.
	if code, _, errOut := runGarb(t, nil, "embed", data, "--out", whole); code != exitFailed {
		t.Fatal(code, errOut)
	}
	for _, count := range []int{1 + rand.IntN(9), 35} {
		out := filepath.Join(folder, fmt.Sprintf("parts%d.npy", count))
		merged := merge(t, out, computeParts(t, count, out, "embed", data))
		if !bytes.Equal(merged, readFile(t, whole)) ||
			!bytes.Equal(readFile(t, namePicturesFile(out)), readFile(t, namePicturesFile(whole))) {
			t.Errorf("%d shards give another array", count)
		}
	}
}

// seconds matches the time in an evaluation.
var seconds = regexp.MustCompile(`"seconds":[-+.e0-9]+`)

func TestShardsOfAnEvaluation(t *testing.T) {
	data, other := evaluatedPictures(t)
	folder := t.TempDir()
	for i, args := range [][]string{
		{"--json"}, {"--tta", "flip"}, {"--json", "--other", other}, {"--split", "all", "--json", "--exclude", "dress"},
		{"--split", "test", "--coverage", "0.5"},
	} {
		args = append([]string{"evaluate", "--data", data}, args...)
		name := func(kind, ending string) string {
			return filepath.Join(folder, fmt.Sprintf("%s%d.%s", kind, i, ending))
		}
		code, want, errOut := runGarb(t, nil, append(args, "--html", name("one", "html"), "--predictions",
			name("one", "csv"))...)
		if code != exitDone {
			t.Fatalf("%v: %d\n%s", args, code, errOut)
		}
		for _, count := range []int{1 + rand.IntN(4), 20} { // or more than there are pictures
			out := name("out", "txt")
			merged := merge(t, out, computeParts(t, count, out, args...), "--html", name("all", "html"),
				"--predictions", name("all", "csv"))
			if a, b := seconds.ReplaceAllString(want, ""), seconds.ReplaceAllString(string(merged), ""); a != b {
				t.Errorf("%v in %d shards:\n%s\ninstead of\n%s", args, count, b, a)
			}
			if !bytes.Equal(readFile(t, name("one", "csv")), readFile(t, name("all", "csv"))) {
				t.Errorf("%v in %d shards: the predictions differ", args, count)
			}
			time := regexp.MustCompile(`[0-9.]+ (s|ms|pictures/s)\b`)
			a := time.ReplaceAll(readFile(t, name("one", "html")), nil)
			if b := time.ReplaceAll(readFile(t, name("all", "html")), nil); !bytes.Equal(a, b) {
				t.Errorf("%v in %d shards: the page differs", args, count)
			}
		}
	}
}

// evaluatedPictures returns a data set of garments, and pictures of none, with a broken picture each.
func evaluatedPictures(t *testing.T) (data, other string) {
	t.Helper()
	shirt, cat := readFile(t, example), readFile(t, "../../examples/cat.jpg")
	files, others := map[string][]byte{"test/dress/broken.jpg": []byte("broken")}, map[string][]byte{
		"cats/broken.jpg": []byte("broken"),
	}
	for i := range 3 {
		unique := byte(i) // at the end of a JPEG, which decoders ignore
		for _, split := range []string{"train", "validation", "test"} {
			files[fmt.Sprintf("%s/t-shirt/%d.jpg", split, i)] = append(slices.Clone(shirt), unique, split[1])
			files[fmt.Sprintf("%s/dress/%d.jpg", split, i)] = append(slices.Clone(shirt), unique, split[1], 1)
		}
		others[fmt.Sprintf("cats/%d.jpg", i)] = append(slices.Clone(cat), unique)
	}
	return writeClassFolders(t, t.TempDir(), files), writeClassFolders(t, t.TempDir(), others)
}

// TestShardsOfFeatures: merged features are those of one machine, and a model that is trained on
// either, or on the parts, is the same to the bit as without.
//
//nolint:funlen // one story
func TestShardsOfFeatures(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := shardedPictures(t)
	folder := t.TempDir()
	home := func() { t.Setenv("GARB_HOME", t.TempDir()) } // an empty cache
	home()
	args := []string{"features", "--data", data, "--size", "64"}
	whole := filepath.Join(folder, "whole.safetensors")
	if code, _, errOut := runGarb(t, nil, append(args, "--out", whole)...); code != exitDone ||
		!strings.Contains(errOut, "30 pictures used, 3 skipped") {
		t.Fatal(code, errOut)
	}
	var parts []string
	for _, count := range []int{1 + rand.IntN(5), 35} {
		home()
		out := filepath.Join(folder, fmt.Sprintf("parts%d.safetensors", count))
		parts = computeParts(t, count, out, args...)
		if !bytes.Equal(merge(t, out, parts), readFile(t, whole)) {
			t.Errorf("%d shards give other features", count)
		}
	}
	train := func(features ...string) (model []byte, errOut string) {
		t.Helper()
		home()
		run := filepath.Join(t.TempDir(), "run")
		args := []string{"train", "--data", data, "--size", "64", "--epochs", "1", "--out", run}
		for _, path := range features {
			args = append(args, "--features", path)
		}
		code, _, errOut := runGarb(t, nil, args...)
		models, err := filepath.Glob(filepath.Join(run, "checkpoints", "*.safetensors"))
		if code != exitDone || err != nil || len(models) != 1 {
			t.Fatalf("%v: %d\n%s", features, code, errOut)
		}
		return readFile(t, models[0]), errOut
	}
	slices.Sort(parts) // 33 pictures: the first of 35 shards has none, the last has one
	want, _ := train()
	for _, c := range []struct {
		features []string
		said     string
	}{
		{[]string{whole}, "30 from files, 0 from the cache, 0 computed"},
		{parts, "30 from files, 0 from the cache, 0 computed"},
		{[]string{filepath.Join(folder, "parts35.safetensors-*")}, "30 from files, 0 from the cache, 0 computed"},
		{parts[34:], "1 from files, 0 from the cache, 29 computed"},
		{parts[:1], "0 from files, 0 from the cache, 30 computed"},
	} {
		model, errOut := train(c.features...)
		if !bytes.Equal(model, want) || !strings.Contains(errOut, c.said) {
			t.Errorf("%d files: another model, or: %s", len(c.features), errOut)
		}
	}
	code, _, errOut := runGarb(t, nil, "train", "--data", data, "--size", "96", "--epochs", "1", "--features", whole,
		"--out", filepath.Join(folder, "run"))
	if code != exitFailed || !strings.Contains(errOut, "width (64, not 96)") {
		t.Errorf("features of another size: %d %s", code, errOut)
	}
	changed := readFile(t, whole)
	changed[len(changed)-33] ^= 1 // in the last vector
	flipped := write(t, folder, "flipped.safetensors", changed)
	const says = "was changed after it was written: its content has another digest"
	code, _, errOut = runGarb(t, nil, "merge", "--out", filepath.Join(folder, "x"), whole, flipped)
	if code != exitFailed || !strings.Contains(errOut, says) {
		t.Errorf("merging a flipped bit: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "train", "--data", data, "--size", "64", "--epochs", "1", "--features", flipped,
		"--out", filepath.Join(folder, "run"))
	if code != exitFailed || !strings.Contains(errOut, says) {
		t.Errorf("training with a flipped bit: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "merge", "--out", filepath.Join(folder, "x"), whole, parts[0])
	if code != exitFailed || !strings.Contains(errOut, "one is a shard") {
		t.Errorf("a shard and a whole: %d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, append([]string{"merge", "--out", filepath.Join(folder, "x")}, parts[1:]...)...)
	if code != exitFailed || !strings.Contains(errOut, "1 of 35 parts are missing") {
		t.Errorf("a missing shard: %d %s", code, errOut)
	}
}

// TestMergeRefusesParts: parts that are missing, double, cut, or of another job are named, and nothing
// is written.
//
//nolint:funlen // a table
func TestMergeRefusesParts(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := shardedPictures(t)
	folder := t.TempDir()
	compute := func(name string, count int, args ...string) []string {
		parts := computeParts(t, count, filepath.Join(folder, name), append([]string{"classify", "--json"}, args...)...)
		slices.Sort(parts)
		return parts
	}
	sound := compute("sound", 3, data)
	cut := write(t, folder, "cut", readFile(t, sound[1])[:500])
	text := readFile(t, sound[2])
	longer := write(t, folder, "longer", append(slices.Clone(text), "more"...))
	text[bytes.LastIndex(text, []byte("\n{"))-3] ^= 1
	changed := write(t, folder, "changed", text)
	with := func(i int, path string) []string {
		parts := slices.Clone(sound)
		parts[i] = path
		return parts
	}
	fewer := filepath.Join(data, "test")
	for name, c := range map[string]struct {
		parts []string
		says  string
	}{
		"missing": {sound[:2], "1 of 3 parts are missing: the shards 2/3"},
		"double": {append(slices.Clone(sound), write(t, folder, "copy", readFile(t, sound[1]))),
			"both parts of the shard 1/3"},
		"cut":      {with(1, cut), "cut off"},
		"list":     {with(1, compute("list", 3, fewer)[1]), "the list of pictures"},
		"settings": {with(1, compute("settings", 3, data, "--top", "1")[1]), "--top"},
		"model":    {with(1, compute("model", 3, data, "--model", "imagenet")[1]), "the model"},
		"format": {with(1, computeParts(t, 3, filepath.Join(folder, "csv"), "classify", "--csv", data)[1]),
			"the command"},
		"number":  {with(1, compute("number", 4, data)[1]), "the number of shards"},
		"foreign": {with(1, example), "is not a complete part"},
		"gone":    {with(1, filepath.Join(folder, "gone")), missingText},
		"picture": {[]string{example}, "is neither a part that a command wrote with --shard"},
		"lines": {[]string{write(t, folder, "lines.jsonl", []byte("{\"class\":\"dress\"}\n"))},
			"is neither a part that a command wrote with --shard"},
		"changed": {with(2, changed), "was changed: its content has another digest or size"},
		"longer":  {with(2, longer), "longer than its end line says"},
	} {
		out := filepath.Join(folder, "merged")
		code, printed, errOut := runGarb(t, nil, append([]string{"merge", "--out", out}, c.parts...)...)
		if code != exitFailed || printed != "" || !strings.Contains(errOut, c.says) {
			t.Errorf("%s: %d %s%s", name, code, printed, errOut)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: the file is written", name)
		}
		// What is printed cannot be taken back.
		code, printed, errOut = runGarb(t, nil, append([]string{"merge"}, c.parts...)...)
		if code != exitFailed || printed != "" || !strings.Contains(errOut, c.says) {
			t.Errorf("%s, printed: %d %s%s", name, code, printed, errOut)
		}
	}
	// The same model by another name, and the same settings otherwise.
	if code, _, errOut := runGarb(t, nil, append([]string{"merge", "--out", filepath.Join(folder, "merged")},
		with(1, compute("named", 3, data, "--model", "clothing")[1])...)...); code != exitDone {
		t.Errorf("%d %s", code, errOut)
	}
	code, _, errOut := runGarb(t, nil, append([]string{"merge", "--out", sound[0]}, sound...)...)
	if code != exitFailed || !strings.Contains(errOut, "is also a part") {
		t.Errorf("--out is a part: %d %s", code, errOut)
	}
}

// TestMergeEvaluationChecksItsPictures: the data set must still have the pictures of the parts, and
// settings in a part cannot name a file to write.
func TestMergeEvaluationChecksItsPictures(t *testing.T) {
	data, _ := evaluatedPictures(t)
	folder := t.TempDir()
	out := filepath.Join(folder, "out")
	parts := computeParts(t, 2, out, "evaluate", "--data", data)
	if err := os.Remove(filepath.Join(data, "test", "dress", "1.jpg")); err != nil {
		t.Fatal(err)
	}
	code, _, errOut := runGarb(t, nil, append([]string{"merge", "--out", out}, parts...)...)
	if code != exitFailed || !strings.Contains(errOut, "the data set does not have the pictures of the parts") {
		t.Errorf("%d %s", code, errOut)
	}
	for _, name := range []string{"html", "predictions", "out", "shard", "help", "no-such-flag", "size"} {
		written := filepath.Join(folder, "written")
		part := filepath.Join(folder, "part-"+name)
		h := shard.Header{
			Kind: evaluateKind, Shard: shard.Shard{Count: 1}, List: "x", Settings: map[string][]string{name: {written}},
		}
		if err := shard.Write(part, h, func(io.Writer) (shard.End, error) { return shard.End{}, nil }); err != nil {
			t.Fatal(err)
		}
		code, _, errOut := runGarb(t, nil, "merge", "--out", out, part)
		_, err := os.Stat(written)
		if code != exitFailed || err == nil || !strings.Contains(errOut, "the setting "+name) {
			t.Errorf("%s: %d %s, %v", name, code, errOut, err)
		}
	}
}

func TestShardWrongUse(t *testing.T) {
	t.Setenv(jobIndex, "")
	for _, args := range [][]string{
		{"classify", "--shard", "0/2", "x"}, {"classify", "--shard", "2", "--out", "y", "x"},
		{"classify", "--shard", "3/3", "--out", "y", "x"}, {"classify", "--shard", "-1/3", "--out", "y", "x"},
		{"classify", "--shard", "0/0", "--out", "y", "x"}, {"classify", "--shard", "0/2", "--out", "y", "-"},
		{"classify", "--shard", "0/2", "--out", "y", "--sort-into", "z", "x"}, {"embed", "--shard", "0/2", "x"},
		{"embed", "--shard", "0/2", "--out", "y", "-"}, {"evaluate", "--data", "x", "--shard", "0/2"},
		{"evaluate", "--data", "x", "--shard", "0/2", "--out", "y", "--html", "z"},
		{"evaluate", "--data", "x", "--shard", "0/2", "--out", "y", "--predictions", "z"},
		{"features", "--data", "x", "--shard", "0/2"}, {"features", "--out", "x"},
		{"features", "--data", "x", "--out", "y", "z"},
		{"features", "--data", "x", "--out", "y", "--backbone", "small-cnn"}, {"merge"},
		{"sweep", "--data", "x", "--seeds", "2", "--shard", "0/2"},
		{"train", "--data", "x", "--features", "y", "--fine-tune", "all"},
		{"train", "--data", "x", "--features", "no-such-*.safetensors"},
	} {
		code, out, errOut := runGarb(t, nil, args...)
		if code != exitMisused || out != "" || !strings.Contains(errOut, "--help") {
			t.Errorf("%v: %d %q %q", args, code, out, errOut)
		}
	}
}

// TestStoppedShard: after Ctrl-C there is neither a part nor a half of one.
func TestStoppedShard(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data, _ := evaluatedPictures(t)
	for _, args := range [][]string{
		{"classify", "--json", data}, {"embed", data}, {"evaluate", "--data", data}, {"features", "--data", data},
	} {
		t.Setenv("GARB_HOME", t.TempDir())
		folder := t.TempDir()
		ctx, stop := context.WithCancel(t.Context())
		var errOut bytes.Buffer
		// It stops when the shard was announced: before the first picture.
		code := run(ctx, append(args, "--shard", "0/2", "--out", filepath.Join(folder, "out")), strings.NewReader(""),
			io.Discard, writerFunc(func(p []byte) (int, error) {
				if bytes.Contains(p, []byte("shard 0/2")) {
					stop()
				}
				return errOut.Write(p)
			}))
		if left, err := os.ReadDir(folder); code != exitStopped || err != nil || len(left) > 0 {
			t.Errorf("%v: %d, left %v, %v\n%s", args, code, left, err, &errOut)
		}
		stop()
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestShardsOfASweep: the shards of a sweep train its runs, and the sweep then only ranks them.
func TestShardsOfASweep(t *testing.T) {
	skipSmall(t, "ImageNet network")
	data := drawDataSet(t)
	t.Setenv("GARB_HOME", t.TempDir())
	args := strings.Fields("sweep --size 32 --epochs 1 --batch 4 --seeds 2 --learning-rate 1e-4,0.01")
	args = append(args, "--data", data, "--out")
	whole, parts := filepath.Join(t.TempDir(), "sweep"), filepath.Join(t.TempDir(), "sweep")
	code, want, errOut := runGarb(t, nil, append(args, whole)...)
	if code != exitDone {
		t.Fatal(code, errOut)
	}
	for _, i := range []int{2, 0, 1} {
		finished, out, said := runGarb(t, nil, append(args, parts, "--shard", fmt.Sprintf("%d/3", i))...)
		if finished != exitDone || !strings.HasPrefix(out, "finished ") || strings.Contains(out, "settings") {
			t.Fatal(finished, out, said)
		}
		if ranked, _ := filepath.Glob(filepath.Join(parts, "sweep.json")); ranked != nil {
			t.Error("a shard wrote the ranking")
		}
	}
	code, out, errOut := runGarb(t, nil, append(args, parts)...)
	if code != exitDone || strings.ReplaceAll(out, parts, "") != strings.ReplaceAll(want, whole, "") {
		t.Errorf("%d\n%s%s\ninstead of\n%s", code, out, errOut, want)
	}
	if strings.Contains(errOut, "pictures: ") {
		t.Errorf("the sweep trained again: %s", errOut)
	}
	code, _, errOut = runGarb(t, nil, append(args, parts, "--batch", "3", "--shard", "0/3")...)
	if code != exitFailed || !strings.Contains(errOut, "batch (3, not 4)") {
		t.Errorf("another sweep: %d %s", code, errOut)
	}
}

// TestReadVectors: no body makes it panic, or return more than there is.
func TestReadVectors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		values := rapid.IntRange(1, 3).Draw(t, "values")
		size := 0
		err := readVectors(bytes.NewReader(body), values, func(name string, vector []byte) error {
			size += len(name) + len(vector)
			return nil
		})
		if size > len(body) || err != nil && !errors.Is(err, errVectors) {
			t.Fatal(size, err)
		}
	})
}

// FuzzMerge: no part makes merge panic or write a file that it has refused.
func FuzzMerge(f *testing.F) {
	folder := f.TempDir()
	for _, kind := range []string{"classify as JSON", fmt.Sprintf(vectorsKind, 2), evaluateKind} {
		part := filepath.Join(folder, "part")
		h := shard.Header{Kind: kind, Shard: shard.Shard{Count: 1}, List: "x", Total: 1}
		err := shard.Write(part, h, func(w io.Writer) (shard.End, error) {
			_, err := io.WriteString(w, "\x03abc12345678")
			return shard.End{Rows: 1}, err
		})
		data, readErr := safefile.Read(part, 1<<20)
		if err = errors.Join(err, readErr); err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		folder := t.TempDir()
		part, out := write(t, folder, "part", data), filepath.Join(folder, "out.npy")
		code, _, _ := runGarb(t, nil, "merge", part, "--out", out)
		if _, err := os.Stat(out); code != exitDone && err == nil {
			t.Errorf("exit code %d, but %s is written", code, out)
		}
	})
}
