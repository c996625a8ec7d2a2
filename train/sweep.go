package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb"
	"garb/backbone"
	"garb/evaluate"
	"garb/internal/safefile"
)

// Axis is a setting that a sweep tries several values of.
type Axis struct {
	Name   string   `json:"name"` // as its flag: learning-rate, inner, dropout, size, backbone
	Values []string `json:"values"`
}

// Sweep is a number of runs that differ in some settings.
type Sweep struct {
	Base Config `json:"base"` // Out is the sweep's folder
	Axes []Axis `json:"axes"`
	// Random tries so many points of the grid, chosen by the base's seed; 0: all.
	Random int `json:"random,omitempty"`
	// Seeds is the number of runs of each point, with the seeds from the base's on.
	Seeds int `json:"seeds"`
}

// Point is one choice of values, and the runs with them.
type Point struct {
	Name   string   `json:"name"`   // "learning-rate=0.001 inner=100"
	Values []string `json:"values"` // in the order of the axes
	Runs   []RunOf  `json:"runs"`   // one a seed
	// Mean is the mean over the runs of their best validation accuracy, and Spread its
	// standard deviation, 0 for one run.
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
	// Interval is the 95 % interval of the mean, by Wilson over all answers.
	Interval [2]float64 `json:"interval"`
	// PValue is of McNemar's test against the first point, on the same pictures and
	// seeds; 1 for that itself. Noise says that it is no sign of a difference: above
	// 0.05.
	PValue float64 `json:"p_value"`
	Noise  bool    `json:"noise"`
	// Failed says why the point has no figures, if one of its runs diverged.
	Failed string `json:"failed,omitempty"`

	changes []func(*Config) error
}

// RunOf is what one run of a sweep came to.
type RunOf struct {
	Folder  string  `json:"folder"`
	Seed    uint64  `json:"seed"`
	Best    Epoch   `json:"best"`
	History []Epoch `json:"history"`

	right string
}

// axes are the settings that can be swept.
var axes = map[string]func(c *Config, value string) error{
	"learning-rate": func(c *Config, value string) error { return number(value, &c.LearningRate) },
	"dropout":       func(c *Config, value string) error { return number(value, &c.Dropout) },
	"weight-decay":  func(c *Config, value string) error { return number(value, &c.WeightDecay) },
	"batch":         func(c *Config, value string) error { return number(value, &c.Batch) },
	"inner": func(c *Config, value string) error {
		var units int
		err := number(value, &units)
		if c.Inner = nil; units > 0 {
			c.Inner = []int{units}
		}
		return err
	},
	"size": func(c *Config, value string) error {
		err := number(value, &c.Preprocessing.Width)
		c.Preprocessing.Height = c.Preprocessing.Width
		return err
	},
	"backbone": func(c *Config, value string) error {
		a, err := backbone.Lookup(value)
		c.Backbone, c.Preprocessing = value, a.Spec
		return err
	},
	"optimizer": func(c *Config, value string) error { c.Optimizer = value; return nil },
}

// number reads a value as JSON has it.
func number[T int | float64](value string, to *T) error {
	if err := json.Unmarshal([]byte(value), to); err != nil {
		var f float64 // .5 and 1e-3 as people write them
		if n, scanErr := fmt.Sscan(value, &f); n == 1 && scanErr == nil && float64(T(f)) == f {
			*to = T(f)
			return nil
		}
		return fmt.Errorf("%q is no number that fits here", value)
	}
	return nil
}

// Points lists the points of the sweep in the order of the grid, the first axis
// slowest. It returns an error if a value has no meaning.
func (s Sweep) Points() ([]*Point, error) {
	if s.Seeds < 1 {
		return nil, fmt.Errorf("%d seeds a point: there is at least one", s.Seeds)
	}
	points := []*Point{{}}
	// A backbone brings its size, so that a size must come after it.
	order := slices.Clone(s.Axes)
	slices.SortStableFunc(order, func(a, b Axis) int { return rank(a.Name) - rank(b.Name) })
	for _, a := range order {
		set, ok := axes[a.Name]
		if !ok {
			return nil, fmt.Errorf("%s cannot be swept", a.Name)
		}
		if len(a.Values) == 0 {
			return nil, fmt.Errorf("%s has no values to try", a.Name)
		}
		var next []*Point
		for _, p := range points {
			for _, value := range a.Values {
				q := &Point{Values: append(slices.Clone(p.Values), value), Name: strings.TrimSpace(p.Name + " " + a.Name + "=" + value)}
				q.changes = append(slices.Clone(p.changes), func(c *Config) error { return set(c, value) })
				next = append(next, q)
			}
		}
		points = next
	}
	for _, p := range points {
		if _, err := s.config(p, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if s.Random > 0 && s.Random < len(points) {
		chosen := rand.New(rand.NewPCG(s.Base.Seed, 0x5377)).Perm(len(points))[:s.Random]
		slices.Sort(chosen)
		var some []*Point
		for _, i := range chosen {
			some = append(some, points[i])
		}
		points = some
	}
	return points, nil
}

func rank(axis string) int {
	if axis == "size" {
		return 1
	}
	return 0
}

// config is that of a point's run number n.
func (s Sweep) config(p *Point, n int) (Config, error) {
	c := s.Base
	c.Candidate = true
	for _, change := range p.changes {
		if err := change(&c); err != nil {
			return c, err
		}
	}
	c.Seed += uint64(n)
	name := strings.NewReplacer(" ", "_", "/", "-").Replace(p.Name)
	c.Out = filepath.Join(s.Base.Out, name, fmt.Sprintf("seed%d", c.Seed))
	return c, c.Validate()
}

// Run does the runs that are not done so far, and ranks the points, the best first.
// begin is told which point comes and returns what is told how its run goes. The
// ranking so far is written to sweep.json after every run. A run that diverges ends
// its point, not the sweep. Interrupted, it returns ctx's error; run again in the same
// folder, it goes on.
func (s Sweep) Run(ctx context.Context, begin func(point *Point, run, runs int) Progress) ([]*Point, error) {
	points, err := s.Points()
	if err != nil {
		return nil, err
	}
	if err := s.claim(); err != nil {
		return nil, err
	}
	done := 0
	for _, p := range points {
		for n := range s.Seeds {
			done++
			c, err := s.config(p, n)
			if err != nil {
				return nil, err
			}
			err = s.one(ctx, p, c, begin(p, done, s.Seeds*len(points)))
			var diverged *DivergedError
			if errors.As(err, &diverged) {
				p.Failed = err.Error()
				break
			}
			if err != nil {
				return nil, err
			}
			if err := s.write(ranked(points)); err != nil {
				return nil, err
			}
		}
	}
	points = ranked(points)
	return points, errors.Join(s.write(points), s.writePage(points))
}

// claim makes the folder the sweep's, or finds that it is.
func (s Sweep) claim() error {
	path := filepath.Join(s.Base.Out, "sweep_config.json")
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if before, err := os.ReadFile(path); err == nil {
		var old Sweep
		if err := json.Unmarshal(before, &old); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if changed := Differences(s.Base, old.Base); len(changed) > 0 || s.Base.Epochs != old.Base.Epochs {
			return fmt.Errorf("%s holds a sweep with other settings: %v, %d epochs; choose another --out", s.Base.Out, changed, old.Base.Epochs)
		}
	}
	if err := os.MkdirAll(s.Base.Out, 0o755); err != nil {
		return err
	}
	return safefile.Write(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// one does a run, or what is left of it, and adds it to its point.
func (s Sweep) one(ctx context.Context, p *Point, c Config, progress Progress) error {
	_, state, ok, err := readState(c.Out)
	if err != nil {
		return err
	}
	if ok {
		state.Config.Epochs = c.Epochs
	}
	switch {
	case !ok && hasCheckpoint(c.Out): // stopped before its first state
		_, err = Resume(ctx, c, progress)
	case !ok:
		_, err = Run(ctx, c, progress)
	case !state.done():
		_, err = Resume(ctx, c, progress)
	}
	if err != nil {
		return err
	}
	if _, state, _, err = readState(c.Out); err != nil {
		return err
	}
	p.Runs = append(p.Runs, RunOf{c.Out, c.Seed, state.Best, state.History, state.BestRight})
	return nil
}

func hasCheckpoint(folder string) bool {
	_, err := garb.BestCheckpoint(folder)
	return err == nil
}

// ranked sorts points by their mean, and compares each with the first.
func ranked(points []*Point) []*Point {
	points = slices.Clone(points)
	for _, p := range points {
		sum, right, answers := 0.0, 0, 0
		for _, r := range p.Runs {
			sum += r.Best.ValidationAccuracy
			right += strings.Count(r.right, "1")
			answers += len(r.right)
		}
		n := float64(len(p.Runs))
		p.Mean, p.Spread = sum/max(n, 1), 0
		for _, r := range p.Runs {
			p.Spread += (r.Best.ValidationAccuracy - p.Mean) * (r.Best.ValidationAccuracy - p.Mean)
		}
		p.Spread = math.Sqrt(p.Spread / max(n-1, 1))
		p.Interval = evaluate.Wilson(right, answers)
	}
	slices.SortStableFunc(points, func(a, b *Point) int {
		switch {
		case (a.Failed == "") != (b.Failed == ""):
			if a.Failed == "" {
				return -1
			}
			return 1
		case a.Mean > b.Mean:
			return -1
		case a.Mean < b.Mean:
			return 1
		}
		return 0
	})
	for _, p := range points {
		onlyFirst, onlyThis := 0, 0
		for i, r := range p.Runs {
			if i >= len(points[0].Runs) {
				break
			}
			first := points[0].Runs[i].right
			for j := range min(len(r.right), len(first)) {
				switch {
				case first[j] == '1' && r.right[j] == '0':
					onlyFirst++
				case first[j] == '0' && r.right[j] == '1':
					onlyThis++
				}
			}
		}
		p.PValue = evaluate.McNemar(onlyFirst, onlyThis)
		p.Noise = p.PValue > 0.05
	}
	return points
}

func (s Sweep) write(points []*Point) error {
	return safefile.Write(filepath.Join(s.Base.Out, "sweep.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(points)
	})
}
