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
	"garb/picture"
	"garb/tensor"
)

// soup holds the flags and the state of garb average.
type soup struct {
	command       *cobra.Command
	pictures      evaluationData
	unknown       unknownClasses
	out           string
	greedy        bool
	backbonesOnly bool
	set           *dataset.Set // validation; nil without --data
	tally         *dataset.Tally
	used          int
}

const averageHelp = `Average the weights of several models ("model soup"). The result is as fast as one of them
and often more accurate than each. It works for models that were fine-tuned from the same
weights with different seeds or settings. They must have the same network, classes and
preprocessing.

With --data, garb fits the temperature on the validation pictures and prints the accuracy.
--greedy starts with the model that is most accurate on them, and adds each of the others,
best first, only if the accuracy of the average does not drop.

The average never refuses pictures, even if the models do, because their acceptance was
measured for each model and not for the average. It has no prediction sets either.

--backbones averages only the backbones, and FILE then holds weights to train heads on
(garb train --backbone FILE). In this case the models may have different classes.`

const averageExamples = `  garb average runs/seed1 runs/seed2 runs/seed3 --out mean.safetensors
  garb average runs/seed1 runs/seed2 runs/seed3 --data pictures --greedy --out soup.safetensors
  garb average runs/home runs/street --backbones --out backbone.safetensors
  garb train --backbone backbone.safetensors --data pictures
  garb evaluate --model soup.safetensors --data pictures/test`

func newAverageCommand() *cobra.Command {
	s := &soup{pictures: newEvaluationData()}
	command := &cobra.Command{
		Use:     "average MODEL MODEL... --out FILE [flags]",
		Short:   "Average the weights of several models",
		Long:    averageHelp,
		Example: averageExamples,
		Args:    func(_ *cobra.Command, args []string) error { return s.validate(args) },
		RunE:    func(c *cobra.Command, args []string) error { return s.run(c, args) },
	}
	s.pictures.addFlags(command)
	command.Flags().Lookup("split").Usage = "split to choose and fit on: validation, test or all (default validation)"
	s.unknown.addFlags(command)
	command.Flags().StringVar(&s.out, "out", "", "file to write, ending in .safetensors")
	command.Flags().BoolVar(&s.backbonesOnly, "backbones", false, "average only the backbones, as weights to train on")
	command.Flags().BoolVar(&s.greedy, "greedy", false, "leave out models that lower the validation accuracy")
	return command
}

// validate reports arguments and flags that do not go together.
func (s *soup) validate(args []string) error {
	switch {
	case len(args) < 2:
		return fmt.Errorf("average needs at least two models, not %d", len(args))
	case s.out == "":
		return errors.New("average needs --out: the file to write")
	case s.backbonesOnly && (s.greedy || s.pictures.data != ""):
		return errors.New("--backbones makes weights, not a model that could be evaluated: omit --data and --greedy")
	case s.greedy && s.pictures.data == "":
		return errors.New("--greedy needs validation pictures: add --data")
	case s.pictures.data == "" && s.pictures.split != "":
		return errors.New("--split needs a data set: add --data")
	case s.pictures.data != "":
		return s.pictures.validate("average")
	}
	return nil
}

func (s *soup) run(c *cobra.Command, models []string) error {
	s.command = c
	if _, err := os.Stat(s.out); err == nil {
		return fmt.Errorf("%s exists: remove it, or choose another file with --out", s.out)
	}
	if s.backbonesOnly {
		return s.writeBackbone(models)
	}
	if _, err := model.Average(c.Context(), models...); err != nil { // before anything slow
		return err
	}
	opened, err := openAll(models, s.pictures.options.Limits())
	if err != nil {
		return err
	}
	if s.pictures.data != "" {
		if err = s.openData(opened); err != nil {
			return err
		}
	}
	chosen := models
	if s.greedy {
		if chosen, err = s.choose(models, opened); err != nil {
			return err
		}
	}
	if err := s.write(chosen); err != nil {
		return err
	}
	sayDropped(c, models, opened)
	if s.tally == nil {
		return nil
	}
	printSkips(c, s.tally)
	return s.pictures.close(c, s.used, s.tally)
}

// openAll opens models, each of which must choose one class for a picture.
func openAll(names []string, limits picture.Limits) ([]*model.Classifier, error) {
	var all []*model.Classifier
	for _, name := range names {
		m, err := model.Open(name, model.Options{Threads: 1, Limits: limits})
		if err == nil {
			err = requireSingleLabel(m)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// sayDropped prints what the average does not keep of the models.
func sayDropped(c *cobra.Command, names []string, models []*model.Classifier) {
	var acceptances, sets []string
	for i, m := range models {
		if m.Description().Acceptance != nil {
			acceptances = append(acceptances, names[i])
		}
		if m.Description().Coverage != nil {
			sets = append(sets, names[i])
		}
	}
	if len(acceptances) > 0 {
		say(c, "the acceptance of %s is dropped: it was not measured for the average", strings.Join(acceptances, ", "))
	}
	if len(sets) > 0 {
		say(c, "the prediction sets of %s are dropped: they were fitted to single models", strings.Join(sets, ", "))
	}
}

// writeBackbone writes the average of the models' backbones.
func (s *soup) writeBackbone(models []string) error {
	architecture, mean, err := model.AverageBackbones(models...)
	if err != nil {
		return err
	}
	if err := tensor.WriteFile(s.out, map[string]string{}, mean, tensor.Float32); err != nil {
		return err
	}
	fmt.Fprintf(openTextOut(s.command), "average   of the backbones of %s: %s\nwrote     %s\n",
		count(len(models), "model"), architecture, s.out)
	return nil
}

// openData reads the pictures to choose and fit on.
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

// measure evaluates a model on s.set.
func (s *soup) measure(classifier *model.Classifier) (*evaluate.Report, error) {
	bar := newCounter(s.command, "pictures", len(s.set.Samples))
	r, err := evaluate.Run(s.command.Context(), classifier, s.set, classifier.Limits(), bar.add)
	bar.finish()
	if err == nil && r.Count == 0 {
		err = fmt.Errorf("%s: no picture could be read, so nothing was measured", s.pictures.data)
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

// tryAverage measures the average of some models.
func (s *soup) tryAverage(models []string) (*evaluate.Report, error) {
	m, err := model.Average(s.command.Context(), models...)
	if err != nil {
		return nil, err
	}
	return s.measureSaved(m)
}

// measureSaved measures a model as users would open it, from a temporary file.
func (s *soup) measureSaved(m *model.Model) (*evaluate.Report, error) {
	folder, err := os.MkdirTemp(filepath.Dir(s.out), ".garb-average-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "mean.safetensors")
	if err = m.Save(path, tensor.Float32); err != nil {
		return nil, err
	}
	classifier, err := model.Open(path, model.Options{Threads: 1, Limits: s.pictures.options.Limits()})
	if err != nil {
		return nil, err
	}
	return s.measure(classifier)
}

// write writes the average of some models, with a fitted temperature if there is a data set.
func (s *soup) write(models []string) error {
	out := openTextOut(s.command)
	if len(models) == 1 {
		return fmt.Errorf("no average is as accurate on %s as %s alone: use that model", s.pictures.data, models[0])
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
		fmt.Fprintf(out, "accuracy   %.3f on %s (95 %% interval %.3f to %.3f)\n", r.Accuracy,
			count(r.Count, "picture"), r.Interval[0], r.Interval[1])
	}
	if err := m.Save(s.out, tensor.Float32); err != nil {
		return err
	}
	temperature := "the mean of the models' temperatures; --data fits it"
	if s.set != nil {
		temperature = "fitted"
	}
	fmt.Fprintf(out, "model      %s, the average of %s, temperature %.3f (%s)\n", s.out, count(len(models), "model"),
		m.Temperature, temperature)
	return nil
}

// fitTemperature fits a model's temperature to its answers in a report.
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
