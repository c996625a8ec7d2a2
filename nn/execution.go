package nn

import (
	"context"
	"time"
)

// execution is the memory of one Plan.Run. Later ones reuse it.
type execution struct {
	plan     *Plan
	memories []memory    // of each thread; the first is the caller's
	batch    [][]float32 // values of all images, see inBatch

	// The current work: what a task of the team computes.
	ctx           context.Context
	input, output []float32
	wholeImages   bool // a task is an image; otherwise a piece of a stage
	stage         *stage
	buffers       buffers

	measured []time.Duration // the time of each stage, or nil: see Profile
}

// runTasks lets the team compute the current stage.
func (r *execution) runTasks(t *team, stage, tasks int) {
	if r.measured == nil {
		t.runTasks(r, tasks)
		return
	}
	began := time.Now()
	t.runTasks(r, tasks)
	r.measured[stage] = time.Since(began)
}

// memory is what one thread works in.
type memory struct {
	arena, scratch []float32
	buffers        buffers // of its stage, kept here so that a run allocates nothing
}

func newRun(p *Plan, batchBuffers int) *execution {
	return &execution{plan: p, memories: make([]memory, p.threads), batch: make([][]float32, batchBuffers)}
}

// memoryFor returns a thread's memory. Only that thread may call it.
func (r *execution) memoryFor(thread int) *memory {
	m := &r.memories[thread]
	if m.arena == nil {
		m.arena = make([]float32, r.plan.arenaLen)
		m.scratch = make([]float32, r.plan.scratchLen)
	}
	return m
}

// execute computes n images: the image part one by one, then the batch part.
func (r *execution) execute(ctx context.Context, t *team, input, output []float32, n int) error {
	p := r.plan
	r.ctx, r.input, r.output = ctx, input, output
	defer func() { r.ctx, r.input, r.output, r.stage, r.buffers = nil, nil, nil, nil, buffers{} }()
	for _, s := range p.values {
		if s.place == inBatch && len(r.batch[s.offset]) < n*s.length {
			r.batch[s.offset] = make([]float32, n*s.length)
		}
	}
	if p.batchStart > 0 {
		whole := 0 // images that are computed by one thread each
		if p.threads > 1 && n >= p.threads {
			whole = n - n%p.threads
			r.wholeImages = true
			t.runTasks(r, whole)
			r.wholeImages = false
		}
		for image := whole; image < n; image++ {
			for i := range p.stages[:p.batchStart] {
				s := &p.stages[i]
				r.stage, r.buffers = s, r.imageBuffers(s, image, r.memoryFor(0))
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.runTasks(t, i, s.tasks.count)
			}
		}
	}
	for i := p.batchStart; i < len(p.stages); i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s := &p.stages[i]
		r.stage, r.buffers = s, buffers{n: n, tasks: s.divide(n, p.threads)}
		r.buffers.in, r.buffers.out = r.batchValue(s.in, n), r.batchValue(s.out, n)
		if s.second >= 0 {
			r.buffers.second = r.batchValue(s.second, n)
		}
		r.runTasks(t, i, r.buffers.tasks.count)
	}
	return ctx.Err()
}

// doTask computes one task of the team.
func (r *execution) doTask(task, thread int) {
	m := r.memoryFor(thread)
	if !r.wholeImages {
		m.buffers = r.buffers
		m.buffers.scratch = m.scratch
		r.stage.computeTask(&m.buffers, task)
		return
	}
	for i := range r.plan.stages[:r.plan.batchStart] {
		if r.ctx.Err() != nil {
			return
		}
		s := &r.plan.stages[i]
		m.buffers = r.imageBuffers(s, task, m)
		for j := range s.tasks.count {
			s.computeTask(&m.buffers, j)
		}
	}
}

// imageBuffers returns the slices of a stage's values for one image.
func (r *execution) imageBuffers(s *stage, image int, m *memory) buffers {
	b := buffers{
		n: 1, in: r.imageValue(s.in, image, m), out: r.imageValue(s.out, image, m),
		tasks: s.tasks, scratch: m.scratch,
	}
	if s.second >= 0 {
		b.second = r.imageValue(s.second, image, m)
	}
	return b
}

// imageValue returns a value of one image.
func (r *execution) imageValue(value, image int, m *memory) []float32 {
	s := r.plan.values[value]
	switch s.place {
	case inInput:
		return r.input[image*s.length:][:s.length]
	case inOutput:
		return r.output[image*s.length:][:s.length]
	case inBatch:
		return r.batch[s.offset][image*s.length:][:s.length]
	}
	return m.arena[s.offset:][:s.length]
}

// batchValue returns a value of all n images.
func (r *execution) batchValue(value, n int) []float32 {
	s := r.plan.values[value]
	switch s.place {
	case inInput:
		return r.input
	case inOutput:
		return r.output
	}
	return r.batch[s.offset][:n*s.length]
}
