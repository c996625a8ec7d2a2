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

// Axis is a setting of which a sweep tries several values.
type Axis struct {
	Name   string   `json:"name"` // such as learning-rate, inner, dropout, size, backbone
	Values []string `json:"values"`
}

// Sweep is a set of runs that differ in some settings.
type Sweep struct {
	Base Config `json:"base"` // Out is the sweep's folder
	Axes []Axis `json:"axes"`
	// Backbones maps values of the axis "backbone" to networks. A value that it lacks is the name
	// of a backbone, with that backbone's own preprocessing and weights.
	Backbones map[string]SweptBackbone `json:"backbones,omitempty"`
	// Random is the number of points to draw from the grid, by the base's seed; 0 tries all.
	Random int `json:"random,omitempty"`
	// Seeds is the number of seeds that each point is trained with, starting at the base's.
	Seeds int `json:"seeds"`
	// Folds is the number of folds of a cross-validation: each point and seed is trained once
	// for each fold as the validation split. With 0 all runs have the base's split.
	Folds int `json:"folds,omitempty"`
}

// SweptBackbone is the network that a value of the axis "backbone" stands for: see Config.
type SweptBackbone struct {
	Backbone      string       `json:"backbone"`
	Weights       string       `json:"weights,omitempty"`
	Preprocessing picture.Spec `json:"preprocessing"`
}

// Point is a choice of values for all axes, and the runs with these values.
type Point struct {
	Name   string     `json:"name"`   // "learning-rate=0.001 inner=100"
	Values []string   `json:"values"` // in the order of the axes
	Runs   []SweepRun `json:"runs"`   // the finished runs, all folds of the first seed first
	// Mean is the mean of the runs' best validation accuracies, and Spread their sample
	// standard deviation (divided by the number of runs − 1), 0 for one run. Folds are small,
	// and so spread more than seeds.
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
	// Interval is the 95 % interval of the mean over pictures and seeds: see
	// evaluate.MeanIntervals.
	Interval [2]float64 `json:"interval"`
	// Difference is Mean minus the Mean of the best point, which comes first: 0 or less.
	Difference float64 `json:"difference"`
	// RawPValue is the p-value of the comparison with the best point by
	// evaluate.ComparePairs. PValue is adjusted for all pairs of points of the sweep, by the
	// method of Holm. Both are 1 for the best point, and for points without runs to compare.
	RawPValue float64 `json:"raw_p_value"`
	PValue    float64 `json:"p_value"`
	// Noise says that PValue is above 0.05: there is no evidence that the point is worse. If
	// all points are equally good, at most 5 % of sweeps have a point without Noise.
	Noise bool `json:"noise"`
	// Failed is the reason why the point is not ranked, if one of its runs diverged.
	Failed string `json:"failed,omitempty"`

	changes []func(*Config) error
}

// hasFigures reports whether the point can be ranked.
func (p *Point) hasFigures() bool { return p.Failed == "" && len(p.Runs) > 0 }

// SweepRun is the outcome of one run of a sweep.
type SweepRun struct {
	Folder string `json:"folder"`
	Seed   uint64 `json:"seed"`
	// Fold is the number of the validation fold, from 1; 0 if there are no folds. Runs of the
	// same fold were validated on the same pictures.
	Fold    int     `json:"fold,omitempty"`
	Best    Epoch   `json:"best"`
	History []Epoch `json:"history"`

	right string // see runState.BestRight
	data  string // digest of all pictures
}

// trial returns the run in the form that the significance tests of package evaluate take.
func (r *SweepRun) trial() evaluate.Trial {
	t := evaluate.Trial{Pictures: strconv.Itoa(r.Fold), Right: make([]bool, len(r.right))}
	for i := range t.Right {
		t.Right[i] = r.right[i] == '1'
	}
	return t
}

// MixedError says that the folder of a sweep holds a run, or a whole sweep, with other settings or
// pictures, so that its figures cannot be compared with those of this sweep.
type MixedError struct {
	Folder  string   // of the run or the sweep
	Changed []string // settings by their names in config.json, or "pictures"
}

func (e *MixedError) Error() string {
	return fmt.Sprintf("%s does not belong to this sweep; these settings differ: %s", e.Folder,
		strings.Join(e.Changed, ", "))
}

// setters sets a value of each axis, by the axis's name.
var setters = map[string]setter{
	"learning-rate": func(c *Config, value string) error { return parseNumber(value, &c.LearningRate) },
	"dropout":       func(c *Config, value string) error { return parseNumber(value, &c.Dropout) },
	"weight-decay":  func(c *Config, value string) error { return parseNumber(value, &c.WeightDecay) },
	"batch":         func(c *Config, value string) error { return parseNumber(value, &c.Batch) },
	"inner": func(c *Config, value string) error {
		var units int
		err := parseNumber(value, &units)
		if c.Inner = nil; units > 0 {
			c.Inner = []int{units}
		}
		return err
	},
	"size": func(c *Config, value string) error {
		err := parseNumber(value, &c.Preprocessing.Width)
		c.Preprocessing.Height = c.Preprocessing.Width
		return err
	},
	"backbone": func(c *Config, value string) error {
		a, err := backbone.Lookup(value)
		c.Backbone, c.Weights, c.Preprocessing = value, "", a.Spec
		return err
	},
	"optimizer": func(c *Config, value string) error { c.Optimizer = Optimizer(value); return nil },
}

// setter sets a setting to a value in text form.
type setter func(c *Config, value string) error

// findSetter returns the setter of an axis, and false for a setting that cannot be swept.
func (s Sweep) findSetter(name string) (setter, bool) {
	set, ok := setters[name]
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

// displayName returns a value as it stands in the names of points: a file by its base name.
func (s Sweep) displayName(axis, value string) string {
	if _, ok := s.Backbones[value]; ok && axis == "backbone" {
		return filepath.Base(value)
	}
	return value
}

// parseNumber parses a number as JSON does, or in a form such as .5.
func parseNumber[T int | float64](value string, to *T) error {
	if err := json.Unmarshal([]byte(value), to); err != nil {
		var f float64
		if n, scanErr := fmt.Sscan(value, &f); n == 1 && scanErr == nil && float64(T(f)) == f {
			*to = T(f)
			return nil
		}
		return fmt.Errorf("%q is not a number that this setting takes", value)
	}
	return nil
}

// Points returns the points of the sweep in the order of the grid: the last axis changes fastest. It
// returns an error if an axis, a value or a combination of values is not valid.
func (s Sweep) Points() ([]*Point, error) {
	if err := checkBounds(bound{"seeds", float64(s.Seeds), atLeastOne}); err != nil {
		return nil, err
	}
	points := []*Point{{}}
	// A backbone sets the size, so the axis of sizes must come after it.
	order := slices.Clone(s.Axes)
	slices.SortStableFunc(order, func(a, b Axis) int { return axisOrder(a.Name) - axisOrder(b.Name) })
	for _, a := range order {
		set, err := s.checkAxis(a)
		if err != nil {
			return nil, err
		}
		var next []*Point
		for _, p := range points {
			for _, value := range a.Values {
				name := strings.TrimSpace(p.Name + " " + a.Name + "=" + s.displayName(a.Name, value))
				q := &Point{Values: append(slices.Clone(p.Values), value), Name: name}
				q.changes = append(slices.Clone(p.changes), func(c *Config) error { return set(c, value) })
				next = append(next, q)
			}
		}
		points = next
	}
	for _, p := range points {
		if _, err := s.configureRun(p, 0); err != nil {
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

// checkAxis returns the setter of an axis, and an error if the axis is not valid.
func (s Sweep) checkAxis(a Axis) (setter, error) {
	set, ok := s.findSetter(a.Name)
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
		sameName := func(v string) bool { return s.displayName(a.Name, v) == s.displayName(a.Name, value) }
		if same := slices.IndexFunc(a.Values[:i], sameName); same >= 0 {
			return nil, fmt.Errorf("%s has two files of the same name, %s and %s: rename one", a.Name,
				a.Values[same], value)
		}
	}
	return set, nil
}

// axisOrder returns the place in which axes are sorted.
func axisOrder(axis string) int {
	if axis == "size" {
		return 1
	}
	return 0
}

// configureRun returns the config of run n of a point.
func (s Sweep) configureRun(p *Point, n int) (Config, error) {
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

// runsPerPoint returns the number of runs of a point: one for each seed and fold.
func (s Sweep) runsPerPoint() int { return s.Seeds * max(s.Folds, 1) }

// describeRun returns the seed and fold of a run, for errors.
func describeRun(c Config) string {
	if c.Split.Folds > 0 {
		return fmt.Sprintf("seed %d, fold %d", c.Seed, c.Split.Fold)
	}
	return fmt.Sprintf("seed %d", c.Seed)
}

// Run trains all runs that have not finished yet, and returns the points in the order of their
// rank, the best first. It calls begin before each run, with the number of the run, and calls the
// functions of the Progress that begin returns. After every run it writes the ranking so far to
// sweep.json. A run that diverges ends its point, not the sweep; any other error ends the sweep, and
// names the run. When ctx is cancelled it returns ctx's error; called again with the same folder, it
// continues.
//
// Errors include *MixedError if the folder holds runs that do not belong to the sweep, and
// *LockedError if another process writes the folder.
func (s Sweep) Run(ctx context.Context, begin func(point *Point, run, runs int) Progress) ([]*Point, error) {
	points, err := s.Points()
	if err != nil {
		return nil, err
	}
	if err = os.MkdirAll(s.Base.Out, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockFolder(s.Base.Out)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err = s.claim(); err != nil {
		return nil, err
	}
	digests := map[int]string{} // of the pictures, by fold
	for i, p := range points {
		for n := range s.runsPerPoint() {
			c, err := s.configureRun(p, n)
			if err != nil {
				return nil, err
			}
			run, err := finishRun(ctx, c, begin(p, i*s.runsPerPoint()+n+1, s.runsPerPoint()*len(points)))
			var diverged *DivergedError
			switch {
			case errors.As(err, &diverged):
				p.Failed = fmt.Sprintf("%s: %v", describeRun(c), err)
			case ctx.Err() != nil:
				return nil, err
			case err != nil:
				return nil, fmt.Errorf("%s, %s: %w", p.Name, describeRun(c), err)
			default:
				if before, ok := digests[run.Fold]; ok && before != run.data {
					return nil, &MixedError{run.Folder, []string{"pictures"}}
				}
				digests[run.Fold] = run.data
				p.Runs = append(p.Runs, run)
			}
			if err := s.writeRanking(rankPoints(points)); err != nil {
				return nil, err
			}
			if p.Failed != "" {
				break
			}
		}
	}
	points = rankPoints(points)
	return points, errors.Join(s.writeRanking(points), s.writePage(points))
}

// claim writes the sweep to its folder, and checks that the folder does not hold a different sweep.
// Axes, values and seeds may be added and removed, since every point has its own folders. Other
// settings are shared by all points and may not change.
func (s Sweep) claim() error {
	path := filepath.Join(s.Base.Out, "sweep_config.json")
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		var old Sweep
		var changed []string
		if err = json.Unmarshal(before, &old); err == nil {
			changed, err = s.listChanges(old)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if len(changed) > 0 {
			return &MixedError{s.Base.Out, changed}
		}
	}
	return safefile.Write(path, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// listChanges lists the settings in which the bases of two sweeps differ, except those that are an
// axis of either sweep, whose value in the base does not matter.
func (s Sweep) listChanges(old Sweep) ([]string, error) {
	now, before := s.Base, old.Base
	known := Sweep{Backbones: map[string]SweptBackbone{}}
	maps.Copy(known.Backbones, old.Backbones)
	maps.Copy(known.Backbones, s.Backbones)
	for _, a := range append(slices.Clone(old.Axes), s.Axes...) {
		set, ok := known.findSetter(a.Name)
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

// finishRun trains a run, or resumes it if it was interrupted; it only reads one that has finished.
func finishRun(ctx context.Context, c Config, progress Progress) (SweepRun, error) {
	_, state, ok, err := readState(c.Out)
	if err != nil {
		return SweepRun{}, err
	}
	if ok {
		if changed := Differences(c, state.Config); len(changed) > 0 {
			return SweepRun{}, &MixedError{c.Out, changed}
		}
		state.Config.Epochs = c.Epochs
	}
	switch {
	case !ok && hasCheckpoint(c.Out): // interrupted before its first state
		_, err = Resume(ctx, c, progress)
	case !ok:
		_, err = Run(ctx, c, progress)
	case !state.done():
		_, err = Resume(ctx, c, progress)
	}
	if err != nil {
		return SweepRun{}, err
	}
	if _, state, _, err = readState(c.Out); err != nil {
		return SweepRun{}, err
	}
	return SweepRun{
		Folder: c.Out, Seed: c.Seed, Fold: c.Split.Fold, Best: state.Best, History: state.History,
		right: state.BestRight, data: state.Data,
	}, nil
}

func hasCheckpoint(folder string) bool {
	_, err := model.BestCheckpoint(folder)
	return err == nil
}

// significance is the significance level of Point.Noise, for all points of a sweep together.
const significance = 0.05

// rankPoints sorts points by their mean, and compares each with the first. Points without finished
// runs and points that failed come last, and are not compared.
func rankPoints(points []*Point) []*Point {
	points = slices.Clone(points)
	for _, p := range points {
		p.Mean, p.Spread = 0, 0
		n := float64(len(p.Runs))
		for _, r := range p.Runs {
			p.Mean += r.Best.ValidationAccuracy
		}
		p.Mean /= max(n, 1)
		for _, r := range p.Runs {
			p.Spread += float64((r.Best.ValidationAccuracy - p.Mean) * (r.Best.ValidationAccuracy - p.Mean))
		}
		p.Spread = math.Sqrt(p.Spread / max(n-1, 1))
	}
	group := func(p *Point) int {
		switch {
		case p.hasFigures():
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
		if !p.hasFigures() {
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
		// While runs are missing, the runs that both points have may favour this point: that
		// is no evidence that it is worse.
		if pairs[i].Difference > 0 {
			p.RawPValue, p.PValue = pairs[i].PValue, pairs[i].Adjusted
		}
		p.Noise = p.PValue > significance
	}
	return points
}

// writeRanking writes sweep.json.
func (s Sweep) writeRanking(points []*Point) error {
	return safefile.Write(filepath.Join(s.Base.Out, "sweep.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(points)
	})
}
