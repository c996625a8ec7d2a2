package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/weights"
)

// dataFlags are the flags of every command that reads labelled pictures: which of them
// it reads, and under which labels.
type dataFlags struct {
	options *dataset.Options
	strict  *bool
}

func newDataFlags() dataFlags { return dataFlags{&dataset.Options{}, new(bool)} }

// dataHelp says what a data set is, in the help of commands that read one.
const dataHelp = `A data set is a folder with train, validation (or val, or valid) and test, in any
letter case, each with a folder for each class; a folder with a folder for each
class; a table (.csv, .tsv) or a folder with one; or a zip, tar or tar.gz archive of
any of these. What has no splits is divided, the same way each time.`

func (d *dataFlags) add(command *cobra.Command) {
	o, flags := d.options, command.Flags()
	flags.StringVar(&o.Labels, "labels", "",
		"read the labels from the table `FILE` (default images.csv, labels.csv or the only one in the folder)")
	flags.StringVar(&o.Images, "images", "",
		"the table's names are relative to `DIR` (default the table's folder, or one in it)")
	flags.StringVar(&o.ImageColumn, "image-column", "",
		"`COLUMN` of the table with the pictures' names (default image, filename, file, path, id, ...)")
	flags.StringVar(&o.LabelColumn, "label-column", "",
		"`COLUMN` of the table with the labels (default label, class, category, target, ...)")
	flags.Var(&mergeValue{names: &o.Merge}, "merge",
		"rename labels `OLD=NEW,...`, and so merge them, such as polo=t-shirt,hoodie=longsleeve")
	flags.StringSliceVar(&o.Exclude, "exclude", nil,
		"leave out the pictures labelled `A,B,...`, such as \"Not sure,Skip\"")
	flags.StringSliceVar(&o.Classes, "classes", nil, "keep only the pictures of the classes `A,B,...`")
	flags.BoolVar(d.strict, strictFlag, false, "fail if any picture has to be skipped")
}

// addGroups adds the flags that say which pictures belong together.
func (d *dataFlags) addGroups(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&d.options.GroupBy, "group-by", "",
		"keep pictures with the same value in the table's `COLUMN`, such as sender_id, in one split")
	flags.StringVar(&d.options.GroupPattern, "group-pattern", "",
		"keep pictures in one split whose file names have the same first parenthesis of `REGEXP`, such as '^(\\w+)_'")
}

// mergeValue is the flag --merge: OLD=NEW, several separated by commas.
type mergeValue struct {
	names   *map[string]string
	changed bool
}

// Set implements pflag.Value. The first call replaces what was there, others add.
func (m *mergeValue) Set(text string) error {
	pairs, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return fmt.Errorf("%q: it takes OLD=NEW, several separated by commas", text)
	}
	if !m.changed {
		return m.Replace(pairs)
	}
	for _, pair := range pairs {
		if err := m.Append(pair); err != nil {
			return err
		}
	}
	return nil
}

// Append implements pflag.SliceValue.
func (m *mergeValue) Append(pair string) error {
	from, to, ok := strings.Cut(pair, "=")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	switch before := (*m.names)[from]; {
	case !ok || from == "" || to == "":
		return fmt.Errorf("%q: it takes OLD=NEW, several separated by commas", pair)
	case before != "" && before != to:
		return fmt.Errorf("%q is renamed to both %q and %q", from, before, to)
	}
	(*m.names)[from] = to
	return nil
}

// Replace implements pflag.SliceValue.
func (m *mergeValue) Replace(pairs []string) error {
	*m.names, m.changed = map[string]string{}, true
	for _, pair := range pairs {
		if err := m.Append(pair); err != nil {
			return err
		}
	}
	return nil
}

// GetSlice implements pflag.SliceValue.
func (m *mergeValue) GetSlice() []string {
	if m.names == nil {
		return nil
	}
	var pairs []string
	for _, from := range slices.Sorted(maps.Keys(*m.names)) {
		pairs = append(pairs, from+"="+(*m.names)[from])
	}
	return pairs
}

// Type implements pflag.Value.
func (m *mergeValue) Type() string { return "names" }

// String implements pflag.Value.
func (m *mergeValue) String() string {
	pairs := m.GetSlice()
	if pairs == nil {
		return ""
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Write(pairs)
	w.Flush()
	return strings.TrimSpace(b.String())
}

// read reads a data set, and says how.
func (d *dataFlags) read(c *cobra.Command, path string) (*dataset.Data, error) {
	options, err := addCacheFolder(*d.options)
	if err != nil {
		return nil, err
	}
	data, err := dataset.Read(c.Context(), path, options)
	if err != nil {
		return nil, withDataHint(err)
	}
	sayNotes(c, data)
	return data, nil
}

// addCacheFolder gives options the folder to unpack archives to.
func addCacheFolder(o dataset.Options) (dataset.Options, error) {
	home, err := weights.Home()
	if err != nil {
		return o, err
	}
	o.Cache = filepath.Join(home, dataset.CacheFolder)
	return o, nil
}

// sayNotes tells how a data set was read, and warns of what is odd about it.
func sayNotes(c *cobra.Command, d *dataset.Data) {
	for _, note := range d.Notes {
		say(c, "%s", escape(note))
	}
	for _, p := range d.Problems {
		if !p.Refused {
			say(c, "warning: %s%s", escape(p.Message), hintForProblem(p))
		}
	}
}

// sayDivision tells how pictures were divided into splits.
func sayDivision(c *cobra.Command, s *dataset.Splits) {
	d := s.Division
	if d == nil {
		return
	}
	say(c, "%s", formatDivision(s))
	var shares []string
	for _, class := range d.Classes {
		shares = append(shares, fmt.Sprintf("%s %s", escape(class.Class), formatShare(class.Share, d.Wanted)))
	}
	if d.Groups > 0 {
		say(c, "share of %s by class: %s", formatWanted(d.Wanted), strings.Join(shares, ", "))
	}
}

// formatDivision says in a line what was divided, by what, and how well.
func formatDivision(s *dataset.Splits) string {
	d := s.Division
	var parts []string
	for _, p := range []struct {
		name string
		set  *dataset.Set
	}{{"train", s.Train.Set}, {"validation", s.Validation}, {"test", s.Test}} {
		if p.set != nil {
			parts = append(parts, fmt.Sprintf("%d %s", len(p.set.Samples), p.name))
		}
	}
	text := formatPool(d) + ": " + strings.Join(parts, ", ")
	if d.Rule.Folds > 0 {
		text += fmt.Sprintf(" (fold %d of %d)", d.Rule.Fold, d.Rule.Folds)
	}
	if nearness := formatFarthest(d); nearness != "" {
		text += "; " + nearness
	}
	return text
}

// formatPool says which pictures were divided, and whether groups were kept together.
func formatPool(d *dataset.Division) string {
	if d.Groups > 0 {
		return fmt.Sprintf("%s divided, %s kept together", d.Pooled, count(d.Groups, "group"))
	}
	return d.Pooled + " divided"
}

// formatFarthest says how near the classes came to their shares.
func formatFarthest(d *dataset.Division) string {
	const shown = 0.0005 // a smaller difference is none in the figures that are printed
	if len(d.Classes) == 0 {
		return ""
	}
	class, split, got, wanted := d.Farthest()
	if math.Abs(got-wanted) < shown {
		return "each class has its share"
	}
	return fmt.Sprintf("farthest from its share: %s, %.1f %% instead of %.1f %% in %s",
		escape(class.Class), 100*got, 100*wanted, split)
}

func formatWanted(wanted [2]float64) string {
	text := fmt.Sprintf("validation (%.1f %%)", 100*wanted[0])
	if wanted[1] > 0 {
		text += fmt.Sprintf(" / test (%.1f %%)", 100*wanted[1])
	}
	return text
}

func formatShare(share, wanted [2]float64) string {
	text := fmt.Sprintf("%.1f", 100*share[0])
	if wanted[1] > 0 {
		text += fmt.Sprintf("/%.1f", 100*share[1])
	}
	return text
}

// hintForProblem names the flag that helps with a problem, "" if none does.
func hintForProblem(p dataset.Problem) string {
	switch p.Kind {
	case dataset.ProblemAlike:
		return " (--merge OLD=NEW)"
	case dataset.ProblemTable:
		return " (--labels FILE names the table, --image-column, --label-column and --group-by its columns, " +
			"--images the folder of pictures)"
	case dataset.ProblemDivision:
		return " (--exclude or --merge the class, or change --validation-share and --test-share)"
	}
	return ""
}

// withDataHint adds to the error of reading a data set the flag that helps.
func withDataHint(err error) error {
	var option *dataset.OptionsError
	if errors.As(err, &option) {
		return fmt.Errorf("%w (--%s)", err, strings.ReplaceAll(option.Option, "_", "-"))
	}
	hints := map[string]bool{}
	for _, p := range listProblems(err) {
		if hint := hintForProblem(p); hint != "" {
			hints[hint] = true
		}
	}
	if len(hints) == 0 {
		return err
	}
	return fmt.Errorf("%w%s", err, strings.Join(slices.Sorted(maps.Keys(hints)), ""))
}

// listProblems lists the problems that an error joins.
func listProblems(err error) []dataset.Problem {
	var p dataset.Problem
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []dataset.Problem
		for _, e := range joined.Unwrap() {
			all = append(all, listProblems(e)...)
		}
		return all
	}
	if errors.As(err, &p) {
		return []dataset.Problem{p}
	}
	return nil
}

// close ends a command that used some of a data set's pictures: it says how many, how
// many were skipped and why, and fails with --strict if any were.
func (d *dataFlags) close(c *cobra.Command, used int, tally *dataset.Tally) error {
	say(c, "%s", tally.Summary(used))
	if *d.strict {
		return tally.Strict()
	}
	return nil
}

// shownSkips is the number of skipped pictures that are named.
const shownSkips = 20

// printSkips names the first pictures that were skipped, with the reason.
func printSkips(c *cobra.Command, tally *dataset.Tally) {
	errOut, shown := c.ErrOrStderr(), 0
	for _, s := range tally.Skips() {
		if s.Reason.Ignored() {
			detail(c, "ignored: %s: %s", escape(s.Path), escape(s.Message))
			continue
		}
		if shown++; shown <= shownSkips || isSet(c, verboseFlag) {
			fmt.Fprintf(errOut, "garb: skipped: %s\n", formatSkip(s))
		}
	}
	if more := shown - shownSkips; more > 0 && !isSet(c, verboseFlag) {
		fmt.Fprintf(errOut, "garb: skipped: %d more; --verbose names them\n", more)
	}
}

// formatSkip is a skip as a terminal may show it.
func formatSkip(s dataset.Skip) string { return escape(s.String()) }
