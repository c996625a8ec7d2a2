package nn

import (
	"context"
	"fmt"
	"runtime"

	"garb/internal/kernel"
	"garb/tensor"
)

// Variable is a parameter in training. Its slices belong to the Trainer; an optimizer changes Value
// by Gradient.
type Variable struct {
	Param
	Value    []float32
	Gradient []float32 // of the mean loss of the last step; nil if it is not trained
	// RateFactor multiplies the learning rate of every step, and so weight decay; 0 means 1.
	RateFactor float64
}

// rate returns the variable's learning rate for a given one.
func (v *Variable) rate(learningRate float64) float64 {
	if v.RateFactor == 0 {
		return learningRate
	}
	return learningRate * v.RateFactor
}

// TrainerOptions configures NewTrainer.
type TrainerOptions struct {
	// Threads is the largest number of cores that a step uses; 0 means all.
	Threads int
	// Loss is minimized.
	Loss Loss
	// Trainable selects the parameters to train; nil means all that can be trained. Below the first
	// layer that is trained the network runs as a Plan.
	Trainable func(Param) bool
	// BatchStatistics makes batch-norms with a trained parameter normalize by the statistics of the
	// batch and update the stored ones, as Keras does with training=True. Otherwise all use the
	// stored ones, as Keras does with training=False; gamma and beta are trained in any case.
	BatchStatistics bool
	// Seed is the seed of dropout.
	Seed uint64
}

// Trainer computes a network forward and backward: the loss of a batch and its
// gradient by every trained parameter. Only one goroutine may use it at a time.
//
// On one kind of CPU the same batches give the same bits with any number of threads:
// the batch is divided into a fixed number of parts, whose gradients are added in
// order.
type Trainer struct {
	options   TrainerOptions
	threads   int
	prefix    *Plan // the part that is not trained, or nil
	original  Weights
	variables []*Variable // of the suffix
	byName    map[string]*Variable

	stages      []trainStage
	lengths     []int // of values
	offsets     []int // of values' gradients in a workspace, for one image
	arenaLen    int
	scratchLen  int
	rawLen      int // values of one part's gradients
	output      int // value
	inputLen    int // of the network
	outputLen   int
	coupled     bool // a stage needs the whole batch
	imageStages int  // the number of stages at the start that go image by image
	stepCount   uint64
	team        *team
	job         func(task, thread int)
	memories    []*threadMemory
	whole       *workspace // of the batch, if coupled
	raw         [][]float32
	losses      []float64
	prefixed    []float32
	input       []float32
	targets     []float32
	logits      []float32
	n           int // images of the batch
	partCount   int
}

// maxParts is the number of parts of a batch. Their gradients are kept separately until all are
// known, so they take as many times the size of the parameters.
const maxParts = 8

// threadMemory is what one thread works in.
type threadMemory struct {
	*workspace
	scratch []float32
}

// workspace holds the values of some images and their gradients.
type workspace struct {
	first     int // the batch's index of its image 0
	capacity  int // images
	values    [][]float32
	gradients []float32
}

// NewTrainer prepares the training of g from the given weights. A final sigmoid or
// softmax of g is dropped, since losses are computed from logits. Its errors are
// *WeightError, or a *LayerError about a graph that computes nothing or a layer that
// needs more than a gigabyte of scratch memory.
func NewTrainer(g *Graph, w Weights, o TrainerOptions) (*Trainer, error) {
	return newTrainer(g.dropFinalActivation(), w, o, false)
}

// newTrainer does what NewTrainer does for a graph with its final activation. With inputGradient it
// computes what a Plan does, without running a part of it as one, and also the gradient by its
// input.
func newTrainer(g *Graph, w Weights, o TrainerOptions, inputGradient bool) (*Trainer, error) {
	trainable := func(p Param) bool { return p.Trainable && (o.Trainable == nil || o.Trainable(p)) }
	t := &Trainer{options: o, threads: o.Threads, original: w, byName: map[string]*Variable{}}
	if t.threads <= 0 {
		t.threads = runtime.GOMAXPROCS(0)
	}
	if o.Loss == nil {
		panic("nn: a Trainer without a loss")
	}
	before, after := (*Graph)(nil), g
	if !inputGradient {
		before, after = g.split(trainable)
	}
	t.inputLen, t.outputLen = tensor.Len(g.nodes[0].shape), tensor.Len(after.nodes[after.output].shape)
	if before != nil {
		var err error
		if t.prefix, err = Compile(before, w, Options{Threads: o.Threads}); err != nil {
			return nil, err
		}
	}
	for _, p := range after.Params() {
		values, err := fetch(w, p)
		if err != nil {
			return nil, err
		}
		v := &Variable{Param: p, Value: append([]float32(nil), values...)}
		v.Trainable = trainable(p)
		if v.Trainable {
			v.Gradient = make([]float32, len(values))
		}
		t.variables = append(t.variables, v)
		t.byName[p.Name] = v
	}
	p := purpose{training: !inputGradient}
	if o.BatchStatistics {
		p.batchStatistics = func(n *node) bool {
			return t.byName[n.params[0].Name].Trainable || t.byName[n.params[1].Name].Trainable
		}
	}
	l, err := lower(after, p)
	if err != nil {
		return nil, err
	}
	for _, s := range l.stages {
		if n := max(s.scratchLen(), s.backScratchLen()); n > maxValues {
			return nil, after.errorAt(s.at,
				"it needs %d MB of scratch memory; the limit is %d MB", n>>18, maxValues>>18)
		}
	}
	t.lengths, t.output = l.lengths, l.value[after.output]
	t.addStages(l.stages)
	t.planGradients(inputGradient)
	t.memories = make([]*threadMemory, t.threads)
	t.team = newTeam(t.threads)
	return t, nil
}

// addStages takes over the stages of the lowered graph and binds their variables.
func (t *Trainer) addStages(stages []stage) {
	var own []*Variable // of the current stage
	variable := func(n *node, param int) *Variable {
		if n == nil || param >= len(n.params) {
			return nil
		}
		v := t.byName[n.params[param].Name]
		own = append(own, v)
		return v
	}
	known := map[*Variable]bool{}
	t.scratchLen = kernel.OuterScratchLen
	for _, s := range stages {
		ts := trainStage{stage: s}
		if c, ok := s.computation.(weighted); ok {
			own = nil
			ts.rawOffset, ts.gradientLen = t.rawLen, c.bind(variable)
			t.rawLen += ts.gradientLen
			for _, v := range own {
				if v.Trainable && known[v] {
					ts.shared = append(ts.shared, v)
				}
				known[v] = true
			}
		}
		_, coupled := s.computation.(coupled)
		t.coupled = t.coupled || coupled
		t.scratchLen = max(t.scratchLen, s.scratchLen(), s.backScratchLen())
		t.stages = append(t.stages, ts)
	}
}

// imageStageValues is the size of a feature map above which stages go image by image, so that the
// output of one is still in the cache when the next reads it. Below it, weights are larger, and
// several images share one reading of them.
const imageStageValues = 150 << 10

// planGradients decides which values need a gradient, including the input or not, and places the
// gradients in memory.
func (t *Trainer) planGradients(input bool) {
	needs, produced := make([]bool, len(t.lengths)), make([]int, len(t.lengths))
	needs[0], produced[0] = input, -1
	for i := range t.stages {
		s := &t.stages[i]
		s.needsIn = needs[s.in]
		s.needsSecond = s.second >= 0 && needs[s.second]
		s.needsGradient = s.gradientLen > 0 || s.needsIn || s.needsSecond
		needs[s.out], produced[s.out] = s.needsGradient, i
		if !t.coupled && t.lengths[s.out] > imageStageValues {
			t.imageStages = i + 1
		}
	}
	// In the backward pass the last stage is number 0.
	end := len(t.stages) - 1
	alive := make([]span, len(t.lengths))
	for i := range alive {
		alive[i] = span{-1, -1}
	}
	alive[t.output] = span{0, end - produced[t.output]}
	var order []int // of values, as their gradients are begun
	order = append(order, t.output)
	begin := func(v, stage int) (begun bool) {
		if alive[v].first >= 0 {
			return true
		}
		alive[v] = span{end - stage, end - produced[v]}
		if stage >= t.imageStages && produced[v] < t.imageStages {
			alive[v].last = end // other images go through all stages first
		}
		order = append(order, v)
		return false
	}
	for i := end; i >= 0; i-- {
		s := &t.stages[i]
		if s.needsSecond {
			s.addSecond = begin(s.second, i)
		}
		if s.needsIn {
			s.addIn = begin(s.in, i)
		}
	}
	t.planMasks()
	t.offsets = make([]int, len(t.lengths))
	var a arena
	for _, v := range order {
		t.offsets[v] = a.place(t.lengths[v], alive[v])
	}
	t.arenaLen = a.length
}

// planMasks decides which stage masks a gradient by its activation: the first stage that reads the
// value, which completes the gradient, if it computes it in pieces.
func (t *Trainer) planMasks() {
	seen := make([]bool, len(t.lengths))
	maker := make([]*trainStage, len(t.lengths))
	for i := range t.stages {
		s := &t.stages[i]
		_, masks := s.computation.(inputMasker)
		if from := maker[s.in]; from != nil && !seen[s.in] && s.needsIn && s.second != s.in && masks {
			if f, ok := from.computation.(fusible); ok && !f.fusedEpilogue().masksItself {
				from.masked, s.maskIn = true, f.fusedEpilogue().activation
			}
		}
		seen[s.in] = true
		if s.second >= 0 {
			seen[s.second] = true
		}
		maker[s.out] = s
	}
}

// Variables returns the trained parameters, in the order of the graph's layers.
func (t *Trainer) Variables() []*Variable {
	var trained []*Variable
	for _, v := range t.variables {
		if v.Trainable {
			trained = append(trained, v)
		}
	}
	return trained
}

// Statistics returns the moving statistics that steps update; none unless BatchStatistics is set.
func (t *Trainer) Statistics() []*Variable {
	var all []*Variable
	for _, s := range t.stages {
		if c, ok := s.computation.(coupled); ok {
			all = append(all, c.statistics()...)
		}
	}
	return all
}

// Tensor returns the current value of a parameter, trained or not: a Trainer is Weights. The tensor
// shares the Trainer's memory.
func (t *Trainer) Tensor(name string) (*tensor.Tensor, error) {
	if v, ok := t.byName[name]; ok {
		return tensor.FromSlice(v.Value, v.Shape...), nil
	}
	return t.original.Tensor(name)
}

// SetSteps sets the number of steps so far, so that a resumed training has the same dropout.
func (t *Trainer) SetSteps(n uint64) { t.stepCount = n }

// Step computes the mean loss of a batch and its gradient by every trained parameter.
// input has n inputs one after another, targets n rows with one value per output (see
// Loss), and logits receives n outputs. Step returns ctx's error if ctx has ended
// before, and a *WeightError that wraps ErrNotFinite if a parameter is no longer
// finite. It panics if the lengths do not fit.
func (t *Trainer) Step(ctx context.Context, input, targets, logits []float32) (loss float64, err error) {
	n := len(input) / t.inputLen
	if n == 0 || n*t.inputLen != len(input) || n*t.outputLen != len(targets) || len(logits) != len(targets) {
		panic(fmt.Sprintf("nn: a step with %d input values, %d targets and %d logits of a network from %d to %d values",
			len(input), len(targets), len(logits), t.inputLen, t.outputLen))
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if t.prefix != nil {
		length := tensor.Len(t.prefix.outputShape)
		if len(t.prefixed) < n*length {
			t.prefixed = make([]float32, n*length)
		}
		if err := t.prefix.Run(ctx, input, t.prefixed[:n*length]); err != nil {
			return 0, err
		}
		input = t.prefixed[:n*length]
	}
	t.input, t.targets, t.logits, t.n = input, targets, logits, n
	t.partCount = min(maxParts, n)
	for len(t.raw) < t.partCount {
		t.raw = append(t.raw, make([]float32, t.rawLen))
	}
	t.losses = make([]float64, t.partCount)
	defer func() {
		t.input, t.targets, t.logits, t.job = nil, nil, nil, nil
		if !t.team.disband() {
			t.team = newTeam(t.threads)
		}
	}()
	t.stepCount++
	if err := t.prepare(); err != nil {
		return 0, err
	}
	if t.coupled {
		t.trainBatch()
	} else {
		t.runTasks(t.partCount, t.trainPart)
	}
	t.runTasks(len(t.stages), func(i, _ int) {
		if t.stages[i].shared == nil {
			t.stages[i].collect(t.raw[:t.partCount])
		}
	})
	for i := range t.stages {
		t.stages[i].collectShared(t.raw[:t.partCount])
	}
	for _, l := range t.losses {
		loss += l
	}
	return loss, nil
}

// runTasks computes count tasks on all threads.
func (t *Trainer) runTasks(count int, job func(task, thread int)) {
	t.job = job
	t.team.runTasks(t, count)
}

func (t *Trainer) doTask(task, thread int) { t.job(task, thread) }

// prepare packs the weights for this step.
func (t *Trainer) prepare() error {
	errs := make([]error, len(t.stages))
	t.runTasks(len(t.stages), func(i, _ int) { errs[i] = t.stages[i].prepare(t) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// partBounds returns the range of a part's images.
func (t *Trainer) partBounds(part int) (low, high int) {
	return part * t.n / t.partCount, (part + 1) * t.n / t.partCount
}

// memory returns a thread's memory. Only that thread may call it.
func (t *Trainer) memory(thread int) *threadMemory {
	if t.memories[thread] == nil {
		t.memories[thread] = &threadMemory{scratch: make([]float32, t.scratchLen)}
	}
	return t.memories[thread]
}

// growWorkspace returns w if it has room for so many images, otherwise a new workspace.
func (t *Trainer) growWorkspace(w *workspace, images int) *workspace {
	if w != nil && w.capacity >= images {
		return w
	}
	w = &workspace{
		capacity: images, values: make([][]float32, len(t.lengths)), gradients: make([]float32, images*t.arenaLen),
	}
	for v, length := range t.lengths {
		if v > 0 {
			w.values[v] = make([]float32, images*length)
		}
	}
	return w
}

// trainPart computes one part of the batch forward and backward on one thread. The stages with
// large feature maps go image by image.
func (t *Trainer) trainPart(part, thread int) {
	low, high := t.partBounds(part)
	m := t.memory(thread)
	m.workspace = t.growWorkspace(m.workspace, high-low)
	m.first = low
	n := high - low
	raw := t.raw[part]
	for image := range n {
		for i := range t.stages[:t.imageStages] {
			t.forward(&t.stages[i], m, image, image+1)
		}
	}
	for i := t.imageStages; i < len(t.stages); i++ {
		t.forward(&t.stages[i], m, 0, n)
	}
	t.losses[part] = t.loss(m.workspace, 0, n)
	for i := len(t.stages) - 1; i >= t.imageStages; i-- {
		t.stages[i].clearGradients(raw)
		t.goBack(&t.stages[i], m, 0, n, raw)
	}
	for image := range n {
		for i := t.imageStages - 1; i >= 0; i-- {
			if image == 0 {
				t.stages[i].clearGradients(raw)
			}
			t.goBack(&t.stages[i], m, image, image+1, raw)
		}
	}
}

// trainBatch computes the batch stage by stage, since a batch-norm needs all of it.
func (t *Trainer) trainBatch() {
	t.whole = t.growWorkspace(t.whole, t.n)
	parts := func(f func(m *threadMemory, part, low, high int)) {
		t.runTasks(t.partCount, func(part, thread int) {
			low, high := t.partBounds(part)
			m := t.memory(thread)
			m.workspace = t.whole
			f(m, part, low, high)
		})
	}
	parts(func(_ *threadMemory, part, _, _ int) { clear(t.raw[part]) })
	for i := range t.stages {
		s := &t.stages[i]
		if c, ok := s.computation.(coupled); ok {
			c.measure(t, s, parts)
		}
		parts(func(m *threadMemory, _, low, high int) { t.forward(s, m, low, high) })
	}
	parts(func(m *threadMemory, part, low, high int) { t.losses[part] = t.loss(m.workspace, low, high) })
	for i := len(t.stages) - 1; i >= 0; i-- {
		s := &t.stages[i]
		if c, ok := s.computation.(coupled); ok && s.needsGradient {
			c.measureGradient(t, s, parts)
		}
		parts(func(m *threadMemory, part, low, high int) { t.goBack(s, m, low, high, t.raw[part]) })
	}
}

// value returns a value of the images [low,high).
func (t *Trainer) value(w *workspace, v, low, high int) []float32 {
	length := t.lengths[v]
	if v == 0 {
		return t.input[(w.first+low)*length : (w.first+high)*length]
	}
	return w.values[v][low*length : high*length]
}

// gradient returns a value's gradient of the images [low,high).
func (t *Trainer) gradient(w *workspace, v, low, high int) []float32 {
	length := t.lengths[v]
	return w.gradients[t.offsets[v]*w.capacity:][low*length : high*length]
}

// loss computes the loss of the images [low,high) and its gradient by the logits, both divided by
// the size of the batch.
func (t *Trainer) loss(w *workspace, low, high int) float64 {
	logits, total := t.value(w, t.output, low, high), 0.0
	first := (w.first + low) * t.outputLen
	copy(t.logits[first:], logits)
	gradient := t.gradient(w, t.output, low, high)
	for at := 0; at < len(logits); at += t.outputLen {
		row := gradient[at:][:t.outputLen]
		total += t.options.Loss.Gradient(row, logits[at:][:t.outputLen], t.targets[first+at:][:t.outputLen])
		kernel.Scale(row, 1/float32(t.n))
	}
	return total / float64(t.n)
}

// eachPart calls a function for all images of the batch, in parts.
type eachPart func(do func(m *threadMemory, part, low, high int))

// coupled is a computation that needs statistics of the whole batch.
type coupled interface {
	computation
	// measure computes them before compute, measureGradient those that backward needs.
	measure(t *Trainer, s *trainStage, each eachPart)
	measureGradient(t *Trainer, s *trainStage, each eachPart)
	// statistics returns the variables that measure updates.
	statistics() []*Variable
}

// sumParts adds up count sums of c channels over the parts of the batch, in order.
func (t *Trainer) sumParts(
	each eachPart, c, count int, add func(sums [][]float64, m *threadMemory, low, high int),
) [][]float64 {
	parts := make([][][]float64, t.partCount)
	each(func(m *threadMemory, part, low, high int) {
		parts[part] = make([][]float64, count)
		for i := range parts[part] {
			parts[part][i] = make([]float64, c)
		}
		add(parts[part], m, low, high)
	})
	for _, part := range parts[1:] {
		for i, sums := range part {
			for k, v := range sums {
				parts[0][i][k] += v
			}
		}
	}
	return parts[0]
}

func eachRow(values []float32, columns int, f func(row []float32)) {
	for low := 0; low < len(values); low += columns {
		f(values[low:][:columns])
	}
}
