package evaluate

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"garb/dataset"
	"garb/model"
	"garb/picture"
	"garb/report"
)

// Document is the content of a page. The page has no section for what is empty.
type Document struct {
	Title string
	Model string // the model's file
	About model.Description
	// Parts has the reports on parts of the data set.
	Parts   []Part
	Curves  []Curve // one for each epoch of the training run
	Skipped []string
	// Folder is the folder of the page, which links to pictures in it or in a folder beside
	// it. If it is "", the page has no links.
	Folder string
}

// Part is a report on a part of a data set, such as "test".
type Part struct {
	Name   string
	Report *Report
}

// Curve has the values of an epoch of a training run: a row of its history.csv.
type Curve struct {
	Epoch, Loss, Accuracy, ValidationLoss, ValidationAccuracy, LearningRate, Seconds float64
}

// ReadCurves reads the history of a training run. model is the run's folder, or a file in its
// folder checkpoints. For any other file, or without a history, it returns nothing.
func ReadCurves(model string) ([]Curve, error) {
	folder := model
	if info, err := os.Stat(model); err == nil && !info.IsDir() {
		path, err := filepath.Abs(model)
		if err != nil {
			return nil, err
		}
		checkpoints := filepath.Dir(path)
		if filepath.Base(checkpoints) != "checkpoints" {
			return nil, nil
		}
		folder = filepath.Dir(checkpoints)
	}
	f, err := os.Open(filepath.Join(folder, "history.csv"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	var curves []Curve
	for i, row := range rows {
		if i == 0 {
			continue
		}
		var c Curve
		for j, to := range []*float64{&c.Epoch, &c.Loss, &c.Accuracy, &c.ValidationLoss, &c.ValidationAccuracy,
			&c.LearningRate, &c.Seconds} {
			if j >= len(row) {
				return nil, fmt.Errorf("%s: line %d has %d columns", f.Name(), i+1, len(row))
			}
			if *to, err = strconv.ParseFloat(row[j], 64); err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", f.Name(), i+1, err)
			}
		}
		curves = append(curves, c)
	}
	return curves, nil
}

// Limits of a page.
const (
	shownPictures = 24
	listedWrong   = 1000 // wrong answers, shown or listed by name
	thumbnailSide = 160
	shownClasses  = 3
	maxTableSide  = 40 // classes of a confusion matrix
)

// WritePage writes the document as one HTML page that needs no other file. It reads pictures again
// for their thumbnails, and only names those that are missing. Its errors are w's and ctx's.
func WritePage(ctx context.Context, w io.Writer, d Document) error {
	v := view{Document: d}
	for _, p := range d.Parts {
		part := partView{Part: p}
		wrong := sortWrong(p.Report.Answers)
		part.WrongCount = len(wrong)
		part.Wrong = makeThumbnails(ctx, d.Folder, wrong[:min(len(wrong), shownPictures)])
		if len(wrong) > shownPictures {
			part.MoreWrong = listAnswers(d.Folder, wrong[shownPictures:min(len(wrong), listedWrong)])
		}
		unsure := sortUnsure(p.Report.Answers)
		part.Unsure = makeThumbnails(ctx, d.Folder, unsure[:min(len(unsure), shownPictures)])
		part.Diagram = drawCalibration(p)
		if len(p.Report.Classes) <= maxTableSide {
			part.Matrix = newMatrix(p.Report)
		}
		part.acceptanceView = newAcceptanceView(ctx, d.Folder, p)
		v.Parts = append(v.Parts, part)
	}
	if err := ctx.Err(); err != nil {
		return err // rather than a page without pictures
	}
	charts := Charts(d.Curves)
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		v.Charts = append(v.Charts, charts[name].SVG())
	}
	if d.About.Training != nil {
		v.Settings = listSettings(d.About.Training.Settings)
		v.Seconds = sumSeconds(d.Curves)
	}
	var body strings.Builder
	if err := documentPage.Execute(&body, v); err != nil {
		return err
	}
	return report.Page(w, d.Title, template.HTML(body.String()))
}

type view struct {
	Document
	Parts    []partView
	Charts   []template.HTML
	Settings []setting
	Seconds  float64
}

type partView struct {
	Part
	acceptanceView
	Matrix     []matrixRow
	Diagram    template.HTML
	Wrong      []shownAnswer
	WrongCount int
	MoreWrong  []shownAnswer // after those of Wrong, without pictures
	Unsure     []shownAnswer
}

type setting struct{ Name, Value string }

// listSettings returns a run's settings, sorted by name. Settings of a part, such as augment, follow
// its name.
func listSettings(text json.RawMessage) []setting {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	var all []setting
	for _, key := range slices.Sorted(maps.Keys(m)) {
		name, value := strings.ReplaceAll(key, "_", " "), string(m[key])
		switch value[0] {
		case '{':
			for _, s := range listSettings(m[key]) {
				all = append(all, setting{name + ": " + s.Name, s.Value})
			}
			continue
		case '"':
			if json.Unmarshal(m[key], &value) != nil || value == "" {
				continue
			}
		}
		all = append(all, setting{name, value})
	}
	return all
}

// sumSeconds returns the duration of all epochs.
func sumSeconds(curves []Curve) float64 {
	total := 0.0
	for _, c := range curves {
		total += c.Seconds
	}
	return total
}

// Charts returns the charts of a run, by name: accuracy, loss, and the learning rate if it
// changes. Without epochs there are none.
func Charts(curves []Curve) map[string]report.Chart {
	if len(curves) == 0 {
		return nil
	}
	pick := func(name string, dashed bool, value func(Curve) float64) report.Series {
		s := report.Series{Name: name, Dashed: dashed}
		for _, c := range curves {
			s.X, s.Y = append(s.X, c.Epoch), append(s.Y, value(c))
		}
		return s
	}
	points := len(curves) < 30
	all := map[string]report.Chart{
		"accuracy": {Title: "Accuracy", XLabel: "epoch", YLabel: "accuracy", Points: points, Series: []report.Series{
			pick("training", true, func(c Curve) float64 { return c.Accuracy }),
			pick("validation", false, func(c Curve) float64 { return c.ValidationAccuracy }),
		}},
		"loss": {Title: "Loss", XLabel: "epoch", YLabel: "loss", Points: points, Series: []report.Series{
			pick("training", true, func(c Curve) float64 { return c.Loss }),
			pick("validation", false, func(c Curve) float64 { return c.ValidationLoss }),
		}},
	}
	if curves[0].LearningRate != curves[len(curves)-1].LearningRate {
		all["rate"] = report.Chart{Title: "Learning rate", XLabel: "epoch", YLabel: "learning rate", Points: points,
			Series: []report.Series{
				pick("learning rate", false, func(c Curve) float64 { return c.LearningRate }),
			}}
	}
	return all
}

// drawCalibration draws the reliability diagram: accuracy against confidence, with the 95 %
// interval of each point.
func drawCalibration(p Part) template.HTML {
	s := report.Series{Name: "answers, with 95 % intervals"}
	for _, b := range p.Report.Bins {
		if b.Count > 0 {
			interval := Wilson(int(math.Round(b.Accuracy*float64(b.Count))), b.Count)
			s.X, s.Y = append(s.X, b.Confidence), append(s.Y, b.Accuracy)
			s.Low, s.High = append(s.Low, interval[0]), append(s.High, interval[1])
		}
	}
	return report.Chart{
		Title: "Calibration, " + p.Name, XLabel: "confidence", YLabel: "accuracy", Points: true,
		YMin: 0, YMax: 1, Series: []report.Series{
			s, {Name: "perfect calibration", X: []float64{0, 1}, Y: []float64{0, 1}, Dashed: true},
		},
	}.SVG()
}

type matrixRow struct {
	Class string
	Cells []cell
}

type cell struct {
	Count int
	Style template.CSS // the larger its share of the row, the deeper the colour
}

// newMatrix returns the rows of the confusion matrix.
func newMatrix(r *Report) []matrixRow {
	var rows []matrixRow
	for i, class := range r.Classes {
		row := matrixRow{Class: class}
		total := 0
		for _, n := range r.Confusion[i] {
			total += n
		}
		for j, n := range r.Confusion[i] {
			colour, share := "--bad", float64(n)/float64(max(total, 1))
			if i == j {
				colour = "--good"
			}
			c := cell{Count: n}
			if n > 0 {
				c.Style = template.CSS(fmt.Sprintf("background:rgba(var(%s),%.2f)", colour,
					0.12+float64(0.6*math.Sqrt(share))))
			}
			row.Cells = append(row.Cells, c)
		}
		rows = append(rows, row)
	}
	return rows
}

// sortWrong returns the wrong answers, the most confident first.
func sortWrong(answers []Answer) []Answer {
	var wrong []Answer
	for _, a := range answers {
		if !a.Right() {
			wrong = append(wrong, a)
		}
	}
	slices.SortStableFunc(wrong, func(a, b Answer) int {
		return cmp.Compare(b.Predictions[0].Probability, a.Predictions[0].Probability)
	})
	return wrong
}

// sortUnsure returns the right answers, the least confident first.
func sortUnsure(answers []Answer) []Answer {
	var right []Answer
	for _, a := range answers {
		if a.Right() {
			right = append(right, a)
		}
	}
	slices.SortStableFunc(right, func(a, b Answer) int {
		return cmp.Compare(a.Predictions[0].Probability, b.Predictions[0].Probability)
	})
	return right
}

// shownAnswer is a picture with its answer.
type shownAnswer struct {
	Picture template.URL
	Name    string
	Link    string // to the picture's file, or ""
	Class   string
	Note    string // a line below
	Bars    []bar
}

type bar struct {
	Class   string
	Percent string
	Share   template.CSS
	Right   bool
}

// makeThumbnails returns answers with their pictures, for a page in folder.
func makeThumbnails(ctx context.Context, folder string, answers []Answer) []shownAnswer {
	all := listAnswers(folder, answers)
	for i, a := range answers {
		all[i].Picture, _ = ReadThumbnail(ctx, a.Sample.Path, thumbnailSide)
	}
	return all
}

// ReadThumbnail returns a copy of the picture in a file, with sides of at most maxSide pixels, as the
// data URL of a JPEG. It shows what there is of a picture that is cut short. Errors are those of
// dataset.Sample.Read and picture.Decode.
func ReadThumbnail(ctx context.Context, path string, maxSide int) (template.URL, error) {
	limits := picture.DefaultLimits()
	limits.KeepTruncated = true
	data, err := dataset.Sample{Path: path}.Read(limits)
	if err != nil {
		return "", err
	}
	p, err := picture.Decode(ctx, data, limits)
	if err != nil {
		return "", err
	}
	return report.Thumbnail(p, maxSide)
}

// listAnswers returns answers without their pictures, for a page in folder.
func listAnswers(folder string, answers []Answer) []shownAnswer {
	var all []shownAnswer
	for _, a := range answers {
		s := shownAnswer{Name: filepath.Base(a.Sample.Path), Link: makeLink(folder, a.Sample.Path), Class: a.Class}
		for _, p := range choosePredictions(a) {
			s.Bars = append(s.Bars, bar{
				p.Class, fmt.Sprintf("%.0f %%", 100*p.Probability),
				template.CSS(fmt.Sprintf("--share:%.0f%%", 100*p.Probability)), p.Class == a.Class,
			})
		}
		all = append(all, s)
	}
	return all
}

// makeLink returns the address of a file relative to a page in folder, so that it stays valid if
// both are moved or served together. For a file that is neither in the folder nor in one beside it
// it returns "", since it would not move with the page.
func makeLink(folder, path string) string {
	if folder == "" {
		return ""
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	relative, err := filepath.Rel(folder, path)
	if err != nil {
		return "" // the file is on another volume
	}
	relative = filepath.ToSlash(relative)
	parent := filepath.Dir(folder)
	switch {
	case !strings.HasPrefix(relative, "../"):
		relative = "./" + relative // so that a colon in the name does not end a URL's scheme
	case strings.HasPrefix(relative, "../../"), parent == filepath.Dir(parent): // the parent is the root of the disk
		return ""
	}
	return (&url.URL{Path: relative}).EscapedPath()
}

// choosePredictions returns the first predictions. The right class replaces the last of them if it
// is not among them.
func choosePredictions(a Answer) []model.Prediction {
	all := slices.Clone(a.Predictions[:min(len(a.Predictions), shownClasses)])
	rank := slices.IndexFunc(a.Predictions, func(p model.Prediction) bool { return p.Class == a.Class })
	if rank >= len(all) {
		all[len(all)-1] = a.Predictions[rank]
	}
	return all
}

// formatCount returns a number with its noun: "1 picture", "2 pictures".
func formatCount(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

//go:embed document.html
var documentHTML string

var documentPage = template.Must(template.New("document").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"span":    func(v [2]float64) string { return fmt.Sprintf("%.1f to %.1f %%", 100*v[0], 100*v[1]) },
	"minutes": func(s float64) string { return fmt.Sprintf("%.1f minutes", s/60) },
	"count":   formatCount,
}).Parse(acceptanceHTML + documentHTML))
