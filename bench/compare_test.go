package main

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain runs the tests, or as a process that they start, a worker or "garb classify".
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerArgument {
		if err := runWorker(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "classify" {
		if _, err := os.Stat(os.Args[2]); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// newTestBench returns a short run, which starts this program as its workers and as garb.
func newTestBench(t *testing.T) *bench {
	t.Helper()
	b, err := newBench(config{rows: regexp.MustCompile(""), rounds: 3, turn: time.Millisecond, starts: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.garb = b.self
	return b
}

func startTestWorker(t *testing.T, b *bench) *process {
	t.Helper()
	p, err := startWorker(t.Context(), 0, b.self, workerArgument)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

// TestCompareWorkers compares garb with itself on a picture.
func TestCompareWorkers(t *testing.T) {
	b := newTestBench(t)
	s := subject{Picture: smallPicture, Side: 32}
	if err := b.makeFiles(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	garb, peer := startTestWorker(t, b), startTestWorker(t, b)
	var r result
	if err := compareOutputs(garb, peer, s, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Same || r.Difference != 0 || r.Peer.Name != "garb" {
		t.Errorf("the outputs differ: %+v", r)
	}
	if err := b.timeWorkers(garb, peer, &r); err != nil {
		t.Fatal(err)
	}
	if r.Ratio <= 0 || r.Garb.Runs < b.rounds || r.Peer.Min <= 0 || r.Garb.Median > r.Garb.Max {
		t.Errorf("times %+v", r)
	}
}

// TestCompareOutputsErrors checks that a network which garb refuses is skipped if the row asks for
// that, and else an error.
func TestCompareOutputsErrors(t *testing.T) {
	b := newTestBench(t)
	worker := startTestWorker(t, b)
	for _, trainable := range []bool{false, true} {
		s := subject{Network: "none", File: filepath.Join(t.TempDir(), "none.onnx"), Trainable: trainable}
		err := compareOutputs(worker, worker, s, &result{})
		if skip := (*skipError)(nil); err == nil || errors.As(err, &skip) != trainable {
			t.Errorf("trainable %v: the error is %v", trainable, err)
		}
	}
}

// TestNetworkWorker runs and trains a network in a worker, with weights that another one exported.
func TestNetworkWorker(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it writes a network's weights")
	}
	b := newTestBench(t)
	worker := startTestWorker(t, b)
	for _, s := range []subject{
		{Architecture: "efficientnet-lite0", Side: 32, Batch: 2, Threads: 1},
		{Architecture: "efficientnet-lite0", Side: 32, Batch: 2, Threads: 1, Train: true},
	} {
		if err := b.makeFiles(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		if _, err := worker.ask(request{Op: "prepare", Subject: &s}); err != nil {
			t.Fatal(err)
		}
		answer, err := worker.ask(request{Op: "output"})
		if err != nil {
			t.Fatal(err)
		}
		want := 2 * 1000 // logits
		if s.Train {
			want = 1 // loss
		}
		if len(answer.Output) != want || math.IsNaN(float64(answer.Output[0])) {
			t.Errorf("%+v: %d values", s, len(answer.Output))
		}
	}
	s := subject{Architecture: "efficientnet-lite0", Side: 32, Batch: 1, Threads: 1}
	if err := b.makeFiles(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	answer, err := worker.ask(request{Op: "train", Subject: &s})
	if err != nil || answer.Parameters < 4_000_000 {
		t.Errorf("%d parameters, %v", answer.Parameters, err)
	}
}

// TestAlternate checks the order of the turns and the median of the ratios.
func TestAlternate(t *testing.T) {
	b := &bench{config: config{rounds: 3}}
	var order string
	measure := func(name string, medians ...float64) func() ([]float64, error) {
		return func() ([]float64, error) {
			order += name
			now := medians[0]
			medians = medians[1:]
			return []float64{now - 1, now, now + 7}, nil
		}
	}
	var r result
	if err := b.alternate(measure("g", 10, 20, 30), measure("p", 10, 10, 10), &r); err != nil {
		t.Fatal(err)
	}
	if order != "gppggp" || r.Ratio != 2 || r.Garb.Runs != 9 || r.Garb.Max != 37 || r.Peer.Median != 10 {
		t.Errorf("order %s, %+v", order, r)
	}
	fail := func() ([]float64, error) { return nil, errors.New("no") }
	if err := b.alternate(measure("g", 1, 2, 3), fail, &r); err == nil {
		t.Error("a failure of the peer is no error")
	}
}

func TestAbsentPeers(t *testing.T) {
	b := newTestBench(t)
	b.garb = filepath.Join(t.TempDir(), "none")
	b.python = b.garb
	t.Setenv("GARB_TORCH_PYTHON", "")
	for name, measure := range map[string]func(context.Context, *bench) (result, error){
		"cold": measureColdTime, "ready": measureReady, "latency": compareLatency(true),
		"throughput": compareThroughput, "service": comparePeer("a service"),
		"picture": measurePair(subject{Peer: "pillow", Picture: smallPicture, Side: 32}),
	} {
		if r, err := measure(t.Context(), b); err != nil || r.Skipped == "" {
			t.Errorf("%s: %+v, %v; want it skipped", name, r, err)
		}
	}
}

func TestMeasureCold(t *testing.T) {
	b := newTestBench(t)
	r, err := measureColdTime(t.Context(), b)
	if err != nil || r.Garb.Runs != b.starts || r.Garb.Min <= 0 || r.Unit != milliseconds {
		t.Errorf("time: %+v, %v", r, err)
	}
	r, err = measureColdMemory(t.Context(), b)
	if err != nil || r.Skipped == "" && (r.Garb.Runs != b.starts || r.Garb.Min < 1) {
		t.Errorf("memory: %+v, %v", r, err)
	}
}

// TestPython checks which Python has a peer.
func TestPython(t *testing.T) {
	b := &bench{config: config{python: "python3"}}
	t.Setenv("GARB_TORCH_PYTHON", "torch/python")
	t.Setenv("GARB_KERAS_PYTHON", "")
	for peer, want := range map[string]string{"pytorch": "torch/python", "keras": "python3", "pillow": "python3"} {
		if got := b.findPython(peer); got != want {
			t.Errorf("%s has %s, want %s", peer, got, want)
		}
	}
}

// newTestService returns a service that answers with a class's probability, and the number of requests
// that it had.
func newTestService(t *testing.T, answer string) (*service, *atomic.Int64) {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if answer == "" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return &service{address: server.URL, client: server.Client(), body: []byte("picture")}, &requests
}

func TestFindProbability(t *testing.T) {
	for _, answer := range []string{`[{"class":"a","probability":0.75}]`, `{"class":"a","probability":0.75}`} {
		s, _ := newTestService(t, answer)
		if p, err := s.findProbability(t.Context()); err != nil || p != 0.75 {
			t.Errorf("%s: %v, %v", answer, p, err)
		}
	}
	for _, answer := range []string{"", "no JSON"} {
		s, _ := newTestService(t, answer)
		if p, err := s.findProbability(t.Context()); err == nil {
			t.Errorf("%q: %v and no error", answer, p)
		}
	}
}

func TestSendArrivals(t *testing.T) {
	s, requests := newTestService(t, "{}")
	latencies, err := s.sendArrivals(t.Context(), 50*time.Millisecond, 5, false)
	if err != nil || len(latencies) != 10 || requests.Load() != 10 || slices.Min(latencies) <= 0 {
		t.Errorf("latencies %v of %d requests, %v", latencies, requests.Load(), err)
	}
	s, requests = newTestService(t, "")
	_, err = s.sendArrivals(t.Context(), time.Minute, 5, true)
	if err == nil || !strings.Contains(err.Error(), "418") || requests.Load() > 1000 {
		t.Errorf("%d requests, %v; want the first error to end it", requests.Load(), err)
	}
}

func TestAskInTurn(t *testing.T) {
	var count atomic.Int64
	each, err := askInTurn(t.Context(), 4, 40*time.Millisecond, func(context.Context) error {
		count.Add(1)
		time.Sleep(time.Millisecond)
		return nil
	})
	if n := float64(count.Load()); err != nil || n < 4 || each*n < 40 {
		t.Errorf("%v ms for each of %v answers, %v", each, n, err)
	}
	fault := errors.New("no")
	fail := func(context.Context) error { return fault }
	if _, err := askInTurn(t.Context(), 4, time.Minute, fail); !errors.Is(err, fault) {
		t.Errorf("the error is %v, want %v", err, fault)
	}
}

// TestCompareSaturated checks that services with other answers are not the same work.
func TestCompareSaturated(t *testing.T) {
	b := &bench{config: config{rounds: 2}}
	s, _ := newTestService(t, `{"probability":0.5}`)
	s.turn = 20 * time.Millisecond
	peer := func(context.Context) (float64, error) { return 1, nil }
	r, err := b.compareSaturated(t.Context(), s, "peer", peer, 0.75)
	if err != nil || r.Same || r.Difference != 0.25 || r.Peer.Median != 1 || r.Ratio <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
