//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/queue"
)

const queueHelp = `Spread pictures over many processes and machines, and collect the results. put adds
pictures to a job, work computes them, in as many processes as you start, status shows
how far the job is, and get writes the results. Each picture has exactly one result, even
if workers are killed.

The queue is a folder, ./garb-queue by default. All processes on this machine share it;
no server has to be started. For several machines, give all of them the address of a NATS
server with JetStream as --nats, or let one of them listen with --listen.`

const queueExamples = `  garb queue put photos/
  garb queue work               # in several terminals, if you like
  garb queue status --watch
  garb queue get --out results.jsonl

  garb queue put --nats nats://nats:4222 --job shop s3://pictures/2026/
  garb queue work --nats nats://nats:4222 --job shop
  garb queue get --nats nats://nats:4222 --job shop --out s3://results/shop.jsonl`

// defaultJob is the name of the job when --job is not given.
const defaultJob = "default"

// queueTokenVariable is the environment variable with the token of --nats and --listen.
const queueTokenVariable = "GARB_QUEUE_TOKEN"

func newQueueCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "queue",
		Short:   "Spread pictures over many workers",
		Long:    queueHelp,
		Example: queueExamples,
		Args:    refuseArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	command.AddCommand(newQueuePutCommand(), newQueueWorkCommand(), newQueueStatusCommand(), newQueueGetCommand(),
		newQueueDeleteCommand())
	return command
}

// queueFlags say where the queue is and which job is meant.
type queueFlags struct {
	options queue.Options
	job     string
}

func (f *queueFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.options.Dir, "queue", "garb-queue", "folder of the queue")
	flags.StringVar(&f.options.URL, "nats", "",
		"`URL` of a NATS server with JetStream, instead of a folder; "+queueTokenVariable+" may hold its token")
	flags.StringVar(&f.options.Credentials, "nats-creds", "", "`FILE` with the credentials of a NATS user")
	flags.StringVar(&f.options.Listen, "listen", "",
		"`ADDRESS` such as 0.0.0.0:4222, at which the folder's server also accepts other machines; they need "+
			"the token in "+queueTokenVariable)
	flags.StringVar(&f.job, "job", defaultJob, "name of the job: letters, digits, - and _")
}

// open opens the queue.
func (f *queueFlags) open(c *cobra.Command) (*queue.Queue, error) {
	o := f.options
	if o.URL != "" && !c.Flags().Changed("queue") {
		o.Dir = ""
	}
	if o.Dir == "" {
		o.Existing = false
	}
	if o.URL != "" || o.Listen != "" {
		o.Token = os.Getenv(queueTokenVariable)
	}
	o.Warn = func(err error) { fmt.Fprintf(escapingWriter{c.ErrOrStderr()}, "garb: warning: %v\n", err) }
	q, err := queue.Open(c.Context(), o)
	if err != nil {
		return nil, hintQueue(err)
	}
	if address := q.Address(); address != "" {
		say(c, "other machines reach this queue with --nats %s", address)
	}
	return q, nil
}

// run opens the queue and calls use.
func (f *queueFlags) run(c *cobra.Command, use func(context.Context, *queue.Queue) error) error {
	q, err := f.open(c)
	if err != nil {
		return err
	}
	err = use(c.Context(), q)
	if closeErr := q.Close(); err == nil {
		err = closeErr
	}
	return hintQueue(err)
}

// validate reports flags that do not go together.
func (f *queueFlags) validate(c *cobra.Command) error {
	if f.options.URL != "" && (c.Flags().Changed("queue") || f.options.Listen != "") {
		return errors.New("--nats and --queue or --listen exclude each other")
	}
	if f.options.URL == "" && f.options.Credentials != "" {
		return errors.New("--nats-creds requires --nats")
	}
	if f.options.Listen != "" && os.Getenv(queueTokenVariable) == "" {
		return errors.New("--listen requires a token that other machines show: set " + queueTokenVariable)
	}
	return nil
}

// hintQueue adds what the person at the terminal can do about an error of package queue.
func hintQueue(err error) error {
	var none *queue.NoQueueError
	var unknown *queue.UnknownJobError
	var exists *queue.JobExistsError
	var incomplete *queue.IncompleteError
	var digest *queue.DigestError
	hint := ""
	switch {
	case errors.As(err, &none):
		hint = "see --queue, or start one with garb queue put"
	case errors.As(err, &unknown):
		hint = "choose one with --job, or start one with garb queue put"
	case errors.As(err, &exists):
		hint = "see --job and garb queue delete"
	case errors.As(err, &incomplete):
		hint = "run garb queue work, or get what there is with --partial"
	case errors.As(err, &digest):
		hint = "see --model"
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, hint)
}

func newQueueDeleteCommand() *cobra.Command {
	var f queueFlags
	command := &cobra.Command{
		Use:     "delete --job NAME",
		Short:   "Delete a job with its results",
		Long:    "Delete a job with its list of pictures and its results. The pictures themselves stay.",
		Example: "  garb queue delete --job shop",
		Args: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("job") {
				return errors.New("delete needs --job: the job to delete")
			}
			return errors.Join(refuseArguments(c, args), f.validate(c))
		},
		RunE: func(c *cobra.Command, _ []string) error {
			f.options.Existing = true
			return f.run(c, func(ctx context.Context, q *queue.Queue) error {
				if err := q.Delete(ctx, f.job); err != nil {
					return err
				}
				say(c, "deleted job %s", f.job)
				return nil
			})
		},
	}
	f.add(command.Flags())
	return command
}
