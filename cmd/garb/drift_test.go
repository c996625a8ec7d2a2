package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"garb/answers"
	"garb/internal/drawn"
	"garb/model"
	"garb/picture"
)

// drawPictures draws garments, the same number of each class, from pictures first on.
func drawPictures(t *testing.T, first, perClass int) (pictures [][]byte, classes []string) {
	t.Helper()
	for _, class := range drawn.Garments() {
		for i := range perClass {
			p, err := drawn.DrawGarment(class, uint64(first+i))
			if err != nil {
				t.Fatal(err)
			}
			pictures, classes = append(pictures, encodeDrawn(t, p)), append(classes, class)
		}
	}
	return pictures, classes
}

func encodeDrawn(t *testing.T, p *picture.RGB) []byte {
	t.Helper()
	var b bytes.Buffer
	m := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:], p.Pix[3*i:][:3])
		m.Pix[4*i+3] = 255
	}
	if err := encodePNG(m)(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// storeAnswers classifies pictures with the built-in model, and stores the answers as a service does.
// The requests are named request-0 and so on.
func storeAnswers(t *testing.T, c answers.Config, pictures [][]byte) *answers.Writer {
	t.Helper()
	classifier, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.Queue = len(pictures)
	w, err := answers.NewWriter(c, slog.New(slog.DiscardHandler), answers.Events{})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range pictures {
		w.Store(answerOf(t, classifier, fmt.Sprintf("request-%d", i), data), data)
	}
	return w
}

// answerOf returns the record of the answer to a picture.
func answerOf(t *testing.T, classifier *model.Classifier, id string, data []byte) *answers.Record {
	t.Helper()
	embedding, err := classifier.Embed(context.Background(), data)
	row := make([]float32, classifier.OutputCount())
	if err == nil {
		err = classifier.HeadOutputs(context.Background(), embedding, row)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &answers.Record{
		RequestID: id, Time: time.Now(), Model: answers.Model{Name: "clothing", Digest: classifier.Digest()},
		Picture: answers.Picture{Format: "png"}, Embedding: embedding,
	}
	r.SetAnswer(classifier.Answer(row))
	return r
}

func closeAnswers(t *testing.T, w *answers.Writer) {
	t.Helper()
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// writeReference writes a data set of drawn garments.
func writeReference(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	pictures, classes := drawPictures(t, 0, 4)
	for i, data := range pictures {
		if err := os.MkdirAll(filepath.Join(folder, classes[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, classes[i]), fmt.Sprintf("%d.png", i), data)
	}
	return folder
}

func TestDrift(t *testing.T) {
	reference := writeReference(t)
	same, _ := drawPictures(t, 1000, 4)
	var other [][]byte
	for i := range 40 {
		p, _ := drawn.DrawOther(1, i)
		other = append(other, encodeDrawn(t, p))
	}
	for name, test := range map[string]struct {
		pictures [][]byte
		asJSON   bool
		code     int
		word     string
	}{
		"same":  {append(same, same[0], same[1]), true, exitDone, `"drift":false`},
		"other": {other, false, exitDrift, "acceptance and embeddings (alpha 0.01)"},
	} {
		c := answers.Default(t.TempDir())
		c.KeepPictures = true
		closeAnswers(t, storeAnswers(t, c, test.pictures))
		page := filepath.Join(t.TempDir(), "drift.html")
		args := []string{"drift", "--reference", reference, "--answers", c.Folder, "--out", page}
		if test.asJSON {
			args = append(args, "--json")
		}
		code, out, errOut := runGarb(t, nil, args...)
		if code != test.code || !strings.Contains(out, test.word) || json.Valid([]byte(out)) != test.asJSON {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errOut)
		}
		if repeated := strings.Contains(errOut, "2 answers to pictures"); repeated != (name == "same") {
			t.Errorf("%s: %s", name, errOut)
		}
		html, err := os.ReadFile(page)
		pictures := bytes.Count(html, []byte("<img"))
		if err != nil || !bytes.Contains(html, []byte("<svg")) || pictures != 24 {
			t.Errorf("%s: a page of %d bytes with %d pictures, %v", name, len(html), pictures, err)
		}
	}
}

// TestDriftRefuses: other errors have other exit codes than drift.
func TestDriftRefuses(t *testing.T) {
	reference := writeReference(t)
	few, empty, mixed, foreign := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	pictures, _ := drawPictures(t, 0, 1)
	closeAnswers(t, storeAnswers(t, answers.Default(few), pictures[:3]))
	classifier, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	unknown := "sha256:" + strings.Repeat("0", 64)
	for folder, digests := range map[string][]string{mixed: {classifier.Digest(), unknown}, foreign: {unknown}} {
		w := storeAnswers(t, answers.Default(folder), pictures[:1])
		closeAnswers(t, w)
		if w, err = answers.NewWriter(answers.Default(folder), slog.Default(), answers.Events{}); err != nil {
			t.Fatal(err)
		}
		for i, digest := range digests {
			r := answerOf(t, classifier, fmt.Sprint(i), pictures[0])
			r.Model.Digest = digest
			w.Store(r, nil)
		}
		closeAnswers(t, w)
		if folder == foreign { // without the answer of the built-in model
			names, err := filepath.Glob(filepath.Join(folder, "answers-*"))
			if err != nil || len(names) != 2 || os.Remove(names[0]) != nil {
				t.Fatal(names, err)
			}
		}
	}
	for _, test := range []struct {
		args []string
		code int
		word string
	}{
		{[]string{"--answers", few}, exitMisused, "--reference"},
		{[]string{"--reference", reference}, exitMisused, "--answers"},
		{[]string{"--reference", reference, "--answers", few, "--alpha", "0"}, exitMisused, "--alpha"},
		{[]string{"--reference", reference, "--answers", few, "--since", "yesterday"}, exitMisused, "24h"},
		{[]string{"--reference", reference, "--answers", few, "--since", "1h", "--until", "2h"}, exitMisused, "before"},
		{[]string{"--reference", reference, "--answers", few}, exitFailed, "too few answers"},
		{[]string{"--reference", reference, "--answers", few, "--until", "2020-01-01"}, exitFailed, "in this time"},
		{[]string{"--reference", reference, "--answers", empty}, exitFailed, "no answers"},
		{[]string{"--reference", reference, "--answers", filepath.Join(empty, "none")}, exitFailed, missingText},
		{[]string{"--reference", reference, "--answers", mixed}, exitFailed, "several models"},
		{[]string{"--reference", reference, "--answers", mixed, "--model", "clothing"}, exitFailed, "too few answers"},
		{[]string{"--reference", reference, "--answers", foreign}, exitFailed, "sha256:000000000000"},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"drift"}, test.args...)...)
		if code != test.code || !strings.Contains(errOut, test.word) {
			t.Errorf("%v: exit code %d, %s", test.args, code, errOut)
		}
	}
}

func TestFromFeedback(t *testing.T) {
	c := answers.Default(t.TempDir())
	c.KeepPictures = true
	pictures, classes := drawPictures(t, 0, 1)
	w := storeAnswers(t, c, pictures)
	for _, f := range []answers.Feedback{
		{RequestID: "request-0", Class: "wrong"},
		{RequestID: "request-1", Class: "a new/class, with a comma"},
		{RequestID: "request-0", Class: classes[0], Note: "=note"},
		{RequestID: "request-2", Class: classes[2]},
		{RequestID: "request-3", Class: classes[3]},
		{RequestID: "request-4", Class: classes[4]},
	} {
		if err := w.StoreFeedback(context.Background(), f, ""); err != nil {
			t.Fatal(err)
		}
	}
	closeAnswers(t, w)
	storeWithoutPicture(t, c, pictures[5])
	files := listKept(t, c.Folder)
	if err := os.Remove(files["request-3"]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files["request-4"], pictures[5], 0o600); err != nil {
		t.Fatal(err)
	}

	out := filepath.Join(t.TempDir(), "new", "data")
	args := []string{"data", "from-feedback", "--answers", c.Folder, "--out", out}
	code, _, errOut := runGarb(t, nil, append(args, "--strict")...)
	if _, err := os.Stat(out); code != exitFailed || err == nil {
		t.Errorf("--strict: exit code %d, %s", code, errOut)
	}
	code, text, errOut := runGarb(t, nil, args...)
	if code != exitDone || !strings.Contains(text, "3 pictures of 3 classes") ||
		!strings.Contains(text, "1 picture with contradicting feedback") || !strings.Contains(errOut, "not kept") ||
		!strings.Contains(errOut, "removed to make room") || !strings.Contains(errOut, "its bytes are not") ||
		!strings.Contains(errOut, "3 pictures used, 3 skipped (2 missing, 1 unreadable), 1 ignored") {
		t.Errorf("exit code %d\n%s\n%s", code, text, errOut)
	}
	table, err := os.ReadFile(filepath.Join(out, "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || len(rows) != 4 || rows[1][1] != classes[0] || rows[1][6] != "=note" ||
		rows[2][1] != "a new/class, with a comma" {
		t.Errorf("%q, %v", rows, err)
	}
	if code, text, errOut = runGarb(t, nil, "data", "check", out); !strings.Contains(errOut, "3 pictures used") ||
		!strings.Contains(text, "a new/class, with a comma") {
		t.Errorf("data check: exit code %d\n%s\n%s", code, text, errOut)
	}
	checkRefusals(t, c.Folder, out)
}

// checkRefusals makes sure that from-feedback refuses to write to a folder with files, and flags that
// are missing or wrong, and that it leaves nothing behind.
func checkRefusals(t *testing.T, folder, out string) {
	t.Helper()
	for word, wrong := range map[string][]string{
		"--out": {"--answers", folder}, "--answers": {"--out", "x"},
		missingText: {"--answers", out + "-", "--out", out + "2"},
		"not empty": {"--answers", folder, "--out", out},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"data", "from-feedback"}, wrong...)...)
		if code == exitDone || !strings.Contains(errOut, word) {
			t.Errorf("%v: exit code %d, %s", wrong, code, errOut)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// storeWithoutPicture stores an answer and feedback about it, but not the picture.
func storeWithoutPicture(t *testing.T, c answers.Config, data []byte) {
	t.Helper()
	c.KeepPictures = false
	w := storeAnswers(t, c, [][]byte{data})
	f := answers.Feedback{RequestID: "request-0", Class: "hat"}
	if err := w.StoreFeedback(context.Background(), f, ""); err != nil {
		t.Fatal(err)
	}
	closeAnswers(t, w)
}

// listKept returns the paths of the kept pictures by request.
func listKept(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r, err := range (&answers.Reader{Folder: folder}).Records(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Picture.File != "" {
			files[r.RequestID] = filepath.Join(folder, r.Picture.File)
		}
	}
	return files
}
