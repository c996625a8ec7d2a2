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
	"garb/internal/filename"
	"garb/internal/safefile"
)

// Options of Prepare.
type Options struct {
	// NewClasses allows labels that no picture has yet.
	NewClasses bool
}

// Step is one change of a Plan: a picture moves to another class folder, or a row of a table
// gets another label.
type Step struct {
	Picture    string // as in the corrections
	Label, New string
	From, To   string // paths of a picture that moves, "" for a table
	Table      string // the table's path, "" for class folders
	Line       int    // in the table
}

func (s Step) String() string {
	if s.Table != "" {
		return fmt.Sprintf("%s, line %d: %s -> %s (%s)", s.Table, s.Line, s.Label, s.New, s.Picture)
	}
	return fmt.Sprintf("%s -> %s", s.From, s.To)
}

// Plan holds corrections that can be applied.
type Plan struct {
	Steps     []Step
	Unchanged int // corrections whose new label the picture has already

	folder  string   // the log's folder
	folders []string // to make, parents first
	tables  []tableEdits
}

// tableEdits are the edits of one table.
type tableEdits struct {
	path      string
	delimiter byte
	edits     []edit
	pictures  []string // one for each edit
}

// maxTableBytes is the largest table that is rewritten, which happens in memory.
const maxTableBytes = 4 << 30

// ErrArchive says that the labels of an archive cannot be changed.
var ErrArchive = errors.New("labels in an archive cannot be changed; unpack it first")

// Prepare plans how to apply corrections to a data set, and changes nothing. The data set must
// have been read without merging, excluding or choosing labels, so that names are those on
// disk. One *ProblemsError has everything that is wrong with the corrections: a picture that
// the data set lacks, a label that differs from the correction's, an unknown class, a file that
// would be overwritten, two corrections that contradict each other. Other errors are a
// dataset.Problem with the layout or the table, ErrArchive, those of reading a table, or ctx's.
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
	p := &planner{
		Plan: &Plan{folder: logs}, ctx: ctx, data: data, base: base, options: o,
		made: map[string]bool{}, taken: map[string]bool{},
	}
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

// findFolders returns a data set's own folder, and the folder of its logs.
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

// LogFolder returns the folder of the logs of a data set whose labels are in a table: the data
// set's folder if the table lies in it, else the table's folder.
func LogFolder(folder, table string) string {
	if _, ok := relativeTo(folder, table); ok {
		return folder
	}
	return filepath.Dir(table)
}

// relativeTo returns a path relative to a folder, with slashes, or false if the path is not
// below it.
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
	base     string // absolute; the corrections' paths are relative to it
	options  Options
	problems []Problem
	made     map[string]bool // folders to make
	taken    map[string]bool // paths that pictures will move to
}

// addProblem adds a problem with a correction.
func (p *planner) addProblem(c Correction, format string, args ...any) {
	p.problems = append(p.problems, Problem{Line: c.Line, Picture: c.Picture, Message: fmt.Sprintf(format, args...)})
}

// resolve returns the absolute path of a picture, which identifies it.
func (p *planner) resolve(picture string) string {
	path := filepath.FromSlash(picture)
	if !filepath.IsAbs(path) {
		return filepath.Join(p.base, path)
	}
	return filepath.Clean(path)
}

// dropRepeats drops corrections that repeat another, and adds a problem for those that
// contradict another or have an impossible label.
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
			p.addProblem(c, "line %d gives it the label %q, this line %q", before.line, before.new, c.New)
			continue
		case repeated:
			continue
		}
		seen[c.Picture] = first{c.Line, c.New}
		if message := p.checkLabel(c.New); message != "" {
			p.addProblem(c, "%s", message)
			p.problems[len(p.problems)-1].NewClass = c.New != "" && !p.options.NewClasses
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// checkLabel returns why a label cannot be given, or "".
func (p *planner) checkLabel(label string) string {
	known := slices.Contains(p.data.Labels, label)
	switch {
	case label == "":
		return "it has no new label"
	case known:
		return ""
	case !p.options.NewClasses:
		return fmt.Sprintf("the label %q is unknown: no picture has it", label)
	case !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl):
		return fmt.Sprintf("the label %q has characters that cannot be printed", label)
	case p.data.Layout == dataset.LayoutTable:
		return ""
	case strings.HasPrefix(label, ".") || !filename.IsPortable(label) || len(label) > 200:
		return fmt.Sprintf("%q cannot be the name of a class folder", label)
	case slices.Contains(reservedNames, strings.ToLower(label)):
		return fmt.Sprintf("%q cannot be the name of a class folder: it names a split or a system folder", label)
	}
	return ""
}

// reservedNames are names of folders, in lower case, that are never class folders.
var reservedNames = []string{"train", "training", "validation", "val", "valid", "test", "testing", "__macosx"}

// planMoves plans the corrections of a data set with class folders.
func (p *planner) planMoves(corrections []Correction) error {
	type labelled struct{ path, label string }
	samples := map[string]labelled{}
	for _, part := range p.data.Parts {
		for _, s := range part.Set.Samples {
			key, err := filepath.Abs(s.Path)
			if err != nil {
				return err
			}
			samples[key] = labelled{s.Path, part.Set.Classes[s.Label]}
		}
	}
	for _, c := range corrections {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		s, ok := samples[p.resolve(c.Picture)]
		switch {
		case !ok:
			p.addProblem(c, "the data set has no such picture")
		case s.label != c.Label:
			p.addProblem(c, "its label is %q, not %q", s.label, c.Label)
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
	if !ok || len(parts) < class+2 || dataset.CleanLabel(parts[class]) != c.Label {
		p.addProblem(c, "the picture is not in the class folder %q", c.Label)
		return
	}
	split := filepath.Join(append([]string{p.data.Folder}, parts[:class]...)...)
	parts[class] = findClassFolder(split, c.New)
	to := filepath.Join(append([]string{p.data.Folder}, parts...)...)
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) || p.taken[to] {
		p.addProblem(c, "%s would be overwritten", to)
		return
	}
	if message := checkLink(from, to); message != "" {
		p.addProblem(c, "%s", message)
		return
	}
	p.taken[to] = true
	p.planFolders(filepath.Dir(to))
	p.Steps = append(p.Steps, Step{Picture: c.Picture, Label: c.Label, New: c.New, From: from, To: to})
}

// findClassFolder returns the name of the class folder of a label in a split, which may have
// spaces around the label, or the label in another form of Unicode.
func findClassFolder(split, label string) string {
	if info, err := os.Stat(filepath.Join(split, label)); err == nil && info.IsDir() {
		return label
	}
	entries, _ := os.ReadDir(split)
	for _, e := range entries {
		if dataset.CleanLabel(e.Name()) == label {
			return e.Name()
		}
	}
	return label
}

// planFolders adds the folders of a path that do not exist.
func (p *planner) planFolders(folder string) {
	if p.made[folder] {
		return
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	p.planFolders(filepath.Dir(folder))
	p.made[folder] = true
	p.folders = append(p.folders, folder)
}

// checkLink returns a message if from is a symbolic link that would lead elsewhere after its
// move, or "".
func checkLink(from, to string) string {
	target, err := os.Readlink(from)
	if err != nil || filepath.IsAbs(target) {
		return ""
	}
	before, after := filepath.Join(filepath.Dir(from), target), filepath.Join(filepath.Dir(to), target)
	if before == after {
		return ""
	}
	return fmt.Sprintf("the picture is a relative link to %s and would lead elsewhere; make the link absolute", target)
}

// planEdits plans the corrections of a data set with a table: every row that has the picture and
// the label changes.
func (p *planner) planEdits(corrections []Correction) error {
	rows := map[string][]*dataset.Row{}
	for i := range p.data.Rows {
		key, err := filepath.Abs(p.data.Rows[i].Path)
		if err != nil {
			return err
		}
		rows[key] = append(rows[key], &p.data.Rows[i])
	}
	changes := map[*dataset.RowSource]map[cell]change{}
	for _, c := range corrections {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		all := rows[p.resolve(c.Picture)]
		matching := slices.DeleteFunc(slices.Clone(all), func(r *dataset.Row) bool { return r.Label != c.Label })
		switch {
		case len(all) == 0:
			p.addProblem(c, "no row of the table has this picture, or its file is missing")
		case len(matching) == 0:
			p.addProblem(c, "its label is %q, not %q", all[0].Label, c.Label)
		case c.New == c.Label:
			p.Unchanged++
		default:
			p.planRows(changes, c, matching)
		}
	}
	planned := map[*dataset.RowSource]bool{}
	for _, r := range p.data.Rows {
		if s := r.Source; changes[s] != nil && !planned[s] {
			planned[s] = true
			if err := p.planTable(s, changes[s]); err != nil {
				return err
			}
		}
	}
	return nil
}

// planRows plans a correction of all rows of its picture.
func (p *planner) planRows(changes map[*dataset.RowSource]map[cell]change, c Correction, rows []*dataset.Row) {
	for _, r := range rows {
		if changes[r.Source] == nil {
			changes[r.Source] = map[cell]change{}
		}
		if r.Source.Classes == nil {
			changes[r.Source][cell{r.Line, r.Source.Columns.Label}] = change{c, c.Label, c.New}
		} else if !p.planOneHot(changes[r.Source], c, r) {
			return
		}
		p.Steps = append(p.Steps, Step{
			Picture: c.Picture, Label: c.Label, New: c.New, Table: r.Source.Table.File, Line: r.Line,
		})
	}
}

// change has the value of a field before and after a correction.
type change struct {
	Correction
	before, after string
}

// planOneHot plans a row of a table that has a column for each class, with 1 for the row's own
// class and 0 for the others.
func (p *planner) planOneHot(changes map[cell]change, c Correction, r *dataset.Row) bool {
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
		p.addProblem(c, "%s has no column %q", r.Source.Table.File, c.New)
		return false
	}
	changes[cell{r.Line, from}] = change{c, "1", "0"}
	changes[cell{r.Line, to}] = change{c, "0", "1"}
	return true
}

// planTable finds the fields of a table that change, and checks that they still have the values
// that were read.
func (p *planner) planTable(s *dataset.RowSource, changes map[cell]change) error {
	data, err := safefile.Read(s.Table.File, maxTableBytes)
	if err != nil {
		return err
	}
	delimiter := byte(s.Table.Delimiter)
	cells := map[cell]bool{}
	for at := range changes {
		cells[at] = true
	}
	found, err := locate(data, delimiter, cells)
	if err != nil {
		return fmt.Errorf("table %s: %w", s.Table.File, err)
	}
	t := tableEdits{path: s.Table.File, delimiter: delimiter}
	for at, ch := range changes {
		f, ok := found[at]
		raw := data[f.start:f.end]
		if !ok || dataset.CleanLabel(unquote(raw)) != ch.before {
			p.addProblem(ch.Correction, "%s, line %d, has another label; did the table just change?",
				s.Table.File, at.line)
			continue
		}
		t.edits = append(t.edits, edit{at.line, at.column, slices.Clone(raw), replaceValue(raw, ch.after, delimiter)})
	}
	slices.SortFunc(t.edits, func(a, b edit) int { return compareCells(a.cell(), b.cell()) })
	for _, e := range t.edits {
		t.pictures = append(t.pictures, changes[e.cell()].Picture)
	}
	p.tables = append(p.tables, t)
	return nil
}
