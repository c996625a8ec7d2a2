package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"garb/model"
	"garb/results"
)

// strangeNames are file names that can confuse terminals or tables.
var strangeNames = []string{
	"a b.jpg", "a,b.jpg", `a"b.jpg`, "=1+1.jpg", "-n.jpg", "@x.jpg", " lead.jpg", "ü.jpg", "a\nb.jpg", "a\tb.jpg",
	"\x1b[2J.jpg", "a\u202egpj.exe.jpg", "\xff.jpg",
}

// writeStrangePictures writes a picture for each strange name, and returns their folder.
func writeStrangePictures(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such names")
	}
	folder := t.TempDir()
	for _, name := range strangeNames {
		if err := os.WriteFile(filepath.Join(folder, name), readFile(t, example), 0o644); err != nil {
			t.Skipf("this file system has no name %q", name)
		}
	}
	return folder
}

// parseTable parses a CSV table, in which every row must have the columns of the header.
func parseTable(t *testing.T, text string) (header []string, rows [][]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v in %q", err, text)
	}
	return all[0], all[1:]
}

func parseNumbers(t *testing.T, texts []string) []float64 {
	t.Helper()
	var all []float64
	for _, text := range texts {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// TestClassifyCSV: there is a row for each picture, in order. The probabilities of the classes
// are those of --json, to the last bit. The row of a picture without an answer says why.
func TestClassifyCSV(t *testing.T) {
	bad := write(t, t.TempDir(), "bad.jpg", []byte("text"))
	plain := "../../picture/testdata/plain.png"
	code, out, errOut := runGarb(t, nil, "classify", "--csv", example, bad, plain)
	header, rows := parseTable(t, out)
	if code != exitFailed || len(rows) != 3 || !strings.Contains(errOut, "bad.jpg") {
		t.Fatalf("%d\n%s%s", code, out, errOut)
	}
	want := []string{"picture", "class", "accepted", "acceptance", "probability", "dress", "hat", "longsleeve",
		"outwear", "pants", "shirt",
		"shoes", "shorts", "skirt", "t-shirt", "error"}
	if !slices.Equal(header, want) {
		t.Errorf("header %q", header)
	}
	_, lines, _ := runGarb(t, nil, "classify", "--json", "--top", "99", example, plain)
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		row := rows[2*i]
		var a results.Answer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		values := parseNumbers(t, row[4:15])
		if row[0] != a.Picture || row[1] != a.Class || values[0] != a.Probability || row[15] != "" {
			t.Errorf("%q, want %+v", row, a)
		}
		for _, p := range a.Predictions {
			if got := values[slices.Index(header, p.Class)-4]; got != p.Probability {
				t.Errorf("%s: %s is %v, want %v", row[0], p.Class, got, p.Probability)
			}
		}
	}
	if r := rows[1]; r[0] != bad || strings.Join(r[1:15], "") != "" || !strings.Contains(r[15], "not a picture") {
		t.Errorf("the bad picture: %q", r)
	}
}

// TestClassifyCSVImageNet: ImageNet has many classes, and two of them have the same name.
func TestClassifyCSVImageNet(t *testing.T) {
	skipSmall(t, "ImageNet network")
	code, out, _ := runGarb(t, nil, "classify", "--csv", "--model", "imagenet", example)
	header, rows := parseTable(t, out)
	if code != exitDone || len(header) != 3+1000+1 || len(rows) != 1 {
		t.Fatalf("%d, %d columns, %d rows", code, len(header), len(rows))
	}
	if sorted := slices.Sorted(slices.Values(header)); len(slices.Compact(sorted)) != len(header) ||
		!slices.Contains(header, "crane (n02012849)") {
		t.Error("two columns have one name")
	}
	values, sum := parseNumbers(t, rows[0][2:1003]), 0.0
	for _, v := range values[1:] {
		sum += v
	}
	if math.Abs(sum-1) > 1e-9 || slices.Max(values[1:]) != values[0] ||
		header[3+slices.Index(values[1:], values[0])] != rows[0][1] {
		t.Errorf("class %s of %v, sum %v", rows[0][1], values[0], sum)
	}
}

// TestStrangeNames: tables preserve names byte for byte, JSON as far as it can, and terminals
// get nothing that they would obey.
func TestStrangeNames(t *testing.T) {
	folder := writeStrangePictures(t)
	var paths []string
	for _, name := range strangeNames {
		paths = append(paths, filepath.Join(folder, name))
	}
	code, out, _ := runGarb(t, nil, append([]string{"classify", "--csv", "--"}, paths...)...)
	_, rows := parseTable(t, out)
	if code != exitDone || len(rows) != len(paths) {
		t.Fatalf("%d\n%s", code, out)
	}
	for i, row := range rows {
		if row[0] != paths[i] {
			t.Errorf("%q became %q", paths[i], row[0])
		}
	}
	_, out, _ = runGarb(t, nil, append([]string{"classify", "--json", "--"}, paths...)...)
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		o := decodeObject(t, line, "picture", "class", "probability", "predictions", "accepted", "acceptance", "model")
		if got, want := o["picture"], strings.ToValidUTF8(paths[i], "\ufffd"); got != want {
			t.Errorf("%q became %q", want, got)
		}
	}
	write(t, folder, "bad\x1b[31m.jpg", nil)
	for _, command := range []string{"classify", "embed"} {
		_, out, errOut := runGarb(t, nil, command, folder)
		for _, r := range out + errOut {
			if r != '\n' && !strconv.IsPrint(r) || r == '\ufffd' {
				t.Errorf("%s shows %q", command, r)
			}
		}
		for _, want := range []string{`a\nb.jpg"`, `\x1b[2J.jpg"`, `\xff.jpg"`, `bad\x1b[31m.jpg"`,
			`a\u202egpj.exe.jpg"`,
			"ü.jpg", "a b.jpg"} {
			if !strings.Contains(out+errOut, want) {
				t.Errorf("%s lacks %s:\n%s%s", command, want, out, errOut)
			}
		}
	}
	code, _, errOut := runGarb(t, nil, "evaluate", "--data", makeParentWithClass(t, folder), "--predictions",
		filepath.Join(t.TempDir(), "p.csv"))
	if code != exitDone || strings.ContainsAny(errOut, "\x1b") {
		t.Errorf("%d %q", code, errOut)
	}
}

// makeParentWithClass makes a data set with one class, which is a link to a folder.
func makeParentWithClass(t *testing.T, folder string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Symlink(folder, filepath.Join(root, "t-shirt")); err != nil {
		t.Skip(err)
	}
	return root
}

// TestClassifySpeed: the last line for several pictures is the speed. A single picture, or
// none with an answer, has no such line.
func TestClassifySpeed(t *testing.T) {
	speed := regexp.MustCompile(`(?m)^2 pictures in \d+\.\d s: \d+ pictures/s; ` +
		`mean time per picture: \d+\.\d ms to read and decode, \d+\.\d ms for inference\n` +
		`2 pictures used, \d skipped.*\n\z`)
	bad := write(t, t.TempDir(), "bad.jpg", nil)
	for _, c := range []struct {
		args []string
		want bool
	}{
		{[]string{example, example}, true}, {[]string{"--json", example, bad, example}, true},
		{[]string{example}, false}, {[]string{example, bad}, false}, {[]string{bad, bad}, false},
	} {
		_, out, errOut := runGarb(t, nil, append([]string{"classify"}, c.args...)...)
		if speed.MatchString(errOut) != c.want || strings.Contains(out, "pictures/s") || !c.want &&
			strings.Contains(errOut, "pictures/s") {
			t.Errorf("%v: %q", c.args, errOut)
		}
	}
	var sum tally
	for range 4 {
		a := outcome[answer]{reading: 3 * time.Millisecond}
		a.value.decoding, a.value.inference = 2*time.Millisecond, 9*time.Millisecond
		sum.add(a)
	}
	want := "4 pictures in 2.0 s: 2 pictures/s; " +
		"mean time per picture: 5.0 ms to read and decode, 9.0 ms for inference"
	if got := sum.formatSpeed(2 * time.Second); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestAnswerTimed: a timed answer is that of Judge, to the bit.
func TestAnswerTimed(t *testing.T) {
	skipSmall(t, "ImageNet network")
	for _, reference := range []string{model.Clothing, model.ImageNet} {
		c, err := model.Open(reference, model.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Judge(t.Context(), readFile(t, example))
		if err != nil {
			t.Fatal(err)
		}
		got, err := newTimedAnswerer(c)(t.Context(), readFile(t, example))
		if err != nil || !reflect.DeepEqual(got.Answer, want) || got.inference <= 0 ||
			got.decoding <= 0 && runtime.GOOS != "windows" { // whose clock may stand still for half a millisecond
			t.Errorf("%s: %v, %v and %v", reference, err, got.decoding, got.inference)
		}
	}
}

func TestClassifyWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"--csv", "--json", example}, {"--csv", "--top", "2", example}, {"--link", example}, {"--move", example},
		{"--copy",
			example},
		{"--sort-into", "x", "--link", "--move", example}, {"--sort-into", "x", "--copy", "--move", example},
		{"--sort-into", "x", "-"},
		{"--sort-into", "x", example, "-"}, {"--sort-into", "x"}, {"--undo-sort", "x", example}, {"--undo-sort", "x",
			"--json"}, {"--undo-sort", "x", "--move"},
		{"--undo-sort", "x", "--sort-into", "x"},
	} {
		code, out, errOut := runGarb(t, nil, append([]string{"classify"}, args...)...)
		if code != exitMisused || out != "" || !strings.Contains(errOut, "--help") || exists("x") {
			t.Errorf("%v: %d %q %q", args, code, out, errOut)
		}
	}
}

func TestEmbedNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow such names of files")
	}
	folder := t.TempDir()
	bad, other := write(t, folder, "bad.jpg", nil), write(t, folder, "a,\n\"b.jpg", readFile(t, example))
	for _, c := range []struct{ out, names string }{{"f.npy", "f.csv"}, {"F.NPY", "F.csv"}, {"f.dat", "f.dat.csv"},
		{"f",
			"f.csv"}} {
		names := filepath.Join(folder, c.names)
		if err := os.RemoveAll(names); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second replaces what the first wrote
			code, out, errOut := runGarb(t, nil, "embed", "--out", filepath.Join(folder, c.out), example, bad, other)
			if code != exitFailed || !strings.Contains(out, names) || !strings.Contains(errOut, "bad.jpg") ||
				!strings.Contains(errOut, "2 pictures used, 1 skipped") {
				t.Errorf("%d %q %q", code, out, errOut)
			}
		}
		header, rows := parseTable(t, string(readFile(t, names)))
		if want := [][]string{{"0", example}, {"1", other}}; !slices.Equal(header, []string{"row", "picture"}) ||
			!slices.EqualFunc(rows, want, slices.Equal) {
			t.Errorf("%s: %q %q", c.names, header, rows)
		}
	}
	// A table that somebody else wrote is not replaced.
	for _, text := range []string{"image,label\na.jpg,hat\n", "", "row,picture and more\n"} {
		own := write(t, folder, "images.csv", []byte(text))
		code, _, errOut := runGarb(t, nil, "embed", "--out", filepath.Join(folder, "images.npy"), example)
		if code != exitFailed || !strings.Contains(errOut, "images.csv") || string(readFile(t, own)) != text ||
			exists(filepath.Join(folder, "images.npy")) {
			t.Errorf("%d %q", code, errOut)
		}
	}
}

// TestEvaluateMapsClasses: a data set that spells its classes differently is evaluated.
// Unknown classes are listed, and ignored with --ignore-unknown-classes.
func TestEvaluateMapsClasses(t *testing.T) {
	shirt, plain := readFile(t, example), readFile(t, "../../examples/pants.jpg")
	root := writeClassFolders(t, t.TempDir(), map[string][]byte{"T Shirt/1": shirt, "T Shirt/2": plain, "Hats/1": shirt,
		"Not sure/1": plain, "Not sure/2": shirt})
	code, out, errOut := runGarb(t, nil, "evaluate", "--data", root)
	if code != exitFailed || out != "" || !strings.Contains(errOut, `"Hats" (close to "hat"`) ||
		!strings.Contains(errOut, `"Not sure"`) || !strings.Contains(errOut, "--ignore-unknown-classes") {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	page, predictions := filepath.Join(root, "report.html"), filepath.Join(t.TempDir(), "p.csv")
	code, out, errOut = runGarb(t, nil, "evaluate", "--data", root, "--ignore-unknown-classes", "--json",
		"--html", page, "--predictions", predictions)
	if code != exitDone {
		t.Fatalf("%d %s%s", code, out, errOut)
	}
	for _, want := range []string{`the data set's "T Shirt" is the model's "t-shirt"`,
		`3 pictures of classes that the model does not know are left out: "Hats" (1), "Not sure" (2)`} {
		if strings.Count(errOut, want) != 1 {
			t.Errorf("%q is said %d times", want, strings.Count(errOut, want))
		}
	}
	o := decodeObject(t, out, "folder", "accuracy", "count", "interval", "top_k", "log_loss", "macro_f1", "ece",
		"calibration", "classes", "per_class", "confusion", "skipped", "wrong", "mapping", "acceptance", "data_digest",
		"seconds")
	if got := fmt.Sprint(o["mapping"]); o["count"] != 2.0 ||
		got != "map[ignored:[map[class:Hats pictures:1] map[class:Not sure pictures:2]] renamed:[map[class:T Shirt "+
			"to:t-shirt]]]" {
		t.Errorf("%v pictures, %s", o["count"], got)
	}
	wrong := o["wrong"].([]any)[0].(map[string]any)
	if wrong["picture"] != filepath.Join(root, "T Shirt", "2") || wrong["label"] != "t-shirt" ||
		wrong["predicted"] == "t-shirt" {
		t.Errorf("%v", wrong)
	}
	if text := string(readFile(t, page)); !strings.Contains(text, `<a href="./T%20Shirt/2">`) ||
		!strings.Contains(text, "are left out") {
		t.Error("the page does not link the wrong picture, or does not say what was left out")
	}
	header, rows := parseTable(t, string(readFile(t, predictions)))
	if len(header) != 4+10+1 || len(rows) != 2 || !slices.Equal(rows[1][:3], []string{wrong["picture"].(string),
		"t-shirt", wrong["predicted"].(string)}) {
		t.Errorf("%q %q", header, rows)
	}
	values := parseNumbers(t, rows[1][3:14])
	if values[0] != wrong["probability"] || values[slices.Index(header, "t-shirt")-3] != wrong["label_probability"] {
		t.Errorf("%v, want %v", values, wrong)
	}
	alien := writeClassFolders(t, t.TempDir(), map[string][]byte{"cat/1": shirt})
	code, _, errOut = runGarb(t, nil, "evaluate", "--data", alien, "--ignore-unknown-classes")
	if code != exitFailed || !strings.Contains(errOut, "none of the data set's 1 class") {
		t.Errorf("%d %s", code, errOut)
	}
	code, out, errOut = runGarb(t, nil, "compare", model.Clothing, model.Clothing, "--data", root,
		"--ignore-unknown-classes")
	if code != exitDone || !strings.Contains(out, "on 2 pictures") || strings.Count(errOut, "is the model's") != 1 {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	code, _, errOut = runGarb(t, nil, "compare", model.Clothing, model.Clothing, "--data", root)
	if code != exitFailed || !strings.Contains(errOut, `"Not sure"`) {
		t.Errorf("%d %s", code, errOut)
	}
}

// TestPredictionsOfSkippedPictures: a picture that cannot be read has a row in its place.
func TestPredictionsOfSkippedPictures(t *testing.T) {
	root := writeClassFolders(t, t.TempDir(),
		map[string][]byte{"t-shirt/a.jpg": []byte("text"), "t-shirt/b.jpg": readFile(t,
			example), "t-shirt/c.jpg": nil})
	predictions := filepath.Join(t.TempDir(), "p.csv")
	if code, _, errOut := runGarb(t, nil, "evaluate", "--data", root, "--predictions", predictions); code != exitDone ||
		!strings.Contains(errOut, predictions) {
		t.Fatalf("%d %s", code, errOut)
	}
	header, rows := parseTable(t, string(readFile(t, predictions)))
	if len(rows) != 3 || header[len(header)-1] != "error" {
		t.Fatalf("%q", rows)
	}
	for i, row := range rows {
		isBad := i != 1
		if row[0] != filepath.Join(root, "t-shirt", string(rune('a'+i))+".jpg") || row[1] != "t-shirt" ||
			(row[2] == "") != isBad || (row[len(row)-1] != "") != isBad {
			t.Errorf("%q", row)
		}
	}
	nowhere := filepath.Join(root, "gone", "p.csv")
	if code, _, errOut := runGarb(t, nil, "evaluate", "--data", root, "--predictions", nowhere); code != exitFailed ||
		!strings.Contains(errOut, nowhere) {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestEvaluateTTA(t *testing.T) {
	root := writeClassFolders(t, t.TempDir(), map[string][]byte{"t-shirt/1": readFile(t, example)})
	page := filepath.Join(t.TempDir(), "report.html")
	logLoss := func(args ...string) (float64, string) {
		code, out, errOut := runGarb(t, nil, append([]string{"evaluate", "--data", root}, args...)...)
		if code != exitDone {
			t.Fatalf("%d %s", code, errOut)
		}
		var o struct {
			LogLoss float64 `json:"log_loss"`
			TTA     string  `json:"tta"`
		}
		if err := json.Unmarshal([]byte(out), &o); err != nil {
			t.Fatal(err)
		}
		return o.LogLoss, o.TTA
	}
	plain, none := logLoss("--json")
	flipped, flip := logLoss("--json", "--tta", "flip", "--html", page)
	if plain == flipped || none != "" || flip != "flip" {
		t.Errorf("log loss %v with %q, %v with %q", plain, none, flipped, flip)
	}
	if !strings.Contains(string(readFile(t, page)), "mirror image") {
		t.Error("the page does not say that pictures were flipped")
	}
	if _, out, _ := runGarb(t, nil, "evaluate", "--data", root, "--tta", "flip"); !strings.Contains(out,
		"averaged with mirror images") {
		t.Errorf("%s", out)
	}
	if code, _, errOut := runGarb(t, nil, "evaluate", "--data", root, "--tta", "rotate"); code != exitMisused ||
		!strings.Contains(errOut, "flip") {
		t.Errorf("%d %s", code, errOut)
	}
}
