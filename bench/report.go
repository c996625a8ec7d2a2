package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"garb/internal/kernel"
)

// report is everything that one run found.
type report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit,omitempty"` // of the source; "+" after it: with changes
	Machine machine   `json:"machine"`
	Rows    []result  `json:"rows"`
}

type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"` // garb's choice of assembly
	Go     string `json:"go"`
	// Load is the number of threads that other work kept running in the minute
	// before the first row; figures mean little when it is not near 0.
	Load string `json:"load,omitempty"`
}

// result is what one row found.
type result struct {
	Row  string `json:"row"`
	Unit string `json:"unit,omitempty"` // of the series
	Garb series `json:"garb,omitzero"`
	Peer series `json:"peer,omitzero"`
	// Ratio is the median, over the rounds, of garb's median time in a round
	// divided by the peer's in the same round; 0 without a peer.
	Ratio  float64 `json:"ratio,omitempty"`
	Target float64 `json:"target,omitempty"` // of the ratio, or of garb's figure without a peer
	Met    *bool   `json:"met,omitempty"`
	// Difference is the largest difference of the two outputs: of networks as a
	// part of the largest value, of pictures in levels. Same says that it is
	// within tolerance.
	Difference float64 `json:"difference,omitempty"`
	Same       bool    `json:"same"`
	// Trains says that garb took a step of training with the network, of so many Parameters.
	Trains     bool   `json:"trains,omitempty"`
	Parameters int    `json:"parameters,omitempty"`
	Skipped    string `json:"skipped,omitempty"` // why nothing was measured
}

// series sums up one side's runs.
type series struct {
	Name   string  `json:"name,omitempty"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

func (s *series) summarize(figures []float64) {
	s.Min, s.Median, s.Max, s.Runs = slices.Min(figures), median(figures), slices.Max(figures), len(figures)
}

// median returns the middle of some figures, of an even number the mean of the
// middle two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure is what a target is set for: the ratio; without a peer the median time,
// or the largest peak of memory.
func (r *result) figure() float64 {
	switch {
	case r.Ratio != 0:
		return r.Ratio
	case r.Unit == megabytes:
		return r.Garb.Max
	}
	return r.Garb.Median
}

func (r *result) judge(target float64) {
	if target == 0 || r.Skipped != "" {
		return
	}
	met := r.Same && r.figure() <= target
	r.Target, r.Met = target, &met
}

func newReport() *report {
	return &report{
		Date:   time.Now().UTC().Truncate(time.Second),
		Commit: commit(),
		Machine: machine{
			CPU: cpuName(), Cores: runtime.NumCPU(),
			Kernel: kernel.ActiveLevel().String(), Go: runtime.Version(), Load: load(),
		},
	}
}

func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "%s, commit %s, %s, %d cores (load before: %s), garb's kernels: %s, %s\n\n",
		r.Date.Format(time.DateOnly),
		r.Commit, r.Machine.CPU, r.Machine.Cores, r.Machine.Load, r.Machine.Kernel, r.Machine.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t,
		"| row\t| garb min\t| median\t| peer min\t| median\t| ratio\t| target\t| met\t| difference\t| peer\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, row := range r.Rows {
		if row.Skipped != "" {
			fmt.Fprintf(t, "| %s\t| \t| \t| \t| \t| \t| \t| skipped\t| \t| %s\t|\n", row.Row, row.Skipped)
			continue
		}
		cells := []string{row.Row, row.amount(row.Garb.Min), row.amount(row.Garb.Median), "", "", "", "", "", "", ""}
		if row.Ratio != 0 {
			cells[3], cells[4] = row.amount(row.Peer.Min), row.amount(row.Peer.Median)
			cells[5] = fmt.Sprintf("%.2f", row.Ratio)
			cells[8] = fmt.Sprintf("%.1e", row.Difference)
			cells[9] = row.Peer.Name
		}
		if row.Met != nil {
			cells[6] = "≤ " + row.amount(row.Target)
			if row.Ratio != 0 {
				cells[6] = fmt.Sprintf("≤ %.2f", row.Target)
			}
			cells[7] = "no"
			if *row.Met {
				cells[7] = "yes"
			}
		}
		if !row.Same {
			cells[8] += " (not the same work)"
		}
		fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if mean, count := meanRatio(r.Rows); count > 0 {
		fmt.Fprintf(w, "\nGeometric mean of the ratios to the faster peer, of %d converted networks, batches and "+
			"threads: %.2f\n", count, mean)
	}
	return nil
}

// amount formats a figure of the row's series with its unit.
func (r *result) amount(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.2f %s", v, r.Unit)
	}
	if v < 100 {
		return fmt.Sprintf("%.1f %s", v, r.Unit)
	}
	return fmt.Sprintf("%.0f %s", v, r.Unit)
}

func (r *report) writeJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// commit asks git for the source's commit; empty where there is none.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(head))
	if changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(changes) > 0 {
		name += "+"
	}
	return name
}

// cpuName returns the processor's name as Linux tells it, or its architecture.
func cpuName() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}

// load returns the load average of the last minute, empty where it is not told.
func load() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(averages), " ")
	return first
}
