package dataset

import (
	"cmp"
	"slices"
	"strings"
)

// sampleGroup has pictures that stay together.
type sampleGroup struct {
	rank    string // orders groups at random
	members []int
	labels  []int // the classes of its pictures
	counts  []int // the number of pictures of each of labels
}

// divideGroups divides pictures by whole groups, and returns the split of each sample and the
// number of groups. It fills parts as scikit-learn's StratifiedGroupKFold does: the largest group
// first, each into the part where the classes' counts then come closest to their shares. After
// that, groups move and swap as long as this brings the counts closer. The distance is
//
//	Σ_parts Σ_classes (count − share·total)²/total + Σ_parts (pictures − share·all)²/all
//
// so that rare classes count as much as frequent ones. Every class keeps a picture in train.
func (p *divider) divideGroups(samples []Sample) (places []int, count int, problems []Problem) {
	groups := p.collectGroups(samples)
	shares := []float64{
		inTrain: 1 - p.rule.Validation - p.testShare(), inValidation: p.rule.Validation, inTest: p.testShare(),
	}
	part := func(i int) int { return i } // the split that a part becomes
	if k := p.rule.Folds; k > 0 {
		shares = make([]float64, k+1) // the folds, then test
		for i := range k {
			shares[i] = (1 - p.testShare()) / float64(k)
		}
		shares[k] = p.testShare()
		part = func(i int) int {
			switch i {
			case k:
				return inTest
			case p.rule.Fold - 1:
				return inValidation
			}
			return inTrain
		}
	}
	if len(groups) < 2 {
		problems = append(problems,
			Problem{ProblemDivision, "all pictures are in one group: they cannot be divided", true, ErrTooFew})
	}
	a := newAssignment(len(p.classes), shares, groups)
	a.fill()
	a.improve()
	places = make([]int, len(samples))
	for g, group := range groups {
		for _, i := range group.members {
			places[i] = part(a.part[g])
		}
	}
	p.keepInTrain(samples, groups, places)
	return places, len(groups), problems
}

// collectGroups returns the groups, the largest first, and groups of one size in random order.
func (p *divider) collectGroups(samples []Sample) []sampleGroup {
	at := map[string]int{}
	var groups []sampleGroup
	for i, s := range samples {
		name := "group " + s.Group
		if s.Group == "" {
			name = "file " + s.Path
		}
		g, ok := at[name]
		if !ok {
			g = len(groups)
			at[name] = g
			groups = append(groups, sampleGroup{rank: p.rule.rank(name)})
		}
		groups[g].members = append(groups[g].members, i)
		if l := slices.Index(groups[g].labels, s.Label); l >= 0 {
			groups[g].counts[l]++
		} else {
			groups[g].labels = append(groups[g].labels, s.Label)
			groups[g].counts = append(groups[g].counts, 1)
		}
	}
	slices.SortFunc(groups, func(a, b sampleGroup) int {
		return cmp.Or(len(b.members)-len(a.members), strings.Compare(a.rank, b.rank))
	})
	return groups
}

// keepInTrain moves to train the smallest group of each class that train lacks. It first takes those
// of classes that are only in test, and nothing else from test, so that all folds have the same
// test split.
func (p *divider) keepInTrain(samples []Sample, groups []sampleGroup, places []int) {
	p.moveToTrain(samples, groups, places, inTest)
	p.moveToTrain(samples, groups, places, inValidation)
}

// moveToTrain moves from one split to train the smallest group of each class whose pictures are all
// in that split or in test.
func (p *divider) moveToTrain(samples []Sample, groups []sampleGroup, places []int, from int) {
	lacking := make([]bool, len(p.classes))
	for label := range lacking {
		lacking[label] = true
	}
	for i, s := range samples {
		if places[i] != inTest && places[i] != from {
			lacking[s.Label] = false
		}
	}
	for label := range p.classes {
		if !lacking[label] {
			continue
		}
		for _, g := range slices.Backward(groups) {
			if places[g.members[0]] != from || !slices.Contains(g.labels, label) {
				continue
			}
			for _, i := range g.members {
				places[i] = inTrain
				lacking[samples[i].Label] = false
			}
			break
		}
	}
}

// assignment assigns groups to parts.
type assignment struct {
	shares []float64
	groups []sampleGroup
	part   []int       // the part of each group, or −1
	counts [][]float64 // pictures by part and class; the last class counts all
	totals []float64   // pictures by class; the last counts all
}

func newAssignment(classes int, shares []float64, groups []sampleGroup) *assignment {
	a := &assignment{shares: shares, groups: groups, totals: make([]float64, classes+1)}
	for range shares {
		a.counts = append(a.counts, make([]float64, classes+1))
	}
	for _, g := range groups {
		a.part = append(a.part, -1)
		for i, label := range g.labels {
			a.totals[label] += float64(g.counts[i])
		}
		a.totals[classes] += float64(len(g.members))
	}
	return a
}

// computeChange returns by how much the distance from the shares grows if a part gets a group
// (sign 1) or loses it (sign −1). For a difference of d and Δ more pictures of a class it is
// Δ·(2d + Δ)/total.
func (a *assignment) computeChange(group, part int, sign float64) float64 {
	g, all := a.groups[group], len(a.totals)-1
	sum := 0.0
	addClass := func(class, count int) {
		delta := float64(sign * float64(count))
		d := a.counts[part][class] - float64(a.shares[part]*a.totals[class])
		sum += delta * (float64(2*d) + delta) / a.totals[class]
	}
	for i, label := range g.labels {
		addClass(label, g.counts[i])
	}
	addClass(all, len(g.members))
	return sum
}

// move moves a group from its part, if it has one, to another.
func (a *assignment) move(group, to int) {
	g, all := a.groups[group], len(a.totals)-1
	add := func(part int, sign float64) {
		for i, label := range g.labels {
			a.counts[part][label] += sign * float64(g.counts[i])
		}
		a.counts[part][all] += sign * float64(len(g.members))
	}
	if from := a.part[group]; from >= 0 {
		add(from, -1)
	}
	add(to, 1)
	a.part[group] = to
}

// findBest returns the best part for a group that is in none, among the parts with a share.
func (a *assignment) findBest(group int) (part int, change float64) {
	part = -1
	for i, share := range a.shares {
		if share <= 0 {
			continue
		}
		if c := a.computeChange(group, i, 1); part < 0 || c < change {
			part, change = i, c
		}
	}
	return part, change
}

// fill assigns every group to a part.
func (a *assignment) fill() {
	for g := range a.groups {
		part, _ := a.findBest(g)
		a.move(g, part)
	}
}

// Bounds of the work of improve.
const (
	maxPasses = 50
	maxSwaps  = 5_000_000 // pairs of groups to try
	leastGain = 1e-9
)

// improve moves groups, and swaps two, as long as this brings the counts closer to their shares, in
// at most maxPasses passes over all groups.
func (a *assignment) improve() {
	swaps := 0
	for range maxPasses {
		moved := a.moveGroups()
		for g := range a.groups {
			for h := range g {
				if swaps++; swaps > maxSwaps {
					return
				}
				moved = a.trySwap(g, h) || moved
			}
		}
		if !moved {
			return
		}
	}
}

// moveGroups moves each group to another part if that is better, and reports whether it moved any.
func (a *assignment) moveGroups() bool {
	moved := false
	for g := range a.groups {
		from := a.part[g]
		gain := a.computeChange(g, from, -1)
		for to, share := range a.shares {
			if to != from && share > 0 && gain+a.computeChange(g, to, 1) < -leastGain {
				a.move(g, to)
				moved = true
				break
			}
		}
	}
	return moved
}

// trySwap swaps the parts of two groups if that is better, and reports whether it did.
func (a *assignment) trySwap(g, h int) bool {
	partG, partH := a.part[g], a.part[h]
	if partG == partH {
		return false
	}
	change := a.computeChange(g, partG, -1)
	a.move(g, partH)
	change -= a.computeChange(g, partH, -1) // the cost of g there
	change += a.computeChange(h, partH, -1)
	a.move(h, partG)
	change -= a.computeChange(h, partG, -1)
	if change < -leastGain {
		return true
	}
	a.move(g, partG)
	a.move(h, partH)
	return false
}
