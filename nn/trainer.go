package nn

import (
	"context"
	"fmt"
	"runtime"

	"garb/internal/kernel"
	"garb/tensor"
)

// Variable is a parameter in training. Its slices belong to the Trainer; an
// optimiser changes Value by Gradient.
type Variable struct {
	Param
	Value    []float32
	Gradient []float32 // of the mean loss of the last step; nil if it is not trained
	// RateFactor multiplies the learning rate of every step of an optimiser, and so weight
	// decay; 0 means 1.
	RateFactor float64
}

// rate is the learning rate of the variable where that of a step is given.
func (v *Variable) rate(learningRate float64) float64 {
	if v.RateFactor == 0 {
		return learningRate
	}
	return learningRate * v.RateFactor
}

// TrainerOptions of NewTrainer.
type TrainerOptions struct {
	// Threads is the largest number of cores that a step uses; 0 means all.
	Threads int
	// Loss is what is made small.
	Loss Loss
	// Trainable chooses among the parameters that can be trained; nil means all of
	// them. Below the first layer that is trained the network runs as a Plan, and
	// nothing of it is kept.
	Trainable func(Param) bool
	// BatchStatistics makes batch-norms with a trained parameter normalise by the
	// statistics of the batch and update the stored ones, as Keras does with
	// training=True. Otherwise all use the stored ones, as Keras does with
	// training=False; their gamma and beta are trained all the same.
	BatchStatistics bool
	// Seed of what dropout drops.
	Seed uint64
}

// Trainer computes a network forward and backward: the loss of a batch and its
// gradient by every trained parameter. One goroutine may use it at a time.
//
// The same batches give the same bits on one kind of CPU, whatever the number of
// threads: the batch is cut into a fixed number of parts, whose gradients are
// added in their order.
type Trainer struct {
	options   TrainerOptions
	threads   int
	prefix    *Plan // what is not trained, nil if there is none
	original  Weights
	variables []*Variable // of the suffix
	byName    map[string]*Variable

	steps      []trainStep
	lengths    []int // of values
	offsets    []int // of values' gradients in a workspace, for one image
	arenaLen   int
	scratchLen int
	rawLen     int // values of one part's gradients
	output     int // value
	inputLen   int // of the network
	outputLen  int
	coupled    bool // a step needs the whole batch
	imageSteps int  // the first so many steps go image by image
	stepCount  uint64
	team       *team
	job        func(task, thread int)
	memories   []*threadMemory
	whole      *workspace // of the batch, if coupled
	raw        [][]float32
	losses     []float64
	prefixed   []float32
	input      []float32
	targets    []float32
	logits     []float32
	n          int // images of the batch
	partCount  int
}

// maxParts is the number of parts that a batch is cut into. Their gradients are
// kept apart until all are known, so it is also how many times the parameters'
// size that takes.
const maxParts = 8

// threadMemory is what one thread works in.
type threadMemory struct {
	*workspace
	scratch []float32
}

// workspace holds the values of some images and their gradients.
type workspace struct {
	first     int // image of the batch that its image 0 is
	capacity  int // images
	values    [][]float32
	gradients []float32
}

// NewTrainer prepares the training of g from the given weights. A closing sigmoid
// or softmax of g is left out: losses are computed from logits. Its errors are
// *WeightError, or a *LayerError about a graph that computes nothing, or has a layer that takes
// more than a gigabyte to work in.
func NewTrainer(g *Graph, w Weights, o TrainerOptions) (*Trainer, error) {
	return newTrainer(g.logits(), w, o, false)
}

// newTrainer is NewTrainer for a graph with all that belongs to it. With inputGradient it
// computes what a Plan does, no part of it as one, and the gradient by its input too.
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
	for _, s := range l.steps {
		if n := max(s.scratchLen(), s.backScratchLen()); n > maxValues {
			return nil, after.refuse(s.at, "it takes %d MB to work in; at most %d are given", n>>18, maxValues>>18)
		}
	}
	t.lengths, t.output = l.lengths, l.value[after.output]
	t.adopt(l.steps)
	t.planGradients(inputGradient)
	t.memories = make([]*threadMemory, t.threads)
	t.team = newTeam(t.threads)
	return t, nil
}

// adopt takes over the steps of the lowered graph with the variables that each has.
func (t *Trainer) adopt(steps []step) {
	var own []*Variable // of the step at hand
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
	for _, s := range steps {
		ts := trainStep{step: s}
		if c, ok := s.computation.(weighted); ok {
			own = nil
			ts.rawOffset, ts.gradientLen = t.rawLen, c.adopt(variable)
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
		t.steps = append(t.steps, ts)
	}
}

// imageStepValues is the size of a feature map above which steps go image by
// image, so that what one writes is still in the cache when the next reads it;
// below, weights are the larger part, and several images share a reading of them.
const imageStepValues = 150 << 10

// planGradients decides which values need a gradient, the input among them or not, and where
// it lives.
func (t *Trainer) planGradients(input bool) {
	needs, produced := make([]bool, len(t.lengths)), make([]int, len(t.lengths))
	needs[0], produced[0] = input, -1
	for i := range t.steps {
		s := &t.steps[i]
		s.needsIn = needs[s.in]
		s.needsSecond = s.second >= 0 && needs[s.second]
		s.backward = s.gradientLen > 0 || s.needsIn || s.needsSecond
		needs[s.out], produced[s.out] = s.backward, i
		if !t.coupled && t.lengths[s.out] > imageStepValues {
			t.imageSteps = i + 1
		}
	}
	// On the way back the last step is number 0.
	end := len(t.steps) - 1
	alive := make([]span, len(t.lengths))
	for i := range alive {
		alive[i] = span{-1, -1}
	}
	alive[t.output] = span{0, end - produced[t.output]}
	var order []int // of values, as their gradients are begun
	order = append(order, t.output)
	begin := func(v, step int) (begun bool) {
		if alive[v].first >= 0 {
			return true
		}
		alive[v] = span{end - step, end - produced[v]}
		if step >= t.imageSteps && produced[v] < t.imageSteps {
			alive[v].last = end // it waits for other images to go through all steps
		}
		order = append(order, v)
		return false
	}
	for i := end; i >= 0; i-- {
		s := &t.steps[i]
		if s.needsSecond {
			s.addSecond = begin(s.second, i)
		}
		if s.needsIn {
			s.addIn = begin(s.in, i)
		}
	}
	t.planMasks()
	t.offsets = make([]int, len(t.lengths))
	var arena arena
	for _, v := range order {
		t.offsets[v] = arena.place(t.lengths[v], alive[v])
	}
	t.arenaLen = arena.length
}

// planMasks decides who masks a gradient by its activation: the first step that reads
// the value, which completes the gradient, if it goes through it in pieces.
func (t *Trainer) planMasks() {
	seen := make([]bool, len(t.lengths))
	maker := make([]*trainStep, len(t.lengths))
	for i := range t.steps {
		s := &t.steps[i]
		_, masks := s.computation.(inputMasker)
		if from := maker[s.in]; from != nil && !seen[s.in] && s.needsIn && s.second != s.in && masks {
			if f, ok := from.computation.(fusible); ok && !f.closing().masksItself {
				from.masked, s.maskIn = true, f.closing().activation
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

// Statistics returns the moving statistics that steps update: none, unless
// BatchStatistics is set.
func (t *Trainer) Statistics() []*Variable {
	var all []*Variable
	for _, s := range t.steps {
		if c, ok := s.computation.(coupled); ok {
			all = append(all, c.statistics()...)
		}
	}
	return all
}

// Tensor returns a parameter's value at hand, trained or not: a Trainer is Weights.
// The tensor shares the Trainer's memory.
func (t *Trainer) Tensor(name string) (*tensor.Tensor, error) {
	if v, ok := t.byName[name]; ok {
		return tensor.FromSlice(v.Value, v.Shape...), nil
	}
	return t.original.Tensor(name)
}

// SetSteps sets the number of steps so far, so that a training that is taken up again
// drops what it would have dropped.
func (t *Trainer) SetSteps(n uint64) { t.stepCount = n }

// Step computes the mean loss of a batch, and its gradient by every trained
// parameter. input holds n inputs one after another, targets n rows with a value
// for each output (see Loss), and logits receives n outputs. It returns ctx's error
// if ctx has ended before it began, and a *WeightError that wraps ErrNotFinite if a
// parameter is no longer a finite number. It panics if the lengths do not fit.
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
		t.batch()
	} else {
		t.work(t.partCount, t.part)
	}
	t.work(len(t.steps), func(i, _ int) {
		if t.steps[i].shared == nil {
			t.steps[i].collect(t.raw[:t.partCount])
		}
	})
	for i := range t.steps {
		t.steps[i].collectShared(t.raw[:t.partCount])
	}
	for _, l := range t.losses {
		loss += l
	}
	return loss, nil
}

// work does count tasks on all threads.
func (t *Trainer) work(count int, job func(task, thread int)) {
	t.job = job
	t.team.work(t, count)
}

func (t *Trainer) do(task, thread int) { t.job(task, thread) }

// prepare packs the weights for this step.
func (t *Trainer) prepare() error {
	errs := make([]error, len(t.steps))
	t.work(len(t.steps), func(i, _ int) { errs[i] = t.steps[i].prepare(t) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// bounds returns the images of a part.
func (t *Trainer) bounds(part int) (low, high int) {
	return part * t.n / t.partCount, (part + 1) * t.n / t.partCount
}

// memory returns a thread's memory; only that thread may ask for it.
func (t *Trainer) memory(thread int) *threadMemory {
	if t.memories[thread] == nil {
		t.memories[thread] = &threadMemory{scratch: make([]float32, t.scratchLen)}
	}
	return t.memories[thread]
}

// room returns w if it holds so many images, else a new workspace that does.
func (t *Trainer) room(w *workspace, images int) *workspace {
	if w != nil && w.capacity >= images {
		return w
	}
	w = &workspace{capacity: images, values: make([][]float32, len(t.lengths)), gradients: make([]float32,
		images*t.arenaLen)}
	for v, length := range t.lengths {
		if v > 0 {
			w.values[v] = make([]float32, images*length)
		}
	}
	return w
}

// part computes one part of the batch forward and backward, on one thread. The steps
// with large feature maps go image by image.
func (t *Trainer) part(part, thread int) {
	low, high := t.bounds(part)
	m := t.memory(thread)
	m.workspace = t.room(m.workspace, high-low)
	m.first = low
	n := high - low
	raw := t.raw[part]
	for image := range n {
		for i := range t.steps[:t.imageSteps] {
			t.forward(&t.steps[i], m, image, image+1)
		}
	}
	for i := t.imageSteps; i < len(t.steps); i++ {
		t.forward(&t.steps[i], m, 0, n)
	}
	t.losses[part] = t.loss(m.workspace, 0, n)
	for i := len(t.steps) - 1; i >= t.imageSteps; i-- {
		t.steps[i].begin(raw)
		t.goBack(&t.steps[i], m, 0, n, raw)
	}
	for image := range n {
		for i := t.imageSteps - 1; i >= 0; i-- {
			if image == 0 {
				t.steps[i].begin(raw)
			}
			t.goBack(&t.steps[i], m, image, image+1, raw)
		}
	}
}

// batch computes the batch step by step, since a batch-norm needs all of it.
func (t *Trainer) batch() {
	t.whole = t.room(t.whole, t.n)
	parts := func(do func(m *threadMemory, part, low, high int)) {
		t.work(t.partCount, func(part, thread int) {
			low, high := t.bounds(part)
			m := t.memory(thread)
			m.workspace = t.whole
			do(m, part, low, high)
		})
	}
	parts(func(_ *threadMemory, part, _, _ int) { clear(t.raw[part]) })
	for i := range t.steps {
		s := &t.steps[i]
		if c, ok := s.computation.(coupled); ok {
			c.measure(t, s, parts)
		}
		parts(func(m *threadMemory, _, low, high int) { t.forward(s, m, low, high) })
	}
	parts(func(m *threadMemory, part, low, high int) { t.losses[part] = t.loss(m.workspace, low, high) })
	for i := len(t.steps) - 1; i >= 0; i-- {
		s := &t.steps[i]
		if c, ok := s.computation.(coupled); ok && s.backward {
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

// loss computes the loss of the images [low,high), and its gradient by the logits.
// Of the mean over the batch: so both are divided by its size.
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

// eachPart runs a function over all images of the batch, in parts.
type eachPart func(do func(m *threadMemory, part, low, high int))

// coupled is a computation that needs numbers of the whole batch.
type coupled interface {
	computation
	// measure computes them before run, measureGradient those that back needs.
	measure(t *Trainer, s *trainStep, each eachPart)
	measureGradient(t *Trainer, s *trainStep, each eachPart)
	// statistics are the variables that measure updates.
	statistics() []*Variable
}

// sums adds up count sums of c channels over the parts of the batch, in their order.
func (t *Trainer) sums(
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

func eachRow(values []float32, columns int, do func(row []float32)) {
	for low := 0; low < len(values); low += columns {
		do(values[low:][:columns])
	}
}
