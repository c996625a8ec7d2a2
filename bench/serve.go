package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	"time"

	"garb/model"
)

const (
	// clients ask at the same time in a closed loop: enough that one always waits, and
	// few enough for one connection each.
	clients = 16
	// saturated is the length of one side's turn at saturation.
	saturated = 3 * time.Second
	// loneRequests are asked one after another, to know what one takes without others.
	loneRequests = 300
	// arrivals is how long requests arrive at random times.
	arrivals = 20 * time.Second
	// share of the throughput at saturation that arrives then.
	share = 0.7
)

// service is a server under measurement.
type service struct {
	command *exec.Cmd
	address string // of what classifies
	body    []byte
	client  *http.Client
}

// startGarb starts garb serve with the ImageNet network, and returns the time that it
// took to be ready.
func (b *bench) startGarb(ctx context.Context) (*service, time.Duration, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return nil, 0, &absentError{fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}
	}
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	root := fmt.Sprintf("http://127.0.0.1:%d", port)
	command := exec.CommandContext(ctx, b.garb, "serve", "--addr", fmt.Sprintf("127.0.0.1:%d", port), "--model",
		"imagenet")
	return b.startService(ctx, command, root+"/readyz", root+"/v1/classify?top=5", time.Millisecond)
}

// startPeer starts FastAPI with ONNX Runtime, with further arguments of service.py.
func (b *bench) startPeer(ctx context.Context, arguments ...string) (*service, error) {
	if err := exec.CommandContext(ctx, b.python, "-c", "import fastapi, uvicorn, onnxruntime, onnx, PIL").Run(); err != nil {
		return nil,
			&absentError{"pip install fastapi uvicorn onnx onnxruntime pillow, for the Python that GARB_PYTHON names"}
	}
	weights, err := b.weights(ctx, "efficientnet-lite0")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
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

// startService starts a server and waits until it is ready, looking every so often.
func (b *bench) startService(ctx context.Context, command *exec.Cmd, ready, address string,
	every time.Duration) (*service, time.Duration, error) {
	photo, err := b.picture(ctx, smallPicture)
	if err != nil {
		return nil, 0, err
	}
	body, err := os.ReadFile(photo)
	if err != nil {
		return nil, 0, err
	}
	var said bytes.Buffer
	command.Stderr = &said
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, 0, err
	}
	s := &service{command, address, body,
		&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * clients}, Timeout: 30 * time.Second}}
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
			return nil, 0, fmt.Errorf("%s is not ready after a minute:\n%s", command.Path, said.String())
		}
		time.Sleep(every)
	}
}

func (s *service) stop() {
	s.client.CloseIdleConnections()
	_ = s.command.Process.Signal(os.Interrupt) // it may have ended
	_ = s.command.Wait()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// ask sends one picture and returns the answer.
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

// best is the probability of the most probable class, to know that two do the same.
func (s *service) best(ctx context.Context) (float64, error) {
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

// closedLoop lets n clients ask one after another for a while, and returns the time for
// each answer, all together: the length over their number, in ms.
func closedLoop(ctx context.Context, n int, length time.Duration, ask func(context.Context) error) (float64, error) {
	var mu sync.Mutex
	var failed error
	done := 0
	began := time.Now()
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			for time.Since(began) < length {
				err := ask(ctx)
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, err)
				}
				done++
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wait.Wait()
	return float64(time.Since(began).Microseconds()) / 1000 / float64(done), failed
}

func (s *service) saturate(ctx context.Context) (float64, error) {
	return closedLoop(ctx, clients, saturated, func(ctx context.Context) error {
		_, err := s.ask(ctx)
		return err
	})
}

// serveThroughput compares the time for each picture at saturation with that of decoding
// and inference alone: as many goroutines as cores, each with a picture of its own.
func serveThroughput(ctx context.Context, b *bench) (result, error) {
	s, _, err := b.startGarb(ctx)
	if err != nil {
		return skipped(err)
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
	return b.alternate(ctx, s, "decode and inference, without HTTP", func(ctx context.Context) (float64, error) {
		return closedLoop(ctx, runtime.GOMAXPROCS(0), saturated, func(ctx context.Context) error {
			_, err := classifier.Classify(ctx, s.body)
			return err
		})
	}, predictions[0].Probability)
}

// servePeer returns a row that compares the same with FastAPI and ONNX Runtime.
func servePeer(name string, arguments ...string) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		peer, err := b.startPeer(ctx, arguments...)
		if err != nil {
			return skipped(err)
		}
		defer peer.stop()
		s, _, err := b.startGarb(ctx)
		if err != nil {
			return skipped(err)
		}
		defer s.stop()
		expected, err := peer.best(ctx)
		if err != nil {
			return result{}, err
		}
		return b.alternate(ctx, s, name, peer.saturate, expected)
	}
}

// skipped is the result of a row whose peer is absent.
func skipped(err error) (result, error) {
	var absent *absentError
	if errors.As(err, &absent) {
		return result{Skipped: absent.reason}, nil
	}
	return result{}, err
}

// alternate measures a service and its peer in turn, at saturation.
func (b *bench) alternate(ctx context.Context, s *service, name string, peer func(context.Context) (float64, error),
	expected float64) (result, error) {
	r := result{Unit: milliseconds}
	r.Peer.Name = name
	got, err := s.best(ctx)
	if err != nil {
		return r, err
	}
	r.Difference = math.Abs(got - expected)
	r.Same = r.Difference <= networkTolerance
	sides := []func(context.Context) (float64, error){s.saturate, peer}
	for _, side := range sides { // warm
		if _, err := side(ctx); err != nil {
			return r, err
		}
	}
	var figures [2][]float64
	var ratios []float64
	for round := range b.rounds {
		var now [2]float64
		for i := range sides {
			i = (i + round) % 2
			if now[i], err = sides[i](ctx); err != nil {
				return r, err
			}
			figures[i] = append(figures[i], now[i])
		}
		ratios = append(ratios, now[0]/now[1])
	}
	r.Garb.summarize(figures[0])
	r.Peer.summarize(figures[1])
	r.Ratio = median(ratios)
	return r, nil
}

// serveLatency returns a row that compares the time which 99 of 100 requests stay below,
// at 70 % of saturation, with that of a request on its own. Arrivals are at random times,
// as MLPerf's Server scenario has them, or evenly spaced.
func serveLatency(random bool) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		s, _, err := b.startGarb(ctx)
		if err != nil {
			return skipped(err)
		}
		defer s.stop()
		r := result{Unit: milliseconds, Same: true}
		r.Peer.Name = "a request on its own"
		var p99s, lones, ratios []float64
		for range max(1, b.rounds/3) {
			var lone []float64
			for range loneRequests {
				began := time.Now()
				if _, err := s.ask(ctx); err != nil {
					return r, err
				}
				lone = append(lone, inMilliseconds(time.Since(began)))
			}
			each, err := s.saturate(ctx)
			if err != nil {
				return r, err
			}
			latencies, err := s.arrive(ctx, each/share, random)
			if err != nil {
				return r, err
			}
			slices.Sort(latencies)
			p99, one := latencies[len(latencies)*99/100], median(lone)
			p99s, lones, ratios = append(p99s, p99), append(lones, one), append(ratios, p99/one)
		}
		r.Garb.summarize(p99s)
		r.Peer.summarize(lones)
		r.Ratio = median(ratios)
		return r, nil
	}
}

// arrive sends requests whose arrivals are interval milliseconds apart, on average if at
// random, and returns how long after its arrival each had its answer.
func (s *service) arrive(ctx context.Context, interval float64, random bool) ([]float64, error) {
	source := rand.New(rand.NewPCG(5, 6))
	var mu sync.Mutex
	var latencies []float64
	var failed error
	var wait sync.WaitGroup
	began, due := time.Now(), time.Duration(0)
	for due < arrivals {
		gap := interval
		if random {
			gap *= source.ExpFloat64()
		}
		due += time.Duration(gap * float64(time.Millisecond))
		time.Sleep(time.Until(began.Add(due)))
		at := began.Add(due)
		wait.Go(func() {
			_, err := s.ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			latencies = append(latencies, inMilliseconds(time.Since(at)))
		})
	}
	wait.Wait()
	return latencies, failed
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// serveReady measures the time from starting the service to its being ready.
func serveReady(ctx context.Context, b *bench) (result, error) {
	r := result{Unit: milliseconds, Same: true}
	var figures []float64
	for range b.starts {
		s, took, err := b.startGarb(ctx)
		if err != nil {
			return skipped(err)
		}
		s.stop()
		figures = append(figures, inMilliseconds(took))
	}
	r.Garb.summarize(figures)
	return r, nil
}
