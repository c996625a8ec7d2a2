package relabel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"garb/dataset"
	"garb/internal/safefile"
)

// Options of Prepare.
type Options struct {
	// NewClasses allows labels that no picture has so far.
	NewClasses bool
}

// Step is one change of a Plan: of a picture's class folder, or of a row of a table.
type Step struct {
	Picture    string // as the corrections name it
	Label, New string
	From, To   string // paths of a picture that moves, "" in a table
	Table      string // path of the table, "" for class folders
	Line       int    // of the table
}

func (s Step) String() string {
	if s.Table != "" {
		return fmt.Sprintf("%s, line %d: %s -> %s (%s)", s.Table, s.Line, s.Label, s.New, s.Picture)
	}
	return fmt.Sprintf("%s -> %s", s.From, s.To)
}

// Plan is corrections that can be applied.
type Plan struct {
	Steps     []Step
	Unchanged int // corrections whose new label is the one that the picture has

	folder  string   // of the log
	folders []string // to be made, parents first
	tables  []tableEdits
}

// tableEdits is what changes in one table.
type tableEdits struct {
	path      string
	delimiter byte
	edits     []edit
	pictures  []string // of each edit
}

// maxTableBytes bounds the table that is rewritten, which is held in memory.
const maxTableBytes = 4 << 30

// ErrArchive says that the labels of an archive cannot be changed.
var ErrArchive = errors.New("labels in an archive cannot be changed: unpack it first")

// Prepare plans how to apply corrections to a data set, which must have been read with no
// labels merged, excluded or chosen: names are those on disk. It changes nothing. Everything
// that is wrong with any correction is in one *ProblemsError: a picture that the data set
// lacks, another label than the correction says, an unknown class, a file that would be
// overwritten, two corrections that contradict each other. Other errors are a
// dataset.Problem with the layout or the table, ErrArchive, those of reading a table, or
// ctx's.
func Prepare(ctx context.Context, data *dataset.Data, corrections []Correction, o Options) (*Plan, error) {
	for _, problem := range data.Problems {
		if problem.Refused && (problem.Kind == dataset.ProblemLayout || problem.Kind == dataset.ProblemTable) {
			return nil, problem
		}
	}
	own, logs, err := findFolders(data)
	if err != nil {
		return nil, err
	}
	base, err := filepath.Abs(own)
	if err != nil {
		return nil, err
	}
	p := &planner{Plan: &Plan{folder: logs}, ctx: ctx, data: data, base: base, options: o,
		made: map[string]bool{}, taken: map[string]bool{}}
	corrections = p.dropRepeats(corrections)
	if data.Layout == dataset.LayoutTable {
		err = p.planEdits(corrections)
	} else {
		err = p.planMoves(corrections)
	}
	switch {
	case err != nil:
		return nil, err
	case p.problems != nil:
		return nil, &ProblemsError{p.problems}
	}
	return p.Plan, nil
}

// findFolders returns a data set's own folder, and the one that its logs lie in.
func findFolders(data *dataset.Data) (own, logs string, err error) {
	info, err := os.Stat(data.Path)
	if err != nil {
		return "", "", err
	}
	own = data.Path
	if !info.IsDir() {
		if own = filepath.Dir(data.Path); data.Folder != own {
			return "", "", fmt.Errorf("%s: %w", data.Path, ErrArchive)
		}
	}
	if len(data.Rows) > 0 {
		return own, LogFolder(own, data.Rows[0].Source.Table.File), nil
	}
	return own, own, nil
}

// LogFolder returns the folder of the logs of a data set whose labels are in a table: the
// table's folder, if the table does not lie below the data set's.
func LogFolder(folder, table string) string {
	if _, ok := relativeTo(folder, table); ok {
		return folder
	}
	return filepath.Dir(table)
}

// relativeTo returns a path relative to a folder with slashes, false if it is not below it.
func relativeTo(folder, path string) (string, bool) {
	f, err := filepath.Abs(folder)
	if err != nil {
		return "", false
	}
	p, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	relative, err := filepath.Rel(f, p)
	if err != nil || !filepath.IsLocal(relative) {
		return "", false
	}
	return filepath.ToSlash(relative), true
}

// planner makes a Plan.
type planner struct {
	*Plan
	ctx      context.Context
	data     *dataset.Data
	base     string // that the corrections' paths are relative to, absolute
	options  Options
	problems []Problem
	made     map[string]bool // folders that are to be made
	taken    map[string]bool // paths that pictures are to be moved to
}

func (p *planner) fail(c Correction, format string, args ...any) {
	p.problems = append(p.problems, Problem{Line: c.Line, Picture: c.Picture, Message: fmt.Sprintf(format, args...)})
}

// resolve returns the absolute path of a picture, by which pictures are compared.
func (p *planner) resolve(picture string) string {
	path := filepath.FromSlash(picture)
	if !filepath.IsAbs(path) {
		return filepath.Join(p.base, path)
	}
	return filepath.Clean(path)
}

// dropRepeats drops corrections that repeat another and those that change nothing, and
// refuses those that contradict another or that have no label that can be.
func (p *planner) dropRepeats(all []Correction) []Correction {
	type first struct {
		line int
		new  string
	}
	seen := map[string]first{}
	var kept []Correction
	for _, c := range all {
		switch before, repeated := seen[c.Picture]; {
		case repeated && before.new != c.New:
			p.fail(c, "line %d gives it the label %q, this one %q", before.line, before.new, c.New)
			continue
		case repeated:
			continue
		}
		seen[c.Picture] = first{c.Line, c.New}
		if message := p.checkLabel(c.New); message != "" {
			p.fail(c, "%s", message)
			p.problems[len(p.problems)-1].NewClass = c.New != "" && !p.options.NewClasses
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// checkLabel says why a label cannot be given, "" if it can.
func (p *planner) checkLabel(label string) string {
	known := slices.Contains(p.data.Labels, label)
	switch {
	case label == "":
		return "it has no new label"
	case known:
		return ""
	case !p.options.NewClasses:
		return fmt.Sprintf("no picture has the label %q: it is unknown", label)
	case !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl):
		return fmt.Sprintf("%q has characters that cannot be printed", label)
	case p.data.Layout == dataset.LayoutTable:
		return ""
	case strings.HasPrefix(label, ".") || strings.ContainsAny(label, `/\:*?"<>|`) ||
		!filepath.IsLocal(label) || len(label) > 200:
		return fmt.Sprintf("%q cannot be the name of a class folder", label)
	case slices.Contains(reservedNames, strings.ToLower(label)):
		return fmt.Sprintf("%q cannot be the name of a class folder: it means a split, or a system's folder", label)
	}
	return ""
}

// reservedNames are names of folders, in lower case, that readers of data sets do not take
// for classes.
var reservedNames = []string{"train", "training", "validation", "val", "valid", "test", "testing", "__macosx"}

// planMoves plans for class folders.
func (p *planner) planMoves(corrections []Correction) error {
	type place struct{ path, label string }
	samples := map[string]place{}
	for _, part := range p.data.Parts {
		for _, s := range part.Set.Samples {
			key, err := filepath.Abs(s.Path)
			if err != nil {
				return err
			}
			samples[key] = place{s.Path, part.Set.Classes[s.Label]}
		}
	}
	for _, c := range corrections {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		s, ok := samples[p.resolve(c.Picture)]
		switch {
		case !ok:
			p.fail(c, "the data set has no such picture")
		case s.label != c.Label:
			p.fail(c, "its label is %q, not %q", s.label, c.Label)
		case c.New == c.Label:
			p.Unchanged++
		default:
			p.planMove(c, s.path)
		}
	}
	return nil
}

// planMove plans the move of one picture to another class folder of its split.
func (p *planner) planMove(c Correction, from string) {
	relative, ok := relativeTo(p.data.Folder, from)
	parts := strings.Split(relative, "/")
	class := 0
	if p.data.Layout == dataset.LayoutSplits {
		class = 1
	}
	if !ok || len(parts) < class+2 || strings.TrimSpace(parts[class]) != c.Label {
		p.fail(c, "it does not lie in the class folder %q", c.Label)
		return
	}
	split := filepath.Join(append([]string{p.data.Folder}, parts[:class]...)...)
	parts[class] = findClassFolder(split, c.New)
	to := filepath.Join(append([]string{p.data.Folder}, parts...)...)
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) || p.taken[to] {
		p.fail(c, "%s would be overwritten", to)
		return
	}
	if message := checkLink(from, to); message != "" {
		p.fail(c, "%s", message)
		return
	}
	p.taken[to] = true
	p.makeFolders(filepath.Dir(to))
	p.Steps = append(p.Steps, Step{Picture: c.Picture, Label: c.Label, New: c.New, From: from, To: to})
}

// findClassFolder returns the name of the folder in a split that has a label, which may differ
// from it in spaces at its ends.
func findClassFolder(split, label string) string {
	if info, err := os.Stat(filepath.Join(split, label)); err == nil && info.IsDir() {
		return label
	}
	entries, _ := os.ReadDir(split)
	for _, e := range entries {
		if strings.TrimSpace(e.Name()) == label {
			return e.Name()
		}
	}
	return label
}

// makeFolders notes which folders a path lacks.
func (p *planner) makeFolders(folder string) {
	if p.made[folder] {
		return
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	p.makeFolders(filepath.Dir(folder))
	p.made[folder] = true
	p.folders = append(p.folders, folder)
}

// checkLink says that a symbolic link would lead elsewhere after its move, "" if it would
// not, or is none.
func checkLink(from, to string) string {
	target, err := os.Readlink(from)
	if err != nil || filepath.IsAbs(target) {
		return ""
	}
	before, after := filepath.Join(filepath.Dir(from), target), filepath.Join(filepath.Dir(to), target)
	if before == after {
		return ""
	}
	return fmt.Sprintf("it is a link to %s, which its new folder lacks: make it absolute", target)
}

// planEdits plans for a table: every row of a picture that has the label is changed.
func (p *planner) planEdits(corrections []Correction) error {
	rows := map[string][]*dataset.Row{}
	for i := range p.data.Rows {
		key, err := filepath.Abs(p.data.Rows[i].Path)
		if err != nil {
			return err
		}
		rows[key] = append(rows[key], &p.data.Rows[i])
	}
	changes := map[*dataset.RowSource]map[place]change{}
	for _, c := range corrections {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		all := rows[p.resolve(c.Picture)]
		if len(all) == 0 {
			p.fail(c, "no row of the table names such a picture that is there")
			continue
		}
		matching := slices.DeleteFunc(slices.Clone(all), func(r *dataset.Row) bool { return r.Label != c.Label })
		switch {
		case len(matching) == 0:
			p.fail(c, "its label is %q, not %q", all[0].Label, c.Label)
			continue
		case c.New == c.Label:
			p.Unchanged++
			continue
		}
		for _, r := range matching {
			if changes[r.Source] == nil {
				changes[r.Source] = map[place]change{}
			}
			if r.Source.Classes == nil {
				changes[r.Source][place{r.Line, r.Source.Columns.Label}] = change{c, c.Label, c.New}
			} else if !p.planOneHot(changes[r.Source], c, r) {
				break
			}
			p.Steps = append(p.Steps, Step{Picture: c.Picture, Label: c.Label, New: c.New,
				Table: r.Source.Table.File, Line: r.Line})
		}
	}
	sources := map[*dataset.RowSource]bool{}
	for _, r := range p.data.Rows {
		if s := r.Source; changes[s] != nil && !sources[s] {
			sources[s] = true
			if err := p.planTable(s, changes[s]); err != nil {
				return err
			}
		}
	}
	return nil
}

// change is the value of a field before and after.
type change struct {
	Correction
	before, after string
}

// planOneHot plans a row of a table that has a column for each class: 1 for its own, 0 for
// the others.
func (p *planner) planOneHot(changes map[place]change, c Correction, r *dataset.Row) bool {
	column := func(label string) int {
		for _, i := range r.Source.Classes {
			if r.Source.Table.Columns[i] == label {
				return i
			}
		}
		return -1
	}
	from, to := column(c.Label), column(c.New)
	if from < 0 || to < 0 {
		p.fail(c, "%s has no column %q", r.Source.Table.File, c.New)
		return false
	}
	changes[place{r.Line, from}] = change{c, "1", "0"}
	changes[place{r.Line, to}] = change{c, "0", "1"}
	return true
}

// planTable finds the fields of a table that change, and checks that they are as they were
// read.
func (p *planner) planTable(s *dataset.RowSource, changes map[place]change) error {
	data, err := safefile.Read(s.Table.File, maxTableBytes)
	if err != nil {
		return err
	}
	delimiter := byte(s.Table.Delimiter)
	places := map[place]bool{}
	for at := range changes {
		places[at] = true
	}
	found, err := locate(data, delimiter, places)
	if err != nil {
		return fmt.Errorf("table %s: %w", s.Table.File, err)
	}
	t := tableEdits{path: s.Table.File, delimiter: delimiter}
	for at, ch := range changes {
		f, ok := found[at]
		raw := data[f.start:f.end]
		if !ok || strings.TrimSpace(unquote(raw)) != ch.before {
			p.fail(ch.Correction, "%s, line %d, has another label: did the table change just now?",
				s.Table.File, at.line)
			continue
		}
		t.edits = append(t.edits, edit{at.line, at.column, slices.Clone(raw), replaceValue(raw, ch.after, delimiter)})
	}
	slices.SortFunc(t.edits, func(a, b edit) int { return compare(a.place(), b.place()) })
	for _, e := range t.edits {
		t.pictures = append(t.pictures, changes[e.place()].Picture)
	}
	p.tables = append(p.tables, t)
	return nil
}
