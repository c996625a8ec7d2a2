package scale

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rates are those of a fast machine beside a store in the same region.
var rates = Rates{PictureCPU: 0.01, PutPicture: 1e-5, GetPicture: 2e-5, QueueBatch: 2e-4, StorePicture: 1.0 / 5500,
	StoreLatency: 0.03, WorkerStart: 30, RedeliveryDelay: 60}

func simulate(t *testing.T, p Plan, r Rates) Result {
	t.Helper()
	found, err := Simulate(p, r, 1)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestBottleneck checks each resource where it is the slowest: the time is that resource's work, and
// little more.
func TestBottleneck(t *testing.T) {
	for _, c := range []struct {
		name    string
		plan    Plan
		change  func(*Rates)
		seconds float64
	}{
		{Cores, Plan{Pictures: 64_000, Workers: 10, Cores: 4, Batch: 32, Ahead: 2, Readers: 16},
			func(*Rates) {}, 16 + 30},
		{Store, Plan{Pictures: 640_000, Workers: 100, Cores: 4, Batch: 32, Ahead: 4, Readers: 32},
			func(r *Rates) { r.WorkerStart = 0 }, 640_000 / 5500.0},
		{Queue, Plan{Pictures: 64_000, Workers: 100, Cores: 16, Batch: 1, Ahead: 8, Readers: 8},
			func(r *Rates) { r.WorkerStart, r.StorePicture = 0, 0 }, 64_000 * 2e-4},
		{Put, Plan{Pictures: 640_000, Workers: 100, Cores: 16, Batch: 32, Ahead: 8, Readers: 32},
			func(r *Rates) { r.WorkerStart, r.PutPicture = 0, 1e-3 }, 640},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rates
			c.change(&r)
			found := simulate(t, c.plan, r)
			if found.Seconds < c.seconds || found.Seconds > 1.06*c.seconds {
				t.Errorf("it took %.2f s; the work of %s is %.2f s", found.Seconds, c.name, c.seconds)
			}
			if c.name != Cores && found.Bottleneck != c.name { // while the workers start, their cores are idle
				t.Errorf("the bottleneck is %s (%+v), not %s", found.Bottleneck, found.Use, c.name)
			}
		})
	}
}

// TestStartAndLatency checks a single picture on one worker, where times only add up.
func TestStartAndLatency(t *testing.T) {
	found := simulate(t, Plan{Pictures: 1, Workers: 1, Cores: 2, Batch: 32, Ahead: 2, Readers: 8}, rates)
	want := rates.WorkerStart + rates.QueueBatch + rates.StoreLatency + rates.PictureCPU/2
	if math.Abs(found.Seconds-want) > 1e-9 {
		t.Errorf("one picture took %v s, not %v", found.Seconds, want)
	}
	if found.Deliveries != 1 || found.Batches != 1 || found.Lost != 0 || found.CoreHours != found.Seconds*2/3600 {
		t.Errorf("got %+v", found)
	}
}

// TestReaders checks that a worker that fetches one picture at a time waits for each.
func TestReaders(t *testing.T) {
	p := Plan{Pictures: 320, Workers: 1, Cores: 1, Batch: 32, Ahead: 1, Readers: 1}
	r := rates
	r.WorkerStart = 0
	found := simulate(t, p, r)
	if want := 320 * (r.StoreLatency + r.PictureCPU); found.Seconds < want || found.Seconds > want+0.01 {
		t.Errorf("it took %v s, not %v", found.Seconds, want)
	}
	p.Readers, p.Ahead = 32, 2
	if found = simulate(t, p, r); found.Seconds > 320*r.PictureCPU+0.1 {
		t.Errorf("fetched ahead, it took %v s", found.Seconds)
	}
}

// TestLosses loses workers often: every batch is done all the same, some of them again.
func TestLosses(t *testing.T) {
	p := Plan{Pictures: 640_000, Workers: 20, Cores: 2, Batch: 64, Ahead: 2, Readers: 16, LossesPerHour: 20}
	with := simulate(t, p, rates)
	p.LossesPerHour = 0
	without := simulate(t, p, rates)
	if with.Lost == 0 || with.Deliveries <= with.Batches || without.Deliveries != without.Batches || without.Lost != 0 {
		t.Errorf("with losses: %+v, without: %+v", with, without)
	}
	if with.Seconds <= without.Seconds {
		t.Errorf("losses cost no time: %v s and %v s", with.Seconds, without.Seconds)
	}
	if again := simulate(t, Plan{Pictures: 640_000, Workers: 20, Cores: 2, Batch: 64, Ahead: 2, Readers: 16,
		LossesPerHour: 20}, rates); again != with {
		t.Errorf("the same seed gave %+v, and then %+v", with, again)
	}
}

// TestLastWorkerLost loses the only worker in the middle of its batches, while nobody else waits.
func TestLastWorkerLost(t *testing.T) {
	p := Plan{Pictures: 2000, Workers: 1, Cores: 1, Batch: 100, Ahead: 2, Readers: 8, LossesPerHour: 300}
	r := rates
	r.WorkerStart = 1
	if found := simulate(t, p, r); found.Lost == 0 || found.Batches != 20 {
		t.Errorf("got %+v", found)
	}
}

func TestRefused(t *testing.T) {
	good := Plan{Pictures: 10, Workers: 1, Cores: 1, Batch: 1, Ahead: 1, Readers: 1}
	for _, c := range []struct {
		change func(*Plan, *Rates)
		want   string
	}{
		{func(p *Plan, _ *Rates) { p.Pictures = 0 }, "pictures: 0"},
		{func(p *Plan, _ *Rates) { p.Workers = -1 }, "workers: -1"},
		{func(p *Plan, _ *Rates) { p.LossesPerHour = math.NaN() }, "losses per hour: NaN"},
		{func(_ *Plan, r *Rates) { r.PictureCPU = 0 }, "picture_cpu: it must be above 0"},
		{func(_ *Plan, r *Rates) { r.QueueBatch = math.Inf(1) }, "queue_batch: +Inf"},
		{func(_ *Plan, r *Rates) { r.StoreLatency = -1 }, "store_latency: -1"},
		{func(p *Plan, r *Rates) { p.Batch, p.LossesPerHour, r.PictureCPU = 10, 3600, 1e3 }, "make batches smaller"},
	} {
		p, r := good, rates
		c.change(&p, &r)
		if _, err := Simulate(p, r, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, not an error with %q", err, c.want)
		}
	}
}

// TestBounds checks what holds for every plan: no resource is busy for longer than the whole, and the
// time is at least the work of each and at most their sum.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Plan{
			Pictures: rapid.IntRange(1, 3000).Draw(t, "pictures"), Workers: rapid.IntRange(1, 20).Draw(t, "workers"),
			Cores: rapid.IntRange(1, 8).Draw(t, "cores"), Batch: rapid.IntRange(1, 70).Draw(t, "batch"),
			Ahead: rapid.IntRange(1, 4).Draw(t, "ahead"), Readers: rapid.IntRange(1, 20).Draw(t, "readers"),
		}
		r := rates
		r.WorkerStart = 0
		found, err := Simulate(p, r, 1)
		if err != nil {
			t.Fatal(err)
		}
		n, batches := float64(p.Pictures), float64(found.Batches)
		cores := n * r.PictureCPU / float64(p.Cores*p.Workers)
		least := max(cores, n*r.StorePicture, batches*r.QueueBatch, n*r.PutPicture)
		each := r.PictureCPU/float64(p.Cores) + r.StorePicture + r.StoreLatency + r.PutPicture
		most := n*each + batches*r.QueueBatch + 1e-9
		if found.Seconds < least-1e-9 || found.Seconds > most {
			t.Errorf("%+v took %v s, not between %v and %v", p, found.Seconds, least, most)
		}
		for name, share := range map[string]float64{Put: found.Use.Put, Queue: found.Use.Queue, Store: found.Use.Store,
			Cores: found.Use.Cores} {
			if share > 1+1e-9 {
				t.Errorf("%+v: %s is busy for %v of the time", p, name, share)
			}
		}
		if found.Deliveries != found.Batches {
			t.Errorf("%d deliveries of %d batches without losses", found.Deliveries, found.Batches)
		}
	})
}

func BenchmarkSimulate(b *testing.B) {
	for b.Loop() {
		p := Plan{Pictures: 6_400_000, Workers: 1000, Cores: 4, Batch: 64, Ahead: 2, Readers: 16}
		if _, err := Simulate(p, rates, 1); err != nil {
			b.Fatal(err)
		}
	}
}
