package train

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/conformal"
)

// interval is a range of finite numbers. Its bounds belong to it unless they are open.
type interval struct {
	least, most         float64
	openLeast, openMost bool
}

var (
	positive     = interval{0, math.MaxFloat64, true, false}
	notNegative  = interval{0, math.MaxFloat64, false, false}
	atLeastOne   = interval{1, math.MaxFloat64, false, false}
	unit         = interval{0, 1, false, false}
	unitBelowOne = interval{0, 1, false, true}
)

// contains reports whether v is in the interval; NaN is in none.
func (i interval) contains(v float64) bool {
	return (v > i.least || v == i.least && !i.openLeast) && (v < i.most || v == i.most && !i.openMost)
}

// String describes the interval, to follow "must be".
func (i interval) String() string {
	least, most := fmt.Sprintf("at least %g", i.least), fmt.Sprintf(" and at most %g", i.most)
	if i.openLeast {
		least = fmt.Sprintf("above %g", i.least)
	}
	switch {
	case i.most == math.MaxFloat64:
		most = ""
	case i.openMost:
		most = fmt.Sprintf(" and below %g", i.most)
	}
	return least + most
}

// bound is a setting and the values that it may have.
type bound struct {
	setting string
	value   float64
	allowed interval
}

// checkBounds returns an error for the first setting that is out of its bounds.
func checkBounds(bounds ...bound) error {
	for _, b := range bounds {
		if !b.allowed.contains(b.value) {
			return fmt.Errorf("%s %v: must be %v", b.setting, b.value, b.allowed)
		}
	}
	return nil
}

// rule is a relation between settings.
type rule struct {
	broken  bool
	message string
}

// checkRules returns an error for the first broken rule.
func checkRules(rules ...rule) error {
	for _, r := range rules {
		if r.broken {
			return errors.New(r.message)
		}
	}
	return nil
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, check := range []func() error{
		c.validateChoices, c.validateBounds, c.validateRules, c.validateFineTune, c.validateCoverage,
		c.Augment.Validate, c.validateSources, c.validateAcceptance, c.head().Validate, c.Split.Validate,
		c.DataOptions.Validate, c.Preprocessing.Validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateChoices checks the settings that are one of a few.
func (c Config) validateChoices() error {
	for _, s := range []struct{ key, value string }{
		{"optimizer", string(c.Optimizer)}, {"schedule", string(c.Schedule)}, {"monitor", string(c.Monitor)},
	} {
		if !slices.Contains(choices[s.key], s.value) {
			return fmt.Errorf("%s %q: must be one of %s", s.key, s.value, strings.Join(choices[s.key], ", "))
		}
	}
	return nil
}

// maxBatch bounds the number of pictures in a step.
const maxBatch = 4096

// validateBounds checks each numeric setting by itself.
func (c Config) validateBounds() error {
	return checkBounds([]bound{
		{"learning rate", c.LearningRate, positive},
		{"epochs", float64(c.Epochs), atLeastOne},
		{"batch size", float64(c.Batch), interval{1, maxBatch, false, false}},
		{"dropout", c.Dropout, unitBelowOne},
		{"momentum", c.Momentum, unitBelowOne},
		{"average", c.Average, unitBelowOne},
		{"label smoothing", c.LabelSmoothing, unitBelowOne},
		{"weight decay", c.WeightDecay, notNegative},
		{"clip norm", c.ClipNorm, notNegative},
		{"warm-up epochs", c.WarmUpEpochs, notNegative},
		{"background share", c.BackgroundShare, unit},
		{"balance of sampling", c.BalanceSampling, unit},
		{"balance of data sets", c.BalanceSources, unit},
		{"patience", float64(c.Patience), notNegative},
		{"cached views", float64(c.CachedViews), notNegative},
		{"train size", float64(c.TrainSize), notNegative},
		{"probe epochs", float64(c.ProbeEpochs), notNegative},
		{"learning rate of the probe", c.ProbeLearningRate, notNegative},
		{"start weight", c.StartWeight, unitBelowOne},
		{"layer decay", c.LayerDecay, unit},
		{"teacher weight", c.TeacherWeight, unit},
	}...)
}

// validateRules checks how settings relate.
func (c Config) validateRules() error {
	frozen, scratch := !c.FineTune.Enabled(), c.startsFromScratch()
	noBackground := c.Background == ""
	return checkRules([]rule{
		{c.Data == "", "no data set is named"},
		{c.Out == "", "no folder for the run is named"},
		{c.Schedule == ScheduleStep && !(positive.contains(c.StepEpochs) && positive.contains(c.StepFactor)),
			fmt.Sprintf("schedule step with factor %v every %v epochs: both must be above 0", c.StepFactor,
				c.StepEpochs)},
		{c.WeightDecay != 0 && c.Optimizer != OptimizerAdamW, "weight decay needs the optimizer adamw"},
		{noBackground != (c.Masks == "") || noBackground != (c.BackgroundShare == 0),
			"other backgrounds need pictures, masks and a share above 0"},
		{!noBackground && frozen && !c.Augment.Enabled(),
			"other backgrounds need fine-tuning or augmentation: otherwise each picture is seen only once"},
		{c.CachedViews > 0 && !c.Augment.Enabled(), "cached views need augmentation"},
		{c.CachedViews > 0 && !frozen, "cached views need a frozen backbone: they do not work with fine-tuning"},
		{c.CachedViews > 0 && (c.Augment.Mixup > 0 || c.Augment.CutMix > 0),
			"cached views are views of single pictures: they do not work with mixup and cutmix"},
		{scratch && c.FineTune != FineTune{All: true},
			c.Backbone + " has no pretrained weights: all of it must be trained, with fine-tune all"},
		{c.TrainSize > 0 && frozen, "a train size needs fine-tuning: a frozen backbone is not trained"},
		{c.ProbeEpochs >= c.Epochs,
			fmt.Sprintf("%d probe epochs: the probe must be shorter than the run's %d epochs", c.ProbeEpochs,
				c.Epochs)},
		{c.ProbeEpochs > 0 && frozen, "a probe needs fine-tuning"},
		{c.ProbeEpochs > 0 && scratch, "a probe needs a pretrained backbone"},
		{c.ProbeLearningRate > 0 && c.ProbeEpochs == 0, "a learning rate of the probe needs probe epochs"},
		{c.StartWeight > 0 && frozen, "a start weight needs fine-tuning"},
		{c.StartWeight > 0 && scratch, "a start weight needs a pretrained backbone"},
		{c.LayerDecay != 0 && frozen, "layer decay needs fine-tuning: a frozen backbone is not trained"},
		{len(c.Features) > 0 && !frozen,
			"files of features need a frozen backbone: fine-tuning changes the features in every step"},
		{len(c.Teachers) > 0 && frozen,
			"teachers need fine-tuning: they see pictures, not the features of a frozen backbone"},
		{len(c.Teachers) > 0 && c.TeacherWeight == 0, "teachers need a teacher weight above 0"},
	}...)
}

// validateCoverage checks the coverage of prediction sets, if there are any.
func (c Config) validateCoverage() error {
	if c.Coverage == 0 {
		return nil
	}
	return conformal.CheckCoverage(c.Coverage)
}
