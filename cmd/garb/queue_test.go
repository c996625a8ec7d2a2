//go:build !small

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// runQueue runs a command of garb queue on a folder and fails if its exit code is another.
func runQueue(t *testing.T, want int, dir, command string, args ...string) (out, errOut string) {
	t.Helper()
	code, out, errOut := runGarb(t, nil, append([]string{"queue", command, "--queue", dir}, args...)...)
	if code != want {
		t.Fatalf("garb queue %s %v: exit code %d: %s%s", command, args, code, out, errOut)
	}
	return out, errOut
}

// drawQueued draws pictures, and a file that is none.
func drawQueued(t *testing.T) string {
	t.Helper()
	data := filepath.Join(drawDataSet(t), "train")
	if err := os.WriteFile(filepath.Join(data, "dark", "broken.png"), []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	return data
}

// The rows of a job are those of garb classify --json, byte for byte, and of garb embed --json.
func TestQueueAnswersLikeClassify(t *testing.T) {
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	for task, command := range map[string][]string{
		"classify": {"classify", "--json", "--top", "2", data}, "embed": {"embed", "--json", data},
	} {
		args := []string{"--job", task, "--task", task, "--batch", "3", data}
		if task == "classify" {
			args = append(args, "--top", "2")
		}
		if _, said := runQueue(t, 0, dir, "put", args...); !strings.Contains(said, "put 17 pictures") {
			t.Error(said)
		}
		if _, said := runQueue(t, 1, dir, "get", "--job", task); !strings.Contains(said, "17 of 17") ||
			!strings.Contains(said, "--partial") {
			t.Error(said)
		}
		if _, said := runQueue(t, 0, dir, "work", "--job", task); !strings.Contains(said, "with 1 dead letter") {
			t.Error(said)
		}
		_, want, _ := runGarb(t, nil, command...)
		got, _ := runQueue(t, 0, dir, "get", "--job", task)
		if got != want {
			t.Errorf("%s: got\n%s, want\n%s", task, got, want)
		}
		file := filepath.Join(t.TempDir(), "rows.jsonl")
		runQueue(t, 0, dir, "get", "--job", task, "--out", file)
		if !bytes.Equal(readFile(t, file), []byte(want)) {
			t.Errorf("%s: --out has other rows", task)
		}
	}
}

// The limits and the threshold of a job are those of garb classify with the same flags: of a picture that
// is cut short, and of one that the model accepts by itself.
func TestQueueKeepsItsSettings(t *testing.T) {
	data := t.TempDir()
	whole := readFile(t, "../../examples/t-shirt.jpg")
	write(t, data, "cut.jpg", whole[:len(whole)*3/4])
	write(t, data, "whole.jpg", whole)
	for _, flags := range [][]string{{"--truncated", "keep"}, {"--accept", "1"}, {"--max-pixels", "1000"}} {
		dir := filepath.Join(t.TempDir(), "queue")
		runQueue(t, 0, dir, "put", append([]string{data}, flags...)...)
		runQueue(t, 0, dir, "work")
		got, _ := runQueue(t, 0, dir, "get")
		_, want, _ := runGarb(t, nil, append([]string{"classify", "--json", data}, flags...)...)
		_, plain, _ := runGarb(t, nil, "classify", "--json", data)
		if got != want || want == plain {
			t.Errorf("%v: got\n%s, want\n%s, unlike\n%s", flags, got, want, plain)
		}
	}
}

// Features of a job are those of garb features, to the byte.
func TestQueueFeatures(t *testing.T) {
	root, dir := drawDataSet(t), filepath.Join(t.TempDir(), "queue")
	want, got := filepath.Join(t.TempDir(), "a.safetensors"), filepath.Join(t.TempDir(), "b.safetensors")
	code, out, errOut := runGarb(t, nil, "features", "--data", root, "--size", "32", "--out", want)
	if code != 0 {
		t.Fatal(out, errOut)
	}
	runQueue(t, 0, dir, "put", "--task", "features", "--size", "32", root)
	runQueue(t, 0, dir, "work")
	runQueue(t, 0, dir, "get", "--out", got)
	if !bytes.Equal(readFile(t, got), readFile(t, want)) {
		t.Error("the files of features differ")
	}
	if _, said := runQueue(t, 1, dir, "get"); !strings.Contains(said, ".safetensors") {
		t.Error(said)
	}
}

// The status counts and lists dead letters. A changed file is one, until it is put again.
func TestQueueStatus(t *testing.T) {
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	runQueue(t, 0, dir, "put", data)
	if _, said := runQueue(t, 1, dir, "status", "--job", "other"); !strings.Contains(said, `there is no job "other"`) {
		t.Error(said)
	}
	if _, said := runQueue(t, 0, dir, "put", data); !strings.Contains(said,
		"put 0 pictures into job default; it had 17") {
		t.Error(said)
	}
	if _, said := runQueue(t, 1, dir, "put", "--top", "9", data); !strings.Contains(said, "another top: 3, not 9") {
		t.Error(said)
	}
	changed := filepath.Join(data, "dark", "1.png")
	picture := readFile(t, changed)
	if err := os.WriteFile(changed, append(slices.Clone(picture), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	runQueue(t, 0, dir, "work", "--threads", "2")
	out, _ := runQueue(t, 0, dir, "status", "--json")
	var s statusLine
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Put != 17 || s.Done != 15 || s.Dead != 2 || s.Left != 0 {
		t.Errorf("%v: %s", err, out)
	}
	for _, field := range []string{`"deadline_seconds":15}`, `"pictures_per_second":`, `"remaining_seconds":0,`} {
		if !strings.Contains(out, field) {
			t.Errorf("no %s in %s", field, out)
		}
	}
	if out, _ = runQueue(t, 0, dir, "status", "--watch"); !strings.Contains(out, "default: 17 put, 15 done, 2 dead") {
		t.Error(out)
	}
	if out, _ = runQueue(t, 0, dir, "status"); !strings.Contains(out, "dead                2") {
		t.Error(out)
	}
	out, _ = runQueue(t, 0, dir, "status", "--dead")
	if !strings.Contains(out, "broken.png: not a picture") || !strings.Contains(out, "1.png: the file was changed") {
		t.Error(out)
	}
	if _, said := runQueue(t, 0, dir, "put", data); !strings.Contains(said, "put 1 picture ") {
		t.Error(said)
	}
	if _, said := runQueue(t, 0, dir, "put", "--retry-dead"); !strings.Contains(said, "put 2 dead letters in again") {
		t.Error(said)
	}
	if _, said := runQueue(t, 0, dir, "get", "--partial"); !strings.Contains(said, "3 pictures left") {
		t.Error(said)
	}
	runQueue(t, 0, dir, "delete", "--job", "default")
	if _, said := runQueue(t, 0, dir, "status"); !strings.Contains(said, "no jobs") {
		t.Error(said)
	}
}

// Wrong arguments are refused before anything is opened.
func TestQueueMisuse(t *testing.T) {
	dir, empty := filepath.Join(t.TempDir(), "queue"), t.TempDir()
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"put"}, exitMisused, "put needs a picture"},
		{[]string{"put", "--task", "cook", "x"}, exitMisused, "task"},
		{[]string{"put", "--job", "a b", "x"}, exitMisused, "job name"},
		{[]string{"put", "--task", "features", "--model", "garments", "x"}, exitMisused, "--backbone"},
		{[]string{"put", "--task", "embed", "--top", "1", "x"}, exitMisused, "--top is for --task classify"},
		{[]string{"put", "--task", "features", "--accept", "0.5", "x"}, exitMisused, "--accept is for --task classify"},
		{[]string{"put", "--size", "96", "x"}, exitMisused, "--size is for --task features"},
		{[]string{"put", "--exif-orientation", "ignore", "x"}, exitMisused,
			"--exif-orientation is for --task features"},
		{[]string{"put", "--retry-dead", "--top", "1"}, exitMisused, "--retry-dead"},
		{[]string{"put", "--retry-dead", "--exif-orientation", "ignore"}, exitMisused, "--retry-dead"},
		{[]string{"put", "--batch", "0", "x"}, exitMisused, "--batch"},
		{[]string{"work", "--nats", "nats://127.0.0.1:1"}, exitMisused, "exclude each other"},
		{[]string{"work", "--listen", "127.0.0.1:0"}, exitMisused, queueTokenVariable},
		{[]string{"work", "--threads", "-1"}, exitMisused, "--threads"},
		{[]string{"delete"}, exitMisused, "--job"},
		{[]string{"status", "--dead", "--watch"}, exitMisused, "exclude each other"},
		{[]string{"put", empty}, exitFailed, "no pictures"},
		{[]string{"put", filepath.Join(empty, "gone.jpg")}, exitFailed, "no such file"},
	} {
		if _, said := runQueue(t, test.code, dir, test.args[0], test.args[1:]...); !strings.Contains(said, test.says) {
			t.Errorf("%v: %s", test.args, said)
		}
	}
	for _, folder := range []string{filepath.Join(empty, "queue"), empty} { // there is none, and it is no queue
		for _, args := range [][]string{{"status"}, {"work"}, {"get"}, {"delete", "--job", "x"}} {
			_, said := runQueue(t, exitFailed, folder, args[0], args[1:]...)
			if !strings.Contains(said, "no queue in "+folder+"; see --queue, or start one with garb queue put") {
				t.Errorf("%v: %s", args, said)
			}
		}
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Error("a command that reads has made files of a queue:", entries, err)
	}
	// Another model than the job's.
	runQueue(t, 0, dir, "put", drawQueued(t))
	for range 2 { // also when the job is complete
		_, said := runQueue(t, 1, dir, "work", "--model", "garments")
		if !strings.Contains(said, "another digest") || strings.Contains(said, "this worker:") {
			t.Error(said)
		}
		runQueue(t, 0, dir, "work")
	}
}

// TestQueuePutKnowsItsFlags: the lists of flags that a job stores name flags of put, and all of them but
// those that say where the queue is and what to put.
func TestQueuePutKnowsItsFlags(t *testing.T) {
	c := newQueuePutCommand()
	listed := slices.Concat(jobFlags, onlyClassify, onlyFeatures)
	for _, name := range listed {
		if c.Flags().Lookup(name) == nil {
			t.Errorf("put has no flag --%s", name)
		}
	}
	others := []string{"queue", "nats", "nats-creds", "listen", "job", "replicas", "retry-dead", strictFlag}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(listed, f.Name) && !slices.Contains(others, f.Name) {
			t.Errorf("--%s is in no list: does the job store it?", f.Name)
		}
	})
}

// TestQueuePage parses the commands of docs/queue.md.
func TestQueuePage(t *testing.T) {
	page := string(readFile(t, "../../docs/queue.md"))
	t.Setenv(queueTokenVariable, "secret")
	commands := 0
	for line := range strings.Lines(page) {
		words := strings.Fields(strings.ReplaceAll(line, "'", ""))
		if len(words) < 3 || words[0] != "garb" || words[1] != "queue" {
			continue
		}
		commands++
		c, rest, err := newRootCommand().Find(words[1:])
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil || c.Name() != words[2] {
			t.Errorf("%s: %v", line, err)
		}
	}
	if commands < 15 {
		t.Errorf("%d commands", commands)
	}
}
