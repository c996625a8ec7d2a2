package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/answers"
	"garb/dataset"
	"garb/drift"
	"garb/internal/safefile"
	"garb/model"
)

const driftHelp = `Test whether the pictures that a service answers are still like those of a reference data
set. garb classifies the reference with the model that gave the answers, and compares

  - the shares of the classes, by a chi-squared test (effect: Cramér's V, 0 to 1),
  - the acceptances, by a Kolmogorov-Smirnov test (effect: the largest difference between
    the two distribution functions, 0 to 1),
  - the embeddings, by their maximum mean discrepancy (Gretton et al. 2012) with a
    permutation test (effect: the discrepancy, 0 to about 1).

The p-values are adjusted for the number of tests by Holm's method. If nothing has changed,
garb reports drift with a probability of at most --alpha. What the answers or the model do
not have is not tested, and garb says so. A picture that was answered several times counts
once.

The reference should be pictures that the model was not trained on: of a data set with
splits garb takes the test split, of class folders all pictures. The answers must be of one
model, the one that --model names; garb compares the digests.

Exit codes: 0 no drift, 3 drift, 1 an error, 2 wrong flags.`

// driftFlags holds the flags of drift.
type driftFlags struct {
	reference evaluationData
	answers   answerFlags
	model     string
	config    drift.Config
	out       string
	asJSON    bool
}

func newDriftCommand() *cobra.Command {
	f := driftFlags{reference: newEvaluationData(), config: drift.Default()}
	command := &cobra.Command{
		Use:   "drift --reference DATA --answers DIR [flags]",
		Short: "Test whether the pictures of a service have changed",
		Long:  driftHelp,
		Example: `  garb drift --reference pictures --answers answers
  garb drift --reference pictures --answers answers --since 24h --out drift.html
  garb drift --reference pictures --answers answers --model runs/mine --alpha 0.001 --json`,
		Args: func(c *cobra.Command, args []string) error { return f.validate(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := command.Flags()
	flags.StringVar(&f.reference.data, "reference", "",
		"`DATA` set to compare with: a folder, a table or an archive")
	flags.StringVar(&f.reference.split, "split", "",
		"split of the reference: validation, test or all (default test, or all for a folder of class folders)")
	f.reference.add(command)
	f.answers.add(command)
	addModelFlag(flags, &f.model)
	flags.Float64Var(&f.config.Alpha, "alpha", f.config.Alpha,
		"probability of reporting drift although there is none")
	flags.Uint64Var(&f.config.Seed, "seed", f.config.Seed, "random seed; the same seed gives the same result")
	flags.StringVar(&f.out, "out", "", "write a page with charts to `FILE`")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return command
}

// validate reports flags that are missing or do not go together.
func (f *driftFlags) validate(c *cobra.Command, args []string) error {
	if err := refuseArguments(c, args); err != nil {
		return err
	}
	if f.reference.data == "" {
		return errors.New("drift needs --reference: a data set to compare the answers with")
	}
	const smallest = 0.0001 // smaller ones need too many permutations
	if !(f.config.Alpha >= smallest && f.config.Alpha < 1) {
		return fmt.Errorf("--alpha %v: it must be at least %v and below 1", f.config.Alpha, smallest)
	}
	// The smallest p-value that a permutation test can give has to be well below alpha.
	const tests, margin = 3, 3
	f.config.Permutations = max(f.config.Permutations, int(math.Ceil(tests*margin/f.config.Alpha)))
	return errors.Join(f.answers.validate("drift"), f.reference.validate("drift"))
}

func (f *driftFlags) run(c *cobra.Command) error {
	classifier, err := model.Open(f.model, model.Options{Threads: 1, Limits: f.reference.options.Limits()})
	if err != nil {
		return err
	}
	found, err := f.readAnswers(c, classifier.Digest())
	if err != nil {
		return err
	}
	if err = f.checkModels(c, classifier, found); err != nil {
		return err
	}
	if n := found.sample.Count; n < drift.MinCount { // before the reference is classified
		return fmt.Errorf("%s in %s: %w", count(n, "different picture"), f.answers.folder, drift.ErrTooFew)
	}
	reference, tally, err := f.classifyReference(c, classifier)
	if err != nil {
		return err
	}
	for name, s := range map[string]*drift.Sample{"reference": reference, "answers": found.sample} {
		if s.Count > f.config.MaxEmbeddings && len(s.Embeddings) == f.config.MaxEmbeddings {
			detail(c, "embeddings %d of %d of the %s, chosen at random", f.config.MaxEmbeddings, s.Count, name)
		}
	}
	result := &driftResult{Model: classifier.Name(), Digest: classifier.Digest(), Skipped: found.skipped,
		reference: reference, answers: found.sample, folder: f.answers.folder, data: f.reference.data}
	result.Report, err = drift.Compare(c.Context(), reference, found.sample, f.config)
	if errors.Is(err, drift.ErrTooFew) {
		return fmt.Errorf("%s in %s: %w", count(reference.Count, "picture"), f.reference.data, err)
	}
	if err != nil {
		return err
	}
	if f.out != "" {
		err = safefile.Write(f.out, func(w io.Writer) error { return result.writePage(c.Context(), w) })
		if err != nil {
			return err
		}
		say(c, "wrote %s", f.out)
	}
	if f.asJSON {
		err = json.NewEncoder(c.OutOrStdout()).Encode(result)
	} else {
		err = result.print(openTextOut(c))
	}
	if err != nil {
		return err
	}
	printSkips(c, tally)
	if err = f.reference.close(c, reference.Count, tally); err == nil && result.Drift {
		err = errDrift
	}
	return err
}

// driftResult is the result of drift, and its JSON.
type driftResult struct {
	Model  string `json:"model"`
	Digest string `json:"digest"`
	*drift.Report
	Skipped answers.Skipped `json:"skipped_lines"`

	reference, answers *drift.Sample
	folder, data       string
}

// foundAnswers are the answers of a folder.
type foundAnswers struct {
	sample  *drift.Sample // those of the model
	models  map[answers.Model]int
	skipped answers.Skipped
}

// maxDistinct is the number of pictures that are remembered, to count each once.
const maxDistinct = 1_000_000

// readAnswers reads the answers within the bounds of the flags. It samples those of the model with the
// digest.
func (f *driftFlags) readAnswers(c *cobra.Command, digest string) (*foundAnswers, error) {
	found := &foundAnswers{sample: drift.NewSample(f.config, 1), models: map[answers.Model]int{}}
	seen, repeated := map[string]bool{}, 0
	r := f.answers.reader()
	for record, err := range r.Records(c.Context()) {
		if err != nil {
			return nil, fmt.Errorf("--answers: %w", err)
		}
		found.models[answers.Model{Name: record.Model.Name, Digest: record.Model.Digest}]++
		if record.Model.Digest != digest {
			continue
		}
		if key := record.Picture.SHA256; key != "" {
			if seen[key] {
				repeated++
				continue
			}
			if len(seen) < maxDistinct {
				seen[key] = true
			}
		}
		found.sample.Add(record.Class, record.Acceptance,
			drift.Embedding{Vector: record.Embedding, Picture: record.Picture.File})
	}
	found.skipped = r.Skipped()
	saySkippedLines(c, found.skipped)
	if repeated > 0 {
		say(c, "%s to pictures that were answered before: not counted again", count(repeated, "answer"))
	}
	return found, nil
}

// checkModels makes sure that the answers are of the model.
func (f *driftFlags) checkModels(c *cobra.Command, classifier *model.Classifier, found *foundAnswers) error {
	if len(found.models) == 0 {
		return fmt.Errorf("--answers %s: there are no answers, or none in this time", f.answers.folder)
	}
	models := slices.SortedFunc(maps.Keys(found.models), func(a, b answers.Model) int {
		return cmp.Or(cmp.Compare(found.models[b], found.models[a]), strings.Compare(a.Name+a.Digest, b.Name+b.Digest))
	})
	var list []string
	digests, own := map[string]bool{}, 0
	for _, m := range models {
		digests[m.Digest] = true
		if m.Digest == classifier.Digest() {
			own += found.models[m]
		}
		list = append(list, fmt.Sprintf("%s (%s, %s)", m.Name, shortenDigest(m.Digest),
			count(found.models[m], "answer")))
	}
	switch {
	case own == 0:
		return fmt.Errorf("none of the answers is of the model %s (%s). They are of %s; name the model with --model",
			classifier.Name(), shortenDigest(classifier.Digest()), strings.Join(list, ", "))
	case len(digests) > 1 && !c.Flags().Changed("model"):
		return fmt.Errorf("the answers are of several models: %s. Choose one with --model", strings.Join(list, ", "))
	case len(digests) > 1:
		say(c, "only the answers of %s (%s) are compared; there are answers of %s", classifier.Name(),
			shortenDigest(classifier.Digest()), strings.Join(list, ", "))
	}
	return nil
}

// shortenDigest returns the beginning of a digest, for people.
func shortenDigest(digest string) string {
	const shown = len("sha256:") + 12
	return digest[:min(len(digest), shown)]
}

// classifyReference classifies the reference data set.
func (f *driftFlags) classifyReference(c *cobra.Command, classifier *model.Classifier) (*drift.Sample, *dataset.Tally,
	error) {
	set, _, tally, err := f.reference.open(c, classifier)
	if err != nil {
		return nil, nil, err
	}
	sources := make([]source, len(set.Samples))
	for i, s := range set.Samples {
		sources[i].name = s.Path
	}
	sample := drift.NewSample(f.config, 0)
	bar := newCounter(c, "pictures", len(sources))
	defer bar.finish()
	type judged struct {
		embedding []float32
		answer    model.Answer
	}
	err = each(c.Context(), sources, c.InOrStdin(), classifier.Limits(),
		func(ctx context.Context, data []byte) (j judged, err error) {
			if j.embedding, err = classifier.Embed(ctx, data); err != nil {
				return j, err
			}
			row := make([]float32, classifier.OutputCount())
			err = classifier.HeadOutputs(ctx, j.embedding, row)
			j.answer = classifier.Answer(row)
			return j, err
		},
		func(a outcome[judged]) error {
			bar.add(1)
			if a.err != nil {
				tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
				return nil
			}
			var acceptance *float64
			if a.value.answer.Judged {
				acceptance = &a.value.answer.Acceptance
			}
			sample.Add(a.value.answer.Predictions[0].Class, acceptance,
				drift.Embedding{Vector: a.value.embedding, Picture: a.source.name})
			return nil
		})
	return sample, tally, err
}

// shownShares is the number of classes that are printed and shown on a page.
const shownShares = 20

// print prints the tests and the classes whose shares have changed most.
func (r *driftResult) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "reference   %s of %s\nanswers     %d of %s (%s)\n\n", count(r.Reference, "picture"), r.data,
		r.Answers, r.Model, shortenDigest(r.Digest))
	fmt.Fprintf(&b, "%-12s %8s %10s %10s  %s\n", "test", "effect", "p", "adjusted p", "")
	for _, row := range r.rows() {
		if row.Skipped != "" {
			fmt.Fprintf(&b, "%-12s not tested: %s\n", row.Name, row.Skipped)
			continue
		}
		verdict := ""
		if row.Drift {
			verdict = "drift"
		}
		line := fmt.Sprintf("%-12s %8.3f %10s %10s  %s", row.Name, row.Effect, formatP(row.PValue),
			formatP(row.Adjusted), verdict)
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	shown := r.Classes.Shares[:min(len(r.Classes.Shares), shownShares)]
	width := len("class")
	for _, s := range shown {
		width = max(width, len([]rune(escape(s.Class))))
	}
	fmt.Fprintf(&b, "\n%s%s  reference  answers   change\n", "class", strings.Repeat(" ", width-len("class")))
	for _, s := range shown {
		name := escape(s.Class)
		fmt.Fprintf(&b, "%s%s    %5.1f %%  %5.1f %%  %+6.1f\n", name, strings.Repeat(" ", width-len([]rune(name))),
			100*s.Shares[0], 100*s.Shares[1], 100*s.Change())
	}
	if len(r.Classes.Shares) > len(shown) {
		fmt.Fprintf(&b, "… and %d more; --json lists all\n", len(r.Classes.Shares)-len(shown))
	}
	fmt.Fprintf(&b, "\n%s\n", r.Verdict())
	_, err := io.WriteString(w, b.String())
	return err
}

// driftRow is a test with its name.
type driftRow struct {
	Name string
	drift.Test
}

func (r *driftResult) rows() []driftRow {
	return []driftRow{{"classes", r.Classes.Test}, {"acceptance", r.Acceptance}, {"embeddings", r.Embeddings.Test}}
}

// Verdict says in a sentence what the tests found.
func (r *driftResult) Verdict() string {
	var found []string
	for _, row := range r.rows() {
		if row.Drift {
			found = append(found, row.Name)
		}
	}
	if len(found) == 0 {
		return fmt.Sprintf("no drift (alpha %v)", r.Alpha)
	}
	last := len(found) - 1
	names := found[last]
	if last > 0 {
		names = strings.Join(found[:last], ", ") + " and " + names
	}
	return fmt.Sprintf("drift in %s (alpha %v)", names, r.Alpha)
}

// formatP formats a p-value.
func formatP(p float64) string {
	switch {
	case p < 1e-6:
		return "< 0.000001"
	case p < 0.001:
		return fmt.Sprintf("%.6f", p)
	}
	return fmt.Sprintf("%.3f", p)
}

// title returns the title of the page.
func (r *driftResult) title() string { return "Drift of " + filepath.Base(filepath.Clean(r.folder)) }
