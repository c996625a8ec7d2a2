// Command soak holds garb's service under load for minutes, with faults all the while,
// and tells whether it stays what it was: no answer wrong or lost, no memory that grows.
//
//	go run ./bench/soak [-garb bin/garb] [-duration 5m] [-clients 8]
//
// Everything happens on this machine's loopback addresses, and ends by itself. Beside
// clients that ask at saturation there are, all the time: corrupt pictures, texts, bodies
// that stop midway, clients that leave at once, headers that come byte by byte, deadlines
// that cannot be met; and every few seconds a new version of the model, a broken one, or
// one that is copied slowly. At the end the service is told to stop under full load.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	binary := flag.String("garb", "bin/garb", "the garb command to start")
	duration := flag.Duration("duration", 5*time.Minute, "how long, from 20s to 1h")
	clients := flag.Int("clients", 8, "clients that ask at saturation, from 1 to 64")
	model := flag.String("model", "model/clothing.safetensors", "a model file, to publish as versions")
	flag.Parse()
	if *duration < 20*time.Second || *duration > time.Hour || *clients < 1 || *clients > 64 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, *binary, *model, *duration, *clients)
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

// soak is a service under load, and what was seen of it.
type soak struct {
	root   string // its address
	host   string
	folder string // of its models
	model  []byte
	photo  []byte
	class  string // that the photo is answered by

	mu        sync.Mutex
	latencies []float64      // of answers, in ms
	outcomes  map[string]int // of requests, by what was sent and what came
	wrong     []string       // what should not have come
}

func run(ctx context.Context, binary, model string, duration time.Duration, clients int) (ok bool, err error) {
	folder, err := os.MkdirTemp("", "garb-soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	s := &soak{folder: filepath.Join(folder, "models"), outcomes: map[string]int{}, photo: photo()}
	if s.model, err = os.ReadFile(model); err != nil {
		return false, err
	}
	if err := s.publish(1, s.model); err != nil {
		return false, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false, err
	}
	s.host = l.Addr().String()
	s.root = "http://" + s.host
	if err := l.Close(); err != nil {
		return false, err
	}
	logFile, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return false, err
	}
	defer logFile.Close()
	command := exec.Command(binary, "serve", "--addr", s.host, "--models", s.folder, "--models-interval", "500ms",
		"--queue", "64", "--header-timeout", "2s", "--timeout", "5s")
	command.Stderr = logFile
	if err := command.Start(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	defer command.Process.Kill()
	if err := s.waitReady(ctx); err != nil {
		return false, err
	}

	work, end := context.WithTimeout(ctx, duration)
	defer end()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() { s.load(work, client) })
	}
	for _, fault := range []func(context.Context, *http.Client, *rand.Rand){s.corrupt, s.leave, s.late, s.slowHeader,
		s.halfBody} {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(len(s.root))))
			for work.Err() == nil {
				fault(work, client, random)
				pause(work, 50*time.Millisecond)
			}
		})
	}
	wait.Go(func() { s.versions(work) })

	var memory []sample
	began := time.Now()
	fmt.Printf("%8s %10s %10s %12s %10s %8s\n", "time", "resident", "heap", "goroutines", "answers/s", "p99")
	before, beforeAt := 0, began
	// Memory goes up and down with each collection, by a third: many looks make its median
	// steady. A line is printed now and then.
	const look = 100 * time.Millisecond
	every := max(duration/20, time.Second)
	for work.Err() == nil {
		pause(work, look)
		if work.Err() != nil {
			break
		}
		m, err := s.sample(time.Since(began))
		if err != nil {
			return false, err
		}
		memory = append(memory, m)
		if time.Since(beforeAt) < every {
			continue
		}
		count, p99 := s.progress()
		fmt.Printf("%8s %8.1fMB %8.1fMB %12d %10.0f %6.1fms\n", time.Since(began).Round(time.Second), m.resident/1e6,
			m.heap/1e6, m.goroutines,
			float64(count-before)/time.Since(beforeAt).Seconds(), p99)
		before, beforeAt = count, time.Now()
	}
	interrupted := ctx.Err() != nil

	// Stop it under full load: clients that ask go on until nobody answers.
	last, endLast := context.WithTimeout(context.Background(), 10*time.Second)
	defer endLast()
	stopping := &soak{root: s.root, photo: s.photo, class: s.class, outcomes: map[string]int{}}
	var lastWait sync.WaitGroup
	for range clients {
		lastWait.Go(func() { stopping.load(last, client) })
	}
	pause(last, 500*time.Millisecond)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		return false, err
	}
	exit := <-ended
	endLast()
	lastWait.Wait()
	wait.Wait()
	return s.report(memory, stopping, exit) && !interrupted, nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// photo is a JPEG of 400 × 533 pixels.
func photo() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 400, 533))
	random := rand.New(rand.NewPCG(7, 7))
	for y := range 533 {
		for x := range 400 {
			grey := uint8(200 - x/4 + random.IntN(8))
			if x > 120 && x < 280 && y > 100 && y < 450 || y > 100 && y < 200 && x > 60 && x < 340 {
				grey = uint8(40 + random.IntN(8))
			}
			m.SetRGBA(x, y, color.RGBA{grey, grey / 2, 90, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		panic(err) // a picture of our own
	}
	return b.Bytes()
}

// waitReady waits until the service is, and learns its answer to the photo.
func (s *soak) waitReady(ctx context.Context) error {
	for began := time.Now(); ; {
		if answer, err := http.Post(s.root+"/v1/classify", "image/jpeg", bytes.NewReader(s.photo)); err == nil {
			text, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			_, rest, found := strings.Cut(string(text), `"class":"`)
			if err == nil && answer.StatusCode == http.StatusOK && found {
				s.class, _, _ = strings.Cut(rest, `"`)
				return nil
			}
		}
		if time.Since(began) > 10*time.Second || ctx.Err() != nil {
			return fmt.Errorf("the service is not ready after ten seconds")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// send posts a body and remembers what became of it; wants are the statuses that may.
func (s *soak) send(ctx context.Context, client *http.Client, what string, body []byte, header map[string]string,
	wants ...int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.root+"/v1/classify", bytes.NewReader(body))
	if err != nil {
		return
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	began := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		s.saw(what, "no answer", ctx.Err() == nil && wants[0] != 0, err.Error())
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.saw(what, "half an answer", ctx.Err() == nil && wants[0] != 0, err.Error())
		return
	}
	bad := !slices.Contains(wants, answer.StatusCode) ||
		answer.StatusCode == http.StatusOK && !strings.Contains(string(text), `"class":"`+s.class+`"`)
	s.saw(what, strconv.Itoa(answer.StatusCode), bad, string(text))
	if answer.StatusCode == http.StatusOK {
		s.mu.Lock()
		s.latencies = append(s.latencies, float64(time.Since(began).Microseconds())/1000)
		s.mu.Unlock()
	}
}

func (s *soak) saw(what, outcome string, bad bool, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[what+": "+outcome]++
	if bad && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s: %.200s", what, outcome, detail))
	}
}

// load asks one request after another.
func (s *soak) load(ctx context.Context, client *http.Client) {
	for ctx.Err() == nil {
		s.send(ctx, client, "photo", s.photo, nil, http.StatusOK, http.StatusTooManyRequests)
	}
}

// corrupt sends what is no picture, or half of one.
func (s *soak) corrupt(ctx context.Context, client *http.Client, random *rand.Rand) {
	cut := s.photo[:2+random.IntN(len(s.photo)-2)]
	s.send(ctx, client, "cut photo", cut, nil, 200, 400, 422, 429)
	s.send(ctx, client, "text", []byte("no picture"), nil, 400, 429)
	s.send(ctx, client, "form of nothing", []byte("--x--"),
		map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, 400, 429)
}

// leave asks and does not wait.
func (s *soak) leave(ctx context.Context, client *http.Client, random *rand.Rand) {
	short, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(10_000))*time.Microsecond)
	defer cancel()
	s.send(short, client, "leaving", s.photo, nil, 0, 200, 429)
}

// late asks for an answer in a time that is too short, as a rule.
func (s *soak) late(ctx context.Context, client *http.Client, _ *rand.Rand) {
	s.send(ctx, client, "in a hurry", s.photo, map[string]string{"X-Request-Timeout": "3ms"}, 200, 429, 504)
}

// slowHeader sends a header byte by byte until it is cut off.
func (s *soak) slowHeader(ctx context.Context, _ *http.Client, _ *rand.Rand) {
	c, err := net.Dial("tcp", s.host)
	if err != nil {
		return
	}
	defer c.Close()
	began := time.Now()
	for _, b := range []byte("POST /v1/classify HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("a", 1000)) {
		if _, err := c.Write([]byte{b}); err != nil || ctx.Err() != nil {
			break
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.saw("slow header", "cut off", time.Since(began) > 10*time.Second,
		"it was let go on for "+time.Since(began).String())
}

// halfBody announces more than it sends, and closes its side.
func (s *soak) halfBody(ctx context.Context, _ *http.Client, random *rand.Rand) {
	c, err := net.Dial("tcp", s.host)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(s.photo))
	if _, err := c.Write(s.photo[:random.IntN(len(s.photo))]); err != nil {
		return
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	text, _ := io.ReadAll(c)
	s.saw("half a body", "ended", bytes.Contains(text, []byte(" 200 ")), string(text))
}

// publish puts a version into the models' folder, all at once.
func (s *soak) publish(number int, data []byte) error {
	folder := filepath.Join(s.folder, "clothing", strconv.Itoa(number))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	part := filepath.Join(s.folder, ".part")
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(folder, "model.safetensors"))
}

// versions publishes good versions, broken ones, and ones that are copied slowly, and
// removes old ones.
func (s *soak) versions(ctx context.Context) {
	for number := 2; ctx.Err() == nil; number++ {
		pause(ctx, 3*time.Second)
		var err error
		switch number % 3 {
		case 0:
			err = s.publish(number, s.model)
		case 1:
			broken := bytes.Clone(s.model)
			broken[len(broken)/2] ^= 1
			err = s.publish(number, broken)
		case 2:
			folder := filepath.Join(s.folder, "clothing", strconv.Itoa(number))
			if err = os.MkdirAll(folder, 0o755); err == nil {
				err = copySlowly(ctx, filepath.Join(folder, "model.safetensors"), s.model)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.saw("version", "not published", true, err.Error())
		}
		if number > 4 {
			_ = os.RemoveAll(filepath.Join(s.folder, "clothing", strconv.Itoa(number-4)))
		}
	}
}

func copySlowly(ctx context.Context, path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for piece := range slices.Chunk(data, len(data)/10+1) {
		if _, err := f.Write(piece); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// sample is what the service takes at a time.
type sample struct {
	at             time.Duration
	resident, heap float64 // bytes
	goroutines     int
}

func (s *soak) sample(at time.Duration) (sample, error) {
	m := sample{at: at}
	answer, err := http.Get(s.root + "/metrics")
	if err != nil {
		return m, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "process_resident_memory_bytes":
			m.resident = v
		case "go_memstats_heap_inuse_bytes":
			m.heap = v
		case "go_goroutines":
			m.goroutines = int(v)
		}
	}
	return m, nil
}

// progress is the number of answers so far, and the 99th percentile of their times.
func (s *soak) progress() (count int, p99 float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.latencies) == 0 {
		return 0, 0
	}
	recent := slices.Sorted(slices.Values(s.latencies[max(0, len(s.latencies)-5000):]))
	return len(s.latencies), recent[len(recent)*99/100]
}

// report prints what was seen, and says whether it is as it should be.
func (s *soak) report(memory []sample, stopping *soak, exit error) bool {
	ok := true
	check := func(holds bool, format string, args ...any) {
		mark := "ok  "
		if !holds {
			mark, ok = "FAIL", false
		}
		fmt.Printf("%s  %s\n", mark, fmt.Sprintf(format, args...))
	}
	fmt.Println()
	for _, name := range slices.Sorted(maps.Keys(s.outcomes)) {
		fmt.Printf("%9d  %s\n", s.outcomes[name], name)
	}
	for _, name := range slices.Sorted(maps.Keys(stopping.outcomes)) {
		fmt.Printf("%9d  while stopping, %s\n", stopping.outcomes[name], name)
	}
	fmt.Println()
	check(len(s.wrong) == 0, "every answer is one that it may be %v", s.wrong)
	var lost []string
	for _, w := range stopping.wrong {
		if strings.Contains(w, "half an answer") {
			lost = append(lost, w)
		}
	}
	check(len(lost) == 0 && exit == nil,
		"stopped under load: nothing that was taken was lost, and it ended by itself (%v) %v", exit, lost)
	if len(memory) >= 8 {
		// The first quarter warms up. Medians, since collections come when they like.
		part := memory[len(memory)/4:]
		half := len(part) / 2
		first, second := medianOf(part[:half]), medianOf(part[half:])
		growth := second/first - 1
		check(growth <= 0.05 && growth >= -0.05, "resident memory: %.1f MB in the first half, %.1f MB in the "+
			"second (%+.1f %%)", first/1e6, second/1e6, 100*growth)
		least, most := memory[0].goroutines, memory[0].goroutines
		for _, m := range part {
			least, most = min(least, m.goroutines), max(most, m.goroutines)
		}
		check(most < 1000, "goroutines: from %d to %d", least, most)
	}
	return ok
}

func medianOf(samples []sample) float64 {
	var all []float64
	for _, m := range samples {
		all = append(all, m.resident)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
