package nn

import (
	"context"
	"time"
)

// run is the memory of one Plan.Run: reused by later ones.
type run struct {
	plan    *Plan
	threads []memory    // one for each thread; the first is that of the caller
	batch   [][]float32 // values of all images, see inBatch

	// The work at hand: what a task of the team is.
	ctx           context.Context
	input, output []float32
	wholeImages   bool // a task is an image; otherwise a piece of a step
	step          *step
	buffers       buffers

	measured []time.Duration // that each step took, if it is wanted: see Profile
}

// work lets the team do the step at hand.
func (r *run) work(t *team, step, tasks int) {
	if r.measured == nil {
		t.work(r, tasks)
		return
	}
	began := time.Now()
	t.work(r, tasks)
	r.measured[step] = time.Since(began)
}

// memory is what one thread works in.
type memory struct {
	arena, scratch []float32
	buffers        buffers // of its step, here so that no run allocates them
}

func newRun(p *Plan, batchBuffers int) *run {
	return &run{plan: p, threads: make([]memory, p.threads), batch: make([][]float32, batchBuffers)}
}

// memoryOf returns a thread's memory; only that thread may ask for it.
func (r *run) memoryOf(thread int) *memory {
	m := &r.threads[thread]
	if m.arena == nil {
		m.arena = make([]float32, r.plan.arenaLen)
		m.scratch = make([]float32, r.plan.scratchLen)
	}
	return m
}

// all computes n images: the image part for each, then the batch part.
func (r *run) all(ctx context.Context, t *team, input, output []float32, n int) error {
	p := r.plan
	r.ctx, r.input, r.output = ctx, input, output
	defer func() { r.ctx, r.input, r.output, r.step, r.buffers = nil, nil, nil, nil, buffers{} }()
	for _, s := range p.values {
		if s.place == inBatch && len(r.batch[s.offset]) < n*s.length {
			r.batch[s.offset] = make([]float32, n*s.length)
		}
	}
	if p.batchStart > 0 {
		whole := 0 // images that threads take whole
		if p.threads > 1 && n >= p.threads {
			whole = n - n%p.threads
			r.wholeImages = true
			t.work(r, whole)
			r.wholeImages = false
		}
		for image := whole; image < n; image++ {
			for i := range p.steps[:p.batchStart] {
				s := &p.steps[i]
				r.step, r.buffers = s, r.imageBuffers(s, image, r.memoryOf(0))
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.work(t, i, s.tasks.count)
			}
		}
	}
	for i := p.batchStart; i < len(p.steps); i++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s := &p.steps[i]
		r.step, r.buffers = s, buffers{n: n, tasks: s.cut(n, p.threads)}
		r.buffers.in, r.buffers.out = r.whole(s.in, n), r.whole(s.out, n)
		if s.second >= 0 {
			r.buffers.second = r.whole(s.second, n)
		}
		r.work(t, i, r.buffers.tasks.count)
	}
	return ctx.Err()
}

// do is one task of the team.
func (r *run) do(task, thread int) {
	m := r.memoryOf(thread)
	if !r.wholeImages {
		m.buffers = r.buffers
		m.buffers.scratch = m.scratch
		r.step.do(&m.buffers, task)
		return
	}
	for i := range r.plan.steps[:r.plan.batchStart] {
		if r.ctx.Err() != nil {
			return
		}
		s := &r.plan.steps[i]
		m.buffers = r.imageBuffers(s, task, m)
		for j := range s.tasks.count {
			s.do(&m.buffers, j)
		}
	}
}

// imageBuffers are the slices of a step's values for one image.
func (r *run) imageBuffers(s *step, image int, m *memory) buffers {
	b := buffers{n: 1, tasks: s.tasks, in: r.one(s.in, image, m), out: r.one(s.out, image, m), scratch: m.scratch}
	if s.second >= 0 {
		b.second = r.one(s.second, image, m)
	}
	return b
}

// one is a value of one image.
func (r *run) one(value, image int, m *memory) []float32 {
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

// whole is a value of all n images.
func (r *run) whole(value, n int) []float32 {
	s := r.plan.values[value]
	switch s.place {
	case inInput:
		return r.input
	case inOutput:
		return r.output
	}
	return r.batch[s.offset][:n*s.length]
}
