//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// record is what was observed.
type record struct {
	stopping bool // the service stops: a request may be without an answer

	mu         sync.Mutex
	latencies  []float64                 // of honest clients, in ms
	outcomes   map[string]map[string]int // numbers by what was sent and what came of it
	violations []string                  // the first three of each kind
	count      map[string]int            // numbers of violations, by what was sent
	skipped    map[string]string         // reasons, by fault
}

func newRecord() *record {
	return &record{outcomes: map[string]map[string]int{}, count: map[string]int{}, skipped: map[string]string{}}
}

// add counts an outcome, and keeps it as a violation if it is not right.
func (r *record) add(what, outcome string, right bool, detail string) {
	r.mu.Lock()
	if r.outcomes[what] == nil {
		r.outcomes[what] = map[string]int{}
	}
	r.outcomes[what][outcome]++
	r.mu.Unlock()
	if !right {
		r.violate(what, fmt.Sprintf("%s: %.300s", outcome, detail))
	}
}

// violate counts a violation, and keeps its description if it is one of the first three of its kind.
func (r *record) violate(what, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[what]++; r.count[what] <= 3 {
		r.violations = append(r.violations, fmt.Sprintf("%s %s: %s", time.Now().Format(time.TimeOnly), what, detail))
	}
}

// skip keeps why a fault cannot be tried here.
func (r *record) skip(what, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped[what] = reason
}

// isSkipped reports whether a fault cannot be tried here.
func (r *record) isSkipped(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped[what] != ""
}

// summarize returns the number of answers so far, and the 99th percentile of the last ones' times.
func (r *record) summarize() (count int, p99 float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.latencies), computeQuantile(r.latencies[max(0, len(r.latencies)-3000):], 0.99)
}

// printOutcomes prints the table of what was sent and what came of it.
func (r *record) printOutcomes() {
	for _, what := range slices.Sorted(maps.Keys(r.outcomes)) {
		total := 0
		var parts []string
		for _, outcome := range slices.Sorted(maps.Keys(r.outcomes[what])) {
			n := r.outcomes[what][outcome]
			total += n
			parts = append(parts, fmt.Sprintf("%d × %s", n, outcome))
		}
		fmt.Printf("%-40s %9d  %s\n", what, total, strings.Join(parts, ", "))
	}
}

// report prints what was observed, and returns whether all is as it should be.
func (s *soak) report(start, peak, end *levels, stopping *record) bool {
	fmt.Printf("\n%-40s %9s  %s\n", "sent", "number", "outcomes")
	s.printOutcomes()
	stopping.printOutcomes()
	for _, what := range slices.Sorted(maps.Keys(s.skipped)) {
		fmt.Printf("%-40s %9s  %s\n", what, "skipped", s.skipped[what])
	}
	fmt.Printf("\n%-40s %9s %9s %9s\n", "both services together", "start", "peak", "end")
	for _, row := range []struct {
		name             string
		start, peak, end float64
	}{
		{"resident memory, MB", start.resident / 1e6, peak.resident / 1e6, end.resident / 1e6},
		{"goroutines", start.goroutines, peak.goroutines, end.goroutines},
		{"descriptors", start.descriptors, peak.descriptors, end.descriptors},
	} {
		fmt.Printf("%-40s %9.0f %9.0f %9.0f\n", row.name, row.start, row.peak, row.end)
	}
	fmt.Printf("\nhonest clients: %d answers, p50 %.0f ms, p99 %.0f ms, slowest %.0f ms\n\n", len(s.latencies),
		computeQuantile(s.latencies, 0.5), computeQuantile(s.latencies, 0.99), computeQuantile(s.latencies, 1))

	ok := true
	check := func(err error, what string) {
		if err != nil {
			fmt.Printf("FAIL  %s: %v\n", what, err)
			ok = false
			return
		}
		fmt.Printf("ok    %s\n", what)
	}
	check(s.listViolations(), "every outcome is a right one, and honest clients get the same answer to the bit")
	check(s.checkAllTried(), "every fault was tried")
	check(end.check(start), fmt.Sprintf(
		"levels return: resident memory to %.2f × that of the start, goroutines to %d more, descriptors to %d more",
		residentBound, goroutinesBound, descriptorsBound))
	check(s.checkLogs(), "no panic and no internal error in the logs")
	check(stopping.listViolations(), "stopped under load: no accepted request was lost, exit code 0")
	return ok
}

// listViolations returns the violations as an error.
func (r *record) listViolations() error {
	if len(r.violations) == 0 {
		return nil
	}
	return fmt.Errorf("violations %v:\n      %s", r.count, strings.Join(r.violations, "\n      "))
}

// checkAllTried returns an error if a fault was neither tried to its end nor skipped.
func (s *soak) checkAllTried() error {
	var missing []error
	for _, f := range s.listFaults() {
		if len(s.outcomes[f.name]) == 0 && s.skipped[f.name] == "" {
			missing = append(missing, fmt.Errorf("%s has no outcome; a longer -duration may help", f.name))
		}
	}
	return errors.Join(missing...)
}

// checkLogs returns an error if a log reports a panic or an internal error.
func (s *soak) checkLogs() error {
	var errs []error
	for _, p := range []*service{s.service, s.guarded} {
		lines, err := p.findFailures()
		if err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
		for _, line := range lines {
			errs = append(errs, fmt.Errorf("%.300s", line))
		}
	}
	return errors.Join(errs...)
}
