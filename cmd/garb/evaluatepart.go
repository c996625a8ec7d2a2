package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/shard"
)

// evaluateKind is the kind of parts of an evaluation. Their body has a line of JSON with an
// evaluate.Record for each picture.
const evaluateKind = "evaluate"

// recording holds the answers of the parts of an evaluation.
type recording struct {
	records []evaluate.Record
	list    string  // digest of the list of pictures
	seconds float64 // of all machines
}

// evaluateOutputs are the flags of evaluate that name files to write.
var evaluateOutputs = []string{"html", "predictions"}

// listEvaluated lists all pictures that an evaluation reads: those of the data set, of the validation
// split to fit on, and the other pictures.
func listEvaluated(set, fit *dataset.Set, other *otherPictures) []source {
	var all []source
	add := func(path string) { all = append(all, source{name: path}) }
	for _, s := range set.Samples {
		add(s.Path)
	}
	if fit != nil {
		for _, s := range fit.Samples {
			add(s.Path)
		}
	}
	if other != nil {
		for _, path := range other.paths {
			add(path)
		}
	}
	return all
}

// writePart classifies the pictures of a shard and writes the answers to a part.
func (e *evaluation) writePart(c *cobra.Command, classifier *model.Classifier, all []source,
	tally *dataset.Tally) error {
	all, h := e.output.take(c, all, evaluateKind, classifier.Digest(), evaluateOutputs...)
	h.Settings["model"] = []string{e.model} // the report names it
	shown, bar := addTTA(classifier, e.tta), newCounter(c, "pictures", len(all))
	defer bar.finish()
	began, failures := time.Now(), 0
	records := make([]evaluate.Record, len(all))
	err := dataset.Each(c.Context(), len(all), func(i int) {
		records[i], _ = evaluate.NewRecord(c.Context(), shown, all[i].name, classifier.Limits())
		bar.add(1)
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Reason != "" {
			failures++
			tally.Add(r.Reason, r.Picture, r.Message)
		}
	}
	var out io.Writer
	begin := func(w io.Writer) error {
		out = w
		return nil
	}
	err = e.output.print(c, h, begin, func() (shard.End, error) {
		lines := json.NewEncoder(out)
		var errs error
		for _, r := range records {
			errs = errors.Join(errs, lines.Encode(r))
		}
		return shard.End{Rows: len(all) - failures, Failed: failures, Seconds: time.Since(began).Seconds()}, errs
	})
	if err != nil {
		return err
	}
	printSkips(c, tally)
	return e.output.close(c, all, failures, tally)
}

// maxRecordBytes bounds a line of a part: the predictions of 1000 classes need 0.1 MB.
const maxRecordBytes = 16 << 20

// readRecords reads the answers of parts.
func readRecords(parts []*shard.Part) (*recording, error) {
	all := &recording{list: parts[0].List}
	for _, p := range parts {
		before := len(all.records)
		err := p.Read(func(r io.Reader) error {
			lines := bufio.NewScanner(r)
			lines.Buffer(nil, maxRecordBytes)
			for lines.Scan() {
				var record evaluate.Record
				d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
				d.DisallowUnknownFields()
				if err := d.Decode(&record); err != nil {
					return fmt.Errorf("one of its answers cannot be read: %w", err)
				}
				all.records = append(all.records, record)
			}
			return lines.Err()
		})
		if err == nil && len(all.records)-before != p.Rows+p.Failed {
			err = fmt.Errorf("it has %s, not %d", count(len(all.records)-before, "answer"), p.Rows+p.Failed)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
		all.seconds += p.Seconds
	}
	return all, nil
}

// errOtherList says that the pictures have changed since the parts were computed.
var errOtherList = errors.New("the data set does not have the pictures of the parts: it has changed, or is at " +
	"another path")

// check reports whether the answers are those of these pictures.
func (r *recording) check(all []source) error {
	if shard.DigestList(listNames(all)) != r.list {
		return errOtherList
	}
	return nil
}

// mergeEvaluation evaluates the answers of parts as garb evaluate evaluates its own, with the
// settings of the parts.
func mergeEvaluation(c *cobra.Command, parts []*shard.Part, f mergeFlags) error {
	records, err := readRecords(parts)
	if err != nil {
		return err
	}
	e := &evaluation{pictures: newEvaluationData(), recorded: records}
	command := newEvaluateCommandFor(e)
	c.AddCommand(command) // for --quiet and --verbose
	defer c.RemoveCommand(command)
	command.SetContext(c.Context())
	for name, values := range parts[0].Settings {
		if err = setFlag(command, name, values); err != nil {
			return fmt.Errorf("%s: the setting %s: %w", parts[0].Path, name, err)
		}
	}
	e.page, e.table = f.page, f.table
	if err = e.validate(command, nil); err != nil {
		return fmt.Errorf("%s: %w", parts[0].Path, err)
	}
	var text bytes.Buffer
	command.SetOut(&text)
	err = e.run(command)
	if text.Len() == 0 {
		return err
	}
	writeErr := f.write(c, func(w io.Writer) error {
		_, failed := text.WriteTo(w)
		return failed
	})
	return errors.Join(writeErr, err)
}

// setFlag sets a flag of evaluate as a part had it. A part cannot name files to write.
func setFlag(command *cobra.Command, name string, values []string) error {
	flag := command.LocalFlags().Lookup(name)
	if flag == nil || slices.Contains(append(evaluateOutputs, outFlag, shardFlag, "help"), name) {
		return errors.New("garb evaluate has no such setting")
	}
	flag.Changed = true
	if list, ok := flag.Value.(interface{ Replace([]string) error }); ok {
		return list.Replace(values)
	}
	if len(values) != 1 {
		return fmt.Errorf("it has %d values", len(values))
	}
	return flag.Value.Set(values[0])
}
