package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"garb/backbone"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
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
	// Backbones says what values of the axis "backbone" stand for. A value that it lacks is the
	// name of a backbone, which is used with that backbone's own preprocessing and weights.
	Backbones map[string]SweptBackbone `json:"backbones,omitempty"`
	// Random is the number of points of the grid to try, chosen by the base's seed; 0: all.
	Random int `json:"random,omitempty"`
	// Seeds is the number of seeds that each point is trained with, from the base's on.
	Seeds int `json:"seeds"`
	// Folds is the number of folds of a cross-validation, each of which is the validation
	// split of a run of each point and seed; 0: all runs have the base's split.
	Folds int `json:"folds,omitempty"`
}

// SweptBackbone is the network of some points of a sweep: see Config.
type SweptBackbone struct {
	Backbone      string       `json:"backbone"`
	Weights       string       `json:"weights,omitempty"`
	Preprocessing picture.Spec `json:"preprocessing"`
}

// Point is one choice of values, and the runs with them.
type Point struct {
	Name   string   `json:"name"`   // "learning-rate=0.001 inner=100"
	Values []string `json:"values"` // in the order of the axes
	Runs   []RunOf  `json:"runs"`   // those that are done: all folds of the first seed first
	// Mean is the mean over the runs of their best validation accuracy, and Spread its
	// standard deviation (of a sample: divided by the number of runs − 1), 0 for one run.
	// Folds are small, and so spread more than seeds.
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
	// Interval is the 95 % interval of the mean over pictures and seeds: see
	// evaluate.MeanIntervals.
	Interval [2]float64 `json:"interval"`
	// Difference is Mean minus that of the best point, which comes first: 0 or less.
	Difference float64 `json:"difference"`
	// RawPValue is the p-value of the comparison with the best point by
	// evaluate.ComparePairs, and PValue is adjusted by Holm for all pairs of points of
	// the sweep. Both are 1 for the best, and for a point without runs to compare.
	RawPValue float64 `json:"raw_p_value"`
	PValue    float64 `json:"p_value"`
	// Noise says that PValue is above 0.05: there is no sign that the point is worse. If
	// all points are equally good, at most 5 % of sweeps have a point without Noise.
	Noise bool `json:"noise"`
	// Failed says why the point is not ranked, if one of its runs diverged.
	Failed string `json:"failed,omitempty"`

	changes []func(*Config) error
}

// ranked reports whether the point has figures to rank it by.
func (p *Point) ranked() bool { return p.Failed == "" && len(p.Runs) > 0 }

// RunOf is what one run of a sweep came to.
type RunOf struct {
	Folder string `json:"folder"`
	Seed   uint64 `json:"seed"`
	// Fold is that of the validation pictures, from 1; 0 if there are no folds. Runs of
	// the same fold were measured on the same pictures.
	Fold    int     `json:"fold,omitempty"`
	Best    Epoch   `json:"best"`
	History []Epoch `json:"history"`

	right string // see position.BestRight
	data  string // digest of all pictures
}

// trial returns the run as the tests of evaluate take it.
func (r *RunOf) trial() evaluate.Trial {
	t := evaluate.Trial{Pictures: strconv.Itoa(r.Fold), Right: make([]bool, len(r.right))}
	for i := range t.Right {
		t.Right[i] = r.right[i] == '1'
	}
	return t
}

// MixedError says that the folder of a sweep holds a run, or a whole sweep, that differs
// from what is asked for in more than may differ, so that its figures do not compare.
type MixedError struct {
	Folder  string   // of the run or the sweep
	Changed []string // settings by their names in config.json, or "pictures"
}

// Error implements error.
func (e *MixedError) Error() string {
	return fmt.Sprintf("%s does not belong to this sweep, which differs in: %s", e.Folder,
		strings.Join(e.Changed, ", "))
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
		c.Backbone, c.Weights, c.Preprocessing = value, "", a.Spec
		return err
	},
	"optimizer": func(c *Config, value string) error { c.Optimizer = value; return nil },
}

// axis returns what a value of an axis changes, and false for a setting that cannot be swept.
func (s Sweep) axis(name string) (func(c *Config, value string) error, bool) {
	set, ok := axes[name]
	if name != "backbone" {
		return set, ok
	}
	return func(c *Config, value string) error {
		b, ok := s.Backbones[value]
		if !ok {
			return set(c, value)
		}
		c.Backbone, c.Weights, c.Preprocessing = b.Backbone, b.Weights, b.Preprocessing
		return nil
	}, true
}

// shown returns what a value is called in the names of points: a file by its base name.
func (s Sweep) shown(axis, value string) string {
	if _, ok := s.Backbones[value]; ok && axis == "backbone" {
		return filepath.Base(value)
	}
	return value
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
		return nil, fmt.Errorf("%d seeds: a point has at least one", s.Seeds)
	}
	points := []*Point{{}}
	// A backbone brings its size, so that a size must come after it.
	order := slices.Clone(s.Axes)
	slices.SortStableFunc(order, func(a, b Axis) int { return rank(a.Name) - rank(b.Name) })
	for _, a := range order {
		set, ok := s.axis(a.Name)
		if !ok {
			return nil, fmt.Errorf("%s cannot be swept", a.Name)
		}
		if len(a.Values) == 0 {
			return nil, fmt.Errorf("%s has no values to try", a.Name)
		}
		for i, value := range a.Values {
			if slices.Contains(a.Values[:i], value) {
				return nil, fmt.Errorf("%s has the value %s twice", a.Name, value)
			}
			sameName := func(v string) bool { return s.shown(a.Name, v) == s.shown(a.Name, value) }
			if same := slices.IndexFunc(a.Values[:i], sameName); same >= 0 {
				return nil, fmt.Errorf("%s has two files of the same name, %s and %s: rename one", a.Name,
					a.Values[same], value)
			}
		}
		var next []*Point
		for _, p := range points {
			for _, value := range a.Values {
				name := strings.TrimSpace(p.Name + " " + a.Name + "=" + s.shown(a.Name, value))
				q := &Point{Values: append(slices.Clone(p.Values), value), Name: name}
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
	seed, fold := n, 0
	if s.Folds != 0 {
		seed, fold = n/max(s.Folds, 1), n%max(s.Folds, 1)+1
		c.Split.Folds, c.Split.Fold = s.Folds, fold
	}
	c.Seed += uint64(seed)
	run := fmt.Sprintf("seed%d", c.Seed)
	if fold > 0 {
		run += fmt.Sprintf("-fold%d", fold)
	}
	name := strings.NewReplacer(" ", "_", "/", "-").Replace(p.Name)
	c.Out = filepath.Join(s.Base.Out, name, run)
	return c, c.Validate()
}

// runs is the number of runs of a point: one for each seed and fold.
func (s Sweep) runs() int { return s.Seeds * max(s.Folds, 1) }

// runName names a run in an error.
func runName(c Config) string {
	if c.Split.Folds > 0 {
		return fmt.Sprintf("seed %d, fold %d", c.Seed, c.Split.Fold)
	}
	return fmt.Sprintf("seed %d", c.Seed)
}

// Run does the runs that are not done so far, and ranks the points, the best first.
// begin is told which point comes and returns what is told how its run goes. The
// ranking so far is written to sweep.json after every run. A run that diverges ends
// its point, not the sweep; any other error ends the sweep, and says which run it is of.
// Interrupted, it returns ctx's error; run again in the same folder, it goes on. It
// returns a *MixedError if the folder holds runs that do not belong to the sweep.
func (s Sweep) Run(ctx context.Context, begin func(point *Point, run, runs int) Progress) ([]*Point, error) {
	points, err := s.Points()
	if err != nil {
		return nil, err
	}
	if err := s.claim(); err != nil {
		return nil, err
	}
	digests := map[int]string{} // of the pictures, by fold
	for i, p := range points {
		for n := range s.runs() {
			c, err := s.config(p, n)
			if err != nil {
				return nil, err
			}
			run, err := one(ctx, c, begin(p, i*s.runs()+n+1, s.runs()*len(points)))
			var diverged *DivergedError
			switch {
			case errors.As(err, &diverged):
				p.Failed = fmt.Sprintf("%s: %v", runName(c), err)
			case ctx.Err() != nil:
				return nil, err
			case err != nil:
				return nil, fmt.Errorf("%s, %s: %w", p.Name, runName(c), err)
			default:
				if before, ok := digests[run.Fold]; ok && before != run.data {
					return nil, &MixedError{run.Folder, []string{"pictures"}}
				}
				digests[run.Fold] = run.data
				p.Runs = append(p.Runs, run)
			}
			if err := s.write(ranked(points)); err != nil {
				return nil, err
			}
			if p.Failed != "" {
				break
			}
		}
	}
	points = ranked(points)
	return points, errors.Join(s.write(points), s.writePage(points))
}

// claim makes the folder the sweep's, or finds that it is. Values, axes and seeds may be
// added and left out: every point has folders of its own. Other settings are shared by
// all points, and may not change.
func (s Sweep) claim() error {
	path := filepath.Join(s.Base.Out, "sweep_config.json")
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	switch {
	case err == nil:
		var old Sweep
		if err := json.Unmarshal(before, &old); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		changed, err := s.changes(old)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(changed) > 0 {
			return &MixedError{s.Base.Out, changed}
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(s.Base.Out, 0o755); err != nil {
		return err
	}
	return safefile.Write(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// changes lists the settings that two sweeps do not share, but for those that either of
// them tries several values of: of these the base has any.
func (s Sweep) changes(old Sweep) ([]string, error) {
	now, before := s.Base, old.Base
	known := Sweep{Backbones: map[string]SweptBackbone{}}
	maps.Copy(known.Backbones, old.Backbones)
	maps.Copy(known.Backbones, s.Backbones)
	for _, a := range append(slices.Clone(old.Axes), s.Axes...) {
		set, ok := known.axis(a.Name)
		if !ok || len(a.Values) == 0 {
			return nil, fmt.Errorf("the setting %q with the values %q cannot be swept", a.Name, a.Values)
		}
		if err := errors.Join(set(&now, a.Values[0]), set(&before, a.Values[0])); err != nil {
			return nil, err
		}
	}
	changed := Differences(now, before)
	if now.Epochs != before.Epochs {
		changed = append(changed, fmt.Sprintf("epochs (%d, not %d)", now.Epochs, before.Epochs))
	}
	return changed, nil
}

// one does a run, or what is left of it.
func one(ctx context.Context, c Config, progress Progress) (RunOf, error) {
	_, state, ok, err := readState(c.Out)
	if err != nil {
		return RunOf{}, err
	}
	if ok {
		if changed := Differences(c, state.Config); len(changed) > 0 {
			return RunOf{}, &MixedError{c.Out, changed}
		}
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
		return RunOf{}, err
	}
	if _, state, _, err = readState(c.Out); err != nil {
		return RunOf{}, err
	}
	return RunOf{
		Folder: c.Out, Seed: c.Seed, Fold: c.Split.Fold, Best: state.Best, History: state.History,
		right: state.BestRight, data: state.Data,
	}, nil
}

func hasCheckpoint(folder string) bool {
	_, err := model.BestCheckpoint(folder)
	return err == nil
}

// significance is the level of Point.Noise, for all points of a sweep together.
const significance = 0.05

// ranked sorts points by their mean, and compares each with the first. Points without
// runs and points that failed come last, and are compared with nothing.
func ranked(points []*Point) []*Point {
	points = slices.Clone(points)
	for _, p := range points {
		p.Mean, p.Spread = 0, 0
		n := float64(len(p.Runs))
		for _, r := range p.Runs {
			p.Mean += r.Best.ValidationAccuracy
		}
		p.Mean /= max(n, 1)
		for _, r := range p.Runs {
			p.Spread += (r.Best.ValidationAccuracy - p.Mean) * (r.Best.ValidationAccuracy - p.Mean)
		}
		p.Spread = math.Sqrt(p.Spread / max(n-1, 1))
	}
	group := func(p *Point) int {
		switch {
		case p.ranked():
			return 0
		case p.Failed == "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(points, func(a, b *Point) int {
		if c := cmp.Compare(group(a), group(b)); c != 0 {
			return c
		}
		return cmp.Compare(b.Mean, a.Mean)
	})
	settings := make([][]evaluate.Trial, 0, len(points))
	for _, p := range points {
		p.Interval, p.Difference, p.RawPValue, p.PValue, p.Noise = [2]float64{0, 1}, 0, 1, 1, true
		if !p.ranked() {
			continue
		}
		var trials []evaluate.Trial
		for _, r := range p.Runs {
			trials = append(trials, r.trial())
		}
		settings = append(settings, trials)
	}
	if len(settings) == 0 {
		return points
	}
	pairs, intervals := evaluate.ComparePairs(settings)[0], evaluate.MeanIntervals(settings)
	for i, p := range points[:len(settings)] {
		p.Interval = intervals[i]
		if d := p.Mean - points[0].Mean; d < -1e-12 { // else a tie, summed in another order
			p.Difference = d
		}
		// Of points with runs to be done, those that both have may stand the other way
		// round: that is no sign that this is the worse.
		if pairs[i].Difference > 0 {
			p.RawPValue, p.PValue = pairs[i].PValue, pairs[i].Adjusted
		}
		p.Noise = p.PValue > significance
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
