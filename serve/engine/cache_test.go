package engine_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"garb/serve/engine"
	"garb/serve/enginetest"
	"garb/serve/observe"
)

// Pictures of one pixel, light and dark.
const (
	light = "GIF89a\x01\x00\x01\x00\x80\x01\x00\xff\xff\xff\x00\x00\x00" +
		",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
	dark = "GIF89a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00\x00\x00\x00" +
		",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

// served is a model in an engine of its own.
type served struct {
	*enginetest.Model
	engine    *engine.Engine
	scheduler *engine.Scheduler
}

func serve(t *testing.T, m *enginetest.Model, cacheBytes int64) served {
	t.Helper()
	c := engine.DefaultConfig()
	c.Workers, c.CacheBytes = 1, cacheBytes
	metrics := observe.NewMetrics(func() float64 { return 0 })
	e := engine.New("m", m, c, metrics)
	t.Cleanup(e.Retire)
	if err := e.WarmUp(t.Context(), make([]float32, m.Spec().ValueCount())); err != nil {
		t.Fatal(err)
	}
	return served{m, e, engine.NewScheduler(c, metrics)}
}

// ask returns the answer about a picture, and how many batches it took.
func (s served) ask(t *testing.T, picture string, o engine.Options) (*engine.Answer, int) {
	t.Helper()
	before := len(s.BatchSizes())
	answers, errs, err := s.scheduler.Classify(t.Context(), s.engine, [][]byte{[]byte(picture)}, o)
	if err != nil || errs[0] != nil {
		t.Fatal(err, errs)
	}
	return answers[0], len(s.BatchSizes()) - before
}

// TestCache checks that a picture is computed once for each model and each class that is explained, that
// thresholds apply to answers from the cache, and that those have no times.
func TestCache(t *testing.T) {
	s := serve(t, &enginetest.Model{Judging: true}, 1<<20)
	half, none := 0.5, 0.0
	for _, c := range []struct {
		name     string
		picture  string
		options  engine.Options
		computed int
		class    string
		accepted bool
	}{
		{"first", dark, engine.Options{}, 1, "dark", true},
		{"again", dark, engine.Options{}, 0, "dark", true},
		{"another picture", light, engine.Options{}, 1, "light", false},
		{"with a threshold", light, engine.Options{Threshold: &none}, 0, "light", true},
		{"with another threshold", light, engine.Options{Threshold: &half}, 0, "light", false},
		{"without a threshold", light, engine.Options{}, 0, "light", false},
		{"a class without a map", light, engine.Options{Class: 1}, 0, "light", false},
		{"a map", light, engine.Options{Explain: true}, 1, "light", false},
		{"the same map", light, engine.Options{Explain: true}, 0, "light", false},
		{"the map of another class", light, engine.Options{Explain: true, Class: 1}, 1, "light", false},
	} {
		a, computed := s.ask(t, c.picture, c.options)
		if computed != c.computed || a.Predictions[0].Class != c.class || a.Accepted != c.accepted ||
			(a.Heat != nil) != c.options.Explain {
			t.Errorf("%s: %d batches, %s, accepted %v, map %v", c.name, computed, a.Predictions[0].Class, a.Accepted,
				a.Heat != nil)
		}
		if timed := a.Decode+a.Wait+a.Inference > 0; timed != (computed > 0) && runtime.GOOS != "windows" {
			t.Errorf("%s: times %v, %v, %v", c.name, a.Decode, a.Wait, a.Inference)
		}
	}
}

// TestCacheModels checks that models with different digests do not share answers.
func TestCacheModels(t *testing.T) {
	s := serve(t, &enginetest.Model{Label: "a"}, 1<<20)
	s.ask(t, light, engine.Options{})
	other := serve(t, &enginetest.Model{Label: "b"}, 0)
	other.scheduler = s.scheduler
	if _, computed := other.ask(t, light, engine.Options{}); computed != 1 {
		t.Errorf("%d batches", computed)
	}
}

// TestCacheSize checks that a cache keeps to its size, forgets what was not used for the longest time,
// and that 0 means none.
func TestCacheSize(t *testing.T) {
	pictures := func(n int) (all []string) {
		for i := range n {
			all = append(all, light+string(rune('a'+i))) // decoders ignore what follows
		}
		return all
	}(4)
	for _, c := range []struct {
		bytes int64
		want  []int // batches of the pictures 0, 1, 0, 2, 0, 1
	}{
		{0, []int{1, 1, 1, 1, 1, 1}},
		{100, []int{1, 1, 1, 1, 1, 1}},     // smaller than an answer
		{1600, []int{1, 1, 0, 1, 0, 1}},    // two answers
		{1 << 20, []int{1, 1, 0, 1, 0, 0}}, // all
	} {
		s := serve(t, &enginetest.Model{}, c.bytes)
		var have []int
		for _, i := range []int{0, 1, 0, 2, 0, 1} {
			_, computed := s.ask(t, pictures[i], engine.Options{})
			have = append(have, computed)
		}
		if !slices.Equal(have, c.want) {
			t.Errorf("%d bytes: %v batches, want %v", c.bytes, have, c.want)
		}
	}
}

// TestCacheErrors checks that a picture that fails is not kept.
func TestCacheErrors(t *testing.T) {
	s := serve(t, &enginetest.Model{}, 1<<20)
	for range 2 {
		_, errs, _ := s.scheduler.Classify(t.Context(), s.engine, [][]byte{[]byte("x")}, engine.Options{})
		if errs[0] == nil {
			t.Error("no picture is classified")
		}
	}
}

// TestCacheConcurrent lets many ask for the same few pictures at a time.
func TestCacheConcurrent(t *testing.T) {
	s := serve(t, &enginetest.Model{}, 1600)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			picture, want := light, "light"
			if i%2 == 0 {
				picture, want = dark, "dark"
			}
			answers, errs, err := s.scheduler.Classify(t.Context(), s.engine,
				[][]byte{[]byte(picture + string(rune('a'+i%3)))}, engine.Options{})
			if err != nil || errs[0] != nil || answers[0].Predictions[0].Class != want {
				t.Error(err, errs)
			}
		})
	}
	all.Wait()
}

// TestSharedCores checks that with one core no picture is decoded while a batch is computed.
func TestSharedCores(t *testing.T) {
	entered, open := make(chan struct{}, 2), make(chan struct{})
	warm := true
	s := serve(t, &enginetest.Model{OnOutputs: func(context.Context, []float32, []float32) error {
		if warm {
			warm = false
			return nil
		}
		entered <- struct{}{}
		<-open
		return nil
	}}, 0)
	c := engine.DefaultConfig()
	c.Workers, c.Decoders = 1, 1
	s.scheduler = engine.NewScheduler(c, observe.NewMetrics(func() float64 { return 0 }))
	var all sync.WaitGroup
	ask := func() { all.Go(func() { s.ask(t, light, engine.Options{}) }) }
	ask()
	<-entered
	ask()
	for s.scheduler.Depth() < 2 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // decoding would take less
	if n := s.engine.Waiting(); n != 0 {
		t.Errorf("%d pictures were decoded", n)
	}
	close(open)
	all.Wait()
}
