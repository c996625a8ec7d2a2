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

// report has the results of a run.
type report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit,omitempty"` // the source's; with "+" if there are changes
	Machine machine   `json:"machine"`
	Rows    []result  `json:"rows"`
}

type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"` // garb's choice of assembly
	Go     string `json:"go"`
	// Load is the load average of the minute before the first row. Figures mean little if it is not
	// near 0.
	Load string `json:"load,omitempty"`
}

// result is the result of a row.
type result struct {
	Row  string `json:"row"`
	Unit string `json:"unit,omitempty"` // the series'
	Garb series `json:"garb,omitzero"`
	Peer series `json:"peer,omitzero"`
	// Ratio is the median, over the rounds, of garb's median time in a round divided by the peer's in
	// the same round; 0 without a peer.
	Ratio  float64 `json:"ratio,omitempty"`
	Target float64 `json:"target,omitempty"` // for the ratio, or without a peer for garb's figure
	Met    *bool   `json:"met,omitempty"`
	// Difference is the largest difference of the two outputs: for networks as a part of the largest
	// value, for pictures in levels. Same says that it is within the tolerance.
	Difference float64 `json:"difference,omitempty"`
	Same       bool    `json:"same"`
	// Trains says that garb trained the network, which has so many Parameters, for a step.
	Trains     bool   `json:"trains,omitempty"`
	Parameters int    `json:"parameters,omitempty"`
	Skipped    string `json:"skipped,omitempty"` // why nothing was measured
}

// series summarizes the runs of garb or of its peer.
type series struct {
	Name   string  `json:"name,omitempty"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"`
}

func (s *series) summarize(figures []float64) {
	s.Min, s.Median, s.Max, s.Runs = slices.Min(figures), computeMedian(figures), slices.Max(figures), len(figures)
}

// computeMedian returns the median of some figures.
func computeMedian(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// selectFigure returns the figure to compare with the target: the ratio, or without a peer the median
// time or the largest peak of memory.
func (r *result) selectFigure() float64 {
	switch {
	case r.Ratio != 0:
		return r.Ratio
	case r.Unit == megabytes:
		return r.Garb.Max
	}
	return r.Garb.Median
}

// judge says whether the result meets a target.
func (r *result) judge(target float64) {
	if target == 0 || r.Skipped != "" {
		return
	}
	met := r.Same && r.selectFigure() <= target
	r.Target, r.Met = target, &met
}

func newReport() *report {
	return &report{
		Date:   time.Now().UTC().Truncate(time.Second),
		Commit: findCommit(),
		Machine: machine{
			CPU: findCPU(), Cores: runtime.NumCPU(),
			Kernel: kernel.ActiveLevel().String(), Go: runtime.Version(), Load: readLoad(),
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
		cells := []string{row.Row, row.format(row.Garb.Min), row.format(row.Garb.Median), "", "", "", "", "", "", ""}
		if row.Ratio != 0 {
			cells[3], cells[4] = row.format(row.Peer.Min), row.format(row.Peer.Median)
			cells[5] = fmt.Sprintf("%.2f", row.Ratio)
			cells[8] = fmt.Sprintf("%.1e", row.Difference)
			cells[9] = row.Peer.Name
		}
		if row.Met != nil {
			cells[6] = "≤ " + row.format(row.Target)
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
	if mean, count := computeMeanRatio(r.Rows); count > 0 {
		fmt.Fprintf(w, "\nGeometric mean of the ratios to the faster peer, of %d converted networks, batches and "+
			"threads: %.2f\n", count, mean)
	}
	return nil
}

// format returns a figure of the row's series with its unit.
func (r *result) format(v float64) string {
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

// findCommit returns the source's commit, or nothing where git has none.
func findCommit() string {
	head, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(head))
	changes, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output()
	if err == nil && len(changes) > 0 {
		name += "+"
	}
	return name
}

// findCPU returns the processor's name, or its architecture where the system does not tell the name.
func findCPU() string {
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

// readLoad returns the load average of the last minute, or nothing where the system does not tell it.
func readLoad() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(averages), " ")
	return first
}
