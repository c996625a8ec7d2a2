//go:build !small

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"garb/features"
	"garb/queue"
	"garb/results"
	"garb/store"
)

const queueGetHelp = `Write the results of a job, in the order in which the pictures were put: on standard output,
or with --out to a file or a URL such as s3://bucket/results.jsonl. The ending chooses the
format: .jsonl for JSON lines as of garb classify --json, .parquet for Parquet. The result
of --task features is a file for garb train --features; its ending is .safetensors.

Dead letters are rows with an error; they are not in files of features. A job that is not
complete is an error, unless --partial is given.`

const queueGetExamples = `  garb queue get | jq .class
  garb queue get --job shop --out results.jsonl
  garb queue get --job shop --partial --out s3://results/shop.jsonl
  garb queue get --job training --out features.safetensors`

// queueGetFlags holds the flags of queue get.
type queueGetFlags struct {
	queueFlags
	out     string
	partial bool
}

func newQueueGetCommand() *cobra.Command {
	var f queueGetFlags
	command := &cobra.Command{
		Use:     "get [flags]",
		Short:   "Write the results of a job",
		Long:    queueGetHelp,
		Example: queueGetExamples,
		Args: func(c *cobra.Command, args []string) error {
			return errors.Join(refuseArguments(c, args), f.validate(c))
		},
		RunE: func(c *cobra.Command, _ []string) error {
			f.options.Existing = true
			return f.run(c, func(ctx context.Context, q *queue.Queue) error { return f.get(ctx, c, q) })
		},
	}
	flags := command.Flags()
	f.add(flags)
	flags.StringVar(&f.out, "out", "", "`FILE` or URL to write (default standard output)")
	flags.BoolVar(&f.partial, "partial", false, "write the results that there are, even if the job is not complete")
	return command
}

func (f *queueGetFlags) get(ctx context.Context, c *cobra.Command, q *queue.Queue) error {
	j, err := q.Job(ctx, f.job)
	if err != nil {
		return err
	}
	t := &getTally{}
	rows := t.count(q.Results(ctx, f.job, f.partial))
	if j.Task == queue.Features {
		err = f.writeFeatures(ctx, j, rows)
	} else {
		err = f.writeResults(ctx, c, j, rows)
	}
	if err != nil {
		return err
	}
	where := ""
	if f.out != "" {
		where = "wrote " + escape(f.out) + ": "
	}
	say(c, "%s%s, and %s with an error", where, count(t.results, "result"), count(t.dead, "picture"))
	if f.partial {
		s, err := q.Status(ctx, f.job)
		if err == nil && s.Left() > 0 {
			say(c, "the job is not complete: %s left", count(s.Left(), "picture"))
		}
	}
	return nil
}

// getTally counts rows.
type getTally struct{ results, dead int }

// count counts rows on their way.
func (t *getTally) count(rows iter.Seq2[queue.Row, error]) iter.Seq2[queue.Row, error] {
	return func(yield func(queue.Row, error) bool) {
		for row, err := range rows {
			switch {
			case err != nil:
			case row.Failure != nil:
				t.dead++
			default:
				t.results++
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// writeResults writes rows as JSON lines or in the format of the file's ending.
func (f *queueGetFlags) writeResults(ctx context.Context, c *cobra.Command, j queue.Job,
	rows iter.Seq2[queue.Row, error]) (err error) {
	format := results.NewLines
	var file results.File = standardFile{c.OutOrStdout()}
	if f.out != "" {
		if format, err = results.FormatOf(f.out); err != nil {
			return err
		}
		s := store.New(store.Default())
		defer s.Close()
		if file, err = s.Create(ctx, f.out); err != nil {
			return err
		}
	}
	options := results.Options{Kind: results.KindAnswers, Model: results.Model{Name: j.Model, Digest: j.Digest}}
	if j.Task == queue.Embed {
		options.Kind = results.KindEmbeddings
	}
	w, err := format(file, options)
	if err != nil {
		return errors.Join(err, file.Abort())
	}
	for row, err := range rows {
		var r results.Row
		if err == nil {
			r, err = row.Result()
		}
		if err == nil {
			err = w.Write(r)
		}
		if err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	return w.Close()
}

// standardFile is standard output as a file, of which nothing can be taken back.
type standardFile struct{ io.Writer }

// Close implements results.File.
func (standardFile) Close() error { return nil }

// Abort implements results.File.
func (standardFile) Abort() error { return nil }

// writeFeatures writes a file of features.
func (f *queueGetFlags) writeFeatures(ctx context.Context, j queue.Job, rows iter.Seq2[queue.Row, error]) error {
	if !strings.HasSuffix(f.out, ".safetensors") || store.IsURL(f.out) {
		return errors.New("--out: features go to a file of this machine whose name ends in .safetensors")
	}
	var meta features.Meta
	if err := json.Unmarshal(j.Key, &meta.Key); err != nil {
		return fmt.Errorf("job %s does not describe its features: %w", j.Name, err)
	}
	var w *features.Writer
	for row, err := range rows {
		if err != nil {
			if w != nil {
				w.Discard()
			}
			return err
		}
		if row.Failure != nil {
			continue
		}
		if w == nil {
			meta.Columns = len(row.Vector)
			if meta.Columns == 0 {
				return fmt.Errorf("%s: the row of the queue has no features", row.Picture)
			}
			w = features.Create(f.out, meta)
			defer w.Discard()
		}
		var digest features.Digest
		n, err := hex.Decode(digest[:], []byte(row.SHA256))
		if err != nil || n != len(digest) || len(row.Vector) != meta.Columns {
			return fmt.Errorf("%s: the row of the queue is damaged", row.Picture)
		}
		if err := w.Add(digest, row.Vector); err != nil {
			return err
		}
	}
	if w == nil {
		return fmt.Errorf("%s was not written: no picture could be read", f.out)
	}
	_, err := w.Close(ctx)
	return err
}
