// Package scale predicts how long many workers take to classify many pictures from a work queue,
// what that costs, and which resource holds them up. It simulates every batch: how it waits for the
// queue's server, for the object store and for the worker's cores, and how it is delivered again
// when its worker is lost.
package scale

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
)

// Rates says how fast the parts of the system are. Times are in seconds.
type Rates struct {
	PictureCPU      float64 `json:"picture_cpu"`      // of one core: reading, decoding and classifying one picture
	PutPicture      float64 `json:"put_picture"`      // of one process that lists a picture and puts it in the queue
	GetPicture      float64 `json:"get_picture"`      // of one process that reads one picture's result
	QueueBatch      float64 `json:"queue_batch"`      // of the server: delivery, results, acknowledgement
	StorePicture    float64 `json:"store_picture"`    // of the whole store: the inverse of its requests a second
	StoreLatency    float64 `json:"store_latency"`    // from a request to the whole picture
	WorkerStart     float64 `json:"worker_start"`     // from the start of a machine to its first batch
	RedeliveryDelay float64 `json:"redelivery_delay"` // from the loss of a worker to the next delivery of its batches
}

// Plan says how many pictures are classified, and by what.
type Plan struct {
	Pictures int
	Workers  int // processes, each on a machine of its own
	Cores    int // of each worker
	Batch    int // pictures in a message
	Ahead    int // batches that a worker holds at a time: one is computed while others are fetched
	Readers  int // pictures that a worker fetches at a time
	// LossesPerHour is how often one worker is lost, as a spot machine is. Losses are random, and a
	// lost worker is replaced at once; the replacement takes Rates.WorkerStart.
	LossesPerHour float64
}

// Use is the share of the time, from 0 to 1, in which a resource is busy.
type Use struct {
	Put, Queue, Store, Cores float64
}

// Result says how a plan went.
type Result struct {
	Seconds     float64 // from the first put to the last acknowledgement
	GetSeconds  float64 // for reading all results afterwards
	CoreHours   float64 // of all workers, idle time included
	Deliveries  int     // of batches; more than Batches if workers are lost
	Batches     int
	Lost        int // workers
	Use         Use
	Bottleneck  string // put, queue, store or cores: the resource with the highest use
	Utilization float64
}

// Names of resources, as in Result.Bottleneck.
const (
	Put   = "put"
	Queue = "queue"
	Store = "store"
	Cores = "cores"
)

// Validate returns an error that says which value of a plan makes no sense.
func (p Plan) Validate() error {
	for _, v := range []struct {
		name  string
		value int
	}{
		{"pictures", p.Pictures}, {"workers", p.Workers}, {"cores", p.Cores}, {"batch", p.Batch},
		{"ahead", p.Ahead}, {"readers", p.Readers},
	} {
		if v.value < 1 {
			return fmt.Errorf("%s: %d: it must be at least 1", v.name, v.value)
		}
	}
	if !(p.LossesPerHour >= 0) || math.IsInf(p.LossesPerHour, 0) {
		return fmt.Errorf("losses per hour: %g: it must be 0 or a positive number", p.LossesPerHour)
	}
	return nil
}

// Validate returns an error that says which rate makes no sense.
func (r Rates) Validate() error {
	for _, v := range []struct {
		name  string
		value float64
	}{
		{"picture_cpu", r.PictureCPU}, {"put_picture", r.PutPicture}, {"get_picture", r.GetPicture},
		{"queue_batch", r.QueueBatch}, {"store_picture", r.StorePicture}, {"store_latency", r.StoreLatency},
		{"worker_start", r.WorkerStart}, {"redelivery_delay", r.RedeliveryDelay},
	} {
		if !(v.value >= 0) || math.IsInf(v.value, 0) {
			return fmt.Errorf("%s: %g: it must be a time in seconds", v.name, v.value)
		}
	}
	if r.PictureCPU == 0 {
		return errors.New("picture_cpu: it must be above 0")
	}
	return nil
}

// Simulate runs a plan to its end. The same seed gives the same losses. The work grows with the
// number of batches: about a second for a million. It returns an error if a value of the plan or of
// the rates makes no sense, or if workers are lost faster than they finish batches.
func Simulate(p Plan, r Rates, seed uint64) (Result, error) {
	if err := errors.Join(p.Validate(), r.Validate()); err != nil {
		return Result{}, err
	}
	s := newSimulation(p, r, seed)
	for s.acknowledged < s.batches {
		if s.deliveries+s.lost > maxAttempts*(s.batches+p.Workers) {
			return Result{}, fmt.Errorf("after %d deliveries and the loss of %d workers only %d of %d batches are "+
				"done: workers are lost before they finish a batch; make batches smaller",
				s.deliveries, s.lost, s.acknowledged, s.batches)
		}
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		s.handle(e)
	}
	return s.result(), nil
}

// maxAttempts ends a simulation that would never end: deliveries and losses for each batch and
// worker, on average.
const maxAttempts = 50
