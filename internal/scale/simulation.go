package scale

import (
	"container/heap"
	"math/rand/v2"
)

// step is what happens to a batch or a worker at an event.
type step int

const (
	request  step = iota // a worker with a free place asks for a batch
	delivery             // the batch has been put: the server delivers it
	fetch                // the batch has arrived: its pictures are fetched
	compute              // the pictures are there: they are classified
	publish              // the results are sent, and the batch is acknowledged
	finished             // the server has stored the results
	loss                 // the worker is lost
	revival              // its replacement starts to work
	returned             // the server delivers the batch of a lost worker again
)

// event is a step at a time, in seconds.
type event struct {
	at     float64
	step   step
	worker int
	life   int // of the worker: events of a lost worker are void
	batch  int
}

// events is a heap, earliest first. Ties are broken by worker and batch, so that the order does not
// depend on the heap.
type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e events) Less(i, j int) bool {
	switch {
	case e[i].at != e[j].at:
		return e[i].at < e[j].at
	case e[i].worker != e[j].worker:
		return e[i].worker < e[j].worker
	}
	return e[i].batch < e[j].batch
}
func (e *events) Push(x any) { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// server is a resource that serves one request after another.
type server struct{ free, busy float64 }

// serve returns when a request of a duration that arrives at a time is done.
func (s *server) serve(arrival, duration float64) float64 {
	s.free = max(s.free, arrival) + duration
	s.busy += duration
	return s.free
}

// worker is a process with its cores, which compute one batch at a time.
type worker struct {
	cores server
	life  int
	held  map[int]bool // batches; nil unless workers are lost
}

// simulation is the state of a run.
type simulation struct {
	plan    Plan
	rates   Rates
	random  *rand.Rand
	now     float64
	events  events
	batches int
	next    int   // the first batch that was never delivered
	again   []int // batches to deliver again
	waiting []event
	queue   server
	store   server
	workers []worker

	acknowledged, deliveries, lost int
	computing                      float64 // time in which workers classify
}

func newSimulation(p Plan, r Rates, seed uint64) *simulation {
	s := &simulation{plan: p, rates: r, random: rand.New(rand.NewPCG(seed, 0)),
		batches: (p.Pictures + p.Batch - 1) / p.Batch, workers: make([]worker, p.Workers)}
	for w := range s.workers {
		s.start(w)
	}
	return s
}

// start lets a worker begin: it starts up, and then asks for as many batches as it holds.
func (s *simulation) start(w int) {
	life := s.workers[w].life
	s.workers[w].cores.free = s.now + s.rates.WorkerStart
	for range s.plan.Ahead {
		s.add(event{at: s.now + s.rates.WorkerStart, step: request, worker: w, life: life})
	}
	if s.plan.LossesPerHour > 0 {
		s.workers[w].held = map[int]bool{}
		lasts := s.random.ExpFloat64() * 3600 / s.plan.LossesPerHour
		s.add(event{at: s.now + lasts, step: loss, worker: w, life: life})
	}
}

func (s *simulation) add(e event) { heap.Push(&s.events, e) }

// size returns the number of pictures in a batch; the last one may have fewer.
func (s *simulation) size(batch int) int {
	return min(s.plan.Batch, s.plan.Pictures-batch*s.plan.Batch)
}

// putAt returns when a batch has been put in the queue.
func (s *simulation) putAt(batch int) float64 {
	return float64(min((batch+1)*s.plan.Batch, s.plan.Pictures)) * s.rates.PutPicture
}

// handle does what an event says.
func (s *simulation) handle(e event) {
	if e.step == returned {
		s.again = append(s.again, e.batch)
		s.wake()
		return
	}
	w := &s.workers[e.worker]
	if e.step == revival {
		s.start(e.worker)
		return
	}
	if e.life != w.life {
		return
	}
	size := float64(s.size(e.batch))
	switch e.step {
	case request:
		s.deliver(e)
	case delivery:
		s.add(e.moved(s.queue.serve(s.now, s.rates.QueueBatch/2), fetch))
	case fetch:
		served := s.store.serve(s.now, size*s.rates.StorePicture)
		rounds := (s.size(e.batch) + s.plan.Readers - 1) / s.plan.Readers
		s.add(e.moved(max(served, s.now+float64(rounds)*s.rates.StoreLatency), compute))
	case compute:
		duration := size * s.rates.PictureCPU / float64(s.plan.Cores)
		s.computing += duration
		s.add(e.moved(w.cores.serve(s.now, duration), publish))
	case publish:
		s.add(e.moved(s.queue.serve(s.now, s.rates.QueueBatch/2), finished))
	case finished:
		s.acknowledge(e)
	case loss:
		s.lose(e.worker)
	}
}

// moved returns the event at another time and with another step.
func (e event) moved(at float64, next step) event {
	e.at, e.step = at, next
	return e
}

// deliver gives the worker that asks a batch, as soon as one has been put.
func (s *simulation) deliver(e event) {
	at := s.now
	switch {
	case len(s.again) > 0:
		e.batch = s.again[0]
		s.again = s.again[1:]
	case s.next < s.batches:
		e.batch = s.next
		at = max(at, s.putAt(s.next))
		s.next++
	default:
		s.waiting = append(s.waiting, e)
		return
	}
	s.deliveries++
	if held := s.workers[e.worker].held; held != nil {
		held[e.batch] = true
	}
	s.add(e.moved(at, delivery))
}

// wake lets a worker that waits for a batch ask again.
func (s *simulation) wake() {
	for len(s.waiting) > 0 {
		e := s.waiting[len(s.waiting)-1]
		s.waiting = s.waiting[:len(s.waiting)-1]
		if e.life == s.workers[e.worker].life {
			s.add(e.moved(s.now, request))
			return
		}
	}
}

// acknowledge counts a batch whose results are stored, and lets the worker ask for the next.
func (s *simulation) acknowledge(e event) {
	s.acknowledged++
	delete(s.workers[e.worker].held, e.batch)
	s.add(e.moved(s.now, request))
}

// lose ends a worker. What it held is delivered again after a delay.
func (s *simulation) lose(w int) {
	s.lost++
	lost := &s.workers[w]
	lost.life++
	for batch := range lost.held {
		s.add(event{at: s.now + s.rates.RedeliveryDelay, step: returned, batch: batch})
	}
	lost.held = nil
	s.add(event{at: s.now, step: revival, worker: w})
}

// result sums up a run that has ended.
func (s *simulation) result() Result {
	put := float64(s.plan.Pictures) * s.rates.PutPicture
	r := Result{
		Seconds: s.now, GetSeconds: float64(s.plan.Pictures) * s.rates.GetPicture,
		CoreHours:  s.now * float64(s.plan.Workers*s.plan.Cores) / 3600,
		Deliveries: s.deliveries, Batches: s.batches, Lost: s.lost,
		Use: Use{Put: put / s.now, Queue: s.queue.busy / s.now, Store: s.store.busy / s.now,
			Cores: s.computing / s.now / float64(s.plan.Workers)},
	}
	for _, u := range []struct {
		name  string
		share float64
	}{{Cores, r.Use.Cores}, {Store, r.Use.Store}, {Queue, r.Use.Queue}, {Put, r.Use.Put}} {
		if u.share > r.Utilization {
			r.Bottleneck, r.Utilization = u.name, u.share
		}
	}
	return r
}
