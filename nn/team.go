package nn

import (
	"runtime"
	"sync/atomic"
)

// team is the threads of one run: the caller and its helpers, goroutines that
// live as long as the run. Between two stages they spin, since a stage takes about
// ten microseconds and sleeping and waking would take as long.
//
// A helper that the scheduler starts late misses work but never delays it: the
// caller waits for tasks that were taken, not for helpers.
type team struct {
	// tickets says which tasks there are, in one word so that taking one is a single
	// compare-and-swap: the number of the job (24 bits; 0: none, all ones: the end), the number of
	// its tasks (20 bits) and the next task (20 bits).
	tickets atomic.Uint64
	done    atomic.Int64 // tasks of this job that are finished
	job     uint64
	worker  worker

	helpers []helper
	started bool
}

// worker has tasks.
type worker interface {
	// doTask computes one task. Threads are numbered from 0, the caller.
	doTask(task, thread int)
}

const (
	taskBits = 20
	taskMask = 1<<taskBits - 1
	endOfRun = 1<<24 - 1
)

type helper struct {
	state atomic.Int32
	start func() // of the helper's goroutine; created once, so that starting it allocates nothing
}

// The states of a helper within a run.
const (
	idle int32 = iota
	invited
	joined
	left
	dismissed // before it joined
)

// busy counts the helpers of all runs. There are never more than spare cores: under load each run
// has one core and no helpers.
var busy atomic.Int32

func newTeam(threads int) *team {
	t := &team{helpers: make([]helper, threads-1)}
	for i := range t.helpers {
		t.helpers[i].start = func() { t.help(i) }
	}
	return t
}

// runTasks computes the tasks [0,count) of w with the helpers and returns when all are done.
func (t *team) runTasks(w worker, count int) {
	if count == 1 || len(t.helpers) == 0 {
		for i := range count {
			w.doTask(i, 0)
		}
		return
	}
	if count > taskMask {
		panic("nn: too many tasks in one step")
	}
	if !t.started {
		t.started = true
		t.worker = w
		t.invite()
	}
	t.job++
	if t.job == endOfRun {
		t.job = 1
	}
	t.done.Store(0)
	t.tickets.Store(t.job<<(2*taskBits) | uint64(count)<<taskBits)
	for {
		word := t.tickets.Load()
		next := word & taskMask
		if next == uint64(count) {
			break
		}
		if t.tickets.CompareAndSwap(word, word+1) {
			w.doTask(int(next), 0)
			t.done.Add(1)
		}
	}
	for spins := 0; t.done.Load() != int64(count); spins++ {
		wait(spins)
	}
}

func (t *team) invite() {
	spare := int32(runtime.GOMAXPROCS(0)) - 1
	for i := range t.helpers {
		if busy.Add(1) > spare {
			busy.Add(-1)
			return
		}
		t.helpers[i].state.Store(invited)
		go t.helpers[i].start()
	}
}

// help runs a helper: it joins, takes tasks until the end of the run, and leaves.
func (t *team) help(index int) {
	defer busy.Add(-1)
	h := &t.helpers[index]
	if !h.state.CompareAndSwap(invited, joined) {
		return
	}
	defer h.state.Store(left)
	for spins := 0; ; {
		word := t.tickets.Load()
		job, count, next := word>>(2*taskBits), word>>taskBits&taskMask, word&taskMask
		switch {
		case job == endOfRun:
			return
		case next == count:
			wait(spins)
			spins++
		case t.tickets.CompareAndSwap(word, word+1):
			t.worker.doTask(int(next), index+1)
			t.done.Add(1)
			spins = 0
		}
	}
}

// disband ends the run for the helpers and waits until those that joined have left. It reports
// whether the team can be used again: not if a helper was never scheduled, which still refers to
// it.
func (t *team) disband() bool {
	if !t.started {
		return true
	}
	t.tickets.Store(endOfRun << (2 * taskBits))
	reusable := true
	for i := range t.helpers {
		h := &t.helpers[i]
		if h.state.CompareAndSwap(invited, dismissed) {
			reusable = false
			continue
		}
		for spins := 0; h.state.Load() == joined; spins++ {
			wait(spins)
		}
		h.state.Store(idle)
	}
	t.tickets.Store(0)
	t.worker, t.started = nil, false
	return reusable
}
