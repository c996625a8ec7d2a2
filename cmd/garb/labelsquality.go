package main

import (
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/mislabel"
	"garb/picture"
	"garb/report"
	"garb/train"
)

// qualityFlags are the flags of data check that look for wrong labels.
type qualityFlags struct {
	wanted  bool
	csv     string
	order   string
	folds   int
	network backboneFlags
}

// qualityHelp is what the help of data check says about them.
const qualityHelp = `With --labels-quality it looks for wrong labels instead, by confident learning: the
features of a frozen backbone train small classifiers, each of which answers for
pictures that it was not trained on, from all splits. The most doubtful labels come
first; those that are likely wrong are called candidates. The exit code is 0, or 1
with --strict if pictures were skipped. --labels-csv writes the whole list. Look at it,
write yes in the column accepted where the proposed label is right (or write another
label into the column proposed), and run garb data relabel.`

func (q *qualityFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.BoolVar(&q.wanted, "labels-quality", false, "rank the pictures by how doubtful their labels are")
	flags.StringVar(&q.csv, "labels-csv", "",
		"with --labels-quality: write the whole list to `FILE`, for data relabel")
	flags.StringVar(&q.order, "labels-order", string(mislabel.Orders()[0]),
		"with --labels-quality: what to rank by: "+listOrders())
	flags.IntVar(&q.folds, "labels-folds", train.DefaultOutOfFold().Folds,
		"with --labels-quality: number of folds of the cross-validation")
	q.network.add(command, train.Default().Backbone)
	for _, name := range backboneFlagNames {
		f := flags.Lookup(name)
		f.Usage = "with --labels-quality: " + f.Usage
	}
}

// backboneFlagNames are the flags that backboneFlags add.
var backboneFlagNames = []string{"backbone", "weights", "preprocess", "size", "channels", "resize"}

// listOrders lists the orders for people.
func listOrders() string {
	var names []string
	for _, o := range mislabel.Orders() {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// validate reports flags that do not go together.
func (q *qualityFlags) validate(c *cobra.Command) error {
	if !q.wanted {
		for _, name := range append([]string{"labels-csv", "labels-order", "labels-folds"}, backboneFlagNames...) {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--%s goes with --labels-quality", name)
			}
		}
		return nil
	}
	if !strings.Contains(", "+listOrders()+",", ", "+q.order+",") {
		return fmt.Errorf("--labels-order %q; there are %s", q.order, listOrders())
	}
	if err := q.configure(0).Validate(); err != nil {
		return fmt.Errorf("--labels-folds: %w", err)
	}
	_, _, err := q.network.resolve()
	return err
}

// configure returns how probabilities are computed.
func (q *qualityFlags) configure(seed uint64) train.OutOfFold {
	m := train.DefaultOutOfFold()
	m.Folds, m.Seed = q.folds, seed
	return m
}

// labelsQuality is what data check --labels-quality finds, and its JSON.
type labelsQuality struct {
	Data       string          `json:"data"`
	Backbone   string          `json:"backbone"`
	Method     train.OutOfFold `json:"method"`
	Order      mislabel.Order  `json:"order"`
	Grouped    bool            `json:"grouped"` // no group is in several folds
	Count      int             `json:"count"`   // pictures that were ranked
	Candidates int             `json:"candidates"`
	// Accuracy is the share of labels that the classifiers agree with.
	Accuracy float64        `json:"accuracy"`
	Classes  []classQuality `json:"classes"`
	// List has every picture, the most doubtful label first.
	List []labelFinding `json:"list"`
}

// classQuality is a class with its labels.
type classQuality struct {
	Class string `json:"class"`
	Count int    `json:"count"`
	// Confidence is the mean probability of the class over its pictures: its threshold.
	Confidence float64 `json:"confidence"`
	Candidates int     `json:"candidates"` // pictures of this label that are candidates
	// OneGroup says that all its pictures are in one group: their labels cannot be judged.
	OneGroup bool `json:"one_group"`
}

// labelFinding is a picture with its label, and the label that is proposed.
type labelFinding struct {
	Rank     int    `json:"rank"`
	Picture  string `json:"picture"` // relative to the data set with slashes, if it is below it
	Label    string `json:"label"`
	Proposed string `json:"proposed"`
	// LabelProbability and ProposedProbability are those of the two classes.
	LabelProbability    float64 `json:"probability_label"`
	ProposedProbability float64 `json:"probability_proposed"`
	Candidate           bool    `json:"candidate"`
	Score               float64 `json:"score"`

	path string
}

// Sizes of what is shown; --json and --labels-csv have all.
const (
	shownLabels     = 20
	shownLabelsPage = 200
)

// run looks for wrong labels. With strict it fails if pictures had to be skipped.
func (q *qualityFlags) run(
	c *cobra.Command, path string, data *dataset.Data, rule dataset.SplitRule, strict, asJSON bool, page string,
) error {
	sayNotes(c, data)
	for _, p := range data.Problems {
		if p.Refused {
			say(c, "problem: %s%s", p.Message, hintForProblem(p))
		}
	}
	if len(data.Classes) < 2 {
		return fmt.Errorf("%s has %s: labels can be judged where there are at least two", path,
			count(len(data.Classes), "class"))
	}
	found, err := q.measure(c, path, data, rule)
	if err != nil {
		return err
	}
	for _, class := range found.Classes {
		if class.OneGroup {
			say(c, "all pictures of %s are in one group: no classifier could learn it from others, so its labels "+
				"cannot be judged",
				class.Class)
		}
	}
	if q.csv != "" {
		if err := safefile.Write(q.csv, found.writeCSV); err != nil {
			return err
		}
		say(c, "wrote %s", q.csv)
	}
	if page != "" {
		if err := found.writePage(c.Context(), page); err != nil {
			return err
		}
		say(c, "wrote %s", page)
	}
	if asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(found)
	} else {
		err = found.print(openTextOut(c))
	}
	say(c, "%s", data.Tally.Summary(found.Count))
	if err == nil && strict {
		return data.Tally.Strict()
	}
	return err
}

// measure computes features and probabilities, and ranks the pictures.
func (q *qualityFlags) measure(c *cobra.Command, path string, data *dataset.Data,
	rule dataset.SplitRule) (*labelsQuality, error) {
	_, spec, err := q.network.resolve()
	if err != nil {
		return nil, err
	}
	config := train.Default()
	config.Backbone, config.Weights, config.Preprocessing = q.network.backbone, q.network.weights, spec
	config.FeaturesAt = q.network.featuresAt
	if a, err := backbone.Lookup(config.Backbone); err == nil && !a.Pretrained() && config.Weights == "" {
		return nil, fmt.Errorf("--backbone %s has no pretrained weights: its features say nothing about pictures",
			config.Backbone)
	}
	all := data.All()
	bar := newCounter(c, "pictures", len(all.Samples))
	features, err := train.Features(c.Context(), config, all, &data.Tally, func() { bar.add(1) })
	bar.finish()
	if err != nil {
		return nil, err
	}
	method := q.configure(rule.Seed)
	set, groups := features.Set, features.Groups()
	labels := make([]int, len(set.Samples))
	for i, s := range set.Samples {
		labels[i] = s.Label
	}
	bar = newCounter(c, "classifiers", method.Steps())
	probabilities, err := method.Probabilities(c.Context(), features.Vectors, labels, len(set.Classes), groups,
		func() { bar.add(1) })
	bar.finish()
	if err != nil {
		return nil, err
	}
	r, err := mislabel.Find(probabilities, labels, mislabel.Order(q.order))
	if err != nil {
		return nil, err
	}
	found := &labelsQuality{
		Data: path, Backbone: config.Backbone, Method: method, Order: mislabel.Order(q.order), Grouped: data.Grouped,
		Count: len(labels), Candidates: r.Candidates(), List: make([]labelFinding, 0, len(labels)),
	}
	groupOf := make([]map[string]bool, len(set.Classes))
	for i, class := range set.Classes {
		found.Classes = append(found.Classes, classQuality{Class: class})
		groupOf[i] = map[string]bool{}
		if !math.IsInf(r.Thresholds[i], 0) {
			found.Classes[i].Confidence = r.Thresholds[i]
		}
	}
	right := 0
	for rank, f := range r.Findings {
		s, p := set.Samples[f.Index], probabilities[f.Index]
		class := &found.Classes[f.Label]
		class.Count++
		groupOf[f.Label][groups[f.Index]] = true
		if f.Candidate {
			class.Candidates++
		}
		if agreesWith(p, f.Label) {
			right++
		}
		found.List = append(found.List, labelFinding{
			Rank: rank + 1, Picture: namePicture(path,
				s.Path), Label: set.Classes[f.Label], Proposed: set.Classes[f.Proposed],
			LabelProbability: p[f.Label], ProposedProbability: p[f.Proposed],
			Candidate: f.Candidate, Score: f.Score, path: s.Path,
		})
	}
	found.Accuracy = float64(right) / float64(len(labels))
	for i := range found.Classes {
		found.Classes[i].OneGroup = len(groupOf[i]) == 1
	}
	return found, nil
}

// agreesWith reports whether a label is the most probable class.
func agreesWith(p []float64, label int) bool {
	for j, v := range p {
		if v > p[label] || v == p[label] && j < label {
			return false
		}
	}
	return true
}

// namePicture names a picture of a data set in a list: by its path relative to the data
// set's folder with slashes, or by its absolute path if it lies elsewhere.
func namePicture(data, path string) string {
	folder, err1 := filepath.Abs(data)
	if info, err := os.Stat(data); err == nil && !info.IsDir() {
		folder = filepath.Dir(folder)
	}
	absolute, err2 := filepath.Abs(path)
	if errors.Join(err1, err2) != nil {
		return path
	}
	relative, err := filepath.Rel(folder, absolute)
	if err != nil || !filepath.IsLocal(relative) {
		return filepath.ToSlash(absolute)
	}
	return filepath.ToSlash(relative)
}

// print writes the beginning of the list.
func (l *labelsQuality) print(w io.Writer) error {
	var b strings.Builder
	shown := l.List[:min(len(l.List), shownLabels)]
	label, proposed := len("label"), len("proposed")
	for _, f := range shown {
		label, proposed = max(label, len([]rune(f.Label))), max(proposed, len([]rune(f.Proposed)))
	}
	pad := func(s string, n int) string { return s + strings.Repeat(" ", n-len([]rune(s))) }
	fmt.Fprintf(&b, "rank     %s           %s           picture\n", pad("label", label), pad("proposed", proposed))
	for _, f := range shown {
		mark := " "
		if f.Candidate {
			mark = "*"
		}
		fmt.Fprintf(&b, "%4d %s   %s  %5.1f %%  %s  %5.1f %%  %s\n", f.Rank, mark, pad(f.Label, label),
			100*f.LabelProbability,
			pad(f.Proposed, proposed), 100*f.ProposedProbability, escapeLine(f.Picture))
	}
	fmt.Fprintf(&b, "\n* likely wrong: %s of %s (%.1f %%); the classifiers agree with %.1f %% of the labels\n",
		count(l.Candidates, "candidate"), count(l.Count,
			"picture"), 100*float64(l.Candidates)/float64(max(l.Count, 1)), 100*l.Accuracy)
	if len(l.List) > len(shown) {
		fmt.Fprintln(&b, "--labels-csv FILE writes the whole list, --html FILE shows the first pictures")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escapeLine returns a name as a terminal can show it on one line.
func escapeLine(name string) string { return strings.ReplaceAll(escape(name), "\n", `\n`) }

// labelsHeader are the columns of the list as CSV.
var labelsHeader = []string{
	"rank", "picture", "label", "proposed", "probability_label", "probability_proposed", "candidate", "accepted",
}

// writeCSV writes the whole list, for data relabel.
func (l *labelsQuality) writeCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	if err := c.Write(labelsHeader); err != nil {
		return err
	}
	for _, f := range l.List {
		candidate := "no"
		if f.Candidate {
			candidate = "yes"
		}
		row := []string{
			strconv.Itoa(f.Rank), f.Picture, f.Label, f.Proposed,
			strconv.FormatFloat(f.LabelProbability, 'f', 4, 64), strconv.FormatFloat(f.ProposedProbability,
				'f', 4, 64), candidate, "",
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

//go:embed labelsquality.html
var labelsPageText string

var labelsPage = template.Must(template.New("labels").Funcs(template.FuncMap{
	"percent": func(p float64) string { return fmt.Sprintf("%.1f %%", 100*p) },
}).Parse(labelsPageText))

// shownLabel is a picture on the page.
type shownLabel struct {
	labelFinding
	Thumbnail template.URL // "" if it cannot be read any more
}

// writePage writes a page with the first pictures.
func (l *labelsQuality) writePage(ctx context.Context, path string) error {
	const thumbnailSide = 200
	limits := picture.DefaultLimits()
	shown := make([]shownLabel, min(len(l.List), shownLabelsPage))
	err := dataset.Each(ctx, len(shown), func(i int) {
		shown[i].labelFinding = l.List[i]
		data, err := dataset.Sample{Path: l.List[i].path}.Read(limits)
		if err != nil {
			return
		}
		if rgb, err := picture.Decode(ctx, data, limits); err == nil {
			shown[i].Thumbnail, _ = report.Thumbnail(rgb, thumbnailSide)
		}
	})
	if err != nil {
		return err
	}
	var body strings.Builder
	err = labelsPage.Execute(&body, struct {
		*labelsQuality
		Shown []shownLabel
	}{l, shown})
	if err != nil {
		return err
	}
	return safefile.Write(path, func(w io.Writer) error {
		return report.Page(w, "Labels of "+filepath.Base(filepath.Clean(l.Data)), template.HTML(body.String()))
	})
}
