package scale

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Measured is what docs/_make/scale measured on one machine, as docs/scale.md shows it.
type Measured struct {
	CPU      string  `json:"cpu"`
	Date     string  `json:"date"`
	Pictures int     `json:"pictures"` // of the runs
	Runs     []Run   `json:"runs"`
	Classify float64 `json:"classify_seconds"` // of garb classify on the same pictures, with one thread
	Rates    Rates   `json:"rates"`
	// QueueBytes is what the server keeps on disk for one picture, and QueueMemory what it needs in
	// memory.
	QueueBytes  float64 `json:"queue_bytes"`
	QueueMemory float64 `json:"queue_memory"`
}

// Run is one measured run of a number of workers with one thread each.
type Run struct {
	Workers      int     `json:"workers"`
	Seconds      float64 `json:"seconds"`
	WorkerBytes  int64   `json:"worker_bytes"`  // most memory of a worker
	HalfwayBytes int64   `json:"halfway_bytes"` // the same after half of the pictures
}

// MeasuredFile has the figures of docs/scale.md, and Page is that page; both are relative to the
// project's root.
const (
	MeasuredFile = "docs/_make/scale/measured.json"
	Page         = "docs/scale.md"
)

// Read returns the figures of the project in a folder.
func Read(root string) (Measured, error) {
	var m Measured
	text, err := os.ReadFile(filepath.Join(root, MeasuredFile))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

// FillInPage fills in the page of the project in a folder. It takes a minute or two.
func FillInPage(root string) error {
	m, err := Read(root)
	if err != nil {
		return err
	}
	tables, err := m.Tables(math.MaxInt)
	if err != nil {
		return err
	}
	path := filepath.Join(root, Page)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	filled, err := FillIn(string(text), tables)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(filled), 0o644)
}

// Assumptions of docs/scale.md that were not measured here.
const (
	workerCores   = 4
	BatchPictures = 32
	batchesAhead  = 2
	readers       = 32
	coreHourPrice = 0.04 // US dollars for an hour of one core on demand, the usual order of cloud prices
	getPrice      = 4e-7 // US dollars a GET, Amazon S3 Standard's list price in us-east-1
	// StoreRequests is the rate that Amazon S3 documents for reading below one prefix.
	StoreRequests = 5500
	lossesPerHour = 0.05 // of a spot machine: one in twenty an hour
)

// pictureCounts and workerCounts are the rows and columns of the tables.
var (
	pictureCounts = []int{1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
	workerCounts  = []int{1, 10, 100, 1000, 10000}
)

// FillIn returns a page in which each part between <!-- scale NAME --> and <!-- end --> holds the
// table NAME. It returns an error if the page has an unknown table or lacks one.
func FillIn(page string, tables map[string]string) (string, error) {
	var b strings.Builder
	filled := 0
	for {
		before, rest, found := strings.Cut(page, "<!-- scale ")
		b.WriteString(before)
		if !found {
			break
		}
		name, rest, _ := strings.Cut(rest, " -->")
		_, after, ended := strings.Cut(rest, "<!-- end -->")
		table, known := tables[name]
		if !ended || !known {
			return "", fmt.Errorf("the page's part %q has no end, or is no table", name)
		}
		fmt.Fprintf(&b, "<!-- scale %s -->\n%s<!-- end -->", name, table)
		page = after
		filled++
	}
	if filled != len(tables) {
		return "", errors.New("the page does not show every table")
	}
	return b.String(), nil
}

// Tables returns the tables of docs/scale.md by name: runs, queue, time, cost
// and limits. Numbers of
// pictures above most are left out of the tables of simulations, which take long for them.
func (m Measured) Tables(most int) (map[string]string, error) {
	times, costs, err := m.simulated(most)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"runs": m.runs(), "queue": m.queue(), "time": times, "cost": costs, "limits": m.limits(),
	}, nil
}

// runs returns the table of what was measured.
func (m Measured) runs() string {
	var b strings.Builder
	b.WriteString("| workers | time | pictures/s | memory of a worker, halfway and at the end |\n|---|---|---|---|\n")
	for _, r := range m.Runs {
		fmt.Fprintf(&b, "| %d | %.0f s | %.0f | %d MB, %d MB |\n", r.Workers, r.Seconds,
			float64(m.Pictures)/r.Seconds, r.HalfwayBytes/1e6, r.WorkerBytes/1e6)
	}
	fmt.Fprintf(&b, "| `garb classify`, one thread | %.0f s | %.0f | |\n", m.Classify, float64(m.Pictures)/m.Classify)
	return b.String()
}

// queue returns the table of what the queue was measured to need for one picture.
func (m Measured) queue() string {
	r := m.Rates
	var b strings.Builder
	b.WriteString("| for one picture | |\n|---|---|\n")
	fmt.Fprintf(&b, "| CPU to read, decode and classify it | %.1f ms |\n", 1e3*r.PictureCPU)
	fmt.Fprintf(&b, "| put | %.0f µs |\n", 1e6*r.PutPicture)
	fmt.Fprintf(&b, "| deliver it, store its result, acknowledge it | %.0f µs |\n", 1e6*r.QueueBatch/BatchPictures)
	fmt.Fprintf(&b, "| get | %.0f µs |\n", 1e6*r.GetPicture)
	fmt.Fprintf(&b, "| disk of the server | %.0f bytes |\n", m.QueueBytes)
	fmt.Fprintf(&b, "| memory of the server and of put | %.0f bytes |\n", m.QueueMemory)
	return b.String()
}

// plan returns the plan of a cell of the tables.
func plan(pictures, workers int) Plan {
	return Plan{Pictures: pictures, Workers: workers, Cores: workerCores, Batch: BatchPictures,
		Ahead: batchesAhead, Readers: readers, LossesPerHour: lossesPerHour}
}

// simulated returns the tables of time and cost.
func (m Measured) simulated(most int) (times, costs string, err error) {
	counts := slices.DeleteFunc(slices.Clone(pictureCounts), func(n int) bool { return n > most })
	cells := make([][]Result, len(counts))
	errs := make([]error, len(counts))
	var all sync.WaitGroup
	for i, pictures := range counts {
		cells[i] = make([]Result, len(workerCounts))
		all.Go(func() {
			for j, workers := range workerCounts {
				if errs[i] == nil {
					p, r := plan(pictures, workers), m.Rates
					if pictures > 1e7 { // ten batches at a time, with their work, or it takes too long
						p.Batch, r.QueueBatch = 10*p.Batch, 10*r.QueueBatch
					}
					cells[i][j], errs[i] = Simulate(p, r, 1)
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", "", err
	}
	var t, c strings.Builder
	for _, b := range []*strings.Builder{&t, &c} {
		b.WriteString("| pictures |")
		for _, workers := range workerCounts {
			fmt.Fprintf(b, " %s |", formatCount(workers))
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(workerCounts)) + "\n")
	}
	for i, pictures := range counts {
		fmt.Fprintf(&t, "| %s |", formatCount(pictures))
		fmt.Fprintf(&c, "| %s |", formatCount(pictures))
		for _, cell := range cells[i] {
			fmt.Fprintf(&t, " %s, %s |", formatSeconds(cell.Seconds), cell.Bottleneck)
			fmt.Fprintf(&c, " %s |", formatDollars(cell.CoreHours*coreHourPrice+float64(pictures)*getPrice))
		}
		t.WriteString("\n")
		c.WriteString("\n")
	}
	return t.String(), c.String(), nil
}

// limits returns the table of what each resource bears, slowest first.
func (m Measured) limits() string {
	type limit struct {
		name, remedy string
		seconds      float64 // a picture
	}
	r := m.Rates
	all := []limit{
		{"one `garb queue put`", "several at a time, each with its own prefix", r.PutPicture},
		{"one `garb queue get`", "one for each job", r.GetPicture},
		{"the queue's server", "larger batches, or a cluster and a job for each of its streams",
			r.QueueBatch / BatchPictures},
		{"one prefix of the store", "pictures below several prefixes", r.StorePicture},
	}
	slices.SortFunc(all, func(a, b limit) int { return int(math.Copysign(1, b.seconds-a.seconds)) })
	var b strings.Builder
	b.WriteString("| limit | pictures/s | reached by workers with 4 cores | then |\n|---|---|---|---|\n")
	for _, l := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", l.name, formatCount(round(1/l.seconds)),
			formatCount(round(r.PictureCPU/workerCores/l.seconds)), l.remedy)
	}
	return b.String()
}

// round rounds to two significant digits.
func round(x float64) int {
	unit := math.Pow(10, math.Floor(math.Log10(max(x, 1)))-1)
	return int(math.Round(math.Round(x/unit) * unit))
}

// formatCount formats a whole number with commas.
func formatCount(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatSeconds formats a time with two significant digits, in the unit that people would use.
func formatSeconds(seconds float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"days", 86400}, {"h", 3600}, {"min", 60}} {
		if seconds >= 2*unit.seconds {
			return formatTwo(seconds/unit.seconds) + " " + unit.name
		}
	}
	return formatTwo(seconds) + " s"
}

// formatDollars formats a price with two significant digits.
func formatDollars(dollars float64) string {
	if dollars < 0.01 {
		return "below $0.01"
	}
	if dollars < 1 {
		return fmt.Sprintf("$%.2f", dollars)
	}
	return "$" + formatTwo(dollars)
}

// formatTwo formats a positive number with two significant digits, without an exponent.
func formatTwo(x float64) string {
	if x < 9.95 {
		return fmt.Sprintf("%.1f", x)
	}
	return formatCount(round(x))
}
