package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/relabel"
)

// relabelFlags are the flags of data relabel.
type relabelFlags struct {
	from                     string
	dryRun, undo, newClasses bool
	options                  dataset.Options
}

func newRelabelCommand() *cobra.Command {
	var f relabelFlags
	command := &cobra.Command{
		Use:   "relabel DATA --from FILE.csv",
		Short: "Correct labels, and undo it",
		Long: `Correct the labels of a data set. FILE.csv has the columns picture (the path relative
to the data set, or absolute), label (the one that the picture has now) and proposed or
new; such as garb data check --labels-quality --labels-csv FILE.csv writes. If it has a
column accepted, only the rows count that say yes, true, 1 or x there; other rows are
left alone. The names of labels are those on disk, not those that --merge makes.

In a data set of class folders the pictures move to the other class's folder, in the
same split; a symbolic link moves itself. In a table the label of every row of the
picture is rewritten; all other bytes stay. Nothing is ever overwritten. All rows are
checked first: if one cannot be applied, all that cannot are listed, and nothing
changes. A hidden log in the data set's folder (.garb-relabel-TIME.csv) makes it
possible to undo the last relabel, also one that was interrupted.`,
		Example: `  garb data check pictures --labels-quality --labels-csv labels.csv
  garb data relabel pictures --from labels.csv --dry-run
  garb data relabel pictures --from labels.csv
  garb data relabel pictures --undo`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) != 1:
				return errors.New("relabel needs one data set: a folder or a table")
			case (f.from == "") != f.undo:
				return errors.New("relabel needs either --from FILE.csv or --undo")
			case f.undo && (f.dryRun || f.newClasses):
				return errors.New("--dry-run and --new-classes go with --from")
			}
			return f.options.Validate()
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.undo {
				return f.runUndo(c, args[0])
			}
			return f.run(c, args[0])
		},
	}
	flags := command.Flags()
	flags.StringVar(&f.from, "from", "", "table of corrections: `FILE`")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would change, and change nothing")
	flags.BoolVar(&f.undo, "undo", false, "undo the last relabel of this data set")
	flags.BoolVar(&f.newClasses, "new-classes", false, "allow labels that no picture has so far")
	flags.StringVar(&f.options.Labels, "labels", "",
		"table with the labels: `FILE` (default images.csv, labels.csv or the only one in the folder)")
	flags.StringVar(&f.options.Images, "images", "", "folder that the names in the table are relative to: `DIR`")
	flags.StringVar(&f.options.ImageColumn, "image-column", "", "column of the table with the pictures' names")
	flags.StringVar(&f.options.LabelColumn, "label-column", "", "column of the table with the labels")
	return command
}

// run applies corrections.
func (f *relabelFlags) run(c *cobra.Command, path string) error {
	corrections, rows, err := relabel.ReadCorrections(f.from)
	if err != nil {
		return err
	}
	if len(corrections) == 0 {
		fmt.Fprintf(openTextOut(c), "nothing to change: of %s in %s none is accepted\n", count(rows, "row"), f.from)
		return nil
	}
	options, err := addCacheFolder(f.options)
	if err != nil {
		return err
	}
	data, err := dataset.Read(c.Context(), path, options)
	if err != nil {
		return withDataHint(err)
	}
	sayNotes(c, data)
	plan, err := relabel.Prepare(c.Context(), data, corrections, relabel.Options{NewClasses: f.newClasses})
	if err != nil {
		return withRelabelHint(err, f)
	}
	out := openTextOut(c)
	for _, s := range plan.Steps {
		fmt.Fprintln(out, escapeLine(s.String()))
	}
	if f.dryRun {
		fmt.Fprintf(out, "%s would change, %d already right; nothing was changed (--dry-run)\n",
			count(len(plan.Steps), "label"), plan.Unchanged)
		return nil
	}
	log, err := plan.Apply(c.Context(), time.Now())
	var incomplete *relabel.IncompleteError
	if errors.As(err, &incomplete) {
		say(c, "%d of %d changes were made; undo them with  garb data relabel %s --undo", incomplete.Done,
			incomplete.Steps, path)
		if c.Context().Err() != nil {
			return context.Cause(c.Context())
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s changed, %d already right\n", count(len(plan.Steps), "label"), plan.Unchanged)
	if log != "" {
		fmt.Fprintf(out, "log %s; undo with  garb data relabel %s --undo\n", log, path)
	}
	return nil
}

// withRelabelHint adds the flag that allows what was refused.
func withRelabelHint(err error, f *relabelFlags) error {
	var problems *relabel.ProblemsError
	if !errors.As(err, &problems) {
		return withDataHint(err)
	}
	if f.newClasses {
		return err
	}
	for _, p := range problems.Problems {
		if p.NewClass {
			return fmt.Errorf("%w\n--new-classes allows labels that no picture has so far", err)
		}
	}
	return err
}

// runUndo undoes the last relabel.
func (f *relabelFlags) runUndo(c *cobra.Command, path string) error {
	folder := path
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.IsDir() {
		folder = filepath.Dir(path)
	}
	if f.options.Labels != "" {
		folder = relabel.LogFolder(folder, f.options.Labels)
	}
	u, err := relabel.Undo(c.Context(), folder)
	if err != nil {
		if u != nil {
			say(c, "%d changes were undone; run it again for the others", u.Moved+u.Rows)
		}
		return err
	}
	out := openTextOut(c)
	text := fmt.Sprintf("%s moved back", count(u.Moved, "picture"))
	if u.Rows > 0 {
		text = fmt.Sprintf("%s of a table restored", count(u.Rows, "label"))
	}
	if u.Already > 0 {
		text += fmt.Sprintf(", %d needed no undoing", u.Already)
	}
	fmt.Fprintf(out, "undone: %s; the log %s is removed\n", text, u.Log)
	return nil
}
