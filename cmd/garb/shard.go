package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/dataset"
	"garb/internal/safefile"
	"garb/shard"
)

// jobIndex is the variable with the index of a pod of a Kubernetes Indexed Job.
const jobIndex = "JOB_COMPLETION_INDEX"

// Flags of commands whose output may be a part of a whole.
const (
	outFlag   = "out"
	shardFlag = "shard"
)

// shardHelp explains --shard, in the help of commands that have it.
const shardHelp = `--shard I/N divides the pictures between N machines and takes range I of them, from 0 to
N-1. --shard N alone takes I from JOB_COMPLETION_INDEX, which Kubernetes sets in the pods of
an Indexed Job. Every machine must name the pictures by the same paths. The part is written
to FILE-I-of-N, next to the FILE of --out, once it is complete. garb merge checks the parts
and joins them into FILE. Pictures that cannot be read are counted in the part and do not
fail the command.`

// outputFlags choose where a command writes its result.
type outputFlags struct {
	out   string
	shard shardValue
}

func (o *outputFlags) add(flags *pflag.FlagSet, outUsage string) {
	flags.StringVar(&o.out, outFlag, "", outUsage)
	o.addShard(flags)
}

func (o *outputFlags) addShard(flags *pflag.FlagSet) {
	flags.Var(&o.shard, shardFlag, "compute only shard `I/N`, or shard N alone with I from "+jobIndex+
		", and write it to a part of --out, for garb merge")
}

// validate reports flags that do not go together.
func (o *outputFlags) validate() error {
	if o.shard.isSet() && o.out == "" {
		return errors.New("--shard requires --out: the part is written to FILE-I-of-N, for the FILE of --out")
	}
	return nil
}

// name returns the path that is written: --out, or the shard's part of it.
func (o *outputFlags) name() string {
	if o.shard.isSet() {
		return o.shard.FileName(o.out)
	}
	return o.out
}

// shardValue is the value of --shard.
type shardValue struct{ shard.Shard }

func (v *shardValue) isSet() bool { return v.Count > 0 }

// Set implements pflag.Value.
func (v *shardValue) Set(text string) (err error) {
	v.Shard, err = shard.Parse(text, os.Getenv(jobIndex))
	return err
}

// Type implements pflag.Value.
func (v *shardValue) Type() string { return "shard" }

// String implements pflag.Value.
func (v *shardValue) String() string {
	if !v.isSet() {
		return ""
	}
	return v.Shard.String()
}

// collectSettings returns the flags of a command that were given and change what it writes. Those
// named by ignored do not.
func collectSettings(c *cobra.Command, ignored ...string) map[string][]string {
	settings := map[string][]string{}
	ignored = append(ignored, quietFlag, verboseFlag, outFlag, shardFlag, strictFlag)
	c.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(ignored, f.Name) {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			settings[f.Name] = slices.Clone(list.GetSlice())
			return
		}
		settings[f.Name] = []string{f.Value.String()}
	})
	return settings
}

// listNames returns the names of sources.
func listNames(all []source) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range all {
			if !yield(s.name) {
				return
			}
		}
	}
}

// take returns the sources of the shard, and the header of its part. Without --shard it returns all
// of them.
func (o *outputFlags) take(c *cobra.Command, all []source, kind, modelDigest string, ignored ...string) (
	[]source, shard.Header) {
	if !o.shard.isSet() {
		return all, shard.Header{}
	}
	h := shard.Header{
		Kind: kind, Shard: o.shard.Shard, List: shard.DigestList(listNames(all)), Total: len(all), Model: modelDigest,
		Settings: collectSettings(c, append(ignored, "model")...),
	}
	from, to := h.Range(len(all))
	say(c, "shard %v: %s of %d", h.Shard, count(to-from, "picture"), len(all))
	return all[from:to], h
}

// relay is a Writer whose target changes.
type relay struct{ io.Writer }

// print writes what a command prints: to standard output, or to the file of --out or, with --shard,
// to its part of that file. begin prepares the printing to a writer, and body prints.
func (o *outputFlags) print(c *cobra.Command, h shard.Header, begin func(w io.Writer) error,
	body func() (shard.End, error)) error {
	to := &relay{c.OutOrStdout()}
	if o.out == "" {
		if err := begin(to); err != nil {
			return err
		}
		_, err := body()
		return err
	}
	var prefix bytes.Buffer
	to.Writer = &prefix
	if err := begin(to); err != nil {
		return err
	}
	var err error
	if o.shard.isSet() {
		h.Prefix = prefix.Bytes()
		err = shard.Write(o.name(), h, func(w io.Writer) (shard.End, error) {
			to.Writer = w
			return body()
		})
	} else {
		err = safefile.Write(o.out, func(w io.Writer) error {
			_, writeErr := prefix.WriteTo(w)
			to.Writer = w
			_, bodyErr := body()
			return errors.Join(writeErr, bodyErr)
		})
	}
	if err != nil {
		return fmt.Errorf("%s was not written: %w", o.name(), err)
	}
	say(c, "wrote %s", escape(o.name()))
	return nil
}

// newCounter starts a counter of pictures whose answers go to a file. Answers that are printed show by
// themselves how far the command is; then the counter shows nothing.
func (o *outputFlags) newCounter(c *cobra.Command, total int) *counter {
	if o.out == "" || total < 2 {
		return &counter{out: io.Discard, total: total}
	}
	return newCounter(c, "pictures", total)
}

// close ends a command that has read pictures, as closeSources does. Pictures that cannot be read do
// not fail a shard: its part names them, and a Job that ran it again would find them again.
func (o *outputFlags) close(c *cobra.Command, all []source, failures int, tally *dataset.Tally) error {
	if !o.shard.isSet() {
		return closeSources(c, all, failures, tally)
	}
	say(c, "%s", tally.Summary(len(all)-failures))
	if isSet(c, strictFlag) {
		return tally.Strict()
	}
	return nil
}
