package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/tensor"
)

// soup is the work of garb average.
type soup struct {
	command       *cobra.Command
	pictures      evaluationData
	unknown       unknownClasses
	out           string
	greedy        bool
	backbonesOnly bool         // the backbones alone
	set           *dataset.Set // validation; nil without --data
	tally         *dataset.Tally
	used          int
}

func newAverageCommand() *cobra.Command {
	s := &soup{pictures: newEvaluationData()}
	command := &cobra.Command{
		Use:   "average MODEL MODEL... --out FILE [flags]",
		Short: "Make one model of several: the mean of their weights",
		Long: `Write the model whose weights are the mean of those of several models, which is as
fast as one of them and often better than each ("model soups"). It is of use for models
that were fine-tuned from the same weights with other seeds or settings. They must have
one network, the same classes and the same preprocessing.

With --data, the temperature is fitted on its validation pictures and the mean's accuracy
is printed. --greedy begins with the model that is best on them, and adds each of the
others, the best first, only if the accuracy of the mean does not fall.

The mean does not say whether a picture shows any of its classes, even if its models do:
that was measured of each of them, and not of the mean. Nor does it keep prediction sets.

With --backbones, the models' backbones alone are averaged, and FILE holds weights to train
heads on (garb train --backbone FILE): then the models may have other classes.`,
		Example: `  garb average runs/seed1 runs/seed2 runs/seed3 --out mean.safetensors
  garb average runs/seed1 runs/seed2 runs/seed3 --data pictures --greedy --out soup.safetensors
  garb average runs/home runs/street --backbones --out backbone.safetensors
  garb train --backbone backbone.safetensors --data pictures
  garb evaluate --model soup.safetensors --data pictures/test`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return fmt.Errorf("average needs at least two models, not %d", len(args))
			case s.out == "":
				return errors.New("average needs --out: the file to write")
			case s.backbonesOnly && (s.greedy || s.pictures.data != ""):
				return errors.New("--backbones makes no model that could be measured: omit --data and --greedy")
			case s.greedy && s.pictures.data == "":
				return errors.New("--greedy chooses by validation pictures: give --data")
			case s.pictures.data == "" && s.pictures.split != "":
				return errors.New("--split is of a data set: give --data")
			case s.pictures.data != "":
				return s.pictures.validate("average")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return s.run(c, args) },
	}
	s.pictures.addFlags(command)
	command.Flags().Lookup("split").Usage = "pictures to choose and to fit by: validation, test or all (default " +
		"validation)"
	s.unknown.addFlags(command)
	command.Flags().StringVar(&s.out, "out", "", "file to write, a .safetensors")
	command.Flags().BoolVar(&s.backbonesOnly, "backbones", false, "average the backbones alone, as weights to train on")
	command.Flags().BoolVar(&s.greedy, "greedy", false, "leave out models that make the mean worse on validation")
	return command
}

func (s *soup) run(c *cobra.Command, models []string) error {
	s.command = c
	if _, err := os.Stat(s.out); err == nil {
		return fmt.Errorf("%s exists: remove it, or choose another file with --out", s.out)
	}
	if s.backbonesOnly {
		return s.writeBackbone(models)
	}
	if _, err := model.Average(c.Context(), models...); err != nil { // before anything takes long
		return err
	}
	var dropped, sets []string
	var opened []*model.Classifier
	for _, name := range models {
		m, err := model.Open(name, model.Options{Threads: 1})
		if err == nil {
			err = requireSingleLabel(m)
		}
		if err != nil {
			return err
		}
		if m.Description().Acceptance != nil {
			dropped = append(dropped, name)
		}
		if m.Description().Coverage != nil {
			sets = append(sets, name)
		}
		opened = append(opened, m)
	}
	if s.pictures.data != "" {
		if err := s.openData(opened); err != nil {
			return err
		}
	}
	if s.greedy {
		var err error
		if models, err = s.choose(models, opened); err != nil {
			return err
		}
	}
	if err := s.write(models); err != nil {
		return err
	}
	if len(dropped) > 0 {
		say(c, "the acceptance of %s is not kept: whether a picture shows any of the classes was not measured of "+
			"the mean",
			strings.Join(dropped, ", "))
	}
	if len(sets) > 0 {
		say(c, "the prediction sets of %s are not kept: they were fitted to single models", strings.Join(sets, ", "))
	}
	if s.tally == nil {
		return nil
	}
	printSkips(c, s.tally)
	return s.pictures.close(c, s.used, s.tally)
}

// writeBackbone writes the mean of the models' backbones.
func (s *soup) writeBackbone(models []string) error {
	architecture, mean, err := model.AverageBackbones(models...)
	if err != nil {
		return err
	}
	if err := tensor.WriteFile(s.out, map[string]string{}, mean, tensor.Float32); err != nil {
		return err
	}
	fmt.Fprintf(openTextOut(s.command), "mean      of the backbones of %s: %s\nwrote     %s\n",
		count(len(models), "model"),
		architecture, s.out)
	return nil
}

// openData reads the pictures to choose and to fit by.
func (s *soup) openData(models []*model.Classifier) error {
	if s.pictures.split == "" {
		s.pictures.split = dataset.Validation
	}
	set, _, tally, err := s.pictures.open(s.command, models...)
	if err != nil {
		return err
	}
	sets, mappings, err := s.unknown.mapClasses(s.command, set, models[0])
	if err != nil {
		return err
	}
	tallyIgnored(tally, set, mappings[0])
	s.set, s.tally = sets[0], tally
	return nil
}

// measure answers the pictures of s.set.
func (s *soup) measure(classifier *model.Classifier) (*evaluate.Report, error) {
	bar := newCounter(s.command, "pictures", len(s.set.Samples))
	r, err := evaluate.Run(s.command.Context(), classifier, s.set, classifier.Limits(), bar.add)
	bar.finish()
	if err == nil && r.Count == 0 {
		err = fmt.Errorf("%s: none of the pictures could be read, so nothing was measured", s.pictures.data)
	}
	return r, err
}

// choose returns the models of the greedy soup (Wortsman et al. 2022, recipe 1), the best
// one first.
func (s *soup) choose(models []string, opened []*model.Classifier) ([]string, error) {
	type candidate struct {
		name     string
		accuracy float64
	}
	var all []candidate
	for i, m := range opened {
		r, err := s.measure(m)
		if err != nil {
			return nil, err
		}
		all = append(all, candidate{models[i], r.Accuracy})
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		switch {
		case a.accuracy > b.accuracy:
			return -1
		case a.accuracy < b.accuracy:
			return 1
		}
		return 0
	})
	out := openTextOut(s.command)
	chosen, best := []string{all[0].name}, all[0].accuracy
	fmt.Fprintf(out, "%.4f  %s\n", best, all[0].name)
	for _, c := range all[1:] {
		r, err := s.tryAverage(append(slices.Clone(chosen), c.name))
		if err != nil {
			return nil, err
		}
		verdict := "left out"
		if r.Accuracy >= best {
			chosen, best, verdict = append(chosen, c.name), r.Accuracy, "added"
		}
		fmt.Fprintf(out, "%.4f  with %s (alone %.4f): %s\n", r.Accuracy, c.name, c.accuracy, verdict)
	}
	return chosen, nil
}

// tryAverage measures the mean of some models.
func (s *soup) tryAverage(models []string) (*evaluate.Report, error) {
	m, err := model.Average(s.command.Context(), models...)
	if err != nil {
		return nil, err
	}
	return s.measureSaved(m)
}

// measureSaved measures a model as anybody would open it, from a file that it removes again.
func (s *soup) measureSaved(m *model.Model) (*evaluate.Report, error) {
	folder, err := os.MkdirTemp(filepath.Dir(s.out), ".garb-average-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "mean.safetensors")
	if err := m.Save(path, tensor.Float32); err != nil {
		return nil, err
	}
	classifier, err := model.Open(path, model.Options{Threads: 1})
	if err != nil {
		return nil, err
	}
	return s.measure(classifier)
}

// write writes the mean of some models, fitted if there is something to fit it by.
func (s *soup) write(models []string) error {
	out := openTextOut(s.command)
	if len(models) == 1 {
		return fmt.Errorf("no mean is as good on %s as %s alone: use that", s.pictures.data, models[0])
	}
	m, err := model.Average(s.command.Context(), models...)
	if err != nil {
		return err
	}
	if s.set != nil {
		r, err := s.measureSaved(m)
		if err != nil {
			return err
		}
		fitTemperature(m, r)
		tallySkipped(s.tally, r.Skipped)
		s.used = r.Count
		fmt.Fprintf(out, "accuracy   %.3f of %s (95 %% interval %.3f to %.3f)\n", r.Accuracy,
			count(r.Count, "picture"),
			r.Interval[0], r.Interval[1])
	}
	if err := m.Save(s.out, tensor.Float32); err != nil {
		return err
	}
	fitted := "the mean of theirs, not fitted: --data does that"
	if s.set != nil {
		fitted = "fitted"
	}
	fmt.Fprintf(out, "model      %s, the mean of %s, temperature %.3f (%s)\n", s.out, count(len(models), "model"),
		m.Temperature, fitted)
	return nil
}

// fitTemperature fits a model's temperature to what it said of pictures.
func fitTemperature(m *model.Model, r *evaluate.Report) {
	var logits [][]float32
	var labels []int
	for _, a := range r.Answers {
		row := make([]float32, len(m.Classes))
		for _, p := range a.Predictions {
			row[slices.Index(m.Classes, p.Class)] = p.Logit
		}
		logits, labels = append(logits, row), append(labels, slices.Index(m.Classes, a.Class))
	}
	m.Temperature = evaluate.Temperature(logits, labels)
}
