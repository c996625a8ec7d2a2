//go:build !small

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"garb/queue"
)

const queueStatusHelp = `Show how far jobs are: how many pictures were put, how many are done, dead, in flight (with
workers now) and left, and at the current rate, the remaining time. Without --job, all
jobs are shown.

--dead lists the dead letters of a job with their errors. --json prints one JSON object
per job, or per dead letter, in a line.`

const queueStatusExamples = `  garb queue status
  garb queue status --job shop --watch
  garb queue status --job shop --json | jq .done
  garb queue status --job shop --dead`

// queueStatusFlags holds the flags of queue status.
type queueStatusFlags struct {
	queueFlags
	dead, watch, asJSON bool
}

func newQueueStatusCommand() *cobra.Command {
	var f queueStatusFlags
	command := &cobra.Command{
		Use:     "status [flags]",
		Short:   "Show how far jobs are",
		Long:    queueStatusHelp,
		Example: queueStatusExamples,
		Args: func(c *cobra.Command, args []string) error {
			if f.dead && f.watch {
				return errors.New("--dead and --watch exclude each other")
			}
			return errors.Join(refuseArguments(c, args), f.validate(c))
		},
		RunE: func(c *cobra.Command, _ []string) error {
			f.options.Existing = true
			return f.run(c, func(ctx context.Context, q *queue.Queue) error {
				if f.dead {
					return f.printDead(ctx, c, q)
				}
				return f.printStatus(ctx, c, q)
			})
		},
	}
	flags := command.Flags()
	f.add(flags)
	flags.BoolVar(&f.dead, "dead", false, "list the dead letters of the job, with their errors")
	flags.BoolVar(&f.watch, "watch", false, "print the status every two seconds, until the jobs are complete")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object per line")
	return command
}

// watchInterval is the time between two lines of --watch.
const watchInterval = 2 * time.Second

func (f *queueStatusFlags) printStatus(ctx context.Context, c *cobra.Command, q *queue.Queue) error {
	names := []string{f.job}
	if !c.Flags().Changed("job") {
		var err error
		if names, err = q.Jobs(ctx); err != nil {
			return err
		}
		if len(names) == 0 {
			say(c, "the queue has no jobs; start one with garb queue put")
		}
	}
	var watchers []*queue.Watcher
	for _, name := range names {
		w, err := q.Watch(ctx, name)
		if err != nil {
			return err
		}
		watchers = append(watchers, w)
	}
	for {
		left := 0
		for _, w := range watchers {
			s, err := w.Status(ctx)
			if err != nil {
				return err
			}
			left += s.Left()
			if err := f.print(c.OutOrStdout(), s); err != nil {
				return err
			}
		}
		if !f.watch || left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchInterval):
		}
	}
}

// statusLine is a line of queue status --json.
type statusLine struct {
	queue.Status
	Left int `json:"left"`
}

// print prints a status: as JSON, on one line with --watch, otherwise as a table.
func (f *queueStatusFlags) print(out io.Writer, s queue.Status) error {
	remaining := "unknown"
	if s.Left() == 0 {
		remaining = "0s"
	} else if s.Rate > 0 {
		remaining = (time.Duration(s.Remaining) * time.Second).String()
	}
	var err error
	switch {
	case f.asJSON:
		return json.NewEncoder(out).Encode(statusLine{s, s.Left()})
	case f.watch:
		_, err = fmt.Fprintf(out,
			"%s: %d put, %d done, %d dead, %d in flight, %d left, %.1f pictures/s, remaining %s\n",
			s.Job.Name, s.Put, s.Done, s.Dead, s.InFlight, s.Left(), s.Rate, remaining)
	default:
		_, err = fmt.Fprintf(out,
			"job %s: %s with %s (%.19s)\n  put        %10d\n  done       %10d\n  dead       %10d\n"+
				"  in flight  %10d\n  left       %10d\n  rate       %10.1f pictures/s\n  remaining  %10s\n",
			s.Job.Name, s.Job.Task, escape(s.Job.Model), s.Job.Digest, s.Put, s.Done, s.Dead, s.InFlight,
			s.Left(), s.Rate, remaining)
	}
	return err
}

func (f *queueStatusFlags) printDead(ctx context.Context, c *cobra.Command, q *queue.Queue) error {
	out := c.OutOrStdout()
	for row, err := range q.Dead(ctx, f.job) {
		if err != nil {
			return err
		}
		if f.asJSON {
			r, err := row.Result()
			if err == nil {
				err = json.NewEncoder(out).Encode(r)
			}
			if err != nil {
				return err
			}
			continue
		}
		_, err := fmt.Fprintf(out, "%s: %s (%s)\n", escape(row.Picture), escape(row.Failure.Message), row.Failure.Kind)
		if err != nil {
			return err
		}
	}
	return nil
}
