// Command soak holds garb's service under load and among faults for minutes, and checks that no answer is
// wrong or lost and that memory does not grow.
//
//	go run ./bench/soak [-garb bin/garb] [-duration 5m] [-clients 8]
//
// It uses this machine's loopback addresses only, and ends by itself. Besides clients that ask at
// saturation there are, all the time: corrupt pictures, texts, bodies that stop midway, clients that leave
// at once, headers that come byte by byte, and deadlines that cannot be met. Every few seconds there is a
// new version of the model, which may be broken or copied slowly. At the end, the service is stopped
// under full load.
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

// soak is a service under load, and what was observed.
type soak struct {
	root   string // the service's URL
	host   string // its address and port
	folder string // its folder of models
	model  []byte
	photo  []byte
	class  string // the answer to the photo

	mu        sync.Mutex
	latencies []float64      // of answers, in ms
	outcomes  map[string]int // numbers of requests, by what was sent and what was answered
	wrong     []string       // descriptions of wrong outcomes
}

// run starts the service, holds it under load, stops it, and says whether it did as it should.
func run(ctx context.Context, binary, model string, duration time.Duration, clients int) (ok bool, err error) {
	folder, err := os.MkdirTemp("", "garb-soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	s := &soak{folder: filepath.Join(folder, "models"), outcomes: map[string]int{}, photo: drawPhoto()}
	if s.model, err = os.ReadFile(model); err != nil {
		return false, err
	}
	if err = s.publish(1, s.model); err != nil {
		return false, err
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return false, err
	}
	defer log.Close()
	command, err := s.start(binary, log)
	if err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	defer command.Process.Kill()
	if err = s.waitReady(ctx); err != nil {
		return false, err
	}

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	during, end := context.WithTimeout(ctx, duration)
	defer end()
	wait := s.startLoad(during, client, clients)
	samples, err := s.watch(during, duration)
	if err != nil {
		return false, err
	}
	interrupted := ctx.Err() != nil
	stopping, exit, err := s.stop(command, ended, client, clients)
	if err != nil {
		return false, err
	}
	wait()
	return s.report(samples, stopping, exit) && !interrupted, nil
}

// start starts the service on a free port.
func (s *soak) start(binary string, log *os.File) (*exec.Cmd, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.host = l.Addr().String()
	s.root = "http://" + s.host
	if err := l.Close(); err != nil {
		return nil, err
	}
	command := exec.Command(binary, "serve", "--addr", s.host, "--models", s.folder, "--models-interval", "500ms",
		"--queue", "64", "--header-timeout", "2s", "--timeout", "5s")
	command.Stderr = log
	return command, command.Start()
}

// startLoad starts the clients, the faults and the publishing of versions. All end with ctx, and the
// function that it returns waits for that.
func (s *soak) startLoad(ctx context.Context, client *http.Client, clients int) (wait func()) {
	var group sync.WaitGroup
	for range clients {
		group.Go(func() { s.load(ctx, client) })
	}
	for _, fault := range []func(context.Context, *http.Client, *rand.Rand){
		s.corrupt, s.leave, s.hurry, s.sendHeaderSlowly, s.sendHalfBody,
	} {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(len(s.root))))
			for ctx.Err() == nil {
				fault(ctx, client, random)
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	group.Go(func() { s.publishVersions(ctx) })
	return group.Wait
}

// watch samples the service's memory until ctx ends, and prints a line now and then.
func (s *soak) watch(ctx context.Context, duration time.Duration) ([]sample, error) {
	// Memory goes up and down by a third with each garbage collection. The median of many samples is
	// steady.
	const interval = 100 * time.Millisecond
	var samples []sample
	printInterval := max(duration/20, time.Second)
	began := time.Now()
	countThen, printed := 0, began
	fmt.Printf("%8s %10s %10s %12s %10s %8s\n", "time", "resident", "heap", "goroutines", "answers/s", "p99")
	for {
		pause(ctx, interval)
		if ctx.Err() != nil {
			return samples, nil
		}
		m, err := s.takeSample()
		if err != nil {
			return nil, err
		}
		samples = append(samples, m)
		if time.Since(printed) < printInterval {
			continue
		}
		count, p99 := s.summarize()
		fmt.Printf("%8s %8.1fMB %8.1fMB %12d %10.0f %6.1fms\n", time.Since(began).Round(time.Second),
			m.resident/1e6, m.heap/1e6, m.goroutines, float64(count-countThen)/time.Since(printed).Seconds(), p99)
		countThen, printed = count, time.Now()
	}
}

// stop stops the service under full load: clients go on asking until nobody answers. It returns what
// they saw, and how the service ended.
func (s *soak) stop(command *exec.Cmd, ended <-chan error, client *http.Client, clients int) (stopping *soak,
	exit, err error) {
	ctx, end := context.WithTimeout(context.Background(), 10*time.Second)
	defer end()
	stopping = &soak{root: s.root, photo: s.photo, class: s.class, outcomes: map[string]int{}}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() { stopping.load(ctx, client) })
	}
	pause(ctx, 500*time.Millisecond)
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, nil, err
	}
	exit = <-ended
	end()
	group.Wait()
	return stopping, exit, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// drawPhoto returns a JPEG of 400 × 533 pixels.
func drawPhoto() []byte {
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
		panic(err) // cannot happen with a valid picture
	}
	return b.Bytes()
}

// waitReady waits until the service is ready, and remembers its answer to the photo.
func (s *soak) waitReady(ctx context.Context) error {
	for began := time.Now(); ; {
		answer, err := http.Post(s.root+"/v1/classify", "image/jpeg", bytes.NewReader(s.photo))
		if err == nil {
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

// send posts a body and records the outcome. wants are the right statuses, with 0 for no answer.
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
		s.record(what, "no answer", ctx.Err() == nil && wants[0] != 0, err.Error())
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.record(what, "half an answer", ctx.Err() == nil && wants[0] != 0, err.Error())
		return
	}
	bad := !slices.Contains(wants, answer.StatusCode) ||
		answer.StatusCode == http.StatusOK && !strings.Contains(string(text), `"class":"`+s.class+`"`)
	s.record(what, strconv.Itoa(answer.StatusCode), bad, string(text))
	if answer.StatusCode == http.StatusOK {
		s.mu.Lock()
		s.latencies = append(s.latencies, float64(time.Since(began).Microseconds())/1000)
		s.mu.Unlock()
	}
}

// record counts an outcome, and keeps the details of the first wrong ones.
func (s *soak) record(what, outcome string, bad bool, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[what+": "+outcome]++
	if bad && len(s.wrong) < 20 {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s: %.200s", what, outcome, detail))
	}
}

// load sends one request after another.
func (s *soak) load(ctx context.Context, client *http.Client) {
	for ctx.Err() == nil {
		s.send(ctx, client, "photo", s.photo, nil, http.StatusOK, http.StatusTooManyRequests)
	}
}

// corrupt sends a part of a picture, and bodies that are no pictures.
func (s *soak) corrupt(ctx context.Context, client *http.Client, random *rand.Rand) {
	cut := s.photo[:2+random.IntN(len(s.photo)-2)]
	s.send(ctx, client, "cut photo", cut, nil, 200, 400, 422, 429)
	s.send(ctx, client, "text", []byte("no picture"), nil, 400, 429)
	s.send(ctx, client, "form of nothing", []byte("--x--"),
		map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, 400, 429)
}

// leave sends a request and does not wait for the answer.
func (s *soak) leave(ctx context.Context, client *http.Client, random *rand.Rand) {
	short, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(10_000))*time.Microsecond)
	defer cancel()
	s.send(short, client, "leaving", s.photo, nil, 0, 200, 429)
}

// hurry sends a request with a deadline that is usually too short.
func (s *soak) hurry(ctx context.Context, client *http.Client, _ *rand.Rand) {
	s.send(ctx, client, "short deadline", s.photo, map[string]string{"X-Request-Timeout": "3ms"}, 200, 429, 504)
}

// sendHeaderSlowly sends a header byte by byte until the service closes the connection.
func (s *soak) sendHeaderSlowly(ctx context.Context, _ *http.Client, _ *rand.Rand) {
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
	s.record("slow header", "cut off", time.Since(began) > 10*time.Second,
		"the service read it for "+time.Since(began).String())
}

// sendHalfBody announces a longer body than it sends, and closes its side of the connection.
func (s *soak) sendHalfBody(ctx context.Context, _ *http.Client, random *rand.Rand) {
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
	s.record("half a body", "ended", bytes.Contains(text, []byte(" 200 ")), string(text))
}

// publish puts a version into the folder of models, by a rename.
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

// publishVersions publishes good versions, broken ones, and ones that are copied slowly, and removes old
// ones.
func (s *soak) publishVersions(ctx context.Context) {
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
			s.record("version", "not published", true, err.Error())
		}
		if number > 4 {
			_ = os.RemoveAll(filepath.Join(s.folder, "clothing", strconv.Itoa(number-4)))
		}
	}
}

// copySlowly writes a file in ten parts, with pauses between them.
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

// sample has the service's memory and goroutines at a time.
type sample struct {
	resident, heap float64 // bytes
	goroutines     int
}

// takeSample reads the service's metrics.
func (s *soak) takeSample() (sample, error) {
	var m sample
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

// summarize returns the number of answers so far, and the 99th percentile of the last ones' times.
func (s *soak) summarize() (count int, p99 float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.latencies) == 0 {
		return 0, 0
	}
	recent := slices.Sorted(slices.Values(s.latencies[max(0, len(s.latencies)-5000):]))
	return len(s.latencies), recent[len(recent)*99/100]
}

// report prints what was observed, and says whether all is as it should be.
func (s *soak) report(samples []sample, stopping *soak, exit error) bool {
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
	check(len(s.wrong) == 0, "every answer is a right one %v", s.wrong)
	var lost []string
	for _, w := range stopping.wrong {
		if strings.Contains(w, "half an answer") {
			lost = append(lost, w)
		}
	}
	check(len(lost) == 0 && exit == nil,
		"stopped under load: no accepted request was lost, and the service ended by itself (%v) %v", exit, lost)
	if len(samples) >= 8 {
		part := samples[len(samples)/4:] // the first quarter warms up
		half := len(part) / 2
		first, second := computeMedian(part[:half]), computeMedian(part[half:])
		growth := second/first - 1
		check(growth <= 0.05 && growth >= -0.05,
			"resident memory: %.1f MB in the first half, %.1f MB in the second (%+.1f %%)",
			first/1e6, second/1e6, 100*growth)
		least, most := part[0].goroutines, part[0].goroutines
		for _, m := range part {
			least, most = min(least, m.goroutines), max(most, m.goroutines)
		}
		check(most < 1000, "goroutines: from %d to %d", least, most)
	}
	return ok
}

// computeMedian returns the median of the samples' resident memory.
func computeMedian(samples []sample) float64 {
	var all []float64
	for _, m := range samples {
		all = append(all, m.resident)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
