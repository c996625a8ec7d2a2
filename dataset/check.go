package dataset

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"garb/picture"
)

// Health is the result of Check.
type Health struct {
	Layout  Layout        `json:"layout"`
	Classes []string      `json:"classes"`
	Splits  []SplitHealth `json:"splits"`
	// Problems says what is wrong with the data set.
	Problems []Problem `json:"problems"`
	Notes    []string  `json:"notes"` // how it was read
	Used     int       `json:"used"`  // the number of readable pictures
	// Skipped counts what gave no picture, by reason. Skips lists at most 10,000 of each
	// reason.
	Skipped map[Reason]int `json:"skipped"`
	Skips   []Skip         `json:"skips"`
	Summary string         `json:"summary"` // both in one line, see Tally.Summary
	Corrupt []Unreadable   `json:"corrupt"` // pictures that cannot be read
	// Groups summarizes the groups of pictures that belong together; nil without groups.
	Groups *GroupHealth `json:"groups,omitempty"`
	// Contributors are columns that should perhaps define groups.
	Contributors []Contributor `json:"contributors,omitempty"`
	Division     *Division     `json:"division,omitempty"` // nil if the data set has splits of its own
	// Exact has groups of pictures with the same bytes, and Near groups of pictures that look
	// the same: see Check.
	Exact []Group `json:"exact_duplicates"`
	Near  []Group `json:"near_duplicates"`
	// Few are the classes of the training split with fewer than FewPictures pictures.
	Few   []ClassCount `json:"few"`
	Shift *Shift       `json:"label_shift,omitempty"` // nil with one split
	Sizes Sizes        `json:"sizes"`
	// Kinds counts what is unusual about pictures, such as a wrong extension or an alpha channel.
	Kinds []KindCount `json:"kinds"`
}

// GroupHealth summarizes the groups of a data set.
type GroupHealth struct {
	Count   int   `json:"count"`
	Sizes   Range `json:"sizes"`   // pictures per group
	Without int   `json:"without"` // pictures without a group
	// Leaks is the number of groups in several splits.
	Leaks int `json:"leaks"`
}

// Failing reports whether training would refuse the data set, or skip some of it.
func (h *Health) Failing() bool {
	for reason := range h.Skipped {
		if !reason.Ignored() {
			return true
		}
	}
	return slices.ContainsFunc(h.Problems, func(p Problem) bool { return p.Refused })
}

// SplitHealth counts the readable pictures of a split.
type SplitHealth struct {
	Name   string `json:"name"` // train, validation or test
	Count  int    `json:"count"`
	Counts []int  `json:"counts"` // one per class
}

// Place is a picture of the data set.
type Place struct {
	Split string `json:"split"`
	Class string `json:"class"`
	Path  string `json:"path"`
}

// Unreadable is a picture that cannot be read, and why.
type Unreadable struct {
	Place
	Message string `json:"message"`
}

// Group has pictures that are the same.
type Group struct {
	Pictures []Place `json:"pictures"`
	// Leak says that the pictures are in several splits, so that a network would be tested on
	// pictures that it was trained on.
	Leak bool `json:"leak"`
	// Conflict says that the pictures are of several classes.
	Conflict bool `json:"conflict"`
}

// ClassCount is a class with its number of pictures.
type ClassCount struct {
	Class string `json:"class"`
	Count int    `json:"count"`
}

// FewPictures is the number of training pictures below which a class has few. Below about fifty,
// transfer learning on a frozen network still improves with every picture.
const FewPictures = 50

// Shift is the result of Pearson's chi-square test that the classes have the same shares in all
// splits.
type Shift struct {
	ChiSquare float64 `json:"chi_square"`
	Freedom   int     `json:"degrees_of_freedom"`
	// PValue is the probability that shares differ at least as much in random splits.
	PValue float64 `json:"p_value"`
	// Largest is the class whose share differs most between train and another split.
	Largest  string  `json:"largest"`
	Split    string  `json:"split"`
	Training float64 `json:"training_share"`
	Other    float64 `json:"other_share"`
}

// Sizes summarizes the sizes of upright pictures, in pixels.
type Sizes struct {
	Width, Height, Shortest Range
	Portrait                float64        `json:"portrait"` // the share of pictures that are higher than wide
	Landscape               float64        `json:"landscape"`
	Formats                 map[string]int `json:"formats"`
	Bytes                   int64          `json:"bytes"` // of all files together
}

// Range is the minimum, the median and the maximum of some values.
type Range struct {
	Min    int `json:"min"`
	Median int `json:"median"`
	Max    int `json:"max"`
}

// Leaks returns the number of groups of duplicates in several splits.
func (h *Health) Leaks() int {
	n := 0
	for _, groups := range [][]Group{h.Exact, h.Near} {
		for _, g := range groups {
			if g.Leak {
				n++
			}
		}
	}
	return n
}

// inspection is what Check knows about one picture.
type inspection struct {
	place  Place
	label  int
	split  int
	digest [sha256.Size]byte
	looks  looks
	info   picture.Info
	bytes  int
	err    error
}

// Check reads every picture of a data set, on all cores, and looks for what spoils training or its
// results. If the data set has no splits, it is divided by the rule. Check reports everything that
// is wrong. It calls progress, unless nil, from several goroutines as pictures are done. Its error
// is ctx's.
//
// Pictures look the same if their difference hashes (64 comparisons of adjacent grey levels on a
// grid of 9 × 8) differ in at most 6 bits, and grids of 16 × 16 pixels differ by at most 6 levels
// in the mean.
func Check(ctx context.Context, d *Data, rule SplitRule, l picture.Limits, progress func(done int)) (*Health, error) {
	h := &Health{
		Layout: d.Layout, Classes: d.Classes, Contributors: d.Contributors,
		Problems: append([]Problem{}, d.Problems...), Notes: append([]string{}, d.Notes...),
		Corrupt: []Unreadable{}, Exact: []Group{}, Near: []Group{}, Few: []ClassCount{},
	}
	var tally Tally
	tally.Merge(&d.Tally)
	var all []inspection
	if len(d.Classes) == 1 {
		h.Problems = append(h.Problems, Problem{ProblemClasses,
			fmt.Sprintf("all pictures are of one class, %q: there is nothing to tell apart", d.Classes[0]), true, nil})
	}
	if len(d.Parts) > 0 {
		splits, problems := d.Divide(rule)
		h.Division, h.Problems = splits.Division, append(h.Problems, problems...)
		if d.Grouped {
			h.Groups = summarizeGroups(splits)
		}
		for split, part := range splits.parts() {
			found, err := inspectPart(ctx, split, part, l, progress)
			if err != nil {
				return nil, err
			}
			all = append(all, h.addSplit(part.Name, found, &tally)...)
		}
	}
	h.Used, h.Skipped, h.Skips, h.Summary = len(all), tally.Counts(), tally.Skips(), tally.Summary(len(all))
	if len(h.Splits) > 0 {
		for i, n := range h.Splits[0].Counts {
			if n < FewPictures {
				h.Few = append(h.Few, ClassCount{h.Classes[i], n})
			}
		}
	}
	h.Exact, h.Near = findDuplicates(all)
	h.Shift = computeShift(h)
	h.Sizes, h.Kinds = summarizeSizes(all), countKinds(all)
	return h, ctx.Err()
}

// inspectPart inspects the pictures of a split on all cores.
func inspectPart(ctx context.Context, split int, part Part, l picture.Limits,
	progress func(done int)) ([]inspection, error) {
	found := make([]inspection, len(part.Set.Samples))
	err := part.Set.Each(ctx, func(i int) {
		sample := part.Set.Samples[i]
		found[i] = inspect(ctx, sample, l)
		found[i].split, found[i].label = split, sample.Label
		found[i].place = Place{part.Name, part.Set.Classes[sample.Label], sample.Path}
		if progress != nil {
			progress(1)
		}
	})
	return found, err
}

// addSplit adds the inspected pictures of a split, and returns those that can be read.
func (h *Health) addSplit(name string, found []inspection, tally *Tally) (readable []inspection) {
	split := SplitHealth{Name: name, Counts: make([]int, len(h.Classes))}
	for _, f := range found {
		if f.err != nil {
			h.Corrupt = append(h.Corrupt, Unreadable{f.place, f.err.Error()})
			tally.Add(FindReason(f.err), f.place.Path, f.err.Error())
			continue
		}
		split.Count++
		split.Counts[f.label]++
		readable = append(readable, f)
	}
	h.Splits = append(h.Splits, split)
	return readable
}

// parts returns the splits that are not nil.
func (s *Splits) parts() []Part {
	parts := []Part{{Train, s.Train.Set}, {Validation, s.Validation}}
	if s.Test != nil {
		parts = append(parts, Part{Test, s.Test})
	}
	return parts
}

// summarizeGroups summarizes the groups of the pictures in splits.
func summarizeGroups(s *Splits) *GroupHealth {
	h := &GroupHealth{}
	counts, in, leaks := map[string]int{}, map[string]string{}, map[string]bool{}
	for _, part := range s.parts() {
		for _, sample := range part.Set.Samples {
			if sample.Group == "" {
				h.Without++
				continue
			}
			counts[sample.Group]++
			if before, ok := in[sample.Group]; ok && before != part.Name {
				leaks[sample.Group] = true
			}
			in[sample.Group] = part.Name
		}
	}
	var sizes []int
	for _, n := range counts {
		sizes = append(sizes, n)
	}
	h.Count, h.Sizes, h.Leaks = len(counts), computeRange(sizes), len(leaks)
	return h
}

// FindReason returns the reason for skipping a picture because of an error of reading or decoding
// it.
func FindReason(err error) Reason {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ReasonMissing
	case errors.Is(err, picture.ErrNotPicture):
		return ReasonNotPicture
	}
	return ReasonUnreadable
}

// thumbnail is the size of pictures that are compared.
var thumbnail = picture.Spec{
	Width: 32, Height: 32, Filter: picture.Bilinear, Fit: picture.Stretch, Std: [3]float32{1, 1, 1},
}

// inspect reads and decodes a picture.
func inspect(ctx context.Context, s Sample, l picture.Limits) inspection {
	data, err := s.Read(l)
	if err != nil {
		return inspection{err: err}
	}
	p, info, err := thumbnail.Decode(ctx, data, l)
	if err != nil {
		return inspection{err: fmt.Errorf("%s: %w", s.Path, err)}
	}
	return inspection{digest: sha256.Sum256(data), looks: computeLooks(p), info: info, bytes: len(data)}
}

// looks describes roughly how a picture looks.
type looks struct {
	hash uint64
	grid [3 * 16 * 16]uint8 // red, green, blue
}

// computeLooks returns the looks of a thumbnail.
func computeLooks(p *picture.RGB) looks {
	var l looks
	small := func(width, height int) []uint8 {
		spec := thumbnail
		spec.Width, spec.Height = width, height
		return spec.Resize(p).Pix
	}
	copy(l.grid[:], small(16, 16))
	pixels := small(9, 8)
	rows := make([]int, 9*8)
	for i := range rows { // grey by ITU-R BT.601's weights
		rows[i] = 299*int(pixels[3*i]) + 587*int(pixels[3*i+1]) + 114*int(pixels[3*i+2])
	}
	for y := range 8 {
		for x := range 8 {
			l.hash <<= 1
			if rows[y*9+x] < rows[y*9+x+1] {
				l.hash |= 1
			}
		}
	}
	return l
}

// The largest differences of pictures that look the same.
const (
	nearBits   = 6
	nearLevels = 6
)

// isNear reports whether pictures look the same.
func (a *looks) isNear(b *looks) bool {
	if bits.OnesCount64(a.hash^b.hash) > nearBits {
		return false
	}
	sum := 0
	for i, v := range a.grid {
		sum += max(int(v)-int(b.grid[i]), int(b.grid[i])-int(v))
	}
	return sum <= nearLevels*len(a.grid)
}

// findDuplicates groups pictures with the same bytes. Of the others and one of each such group, it
// groups those that look the same.
func findDuplicates(all []inspection) (exact, near []Group) {
	first := map[[sha256.Size]byte]int{}
	same := map[int][]int{}
	var distinct []int
	for i, p := range all {
		if j, ok := first[p.digest]; ok {
			same[j] = append(same[j], i)
			continue
		}
		first[p.digest] = i
		distinct = append(distinct, i)
	}
	exact = []Group{}
	for _, i := range distinct {
		if others := same[i]; others != nil {
			exact = append(exact, newGroup(all, append([]int{i}, others...)))
		}
	}
	return exact, findNear(all, distinct)
}

// findNear groups those of the distinct pictures that look the same.
func findNear(all []inspection, distinct []int) []Group {
	root := make([]int, len(distinct)) // a union-find forest
	for i := range root {
		root[i] = i
	}
	var find func(i int) int
	find = func(i int) int {
		if root[i] != i {
			root[i] = find(root[i])
		}
		return root[i]
	}
	// Two hashes that differ in at most 6 of 64 bits agree in one of 7 bands.
	for band := range nearBits + 1 {
		low, high := band*64/(nearBits+1), (band+1)*64/(nearBits+1)
		alike := map[uint64][]int{}
		for i := range distinct {
			key := all[distinct[i]].looks.hash << (64 - high) >> (64 - high + low)
			for _, j := range alike[key] {
				if find(i) != find(j) && all[distinct[i]].looks.isNear(&all[distinct[j]].looks) {
					root[find(i)] = find(j)
				}
			}
			alike[key] = append(alike[key], i)
		}
	}
	members := map[int][]int{}
	for i := range distinct {
		members[find(i)] = append(members[find(i)], distinct[i])
	}
	near := []Group{}
	for i := range distinct {
		if m := members[i]; len(m) > 1 {
			near = append(near, newGroup(all, m))
		}
	}
	return near
}

// newGroup returns the group of some of the pictures.
func newGroup(all []inspection, members []int) Group {
	var g Group
	for _, i := range members {
		g.Pictures = append(g.Pictures, all[i].place)
		g.Leak = g.Leak || all[i].split != all[members[0]].split
		g.Conflict = g.Conflict || all[i].label != all[members[0]].label
	}
	return g
}

// computeShift compares the classes' shares between splits. It returns nil if there is only one.
func computeShift(h *Health) *Shift {
	splits := 0
	for _, s := range h.Splits {
		if s.Count > 0 {
			splits++
		}
	}
	if splits < 2 {
		return nil
	}
	total, classTotals := 0.0, make([]float64, len(h.Classes))
	for _, s := range h.Splits {
		for c, n := range s.Counts {
			classTotals[c] += float64(n)
			total += float64(n)
		}
	}
	r := &Shift{PValue: 1}
	classes, largest := 0, -1.0
	for c, classTotal := range classTotals {
		if classTotal == 0 {
			continue
		}
		classes++
		for i, s := range h.Splits {
			if s.Count == 0 {
				continue
			}
			expected := float64(s.Count) * classTotal / total
			d := float64(s.Counts[c]) - expected
			r.ChiSquare += d * d / expected
			if i > 0 && h.Splits[0].Count > 0 {
				training, other := float64(h.Splits[0].Counts[c])/float64(h.Splits[0].Count),
					float64(s.Counts[c])/float64(s.Count)
				if difference := math.Abs(training - other); difference > largest {
					largest = difference
					r.Largest, r.Split, r.Training, r.Other = h.Classes[c], s.Name, training, other
				}
			}
		}
	}
	if r.Freedom = (classes - 1) * (splits - 1); r.Freedom > 0 {
		r.PValue = mathext.GammaIncRegComp(float64(r.Freedom)/2, r.ChiSquare/2)
	}
	return r
}

// summarizeSizes summarizes the sizes and formats of pictures.
func summarizeSizes(all []inspection) Sizes {
	s := Sizes{Formats: map[string]int{}}
	var widths, heights, shortest []int
	for _, p := range all {
		width, height := p.info.Upright()
		widths, heights, shortest = append(widths, width), append(heights, height),
			append(shortest, min(width, height))
		switch {
		case height > width:
			s.Portrait += 1 / float64(len(all))
		case width > height:
			s.Landscape += 1 / float64(len(all))
		}
		s.Formats[string(p.info.Format)]++
		s.Bytes += int64(p.bytes)
	}
	s.Width, s.Height, s.Shortest = computeRange(widths), computeRange(heights), computeRange(shortest)
	return s
}

// computeRange sorts values and returns their Range.
func computeRange(values []int) Range {
	if len(values) == 0 {
		return Range{}
	}
	slices.SortFunc(values, cmp.Compare)
	return Range{values[0], values[len(values)/2], values[len(values)-1]}
}
