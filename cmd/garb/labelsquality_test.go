package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// drawStripes draws a picture of stripes, upright or lying, that differs with seed.
func drawStripes(t testing.TB, upright bool, seed int) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			at := y
			if upright {
				at = x
			}
			v := uint8(40 + 3*seed)
			if (at+seed)/8%2 == 0 {
				v = uint8(255 - 2*seed)
			}
			m.SetNRGBA(x, y, color.NRGBA{v, v, v / 2, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// makeMislabelled makes a data set of two classes in two splits, with one picture in the wrong
// class folder.
func makeMislabelled(t testing.TB) (root, wrong string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow such names of files")
	}
	root, wrong = t.TempDir(), "train/lying/<b>a, \"b\".png"
	add := func(name string, data []byte) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Dir(path), filepath.Base(path), data)
	}
	for i := range 8 {
		add(fmt.Sprintf("train/upright/%d.png", i), drawStripes(t, true, i))
		add(fmt.Sprintf("train/lying/%d.png", i), drawStripes(t, false, i))
	}
	for i := range 4 {
		add(fmt.Sprintf("val/upright/%d.png", i), drawStripes(t, true, 10+i))
		add(fmt.Sprintf("val/lying/%d.png", i), drawStripes(t, false, 10+i))
	}
	add(wrong, drawStripes(t, true, 20))
	return root, wrong
}

func readRows(t testing.TB, path string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(readFile(t, path))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestLabelsQualityAndRelabel: the wrong label comes first in every form of the list. Once
// accepted it is corrected, and the correction can be undone.
func TestLabelsQualityAndRelabel(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	root, wrong := makeMislabelled(t)
	list, page := filepath.Join(t.TempDir(), "l.csv"), filepath.Join(t.TempDir(), "l.html")
	code, out, errOut := runGarb(t, nil, "data", "check", root, "--labels-quality", "--labels-csv", list,
		"--html", page)
	if code != exitDone || !strings.Contains(errOut, "25 pictures used") {
		t.Fatalf("%d\n%s%s", code, out, errOut)
	}
	if first := strings.Split(out, "\n")[1]; !strings.HasPrefix(first, "   1 *   lying") ||
		!strings.Contains(first, "upright") || !strings.HasSuffix(first, wrong) {
		t.Errorf("%s", out)
	}
	rows := readRows(t, list)
	if len(rows) != 26 || !slices.Equal(rows[0], labelsHeader) ||
		rows[1][0] != "1" || rows[1][1] != wrong || rows[1][2] != "lying" || rows[1][3] != "upright" ||
		rows[1][6] != "yes" || rows[1][7] != "" || rows[25][6] != "no" {
		t.Errorf("%q", rows)
	}
	text := string(readFile(t, page))
	if !strings.Contains(text, "data:image/jpeg;base64,") || strings.Contains(text, "<b>a,") ||
		!strings.Contains(text, "&lt;b&gt;a,") || strings.Contains(text, "<script") {
		t.Error("the page has no pictures, or a name is part of its markup")
	}
	code, out, errOut = runGarb(t, nil, "data", "check", root, "--labels-quality", "--json", "--labels-order",
		"margin", "--labels-folds", "3", "--split-seed", "2")
	var found labelsQuality
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitDone {
		t.Fatalf("%d %v\n%s", code, err, errOut)
	}
	if found.Count != 25 || len(found.List) != 25 || found.List[0].Picture != wrong ||
		!found.List[0].Candidate || found.Order != "margin" ||
		found.Method.Folds != 3 || found.Method.Seed != 2 || found.Classes[0].Count != 13 ||
		found.Classes[0].Candidates != 1 || found.Accuracy < 0.9 {
		t.Errorf("%s", out)
	}

	code, out, _ = runGarb(t, nil, "data", "relabel", root, "--from", list)
	if code != exitDone || !strings.Contains(out, "of 25 rows") { // no row is accepted so far
		t.Errorf("%d %s", code, out)
	}
	rows[1][7] = "yes"
	relabelAndUndo(t, root, wrong, list, rows)
}

// relabelAndUndo writes a list whose first row is accepted, corrects that label, and undoes it.
func relabelAndUndo(t *testing.T, root, wrong, list string, rows [][]string) {
	t.Helper()
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(list), filepath.Base(list), b.Bytes())
	from := filepath.Join(root, filepath.FromSlash(wrong))
	to := filepath.Join(root, filepath.FromSlash(strings.Replace(wrong, "lying", "upright", 1)))
	isAt := func(path, step string) {
		t.Helper()
		for _, p := range []string{from, to} {
			if exists(p) != (p == path) {
				t.Errorf("%s: %s", step, p)
			}
		}
	}
	code, out, _ := runGarb(t, nil, "data", "relabel", root, "--from", list, "--dry-run")
	if code != exitDone || !strings.Contains(out, "1 label would change") || !strings.Contains(out, from+" -> "+to) {
		t.Errorf("%d %s", code, out)
	}
	isAt(from, "after --dry-run")
	code, out, errOut := runGarb(t, nil, "data", "relabel", root, "--from", list)
	if code != exitDone || !strings.Contains(out, "1 label changed") || !strings.Contains(out, "--undo") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	isAt(to, "after relabel")
	if code, _, errOut = runGarb(t, nil, "data", "relabel", root, "--from", list); code != exitFailed ||
		!strings.Contains(errOut, "1 problem") {
		t.Errorf("again: %d %s", code, errOut)
	}
	if code, out, errOut = runGarb(t, nil, "data", "relabel", root, "--undo"); code != exitDone ||
		!strings.Contains(out, "1 picture moved back") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	isAt(from, "after --undo")
	if code, _, errOut = runGarb(t, nil, "data", "relabel", root, "--undo"); code != exitFailed ||
		!strings.Contains(errOut, "nothing to undo") {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestLabelsQualityRefuses(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	root, _ := makeMislabelled(t)
	one := t.TempDir()
	if err := os.Mkdir(filepath.Join(one, "only"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(one, "only"), "1.png", drawStripes(t, true, 1))
	for _, c := range []struct {
		code int
		word string
		args []string
	}{
		{exitMisused, "--labels-quality", []string{root, "--labels-csv", "x.csv"}},
		{exitMisused, "--labels-quality", []string{root, "--backbone", "efficientnet-lite0"}},
		{exitMisused, "self-confidence", []string{root, "--labels-quality", "--labels-order", "alphabet"}},
		{exitMisused, "folds", []string{root, "--labels-quality", "--labels-folds", "1"}},
		{exitMisused, "--labels-quality", []string{root, "--labels-folds", "4"}},
		{exitMisused, "nothing", []string{root, "--labels-quality", "--backbone", "nothing"}},
		{exitFailed, "no pretrained weights", []string{root, "--labels-quality", "--backbone", "small-cnn"}},
		{exitFailed, "at least two", []string{one, "--labels-quality"}},
	} {
		code, _, errOut := runGarb(t, nil, append([]string{"data", "check"}, c.args...)...)
		if code != c.code || !strings.Contains(errOut, c.word) {
			t.Errorf("%v: %d %s", c.args, code, errOut)
		}
	}
	write(t, filepath.Join(root, "val", "lying"), "broken.png", []byte("\x89PNG no more"))
	if code, out, errOut := runGarb(t, nil, "data", "check", root, "--labels-quality", "--labels-folds", "2",
		"--strict"); code != exitFailed || !strings.Contains(errOut, "1 skipped") {
		t.Errorf("--strict: %d %s%s", code, out, errOut)
	}
}

// TestLabelsQualityOfGroups: if all pictures of a class are in one group, the command says
// that its labels cannot be judged.
func TestLabelsQualityOfGroups(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	root := t.TempDir()
	table := "image,label,sender\n"
	for i := range 6 {
		write(t, root, fmt.Sprintf("u%d.png", i), drawStripes(t, true, i))
		write(t, root, fmt.Sprintf("l%d.png", i), drawStripes(t, false, i))
		table += fmt.Sprintf("u%d,upright,s%d\nl%d,lying,x\n", i, i, i)
	}
	write(t, root, "images.csv", []byte(table))
	code, out, errOut := runGarb(t, nil, "data", "check", root, "--labels-quality", "--group-by", "sender", "--json")
	var found labelsQuality
	if err := json.Unmarshal([]byte(out), &found); err != nil || code != exitDone {
		t.Fatalf("%d %v\n%s", code, err, errOut)
	}
	if !found.Grouped || !found.Classes[0].OneGroup || found.Classes[1].OneGroup ||
		!strings.Contains(errOut, "the labels of lying cannot be judged") {
		t.Errorf("%s%s", out, errOut)
	}
}

func TestRelabelTable(t *testing.T) {
	root, lists := t.TempDir(), t.TempDir()
	const before = "\xef\xbb\xbfimage;label;note\r\na;\"hat\";\"x;y\"\r\nb;shoes;\r\n"
	write(t, root, "images.csv", []byte(before))
	write(t, root, "a.png", drawStripes(t, true, 1))
	write(t, root, "b.png", drawStripes(t, true, 2))
	list := write(t, lists, "l.csv", []byte("picture,label,new\na.png,hat,shoes\n"))
	table := filepath.Join(root, "images.csv")
	if code, out, errOut := runGarb(t, nil, "data", "relabel", root, "--from", list); code != exitDone ||
		!strings.Contains(out, "images.csv, line 2: hat -> shoes (a.png)") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	if got := string(readFile(t, table)); got != strings.Replace(before, "hat", "shoes", 1) {
		t.Errorf("%q", got)
	}
	// The table itself names the data set as well.
	if code, out, errOut := runGarb(t, nil, "data", "relabel", table, "--undo"); code != exitDone ||
		!strings.Contains(out, "1 label of a table") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	if got := string(readFile(t, table)); got != before {
		t.Errorf("%q", got)
	}
	list = write(t, lists, "new.csv", []byte("picture,label,new\na.png,hat,cap\n"))
	if code, _, errOut := runGarb(t, nil, "data", "relabel", root, "--from", list); code != exitFailed ||
		!strings.Contains(errOut, "--new-classes") {
		t.Errorf("%d %s", code, errOut)
	}
	// A table elsewhere has its log beside it.
	elsewhere := write(t, lists, "labels.csv", []byte(before))
	args := []string{"data", "relabel", root, "--labels", elsewhere, "--images", root}
	if code, out, errOut := runGarb(t, nil, append(args, "--from", list,
		"--new-classes")...); code != exitDone || !strings.Contains(string(readFile(t, elsewhere)), "cap") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	if code, out, errOut := runGarb(t, nil, append(args[:5], "--undo")...); code != exitDone ||
		string(readFile(t, elsewhere)) != before {
		t.Errorf("%d %s%s", code, out, errOut)
	}
}

func TestRelabelRefuses(t *testing.T) {
	root, _ := makeMislabelled(t)
	unlabelled := t.TempDir()
	write(t, unlabelled, "images.csv", []byte("image,weight\na.png,3\n"))
	write(t, unlabelled, "a.png", drawStripes(t, true, 1))
	folder := t.TempDir()
	list := func(name, text string) string { return write(t, folder, name, []byte(text)) }
	good := list("good.csv", "picture,label,new\ntrain/lying/1.png,lying,upright\n")
	for _, c := range []struct {
		code int
		word string
		args []string
	}{
		{exitMisused, "one data set", []string{"--undo"}},
		{exitMisused, "--from", []string{root}},
		{exitMisused, "--from", []string{root, "--undo", "--from", good}},
		{exitMisused, "--dry-run", []string{root, "--undo", "--dry-run"}},
		{exitFailed, "no such file", []string{root, "--from", filepath.Join(folder, "nix.csv")}},
		{exitFailed, "a folder", []string{root, "--from", folder}},
		{exitFailed, "columns", []string{root, "--from", list("c.csv", "a,b\n1,2\n")}},
		{exitFailed, "no such picture", []string{root, "--from",
			list("t.csv", "picture,label,new\n../../x,lying,upright\n")}},
		{exitFailed, "--label-column", []string{unlabelled, "--from", good}},
		{exitFailed, "overwritten", []string{root, "--from", good}},
		{exitFailed, "no such file", []string{filepath.Join(folder, "nix"), "--from", good}},
		{exitFailed, "no such file", []string{filepath.Join(folder, "nix"), "--undo"}},
	} {
		if code, _, errOut := runGarb(t, nil, append([]string{"data", "relabel"},
			c.args...)...); code != c.code || !strings.Contains(errOut, c.word) {
			t.Errorf("%v: %d %s", c.args, code, errOut)
		}
	}
}
