package card

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// Ten has the ten classes of the course, which are those of the model clothing.
var Ten = []string{"dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"}

// asTen has garments of street photos that one of the ten classes includes.
var asTen = map[string]string{"blouse": "shirt", "blazer": "outwear"}

// Classifier is the part of a *model.Classifier that Measure needs.
type Classifier interface {
	Classes() []string
	Digest() string
	Spec() picture.Spec
	Limits() picture.Limits
	OutputCount() int
	Outputs(ctx context.Context, inputs, rows []float32) error
	Answer(row []float32) model.Answer
}

// Options say what to measure, and how.
type Options struct {
	Folder string // the folder that docs/_make/modeldata made
	Name   string // the model's name, with which the keys of its figures begin
	// Ten measures the model on the ten classes, instead of its own.
	Ten bool
	// Validation measures on the validation parts, by which models are chosen, instead of on the
	// pictures set aside.
	Validation bool
	// Other is a class of the model that means none of the others. The acceptance is then 1 minus
	// its probability, and a picture is accepted from 0.5. Without Other, the model judges.
	Other string
	// TestOnly measures only the test pictures.
	TestOnly bool
	// DrawnSeed is the seed of the drawn pictures without garments. It differs from training's.
	DrawnSeed uint64
	Drawn     int // the number of drawn pictures
	// Progress, if not nil, is called with what is being measured.
	Progress func(what string)
}

// answer is the model's answer for one picture.
type answer struct {
	file, label string
	evaluate.Answer
	acceptance float64
	accepted   bool
}

// measurement collects the figures of a model.
type measurement struct {
	Options
	model   Classifier
	figures []Figure
}

// Measure measures every figure of the model card about a model.
func Measure(ctx context.Context, model Classifier, o Options) ([]Figure, error) {
	if o.Other != "" && !slices.Contains(model.Classes(), o.Other) {
		return nil, fmt.Errorf("the model has no class %q; it has %s", o.Other, strings.Join(model.Classes(), ", "))
	}
	m := &measurement{Options: o, model: model}
	if err := m.measureAll(ctx); err != nil {
		return nil, err
	}
	return m.figures, nil
}

// folders has the folder of each part. garments is a table of the garments worn in the street photos.
type folders struct{ test, full, worn, street, garments, other, empty, named string }

var (
	aside = folders{
		"aside/test", "aside/full", "aside/worn", "aside/street", "aside/street.csv", "aside/other", "aside/empty",
		"aside/named",
	}
	validation = folders{
		"full/validation", "full/validation", "worn/validation", "street/validation", "street-validation.csv",
		"other/validation", "empty/validation", "named/validation",
	}
)

// measureAll measures all parts.
func (m *measurement) measureAll(ctx context.Context) error {
	where := aside
	if m.Validation {
		where = validation
	}
	tests, threshold, err := m.measureTests(ctx, where)
	if err != nil || m.TestOnly {
		return err
	}
	if where.full != where.test {
		if err := m.measureFull(ctx, where); err != nil {
			return err
		}
	}
	worn := where.worn
	if m.Ten && !m.Validation {
		worn = "aside/worn10"
	}
	if err := m.measureWorn(ctx, worn, threshold); err != nil {
		return err
	}
	if err := m.measureStreet(ctx, where.street, where.garments); err != nil {
		return err
	}
	if err := m.measureNamed(ctx, where.named, threshold); err != nil {
		return err
	}
	if err := m.measureOthers(ctx, where, threshold); err != nil {
		return err
	}
	if err := m.measureNothing(ctx, threshold); err != nil {
		return err
	}
	return m.measurePerturbed(ctx, where, tests)
}

// measureTests measures the test pictures, and returns them with the acceptance from which 95 % of
// them are accepted.
func (m *measurement) measureTests(ctx context.Context, where folders) ([]sample, float64, error) {
	tests, err := m.listLabelled(where.test)
	if err != nil {
		return nil, 0, err
	}
	answers, err := m.classify(ctx, where.test, tests, nil)
	if err != nil {
		return nil, 0, err
	}
	m.addAccuracy("test", m.title(where.test), answers, true)
	m.addECE("test", m.title(where.test), answers)
	m.addShare("test.accepted", m.title(where.test)+": accepted", "", answers, isAccepted)
	return tests, findThreshold(answers), nil
}

// measureFull measures the test pictures of the full data set.
func (m *measurement) measureFull(ctx context.Context, where folders) error {
	samples, err := m.listLabelled(where.full)
	if err != nil {
		return err
	}
	answers, err := m.classify(ctx, where.full, samples, nil)
	if err != nil {
		return err
	}
	m.addAccuracy("full", m.title(where.full), answers, true)
	m.addECE("full", m.title(where.full), answers)
	m.addShare("full.accepted", m.title(where.full)+": accepted", "", answers, isAccepted)
	return m.measureKids(answers)
}

// measureOthers measures how many pictures without garments are accepted.
func (m *measurement) measureOthers(ctx context.Context, where folders, threshold float64) error {
	for _, part := range []struct{ key, folder, title, target string }{
		{"other", where.other, "other pictures without clothes", "≤ .03"},
		{"empty", where.empty, "parts of street photos without a garment", ""},
	} {
		samples, err := m.listUnlabelled(part.folder)
		if err != nil {
			return err
		}
		answers, err := m.classify(ctx, part.folder, samples, nil)
		if err != nil {
			return err
		}
		m.addAccepted(part.key, part.title, part.target, answers, threshold)
	}
	return nil
}

// measurePerturbed measures the test pictures after each change.
func (m *measurement) measurePerturbed(ctx context.Context, where folders, tests []sample) error {
	for i, change := range perturb.All() {
		answers, err := m.classify(ctx, change.Title, tests,
			func(p *picture.RGB, n int) *picture.RGB { return change.Apply(p, uint64(n)) })
		if err != nil {
			return err
		}
		title := m.title(where.test) + ", " + change.Title
		target := ""
		if m.Ten {
			target = changeTargets[i]
		}
		m.addShare("changed."+change.Name+".accuracy", title+": accuracy", target, answers, isRight)
		m.addBootstrap("changed."+change.Name+".ece", title+": ECE", "≤ .08", answers, computeECE)
		m.addShare("changed."+change.Name+".accepted", title+": accepted", "", answers, isAccepted)
	}
	return nil
}

// changeTargets has the target accuracies, in the order of perturb.All.
var changeTargets = []string{"≥ .85", "≥ .85", "≥ .91", "≥ .86", "≥ .89", "≥ .87", "≥ .89", "≥ .91"}

// title returns a folder's title in the model card.
func (m *measurement) title(folder string) string {
	names := map[string]string{
		"aside/test": "test split", "aside/full": "test contributors", "full/validation": "validation, full set",
	}
	return names[folder]
}

// sample is a picture to measure on: a file, or a drawn picture.
type sample struct {
	file, label string
	drawn       *picture.RGB
}

// listLabelled returns the pictures in the class folders of a folder, except for classes that are not
// measured.
func (m *measurement) listLabelled(folder string) ([]sample, error) {
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
		files, err := listPictures(filepath.Join(path, class.Name()))
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

// listUnlabelled returns the pictures of a folder.
func (m *measurement) listUnlabelled(folder string) ([]sample, error) {
	path := filepath.Join(m.Folder, filepath.FromSlash(folder))
	files, err := listPictures(path)
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

// listPictures returns the names of the JPEG and PNG files of a folder, sorted.
func listPictures(folder string) ([]string, error) {
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

// readTable reads a CSV file and checks its first row.
func (m *measurement) readTable(name string, head ...string) ([][]string, error) {
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

// classes returns the measured classes: the ten, or the model's.
func (m *measurement) classes() []string {
	var classes []string
	for _, class := range m.model.Classes() {
		if class != m.Other && (!m.Ten || slices.Contains(Ten, class)) {
			classes = append(classes, class)
		}
	}
	return classes
}

// batchSize is the number of pictures that the model classifies at a time.
const batchSize = 32

// classify returns the model's answers for pictures, after a change unless it is nil.
func (m *measurement) classify(ctx context.Context, folder string, samples []sample,
	change func(*picture.RGB, int) *picture.RGB) ([]answer, error) {
	if m.Progress != nil {
		m.Progress(fmt.Sprintf("%s: %s, %d pictures", m.Name, folder, len(samples)))
	}
	spec, width := m.model.Spec(), m.model.OutputCount()
	values := spec.ValueCount()
	inputs, rows := make([]float32, batchSize*values), make([]float32, batchSize*width)
	failed := make([]error, batchSize)
	var all []answer
	for first := 0; first < len(samples); first += batchSize {
		part := samples[first:min(first+batchSize, len(samples))]
		err := dataset.Each(ctx, len(part), func(i int) {
			failed[i] = m.load(ctx, folder, part[i], first+i, change, inputs[i*values:][:values])
		})
		if err = errors.Join(err, errors.Join(failed[:len(part)]...)); err != nil {
			return nil, err
		}
		if err = m.model.Outputs(ctx, inputs[:len(part)*values], rows[:len(part)*width]); err != nil {
			return nil, err
		}
		for i, s := range part {
			a := m.restrict(m.model.Answer(rows[i*width:][:width]))
			a.file, a.label, a.Class = s.file, s.label, s.label
			all = append(all, a)
		}
	}
	return all, nil
}

// load writes the input of picture n: a photo's as garb classify computes it, and a changed one's from
// all of its pixels.
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

// restrict restricts the model's answer to the measured classes.
func (m *measurement) restrict(from model.Answer) answer {
	a := answer{acceptance: from.Acceptance, accepted: from.Accepted}
	if !from.Judged { // without a judgement, use the largest probability
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

func isRight(a answer) bool    { return a.Right() }
func isAccepted(a answer) bool { return a.accepted }

// findThreshold returns the threshold at which 95 % of the answers are accepted.
func findThreshold(answers []answer) float64 {
	var all []float64
	for _, a := range answers {
		all = append(all, a.acceptance)
	}
	slices.Sort(all)
	return all[len(all)*5/100]
}

// addShare adds the share of answers for which what is true.
func (m *measurement) addShare(key, title, target string, answers []answer, what func(answer) bool) {
	count := 0
	for _, a := range answers {
		if what(a) {
			count++
		}
	}
	m.addCounts(key, title, target, count, len(answers))
}

// addCounts adds the share right ÷ count.
func (m *measurement) addCounts(key, title, target string, right, count int) {
	m.figures = append(m.figures,
		Figure{Key: m.Name + "." + key, Title: title, Target: target, Value: float64(right) / float64(max(count, 1)),
			Right: right, Count: count, Share: true, Interval: evaluate.Wilson(right, count)})
}

// addAccuracy adds the accuracy and, if macro, the macro recall.
func (m *measurement) addAccuracy(key, title string, answers []answer, macro bool) {
	targets := map[string][2]string{"test": {"≥ .945"}, "full": {"≥ .93"}, "worn": {"≥ .88", "≥ .80"}}
	if !m.Ten {
		targets = map[string][2]string{"full": {"≥ .85", "≥ .70"}}
	}
	m.addShare(key+".accuracy", title+": accuracy", targets[key][0], answers, isRight)
	if macro {
		m.addBootstrap(key+".recall", title+": macro recall", targets[key][1], answers, computeMacroRecall)
	}
}

// addECE adds the calibration error of all answers, and of the accepted ones.
func (m *measurement) addECE(key, title string, answers []answer) {
	targets := map[string][2]string{"test": {"", "≤ .02"}, "worn": {"≤ .05"}}[key]
	m.addBootstrap(key+".ece", title+": ECE", targets[0], answers, computeECE)
	accepted := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return !a.accepted })
	m.addBootstrap(key+".ece-accepted", title+": ECE of accepted answers", targets[1], accepted, computeECE)
}

// computeECE returns the expected calibration error.
func computeECE(answers []answer) float64 {
	all := make([]evaluate.Answer, len(answers))
	for i, a := range answers {
		all[i] = a.Answer
	}
	e, _ := evaluate.Calibration(all)
	return e
}

// computeMacroRecall returns the mean recall of the labels.
func computeMacroRecall(answers []answer) float64 {
	count, rights := map[string]int{}, map[string]int{}
	for _, a := range answers {
		count[a.label]++
		if a.Right() {
			rights[a.label]++
		}
	}
	sum := 0.0
	for _, label := range slices.Sorted(maps.Keys(count)) { // so that the sum is always rounded alike
		sum += float64(rights[label]) / float64(count[label])
	}
	return sum / float64(max(len(count), 1))
}

// resamples is the number of a bootstrap's resamples.
const resamples = 1000

// addBootstrap adds a figure with the basic bootstrap's interval, 2θ − θ*(.975) to 2θ − θ*(.025)
// (Davison and Hinkley 1997), which corrects for the bias that calibration errors are larger in
// resamples than in the sample.
func (m *measurement) addBootstrap(key, title, target string, answers []answer, what func([]answer) float64) {
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

// addAccepted adds the share that the model accepts, and the share accepted at the threshold that
// accepts 95 % of the test split.
func (m *measurement) addAccepted(key, title, target string, answers []answer, threshold float64) {
	m.addShare(key+".accepted", title+": accepted", target, answers, isAccepted)
	m.addShare(key+".accepted-at-95", title+": accepted at the 95 % threshold", target, answers,
		func(a answer) bool { return a.acceptance >= threshold })
}

// measureWorn measures garments cut out of street photos.
func (m *measurement) measureWorn(ctx context.Context, folder string, threshold float64) error {
	samples, err := m.listLabelled(folder)
	if err != nil {
		return err
	}
	answers, err := m.classify(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	const title = "worn garments"
	m.addAccuracy("worn", title, answers, true)
	m.addECE("worn", title, answers)
	m.addAccepted("worn", title, "≥ .93", answers, threshold)
	for _, class := range m.classes() {
		ofClass := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool { return a.label != class })
		if len(ofClass) > 0 {
			m.addShare("worn-class."+class, title+", "+class+": recall", "", ofClass, isRight)
		}
	}
	return nil
}

// measureStreet measures whole street photos. An answer is right if it is one of the garments worn,
// which the table lists for each photo.
func (m *measurement) measureStreet(ctx context.Context, folder, table string) error {
	rows, err := m.readTable(table, "photo", "garments")
	if err != nil {
		return err
	}
	var samples []sample
	worn := map[string][]string{}
	for _, row := range rows {
		if row[1] == "" {
			continue // no garment of a known class
		}
		worn[row[0]] = strings.Split(row[1], "|")
		samples = append(samples, sample{file: row[0]})
	}
	answers, err := m.classify(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	m.addShare("street.worn", "street photos: the answer is one of the garments worn", "≥ .85", answers,
		func(a answer) bool {
			class := a.Predictions[0].Class
			return slices.Contains(worn[a.file], class) || slices.Contains(worn[a.file], asTen[class])
		})
	m.addShare("street.accepted", "street photos: accepted", "", answers, isAccepted)
	return nil
}

// measureNamed measures other pictures that show clothes.
func (m *measurement) measureNamed(ctx context.Context, folder string, threshold float64) error {
	var samples []sample
	classes := map[string][]string{}
	if m.Validation {
		all, err := m.listLabelled(folder)
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
		rows, err := m.readTable("aside/named.csv", "image", "class")
		if err != nil {
			return err
		}
		for _, row := range rows {
			classes[row[0]] = strings.Split(row[1], "|")
			samples = append(samples, sample{file: row[0]})
		}
	}
	answers, err := m.classify(ctx, folder, samples, nil)
	if err != nil {
		return err
	}
	m.addAccepted("named", "other pictures that show clothes", "≥ .75", answers, threshold)
	known := slices.DeleteFunc(slices.Clone(answers), func(a answer) bool {
		return !slices.ContainsFunc(classes[a.file],
			func(class string) bool { return slices.Contains(m.classes(), class) })
	})
	m.addShare("named.right", "other pictures that show clothes of a known class: right", "≥ .75", known,
		func(a answer) bool {
			return slices.Contains(classes[a.file], a.Predictions[0].Class)
		})
	return nil
}

// measureNothing measures drawn pictures without garments.
func (m *measurement) measureNothing(ctx context.Context, threshold float64) error {
	samples := make([]sample, m.Drawn)
	for i := range samples {
		p, kind := drawn.DrawOther(m.DrawnSeed, i)
		samples[i] = sample{file: fmt.Sprintf("%s-%04d", kind, i), drawn: p}
	}
	answers, err := m.classify(ctx, "drawn pictures of nothing", samples, nil)
	if err != nil {
		return err
	}
	m.addAccepted("nothing", "drawn pictures of nothing", "0", answers, threshold)
	return nil
}

// measureKids compares children's clothes with adults'.
func (m *measurement) measureKids(answers []answer) error {
	rows, err := m.readTable("aside/kids.csv", "image", "class", "kids")
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
	m.addShare("kids.accuracy", "children's clothes: accuracy", "", small, isRight)
	one := m.figures[len(m.figures)-1]
	m.addShare("adults.accuracy", "adults' clothes: accuracy", "", large, isRight)
	other := m.figures[len(m.figures)-1]
	// Newcombe 1998, method 10: the interval of a difference from those of the shares.
	below := math.Hypot(one.Value-one.Interval[0], other.Interval[1]-other.Value)
	above := math.Hypot(one.Interval[1]-one.Value, other.Value-other.Interval[0])
	d := one.Value - other.Value
	m.figures = append(m.figures, Figure{
		Key: m.Name + ".kids.difference", Title: "accuracy on children's clothes minus adults'",
		Target: "within .03", Value: d, Count: len(answers), Interval: [2]float64{d - below, d + above},
	})
	return nil
}

// Seeds returns the figure NAME.seeds.mean: the mean accuracy of the models of several runs, with
// Student's interval. Its title has the standard deviation.
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
