//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// service is a process of garb serve.
type service struct {
	command *exec.Cmd
	ended   chan error // has the process's end
	host    string     // address and port
	admin   string     // URL of probes and metrics
	log     string     // path of its log
}

// startService starts a service on free ports, and waits until it serves.
func startService(ctx context.Context, binary, log string, args ...string) (*service, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	command := exec.CommandContext(ctx, binary,
		append([]string{"serve", "--addr", "127.0.0.1:0", "--admin-addr", "localhost:0"}, args...)...)
	command.Stderr = f
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = command.Start(); err != nil {
		return nil, err
	}
	p := &service{command: command, ended: make(chan error, 1), log: log}
	lines := bufio.NewScanner(out)
	for p.admin == "" && lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "metrics on "); ok {
			p.admin = "http://" + rest
		} else if _, rest, ok := strings.Cut(lines.Text(), "://"); ok {
			p.host, _, _ = strings.Cut(rest, " ")
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.ended <- command.Wait()
	}()
	if p.admin == "" {
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%s did not start: %s", binary, text)
	}
	return p, nil
}

// kill ends the process, if it still runs.
func (p *service) kill() { _ = p.command.Process.Kill() }

// readMetrics returns the values of all metrics without histograms' buckets, by name and labels.
func (p *service) readMetrics() (map[string]float64, error) {
	answer, err := http.Get(p.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: %s", answer.Status)
	}
	metrics := map[string]float64{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			metrics[name] = v
		}
	}
	return metrics, lines.Err()
}

// findFailures returns the lines of the log that report a panic or an internal error, the first few of them.
func (p *service) findFailures() (lines []string, err error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		for _, word := range []string{"panic", "internal", `"status":500`, "goroutine "} {
			if bytes.Contains(line, []byte(word)) && len(lines) < 5 {
				lines = append(lines, string(line))
			}
		}
	}
	return lines, nil
}

// levels are the resources of both services together.
type levels struct {
	resident    float64 // bytes
	goroutines  float64
	descriptors float64
}

// The bounds within which the levels have to return. Both times the same clients send requests, and a
// connection or a picture in flight has a few goroutines.
const (
	residentBound    = 1.25 // times the level at the start
	goroutinesBound  = 24   // more than at the start
	descriptorsBound = 12   // more than at the start
)

// check returns an error if the levels have not returned to those of the start.
func (l *levels) check(start *levels) error {
	var errs []error
	if l.resident > residentBound*start.resident {
		errs = append(errs, fmt.Errorf("resident memory is %.0f MB, at the start %.0f MB", l.resident/1e6,
			start.resident/1e6))
	}
	if l.goroutines > start.goroutines+goroutinesBound {
		errs = append(errs, fmt.Errorf("%.0f goroutines, at the start %.0f", l.goroutines, start.goroutines))
	}
	if l.descriptors > start.descriptors+descriptorsBound {
		errs = append(errs, fmt.Errorf("%.0f descriptors, at the start %.0f", l.descriptors, start.descriptors))
	}
	return errors.Join(errs...)
}

// readLevels reads the levels of both services.
func (s *soak) readLevels() (*levels, error) {
	sum := new(levels)
	for _, p := range []*service{s.service, s.guarded} {
		m, err := p.readMetrics()
		if err != nil {
			return nil, err
		}
		sum.resident += m["process_resident_memory_bytes"]
		sum.goroutines += m["go_goroutines"]
		sum.descriptors += m["process_open_fds"]
	}
	return sum, nil
}

// watch reads the levels until ctx ends or done is satisfied, and prints a line now and then. It returns the
// highest levels of the last three seconds, which done looks at, and those of the whole time.
func (s *soak) watch(ctx context.Context, done func(*levels) bool) (last, highest *levels, err error) {
	const interval = 100 * time.Millisecond
	const window = int(3 * time.Second / interval)
	var recent []*levels
	last, highest = new(levels), new(levels)
	printed := time.Now()
	for {
		pause(ctx, interval)
		if ctx.Err() != nil {
			return last, highest, nil
		}
		now, err := s.readLevels()
		if err != nil {
			return nil, nil, err
		}
		recent = append(recent, now)
		recent = recent[max(0, len(recent)-window):]
		last, highest = findHighest(recent), findHighest([]*levels{highest, now})
		if len(recent) == window && done(last) {
			return last, highest, nil
		}
		if time.Since(printed) >= 10*time.Second {
			printed = time.Now()
			count, p99 := s.summarize()
			fmt.Printf("%s  %8d answers, p99 %6.0f ms, resident %4.0f MB, %4.0f goroutines, %5.0f descriptors\n",
				printed.Format(time.TimeOnly), count, p99, now.resident/1e6, now.goroutines, now.descriptors)
		}
	}
}

// findHighest returns the highest of each level.
func findHighest(all []*levels) *levels {
	highest := new(levels)
	for _, l := range all {
		highest.resident = max(highest.resident, l.resident)
		highest.goroutines = max(highest.goroutines, l.goroutines)
		highest.descriptors = max(highest.descriptors, l.descriptors)
	}
	return highest
}

// The addresses that the clients use. The service limits connections by address.
const (
	honestAddress = "127.0.0.1"
	otherAddress  = "127.0.0.2" // of the honest clients that open a new connection for each request
)

// dial opens a connection to a service from one of the addresses of loopback.
func dial(ctx context.Context, from, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.DialContext(ctx, "tcp", to)
}

// newClient returns a client that uses one of the addresses of loopback, with HTTP/2 or HTTP/1.1.
func newClient(from string, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Protocols: protocols, IdleConnTimeout: 2 * time.Second, // a cancelled request may leave its connection open
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
			return dial(ctx, from, to)
		},
	}}
}

// classify posts the photo to the first service.
func (s *soak) classify(ctx context.Context, client *http.Client, header map[string]string) (int, string, error) {
	return post(ctx, client, "http://"+s.service.host+"/v1/classify", s.photo, header)
}

// post sends a request and returns the status and the body of the answer.
func post(ctx context.Context, client *http.Client, url string, body []byte, header map[string]string) (
	status int, text string, err error,
) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(data), err
}

// cutPredictions returns the part of an answer that depends on the picture and the model only.
func cutPredictions(text string) string {
	before, _, _ := strings.Cut(text, `,"model":`)
	return before
}

// computeQuantile returns a quantile of numbers, 0 if there are none.
func computeQuantile(numbers []float64, q float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
