package dataset

import (
	"cmp"
	"slices"
	"strings"
)

// groupOf is pictures that stay together.
type groupOf struct {
	rank    string // by the seed
	members []int
	labels  []int // classes that it has pictures of
	counts  []int // of each of labels
}

// byGroup divides pictures by whole groups, and returns the place of each sample with the
// number of groups. Parts are filled as StratifiedGroupKFold of scikit-learn fills them:
// the largest group first, each to the part where the classes' counts then are nearest to
// their shares; after that, groups move and swap as long as this brings the counts nearer.
// How near is measured by
//
//	Σ_parts Σ_classes (count − share·total)²/total + Σ_parts (pictures − share·all)²/all
//
// so that rare classes count as much as frequent ones. Every class keeps a picture in
// train.
func (p *division) byGroup(samples []Sample) (places []int, count int, problems []Problem) {
	groups := p.groups(samples)
	shares := []float64{inTrain: 1 - p.rule.Validation - p.testShare(), inValidation: p.rule.Validation,
		inTest: p.testShare()}
	part := func(i int) int { return i } // the place that a part becomes
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
			Problem{ProblemDivision, "all pictures are of one group: they cannot be divided", true,
				ErrTooFew})
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

// groups lists the groups, the largest first, those of one size in a drawn order.
func (p *division) groups(samples []Sample) []groupOf {
	at := map[string]int{}
	var groups []groupOf
	for i, s := range samples {
		name := "group " + s.Group
		if s.Group == "" {
			name = "file " + s.Path
		}
		g, ok := at[name]
		if !ok {
			g = len(groups)
			at[name] = g
			groups = append(groups, groupOf{rank: p.rule.rank(name)})
		}
		groups[g].members = append(groups[g].members, i)
		if l := slices.Index(groups[g].labels, s.Label); l >= 0 {
			groups[g].counts[l]++
		} else {
			groups[g].labels = append(groups[g].labels, s.Label)
			groups[g].counts = append(groups[g].counts, 1)
		}
	}
	slices.SortFunc(groups, func(a, b groupOf) int {
		return cmp.Or(len(b.members)-len(a.members), strings.Compare(a.rank, b.rank))
	})
	return groups
}

// keepInTrain moves the smallest group of each class that train lacks to train. What it
// takes from test it takes for all folds alike, so that they have the same test split: the
// classes that are in test only come first, and no other group leaves it.
func (p *division) keepInTrain(samples []Sample, groups []groupOf, places []int) {
	p.moveToTrain(samples, groups, places, inTest)
	p.moveToTrain(samples, groups, places, inValidation)
}

// moveToTrain moves the smallest group of each class whose pictures are all in a place, or
// in test, from that place to train.
func (p *division) moveToTrain(samples []Sample, groups []groupOf, places []int, from int) {
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

// assignment gives groups to parts.
type assignment struct {
	shares []float64
	groups []groupOf
	part   []int       // of each group; −1 for none
	counts [][]float64 // of each part and class, the last being all pictures
	totals []float64   // of each class, and of all
}

func newAssignment(classes int, shares []float64, groups []groupOf) *assignment {
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

// change is by how much the distance from the shares grows when a part gets a group
// (sign 1) or loses it (sign −1): for a difference of d with Δ more pictures of a class
// this is Δ·(2d + Δ)/total.
func (a *assignment) change(group, part int, sign float64) float64 {
	g, all := a.groups[group], len(a.totals)-1
	sum := 0.0
	one := func(class, count int) {
		delta := sign * float64(count)
		d := a.counts[part][class] - a.shares[part]*a.totals[class]
		sum += delta * (2*d + delta) / a.totals[class]
	}
	for i, label := range g.labels {
		one(label, g.counts[i])
	}
	one(all, len(g.members))
	return sum
}

// move takes a group from its part, if it has one, to another.
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

// best is the part where a group, which is in none, does best. Parts that are to have
// nothing are none.
func (a *assignment) best(group int) (part int, change float64) {
	part = -1
	for i, share := range a.shares {
		if share <= 0 {
			continue
		}
		if c := a.change(group, i, 1); part < 0 || c < change {
			part, change = i, c
		}
	}
	return part, change
}

// fill gives every group to a part.
func (a *assignment) fill() {
	for g := range a.groups {
		part, _ := a.best(g)
		a.move(g, part)
	}
}

// The bounds of improve.
const (
	maxPasses = 50
	maxSwaps  = 5_000_000 // pairs of groups that are looked at
	leastGain = 1e-9
)

// improve moves single groups, and swaps two, as long as this brings the counts nearer to
// their shares, in at most maxPasses passes over all groups.
func (a *assignment) improve() {
	swaps := 0
	for range maxPasses {
		moved := a.moveGroups()
		for g := range a.groups {
			for h := range g {
				if swaps++; swaps > maxSwaps {
					return
				}
				moved = a.swap(g, h) || moved
			}
		}
		if !moved {
			return
		}
	}
}

// moveGroups moves each group to another part where that is better, and reports whether
// any was moved.
func (a *assignment) moveGroups() bool {
	moved := false
	for g := range a.groups {
		from := a.part[g]
		gain := a.change(g, from, -1)
		for to, share := range a.shares {
			if to != from && share > 0 && gain+a.change(g, to, 1) < -leastGain {
				a.move(g, to)
				moved = true
				break
			}
		}
	}
	return moved
}

// swap exchanges the parts of two groups where that is better, and reports whether it
// did.
func (a *assignment) swap(g, h int) bool {
	partG, partH := a.part[g], a.part[h]
	if partG == partH {
		return false
	}
	change := a.change(g, partG, -1)
	a.move(g, partH)
	change -= a.change(g, partH, -1) // what g costs there
	change += a.change(h, partH, -1)
	a.move(h, partG)
	change -= a.change(h, partG, -1)
	if change < -leastGain {
		return true
	}
	a.move(g, partG)
	a.move(h, partH)
	return false
}
