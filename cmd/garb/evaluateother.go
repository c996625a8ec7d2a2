package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"garb/conformal"
	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/picture"
)

// otherPictures holds the pictures of evaluate --other, which show none of the classes.
type otherPictures struct {
	folders, paths []string
	whole          *dataset.Set // of the data set
	tally          *dataset.Tally
}

// openOtherPictures lists the pictures of --other. It fails if some of them belong to the
// data set. It returns nil if the flag was not given.
func openOtherPictures(c *cobra.Command, folders []string, data *dataset.Data) (*otherPictures, error) {
	if len(folders) == 0 {
		return nil, nil
	}
	o := &otherPictures{folders: folders, whole: data.All(), tally: &dataset.Tally{}}
	options := addCacheFolder(dataset.Options{})
	own := map[string]bool{}
	for _, s := range o.whole.Samples {
		own[resolveLinks(s.Path)] = true
	}
	seen := map[string]bool{}
	for _, folder := range folders {
		paths, err := o.list(c.Context(), folder, options)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			switch resolved := resolveLinks(path); {
			case own[resolved]:
				return nil, fmt.Errorf("--other %s: it includes pictures of the data set %s, such as %s; "+
					"choose pictures that show none of its classes", folder, data.Path, path)
			case !seen[resolved]:
				seen[resolved] = true
				o.paths = append(o.paths, path)
			}
		}
	}
	return o, nil
}

// list lists the pictures of a folder, archive or table.
func (o *otherPictures) list(ctx context.Context, folder string, options dataset.Options) ([]string, error) {
	paths, err := dataset.PicturesIn(ctx, folder, options, o.tally)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("--other %s: no such folder; check the path", folder)
	case err != nil:
		return nil, fmt.Errorf("--other %s: %w", folder, err)
	case len(paths) == 0:
		return nil, fmt.Errorf("--other %s: it contains no pictures", folder)
	}
	return paths, nil
}

// resolveLinks returns an absolute path without links, or path if it cannot.
func resolveLinks(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// measure adds the model's answers for the other pictures to a report, if there are any.
func (o *otherPictures) measure(c *cobra.Command, model evaluate.Classifier, r *evaluate.Report,
	l picture.Limits) error {
	if o == nil || r.Count == 0 { // evaluate reports an empty report
		return nil
	}
	bar := newCounter(c, "other pictures", len(o.paths))
	err := evaluate.MeasureOthers(c.Context(), model, r, o.folders, o.paths, o.whole, l, bar.add)
	bar.finish()
	if err != nil {
		return fmt.Errorf("--other %s: %w", strings.Join(o.folders, ","), err)
	}
	if r.Acceptance.Measure == evaluate.ByProbability {
		say(c, "warning: the model has no acceptance, so its largest probability is measured instead")
	}
	for _, same := range r.Acceptance.Other.Repeated {
		say(c, "warning: %s is ignored: it is the same picture as %s in the data set", escape(same.Picture),
			escape(same.Same))
	}
	return nil
}

// tallySkipped adds to a tally the other pictures that could not be read.
func (o *otherPictures) tallySkipped(tally *dataset.Tally, r *evaluate.Report) {
	if o == nil || r.Acceptance == nil || r.Acceptance.Other == nil {
		return
	}
	tally.Merge(o.tally)
	tallySkipped(tally, r.Acceptance.Other.Skipped)
}

// openFitSet returns the pictures that --coverage fits prediction sets on: the validation
// split, which must not be measured. It returns nil if the flag was not given.
func openFitSet(m *evaluationData, classifier *model.Classifier, split string, coverage float64) (*dataset.Set, error) {
	if coverage == 0 {
		return nil, nil
	}
	if split != dataset.Test {
		return nil, fmt.Errorf("--coverage %v fits prediction sets on the validation split, so it cannot evaluate "+
			"them there: use --split test", coverage)
	}
	record, err := readDataRecord(classifier)
	if err != nil {
		return nil, err
	}
	set, err := m.selectSplit(m.whole, dataset.Validation, []dataRecord{record})
	if err != nil {
		return nil, fmt.Errorf("--coverage %v needs a validation split to fit on: %w", coverage, err)
	}
	return set, nil
}

// measureSets evaluates prediction sets: those fitted on fit, or the model's own if fit is
// nil. It returns nil if the model has none, or if they were fitted on all of the report's
// pictures.
func measureSets(c *cobra.Command, shown evaluate.Classifier, classifier *model.Classifier, r *evaluate.Report,
	fit *dataset.Set, unknown unknownClasses, coverage float64) (*evaluate.Sets, error) {
	rule, fittedOn := classifier.Description().Coverage, "the model's validation pictures"
	if fit != nil {
		sets, _, err := unknown.mapClasses(c, fit, classifier)
		if err != nil {
			return nil, err
		}
		answers, err := evaluateWithProgress(c, "validation pictures", shown, sets[0], classifier.Limits())
		if err != nil {
			return nil, err
		}
		if rule, err = evaluate.FitSets(answers, r, coverage); err != nil {
			return nil, fmt.Errorf("--coverage %v: %w", coverage, err)
		}
		fittedOn = "the data set's validation pictures"
	}
	if rule == nil {
		return nil, nil
	}
	sets := evaluate.MeasureSets(r, rule, fittedOn)
	if sets.Count == 0 {
		say(c, "prediction sets were not evaluated: the model's were fitted on all of these pictures; use others")
		return nil, nil
	}
	if sets.LeftOut > 0 {
		say(c, "prediction sets were evaluated without %s that they were fitted on", count(sets.LeftOut, "picture"))
	}
	return sets, nil
}

func formatInterval(interval [2]float64) string {
	return fmt.Sprintf("95 %% interval %.1f to %.1f", 100*interval[0], 100*interval[1])
}

// printAcceptance prints how well a model separates pictures of its classes from others.
func printAcceptance(b *strings.Builder, r *evaluate.Report) {
	a := r.Acceptance
	if a == nil {
		return
	}
	b.WriteString("\nacceptance")
	if a.Measure == evaluate.ByProbability {
		b.WriteString(" (the model has none: measured by the largest probability)")
	}
	b.WriteByte('\n')
	if o := a.Other; o != nil {
		fmt.Fprintf(b, "AUROC               %.3f against %s (95 %% interval %.3f to %.3f)\n", o.AUROC,
			count(o.Count, "other picture"), o.AUROCInterval[0], o.AUROCInterval[1])
	}
	point := func(name string, p *evaluate.Operating) {
		if p == nil {
			return
		}
		fmt.Fprintf(b, "%s, %.4f\n", name, p.Threshold)
		fmt.Fprintf(b, "  accepted          %.1f %% of %s (%s)\n", 100*p.Accepted.Share,
			count(p.Accepted.Of, "picture"), formatInterval(p.Accepted.Interval))
		if f := p.FalseAccepts; f != nil {
			fmt.Fprintf(b, "  false accepts     %.1f %% of %s (%s)\n", 100*f.Share, count(f.Of, "other picture"),
				formatInterval(f.Interval))
		}
		fmt.Fprintf(b, "  accuracy          %.1f %% of the accepted (%s), ECE %.3f\n", 100*p.Accuracy,
			formatInterval(p.AccuracyInterval), p.ECE)
	}
	point("at the model's threshold", a.Own)
	point("at the threshold that accepts 95 %", a.At95)
	fmt.Fprintf(b, "risk-coverage curve area %.4f", a.Risk.Area)
	if a.Other != nil {
		fmt.Fprintf(b, ", %.4f with the other pictures", a.Other.Risk.Area)
	}
	b.WriteByte('\n')
}

// printSets prints the evaluation of prediction sets.
func printSets(b *strings.Builder, r *evaluate.Report, pad func(string) string) {
	s := r.Sets
	if s == nil {
		return
	}
	fmt.Fprintf(b, "\nprediction sets with coverage %v, fitted on %s\n", s.Rule.Coverage, s.FittedOn)
	fmt.Fprintf(b, "coverage   %.1f %% of %s (%s)\n", 100*s.Coverage, count(s.Count, "picture"),
		formatInterval(s.Interval))
	fmt.Fprintf(b, "mean size  %.2f classes (95 %% interval %.2f to %.2f)\n\n", s.MeanSize, s.SizeInterval[0],
		s.SizeInterval[1])
	fmt.Fprintf(b, "%s  coverage      95 %% interval  mean size  pictures\n", pad("class"))
	for _, c := range s.PerClass {
		fmt.Fprintf(b, "%s  %6.1f %%  %5.1f to %5.1f %%  %9.2f  %8d\n", pad(c.Class), 100*c.Coverage,
			100*c.Interval[0], 100*c.Interval[1], c.MeanSize, c.Count)
	}
}

// newNoSetsError returns the error for a model without prediction sets.
func newNoSetsError(classifier *model.Classifier) error {
	return fmt.Errorf("model %s has no prediction sets: train it with --coverage; a coverage of 0.95 needs at least "+
		"%d validation pictures", classifier.Name(), conformal.Needed(0.95))
}
