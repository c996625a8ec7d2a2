package evaluate

import (
	"cmp"
	"context"
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

	"garb/model"
	"garb/picture"
	"garb/report"
)

// Document is what a page is made of. Whatever is empty is left out.
type Document struct {
	Title string
	Model string // its file
	About model.Description
	// Parts are reports on parts of the data set, by name, such as "test".
	Parts   []Part
	Curves  []Curve // of the training run
	Skipped []string
	// Folder is the one that the page is to lie in: pictures in it, or in a folder beside
	// it, are linked. "" means that the page has no links.
	Folder string
}

// Part is a report on one part of a data set.
type Part struct {
	Name   string
	Report *Report
}

// Curve is an epoch of a training run, a row of its history.csv.
type Curve struct {
	Epoch, Loss, Accuracy, ValidationLoss, ValidationAccuracy, LearningRate, Seconds float64
}

// ReadCurves reads the history of a run: model is its folder, or a file in its folder
// checkpoints. For any other file, or without a history, it returns nothing.
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

// What a page shows of each kind of picture, and how large.
const (
	shownPictures = 24
	listedWrong   = 1000 // wrong answers that are shown or listed by name
	thumbnailSide = 160
	shownClasses  = 3
	maxTableSide  = 40 // classes of a confusion matrix that a page holds
)

// WritePage writes the document as one HTML file that needs nothing else. Pictures are
// read again for their thumbnails; those that are gone are named without one. Its errors
// are w's and ctx's.
func WritePage(ctx context.Context, w io.Writer, d Document) error {
	v := view{Document: d}
	for _, p := range d.Parts {
		part := partView{Part: p}
		wrong := mostWrong(p.Report.Answers)
		part.WrongCount = len(wrong)
		part.Wrong = thumbnails(ctx, d.Folder, wrong[:min(len(wrong), shownPictures)])
		if len(wrong) > shownPictures {
			part.MoreWrong = listed(d.Folder, wrong[shownPictures:min(len(wrong), listedWrong)])
		}
		unsure := leastSure(p.Report.Answers)
		part.Unsure = thumbnails(ctx, d.Folder, unsure[:min(len(unsure), shownPictures)])
		part.Diagram = diagram(p)
		if len(p.Report.Classes) <= maxTableSide {
			part.Matrix = matrix(p.Report)
		}
		part.acceptanceView = newAcceptanceView(ctx, d.Folder, p)
		v.Parts = append(v.Parts, part)
	}
	if err := ctx.Err(); err != nil {
		return err // and no page that lacks pictures
	}
	charts := Charts(d.Curves)
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		v.Charts = append(v.Charts, charts[name].SVG())
	}
	if d.About.Training != nil {
		v.Settings = settings(d.About.Training.Settings)
		v.Seconds = seconds(d.Curves)
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
	Wrong      []shown
	WrongCount int
	MoreWrong  []shown // after those of Wrong, without pictures
	Unsure     []shown
}

type setting struct{ Name, Value string }

// settings lists a run's settings by name; those of a part, such as augment, follow its
// name.
func settings(text json.RawMessage) []setting {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	var all []setting
	for _, key := range slices.Sorted(maps.Keys(m)) {
		name, value := strings.ReplaceAll(key, "_", " "), string(m[key])
		switch value[0] {
		case '{':
			for _, s := range settings(m[key]) {
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

func seconds(curves []Curve) float64 {
	total := 0.0
	for _, c := range curves {
		total += c.Seconds
	}
	return total
}

// Charts draws a run's curves, by name: accuracy, loss, and the learning rate if it
// changes. Without an epoch there is none.
func Charts(curves []Curve) map[string]report.Chart {
	if len(curves) == 0 {
		return nil
	}
	pick := func(name string, dashed bool, of func(Curve) float64) report.Series {
		s := report.Series{Name: name, Dashed: dashed}
		for _, c := range curves {
			s.X, s.Y = append(s.X, c.Epoch), append(s.Y, of(c))
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

// diagram draws how often answers are right against how sure they are, with the 95 %
// interval of each point: that of few answers is wide.
func diagram(p Part) template.HTML {
	s := report.Series{Name: "answers, with 95 % intervals"}
	for _, b := range p.Report.Bins {
		if b.Count > 0 {
			interval := Wilson(int(math.Round(b.Accuracy*float64(b.Count))), b.Count)
			s.X, s.Y = append(s.X, b.Confidence), append(s.Y, b.Accuracy)
			s.Low, s.High = append(s.Low, interval[0]), append(s.High, interval[1])
		}
	}
	return report.Chart{
		Title: "Calibration, " + p.Name, XLabel: "how sure it is", YLabel: "how often it is right", Points: true,
		YMin: 0, YMax: 1, Series: []report.Series{s, {Name: "as it should be", X: []float64{0, 1}, Y: []float64{0, 1},
			Dashed: true}},
	}.SVG()
}

type matrixRow struct {
	Class string
	Cells []cell
}

type cell struct {
	Count int
	Style template.CSS // deeper for a larger share of the row
}

func matrix(r *Report) []matrixRow {
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
				c.Style = template.CSS(fmt.Sprintf("background:rgba(var(%s),%.2f)", colour, 0.12+0.6*math.Sqrt(share)))
			}
			row.Cells = append(row.Cells, c)
		}
		rows = append(rows, row)
	}
	return rows
}

// mostWrong are wrong answers, the surest first.
func mostWrong(answers []Answer) []Answer {
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

// leastSure are right answers, those first that were least sure.
func leastSure(answers []Answer) []Answer {
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

// shown is a picture with what was said of it.
type shown struct {
	Picture template.URL
	Name    string
	Link    string // to the picture's file; "" for none
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

// thumbnails makes answers ready to be shown with their pictures on a page in folder.
func thumbnails(ctx context.Context, folder string, answers []Answer) []shown {
	all := listed(folder, answers)
	limits := picture.DefaultLimits()
	for i, a := range answers {
		data, err := a.Sample.Read(limits)
		if err != nil {
			continue
		}
		if p, err := picture.Decode(ctx, data, limits); err == nil {
			all[i].Picture, _ = report.Thumbnail(p, thumbnailSide)
		}
	}
	return all
}

// listed makes answers ready to be listed by name on a page in folder.
func listed(folder string, answers []Answer) []shown {
	var all []shown
	for _, a := range answers {
		s := shown{Name: filepath.Base(a.Sample.Path), Link: linkTo(folder, a.Sample.Path), Class: a.Class}
		for _, p := range shownPredictions(a) {
			s.Bars = append(s.Bars, bar{
				p.Class, fmt.Sprintf("%.0f %%", 100*p.Probability),
				template.CSS(fmt.Sprintf("--share:%.0f%%", 100*p.Probability)), p.Class == a.Class,
			})
		}
		all = append(all, s)
	}
	return all
}

// linkTo returns the address of a file on a page that lies in folder, relative to the
// page: so it holds as long as both are moved or served together. A file that lies
// neither in the folder nor in one beside it gets "": it would not be moved with the page.
func linkTo(folder, path string) string {
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
		return "" // on another volume
	}
	relative = filepath.ToSlash(relative)
	parent := filepath.Dir(folder)
	switch {
	case !strings.HasPrefix(relative, "../"):
		relative = "./" + relative // so that a colon in the name does not end a scheme
	case strings.HasPrefix(relative, "../../"), parent == filepath.Dir(parent): // all of a disk is beside
		return ""
	}
	return (&url.URL{Path: relative}).EscapedPath()
}

// shownPredictions are the first, of which the last gives way to the right class if
// that is not among them.
func shownPredictions(a Answer) []model.Prediction {
	all := slices.Clone(a.Predictions[:min(len(a.Predictions), shownClasses)])
	place := slices.IndexFunc(a.Predictions, func(p model.Prediction) bool { return p.Class == a.Class })
	if place >= len(all) {
		all[len(all)-1] = a.Predictions[place]
	}
	return all
}

// count is a number with its noun: "1 picture", "2 pictures".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

var documentPage = template.Must(template.New("document").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"span":    func(v [2]float64) string { return fmt.Sprintf("%.1f to %.1f %%", 100*v[0], 100*v[1]) },
	"minutes": func(s float64) string { return fmt.Sprintf("%.1f minutes", s/60) },
	"count":   count,
}).Parse(acceptanceHTML + `
{{define "name"}}{{if .Link}}<a href="{{.Link}}">{{.Name}}</a>{{else}}{{.Name}}{{end}}{{end}}
{{define "pictures"}}<div class="pictures">{{range .}}<figure>{{if .Picture}}<img src="{{.Picture}}" alt="{{.Class}}">{{end}}
<figcaption title="{{.Name}}"><b>{{.Class}}</b> {{template "name" .}}</figcaption>{{range .Bars}}<div class="bar{{if .Right}} right{{end}}" style="{{.Share}}">{{.Class}}<i>{{.Percent}}</i></div>{{end}}{{with .Note}}<small>{{.}}</small>{{end}}</figure>{{end}}</div>{{end}}
<p class="faint">{{.Model}}{{with .About.Architecture}} · {{.}}{{end}} · input {{.About.Preprocessing.Width}} × {{.About.Preprocessing.Height}}{{with .About.Temperature}} · temperature {{.}}{{end}}</p>
{{if .Skipped}}<div class="warn"><p>{{count (len .Skipped) "picture"}} could not be read and {{if eq (len .Skipped) 1}}was{{else}}were{{end}} left out:</p>{{range .Skipped}}<p><small>{{.}}</small></p>{{end}}</div>{{end}}
{{range $part := .Parts}}<div class="big">
<div><b>{{percent .Report.Accuracy}}</b><span>accuracy, {{.Name}} ({{count .Report.Count "picture"}})<br>95 % interval {{span .Report.Interval}}</span></div>
<div><b>{{printf "%.3f" .Report.MacroF1}}</b><span>macro F1</span></div>
<div><b>{{printf "%.3f" .Report.LogLoss}}</b><span>log loss</span></div>
<div><b>{{printf "%.3f" .Report.ECE}}</b><span>calibration error (ECE)</span></div>
{{range $k, $v := .Report.TopK}}{{if gt $k 1}}<div><b>{{percent $v}}</b><span>top {{$k}}</span></div>{{end}}{{end}}
</div>
{{if .Report.TTA}}<p class="faint">{{.Name}}: each answer is the mean of the probabilities for the picture and for its mirror image (test-time augmentation by {{.Report.TTA}}).</p>{{end}}
{{with .Report.Mapping}}{{range .Notes}}<p class="faint">{{$part.Name}}: {{.}}.</p>{{end}}{{with .LeftOut}}<div class="warn"><p>{{$part.Name}}: {{.}}.</p></div>{{end}}{{end}}
{{end}}
{{if .Charts}}<h2>Training</h2><div class="figures">{{range .Charts}}<figure>{{.}}</figure>{{end}}</div>{{end}}
{{range .Parts}}
<h2>Classes, {{.Name}}</h2><div class="figures"><div class="wide"><table class="tight"><tr><th>class</th><th>precision</th><th>recall</th><th>95 % interval</th><th>F1</th><th>pictures</th></tr>
{{range .Report.PerClass}}<tr><td>{{.Class}}</td><td>{{percent .Precision}}</td><td>{{percent .Recall}}</td><td>{{span .RecallInterval}}</td><td>{{printf "%.3f" .F1}}</td><td>{{.Count}}</td></tr>{{end}}</table></div>
<figure>{{.Diagram}}</figure></div>
{{if .Matrix}}<h2>What was taken for what, {{.Name}}</h2><p class="faint">A row is what a picture is of, a column what it was taken for.</p>
<div class="wide"><table><tr><th></th>{{range .Report.Classes}}<th>{{.}}</th>{{end}}</tr>
{{range .Matrix}}<tr><td>{{.Class}}</td>{{range .Cells}}<td style="{{.Style}}">{{if .Count}}{{.Count}}{{else}}<span class="faint">·</span>{{end}}</td>{{end}}</tr>{{end}}</table></div>{{end}}
{{if .Wrong}}<h2>Most wrong, {{.Name}}</h2><p class="faint">{{count .WrongCount "answer"}} {{if eq .WrongCount 1}}is{{else}}are{{end}} wrong, the surest first.</p>{{template "pictures" .Wrong}}
{{if .MoreWrong}}<details><summary>{{len .MoreWrong}} more</summary><div class="wide"><table class="words"><tr><th>picture</th><th>class</th><th>taken for</th><th>probability</th></tr>
{{range .MoreWrong}}{{$best := index .Bars 0}}<tr><td>{{template "name" .}}</td><td>{{.Class}}</td><td>{{$best.Class}}</td><td>{{$best.Percent}}</td></tr>{{end}}</table></div></details>{{end}}{{end}}
{{if .Report.Sets}}{{template "sets" .}}{{end}}{{if .Report.Acceptance}}{{template "acceptance" .}}{{end}}
{{if .Unsure}}<h2>Right, but least sure, {{.Name}}</h2>{{template "pictures" .Unsure}}{{end}}
{{end}}
{{if .Settings}}<h2>Settings</h2><div class="wide"><table class="words">{{range .Settings}}<tr><td>{{.Name}}</td><td><code>{{.Value}}</code></td></tr>{{end}}</table></div>{{end}}
<h2>Where this comes from</h2><table class="words">
{{with .About.Training}}<tr><td>trained by</td><td>garb {{.Garb}}, {{with .Averaged}}the mean of {{len .}} models{{else}}epoch {{.Epoch}}{{end}}</td></tr><tr><td>pictures</td><td>{{index .Pictures 0}} training, {{index .Pictures 1}} validation, {{index .Pictures 2}} test</td></tr><tr><td>data</td><td><code>{{.DataDigest}}</code></td></tr>{{end}}
{{if .Seconds}}<tr><td>training took</td><td>{{minutes .Seconds}}</td></tr>{{end}}
{{range .Parts}}<tr><td>{{.Name}} pictures</td><td><code>{{.Report.DataDigest}}</code></td></tr>{{if .Report.Seconds}}<tr><td>answering {{.Name}} took</td><td>{{printf "%.1f s" .Report.Seconds}}</td></tr>{{end}}{{end}}</table>
`))
