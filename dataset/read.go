package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Layout is how a data set lies in its folder.
type Layout string

// The layouts.
const (
	LayoutSplits  Layout = "splits"  // train and validation or test, each with class folders
	LayoutClasses Layout = "classes" // a folder for each class
	LayoutTable   Layout = "table"   // a table with a row for each picture
)

// The names of the splits.
const (
	Train      = "train"
	Validation = "validation"
	Test       = "test"
)

// splitFolders are the names of folders, in lower case, that each split may have.
var splitFolders = []struct {
	split string
	names []string
}{
	{Train, []string{"train", "training"}},
	{Validation, []string{"validation", "val", "valid"}},
	{Test, []string{"test", "testing"}},
}

// splitOf returns the split that a name stands for, "" for any other name.
func splitOf(name string) string {
	for _, s := range splitFolders {
		if slices.Contains(s.names, strings.ToLower(strings.TrimSpace(name))) {
			return s.split
		}
	}
	return ""
}

// ProblemKind says what is wrong with a data set.
type ProblemKind string

// The kinds of problems.
const (
	ProblemLayout    ProblemKind = "layout"     // nothing can be read
	ProblemTable     ProblemKind = "table"      // the table, or one of its columns
	ProblemClasses   ProblemKind = "classes"    // a class that has no pictures where it needs some
	ProblemDivision  ProblemKind = "division"   // pictures that cannot be divided into splits
	ProblemAlike     ProblemKind = "alike"      // labels that differ in case, spaces or invisible characters only
	ProblemGroupLeak ProblemKind = "group_leak" // a group that lies in several splits
)

// Problem is something wrong with a data set.
type Problem struct {
	Kind    ProblemKind `json:"kind"`
	Message string      `json:"message"`
	// Refused says that training refuses the data set because of it; the others are
	// warnings.
	Refused bool `json:"refused"`
	// Err is the cause, or nil.
	Err error `json:"-"`
}

func (p Problem) Error() string { return "data set: " + p.Message }

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Part is the pictures of one split as they lie, or all of a data set without splits.
type Part struct {
	Name string // Train, Validation, Test, or "" without splits
	Set  *Set
}

// Data is a data set as it was found: what Read makes of it, before it is divided.
type Data struct {
	Path    string // as it was named
	Folder  string // that was read: Path, or where its archive was unpacked
	Layout  Layout
	Table   *Table   // nil for class folders; the last, if there is one for each split
	Images  string   // the folder that the table's names are relative to
	Columns Columns  // of the table
	Labels  []string // of all pictures that were found, before Options choose; sorted
	// Classes are the labels that are left, sorted.
	Classes []string
	Parts   []Part
	// Rows are the rows of tables that name pictures that are there, as the tables have
	// them: before Options rename and choose labels.
	Rows     []Row
	Tally    Tally     // what gave no picture
	Notes    []string  // what a person should know of how the data set was read
	Problems []Problem // what is wrong with it
	// Contributors are columns that look as if they named who made a picture: pictures
	// of one such group should be in one split.
	Contributors []Contributor
	Grouped      bool // by Options

	listings   []*files // of the folders of a table's pictures
	unlabelled bool     // a table's labels do not matter
}

// Columns are the places of a table's columns, −1 where the table has none.
type Columns struct{ Image, Label, Group, Split int }

// found is a picture with its label, before Options choose among the labels.
type found struct {
	path, label, group, part string
	line                     int // of the table
}

// Read reads a data set, which is one of
//
//   - a folder with the folders train and validation (or val, or valid) or test, in any
//     letter case, each with a folder for each class;
//   - a folder with a folder for each class. Pictures deeper below belong to the class;
//   - a table, or a folder with one: see Table and Options;
//   - a zip, tar or tar.gz archive of one of these.
//
// Symbolic links are followed. What is wrong with the data set is in Data.Problems, of
// which Data.Err joins those that training refuses. Read itself fails for options that
// cannot work, a path that cannot be read, links that form a loop, an archive that cannot
// be unpacked, and when ctx ends.
func Read(ctx context.Context, path string, o Options) (*Data, error) {
	return read(ctx, path, o, false)
}

// read is Read, which may take the pictures of a table whatever their labels.
func read(ctx context.Context, path string, o Options, unlabelled bool) (*Data, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d := &Data{Path: path, Folder: path, Columns: Columns{-1, -1, -1, -1}, unlabelled: unlabelled}
	info, err := os.Stat(path)
	var missing *fs.PathError
	if errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data set %s: %w; check the path", path, missing.Err)
	}
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	packed := false
	if !info.IsDir() {
		if kind := archiveKind(path); kind != "" {
			if d.Folder, err = unpackToCache(ctx, path, kind, o, &d.Tally); err != nil {
				return nil, err
			}
			packed = true
		} else {
			if ending := strings.ToLower(filepath.Ext(path)); !slices.Contains(tableEndings, ending) && ending != ".txt" {
				return nil,
					fmt.Errorf("data set %s: it is neither a folder, a table (.csv, .tsv) nor an archive (zip, "+
						"tar, tar.gz)", path)
			}
			if o.Labels == "" {
				o.Labels = path
			}
			d.Folder = filepath.Dir(path)
		}
	}
	o.Labels, o.Images = d.beside(o.Labels), d.beside(o.Images)
	all, err := d.find(ctx, o, packed)
	if err != nil {
		return nil, err
	}
	if d.Layout == LayoutTable {
		if err := d.loseUnlisted(ctx, info.IsDir() || packed); err != nil {
			return nil, err
		}
	}
	if err := d.group(all, o); err != nil {
		return nil, err
	}
	d.choose(all, o)
	return d, nil
}

// beside returns a path that options name: as it is, or, where nothing is there, that in
// the data set's folder.
func (d *Data) beside(path string) string {
	if inside := filepath.Join(d.Folder, path); path != "" && !exists(path) && exists(inside) {
		return inside
	}
	return path
}

// Open returns all pictures of a data set that needs no options, those of its splits
// together. What training refuses is an error.
func Open(path string) (*Set, error) {
	d, err := Read(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	return d.All(), d.Err()
}

// OpenSplits returns the splits of a data set that needs no options: as they lie, or
// divided by the rule.
func OpenSplits(path string, rule SplitRule) (*Splits, error) {
	d, err := Read(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	return d.Split(rule)
}

// refuse notes a problem that training refuses.
func (d *Data) refuse(kind ProblemKind, cause error, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{kind, fmt.Sprintf(format, args...), true, cause})
}

// warn notes a problem that training does not mind.
func (d *Data) warn(kind ProblemKind, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{kind, fmt.Sprintf(format, args...), false, nil})
}

func (d *Data) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// Err returns the problems that training refuses, joined; nil if there are none.
func (d *Data) Err() error { return refused(d.Problems) }

func refused(problems []Problem) error {
	var errs []error
	for _, p := range problems {
		if p.Refused {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// All returns the pictures of all splits together, sorted by class, then path.
func (d *Data) All() *Set {
	all := &Set{Folder: d.Path, Classes: d.Classes}
	for _, p := range d.Parts {
		all.Samples = append(all.Samples, p.Set.Samples...)
	}
	all.sort()
	return all
}

// Part returns the pictures of a split as they lie, nil if the data set lacks it.
func (d *Data) Part(name string) *Set {
	for _, p := range d.Parts {
		if p.Name == name {
			return p.Set
		}
	}
	return nil
}

// subfolders lists the folders in a folder by name, hidden ones apart.
func subfolders(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	var names []string
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		if info, err := os.Stat(filepath.Join(folder, e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// splitsIn says which of some folders in a folder are splits: by the split's name, the
// names of its folders. A folder train whose pictures lie in it directly is a class, or
// the pictures of a table.
func splitsIn(folder string, names []string) map[string][]string {
	splits := map[string][]string{}
	for _, name := range names {
		split := splitOf(name)
		if split == "" {
			continue
		}
		if inner, err := subfolders(filepath.Join(folder, name)); err == nil && len(inner) > 0 {
			splits[split] = append(splits[split], name)
		}
	}
	return splits
}

// find lists the pictures of the data set with their labels: the one place that knows
// the layouts.
func (d *Data) find(ctx context.Context, o Options, packed bool) ([]found, error) {
	if o.Labels != "" {
		return d.findInTable(ctx, o, o.Labels, packed)
	}
	const maxNested = 4 // folders that hold nothing but one other
	for range maxNested {
		names, err := subfolders(d.Folder)
		if err != nil {
			return nil, err
		}
		tables, err := d.tablesIn(ctx, d.Folder, o)
		if err != nil {
			return nil, err
		}
		splits := splitsIn(d.Folder, names)
		if len(splits[Train]) > 0 || len(splits) > 0 && len(splits) == len(names) {
			d.noteIgnored(tables.fit, "the folders say the labels")
			return d.findInSplits(ctx, names, splits)
		}
		parts, err := d.splitTables(ctx, names, o, tables)
		if err != nil {
			return nil, err
		}
		if parts != nil {
			return d.findInTables(ctx, o, parts, packed)
		}
		// An archive, or a download, often has all in one folder.
		inner := ""
		if len(names) == 1 && d.isDataSet(ctx, filepath.Join(d.Folder, names[0]), o) {
			inner = filepath.Join(d.Folder, names[0])
		}
		switch table, likely := chooseTable(tables.fit); {
		case table == "" && len(tables.fit) > 1 && len(names) < 2:
			d.Layout = LayoutTable
			d.refuse(ProblemTable, nil, "%s has several tables with pictures and labels: %s; name one of them",
				d.Folder,
				quoted(baseNames(tables.fit)))
			return nil, nil
		case table != "" && (likely || len(names) < 2 || d.tableFits(ctx, o, table)):
			d.note("the labels are those of %s", table)
			others := slices.DeleteFunc(tables.fit, func(t string) bool { return t == table })
			d.noteIgnored(others, "one table is read; name another with its path")
			return d.findInTable(ctx, o, table, packed)
		case table != "":
			d.noteIgnored(tables.fit, "its pictures are not found, so the class folders are read")
		case inner == "" && len(names) < 2 && len(tables.unfit) > 0:
			return d.findInTable(ctx, o, surest(tables.unfit), packed) // which says what it lacks
		}
		d.noteIgnored(tables.unfit, "it has no columns that are known to name pictures and labels")
		if inner == "" {
			return d.findInClasses(ctx, names)
		}
		d.note("the data set is in %s", inner)
		if err := d.loseLoose(d.Folder); err != nil {
			return nil, err
		}
		d.Folder = inner
	}
	return d.findInClasses(ctx, nil)
}

// noteIgnored tells of tables that are not read.
func (d *Data) noteIgnored(tables []string, why string) {
	for _, t := range tables {
		d.note("%s is ignored: %s", filepath.Base(t), why)
	}
}

// isDataSet reports whether a folder is one of several classes, splits or a table.
func (d *Data) isDataSet(ctx context.Context, folder string, o Options) bool {
	const maxDepth = 3 // of folders that hold nothing but one other
	for range maxDepth {
		names, err := subfolders(folder)
		if err != nil {
			return false
		}
		tables, err := d.tablesIn(ctx, folder, o)
		if err != nil {
			return false
		}
		if len(names) > 1 || len(tables.fit) > 0 || len(splitsIn(folder, names)) > 0 {
			return true
		}
		if len(names) == 0 {
			return false
		}
		folder = filepath.Join(folder, names[0])
	}
	return false
}

// findInSplits reads class folders below the folders of splits.
func (d *Data) findInSplits(ctx context.Context, names []string, splits map[string][]string) ([]found, error) {
	d.Layout = LayoutSplits
	var all []found
	read := map[string]bool{}
	for _, s := range splitFolders {
		folders := splits[s.split]
		if len(folders) > 1 {
			d.refuse(ProblemLayout, nil, "%s has the folders %s, all for %s; keep one of them", d.Path,
				quoted(folders),
				s.split)
		}
		for _, name := range folders {
			read[name] = true
			if name != s.split {
				d.note("%s is the %s split", filepath.Join(d.Folder, name), s.split)
			}
			folder := filepath.Join(d.Folder, name)
			classes, err := subfolders(folder)
			if err != nil {
				return nil, err
			}
			some, err := d.classFolders(ctx, folder, classes)
			if err != nil {
				return nil, err
			}
			for i := range some {
				some[i].part = s.split
			}
			all = append(all, some...)
		}
	}
	for _, name := range names {
		if read[name] {
			continue
		}
		// Pictures that no class folder has, such as those of a competition's test.
		reason, message := ReasonOutside, "outside train, validation and test"
		if splitOf(name) != "" {
			reason, message = ReasonNoLabel, "no class folder labels it"
		}
		if err := d.lose(ctx, filepath.Join(d.Folder, name), reason, message); err != nil {
			return nil, err
		}
	}
	return all, d.loseLoose(d.Folder)
}

// findInClasses reads class folders.
func (d *Data) findInClasses(ctx context.Context, names []string) ([]found, error) {
	d.Layout = LayoutClasses
	if len(names) == 0 {
		d.refuse(ProblemLayout, ErrNoClasses,
			"%s: %v; it needs a folder for each class, or train and validation with a folder for each class, "+
				"or a table with columns such as image and label", d.Path, ErrNoClasses)
	}
	if d.areSplits(names) {
		for _, name := range names {
			if err := d.lose(ctx, filepath.Join(d.Folder, name), ReasonNoLabel, "no class folder labels it"); err != nil {
				return nil, err
			}
		}
		return nil, d.loseLoose(d.Folder)
	}
	for _, name := range names {
		folder := filepath.Join(d.Folder, name)
		if inner, err := subfolders(folder); err == nil && len(splitsIn(folder, inner)) > 1 {
			d.warn(ProblemLayout, "the folder %q is read as one class, but has splits in it: name %s to read these",
				name,
				folder)
		}
	}
	return d.classFolders(ctx, d.Folder, names)
}

// areSplits reports whether the folders seem to be splits of pictures that nothing
// labels: all have names such as train and test, and nobody wants to tell these apart.
// It refuses the data set then, and warns of names that only look like it, such as
// seg_train and seg_test.
func (d *Data) areSplits(names []string) bool {
	exact, like := map[string]bool{}, map[string]bool{}
	var suspects []string
	for _, name := range names {
		words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
		if i := slices.IndexFunc(words, func(word string) bool { return splitOf(word) != "" }); i >= 0 {
			like[splitOf(words[i])] = true
			suspects = append(suspects, name)
		}
		if split := splitOf(name); split != "" {
			exact[split] = true
		}
	}
	switch {
	case len(exact) > 1 && len(suspects) == len(names):
		d.refuse(ProblemLayout, nil,
			"the folders %s have no class folders, and there is no table that labels their pictures",
			quoted(suspects))
		return true
	case len(like) > 1:
		d.warn(ProblemLayout, "the folders %s are read as classes, but have the names of splits", quoted(suspects))
	}
	return false
}

// classFolders lists the pictures of class folders: those deeper below belong to the
// class as well.
func (d *Data) classFolders(ctx context.Context, folder string, classes []string) ([]found, error) {
	var all []found
	for _, class := range classes {
		w, err := newWalker(ctx, filepath.Join(folder, class), &d.Tally)
		if err != nil {
			return nil, err
		}
		if err := w.walk(filepath.Join(folder, class), w.root); err != nil {
			return nil, err
		}
		for _, err := range w.unreadable { // which would be a class without a word
			d.refuse(ProblemLayout, err, "a folder cannot be read: %v", err)
		}
		for _, path := range w.found {
			all = append(all, found{path: path, label: strings.TrimSpace(class)})
		}
	}
	return all, d.loseLoose(folder)
}

// loseLoose counts what lies beside the folders that are read: pictures as a loss.
// Other files, such as a read-me, are nobody's pictures.
func (d *Data) loseLoose(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("data set: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path)
		switch {
		case hidden(e.Name()):
			d.Tally.Add(ReasonHidden, path, "hidden or a system's file")
		case err != nil && isLinkCycle(path):
			return fmt.Errorf("data set: %q: %w; remove it", path, ErrLinkLoop)
		case err != nil:
			d.Tally.Add(ReasonMissing, path, "the link leads nowhere")
		case info.Mode().IsRegular() && beginsLikePicture(path):
			d.Tally.Add(ReasonOutside, path, "it lies in no class folder")
		}
	}
	return nil
}

// lose counts the pictures below a folder that is not read.
func (d *Data) lose(ctx context.Context, folder string, reason Reason, message string) error {
	var unused Tally
	paths, err := Pictures(ctx, folder, &unused)
	if err != nil {
		return err
	}
	for _, path := range paths {
		d.Tally.Add(reason, path, message)
	}
	return nil
}

// group sets the group of each picture, as Options say.
func (d *Data) group(all []found, o Options) error {
	if o.GroupBy != "" && d.Layout != LayoutTable {
		return &OptionsError{"group_by", fmt.Sprintf("%s has no table, so no column %q; give a pattern for file names",
			d.Path, o.GroupBy)}
	}
	if d.Grouped = d.Columns.Group >= 0 || o.GroupPattern != ""; !d.Grouped {
		return nil
	}
	without := 0
	if o.GroupPattern != "" {
		pattern, err := regexp.Compile(o.GroupPattern)
		if err != nil {
			return &OptionsError{"group_pattern", err.Error()}
		}
		for i := range all {
			name := filepath.Base(all[i].path)
			if strings.Contains(o.GroupPattern, "/") {
				if relative, err := filepath.Rel(d.Folder, all[i].path); err == nil {
					name = filepath.ToSlash(relative)
				}
			}
			m := pattern.FindStringSubmatch(name)
			switch {
			case m == nil:
			case len(m) > 1:
				all[i].group = m[1]
			default:
				all[i].group = m[0]
			}
		}
	}
	for _, f := range all {
		if f.group == "" {
			without++
		}
	}
	switch {
	case without == 0:
	case without == len(all) && len(all) > 0:
		option := "group_pattern"
		if o.GroupBy != "" {
			option = "group_by"
		}
		return &OptionsError{option, "no picture has a group"}
	default:
		d.note("%d %s without a group: each is a group of its own", without, plural(without, "picture"))
	}
	return nil
}

// choose turns labels into classes, and pictures into parts.
func (d *Data) choose(all []found, o Options) {
	labels := map[string]bool{}
	for _, f := range all {
		labels[f.label] = true
	}
	d.Labels = slices.Sorted(maps.Keys(labels))
	s, notes := newSelection(o, labels)
	d.Notes = append(d.Notes, notes...)

	// Rows of one file must agree, once labels are merged and chosen.
	type first struct {
		class string
		at    int
	}
	file := fileNames(all)
	byPath := map[string]first{}
	conflicts := map[string]bool{}
	kept := all[:0]
	for _, f := range all {
		class, ok := s.class(f.label)
		if !ok {
			d.Tally.Add(ReasonExcluded, f.path, fmt.Sprintf("labelled %q", f.label))
			continue
		}
		f.label = class
		if d.Layout == LayoutTable {
			if before, ok := byPath[file(f.path)]; ok {
				if before.class != class {
					conflicts[file(f.path)] = true
				} else if !conflicts[file(f.path)] {
					d.Tally.Add(ReasonRepeated, f.path, fmt.Sprintf("line %d repeats line %d", f.line, before.at))
				}
				continue
			}
			byPath[file(f.path)] = first{class, f.line}
		}
		kept = append(kept, f)
	}
	sets := map[string]*Set{}
	counts := map[string]int{}
	for _, f := range kept {
		if conflicts[file(f.path)] {
			d.Tally.Add(ReasonConflict, f.path, "the table gives it several labels")
			continue
		}
		counts[f.label]++
	}
	d.Classes = slices.Sorted(maps.Keys(counts))
	index := map[string]int{}
	for i, class := range d.Classes {
		index[class] = i
	}
	for _, f := range kept {
		if conflicts[file(f.path)] {
			continue
		}
		set := sets[f.part]
		if set == nil {
			set = &Set{Folder: d.Path, Classes: d.Classes}
			sets[f.part] = set
		}
		set.Samples = append(set.Samples, Sample{Path: f.path, Label: index[f.label], Group: f.group})
	}
	for _, name := range []string{"", Train, Validation, Test} {
		if set := sets[name]; set != nil {
			set.sort()
			d.Parts = append(d.Parts, Part{name, set})
		}
	}
	d.judge(o, counts)
}

// fileNames returns a function that gives all paths of a file one name, if some are
// absolute and others are not. Links are different files.
func fileNames(all []found) func(path string) string {
	absolute := func(f found) bool { return filepath.IsAbs(f.path) }
	relative := func(f found) bool { return !filepath.IsAbs(f.path) }
	if working, err := os.Getwd(); err == nil && slices.ContainsFunc(all, absolute) && slices.ContainsFunc(all,
		relative) {
		return func(path string) string {
			if !filepath.IsAbs(path) {
				path = filepath.Join(working, path)
			}
			return filepath.Clean(path)
		}
	}
	return filepath.Clean
}

// judge notes what is wrong with the classes.
func (d *Data) judge(o Options, counts map[string]int) {
	for _, class := range d.Classes {
		if class == "" {
			d.refuse(ProblemClasses, nil, "%s has a class folder whose name is blank: rename it", d.Path)
		}
		if strings.ContainsFunc(class, unicode.IsControl) || !utf8.ValidString(class) {
			d.refuse(ProblemClasses, nil, "the class %q has characters that cannot be printed: rename it", class)
		}
	}
	if len(counts) == 0 && d.Err() == nil {
		d.refuse(ProblemClasses, ErrNoClasses, "%s has no labelled pictures: %s", d.Path, d.Tally.Summary(0))
	}
	for _, name := range o.Classes {
		if class := strings.TrimSpace(name); counts[class] == 0 && !slices.ContainsFunc(d.Classes,
			func(c string) bool { return likeness(c) == likeness(class) }) {
			d.refuse(ProblemClasses, nil, "the class %q was asked for and has no pictures; there are %s", class,
				quoted(d.Labels))
		}
	}
	alike := map[string][]string{}
	for _, class := range d.Classes {
		alike[likeness(class)] = append(alike[likeness(class)], class)
	}
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		if names := alike[key]; len(names) > 1 {
			d.warn(ProblemAlike,
				"the labels %s differ in case, spaces or invisible characters only: "+
					"they are different classes until they are merged", quoted(names))
		}
	}
	if !d.Grouped {
		return
	}
	parts := map[string]map[string]bool{}
	for _, p := range d.Parts {
		for _, s := range p.Set.Samples {
			if s.Group == "" {
				continue
			}
			if parts[s.Group] == nil {
				parts[s.Group] = map[string]bool{}
			}
			parts[s.Group][p.Name] = true
		}
	}
	var leaks []string
	for _, g := range slices.Sorted(maps.Keys(parts)) {
		if len(parts[g]) > 1 {
			leaks = append(leaks, g)
		}
	}
	if len(leaks) > 0 {
		d.warn(ProblemGroupLeak, "%d of %d groups lie in several splits as the data set has them: %s", len(leaks),
			len(parts), quoted(leaks))
	}
}

func baseNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return names
}
