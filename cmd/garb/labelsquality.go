package main

import (
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/mislabel"
	"garb/report"
	"garb/train"
)

// qualityFlags holds the flags of data check that find wrong labels.
type qualityFlags struct {
	enabled bool
	csv     string
	order   string
	folds   int
	network backboneFlags
}

// qualityHelp explains these flags in the help of data check.
const qualityHelp = `--labels-quality looks for wrong labels instead, by confident learning. Small classifiers
are trained in a cross-validation on the features of a frozen backbone, and each predicts
the labels of pictures that it was not trained on. The pictures are ranked, the most
doubtful label first; labels that are likely wrong are called candidates. The exit code
is 0, or 1 with --strict if pictures were skipped. --labels-csv writes the whole list.
Review it: write yes into the column accepted where the proposed label is correct (or
another label into the column proposed), then run garb data relabel.`

func (q *qualityFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.BoolVar(&q.enabled, "labels-quality", false, "find labels that are likely wrong")
	flags.StringVar(&q.csv, "labels-csv", "",
		"with --labels-quality: write the whole list to `FILE`, for garb data relabel")
	flags.StringVar(&q.order, "labels-order", string(mislabel.Orders()[0]),
		"with --labels-quality: ranking method: "+strings.Join(listLabelOrders(), ", "))
	flags.IntVar(&q.folds, "labels-folds", train.DefaultOutOfFold().Folds,
		"with --labels-quality: number of folds of the cross-validation")
	q.network.add(command, train.Default().Backbone)
	for _, name := range backboneFlagNames {
		f := flags.Lookup(name)
		f.Usage = "with --labels-quality: " + f.Usage
	}
}

// backboneFlagNames are flags that backboneFlags adds.
var backboneFlagNames = []string{"backbone", "weights", "preprocess", "size", "channels", "resize", "features-at",
	orientationName}

// validate reports flags that do not go together.
func (q *qualityFlags) validate(c *cobra.Command) error {
	if !q.enabled {
		for _, name := range append([]string{"labels-csv", "labels-order", "labels-folds"}, backboneFlagNames...) {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--%s requires --labels-quality", name)
			}
		}
		return nil
	}
	if orders := listLabelOrders(); !slices.Contains(orders, q.order) {
		return fmt.Errorf("--labels-order %q: it must be one of %s", q.order, strings.Join(orders, ", "))
	}
	if err := q.configure(0).Validate(); err != nil {
		return fmt.Errorf("--labels-folds: %w", err)
	}
	_, _, err := q.network.resolve()
	return err
}

// configure returns the settings of the cross-validation.
func (q *qualityFlags) configure(seed uint64) train.OutOfFold {
	m := train.DefaultOutOfFold()
	m.Folds, m.Seed = q.folds, seed
	return m
}

// labelsQuality holds the findings of data check --labels-quality, and is their JSON.
type labelsQuality struct {
	Data       string          `json:"data"`
	Backbone   string          `json:"backbone"`
	Method     train.OutOfFold `json:"method"`
	Order      mislabel.Order  `json:"order"`
	Grouped    bool            `json:"grouped"` // no group is in several folds
	Count      int             `json:"count"`   // ranked pictures
	Candidates int             `json:"candidates"`
	// Accuracy is the share of labels that the classifiers predict.
	Accuracy float64        `json:"accuracy"`
	Classes  []classQuality `json:"classes"`
	// List has every picture, the most doubtful label first.
	List []labelFinding `json:"list"`
}

// classQuality summarizes the labels of a class.
type classQuality struct {
	Class string `json:"class"`
	Count int    `json:"count"`
	// Confidence is the mean probability of the class over its pictures: its threshold.
	Confidence float64 `json:"confidence"`
	Candidates int     `json:"candidates"` // pictures of this class whose label is likely wrong
	// OneGroup is true if all its pictures are in one group, so that their labels cannot be judged.
	OneGroup bool `json:"one_group"`
}

// labelFinding is a picture with its label and the proposed label.
type labelFinding struct {
	Rank     int    `json:"rank"`
	Picture  string `json:"picture"` // relative to the data set with slashes, if it is below it
	Label    string `json:"label"`
	Proposed string `json:"proposed"`
	// LabelProbability and ProposedProbability are the probabilities of the two classes.
	LabelProbability    float64 `json:"probability_label"`
	ProposedProbability float64 `json:"probability_proposed"`
	Candidate           bool    `json:"candidate"`
	Score               float64 `json:"score"`

	path string
}

// Limits of what is printed and shown on a page; --json and --labels-csv have all pictures.
const (
	shownLabels     = 20
	shownLabelsPage = 200
)

// run finds wrong labels. With --strict it fails if pictures had to be skipped.
func (q *qualityFlags) run(c *cobra.Command, path string, data *dataset.Data, check *dataCheck) error {
	sayNotes(c, data)
	for _, p := range data.Problems {
		if p.Refused {
			say(c, "problem: %s%s", p.Message, formatProblemHint(p))
		}
	}
	if len(data.Classes) < 2 {
		return fmt.Errorf("%s has %s, but judging labels needs at least two", path,
			count(len(data.Classes), "class"))
	}
	found, err := q.measure(c, path, data, check.rule)
	if err != nil {
		return err
	}
	for _, class := range found.Classes {
		if class.OneGroup {
			say(c, "the labels of %s cannot be judged: all its pictures are in one group, so no classifier could "+
				"learn the class from other pictures", class.Class)
		}
	}
	if q.csv != "" {
		if err = safefile.Write(q.csv, found.writeCSV); err != nil {
			return err
		}
		say(c, "wrote %s", q.csv)
	}
	if check.page != "" {
		if err = found.writePage(c.Context(), check.page); err != nil {
			return err
		}
		say(c, "wrote %s", check.page)
	}
	if check.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(found)
	} else {
		err = found.print(openTextOut(c))
	}
	say(c, "%s", data.Tally.Summary(found.Count))
	if err == nil && *check.data.strict {
		return data.Tally.Strict()
	}
	return err
}

// computeFeatures computes the features of all pictures of a data set.
func (q *qualityFlags) computeFeatures(c *cobra.Command, data *dataset.Data) (*train.FeatureSet, error) {
	_, spec, err := q.network.resolve()
	if err != nil {
		return nil, err
	}
	config := train.Default()
	config.Backbone, config.Weights, config.Preprocessing = q.network.backbone, q.network.weights, spec
	config.FeaturesAt = q.network.featuresAt
	if a, err := backbone.Lookup(config.Backbone); err == nil && !a.Pretrained() && config.Weights == "" {
		return nil, fmt.Errorf("--backbone %s has no pretrained weights, so its features are meaningless",
			config.Backbone)
	}
	all := data.All()
	bar := newCounter(c, "pictures", len(all.Samples))
	defer bar.finish()
	return train.Features(c.Context(), config, all, &data.Tally, func() { bar.add(1) })
}

// measure computes features and out-of-fold probabilities, and ranks the pictures.
func (q *qualityFlags) measure(c *cobra.Command, path string, data *dataset.Data, rule dataset.SplitRule) (
	*labelsQuality, error) {
	features, err := q.computeFeatures(c, data)
	if err != nil {
		return nil, err
	}
	method := q.configure(rule.Seed)
	set, groups := features.Set, features.Groups()
	labels := make([]int, len(set.Samples))
	for i, s := range set.Samples {
		labels[i] = s.Label
	}
	bar := newCounter(c, "classifiers", method.Steps())
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
		Data: path, Backbone: q.network.backbone, Method: method, Order: mislabel.Order(q.order), Grouped: data.Grouped,
		Count: len(labels), Candidates: r.Candidates(), List: make([]labelFinding, 0, len(labels)),
	}
	for i, class := range set.Classes {
		found.Classes = append(found.Classes, classQuality{Class: class})
		if !math.IsInf(r.Thresholds[i], 0) {
			found.Classes[i].Confidence = r.Thresholds[i]
		}
	}
	found.addFindings(r.Findings, set, groups, probabilities)
	return found, nil
}

// addFindings fills the list, and sums up the findings by class.
func (l *labelsQuality) addFindings(all []mislabel.Finding, set *dataset.Set, groups []string,
	probabilities [][]float64) {
	classGroups := make([]map[string]bool, len(set.Classes))
	for i := range classGroups {
		classGroups[i] = map[string]bool{}
	}
	correct := 0
	for rank, f := range all {
		s, p := set.Samples[f.Index], probabilities[f.Index]
		class := &l.Classes[f.Label]
		class.Count++
		classGroups[f.Label][groups[f.Index]] = true
		if f.Candidate {
			class.Candidates++
		}
		if agreesWith(p, f.Label) {
			correct++
		}
		l.List = append(l.List, labelFinding{
			Rank: rank + 1, Picture: namePicture(l.Data, s.Path),
			Label: set.Classes[f.Label], Proposed: set.Classes[f.Proposed],
			LabelProbability: p[f.Label], ProposedProbability: p[f.Proposed],
			Candidate: f.Candidate, Score: f.Score, path: s.Path,
		})
	}
	l.Accuracy = float64(correct) / float64(len(all))
	for i := range l.Classes {
		l.Classes[i].OneGroup = len(classGroups[i]) == 1
	}
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

// namePicture returns the path of a picture relative to the data set's folder, with slashes,
// or its absolute path if it is elsewhere.
func namePicture(data, path string) string {
	folder, folderErr := filepath.Abs(data)
	if info, err := os.Stat(data); err == nil && !info.IsDir() {
		folder = filepath.Dir(folder)
	}
	absolute, err := filepath.Abs(path)
	if folderErr != nil || err != nil {
		return path
	}
	relative, err := filepath.Rel(folder, absolute)
	if err != nil || !filepath.IsLocal(relative) {
		return filepath.ToSlash(absolute)
	}
	return filepath.ToSlash(relative)
}

// print prints the beginning of the list.
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
			100*f.LabelProbability, pad(f.Proposed, proposed), 100*f.ProposedProbability, escapeLine(f.Picture))
	}
	fmt.Fprintf(&b, "\n* likely wrong: %s among %s (%.1f %%); the classifiers agree with %.1f %% of the labels\n",
		count(l.Candidates, "candidate"), count(l.Count, "picture"),
		100*float64(l.Candidates)/float64(max(l.Count, 1)), 100*l.Accuracy)
	if len(l.List) > len(shown) {
		fmt.Fprintln(&b, "--labels-csv FILE writes the whole list, --html FILE shows the first pictures")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escapeLine escapes a name for one line of a terminal.
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
			strconv.FormatFloat(f.LabelProbability, 'f', 4, 64),
			strconv.FormatFloat(f.ProposedProbability, 'f', 4, 64), candidate, "",
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
	Thumbnail template.URL // "" if the picture can no longer be read
}

// writePage writes a page with the first pictures.
func (l *labelsQuality) writePage(ctx context.Context, path string) error {
	const thumbnailSide = 200
	shown := make([]shownLabel, min(len(l.List), shownLabelsPage))
	err := dataset.Each(ctx, len(shown), func(i int) {
		shown[i].labelFinding = l.List[i]
		shown[i].Thumbnail, _ = evaluate.ReadThumbnail(ctx, l.List[i].path, thumbnailSide)
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
