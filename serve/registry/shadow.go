package registry

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"garb/serve/engine"
)

// shadower lets the shadow version of a model classify pictures that other versions have answered, one
// at a time. A picture that comes while one is being classified, or while the service processes others,
// is dropped: clients need the cores.
type shadower struct {
	registry *Registry
	name     string
	rule     Shadow

	busy   atomic.Bool // from taking a picture until its end
	jobs   chan shadowJob
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
}

// shadowJob is a picture for a shadow version.
type shadowJob struct {
	shadow  *Version
	release func()
	picture []byte // encoded; nil if input is set
	input   []float32
	class   string // of the version that the client has its answer from
}

// startShadower starts the shadow version of a model. The caller ends it with stop.
func startShadower(m *Registry, name string, rule Shadow) *shadower {
	ctx, cancel := context.WithCancel(context.Background())
	s := &shadower{
		registry: m, name: name, rule: rule, jobs: make(chan shadowJob, 1), ctx: ctx, cancel: cancel,
		ended: make(chan struct{}),
	}
	go s.work()
	return s
}

// stop ends the shadower after its current picture.
func (s *shadower) stop() {
	s.cancel()
	<-s.ended
}

// observer returns the function that observes the answers of a version, nil if there is nothing to
// compare them with.
func (s *shadower) observer(v *Version) func(engine.Sample) {
	if s == nil || v.Number == s.rule.Version {
		return nil
	}
	return func(sample engine.Sample) {
		if s.rule.Share < 1 && rand.Float64() >= s.rule.Share {
			return
		}
		if !s.take(v, sample) {
			s.registry.metrics.CountShadowDropped(s.name)
		}
	}
}

// take passes a copy of a sample to the worker, unless that or the service is busy.
func (s *shadower) take(v *Version, sample engine.Sample) bool {
	if sample.Others > 0 || !s.busy.CompareAndSwap(false, true) {
		return false
	}
	shadow, release, ok := s.acquire()
	if !ok {
		s.busy.Store(false)
		return false
	}
	job := shadowJob{shadow: shadow, release: release, class: sample.Answer.Predictions[0].Class}
	switch {
	case shadow.Spec() == v.Spec():
		job.input = slices.Clone(sample.Input)
	case sample.Picture != nil:
		job.picture = slices.Clone(sample.Picture)
	default: // values of a size that the shadow version does not take
		release()
		s.busy.Store(false)
		return false
	}
	s.jobs <- job // there is room: one job exists at a time
	if s.ctx.Err() != nil {
		s.discard() // the worker may have ended before
	}
	return true
}

// acquire returns the shadow version if it is loaded.
func (s *shadower) acquire() (*Version, func(), bool) {
	m := s.registry
	m.mu.RLock()
	defer m.mu.RUnlock()
	model := m.models[s.name]
	if model == nil || model.versions[s.rule.Version] == nil {
		return nil, nil, false
	}
	v := model.versions[s.rule.Version]
	return v, v.Use(), true
}

// work classifies pictures until the shadower is stopped.
func (s *shadower) work() {
	defer close(s.ended)
	for {
		select {
		case <-s.ctx.Done():
			s.discard()
			return
		case job := <-s.jobs:
			s.compare(job)
			job.release()
			s.busy.Store(false)
		}
	}
}

// discard releases the version that a waiting picture uses.
func (s *shadower) discard() {
	select {
	case job := <-s.jobs:
		job.release()
	default:
	}
}

// compare classifies a picture and counts whether the class is the same.
func (s *shadower) compare(job shadowJob) {
	input := job.input
	if input == nil {
		input = make([]float32, job.shadow.Spec().ValueCount())
		if _, err := job.shadow.Spec().Load(s.ctx, job.picture, s.registry.engines.Limits, input); err != nil {
			s.registry.metrics.CountShadowDropped(s.name)
			return
		}
	}
	answer, err := job.shadow.Run(s.ctx, input)
	if err != nil {
		s.registry.metrics.CountShadowDropped(s.name)
		return
	}
	s.registry.metrics.CountShadow(s.name, answer.Predictions[0].Class == job.class)
}
