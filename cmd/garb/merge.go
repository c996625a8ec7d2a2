package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/features"
	"garb/internal/safefile"
	"garb/shard"
)

const mergeHelp = `Join the parts that several machines wrote with --shard. The result is, byte for byte, what
one machine would have written: JSON lines, a table, text, an array with its table of names,
a file of features, or an evaluation. garb merge recognizes which by the content.

All parts must be there, each once, and complete. They must have been computed by the same
model with the same settings, for the same list of pictures. Otherwise garb names the parts
that are wrong or missing, and writes nothing.

Parts of garb evaluate are evaluated here, with their settings. This needs the model and the
data set at the same paths, but classifies no picture. Only "seconds" differs: it is the sum
over all machines.

Files of features can also be merged if they are not shards of one job, such as those of a
queue. They need the same backbone, preprocessing and limits. A picture may be in several
files, with the same vector.

Without --out, what is text is printed.`

const mergeExamples = `  garb merge 'answers.jsonl-*-of-00010' --out answers.jsonl
  garb merge parts/features.npy-*-of-00003 --out features.npy
  garb merge 'report.json-*-of-00010' --out report.json --html report.html --predictions answers.csv
  garb merge 'features.safetensors-*-of-00100' --out features.safetensors`

// mergeFlags holds the flags of merge.
type mergeFlags struct {
	out         string
	page, table string
}

func newMergeCommand() *cobra.Command {
	var f mergeFlags
	command := &cobra.Command{
		Use:     "merge PART... --out FILE",
		Short:   "Join the parts that several machines computed",
		Long:    mergeHelp,
		Example: mergeExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("merge needs the parts that garb wrote with --shard")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	flags := command.Flags()
	flags.StringVar(&f.out, outFlag, "", "`FILE` to write (default standard output, for text)")
	flags.StringVar(&f.page, "html", "", "for an evaluation: write a report to this file")
	flags.StringVar(&f.table, "predictions", "",
		"for an evaluation: write the predictions to this CSV file, with a column for each class")
	return command
}

// write writes to --out, or to standard output.
func (f mergeFlags) write(c *cobra.Command, use func(w io.Writer) error) error {
	if f.out == "" {
		return use(c.OutOrStdout())
	}
	if err := safefile.Write(f.out, use); err != nil {
		return fmt.Errorf("%s was not written: %w", f.out, err)
	}
	say(c, "wrote %s", escape(f.out))
	return nil
}

func (f mergeFlags) run(c *cobra.Command, args []string) error {
	paths, err := f.findParts(args)
	if err != nil {
		return err
	}
	isPart, err := shard.IsPart(paths[0])
	if err != nil {
		return err
	}
	if !isPart {
		if err = refuseOthers(paths); err != nil {
			return err
		}
		if f.page != "" || f.table != "" {
			return fmt.Errorf("--html and --predictions are for parts of an evaluation, unlike %s", paths[0])
		}
		return f.mergeFeatures(c, paths)
	}
	parts, err := openParts(paths)
	if err != nil {
		return err
	}
	kind := parts[0].Kind
	if kind != evaluateKind && (f.page != "" || f.table != "") {
		return fmt.Errorf("--html and --predictions are for parts of an evaluation, not of %s", kind)
	}
	rows, failed := 0, 0
	for _, p := range parts {
		rows, failed = rows+p.Rows, failed+p.Failed
	}
	switch {
	case kind == evaluateKind:
		return mergeEvaluation(c, parts, f)
	case strings.HasPrefix(kind, "embed vectors"):
		if f.out == "" {
			return errors.New("merge needs --out: the .npy file to write")
		}
		if err = mergeVectors(c, parts, f.out); err == nil {
			say(c, "wrote %s and %s", escape(f.out), escape(namePicturesFile(f.out)))
		}
	default:
		err = f.join(c, parts)
	}
	if err != nil {
		return err
	}
	say(c, "merged %s: %s, and %d that could not be read", count(len(parts), "part"), count(rows, "picture"), failed)
	return nil
}

// findParts returns the files that the arguments name, each once.
func (f mergeFlags) findParts(args []string) ([]string, error) {
	var paths []string
	for _, s := range expand(args) {
		if s.err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, s.err)
		}
		if filepath.Clean(s.name) == filepath.Clean(f.out) {
			return nil, fmt.Errorf("--out %s is also a part", f.out)
		}
		paths = append(paths, s.name)
	}
	return paths, nil
}

// openParts opens the parts of one whole, and returns them in order.
func openParts(paths []string) ([]*shard.Part, error) {
	var parts []*shard.Part
	var headers []shard.Header
	for _, path := range paths {
		p, err := shard.Open(path)
		if err != nil {
			return nil, err
		}
		parts, headers = append(parts, p), append(headers, p.Header)
	}
	order, err := shard.Order(headers, paths)
	if err != nil {
		return nil, err
	}
	sorted := make([]*shard.Part, len(order))
	for i, part := range order {
		sorted[i] = parts[part]
	}
	return sorted, nil
}

// join writes the bodies of parts to --out, or to standard output.
func (f mergeFlags) join(c *cobra.Command, parts []*shard.Part) error {
	if f.out == "" { // nothing of what is printed can be taken back
		if err := checkParts(c, parts); err != nil {
			return err
		}
	}
	return f.write(c, func(w io.Writer) error { return joinParts(c, w, parts) })
}

// checkParts checks the bodies of parts.
func checkParts(c *cobra.Command, parts []*shard.Part) error {
	for _, p := range parts {
		if err := errors.Join(c.Context().Err(), p.Check()); err != nil {
			return err
		}
	}
	return nil
}

// joinParts writes the bodies of parts, one after another.
func joinParts(c *cobra.Command, w io.Writer, parts []*shard.Part) error {
	if _, err := w.Write(parts[0].Prefix); err != nil {
		return err
	}
	for _, p := range parts {
		if err := c.Context().Err(); err != nil {
			return err
		}
		err := p.Read(func(r io.Reader) error {
			_, err := io.Copy(w, r)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseOthers reports a file that is neither a part of an output nor a file of features.
func refuseOthers(paths []string) error {
	for _, path := range paths {
		ok, err := features.IsFile(path)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%s is neither a part that a command wrote with --shard nor a file of features", path)
		}
	}
	return nil
}

// mergeFeatures merges files of features.
func (f mergeFlags) mergeFeatures(c *cobra.Command, paths []string) error {
	if f.out == "" {
		return errors.New("merge needs --out: the file of features to write")
	}
	total, err := checkFeatureShards(paths)
	if err != nil {
		return err
	}
	check := newCheckCounter(c, total)
	var bar *counter
	rows, err := features.Merge(c.Context(), f.out, paths, features.MergeProgress{
		Checked: check.add,
		Written: func() {
			if bar == nil {
				check.finish()
				bar = newCounter(c, "vectors", total)
			}
			bar.add(1)
		},
	})
	if bar == nil {
		check.finish()
	} else {
		bar.finish()
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(openTextOut(c), "wrote %s: %s of %s\n", escape(f.out), count(int(rows), "vector"),
		count(len(paths), "part"))
	return nil
}

// checkFeatureShards checks that files of features are the shards of one job, or that none is a
// shard. It returns the number of their vectors.
func checkFeatureShards(paths []string) (int, error) {
	total := 0
	var headers []shard.Header
	for i, path := range paths {
		file, err := features.Open(path)
		if err != nil {
			return 0, err
		}
		part := file.Part
		total += int(file.Rows())
		file.Close()
		if (part != "") != (len(headers) > 0) && i > 0 {
			return 0, fmt.Errorf("of %s and %s, one is a shard and the other is not: merge all shards first", paths[0],
				path)
		}
		if part == "" {
			continue
		}
		h, err := shard.ParseHeader(part)
		if err != nil {
			return 0, &features.FormatError{Path: path, Reason: err.Error()}
		}
		headers = append(headers, h)
	}
	if len(headers) == 0 {
		return total, nil
	}
	_, err := shard.Order(headers, paths)
	return total, err
}
