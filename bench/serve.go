package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"garb/model"
)

const (
	// clients is the number of clients that ask at the same time: enough for one request always to
	// wait, and few enough for a connection each.
	clients = 16
	// saturationTime is the length of one side's turn at saturation.
	saturationTime = 3 * time.Second
	// singleRequests is the number of requests that are sent one after another, to measure what one
	// takes without others.
	singleRequests = 300
	// arrivals is for how long requests arrive at times of their own.
	arrivals = 20 * time.Second
	// share is the part of the throughput at saturation that arrives then.
	share = 0.7
)

// service is a server under measurement.
type service struct {
	command *exec.Cmd
	address string // to which pictures are posted
	body    []byte // the picture
	client  *http.Client
	turn    time.Duration // of requests at saturation
}

// startGarb starts garb serve with the ImageNet network, and returns the time until it was ready.
func (b *bench) startGarb(ctx context.Context) (*service, time.Duration, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return nil, 0, &skipError{fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}
	}
	port, err := findPort()
	if err != nil {
		return nil, 0, err
	}
	root := fmt.Sprintf("http://127.0.0.1:%d", port)
	command := exec.CommandContext(ctx, b.garb, "serve",
		"--addr", fmt.Sprintf("127.0.0.1:%d", port), "--model", "imagenet")
	return b.startService(ctx, command, root+"/readyz", root+"/v1/classify?top=5", time.Millisecond)
}

// startPeer starts FastAPI with ONNX Runtime; arguments are further ones of service.py.
func (b *bench) startPeer(ctx context.Context, arguments ...string) (*service, error) {
	imports := exec.CommandContext(ctx, b.python, "-c", "import fastapi, uvicorn, onnxruntime, onnx, PIL")
	if err := imports.Run(); err != nil {
		return nil, &skipError{
			"pip install fastapi uvicorn onnx onnxruntime pillow, for the Python that GARB_PYTHON names"}
	}
	weights, err := b.exportWeights(ctx, "efficientnet-lite0")
	if err != nil {
		return nil, err
	}
	port, err := findPort()
	if err != nil {
		return nil, err
	}
	root := fmt.Sprintf("http://127.0.0.1:%d", port)
	arguments = append([]string{filepath.Join(b.folder, "peers", "service.py"), weights, fmt.Sprint(port)},
		arguments...)
	command := exec.CommandContext(ctx, b.python, arguments...)
	s, _, err := b.startService(ctx, command, root+"/ready", root+"/classify", 50*time.Millisecond)
	return s, err
}

// startService starts a server and waits until it is ready. It asks for that at the interval every.
func (b *bench) startService(ctx context.Context, command *exec.Cmd, ready, address string,
	every time.Duration) (*service, time.Duration, error) {
	photo, err := b.findPicture(ctx, smallPicture)
	if err != nil {
		return nil, 0, err
	}
	body, err := os.ReadFile(photo)
	if err != nil {
		return nil, 0, err
	}
	var log bytes.Buffer
	command.Stderr = &log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, 0, err
	}
	s := &service{command: command, address: address, body: body, turn: saturationTime}
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * clients}, Timeout: 30 * time.Second}
	for {
		answer, err := s.client.Get(ready)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return s, time.Since(began), nil
			}
		}
		if time.Since(began) > time.Minute || ctx.Err() != nil {
			s.stop()
			return nil, 0, fmt.Errorf("%s is not ready after a minute:\n%s", command.Path, log.String())
		}
		time.Sleep(every)
	}
}

func (s *service) stop() {
	s.client.CloseIdleConnections()
	_ = s.command.Process.Signal(os.Interrupt) // the server may have ended already
	_ = s.command.Wait()
}

func findPort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ask posts the picture and returns the answer.
func (s *service) ask(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, bytes.NewReader(s.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "image/jpeg")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return text, err
}

// findProbability asks, and returns the probability of the most probable class.
func (s *service) findProbability(ctx context.Context) (float64, error) {
	text, err := s.ask(ctx)
	if err != nil {
		return 0, err
	}
	var list []struct{ Probability float64 }
	if json.Unmarshal(text, &list) == nil && len(list) > 0 {
		return list[0].Probability, nil
	}
	var one struct{ Probability float64 }
	return one.Probability, json.Unmarshal(text, &one)
}

// askInTurn lets n clients ask for a while, each one request after another, and returns the length of
// that while divided by the number of answers to all of them, in ms.
func askInTurn(ctx context.Context, n int, length time.Duration, ask func(context.Context) error) (float64, error) {
	var count atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range n {
		group.Go(func() error {
			for time.Since(began) < length {
				if err := ask(ctx); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return toMilliseconds(time.Since(began)) / float64(count.Load()), err
}

// saturate measures the time for each answer when there are always requests that wait.
func (s *service) saturate(ctx context.Context) (float64, error) {
	return askInTurn(ctx, clients, s.turn, func(ctx context.Context) error {
		_, err := s.ask(ctx)
		return err
	})
}

// compareThroughput compares the time for each picture at saturation with that of decoding and
// inference alone, in as many goroutines as there are cores.
func compareThroughput(ctx context.Context, b *bench) (result, error) {
	s, _, err := b.startGarb(ctx)
	if err != nil {
		return skipRow(err)
	}
	defer s.stop()
	classifier, err := model.Open(model.ImageNet, model.Options{Threads: 1})
	if err != nil {
		return result{}, err
	}
	predictions, err := classifier.Classify(ctx, s.body)
	if err != nil {
		return result{}, err
	}
	alone := func(ctx context.Context) (float64, error) {
		return askInTurn(ctx, runtime.GOMAXPROCS(0), s.turn, func(ctx context.Context) error {
			_, err := classifier.Classify(ctx, s.body)
			return err
		})
	}
	return b.compareSaturated(ctx, s, "decode and inference, without HTTP", alone, predictions[0].Probability)
}

// comparePeer returns a measurement that compares the same with FastAPI and ONNX Runtime.
func comparePeer(name string, arguments ...string) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		peer, err := b.startPeer(ctx, arguments...)
		if err != nil {
			return skipRow(err)
		}
		defer peer.stop()
		s, _, err := b.startGarb(ctx)
		if err != nil {
			return skipRow(err)
		}
		defer s.stop()
		probability, err := peer.findProbability(ctx)
		if err != nil {
			return result{}, err
		}
		return b.compareSaturated(ctx, s, name, peer.saturate, probability)
	}
}

// compareSaturated measures a service and its peer in turn, at saturation. The class's probability,
// which the service must return too, tells that both do the same work.
func (b *bench) compareSaturated(ctx context.Context, s *service, name string,
	peer func(context.Context) (float64, error), probability float64) (result, error) {
	r := result{Unit: milliseconds}
	r.Peer.Name = name
	got, err := s.findProbability(ctx)
	if err != nil {
		return r, err
	}
	r.Difference = math.Abs(got - probability)
	r.Same = r.Difference <= networkTolerance
	measure := func(side func(context.Context) (float64, error)) func() ([]float64, error) {
		return func() ([]float64, error) {
			each, failure := side(ctx)
			return []float64{each}, failure
		}
	}
	for _, warmUp := range []func(context.Context) (float64, error){s.saturate, peer} {
		if _, err = warmUp(ctx); err != nil {
			return r, err
		}
	}
	err = b.alternate(measure(s.saturate), measure(peer), &r)
	return r, err
}

// compareLatency returns a measurement that compares the 99th percentile of the time for a request, at
// 70 % of the throughput at saturation. If requests arrive at random times, as in MLPerf's Server scenario,
// the peer is a simulation of ideal servers, one per core (M/D/c); if they are evenly spaced, it is the time
// for a request on its own.
func compareLatency(random bool) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		s, _, err := b.startGarb(ctx)
		if err != nil {
			return skipRow(err)
		}
		defer s.stop()
		r := result{Unit: milliseconds, Same: true}
		r.Peer.Name = "a request on its own"
		if random {
			r.Peer.Name = "ideal servers, simulated"
		}
		var p99s, peers, ratios []float64
		for range max(1, b.rounds/3) {
			single, err := s.timeSingles(ctx)
			if err != nil {
				return r, err
			}
			each, err := s.saturate(ctx)
			if err != nil {
				return r, err
			}
			latencies, err := s.sendArrivals(ctx, arrivals, each/share, random)
			if err != nil {
				return r, err
			}
			p99, peer := computeP99(latencies), single
			if random {
				peer = computeP99(simulateIdeal(arrivals, each/share, each, runtime.NumCPU()))
			}
			p99s, peers, ratios = append(p99s, p99), append(peers, peer), append(ratios, p99/peer)
		}
		r.Garb.summarize(p99s)
		r.Peer.summarize(peers)
		r.Ratio = computeMedian(ratios)
		return r, nil
	}
}

// timeSingles returns the median time of requests that are sent one after another.
func (s *service) timeSingles(ctx context.Context) (float64, error) {
	var times []float64
	for range singleRequests {
		began := time.Now()
		if _, err := s.ask(ctx); err != nil {
			return 0, err
		}
		times = append(times, toMilliseconds(time.Since(began)))
	}
	return computeMedian(times), nil
}

// sendArrivals sends requests for a while. They arrive interval milliseconds apart, or at random times
// with that interval as their mean. It returns how long after its arrival each had its answer.
func (s *service) sendArrivals(ctx context.Context, length time.Duration, interval float64,
	random bool) ([]float64, error) {
	var mu sync.Mutex
	var latencies []float64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for due := range arrivalTimes(length, interval, random) {
		if ctx.Err() != nil {
			break
		}
		arrival := began.Add(due)
		time.Sleep(time.Until(arrival))
		group.Go(func() error {
			_, err := s.ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, toMilliseconds(time.Since(arrival)))
			return err
		})
	}
	err := group.Wait()
	return latencies, err
}

// arrivalTimes iterates over the times of arrivals, see sendArrivals. They are the same each time.
func arrivalTimes(length time.Duration, interval float64, random bool) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		generator := rand.New(rand.NewPCG(5, 6))
		for due := time.Duration(0); due < length; {
			gap := interval
			if random {
				gap *= generator.ExpFloat64()
			}
			due += time.Duration(gap * float64(time.Millisecond))
			if !yield(due) {
				return
			}
		}
	}
}

// simulateIdeal returns the times in milliseconds that requests take which arrive at random, at a mean interval,
// at servers that take them in turn and are busy only with their work. each is the time for a request of
// all servers together.
func simulateIdeal(length time.Duration, interval, each float64, servers int) (latencies []float64) {
	free := make([]float64, servers) // when each server is free
	for due := range arrivalTimes(length, interval, true) {
		first := slices.Index(free, slices.Min(free))
		arrival := toMilliseconds(due)
		free[first] = max(free[first], arrival) + each*float64(servers)
		latencies = append(latencies, free[first]-arrival)
	}
	return latencies
}

// computeP99 returns the 99th percentile. It sorts the values.
func computeP99(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)*99/100]
}

func toMilliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// measureReady measures the time from the start of the service until it is ready.
func measureReady(ctx context.Context, b *bench) (result, error) {
	r := result{Unit: milliseconds, Same: true}
	var figures []float64
	for range b.starts {
		s, took, err := b.startGarb(ctx)
		if err != nil {
			return skipRow(err)
		}
		s.stop()
		figures = append(figures, toMilliseconds(took))
	}
	r.Garb.summarize(figures)
	return r, nil
}
