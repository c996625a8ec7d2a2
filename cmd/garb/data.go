package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/internal/download"
	"garb/internal/safefile"
	"garb/report"
)

func newDataCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "data",
		Short: "Check, relabel, preview, build and download data sets",
		Long:  "Work with data sets.\n\n" + dataHelp,
		Example: `  garb data pull clothing-small
  garb data check clothing-small --html check.html
  garb data check clothing-small --labels-quality --labels-csv labels.csv
  garb data relabel clothing-small --from labels.csv --dry-run
  garb data preview clothing-small --rotation-range 30 --horizontal-flip
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn
  garb data from-feedback --answers answers --out corrected`,
		Args: refuseArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.AddCommand(newDataCheckCommand(), newRelabelCommand(), newPreviewCommand(), newCropsCommand(),
		newFromFeedbackCommand(), newDataPullCommand())
	return command
}

// addFoldFlags adds the flags of K-fold cross-validation.
func addFoldFlags(command *cobra.Command, r *dataset.SplitRule) {
	flags := command.Flags()
	flags.IntVar(&r.Folds, "folds", r.Folds, "cross-validation with `K` folds; --fold chooses the validation fold")
	flags.IntVar(&r.Fold, "fold", r.Fold, "validation fold `I`, from 1 to K")
}

// addSplitFlags adds the flags that choose how a data set without splits is split.
func addSplitFlags(command *cobra.Command, r *dataset.SplitRule) {
	flags := command.Flags()
	flags.Float64Var(&r.Validation, "validation-share", r.Validation,
		"share of each class for validation, if the data set has no splits")
	flags.Float64Var(&r.Test, "test-share", r.Test,
		"share of each class for test, if the data set has no splits (0 for no test split)")
	flags.Uint64Var(&r.Seed, "split-seed", r.Seed, "random seed of the split, if the data set has no splits")
}

const dataCheckHelp = `Read every picture of a data set and report everything that is wrong with it. That is
unreadable or unlabelled pictures, missing columns, small classes, contributors in more than
one split, label shift between the splits, picture sizes, and duplicates, exact and near. A
picture in both train and test is a leak, which inflates test accuracy.

It also counts the pictures that are unusual: with a wrong extension, repaired, animated,
transparent, with more than 8 bits, CMYK, grey, with an ICC profile other than sRGB, or
turned by EXIF. They are used all the same.

` + dataHelp + `

The exit code is 0 if training would accept the data set as it is, and 1 if it would
refuse it or skip pictures. With --strict, leaks count too.

` + qualityHelp

// dataCheck holds the flags of data check.
type dataCheck struct {
	data    dataFlags
	rule    dataset.SplitRule
	quality qualityFlags
	asJSON  bool
	page    string
}

func newDataCheckCommand() *cobra.Command {
	check := dataCheck{data: newDataFlags(), rule: dataset.DefaultSplitRule()}
	command := &cobra.Command{
		Use:   "check DATA [flags]",
		Short: "Find problems in a data set, and labels that are likely wrong",
		Long:  dataCheckHelp,
		Example: `  garb data check pictures
  garb data check pictures --html check.html
  garb data check table.csv --images photos --group-by sender_id
  garb data check pictures.zip --strict
  garb data check pictures --labels-quality --labels-csv labels.csv --html labels.html`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("check needs one data set: a folder, a table or an archive")
			}
			if check.rule.Folds > 0 && check.rule.Fold == 0 {
				check.rule.Fold = 1 // any fold will do
			}
			return errors.Join(check.rule.Validate(), check.data.options.Validate(), check.quality.validate(c))
		},
		RunE: func(c *cobra.Command, args []string) error { return check.run(c, args[0]) },
	}
	command.Flags().BoolVar(&check.asJSON, "json", false, "print one JSON object")
	command.Flags().StringVar(&check.page, "html", "", "write a page with thumbnails to `FILE`")
	check.data.add(command)
	check.data.addGroups(command)
	command.Flags().Lookup(strictFlag).Usage = "exit code 1 also for leaks between splits"
	addSplitFlags(command, &check.rule)
	addFoldFlags(command, &check.rule)
	check.quality.add(command)
	return command
}

func (d *dataCheck) run(c *cobra.Command, path string) error {
	options := addCacheFolder(*d.data.options)
	found, err := dataset.Read(c.Context(), path, options)
	if err != nil {
		return err
	}
	if d.quality.enabled {
		return d.quality.run(c, path, found, d)
	}
	bar := newCounter(c, "pictures", len(found.All().Samples))
	h, err := dataset.Check(c.Context(), found, d.rule, options.Limits(), bar.add)
	bar.finish()
	if err != nil {
		return err
	}
	if d.page != "" {
		if err := writeHealthPage(c.Context(), d.page, path, h); err != nil {
			return err
		}
		say(c, "wrote %s", d.page)
	}
	if d.asJSON {
		if err := json.NewEncoder(c.OutOrStdout()).Encode(h); err != nil {
			return err
		}
	} else {
		printHealth(openTextOut(c), h)
	}
	say(c, "%s", h.Summary)
	if h.Failing() || *d.data.strict && (h.Leaks() > 0 || h.Groups != nil && h.Groups.Leaks > 0) {
		return errReported
	}
	return nil
}

// Limits of what is printed and shown on a page.
const (
	shownFindings = 10 // findings of one kind
	shownGroups   = 40 // groups of duplicates of one kind
	shownInGroup  = 6  // pictures of one group
)

func printHealth(w io.Writer, h *dataset.Health) {
	for _, note := range h.Notes {
		fmt.Fprintln(w, escape(note))
	}
	if h.Division != nil {
		printDivision(w, h)
	}
	printClassCounts(w, h)
	if z := h.Sizes; z.Width.Max > 0 {
		fmt.Fprintf(w, "sizes       width %d to %d, height %d to %d, shorter side %d to %d pixels (median %d); "+
			"%.0f %% portrait, %.0f %% landscape; %.1f MB%s\n",
			z.Width.Min, z.Width.Max, z.Height.Min, z.Height.Max, z.Shortest.Min, z.Shortest.Max, z.Shortest.Median,
			100*z.Portrait, 100*z.Landscape, float64(z.Bytes)/1e6, formatFormats(z.Formats))
	}
	printKinds(w, h.Kinds)
	printProblems(w, h)
	printGroups(w, "same bytes ", h.Exact)
	printGroups(w, "look alike ", h.Near)
	if s := h.Shift; s != nil && s.Freedom > 0 {
		fmt.Fprintf(w, "shift       %s\n", formatShift(s))
	}
	for _, f := range h.Few {
		fmt.Fprintf(w, "few         %s has only %s; %d or more are better\n", escape(f.Class),
			count(f.Count, "training picture"), dataset.FewPictures)
	}
}

// shownExamples is the number of pictures that are named for each kind.
const shownExamples = 3

// printKinds prints what is unusual about pictures.
func printKinds(w io.Writer, kinds []dataset.KindCount) {
	for _, k := range kinds {
		var examples []string
		for _, p := range k.Pictures[:min(len(k.Pictures), shownExamples)] {
			text := filepath.Base(p.Path)
			if p.Detail != "" {
				text += " (" + p.Detail + ")"
			}
			examples = append(examples, escape(text))
		}
		if k.Count > len(examples) {
			examples = append(examples, "…")
		}
		fmt.Fprintf(w, "%-17s %6d  %s\n", k.Kind, k.Count, strings.Join(examples, ", "))
	}
}

// printClassCounts prints a table of the number of pictures by class and split.
func printClassCounts(w io.Writer, h *dataset.Health) {
	width := len("class")
	for _, class := range h.Classes {
		width = max(width, len([]rune(escape(class))))
	}
	pad := func(s string) string { return escape(s) + strings.Repeat(" ", width-len([]rune(escape(s)))) }
	fmt.Fprint(w, pad("class"))
	for _, s := range h.Splits {
		fmt.Fprintf(w, "  %16s", s.Name)
	}
	fmt.Fprintln(w)
	for i, class := range h.Classes {
		fmt.Fprint(w, pad(class))
		for _, s := range h.Splits {
			fmt.Fprintf(w, "  %6d  %5.1f %%", s.Counts[i], 100*float64(s.Counts[i])/float64(max(s.Count, 1)))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, pad(""))
	for _, s := range h.Splits {
		fmt.Fprintf(w, "  %6d         ", s.Count)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w)
}

// printProblems prints the problems of a data set, and the pictures that were skipped.
func printProblems(w io.Writer, h *dataset.Health) {
	for _, p := range h.Problems {
		kind := "warning    "
		if p.Refused {
			kind = "problem    "
		}
		fmt.Fprintf(w, "%s %s%s\n", kind, escape(p.Message), formatProblemHint(p))
	}
	fmt.Fprintf(w, "pictures    %s\n", h.Summary)
	shown := 0
	for _, s := range h.Skips {
		if s.Reason.Ignored() {
			continue
		}
		if shown++; shown <= shownFindings {
			fmt.Fprintf(w, "  %s\n", formatSkip(s))
		}
	}
	if shown > shownFindings {
		fmt.Fprintf(w, "  … and %d more; --json lists all\n", shown-shownFindings)
	}
	if g := h.Groups; g != nil {
		fmt.Fprintf(w, "groups      %s of %d to %s (median %d), %d in several splits; %s without a group\n",
			count(g.Count, "group"), g.Sizes.Min, count(g.Sizes.Max, "picture"), g.Sizes.Median, g.Leaks,
			count(g.Without, "picture"))
	}
	for _, c := range h.Contributors {
		if h.Groups == nil {
			fmt.Fprintf(w, "contributor %q has %s of %.1f pictures on average; keep each in one split with "+
				"--group-by %s\n", c.Column, count(c.Groups, "value"), c.Mean, c.Column)
		}
	}
}

// printDivision prints how pictures were split, with the shares of each class.
func printDivision(w io.Writer, h *dataset.Health) {
	d := h.Division
	fmt.Fprintf(w, "%s; the target share of each class is %s\n", formatPool(d), formatTargets(d.Wanted))
	if text := formatFarthest(d); text != "" {
		fmt.Fprintln(w, text)
	}
	if d.Groups > 0 {
		for _, class := range d.Classes {
			fmt.Fprintf(w, "  %s  %s %%\n", escape(class.Class), formatShare(class.Share, d.Wanted))
		}
	}
}

func formatFormats(formats map[string]int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(formats)) {
		fmt.Fprintf(&b, ", %d %s", formats[name], name)
	}
	return b.String()
}

// formatShift says whether the label shift between splits is significant, and where it is
// largest.
func formatShift(s *dataset.Shift) string {
	verdict := fmt.Sprintf("not significant (p = %.2f)", s.PValue)
	switch {
	case s.PValue < 1e-6:
		verdict = "significant (p < 0.000001)"
	case s.PValue < significant:
		verdict = fmt.Sprintf("significant (p = %.2g)", s.PValue)
	}
	return fmt.Sprintf("%s: chi-square %.1f, %s of freedom; the largest difference is %s, with %.1f %% of train and "+
		"%.1f %% of %s", verdict, s.ChiSquare, count(s.Freedom, "degree"), escape(s.Largest), 100*s.Training,
		100*s.Other, s.Split)
}

func printGroups(w io.Writer, name string, groups []dataset.Group) {
	leaks, conflicts := 0, 0
	for _, g := range groups {
		if g.Leak {
			leaks++
		}
		if g.Conflict {
			conflicts++
		}
	}
	fmt.Fprintf(w, "%s %s, %d across splits, %d with different labels\n", name, count(len(groups), "group"), leaks,
		conflicts)
	shown := 0
	for _, leaksFirst := range []bool{true, false} {
		for _, g := range groups {
			if g.Leak != leaksFirst || shown == shownFindings {
				continue
			}
			shown++
			var names []string
			for _, p := range g.Pictures[:min(len(g.Pictures), shownInGroup)] {
				names = append(names, escape(p.Split+"/"+p.Class+"/"+filepath.Base(p.Path)))
			}
			if more := len(g.Pictures) - len(names); more > 0 {
				names = append(names, fmt.Sprintf("… and %d more", more))
			}
			fmt.Fprintf(w, "  %s\n", strings.Join(names, "  "))
		}
	}
	if len(groups) > shown {
		fmt.Fprintf(w, "  … and %d more; --json lists all, --html shows them\n", len(groups)-shown)
	}
}

//go:embed check.html
var checkHTML string

var healthPage = template.Must(template.New("health").Funcs(template.FuncMap{
	"share":   func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"percent": func(a, b int) string { return fmt.Sprintf("%.1f %%", 100*float64(a)/float64(max(b, 1))) },
	"shift":   formatShift,
	"base":    filepath.Base,
	"first":   func(all []dataset.KindPicture) []dataset.KindPicture { return all[:min(len(all), shownExamples)] },
	"count":   count,
}).Parse(checkHTML))

// shownGroup is a group of duplicates on the page.
type shownGroup struct {
	Leak  bool
	Shown []shownPlace
}

// shownPlace is a picture of a group, with its thumbnail.
type shownPlace struct {
	dataset.Place
	Picture template.URL
}

// groupKind is one kind of duplicates on the page.
type groupKind struct {
	Title  string
	Count  int
	Groups []shownGroup
}

func writeHealthPage(ctx context.Context, path, folder string, h *dataset.Health) error {
	kinds := []groupKind{
		showGroups(ctx, "Same bytes", h.Exact),
		showGroups(ctx, "Look alike", h.Near),
	}
	var body strings.Builder
	var skips []string
	for _, s := range h.Skips {
		if !s.Reason.Ignored() && len(skips) < shownSkips {
			skips = append(skips, formatSkip(s))
		}
	}
	err := healthPage.Execute(&body, struct {
		Health *dataset.Health
		Skips  []string
		Kinds  []groupKind
	}{h, skips, kinds})
	if err != nil {
		return err
	}
	return safefile.Write(path, func(w io.Writer) error {
		return report.Page(w, "Check of "+filepath.Base(filepath.Clean(folder)), template.HTML(body.String()))
	})
}

func showGroups(ctx context.Context, title string, groups []dataset.Group) groupKind {
	const thumbnailSide = 140
	k := groupKind{Title: title, Count: len(groups)}
	for _, leaks := range []bool{true, false} {
		for _, g := range groups {
			if g.Leak != leaks || len(k.Groups) == shownGroups {
				continue
			}
			s := shownGroup{Leak: g.Leak}
			for _, p := range g.Pictures[:min(len(g.Pictures), shownInGroup)] {
				place := shownPlace{Place: p}
				place.Picture, _ = evaluate.ReadThumbnail(ctx, p.Path, thumbnailSide)
				s.Shown = append(s.Shown, place)
			}
			k.Groups = append(k.Groups, s)
		}
	}
	return k
}

// dataPull holds the flags of data pull.
type dataPull struct{ out, url, file, digest string }

const dataPullHelp = `Download a public data set from its repository, verify its digest, and unpack it into a
folder of the same name. If anything fails, nothing is left behind.`

func newDataPullCommand() *cobra.Command {
	var p dataPull
	var list strings.Builder
	for _, s := range dataset.Sources() {
		fmt.Fprintf(&list, "\n  %s: %s; %s", s.Name, s.About, s.Licence)
	}
	command := &cobra.Command{
		Use:   "pull NAME [flags]",
		Short: "Download a public data set",
		Long:  dataPullHelp + "\n" + list.String(),
		Example: `  garb data pull clothing-small
  garb data pull clothing-small --out pictures --from master.zip`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("pull needs the name of a data set")
			}
			_, err := dataset.LookupSource(args[0])
			return err
		},
		RunE: func(c *cobra.Command, args []string) error { return p.run(c, args[0]) },
	}
	command.Flags().StringVar(&p.out, "out", "", "folder to create (default the data set's name)")
	command.Flags().StringVar(&p.file, "from", "", "read the archive from `FILE` instead of downloading it")
	command.Flags().StringVar(&p.url, "url", "", "download the archive from `URL`, such as a mirror")
	command.Flags().StringVar(&p.digest, "digest", "",
		"expected `DIGEST` of the pictures, sha256:… (default the known one)")
	command.MarkFlagsMutuallyExclusive("from", "url")
	return command
}

func (p *dataPull) run(c *cobra.Command, name string) error {
	s, err := dataset.LookupSource(name)
	if err != nil {
		return err
	}
	s.URL, s.Digest = cmp.Or(p.url, s.URL), cmp.Or(p.digest, s.Digest)
	out := cmp.Or(p.out, s.Name)
	if p.file != "" {
		archive, err := safefile.Read(p.file, s.MaxBytes)
		if err != nil {
			return err
		}
		err = dataset.Unpack(c.Context(), archive, s, out)
		if err != nil {
			return err
		}
	} else {
		progress := newDownloadProgress(openProgress(c), s.Name)
		err := dataset.Pull(c.Context(), download.DefaultClient(), s, out, progress.report)
		progress.finish()
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "%s is in %s; try  garb data check %[2]s\n", s.Name, out)
	return nil
}
