package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"garb/serve/engine"
	"garb/serve/enginetest"
)

// TestShadow: the shadow version classifies what others answer, is compared, and never answers.
func TestShadow(t *testing.T) {
	for text, agrees := range map[string]string{"same": "true", "other opposite": "false"} {
		folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", text)
		r := mustOpen(t, folder, nil, func(c *Config) { c.Shadows = map[string]Shadow{"m": {2, 1}} })
		if got := r.answering("m", ""); got != "one" {
			t.Errorf("%q answers", got)
		}
		classify(t, r, 1)
		counted := fmt.Sprintf("garb_shadow_total{agrees=%q,model=\"m\"}", agrees)
		for deadline := time.Now().Add(10 * time.Second); r.metric(counted) != "1"; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s is %q", text, counted, r.metric(counted))
			}
		}
		if got := r.metric(`garb_predictions_total{class="dark",model="m"}`); got != "1" {
			t.Errorf("%s predictions are counted", got)
		}
	}
}

// classify lets the version of m that answers classify n black pictures, given as values.
func classify(t *testing.T, r *testRegistry, n int) {
	t.Helper()
	s := engine.NewScheduler(engine.DefaultConfig(), r.metrics)
	for range n {
		v, release, err := r.Acquire("m", "", "")
		if err != nil {
			t.Fatal(err)
		}
		_, errs, err := s.Compute(t.Context(), v.Engine, make([]float32, enginetest.Spec.ValueCount()))
		if release(); err != nil || errs[0] != nil {
			t.Fatal(err, errs)
		}
	}
}

// TestShadowShare: the shadow version gets its share of the pictures.
func TestShadowShare(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two")
	r := mustOpen(t, folder, nil, func(c *Config) { c.Shadows = map[string]Shadow{"m": {2, 0.25}} })
	const n = 1000
	classify(t, r, n)
	r.Close() // after the last comparison
	taken := 0
	for _, name := range []string{
		`garb_shadow_total{agrees="true",model="m"}`, `garb_shadow_dropped_total{model="m"}`,
	} {
		count, _ := strconv.Atoi(r.metric(name))
		taken += count
	}
	// Five standard deviations of a binomial distribution are 69.
	if taken < n/4-69 || taken > n/4+69 {
		t.Errorf("the shadow version got %d of %d pictures", taken, n)
	}
}

// TestShadowIsDropped: while the shadow version is busy, pictures are dropped and nobody waits.
func TestShadowIsDropped(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two")
	r := mustOpen(t, folder, nil, func(c *Config) { c.Shadows = map[string]Shadow{"m": {2, 1}} })
	shadow := r.models["m"].versions[2]
	block, entered := make(chan struct{}), make(chan struct{}, 100)
	shadow.Classifier.(*enginetest.Model).OnOutputs = func(context.Context, []float32, []float32) error {
		entered <- struct{}{}
		<-block
		return nil
	}
	classify(t, r, 1)
	<-entered
	classify(t, r, 9)
	if got := r.metric(`garb_shadow_dropped_total{model="m"}`); got != "9" {
		t.Errorf("%s pictures were dropped", got)
	}
	close(block)
}

// TestConcurrentChanges: requests get an answer while versions come and go, and nothing is left over.
func TestConcurrentChanges(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "n/1/m.safetensors", "n")
	r := mustOpen(t, folder, nil, func(c *Config) {
		c.Control, c.Interval = true, time.Millisecond
		if err := errors.Join(c.AddPolicy("latest:2"), c.AddLabel("m:canary=2"), c.AddCanary("m=50%"),
			c.AddShadow("m=3:50%")); err != nil {
			t.Fatal(err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { r.Watch(ctx) })
	var answered atomic.Int64
	s := engine.NewScheduler(engine.DefaultConfig(), r.metrics)
	ask := func(id string) error {
		v, release, err := r.Acquire("m", "", id)
		if err != nil {
			return err
		}
		defer release()
		_, errs, err := s.Compute(t.Context(), v.Engine, make([]float32, enginetest.Spec.ValueCount()))
		answered.Add(1)
		return errors.Join(err, errors.Join(errs...))
	}
	for worker := range 4 {
		wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := ask(fmt.Sprint(worker, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 30 {
		draft := filepath.Join(t.TempDir(), "draft")
		write(t, draft, fmt.Sprint("three", i))
		path := filepath.Join(folder, "m", fmt.Sprint(3+i%3), "m.safetensors")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Rename(draft, path)); err != nil {
			t.Fatal(err)
		}
		_ = r.RollBack("m", 0) // fails if it is the last one
		_ = r.Unload("n")
		if err := r.Load("n"); err != nil {
			t.Error(err)
		}
		if err := r.Load("m"); err != nil {
			t.Error(err)
		}
		if _, err := r.Index(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wait.Wait()
	if answered.Load() == 0 {
		t.Error("no request was answered")
	}
	r.Close()
	if r.memory != 0 {
		t.Errorf("%d bytes are still counted", r.memory)
	}
}
