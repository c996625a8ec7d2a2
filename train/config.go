package train

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"garb/accept"
	"garb/augment"
	"garb/backbone"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/picture"
)

// Config holds the settings of a training run. Together with the pictures and the pretrained
// weights they determine the model, to the bit.
type Config struct {
	Data string `json:"data"` // folder, table or archive, see dataset.Read
	// DataWeight is how often an epoch shows each training picture of Data, like
	// Source.Weight of the other data sets; 0 means 1.
	DataWeight float64 `json:"data_weight,omitempty"`
	// Sources are further data sets. The model's classes are the union of all data sets'
	// classes, and the best epoch is chosen by the mean of their validation figures.
	Sources []Source `json:"sources,omitempty"`
	// Other are pictures of none of the classes, which the network learns to refuse; see
	// Acceptance. A source without splits is divided by Split.
	Other []Source `json:"other,omitempty"`
	// Acceptance is the method by which the model judges whether a picture shows any of its
	// classes. With Other it is accept.Class, accept.Head or accept.Exposure, without it
	// accept.Energy, accept.Distance or accept.Neighbours; "none" turns it off. The default
	// "" means Class with Other and DefaultDetector without it; a binary network has none.
	Acceptance accept.Method `json:"acceptance,omitempty"`
	// Refusal is the text that the model answers for a picture that it does not accept;
	// "" means model.NoneOfThese.
	Refusal string `json:"refusal,omitempty"`
	// BalanceSampling and BalanceSources, from 0 to 1, oversample rare classes within each
	// data set, and small data sets. With 0 a class or data set is shown in proportion to
	// its number of pictures, with 1 all are shown equally often. The length of an epoch
	// stays the same.
	BalanceSampling float64 `json:"balance_sampling,omitempty"`
	BalanceSources  float64 `json:"balance_sources,omitempty"`
	// DataOptions select which pictures are used, and under which labels.
	DataOptions dataset.Options `json:"data_options,omitzero"`
	// Strict makes it an error if any picture of a data set cannot be used.
	Strict bool   `json:"strict,omitempty"`
	Out    string `json:"out"` // folder of the run

	Backbone string `json:"backbone"` // name of an architecture
	// Weights of the backbone: a name or file for weights.Open; "" means the
	// architecture's own pretrained weights.
	Weights string `json:"weights,omitempty"`
	// FeaturesAt names the layer whose output is used as features, for a network in Weights
	// with Backbone backbone.OwnName; "" means the input of the network's classifier.
	FeaturesAt string `json:"features_at,omitempty"`
	// Features are files of package features, which garb features, garb merge or a queue wrote
	// with this frozen backbone. They do not change the model: features that they lack are
	// computed.
	Features      []string     `json:"features,omitempty"`
	Preprocessing picture.Spec `json:"preprocessing"`
	// TrainSize is the side of training views in pixels; 0 means the size of Preprocessing.
	// Random crops show objects larger than whole pictures do, so a network works best on
	// pictures somewhat larger than those it was trained on (Touvron et al. 2019).
	TrainSize int `json:"train_size,omitempty"`
	// FineTune says which layers of the backbone are trained together with the head.
	FineTune FineTune `json:"fine_tune"`
	// ProbeEpochs is the number of epochs, counted in Epochs, that first train the head alone
	// on the frozen backbone (a linear probe). The gradients of a randomly initialized head
	// distort pretrained features, which hurts on pictures unlike the training pictures
	// (Kumar et al. 2022). The probe uses the constant learning rate ProbeLearningRate, 0 for
	// 0.001. Schedule and Patience begin after it.
	ProbeEpochs       int     `json:"probe_epochs,omitempty"`
	ProbeLearningRate float64 `json:"probe_learning_rate,omitempty"`
	// StartWeight interpolates between the weights before and after fine-tuning: the model
	// gets (1−StartWeight)·fine-tuned + StartWeight·start (WiSE-FT, Wortsman et al. 2022, who
	// recommend 0.5). It is at least 0 and below 1. A head without a probe has no useful
	// start and is not interpolated.
	StartWeight float64 `json:"start_weight,omitempty"`
	// LayerDecay gives earlier layers of the backbone a lower learning rate: each layer with
	// a kernel has that of the next one times LayerDecay (discriminative fine-tuning, Howard
	// & Ruder 2018). 0 and 1 give all layers the same.
	LayerDecay float64 `json:"layer_decay,omitempty"`
	// BatchStatistics makes trained batch-norms normalize by the statistics of the batch;
	// otherwise they use the stored ones.
	BatchStatistics bool `json:"batch_statistics,omitempty"`

	Inner   []int   `json:"inner,omitempty"`   // units of the head's inner layers
	Dropout float64 `json:"dropout,omitempty"` // before the last layer
	// Binary makes the network end in one unit with a sigmoid, for two classes.
	Binary bool `json:"binary,omitempty"`

	Optimizer    Optimizer `json:"optimizer"`
	LearningRate float64   `json:"learning_rate"`
	Momentum     float64   `json:"momentum"`               // of SGD
	Nesterov     bool      `json:"nesterov,omitempty"`     // of SGD
	WeightDecay  float64   `json:"weight_decay,omitempty"` // of AdamW
	Schedule     Schedule  `json:"schedule"`
	WarmUpEpochs float64   `json:"warm_up_epochs"` // of ScheduleCosine
	// ScheduleStep multiplies the learning rate by StepFactor every StepEpochs epochs.
	StepEpochs float64 `json:"step_epochs"`
	StepFactor float64 `json:"step_factor"`
	// ClipNorm limits the norm of all gradients together; 0 means no limit.
	ClipNorm float64 `json:"clip_norm,omitempty"`
	// Average is the decay of an exponential moving average of the weights, which is then
	// what is validated and saved; 0 disables it.
	Average float64 `json:"average,omitempty"`

	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	// BalanceClasses weights the loss of each class by pictures/(classes·pictures of the class).
	BalanceClasses bool `json:"balance_classes,omitempty"`
	// Teachers are models (for model.Open) for knowledge distillation: the network learns
	// from the label of a training view and from the teachers' answers to it, one teacher
	// a step in turn. They must know the same classes. TeacherWeight, above 0 and up to 1,
	// is the teacher's share of a target.
	Teachers      []string `json:"teachers,omitempty"`
	TeacherWeight float64  `json:"teacher_weight,omitempty"`

	Epochs int    `json:"epochs"`
	Batch  int    `json:"batch"` // pictures in a step
	Seed   uint64 `json:"seed"`
	// Monitor is the validation figure by which the best epoch is chosen.
	Monitor Monitor `json:"monitor"`
	// Patience stops a run after this number of epochs without a new best epoch (see
	// Monitor); 0 disables it.
	Patience int `json:"patience,omitempty"`

	Augment augment.Config `json:"augment,omitzero"`
	// Background names a folder of pictures, and Masks a folder of masks: with the
	// probability BackgroundShare, a training picture NAME.jpg with a mask NAME.png, at any
	// depth, is pasted onto a random part of a background picture. A mask has the size of
	// its picture, is white where the object is and black elsewhere.
	Background      string  `json:"background,omitempty"`
	Masks           string  `json:"masks,omitempty"`
	BackgroundShare float64 `json:"background_share,omitempty"`
	// CachedViews limits the number of augmented views of a picture for a frozen backbone.
	// Their features are kept in memory, and epochs use them in turn; 0 means new views in
	// every epoch.
	CachedViews int `json:"cached_views,omitempty"`
	// Coverage, if not 0, is the coverage of the model's prediction sets, whose rule is
	// fitted on the validation pictures: see conformal.Fit.
	Coverage float64 `json:"coverage,omitempty"`
	// Split divides a data set that has no splits.
	Split dataset.SplitRule `json:"split"`

	// TensorBoard also writes each epoch to an event file in the run's folder
	// tensorboard. It does not affect the model.
	TensorBoard bool `json:"tensorboard,omitempty"`

	// Candidate marks a run as one of several to choose from by validation: it does not
	// evaluate the test split and writes no report.
	Candidate bool `json:"-"`
}

// Optimizer names the algorithm that updates the weights.
type Optimizer string

// The optimizers.
const (
	OptimizerAdam  Optimizer = "adam"
	OptimizerAdamW Optimizer = "adamw" // Adam with decoupled weight decay
	OptimizerSGD   Optimizer = "sgd"
)

// Schedule names how the learning rate changes over a run.
type Schedule string

// The schedules.
const (
	ScheduleConstant Schedule = "constant"
	ScheduleStep     Schedule = "step"      // see Config.StepEpochs
	ScheduleCosine   Schedule = "cosine"    // after a linear warm-up, see Config.WarmUpEpochs
	ScheduleOneCycle Schedule = "one-cycle" // see nn.OneCycle
)

// Monitor names the validation figure by which the best epoch is chosen. Of epochs that are
// equal in it, the one that is better in the other figure wins, then the earlier one.
type Monitor string

// The figures to monitor.
const (
	MonitorAccuracy Monitor = "accuracy" // higher is better
	MonitorLoss     Monitor = "loss"     // lower is better
)

// choices lists the values of each setting that is one of a few, by its key in config.json.
var choices = map[string][]string{
	"optimizer": {string(OptimizerAdam), string(OptimizerAdamW), string(OptimizerSGD)},
	"schedule":  {string(ScheduleConstant), string(ScheduleStep), string(ScheduleCosine), string(ScheduleOneCycle)},
	"monitor":   {string(MonitorAccuracy), string(MonitorLoss)},
}

// Choices returns the values of a setting that is one of a few, by its key in
// config.json: optimizer, schedule or monitor. It returns nil for other keys.
func Choices(key string) []string { return slices.Clone(choices[key]) }

// Default returns the default settings: a new head on the frozen EfficientNet-Lite0 that is
// built in, trained by Adam with a learning rate of 0.001 for 10 epochs in batches of 32.
func Default() Config {
	const name = "efficientnet-lite0"
	a, err := backbone.Lookup(name)
	if err != nil {
		panic("train: " + err.Error())
	}
	return Config{
		Backbone: name, Preprocessing: a.Spec,
		Optimizer: OptimizerAdam, LearningRate: 1e-3, Momentum: 0.9,
		Schedule: ScheduleConstant, StepEpochs: 5, StepFactor: 0.1, WarmUpEpochs: 1,
		Epochs: 10, Batch: 32, Seed: 1, Monitor: MonitorAccuracy, Split: dataset.DefaultSplitRule(),
	}
}

// startsFromScratch reports whether the backbone begins with random weights.
func (c Config) startsFromScratch() bool {
	a, err := backbone.Lookup(c.Backbone)
	return err == nil && !a.Pretrained() && c.Weights == ""
}

func (c Config) head() model.Head { return model.Head{Inner: c.Inner} }

// schedule returns the learning rate as a function of the step.
func (c Config) schedule(stepsPerEpoch int) nn.Schedule {
	steps := func(epochs float64) int { return int(math.Round(epochs * float64(stepsPerEpoch))) }
	switch c.Schedule {
	case ScheduleStep:
		return nn.StepDecay(c.LearningRate, c.StepFactor, steps(c.StepEpochs))
	case ScheduleCosine:
		return nn.Cosine(c.LearningRate, 0, steps(c.WarmUpEpochs))
	case ScheduleOneCycle:
		return nn.OneCycle(c.LearningRate)
	}
	return nn.Constant(c.LearningRate)
}

// optimizer returns a new optimizer.
func (c Config) optimizer() nn.Optimizer {
	switch c.Optimizer {
	case OptimizerSGD:
		return &nn.SGD{Momentum: c.Momentum, Nesterov: c.Nesterov}
	case OptimizerAdamW:
		// As is usual, neither biases nor batch-norms decay: they have one axis.
		return &nn.Adam{WeightDecay: c.WeightDecay, Decays: func(v *nn.Variable) bool { return len(v.Shape) > 1 }}
	}
	return &nn.Adam{}
}

// loss returns the loss of a network that tells the given number of classes apart; samples are
// the training pictures.
func (c Config) loss(classes int, samples []dataset.Sample) nn.Loss {
	var classWeights []float64
	if c.BalanceClasses {
		classWeights = balanceClasses(classes, samples)
		if c.ownOutput() && c.method() == accept.Class {
			classWeights = append(classWeights, 1)
		}
	}
	if c.Binary {
		return nn.BinaryCrossEntropy{LabelSmoothing: c.LabelSmoothing, ClassWeights: classWeights}
	}
	softmax := nn.SoftmaxCrossEntropy{LabelSmoothing: c.LabelSmoothing, ClassWeights: classWeights}
	if c.ownOutput() && c.method() == accept.Head {
		return headLoss{softmax, nn.BinaryCrossEntropy{LabelSmoothing: c.LabelSmoothing}}
	}
	return softmax
}

// balanceClasses weights each class by the inverse of its number of pictures, such that the
// mean weight of a picture is 1.
func balanceClasses(classes int, samples []dataset.Sample) []float64 {
	weights := make([]float64, classes)
	labelled := 0.0
	for _, s := range samples {
		if s.Label < classes { // other pictures have no class
			weights[s.Label]++
			labelled++
		}
	}
	for i, n := range weights {
		weights[i] = labelled / (float64(classes) * max(n, 1))
	}
	return weights
}

// viewSpec returns the preprocessing of training views.
func (c Config) viewSpec() picture.Spec {
	s := c.Preprocessing
	if c.TrainSize > 0 {
		s.Width, s.Height = c.TrainSize, c.TrainSize
	}
	return s
}

// backbone returns the backbone's architecture, which the file of its weights may describe.
func (c Config) backbone() (backbone.Architecture, error) {
	if c.Backbone != backbone.OwnName {
		return backbone.Lookup(c.Backbone)
	}
	base, err := model.FindBackbone(c.Weights, c.FeaturesAt)
	return base.Architecture, err
}

// architecture returns the backbone for the pictures of the run. It is an error if the backbone
// cannot take their size.
func (c Config) architecture() (backbone.Architecture, error) {
	a, err := c.backbone()
	if err != nil {
		return a, err
	}
	if _, err := a.Adapt(c.viewSpec()); err != nil {
		return a, err
	}
	return a.Adapt(c.Preprocessing)
}

// Differences lists the settings, by their keys in config.json, in which two configs differ.
// It ignores what may change when a run is resumed: the number of epochs, the folders of the
// run and its data, files of features, and whether it writes for TensorBoard.
func Differences(a, b Config) []string {
	a, b = a.withoutFolders(), b.withoutFolders()
	var names []string
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		name, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("json"), ",")
		if slices.Contains([]string{"epochs", "out", "data", "features", "strict", "tensorboard", "-"}, name) {
			continue
		}
		// The JSON is compared, since a list without elements may be nil or empty.
		if p, q := encodeJSON(x.Field(i)), encodeJSON(y.Field(i)); p != q {
			names = append(names, fmt.Sprintf("%s (%s, not %s)", name, p, q))
		}
	}
	return names
}

// withoutFolders returns the config with the paths of data sets, other than Data, cut to their
// last element, so that it does not depend on where a machine keeps them.
func (c Config) withoutFolders() Config {
	c.DataOptions = c.DataOptions.Portable()
	for _, path := range []*string{&c.Background, &c.Masks} {
		if *path != "" {
			*path = filepath.Base(filepath.Clean(*path))
		}
	}
	for _, list := range []*[]Source{&c.Sources, &c.Other} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i].Path = filepath.Base(filepath.Clean((*list)[i].Path))
		}
	}
	return c
}

// encodeJSON returns v as JSON, with an empty slice as [].
func encodeJSON(v reflect.Value) string {
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return "[]"
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// settings returns the config as it is stored in the model's file: without paths and settings
// that do not affect the model, and with the digests of the teachers in place of their names.
func (r *run) settings() json.RawMessage {
	c := r.Config.withoutFolders()
	c.Data, c.Out, c.Features, c.Teachers, c.TensorBoard, c.Strict = "", "", nil, r.Teachers, false, false
	if c.Weights != "" {
		c.Weights = "a file"
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic("train: " + err.Error()) // plain values only
	}
	return text
}
