package dataset

import (
	"slices"
	"strconv"
	"strings"
)

// Contributor is a column of a table that seems to say who made a picture, or with what. Pictures
// of one contributor are alike. If some are in train and some in test, the results are too good.
type Contributor struct {
	Column string  `json:"column"`
	Groups int     `json:"groups"` // different values
	Mean   float64 `json:"mean"`   // pictures per group
}

// Bounds of what the search for contributors counts and finds.
const (
	maxContributors  = 200_000 // different values counted in one column
	maxValues        = 500_000 // and in all columns together
	maxTracked       = 64      // columns
	leastGroups      = 20      // values of a column
	leastGroupsNamed = 4       // the same if the column's name suggests a contributor
	leastMean        = 2.0     // rows per value
	largestShare     = 0.5     // share of the rows with one value
)

// contributorWords are words in the names of columns that suggest a contributor.
var contributorWords = []string{
	"sender", "user", "contributor", "author", "photographer", "owner", "patient", "subject", "person", "customer",
	"seller", "uploader", "session", "device", "camera", "video", "scene", "group", "household", "participant",
	"creator", "worker",
}

// measureWords are words in the names of columns with measures or categories.
var measureWords = []string{
	"width", "height", "size", "year", "month", "day", "date", "age", "price", "season", "colour", "color", "gender",
}

// contributors counts the values of the columns that have neither pictures nor labels.
type contributors struct {
	table   *Table
	columns []int
	counts  []map[string]valueCount // for each column; nil if it has too many values
	values  int                     // the number of values in counts
	rows    int
}

// valueCount counts the rows with one value of a column.
type valueCount struct {
	rows  int
	label string // the label of these rows, or "" if they differ
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
			value, n.label = strings.Clone(value), label // does not keep the whole row
			c.values++
		}
		n.rows++
		counts[value] = n
	}
	if c.values > maxValues { // contributors have few values
		most := 0
		for at := range c.counts {
			if len(c.counts[at]) > len(c.counts[most]) {
				most = at
			}
		}
		c.drop(most)
	}
}

// drop stops counting a column.
func (c *contributors) drop(at int) {
	c.values -= len(c.counts[at])
	c.counts[at] = nil
}

// findLikely returns the columns that look like contributors: they have many values with several
// rows each, no value has most rows, and most values have several labels.
func (c *contributors) findLikely() []Contributor {
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
		// A column that determines the label, or follows from it, is another label.
		if len(counts) < least || mean < leastMean || float64(largest) > largestShare*float64(c.rows) ||
			2*mixed < several || 2*fractions > len(counts) {
			continue
		}
		found = append(found, Contributor{c.table.Columns[i], len(counts), mean})
	}
	slices.SortStableFunc(found, func(a, b Contributor) int { return b.Groups - a.Groups })
	return found
}
