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

// relabelFlags holds the flags of data relabel.
type relabelFlags struct {
	from                     string
	dryRun, undo, newClasses bool
	options                  dataset.Options
}

const relabelHelp = `Correct the labels of a data set. FILE.csv has the columns picture (the path relative to
the data set, or absolute), label (the current label) and proposed or new (the corrected
label); garb data check --labels-quality --labels-csv FILE.csv writes such a file. If there
is a column accepted, only rows with yes, true, 1 or x in it apply. Use the labels as they
are on disk, not as --merge renames them.

In a data set of class folders, pictures are moved to the folder of the new class, in the
same split; for a symbolic link, the link is moved. In a table, the label is replaced in
every row of the picture, and all other bytes stay the same. Nothing is ever overwritten.
All rows are checked first: if some cannot be applied, garb lists them and changes
nothing. A hidden log in the data set's folder (.garb-relabel-TIME.csv) makes it possible
to undo the last relabel, even if it was interrupted.`

func newRelabelCommand() *cobra.Command {
	var f relabelFlags
	command := &cobra.Command{
		Use:   "relabel DATA --from FILE.csv",
		Short: "Correct labels, or undo a correction",
		Long:  relabelHelp,
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
				return errors.New("--dry-run and --new-classes require --from")
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
	flags.StringVar(&f.from, "from", "", "`FILE` with the corrections")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the changes without making them")
	flags.BoolVar(&f.undo, "undo", false, "undo the last relabel of this data set")
	flags.BoolVar(&f.newClasses, "new-classes", false, "allow labels that no picture has yet")
	flags.StringVar(&f.options.Labels, "labels", "",
		"table `FILE` with the labels (default images.csv, labels.csv or the only one in the folder)")
	flags.StringVar(&f.options.Images, "images", "", "folder `DIR` that the table's file names are relative to")
	flags.StringVar(&f.options.ImageColumn, "image-column", "", "`COLUMN` of the table with the file names")
	flags.StringVar(&f.options.LabelColumn, "label-column", "", "`COLUMN` of the table with the labels")
	return command
}

// run applies corrections.
func (f *relabelFlags) run(c *cobra.Command, path string) error {
	corrections, rows, err := relabel.ReadCorrections(f.from)
	if err != nil {
		return err
	}
	if len(corrections) == 0 {
		fmt.Fprintf(openTextOut(c), "nothing to change: none of %s in %s is accepted\n", count(rows, "row"), f.from)
		return nil
	}
	data, err := dataset.Read(c.Context(), path, addCacheFolder(f.options))
	if err != nil {
		return err
	}
	sayNotes(c, data)
	plan, err := relabel.Prepare(c.Context(), data, corrections, relabel.Options{NewClasses: f.newClasses})
	if err != nil {
		return err
	}
	out := openTextOut(c)
	for _, s := range plan.Steps {
		fmt.Fprintln(out, escapeLine(s.String()))
	}
	if f.dryRun {
		fmt.Fprintf(out, "%s would change, %d already correct; nothing was changed (--dry-run)\n",
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
	fmt.Fprintf(out, "%s changed, %d already correct\n", count(len(plan.Steps), "label"), plan.Unchanged)
	if log != "" {
		fmt.Fprintf(out, "log %s; undo with  garb data relabel %s --undo\n", log, path)
	}
	return nil
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
			say(c, "%d changes were undone; run the command again for the others", u.Moved+u.Rows)
		}
		return err
	}
	out := openTextOut(c)
	text := fmt.Sprintf("%s moved back", count(u.Moved, "picture"))
	if u.Rows > 0 {
		text = fmt.Sprintf("%s of a table restored", count(u.Rows, "label"))
	}
	if u.Already > 0 {
		text += fmt.Sprintf(", %d did not need undoing", u.Already)
	}
	fmt.Fprintf(out, "undone: %s; the log %s was removed\n", text, u.Log)
	return nil
}
