package card

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/dataset"
	"garb/evaluate"
	"garb/internal/drawn"
	"garb/internal/perturb"
	"garb/model"
	"garb/picture"
)

// Ten are the classes of the course, and of the model clothing.
var Ten = []string{"dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"}

// asTen are kinds that one of the ten classes stands for in street photos.
var asTen = map[string]string{"blouse": "shirt", "blazer": "outwear"}

// Classifier is what is measured: a *model.Classifier or, in tests, less.
type Classifier interface {
	Classes() []string
	Digest() string
	Spec() picture.Spec
	Limits() picture.Limits
	OutputCount() int
	Outputs(ctx context.Context, inputs, rows []float32) error
	Answer(row []float32) model.Answer
}

// Options say what is measured and how.
type Options struct {
	Folder string // that docs/_make/modeldata made
	Name   string // the model's, the first part of its figures' keys
	// Ten is whether the model is measured on the ten classes; else on its own.
	Ten bool
	// Validation measures on the validation parts, from which models are chosen; else on
	// what is set aside.
	Validation bool
	// Other is a class of the model that means none of the others: the acceptance then is
	// 1 − its probability, and a picture is accepted from a half on. "" leaves the
	// acceptance to the model.
	Other string
	// TestOnly measures the test pictures alone.
	TestOnly bool
	// DrawnSeed is the seed of the pictures of nothing: another than training's.
	DrawnSeed uint64
	Drawn     int // their number
	// Progress, if not nil, is told what is being measured.
	Progress func(what string)
}

// answer is what the model said of one picture.
type answer struct {
	file, label string
	evaluate.Answer
	acceptance float64
	accepted   bool
}

// measurement is a measurement on its way.
type measurement struct {
	Options
	model   Classifier
	figures []Figure
}

// Measure measures a model: every figure of the model card that is about it.
func Measure(ctx context.Context, model Classifier, o Options) ([]Figure, error) {
	if o.Other != "" && !slices.Contains(model.Classes(), o.Other) {
		return nil, fmt.Errorf("the model has no class %q: it has %s", o.Other, strings.Join(model.Classes(), ", "))
	}
	m := &measurement{Options: o, model: model}
	if err := m.all(ctx); err != nil {
		return nil, err
	}
	return m.figures, nil
}

// folders are where each part of the measurement has its pictures; garments is the table
// of what is worn in those of street.
type folders struct{ test, full, worn, street, garments, other, empty, named string }

var (
	aside = folders{"aside/test", "aside/full", "aside/worn", "aside/street", "aside/street.csv", "aside/other",
		"aside/empty",
		"aside/named"}
	validation = folders{"full/validation", "full/validation", "worn/validation", "street/validation",
		"street-validation.csv",
		"other/validation", "empty/validation", "named/validation"}
)

func (m *measurement) all(ctx context.Context) error {
	where := aside
	if m.Validation {
		where = validation
	}
	tests, err := m.labelled(where.test)
	if err != nil {
		return err
	}
	main, err := m.answers(ctx, where.test, tests, nil)
	if err != nil {
		return err
	}
	m.accuracy("test", m.title(where.test), main, true)
	m.ece("test", m.title(where.test), main)
	threshold := quantile(main)
	m.share("test.accepted", m.title(where.test)+": accepted", "", main, accepted)
	if m.TestOnly {
		return nil
	}
	if where.full != where.test {
		full, err := m.labelled(where.full)
		if err != nil {
			return err
		}
		answers, err := m.answers(ctx, where.full, full, nil)
		if err != nil {
			return err
		}
		m.accuracy("full", m.title(where.full), answers, true)
		m.ece("full", m.title(where.full), answers)
		m.share("full.accepted", m.title(where.full)+": accepted", "", answers, accepted)
		if err := m.kids(answers); err != nil {
			return err
		}
	}
	worn := where.worn
	if m.Ten && !m.Validation {
		worn = "aside/worn10"
	}
	if err := m.worn(ctx, worn, threshold); err != nil {
		return err
	}
	if err := m.street(ctx, where.street, where.garments); err != nil {
		return err
	}
	if err := m.named(ctx, where.named, threshold); err != nil {
		return err
	}
	for _, part := range []struct{ key, folder, title, target string }{
		{"other", where.other, "other pictures without clothes", "≤ .03"},
		{"empty", where.empty, "parts of street photos without a garment", ""},
	} {
		samples, err := m.unlabelled(part.folder)
		if err != nil {
			return err
		}
		answers, err := m.answers(ctx, part.folder, samples, nil)
		if err != nil {
			return err
		}
		m.accepts(part.key, part.title, part.target, answers, threshold)
	}
	if err := m.nothing(ctx, threshold); err != nil {
		return err
	}
	for i, change := range perturb.All() {
		answers, err := m.answers(ctx, change.Title, tests,
			func(p *picture.RGB, n int) *picture.RGB { return change.Apply(p, uint64(n)) })
		if err != nil {
			return err
		}
		title := m.title(where.test) + ", " + change.Title
		target := ""
		if m.Ten {
			target = changeTargets[i]
		}
		m.share("changed."+change.Name+".accuracy", title+": accuracy", target, answers, right)
		m.bootstrap("changed."+change.Name+".ece", title+": ECE", "≤ .08", answers, ece)
		m.share("changed."+change.Name+".accepted", title+": accepted", "", answers, accepted)
	}
	return nil
}

// changeTargets are the accuracies to reach, in the order of perturb.All.
var changeTargets = []string{"≥ .85", "≥ .85", "≥ .91", "≥ .86", "≥ .89", "≥ .87", "≥ .89", "≥ .91"}

// title names a folder for people.
func (m *measurement) title(folder string) string {
	names := map[string]string{
		"aside/test": "test split", "aside/full": "test contributors", "full/validation": "validation, full set",
	}
	return names[folder]
}

// sample is a picture to measure on: a file or, for drawings, a picture.
type sample struct {
	file, label string
	drawn       *picture.RGB
}

// labelled lists the pictures of a folder of folders, with the folders' names as labels,
// without those of which the model cannot know the class.
func (m *measurement) labelled(folder string) ([]sample, error) {
	path := filepath.Join(m.Folder, filepath.FromSlash(folder))
	classes, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var samples []sample
	for _, class := range classes {
		if !class.IsDir() || !slices.Contains(m.classes(), class.Name()) {
			continue
		}
		files, err := filesOf(filepath.Join(path, class.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			samples = append(samples, sample{file: class.Name() + "/" + file, label: class.Name()})
		}
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%s has no pictures in folders of the model's classes", path)
	}
	return samples, nil
}

// unlabelled lists the pictures of a folder.
func (m *measurement) unlabelled(folder string) ([]sample, error) {
	path := filepath.Join(m.Folder, filepath.FromSlash(folder))
	files, err := filesOf(path)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no pictures", path)
	}
	var samples []sample
	for _, file := range files {
		samples = append(samples, sample{file: file})
	}
	return samples, nil
}

// filesOf lists the JPEG and PNG files of a folder, sorted.
func filesOf(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".jpg" || ext == ".png") {
			files = append(files, e.Name())
		}
	}
	return files, nil
}

// table reads a CSV file whose first row is the given one.
func (m *measurement) table(name string, head ...string) ([][]string, error) {
	path := filepath.Join(m.Folder, filepath.FromSlash(name))
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 || !slices.Equal(rows[0], head) {
		return nil, fmt.Errorf("%s has no rows, or other columns than %q", path, head)
	}
	return rows[1:], nil
}

// classes are those that answers are of: the ten, or the model's.
func (m *measurement) classes() []string {
	var classes []string
	for _, class := range m.model.Classes() {
		if class != m.Other && (!m.Ten || slices.Contains(Ten, class)) {
			classes = append(classes, class)
		}
	}
	return classes
}

// batch is the number of pictures that the model answers at a time.
const batch = 32

// answers shows pictures to the model, as they are or changed.
func (m *measurement) answers(ctx context.Context, folder string, samples []sample,
	change func(*picture.RGB, int) *picture.RGB) ([]answer,
	error) {
	if m.Progress != nil {
		m.Progress(fmt.Sprintf("%s: %s, %d pictures", m.Name, folder, len(samples)))
	}
	spec, width := m.model.Spec(), m.model.OutputCount()
	values := spec.ValueCount()
	inputs, rows := make([]float32, batch*values), make([]float32, batch*width)
	failed := make([]error, batch)
	var all []answer
	for first := 0; first < len(samples); first += batch {
		part := samples[first:min(first+batch, len(samples))]
		err := dataset.Each(ctx, len(part), func(i int) {
			failed[i] = m.load(ctx, folder, part[i], first+i, change, inputs[i*values:][:values])
		})
		if err := errors.Join(err, errors.Join(failed[:len(part)]...)); err != nil {
			return nil, err
		}
		if err := m.model.Outputs(ctx, inputs[:len(part)*values], rows[:len(part)*width]); err != nil {
			return nil, err
		}
		for i, s := range part {
			a := m.judge(m.model.Answer(rows[i*width:][:width]))
			a.file, a.label, a.Class = s.file, s.label, s.label
			all = append(all, a)
		}
	}
	return all, nil
}

// load writes the values of picture n: of a photo as garb classify has them, of a
// changed one from all of its pixels.
func (m *measurement) load(ctx context.Context, folder string, s sample, n int,
	change func(*picture.RGB, int) *picture.RGB, dst []float32) error {
	if s.drawn != nil {
		m.model.Spec().Tensor(s.drawn, dst)
		return nil
	}
	if change != nil {
		folder = aside.test
		if m.Validation {
			folder = validation.test
		}
	}
	path := filepath.Join(m.Folder, filepath.FromSlash(folder), filepath.FromSlash(s.file))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if change == nil {
		_, err = m.model.Spec().Load(ctx, data, m.model.Limits(), dst)
	} else {
		var p *picture.RGB
		if p, err = picture.Decode(ctx, data, m.model.Limits()); err == nil {
			m.model.Spec().Tensor(change(p, n), dst)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// judge turns the model's answer into one about the classes that are measured.
func (m *measurement) judge(from model.Answer) answer {
	a := answer{acceptance: from.Acceptance, accepted: from.Accepted}
	if !from.Judged { // the largest probability is what there is
		a.acceptance = from.Predictions[0].Probability
	}
	classes, sum := m.classes(), 0.0
	for _, p := range from.Predictions {
		switch {
		case m.Other != "" && p.Class == m.Other:
			a.acceptance = 1 - p.Probability
			a.accepted = a.acceptance >= 0.5
		case slices.Contains(classes, p.Class):
			a.Predictions = append(a.Predictions, p)
			sum += p.Probability
		}
	}
	for i := range a.Predictions {
		if sum > 0 {
			a.Predictions[i].Probability /= sum
		}
	}
	return a
}

func right(a answer) bool    { return a.Right() }
func accepted(a answer) bool { return a.accepted }

// quantile returns the acceptance from which 95 % of the answers are accepted.
func quantile(answers []answer) float64 {
	var all []float64
	for _, a := range answers {
		all = append(all, a.acceptance)
	}
	slices.Sort(all)
	return all[len(all)*5/100]
}

// share adds the share of answers for which what is true.
func (m *measurement) share(key, title, target string, answers []answer, what func(answer) bool) {
	count := 0
	for _, a := range answers {
		if what(a) {
			count++
		}
	}
	m.counted(key, title, target, count, len(answers))
}

func (m *measurement) counted(key, title, target string, right, count int) {
	m.figures = append(m.figures,
		Figure{Key: m.Name + "." + key, Title: title, Target: target, Value: float64(right) / float64(max(count, 1)),
			Right: right, Count: count, Share: true, Interval: evaluate.Wilson(right, count)})
}

// accuracy adds accuracy and, if asked, macro recall.
func (m *measurement) accuracy(key, title string, answers []answer, macro bool) {
	targets := map[string][2]string{"test": {"≥ .945"}, "full": {"≥ .93"}, "worn": {"≥ .88", "≥ .80"}}
	if !m.Ten {
		targets = map[string][2]string{"full": {"≥ .85", "≥ .70"}}
	}
	m.share(key+".accuracy", title+": accuracy", targets[key][0], answers, right)
	if macro {
		m.bootstrap(key+".recall", title+": macro recall", targets[key][1], answers, macroRecall)
	}
}

// ece adds the calibration error of all answers, and of those that are accepted.
func (m *measurement) ece(key, title string, answers []answer) {
	targets := map[string][2]string{"test": {"", "≤ .02"}, "worn": {"≤ .05"}}[key]
	m.bootstrap(key+".ece", title+": ECE", targets[0], answers, ece)
	taken := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return !a.accepted })
	m.bootstrap(key+".ece-accepted", title+": ECE of accepted answers", targets[1], taken, ece)
}

func ece(answers []answer) float64 {
	all := make([]evaluate.Answer, len(answers))
	for i, a := range answers {
		all[i] = a.Answer
	}
	e, _ := evaluate.Calibration(all)
	return e
}

// macroRecall returns the mean over the labels of the share of each that is right.
func macroRecall(answers []answer) float64 {
	count, rights := map[string]int{}, map[string]int{}
	for _, a := range answers {
		count[a.label]++
		if a.Right() {
			rights[a.label]++
		}
	}
	sum := 0.0
	for _, label := range sortedKeys(count) { // in order, for the sum's rounding
		sum += float64(rights[label]) / float64(count[label])
	}
	return sum / float64(max(len(count), 1))
}

func sortedKeys(m map[string]int) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// resamples is the number of resamples of a bootstrap.
const resamples = 1000

// bootstrap adds a figure with the basic bootstrap's interval, 2θ − θ*(.975) to
// 2θ − θ*(.025) (Davison and Hinkley 1997), which takes off that a calibration error is
// larger in resamples than in what they are drawn from.
func (m *measurement) bootstrap(key, title, target string, answers []answer, what func([]answer) float64) {
	f := Figure{Key: m.Name + "." + key, Title: title, Target: target, Count: len(answers)}
	if len(answers) > 0 {
		f.Value = what(answers)
		random := rand.New(rand.NewPCG(1, 2))
		values, drawn := make([]float64, resamples), make([]answer, len(answers))
		for i := range values {
			for j := range drawn {
				drawn[j] = answers[random.IntN(len(answers))]
			}
			values[i] = what(drawn)
		}
		slices.Sort(values)
		f.Interval = [2]float64{max(0, 2*f.Value-values[resamples*975/1000]),
			min(1, 2*f.Value-values[resamples*25/1000])}
	}
	m.figures = append(m.figures, f)
}

// accepts adds what share is accepted: by the model, and at the threshold that accepts
// 95 % of the test split.
func (m *measurement) accepts(key, title, target string, answers []answer, threshold float64) {
	m.share(key+".accepted", title+": accepted", target, answers, accepted)
	m.share(key+".accepted-at-95", title+": accepted at the 95 % threshold", target, answers,
		func(a answer) bool { return a.acceptance >= threshold })
}

func (m *measurement) worn(ctx context.Context, folder string, threshold float64) error {
	samples, err := m.labelled(folder)
	if err != nil {
		return err
	}
	answers, err := m.answers(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	const title = "worn garments"
	m.accuracy("worn", title, answers, true)
	m.ece("worn", title, answers)
	m.accepts("worn", title, "≥ .93", answers, threshold)
	for _, class := range m.classes() {
		of := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.label != class })
		if len(of) > 0 {
			m.share("worn-class."+class, title+", "+class+": recall", "", of, right)
		}
	}
	return nil
}

// street measures on whole street photos: an answer is right if it is one of the garments
// worn, which a table has for each photo of the folder.
func (m *measurement) street(ctx context.Context, folder, table string) error {
	rows, err := m.table(table, "photo", "garments")
	if err != nil {
		return err
	}
	var samples []sample
	worn := map[string][]string{}
	for _, row := range rows {
		if row[1] == "" {
			continue // nothing that a class is there for
		}
		worn[row[0]] = strings.Split(row[1], "|")
		samples = append(samples, sample{file: row[0]})
	}
	answers, err := m.answers(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	m.share("street.worn", "street photos: the answer is one of the garments worn", "≥ .85", answers,
		func(a answer) bool {
			class := a.Predictions[0].Class
			return slices.Contains(worn[a.file], class) || slices.Contains(worn[a.file], asTen[class])
		})
	m.share("street.accepted", "street photos: accepted", "", answers, accepted)
	return nil
}

// named measures on other pictures that show clothes.
func (m *measurement) named(ctx context.Context, folder string, threshold float64) error {
	var samples []sample
	classes := map[string][]string{}
	if m.Validation {
		all, err := m.labelled(folder)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, s := range all {
			classes[s.file] = []string{s.label}
		}
		samples = all
	} else {
		rows, err := m.table("aside/named.csv", "image", "class")
		if err != nil {
			return err
		}
		for _, row := range rows {
			classes[row[0]] = strings.Split(row[1], "|")
			samples = append(samples, sample{file: row[0]})
		}
	}
	answers, err := m.answers(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	m.accepts("named", "other pictures that show clothes", "≥ .75", answers, threshold)
	known := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool {
		return !slices.ContainsFunc(classes[a.file],
			func(class string) bool { return slices.Contains(m.classes(), class) })
	})
	m.share("named.right", "other pictures that show clothes of a known class: right", "≥ .75", known,
		func(a answer) bool {
			return slices.Contains(classes[a.file], a.Predictions[0].Class)
		})
	return nil
}

// nothing measures on drawn pictures of nothing.
func (m *measurement) nothing(ctx context.Context, threshold float64) error {
	samples := make([]sample, m.Drawn)
	for i := range samples {
		p, kind := drawn.Nothing(m.DrawnSeed, i)
		samples[i] = sample{file: fmt.Sprintf("%s-%04d", kind, i), drawn: p}
	}
	answers, err := m.answers(ctx, "drawn pictures of nothing", samples, nil)
	if err != nil {
		return err
	}
	m.accepts("nothing", "drawn pictures of nothing", "0", answers, threshold)
	return nil
}

// kids measures children's clothes against adults'.
func (m *measurement) kids(answers []answer) error {
	rows, err := m.table("aside/kids.csv", "image", "class", "kids")
	if err != nil {
		return err
	}
	kids := map[string]bool{}
	for _, row := range rows {
		kids[row[0]] = strings.EqualFold(row[2], "true")
	}
	var small, large []answer
	for _, a := range answers {
		if kids[a.file] {
			small = append(small, a)
		} else {
			large = append(large, a)
		}
	}
	m.share("kids.accuracy", "children's clothes: accuracy", "", small, right)
	one := m.figures[len(m.figures)-1]
	m.share("adults.accuracy", "adults' clothes: accuracy", "", large, right)
	other := m.figures[len(m.figures)-1]
	// Newcombe 1998, method 10: the interval of a difference from those of the shares.
	below := math.Hypot(one.Value-one.Interval[0], other.Interval[1]-other.Value)
	above := math.Hypot(one.Interval[1]-one.Value, other.Value-other.Interval[0])
	d := one.Value - other.Value
	m.figures = append(m.figures,
		Figure{Key: m.Name + ".kids.difference", Title: "accuracy on children's clothes minus adults'",
			Target: "within .03", Value: d,
			Count: len(answers), Interval: [2]float64{d - below, d + above}})
	return nil
}

// Seeds returns the mean of the accuracy of several runs' models, and its spread: the
// figures NAME.seeds.mean, whose interval is Student's, and NAME.seeds.deviation.
func Seeds(name string, accuracies []Figure) []Figure {
	n := float64(len(accuracies))
	mean, square := 0.0, 0.0
	for _, f := range accuracies {
		mean += f.Value / n
	}
	for _, f := range accuracies {
		square += (f.Value - mean) * (f.Value - mean)
	}
	deviation := math.Sqrt(square / max(n-1, 1))
	// The 97.5 % quantiles of Student's t with 1 to 4 degrees of freedom.
	quantiles := []float64{12.706, 4.303, 3.182, 2.776}
	half := quantiles[min(max(len(accuracies)-2, 0), len(quantiles)-1)] * deviation / math.Sqrt(n)
	return []Figure{{
		Key: name + ".seeds.mean", Target: "≥ .945", Value: mean, Count: accuracies[0].Count,
		Title: fmt.Sprintf("mean of %d seeds, with a standard deviation of %s: accuracy", len(accuracies),
			Short(deviation)),
		Interval: [2]float64{mean - half, mean + half},
	}}
}
