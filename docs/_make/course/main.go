// Command course repeats the course's notebook with garb commands and writes docs/course.md: a
// row for each command, with the course's figure and garb's.
//
//	go run ./docs/_make/course DATA FULL
//
// DATA is the small clothing data set, FULL the full one: a folder with images.csv and
// images. The program needs bin/garb (make build) and Xception's weights: pulled
// (garb models pull xception), or in the Keras file that GARB_KERAS_FILE names. It keeps and
// resumes runs in runs/course, so you can stop it and start it again; remove that folder to
// repeat the measurements.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	garb    = "bin/garb"
	folder  = "runs/course"
	page    = "docs/course.md"
	weights = folder + "/xception.safetensors"
)

// row is one command, and the course's result.
type row struct {
	name, title string
	args        string // after `garb train --data DATA`, or of sweep
	sweep       bool
	data        string // relative to folder; "" for DATA
	full        bool   // uses the full set, and is in the second table
	course      string // the course's figures
	note        string
}

// nbsp stands for a space inside an argument.
const nbsp = "~"

const xception150 = "--backbone xception --size 150 "

const homework = "--binary --backbone small-cnn --optimizer sgd --learning-rate 0.002 --momentum 0.8 --batch 20 "

var rows = []row{
	{name: "frozen", title: "Frozen Xception 150, one dense layer, 10 epochs",
		args: xception150 + "--epochs 10", course: "validation .830–.836"},
	{name: "rate-1e-4", title: "… learning rate 0.0001",
		args: xception150 + "--epochs 10 --learning-rate 1e-4", course: "validation .78"},
	{name: "rate-1e-2", title: "… learning rate 0.01",
		args: xception150 + "--epochs 10 --learning-rate 1e-2", course: "validation .83 at its peak"},
	{name: "rate-1e-1", title: "… learning rate 0.1",
		args: xception150 + "--epochs 10 --learning-rate 1e-1", course: "validation .77"},
	{name: "inner", title: "Inner layers of 10, 100, 1000",
		args: xception150 + "--epochs 10 --inner 10,100,1000 --seeds 3", sweep: true, course: "not recorded"},
	{name: "dropout", title: "Dropout 0, .2, .5, .8 after an inner layer of 100",
		args: xception150 + "--epochs 30 --inner 100 --dropout 0,.2,.5,.8 --seeds 3", sweep: true,
		course: "not recorded"},
	{name: "inner-dropout", title: "Inner layer of 100, dropout .2, 50 epochs",
		args: xception150 + "--epochs 50 --inner 100 --dropout 0.2", course: "validation .853, test .798"},
	{name: "augmented", title: "… with shear, zoom and flip, 10 epochs",
		args:   xception150 + "--epochs 10 --inner 100 --dropout 0.2 --shear 10 --zoom 0.1 --horizontal-flip",
		course: "not recorded"},
	{name: "larger", title: "Xception 299, inner layer of 100, dropout .2, learning rate 0.0005, augmented",
		args: "--backbone xception --size 299 --epochs 30 --inner 100 --dropout 0.2 --learning-rate 0.0005 " +
			"--shear 10 --zoom 0.1 --horizontal-flip --cached-views 3",
		course: "validation .894–.903, test .898–.903",
		note:   "three cached views of each picture; the course validated on augmented pictures"},
	{name: "homework", title: "Homework: a small network from scratch, shoes against hats", data: "shoes-or-hats",
		args: homework + "--epochs 10", course: "on other pictures"},
	{name: "homework-augmented", title: "… with augmentation", data: "shoes-or-hats",
		args: homework + "--epochs 20 --rotation-range 40 --width-shift 0.2 --height-shift 0.2 --shear 0.2 " +
			"--zoom 0.2 --horizontal-flip",
		course: "on other pictures"},
	{name: "full-by-picture", title: "By picture", full: true,
		args: "--exclude Not~sure,Other,Skip --epochs 10"},
	{name: "full-by-sender", title: "By contributor", full: true,
		args: "--exclude Not~sure,Other,Skip --epochs 10 --group-by sender_id"},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: course DATA FULL")
	}
	data, full := os.Args[1], os.Args[2]
	if err := os.MkdirAll(folder, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := prepare(data); err != nil {
		log.Fatal(err)
	}
	var lines []string
	for i, r := range rows {
		set := data
		if r.full {
			set = full
		}
		line, err := r.run(set)
		if err != nil {
			log.Fatalf("%s: %v", r.name, err)
		}
		if r.full && !rows[i-1].full {
			lines = append(lines, fullHead)
		}
		lines = append(lines, line)
		if err := write(lines, rows[i+1:]); err != nil {
			log.Fatal(err)
		}
	}
}

// write writes the page with the rows that are done, and names the others.
func write(lines []string, left []row) error {
	text := head + strings.Join(lines, "\n") + "\n"
	if len(left) > 0 {
		text += "\nNot run yet: "
		for i, r := range left {
			if i > 0 {
				text += ", "
			}
			text += "`" + r.name + "`"
		}
		text += ". Run `make course` again.\n"
	}
	return os.WriteFile(page, []byte(text+foot), 0o644)
}

// prepare makes the subset of two classes and, if necessary, Xception's weights.
func prepare(data string) error {
	for _, split := range []string{"train", "validation", "test"} {
		for _, class := range []string{"shoes", "hat"} {
			from, err := filepath.Abs(filepath.Join(data, split, class))
			if err != nil {
				return err
			}
			to := filepath.Join(folder, "shoes-or-hats", split, class)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			if err := os.Symlink(from, to); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	file := os.Getenv("GARB_KERAS_FILE")
	if _, err := os.Stat(weights); err == nil || file == "" {
		return nil
	}
	return exec.Command(garb, "convert", file, weights).Run()
}

// run runs or resumes the command, and returns its row of the table.
func (r row) run(data string) (string, error) {
	if r.data != "" {
		data = filepath.Join(folder, r.data)
	}
	out, verb := filepath.Join(folder, r.name), "train"
	if r.sweep {
		verb = "sweep"
	}
	args := []string{verb, "--data", data, "--out", out}
	var shown []string
	for _, arg := range strings.Fields(r.args) {
		plain := strings.ReplaceAll(arg, nbsp, " ")
		args = append(args, plain)
		if plain != arg {
			arg = fmt.Sprintf("%q", plain)
		}
		shown = append(shown, arg)
	}
	if _, err := os.Stat(weights); err == nil && strings.Contains(r.args, "xception") {
		args = append(args, "--weights", weights)
	}
	took, err := r.command(out, args)
	if err != nil {
		return "", err
	}
	figure, err := r.figure(out, data)
	if err != nil {
		return "", err
	}
	if r.note != "" {
		figure += " (" + r.note + ")"
	}
	if r.full {
		return fmt.Sprintf("| %s | `garb %s --data FULL %s` | %s | %s |",
			r.title, verb, strings.Join(shown, " "), figure, took.Round(time.Second)), nil
	}
	return fmt.Sprintf("| %s | `garb %s --data DATA %s` | %s | %s | %s |",
		r.title, verb, strings.Join(shown, " "), r.course, figure, took.Round(time.Second)), nil
}

// command runs garb, unless the run is done, and returns its total time.
func (r row) command(out string, args []string) (time.Duration, error) {
	note := out + ".took"
	var before time.Duration
	if text, err := os.ReadFile(note); err == nil {
		if before, err = time.ParseDuration(strings.TrimSpace(string(text))); err != nil {
			return 0, err
		}
		if _, err := os.Stat(filepath.Join(out, "report.html")); err == nil {
			return before, nil
		}
	}
	if _, err := os.Stat(filepath.Join(out, "config.json")); err == nil && !r.sweep {
		args = []string{"train", "--resume", out}
	}
	log.Printf("$ garb %s", strings.Join(args, " "))
	began := time.Now()
	c := exec.Command(garb, args...)
	c.Stderr = os.Stderr
	err := c.Run()
	took := before + time.Since(began)
	return took, errors.Join(err, os.WriteFile(note, []byte(took.String()), 0o644))
}

// evaluation is the part of garb evaluate --json that the page shows.
type evaluation struct {
	Accuracy float64    `json:"accuracy"`
	Interval [2]float64 `json:"interval"`
}

// figure returns the accuracies of a run or sweep, for the table.
func (r row) figure(out, data string) (string, error) {
	if r.sweep {
		var points []struct {
			Name     string     `json:"name"`
			Mean     float64    `json:"mean"`
			Interval [2]float64 `json:"interval"`
			PValue   float64    `json:"p_value"`
			Noise    bool       `json:"noise"`
		}
		text, err := os.ReadFile(filepath.Join(out, "sweep.json"))
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(text, &points); err != nil {
			return "", err
		}
		var parts []string
		for i, p := range points {
			s := fmt.Sprintf("%s: %s (%s to %s)", p.Name, short(p.Mean), short(p.Interval[0]), short(p.Interval[1]))
			if i > 0 && p.Noise {
				s += ", within noise of the best"
			} else if i > 0 {
				s += fmt.Sprintf(", worse (p = %.3f)", p.PValue)
			}
			parts = append(parts, s)
		}
		return "validation " + strings.Join(parts, "; "), nil
	}
	var parts []string
	for _, split := range []string{"validation", "test"} {
		text, err := exec.Command(garb, "evaluate", "--model", out, "--data", data, "--split", split, "--json").Output()
		if err != nil {
			return "", err
		}
		var e evaluation
		if err := json.Unmarshal(text, &e); err != nil {
			return "", err
		}
		parts = append(parts, fmt.Sprintf("%s %s (%s to %s)",
			split, short(e.Accuracy), short(e.Interval[0]), short(e.Interval[1])))
	}
	return strings.Join(parts, ", "), nil
}

// short formats an accuracy as .877.
func short(v float64) string { return strings.TrimPrefix(fmt.Sprintf("%.3f", v), "0") }

const head = `# The course, reproduced

This page repeats the course's notebook with garb: each row is one command.
` + "`make course DATA=… FULL=…`" + ` writes the page from the runs. The course's figures are those of its
notebook (Keras, on a rented GPU). garb's figures have 95 % intervals (Wilson). garb never augments
validation and test pictures, and uses the epoch with the best validation accuracy. The times are wall
times on two cores of a busy machine. The features of a frozen backbone are computed once, by the
first row that needs them, and cached.

| what | command | the course | garb | time |
|---|---|---|---|---|
`

const fullHead = `
## Splitting by contributor

The full clothing set has 4,987 pictures by 348 contributors. In a split by picture, nearly every
contributor of a test picture also has pictures in train, so the test accuracy is too high for pictures
by other people. ` + "`garb data check FULL`" + ` finds the column:
` + "`contributor \"sender_id\" has 348 values of 14.3 pictures on average`" + `.
` + "`--group-by sender_id`" + ` keeps all pictures of a contributor in one split. These runs use a frozen
EfficientNet-Lite0 and the 17 labels that name a garment:

| split | command | garb | time |
|---|---|---|---|`

const foot = `
The intervals are wide because the splits are small: 341 and 372 pictures of the small set, about 700
each of the full one. A difference of .02 between two rows is usually noise; ` + "`garb compare`" + ` tests it.

## The gateway of chapter 10

The course serves its model with TensorFlow Serving, and a gateway of its own sends it a float tensor
over gRPC: the model ` + "`clothing-model`" + `, the signature ` + "`serving_default`" + `,
the input ` + "`input_8`" + `, the output ` + "`dense_7`" + `. A converted model keeps these names, and garb answers
TensorFlow Serving's gRPC, so the gateway needs no change. It reads the address from
` + "`TF_SERVING_HOST`" + `:

    garb convert xception_v4_large_08_0.894.h5 clothing-model.safetensors --preprocess xception \
        --classes dress,hat,longsleeve,outwear,pants,shirt,shoes,shorts,skirt,t-shirt
    garb serve --addr localhost:8500 --model clothing-model=clothing-model.safetensors
    TF_SERVING_HOST=localhost:8500 python gateway.py

The scores in ` + "`float_val`" + ` are logits, as they are from Keras. In Docker Compose or Kubernetes, replace the
image of the course's ` + "`tf-serving`" + ` container by garb's (see [operate.md](operate.md#packaging)), with
` + "`serve --addr :8500 --model clothing-model=/models/clothing-model.safetensors`" + `. The model's file
replaces the exported SavedModel, and the gateway can also send the picture itself, as ` + "`DT_STRING`" + `
of shape ` + "`[1]`" + `: then garb resizes it and computes the values.
`
