package main

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"garb/answers"
	"garb/dataset"
	"garb/internal/safefile"
	"garb/picture"
)

// The names in the data set that from-feedback makes.
const (
	feedbackTable    = "labels.csv"
	feedbackPictures = "pictures"
)

// feedbackColumns are the columns of the table.
var feedbackColumns = []string{"image", "label", "answered", "model", "request_id", "time", "note"}

const fromFeedbackHelp = `Make a data set of the pictures with feedback. garb serve --log-answers DIR stores the right
classes that clients send to POST /v1/feedback. It keeps pictures only with
--answers-pictures; pictures that were not kept, or were removed to make room, are skipped
and counted.

OUT gets the table ` + feedbackTable + ` with the columns ` + `image, label, answered, model, request_id,
time and note, and the folder ` + feedbackPictures + `. A picture has one row: if several clients corrected it,
the last correction counts. OUT is created when all pictures are copied; an interrupted
command leaves nothing behind.`

// fromFeedbackFlags holds the flags of data from-feedback.
type fromFeedbackFlags struct {
	answers answerFlags
	out     string
	strict  bool
}

func newFromFeedbackCommand() *cobra.Command {
	var f fromFeedbackFlags
	command := &cobra.Command{
		Use:   "from-feedback --answers DIR --out DATA [flags]",
		Short: "Make a data set of the pictures with feedback",
		Long:  fromFeedbackHelp,
		Example: `  garb data from-feedback --answers answers --out corrected
  garb data from-feedback --answers answers --out corrected --since 2026-11-01
  garb data check corrected
  garb train --data pictures --train-data corrected --out runs/next`,
		Args: func(c *cobra.Command, args []string) error {
			if err := refuseArguments(c, args); err != nil {
				return err
			}
			if f.out == "" {
				return errors.New("from-feedback needs --out: the folder of the data set to make")
			}
			return f.answers.validate("from-feedback")
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.answers.add(command)
	command.Flags().StringVar(&f.out, "out", "", "folder to create")
	command.Flags().BoolVar(&f.strict, strictFlag, false, "fail and write nothing if any picture has to be skipped")
	return command
}

func (f *fromFeedbackFlags) run(c *cobra.Command) error {
	if entries, err := safefile.ReadDir(f.out); err == nil && len(entries) > 0 {
		return fmt.Errorf("--out %s: the folder is not empty; choose another", f.out)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--out: %w", err)
	}
	var tally dataset.Tally
	all, contradictions, err := f.read(c, &tally)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(filepath.Clean(f.out)), 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(filepath.Clean(f.out)), "."+filepath.Base(f.out)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) // this does nothing once it has its name
	rows, err := f.copyPictures(c, all, folder, &tally)
	if err != nil {
		return err
	}
	printSkips(c, &tally)
	if f.strict {
		err = tally.Strict()
	}
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("%s has no picture with feedback that was kept, so no data set was made", f.answers.folder)
	}
	if err != nil {
		say(c, "%s", tally.Summary(len(rows)))
		return err
	}
	err = safefile.Write(filepath.Join(folder, feedbackTable), func(w io.Writer) error {
		table := csv.NewWriter(w)
		return errors.Join(table.Write(feedbackColumns), table.WriteAll(rows))
	})
	if err = errors.Join(err, os.Chmod(folder, 0o755)); err != nil {
		return err
	}
	if err = replaceFolder(f.out, folder); err != nil {
		return err
	}
	f.print(openTextOut(c), rows, contradictions)
	say(c, "%s", tally.Summary(len(rows)))
	return nil
}

// print prints the classes of the data set.
func (f *fromFeedbackFlags) print(out io.Writer, rows [][]string, contradictions int) {
	classes, corrected := map[string]int{}, 0
	for _, row := range rows {
		classes[row[1]]++
		if row[1] != row[2] {
			corrected++
		}
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintf(out, "%6d  %s\n", classes[class], class)
	}
	fmt.Fprintf(out, "wrote %s: %s of %s; the model was wrong about %d\n", f.out, count(len(rows), "picture"),
		count(len(classes), "class"), corrected)
	if contradictions > 0 {
		fmt.Fprintf(out, "%s with contradicting feedback: the last one counts\n", count(contradictions, "picture"))
	}
}

// read reads the feedback, and returns the last one about each picture, in the order of the first.
// It also returns the number of pictures with contradicting feedback.
func (f *fromFeedbackFlags) read(c *cobra.Command, tally *dataset.Tally) ([]*answers.StoredFeedback, int, error) {
	if _, err := os.Stat(f.answers.folder); err != nil {
		return nil, 0, fmt.Errorf("--answers: %w", err)
	}
	r := f.answers.reader()
	var order []string
	last, contradicting := map[string]*answers.StoredFeedback{}, map[string]bool{}
	for feedback, err := range r.Feedback(c.Context()) {
		if err != nil {
			return nil, 0, err
		}
		name := fmt.Sprintf("%s, picture %d", feedback.RequestID, feedback.Index)
		digest := feedback.Picture.SHA256
		if feedback.Picture.File == "" {
			tally.Add(dataset.ReasonMissing, name, "the picture was not kept")
			continue
		}
		if before := last[digest]; before == nil {
			order = append(order, digest)
		} else {
			tally.Add(dataset.ReasonRepeated, name, "the picture has later feedback")
			if before.Class != feedback.Class {
				contradicting[digest] = true
			}
		}
		last[digest] = feedback
	}
	saySkippedLines(c, r.Skipped())
	all := make([]*answers.StoredFeedback, len(order))
	for i, digest := range order {
		all[i] = last[digest]
	}
	return all, len(contradicting), nil
}

// copyPictures copies the pictures to a folder, and returns the rows of the table.
func (f *fromFeedbackFlags) copyPictures(c *cobra.Command, all []*answers.StoredFeedback, folder string,
	tally *dataset.Tally) (rows [][]string, err error) {
	if err = os.Mkdir(filepath.Join(folder, feedbackPictures), 0o755); err != nil {
		return nil, err
	}
	bar := newCounter(c, "pictures", len(all))
	defer bar.finish()
	for _, feedback := range all {
		if err = c.Context().Err(); err != nil {
			return nil, err
		}
		bar.add(1)
		from := filepath.Join(f.answers.folder, filepath.FromSlash(feedback.Picture.File))
		data, err := (dataset.Sample{Path: from}).Read(picture.DefaultLimits())
		switch digest := sha256.Sum256(data); {
		case errors.Is(err, fs.ErrNotExist):
			tally.Add(dataset.ReasonMissing, from, "the picture was removed to make room")
			continue
		case err != nil:
			tally.Add(dataset.FindReason(err), from, explainError(err))
			continue
		case hex.EncodeToString(digest[:]) != feedback.Picture.SHA256:
			tally.Add(dataset.ReasonUnreadable, from, "its bytes are not those that were stored")
			continue
		}
		name := path.Join(feedbackPictures, path.Base(feedback.Picture.File))
		if err = os.WriteFile(filepath.Join(folder, filepath.FromSlash(name)), data, 0o644); err != nil {
			return nil, err
		}
		rows = append(rows, []string{name, feedback.Class, feedback.Answered, feedback.Model.Name, feedback.RequestID,
			feedback.Time.Format(time.RFC3339), feedback.Note})
	}
	return rows, nil
}
