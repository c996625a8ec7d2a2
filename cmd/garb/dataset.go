package main

import (
	"encoding/csv"
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

// dataFlags holds the flags of commands that read labelled pictures. They choose the pictures
// and their labels.
type dataFlags struct {
	options *dataset.Options
	strict  *bool
}

func newDataFlags() dataFlags { return dataFlags{&dataset.Options{}, new(bool)} }

// dataHelp explains data sets, in the help of commands that read one.
const dataHelp = `A data set is one of
  - a folder with the folders train, validation (or val, or valid) and test in any letter
    case, each with a folder for each class,
  - a folder with a folder for each class,
  - a table (.csv or .tsv), or a folder with one,
  - a zip, tar or tar.gz archive of any of these.
A data set without splits is split at random, the same way each time.`

func (d *dataFlags) add(command *cobra.Command) {
	o, flags := d.options, command.Flags()
	flags.StringVar(&o.Labels, "labels", "",
		"read the labels from the table `FILE` (default images.csv, labels.csv or the only one in the folder)")
	flags.StringVar(&o.Images, "images", "",
		"folder `DIR` that the table's file names are relative to (default the table's folder, or one in it)")
	flags.StringVar(&o.ImageColumn, "image-column", "",
		"`COLUMN` of the table with the file names (default image, filename, file, path, id, ...)")
	flags.StringVar(&o.LabelColumn, "label-column", "",
		"`COLUMN` of the table with the labels (default label, class, category, target, ...)")
	flags.Var(&mergeValue{names: &o.Merge}, "merge",
		"rename or merge labels: `OLD=NEW,...`, such as polo=t-shirt,hoodie=longsleeve")
	flags.StringSliceVar(&o.Exclude, "exclude", nil,
		"ignore pictures with the labels `A,B,...`, such as \"Not sure,Skip\"")
	flags.StringSliceVar(&o.Classes, "classes", nil, "use only pictures of the classes `A,B,...`")
	addLimitFlags(flags, &o.MaxPixels, &o.KeepTruncated)
	flags.BoolVar(d.strict, strictFlag, false, "fail if any picture has to be skipped")
}

// addGroups adds the flags that group pictures.
func (d *dataFlags) addGroups(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&d.options.GroupBy, "group-by", "",
		"keep pictures with the same value in `COLUMN` of the table, such as sender_id, in the same split")
	flags.StringVar(&d.options.GroupPattern, "group-pattern", "",
		"keep pictures in the same split if the first group of `REGEXP` matches the same text in their file names, "+
			"such as '^(\\w+)_'")
}

// mergeValue is the value of --merge: OLD=NEW pairs, comma-separated.
type mergeValue struct {
	names   *map[string]string
	changed bool
}

// Set implements pflag.Value. The first call replaces the defaults, later calls add to it.
func (m *mergeValue) Set(text string) error {
	pairs, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return fmt.Errorf("%q: it must be OLD=NEW, or several of them, comma-separated", text)
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
		return fmt.Errorf("%q: it must be OLD=NEW, or several of them, comma-separated", pair)
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

// read reads a data set, and prints how it was read.
func (d *dataFlags) read(c *cobra.Command, path string) (*dataset.Data, error) {
	data, err := dataset.Read(c.Context(), path, addCacheFolder(*d.options))
	if err != nil {
		return nil, err
	}
	sayNotes(c, data)
	return data, nil
}

// addCacheFolder sets the folder to unpack archives to. On a machine without one, only archives are
// refused.
func addCacheFolder(o dataset.Options) dataset.Options {
	if home, err := weights.Home(); err == nil {
		o.Cache = filepath.Join(home, dataset.CacheFolder)
	}
	return o
}

// sayNotes prints how a data set was read, and warnings about it.
func sayNotes(c *cobra.Command, d *dataset.Data) {
	for _, note := range d.Notes {
		say(c, "%s", escape(note))
	}
	for _, p := range d.Problems {
		if !p.Refused {
			say(c, "warning: %s%s", escape(p.Message), formatProblemHint(p))
		}
	}
}

// sayDivision prints how pictures were split.
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
		say(c, "shares of %s by class: %s", formatTargets(d.Wanted), strings.Join(shares, ", "))
	}
}

// formatDivision returns a line that says what was split, and how.
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
	if farthest := formatFarthest(d); farthest != "" {
		text += "; " + farthest
	}
	return text
}

// formatPool says which pictures were split, and whether groups were kept together.
func formatPool(d *dataset.Division) string {
	if d.Groups > 0 {
		return fmt.Sprintf("%s split, %s kept together", d.Pooled, count(d.Groups, "group"))
	}
	return d.Pooled + " split"
}

// formatFarthest says which class is farthest from its target share.
func formatFarthest(d *dataset.Division) string {
	const shown = 0.0005 // smaller differences vanish when rounded
	if len(d.Classes) == 0 {
		return ""
	}
	class, split, got, target := d.Farthest()
	if math.Abs(got-target) < shown {
		return "every class has its target share"
	}
	return fmt.Sprintf("farthest from its target share: %s, with %.1f %% instead of %.1f %% in %s",
		escape(class.Class), 100*got, 100*target, split)
}

func formatTargets(targets [2]float64) string {
	text := fmt.Sprintf("validation (%.1f %%)", 100*targets[0])
	if targets[1] > 0 {
		text += fmt.Sprintf(" / test (%.1f %%)", 100*targets[1])
	}
	return text
}

func formatShare(share, targets [2]float64) string {
	text := fmt.Sprintf("%.1f", 100*share[0])
	if targets[1] > 0 {
		text += fmt.Sprintf("/%.1f", 100*share[1])
	}
	return text
}

// close ends a command that has read a data set. It prints how many pictures were used and
// skipped and why, and fails with --strict if any were skipped.
func (d *dataFlags) close(c *cobra.Command, used int, tally *dataset.Tally) error {
	say(c, "%s", tally.Summary(used))
	if *d.strict {
		return tally.Strict()
	}
	return nil
}

// shownSkips is the maximum number of skipped pictures that are listed.
const shownSkips = 20

// printSkips lists the first pictures that were skipped, with the reasons.
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
		fmt.Fprintf(errOut, "garb: skipped: %d more; --verbose lists them\n", more)
	}
}

// formatSkip formats a skip for a terminal.
func formatSkip(s dataset.Skip) string { return escape(s.String()) }
