package nn

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"garb/tensor"
)

// Weights returns a graph's parameters by name. Tensor returns a tensor that the caller may keep
// but not change, or an error that names what is missing. *tensor.File and tensor.Map are Weights.
type Weights interface {
	Tensor(name string) (*tensor.Tensor, error)
}

// Overlay looks a tensor up in Top, then in Below.
type Overlay struct{ Top, Below Weights }

// Tensor returns Top's tensor, or Below's if Top has none.
func (o Overlay) Tensor(name string) (*tensor.Tensor, error) {
	if t, err := o.Top.Tensor(name); err == nil {
		return t, nil
	}
	return o.Below.Tensor(name)
}

// WeightError says that a graph's weights cannot be used.
type WeightError struct {
	Name   string // of the parameter
	Detail string // may be empty if there is Err
	Err    error  // the cause, or nil
}

// ErrNotFinite is the cause of a *WeightError about a parameter with NaN or infinite values, as
// after a training that has diverged.
var ErrNotFinite = errors.New("holds values that are not finite numbers")

func (e *WeightError) Error() string {
	switch {
	case e.Err == nil:
		return fmt.Sprintf("weights of %s: %s", e.Name, e.Detail)
	case e.Detail == "":
		return fmt.Sprintf("weights of %s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("weights of %s: %s: %v", e.Name, e.Detail, e.Err)
}

func (e *WeightError) Unwrap() error { return e.Err }

// Options configures Compile.
type Options struct {
	// Threads is the largest number of cores that one run uses; 0 means all.
	Threads int
}

// Plan is a compiled network. It is immutable, and any number of goroutines may
// run it at the same time.
//
// A run goes image by image as long as there are feature maps. With at least as many
// images as threads each thread takes whole images, otherwise the threads share each
// layer. The layers behind the last feature map are computed for the whole batch at
// once. A value's bits are the same in every case.
type Plan struct {
	inputShape, outputShape []int

	stages []stage
	values []storage
	// batchStart is the first stage that is computed for the whole batch.
	batchStart int

	layers     int // of the graph
	arenaLen   int // values of one image's feature maps
	scratchLen int // values that one thread needs in addition

	threads    int
	executions sync.Pool // of *run
	teams      sync.Pool // of *team
}

// storage says where a value is stored during a run.
type storage struct {
	place  place
	offset int // into the arena, or index of the batch buffer
	length int // values for one image
}

type place uint8

const (
	inArena  place = iota
	inInput        // the caller's input
	inOutput       // the caller's output
	inBatch        // a buffer with the value of every image
)

// Threads returns the largest number of cores that one run uses.
func (p *Plan) Threads() int { return p.threads }

// InputShape returns the shape of one input: [h w c].
func (p *Plan) InputShape() []int { return slices.Clone(p.inputShape) }

// OutputShape returns the shape of one output, without the batch axis.
func (p *Plan) OutputShape() []int { return slices.Clone(p.outputShape) }

// Compile prepares a graph for inference with the given weights, which it copies. Its
// error is a *WeightError if a parameter is missing, has another shape or is not finite
// (then it wraps ErrNotFinite), and a *LayerError if the graph computes nothing or its
// feature maps or a layer's scratch memory take more than a gigabyte.
func Compile(g *Graph, w Weights, o Options) (*Plan, error) {
	p := &Plan{inputShape: g.InputShape(), outputShape: g.OutputShape(), threads: o.Threads, layers: len(g.nodes)}
	if p.threads <= 0 {
		p.threads = runtime.GOMAXPROCS(0)
	}
	l, err := lower(g, purpose{})
	if err != nil {
		return nil, err
	}
	p.stages = l.stages
	if err := loadAll(p.stages, w); err != nil {
		return nil, err
	}
	p.place(l, g)
	if p.arenaLen > maxValues {
		return nil, g.errorAt(g.output, "the feature maps before it take %d MB at a time; the limit is %d MB",
			p.arenaLen>>18, maxValues>>18)
	}
	for i := range p.stages {
		s := &p.stages[i]
		if n := s.scratchLen(); n > maxValues {
			return nil, g.errorAt(s.at, "it needs %d MB of scratch memory; the limit is %d MB", n>>18, maxValues>>18)
		}
		p.scratchLen, s.tasks = max(p.scratchLen, s.scratchLen()), s.divide(1, p.threads)
	}
	return p, nil
}

// loadAll packs the weights of all stages on all cores, which is most of the time that opening a
// network takes.
func loadAll(stages []stage, w Weights) error {
	errs := make([]error, len(stages))
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range stages {
		c, ok := stages[i].computation.(weighted)
		if !ok {
			continue
		}
		wait.Add(1)
		slots <- struct{}{}
		go func() {
			defer wait.Done()
			errs[i] = c.load(w)
			<-slots
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// place decides where every value is stored. Values of the image part share an arena: each gets the
// lowest offset that no value alive at the same time covers.
func (p *Plan) place(l *lowering, g *Graph) {
	p.batchStart = len(p.stages)
	for p.batchStart > 0 && p.stages[p.batchStart-1].flat {
		p.batchStart--
	}
	p.values = make([]storage, len(l.lengths))
	alive := make([]span, len(l.lengths))
	for i := range alive {
		alive[i] = span{-1, -1}
	}
	for i, s := range p.stages {
		for _, v := range []int{s.in, s.second, s.out} {
			if v >= 0 {
				alive[v].use(i)
			}
		}
	}
	batchBuffers := 0
	output := l.value[g.output]
	var a arena
	for i := range p.stages {
		v := p.stages[i].out
		p.values[v] = storage{length: l.lengths[v]}
		switch {
		case v == output:
			p.values[v].place = inOutput
		case alive[v].last >= p.batchStart:
			p.values[v].place = inBatch
			p.values[v].offset = batchBuffers
			batchBuffers++
		default:
			p.values[v].offset = a.place(l.lengths[v], alive[v])
		}
	}
	p.arenaLen = a.length
	p.values[0] = storage{place: inInput, length: l.lengths[0]}
	p.executions.New = func() any { return newRun(p, batchBuffers) }
	p.teams.New = func() any { return newTeam(p.threads) }
}

// Run computes the network for a batch: input has n inputs one after another, output
// receives n outputs. When ctx ends it returns ctx's error within the time of one
// layer; output is then undefined. It panics if the lengths do not fit. After the
// first runs it allocates nothing.
func (p *Plan) Run(ctx context.Context, input, output []float32) error {
	inputLen, outputLen := tensor.Len(p.inputShape), tensor.Len(p.outputShape)
	n := len(input) / inputLen
	if n*inputLen != len(input) || n*outputLen != len(output) {
		panic(fmt.Sprintf("nn: input of %d and output of %d values for a network from %s to %s",
			len(input), len(output), tensor.ShapeString(p.inputShape), tensor.ShapeString(p.outputShape)))
	}
	if n == 0 {
		return ctx.Err()
	}
	r := p.executions.Get().(*execution)
	defer p.executions.Put(r)
	t := p.teams.Get().(*team)
	err := r.execute(ctx, t, input, output, n)
	if t.disband() {
		p.teams.Put(t)
	}
	return err
}
