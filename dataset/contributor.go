package dataset

import (
	"slices"
	"strconv"
	"strings"
)

// Contributor is a column of a table that looks as if it said who made a picture, or
// what it was made with. Pictures of one contributor are alike: where some are in train
// and some in test, figures come out too good.
type Contributor struct {
	Column string  `json:"column"`
	Groups int     `json:"groups"` // different values
	Mean   float64 `json:"mean"`   // pictures a group
}

// Bounds of contributors' columns.
const (
	maxContributors  = 200_000 // different values of a column that are counted
	maxValues        = 500_000 // and of all columns together
	maxTracked       = 64      // columns that are looked at
	leastGroups      = 20      // values of a column whose name says nothing
	leastGroupsNamed = 4       // and of one that does
	leastMean        = 2.0     // rows of a value
	largestShare     = 0.5     // of all rows with one value
)

// contributorWords are parts of names that say whose a picture is.
var contributorWords = []string{
	"sender", "user", "contributor", "author", "photographer", "owner", "patient", "subject", "person", "customer",
	"seller", "uploader", "session", "device", "camera", "video", "scene", "group", "household", "participant",
	"creator",
	"worker",
}

// measureWords are names of columns that are measures or categories.
var measureWords = []string{"width", "height", "size", "year", "month", "day", "date", "age", "price", "season",
	"colour", "color", "gender"}

// contributors counts the values of the columns that are neither pictures nor labels.
type contributors struct {
	table   *Table
	columns []int
	counts  []map[string]valueCount // of each column; nil once it has too many values
	values  int                     // in all of counts
	rows    int
}

// valueCount is what is known of one value of a column.
type valueCount struct {
	rows  int
	label string // of all its rows, "" for several
}

func newContributors(t *Table, used Columns, classes []int) *contributors {
	c := &contributors{table: t}
	for i := range t.Columns {
		if i == used.Image || i == used.Label || i == used.Split || slices.Contains(classes, i) ||
			len(c.columns) == maxTracked {
			continue
		}
		c.columns = append(c.columns, i)
		c.counts = append(c.counts, map[string]valueCount{})
	}
	return c
}

func (c *contributors) add(fields []string, label string) {
	c.rows++
	for at, i := range c.columns {
		counts := c.counts[at]
		if counts == nil {
			continue
		}
		value := strings.TrimSpace(fields[i])
		n, seen := counts[value]
		switch {
		case seen && n.label != label:
			n.label = ""
		case !seen && len(counts) == maxContributors:
			c.drop(at)
			continue
		case !seen:
			value, n.label = strings.Clone(value), label // not the whole row
			c.values++
		}
		n.rows++
		counts[value] = n
	}
	if c.values > maxValues { // columns of few values are the likely ones
		most := 0
		for at := range c.counts {
			if len(c.counts[at]) > len(c.counts[most]) {
				most = at
			}
		}
		c.drop(most)
	}
}

// drop ends the counting of a column.
func (c *contributors) drop(at int) {
	c.values -= len(c.counts[at])
	c.counts[at] = nil
}

// likely lists the columns that look like contributors: many values with several rows
// each, none with most rows, most values with several labels.
func (c *contributors) likely() []Contributor {
	var found []Contributor
	for at, i := range c.columns {
		counts := c.counts[at]
		if len(counts) == 0 {
			continue
		}
		name := strings.ToLower(c.table.Columns[i])
		has := func(words []string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
		}
		least := leastGroups
		switch {
		case has(contributorWords):
			least = leastGroupsNamed
		case has(measureWords):
			continue
		}
		largest, mixed, several, fractions := 0, 0, 0, 0
		for value, n := range counts {
			largest = max(largest, n.rows)
			if n.rows > 1 {
				several++
				if n.label == "" {
					mixed++
				}
			}
			if _, err := strconv.Atoi(value); err != nil {
				if _, err := strconv.ParseFloat(value, 64); err == nil {
					fractions++
				}
			}
		}
		mean := float64(c.rows) / float64(len(counts))
		// A column that follows from the label, or the label from it, is another label.
		if len(counts) < least || mean < leastMean || float64(largest) > largestShare*float64(c.rows) ||
			2*mixed < several || 2*fractions > len(counts) {
			continue
		}
		found = append(found, Contributor{c.table.Columns[i], len(counts), mean})
	}
	slices.SortStableFunc(found, func(a, b Contributor) int { return b.Groups - a.Groups })
	return found
}
