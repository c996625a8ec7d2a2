package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/internal/download"
	"garb/internal/safefile"
	"garb/picture"
	"garb/report"
)

func newDataCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "data",
		Short: "Check, correct, preview, make and download data sets",
		Long:  "Work with data sets.\n\n" + dataHelp,
		Example: `  garb data pull clothing-small
  garb data check clothing-small --html check.html
  garb data check clothing-small --labels-quality --labels-csv labels.csv
  garb data relabel clothing-small --from labels.csv --dry-run
  garb data preview clothing-small --rotation-range 30 --horizontal-flip
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn`,
		Args: refuseArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.AddCommand(newDataCheckCommand(), newRelabelCommand(), newPreviewCommand(), newCropsCommand(),
		newDataPullCommand())
	return command
}

// addFoldFlags adds the flags of a cross-validation.
func addFoldFlags(command *cobra.Command, r *dataset.SplitRule) {
	flags := command.Flags()
	flags.IntVar(&r.Folds, "folds", r.Folds, "cross-validation: divide into `K` folds, of which --fold is validation")
	flags.IntVar(&r.Fold, "fold", r.Fold, "fold `I`, from 1 to K, is validation")
}

// addSplitFlags adds the flags that say how a data set without splits is divided.
func addSplitFlags(command *cobra.Command, r *dataset.SplitRule) {
	flags := command.Flags()
	flags.Float64Var(&r.Validation, "validation-share", r.Validation,
		"share of each class for validation, of a data set without splits")
	flags.Float64Var(&r.Test, "test-share", r.Test,
		"share of each class for test, of a data set without splits; 0: no test split")
	flags.Uint64Var(&r.Seed, "split-seed", r.Seed, "seed of the division of a data set without splits")
}

func newDataCheckCommand() *cobra.Command {
	rule := dataset.DefaultSplitRule()
	data := newDataFlags()
	var quality qualityFlags
	var asJSON bool
	var page string
	command := &cobra.Command{
		Use:   "check DATA [flags]",
		Short: "Find what is wrong with a data set, and labels that are likely wrong",
		Long: `Read every picture of a data set and report all that is wrong: what cannot be read or
has no label, classes that cannot be divided, columns that are missing, exact and
near duplicates within and across splits (a picture in train and test is a leak: it
makes the test easier than life), contributors who are in several splits, classes
with few pictures, label shift between the splits with its test, and sizes.

` + dataHelp + `

The exit code is 0 if training would take the data set as it is, and 1 if it would
refuse it or skip pictures; with --strict, also if there are leaks.

` + qualityHelp,
		Example: `  garb data check pictures
  garb data check pictures --html check.html
  garb data check table.csv --images photos --group-by sender_id
  garb data check pictures.zip --strict
  garb data check pictures --labels-quality --labels-csv labels.csv --html labels.html`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("check needs one data set: a folder, a table or an archive")
			}
			if rule.Folds > 0 && rule.Fold == 0 {
				rule.Fold = 1 // as good as any
			}
			return errors.Join(rule.Validate(), data.options.Validate(), quality.validate(c))
		},
		RunE: func(c *cobra.Command, args []string) error {
			options, err := addCacheFolder(*data.options)
			if err != nil {
				return err
			}
			found, err := dataset.Read(c.Context(), args[0], options)
			if err != nil {
				return withDataHint(err)
			}
			if quality.wanted {
				return quality.run(c, args[0], found, rule, *data.strict, asJSON, page)
			}
			bar := newCounter(c, "pictures", len(found.All().Samples))
			h, err := dataset.Check(c.Context(), found, rule, picture.DefaultLimits(), bar.add)
			bar.finish()
			if err != nil {
				return err
			}
			if page != "" {
				if err := writeHealthPage(c.Context(), page, args[0], h); err != nil {
					return err
				}
				say(c, "wrote %s", page)
			}
			if asJSON {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(h); err != nil {
					return err
				}
			} else {
				printHealth(openTextOut(c), h)
			}
			say(c, "%s", h.Summary)
			if h.Failing() || *data.strict && (h.Leaks() > 0 || h.Groups != nil && h.Groups.Leaks > 0) {
				return errReported
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	command.Flags().StringVar(&page, "html", "", "write a page with thumbnails to this file")
	data.add(command)
	data.addGroups(command)
	command.Flags().Lookup(strictFlag).Usage = "exit code 1 also for leaks between splits"
	addSplitFlags(command, &rule)
	addFoldFlags(command, &rule)
	quality.add(command)
	return command
}

// shownFindings is how many findings of a kind are printed, and shown on a page.
const (
	shownFindings = 10
	shownGroups   = 40
	shownOfGroup  = 6 // pictures of a group
)

func printHealth(w io.Writer, h *dataset.Health) {
	for _, note := range h.Notes {
		fmt.Fprintln(w, escape(note))
	}
	if h.Division != nil {
		printDivision(w, h)
	}
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
	if z := h.Sizes; z.Width.Max > 0 {
		fmt.Fprintf(w,
			"sizes       width %d to %d, height %d to %d, shortest side %d to %d pixels (median %d); %.0f %% "+
				"portrait, %.0f %% landscape; %.1f MB%s\n",
			z.Width.Min, z.Width.Max, z.Height.Min, z.Height.Max, z.Shortest.Min, z.Shortest.Max, z.Shortest.Median,
			100*z.Portrait, 100*z.Landscape, float64(z.Bytes)/1e6, formatFormats(z.Formats))
	}
	printProblems(w, h)
	printGroups(w, "same bytes ", h.Exact)
	printGroups(w, "look alike ", h.Near)
	if s := h.Shift; s != nil && s.Freedom > 0 {
		fmt.Fprintf(w, "shift       %s\n", formatShift(s))
	}
	for _, f := range h.Few {
		fmt.Fprintf(w, "few         %s has %s; below %d every one counts\n", escape(f.Class), count(f.Count,
			"training picture"), dataset.FewPictures)
	}
}

// printProblems writes what is wrong with the data set, and what is skipped of it.
func printProblems(w io.Writer, h *dataset.Health) {
	for _, p := range h.Problems {
		kind := "warning    "
		if p.Refused {
			kind = "problem    "
		}
		fmt.Fprintf(w, "%s %s%s\n", kind, escape(p.Message), hintForProblem(p))
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
		fmt.Fprintf(w, "  … and %d more; --json has them\n", shown-shownFindings)
	}
	if g := h.Groups; g != nil {
		fmt.Fprintf(w, "groups      %s of %d to %s (median %d), %d in several splits; %s without a group\n",
			count(g.Count, "group"), g.Sizes.Min, count(g.Sizes.Max, "picture"), g.Sizes.Median, g.Leaks,
			count(g.Without,
				"picture"))
	}
	for _, c := range h.Contributors {
		if h.Groups == nil {
			fmt.Fprintf(w,
				"contributor %q has %s of %.1f pictures on average: keep each in one split by  --group-by %s\n",
				c.Column, count(c.Groups, "value"), c.Mean, c.Column)
		}
	}
}

// printDivision writes how pictures were divided, with each class's shares.
func printDivision(w io.Writer, h *dataset.Health) {
	d := h.Division
	fmt.Fprintf(w, "%s; the share of each class should be: %s\n", formatPool(d), formatWanted(d.Wanted))
	if nearness := formatFarthest(d); nearness != "" {
		fmt.Fprintln(w, nearness)
	}
	if d.Groups > 0 {
		for _, class := range d.Classes {
			fmt.Fprintf(w, "  %s  %s %%\n", escape(class.Class), formatShare(class.Share, d.Wanted))
		}
	}
}

func formatFormats(formats map[string]int) string {
	var b strings.Builder
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, ", %d %s", formats[name], name)
	}
	return b.String()
}

func formatShift(s *dataset.Shift) string {
	verdict := "no more than chance"
	switch {
	case s.PValue < 1e-6:
		verdict = "not by chance (p < 0.000001)"
	case s.PValue < 0.05:
		verdict = fmt.Sprintf("more than chance (p = %.2g)", s.PValue)
	default:
		verdict += fmt.Sprintf(" (p = %.2f)", s.PValue)
	}
	return fmt.Sprintf("classes differ between splits %s: chi-square %.1f, %s of freedom; the largest difference "+
		"is %s, %.1f %% of train and %.1f %% of %s",
		verdict, s.ChiSquare, count(s.Freedom, "degree"), escape(s.Largest), 100*s.Training, 100*s.Other, s.Split)
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
	fmt.Fprintf(w, "%s %s, %d across splits, %d with several classes\n", name, count(len(groups), "group"), leaks,
		conflicts)
	shown := 0
	for _, leaksFirst := range []bool{true, false} {
		for _, g := range groups {
			if g.Leak != leaksFirst || shown == shownFindings {
				continue
			}
			shown++
			var names []string
			for _, p := range g.Pictures[:min(len(g.Pictures), shownOfGroup)] {
				names = append(names, escape(p.Split+"/"+p.Class+"/"+filepath.Base(p.Path)))
			}
			if more := len(g.Pictures) - len(names); more > 0 {
				names = append(names, fmt.Sprintf("… and %d more", more))
			}
			fmt.Fprintf(w, "  %s\n", strings.Join(names, "  "))
		}
	}
	if len(groups) > shown {
		fmt.Fprintf(w, "  … and %d more; --json has all, --html shows them\n", len(groups)-shown)
	}
}

//go:embed check.html
var checkHTML string

var healthPage = template.Must(template.New("health").Funcs(template.FuncMap{
	"share":   func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"percent": func(a, b int) string { return fmt.Sprintf("%.1f %%", 100*float64(a)/float64(max(b, 1))) },
	"shift":   formatShift,
	"base":    filepath.Base,
	"count":   count,
}).Parse(checkHTML))

type shownGroup struct {
	Leak  bool
	Shown []shownPlace
}

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
		showGroups(ctx, "The same bytes", h.Exact),
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
	limits := picture.DefaultLimits()
	for _, leaks := range []bool{true, false} {
		for _, g := range groups {
			if g.Leak != leaks || len(k.Groups) == shownGroups {
				continue
			}
			s := shownGroup{Leak: g.Leak}
			for _, p := range g.Pictures[:min(len(g.Pictures), shownOfGroup)] {
				place := shownPlace{Place: p}
				if data, err := (dataset.Sample{Path: p.Path}).Read(limits); err == nil {
					if rgb, err := picture.Decode(ctx, data, limits); err == nil {
						place.Picture, _ = report.Thumbnail(rgb, thumbnailSide)
					}
				}
				s.Shown = append(s.Shown, place)
			}
			k.Groups = append(k.Groups, s)
		}
	}
	return k
}

func newDataPullCommand() *cobra.Command {
	var out, url, file, digest string
	var list strings.Builder
	for _, s := range dataset.Sources() {
		fmt.Fprintf(&list, "  %s: %s; %s\n", s.Name, s.About, s.Licence)
	}
	command := &cobra.Command{
		Use:   "pull NAME [flags]",
		Short: "Get a public data set",
		Long: `Get a public data set from its repository's archive, check its digest, and unpack it
to a folder of its name. Nothing is left behind if something goes wrong.

` + list.String(),
		Example: `  garb data pull clothing-small
  garb data pull clothing-small --out pictures --from master.zip`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("pull needs the name of a data set")
			}
			_, err := dataset.LookupSource(args[0])
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			s, err := dataset.LookupSource(args[0])
			if err != nil {
				return err
			}
			if url != "" {
				s.URL = url
			}
			if digest != "" {
				s.Digest = digest
			}
			if out == "" {
				out = s.Name
			}
			if file != "" {
				archive, err := safefile.Read(file, s.MaxBytes)
				if err != nil {
					return err
				}
				err = dataset.Unpack(c.Context(), archive, s, out)
				if err != nil {
					return err
				}
			} else {
				p := newDownloadProgress(progressTo(c), s.Name)
				err := dataset.Pull(c.Context(), download.DefaultClient(), s, out, p.report)
				p.finish()
				if err != nil {
					return err
				}
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is in %s; try  garb data check %[2]s\n", s.Name, out)
			return nil
		},
	}
	command.Flags().StringVar(&out, "out", "", "folder to make (default the data set's name)")
	command.Flags().StringVar(&file, "from", "", "take the archive from `FILE` instead of the network")
	command.Flags().StringVar(&url, "url", "", "take the archive from another `URL`, such as a mirror")
	command.Flags().StringVar(&digest, "digest", "", "another digest to expect of the pictures: sha256:…")
	command.MarkFlagsMutuallyExclusive("from", "url")
	return command
}
