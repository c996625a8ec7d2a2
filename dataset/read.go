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

// Layout is the way in which a data set is stored.
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

// splitFolders has the possible names, in lower case, of each split's folder.
var splitFolders = []struct {
	split string
	names []string
}{
	{Train, []string{"train", "training"}},
	{Validation, []string{"validation", "val", "valid"}},
	{Test, []string{"test", "testing"}},
}

// parseSplit returns the split that a name means, or "".
func parseSplit(name string) string {
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
	ProblemLayout    ProblemKind = "layout"     // the folders
	ProblemTable     ProblemKind = "table"      // the table, or one of its columns
	ProblemClasses   ProblemKind = "classes"    // a class without pictures in a split that needs some
	ProblemDivision  ProblemKind = "division"   // pictures that cannot be divided into splits
	ProblemAlike     ProblemKind = "alike"      // labels that differ only in case, spaces or invisible characters
	ProblemGroupLeak ProblemKind = "group_leak" // a group in several splits
)

// Problem is something wrong with a data set.
type Problem struct {
	Kind    ProblemKind `json:"kind"`
	Message string      `json:"message"`
	// Refused says that training refuses the data set because of the problem; other problems
	// are warnings.
	Refused bool `json:"refused"`
	// Err is the cause, or nil.
	Err error `json:"-"`
}

func (p Problem) Error() string { return "data set: " + p.Message }

// Unwrap returns the cause.
func (p Problem) Unwrap() error { return p.Err }

// Part has the pictures of one of the data set's own splits, or all if it has no splits.
type Part struct {
	Name string // Train, Validation, Test, or "" without splits
	Set  *Set
}

// Data is a data set as Read found it, before it is divided.
type Data struct {
	Path    string // as it was given
	Folder  string // Path, or the folder to which its archive was unpacked
	Layout  Layout
	Table   *Table   // nil for class folders; the last one, if each split has its own
	Images  string   // the folder to which the table's names are relative
	Columns Columns  // of the table
	Labels  []string // of all pictures found, before Options select any; sorted
	// Classes are the labels after Options renamed and selected them, sorted.
	Classes []string
	Parts   []Part
	// Rows are the rows of tables whose pictures exist, before Options rename and select labels.
	Rows     []Row
	Tally    Tally     // what gave no picture
	Notes    []string  // what a person should know about how the data set was read
	Problems []Problem // what is wrong with it
	// Contributors are columns that seem to say who made a picture. The pictures of each of
	// their groups should be in one split.
	Contributors []Contributor
	Grouped      bool // the pictures have groups

	listings   []*files // the folders with a table's pictures
	unlabelled bool     // read pictures without labels
}

// Columns has the indices of a table's columns, −1 for columns that it lacks.
type Columns struct{ Image, Label, Group, Split int }

// foundPicture is a picture with its label, before Options select labels.
type foundPicture struct {
	path, label, group, part string
	line                     int // in the table
}

// Read reads a data set, which is one of
//
//   - a folder with the folders train and validation (or val, or valid) or test, in any letter
//     case, each with a folder for each class;
//   - a folder with a folder for each class; pictures at any depth below belong to the class;
//   - a table, or a folder with one: see Table and Options;
//   - a zip, tar or tar.gz archive of one of these.
//
// Read follows symbolic links. What is wrong with the data set is in Data.Problems; Data.Err
// joins those because of which training refuses it. Read itself fails for invalid options, a
// path that cannot be read, links that form a loop, an archive that cannot be unpacked, and when
// ctx ends.
func Read(ctx context.Context, path string, o Options) (*Data, error) {
	return read(ctx, path, o, false)
}

// read does the work of Read. If unlabelled, it ignores the labels in a table.
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
	packed, err := d.openFile(ctx, info, &o)
	if err != nil {
		return nil, err
	}
	o.Labels, o.Images = d.resolvePath(o.Labels), d.resolvePath(o.Images)
	all, err := d.find(ctx, o, packed)
	if err != nil {
		return nil, err
	}
	if d.Layout == LayoutTable {
		if err = d.skipUnlisted(ctx, info.IsDir() || packed); err != nil {
			return nil, err
		}
	}
	if err = d.assignGroups(all, o); err != nil {
		return nil, err
	}
	d.chooseClasses(all, o)
	return d, nil
}

// openFile sets the folder of a data set whose path is a file: it unpacks an archive, and takes any
// other file for the table with the labels. packed says that the file is an archive.
func (d *Data) openFile(ctx context.Context, info fs.FileInfo, o *Options) (packed bool, err error) {
	if info.IsDir() {
		return false, nil
	}
	if kind := detectArchive(d.Path); kind != "" {
		d.Folder, err = unpackToCache(ctx, d.Path, kind, *o, &d.Tally)
		return true, err
	}
	if extension := strings.ToLower(filepath.Ext(d.Path)); !slices.Contains(tableExtensions, extension) &&
		extension != ".txt" {
		return false, fmt.Errorf("data set %s: it is neither a folder, a table (.csv, .tsv) nor an archive (zip, tar, "+
			"tar.gz)", d.Path)
	}
	if o.Labels == "" {
		o.Labels = d.Path
	}
	d.Folder = filepath.Dir(d.Path)
	return false, nil
}

// resolvePath returns a path from the options, or the same path in the data set's folder if only
// that exists.
func (d *Data) resolvePath(path string) string {
	if inside := filepath.Join(d.Folder, path); path != "" && !exists(path) && exists(inside) {
		return inside
	}
	return path
}

// Open returns all pictures of a data set that needs no options, with its splits joined. Its
// error has the problems because of which training would refuse the data set.
func Open(path string) (*Set, error) {
	d, err := Read(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	return d.All(), d.Err()
}

// OpenSplits returns the splits of a data set that needs no options: its own, or those that the
// rule makes.
func OpenSplits(path string, rule SplitRule) (*Splits, error) {
	d, err := Read(context.Background(), path, Options{})
	if err != nil {
		return nil, err
	}
	return d.Split(rule)
}

// addProblem adds a problem because of which training refuses the data set.
func (d *Data) addProblem(kind ProblemKind, cause error, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{kind, fmt.Sprintf(format, args...), true, cause})
}

// addWarning adds a problem that training accepts.
func (d *Data) addWarning(kind ProblemKind, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{kind, fmt.Sprintf(format, args...), false, nil})
}

// addNote adds a note.
func (d *Data) addNote(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// Err joins the problems because of which training refuses the data set.
func (d *Data) Err() error { return joinRefused(d.Problems) }

// joinRefused joins the problems that are Refused.
func joinRefused(problems []Problem) error {
	var errs []error
	for _, p := range problems {
		if p.Refused {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// All returns the pictures of all splits, sorted by class, then path.
func (d *Data) All() *Set {
	all := &Set{Folder: d.Path, Classes: d.Classes}
	for _, p := range d.Parts {
		all.Samples = append(all.Samples, p.Set.Samples...)
	}
	all.sort()
	return all
}

// Part returns the pictures of one of the data set's own splits, or nil.
func (d *Data) Part(name string) *Set {
	for _, p := range d.Parts {
		if p.Name == name {
			return p.Set
		}
	}
	return nil
}

// listFolders returns the names of the folders in a folder, without hidden ones.
func listFolders(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	var names []string
	for _, e := range entries {
		if isHidden(e.Name()) {
			continue
		}
		if info, err := os.Stat(filepath.Join(folder, e.Name())); err == nil && info.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// findSplits returns which of the named folders in a folder are splits: for each split, the names
// of its folders. A split has folders in it. A folder train with only pictures is a class, or has
// the pictures of a table.
func findSplits(folder string, names []string) map[string][]string {
	splits := map[string][]string{}
	for _, name := range names {
		split := parseSplit(name)
		if split == "" {
			continue
		}
		if inner, err := listFolders(filepath.Join(folder, name)); err == nil && len(inner) > 0 {
			splits[split] = append(splits[split], name)
		}
	}
	return splits
}

// find finds the pictures of the data set with their labels. It alone knows the layouts.
func (d *Data) find(ctx context.Context, o Options, packed bool) ([]foundPicture, error) {
	if o.Labels != "" {
		return d.findInTable(ctx, o, o.Labels, packed)
	}
	const maxNested = 4 // folders that hold nothing but one other
	for range maxNested {
		names, err := listFolders(d.Folder)
		if err != nil {
			return nil, err
		}
		tables, err := d.listTables(ctx, d.Folder, o)
		if err != nil {
			return nil, err
		}
		splits := findSplits(d.Folder, names)
		if len(splits[Train]) > 0 || len(splits) > 0 && len(splits) == len(names) {
			d.noteIgnoredTables(tables.fit, "the folders give the labels")
			return d.findInSplits(ctx, names, splits)
		}
		parts, err := d.findSplitTables(ctx, names, o, tables)
		if err != nil {
			return nil, err
		}
		if parts != nil {
			return d.findInTables(ctx, o, parts, packed)
		}
		// Archives and downloads often have everything in one folder.
		inner := ""
		if len(names) == 1 && d.isDataSet(ctx, filepath.Join(d.Folder, names[0]), o) {
			inner = filepath.Join(d.Folder, names[0])
		}
		table, failed := d.chooseTable(ctx, o, names, tables, inner)
		switch {
		case failed:
			return nil, nil
		case table != "":
			return d.findInTable(ctx, o, table, packed)
		case inner == "":
			return d.findInClasses(ctx, names)
		}
		d.addNote("the data set is in %s", inner)
		if err := d.skipLooseFiles(d.Folder); err != nil {
			return nil, err
		}
		d.Folder = inner
	}
	return d.findInClasses(ctx, nil)
}

// chooseTable returns which of the tables in the data set's folder to read, or "" for none. names
// are the folders beside the tables, and inner is the only one if it may be the data set. If a
// person has to choose, chooseTable adds a problem, and failed is true.
func (d *Data) chooseTable(ctx context.Context, o Options, names []string, tables tableList,
	inner string) (table string, failed bool) {
	table, likely := chooseByName(tables.fit)
	switch {
	case table == "" && len(tables.fit) > 1 && len(names) < 2:
		d.Layout = LayoutTable
		d.addProblem(ProblemTable, nil, "%s has several tables with pictures and labels: %s; name one of them",
			d.Folder, quoteNames(baseNames(tables.fit)))
		return "", true
	case table != "" && (likely || len(names) < 2 || d.tableNamesPictures(ctx, o, table)):
		d.addNote("the labels are those of %s", table)
		others := slices.DeleteFunc(tables.fit, func(t string) bool { return t == table })
		d.noteIgnoredTables(others, "one table is read; to read this one, give its path")
		return table, false
	case table != "":
		d.noteIgnoredTables(tables.fit, "its pictures are missing, so the class folders are read")
	case inner == "" && len(names) < 2 && len(tables.unfit) > 0:
		return findLikeliest(tables.unfit), false // reading it says what it lacks
	}
	d.noteIgnoredTables(tables.unfit, "it has no columns with the usual names for pictures and labels")
	return "", false
}

// noteIgnoredTables notes which tables are not read, and why.
func (d *Data) noteIgnoredTables(tables []string, why string) {
	for _, t := range tables {
		d.addNote("%s is ignored: %s", filepath.Base(t), why)
	}
}

// isDataSet reports whether a folder has several classes, splits or a table.
func (d *Data) isDataSet(ctx context.Context, folder string, o Options) bool {
	const maxDepth = 3 // of folders that hold nothing but one other
	for range maxDepth {
		names, err := listFolders(folder)
		if err != nil {
			return false
		}
		tables, err := d.listTables(ctx, folder, o)
		if err != nil {
			return false
		}
		if len(names) > 1 || len(tables.fit) > 0 || len(findSplits(folder, names)) > 0 {
			return true
		}
		if len(names) == 0 {
			return false
		}
		folder = filepath.Join(folder, names[0])
	}
	return false
}

// findInSplits finds the pictures in class folders below the folders of splits.
func (d *Data) findInSplits(ctx context.Context, names []string, splits map[string][]string) ([]foundPicture, error) {
	d.Layout = LayoutSplits
	var all []foundPicture
	read := map[string]bool{}
	for _, s := range splitFolders {
		folders := splits[s.split]
		if len(folders) > 1 {
			d.addProblem(ProblemLayout, nil, "%s has the folders %s, all for %s; keep one of them", d.Path,
				quoteNames(folders), s.split)
		}
		for _, name := range folders {
			read[name] = true
			if name != s.split {
				d.addNote("%s is the %s split", filepath.Join(d.Folder, name), s.split)
			}
			folder := filepath.Join(d.Folder, name)
			classes, err := listFolders(folder)
			if err != nil {
				return nil, err
			}
			some, err := d.findInFolders(ctx, folder, classes)
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
		// Pictures in no class folder are, for example, the test pictures of a competition.
		reason, message := ReasonOutside, "outside train, validation and test"
		if parseSplit(name) != "" {
			reason, message = ReasonNoLabel, "it is in no class folder"
		}
		if err := d.skipFolder(ctx, filepath.Join(d.Folder, name), reason, message); err != nil {
			return nil, err
		}
	}
	return all, d.skipLooseFiles(d.Folder)
}

// findInClasses finds the pictures in class folders.
func (d *Data) findInClasses(ctx context.Context, names []string) ([]foundPicture, error) {
	d.Layout = LayoutClasses
	if len(names) == 0 {
		d.addProblem(ProblemLayout, ErrNoClasses,
			"%s: %v; it needs a folder for each class, or train and validation with a folder for each class, "+
				"or a table with columns such as image and label", d.Path, ErrNoClasses)
	}
	if d.checkSplitNames(names) {
		for _, name := range names {
			folder := filepath.Join(d.Folder, name)
			if err := d.skipFolder(ctx, folder, ReasonNoLabel, "it is in no class folder"); err != nil {
				return nil, err
			}
		}
		return nil, d.skipLooseFiles(d.Folder)
	}
	for _, name := range names {
		folder := filepath.Join(d.Folder, name)
		if inner, err := listFolders(folder); err == nil && len(findSplits(folder, inner)) > 1 {
			d.addWarning(ProblemLayout, "the folder %q is read as one class, but has splits in it; to read these, "+
				"give the path %s", name, folder)
		}
	}
	return d.findInFolders(ctx, d.Folder, names)
}

// checkSplitNames reports whether the folders seem to be splits of pictures without labels, since
// all have names such as train and test. Then it adds a problem. It adds a warning if names only
// resemble splits, such as seg_train and seg_test.
func (d *Data) checkSplitNames(names []string) bool {
	exact, like := map[string]bool{}, map[string]bool{}
	var suspects []string
	for _, name := range names {
		words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
		if i := slices.IndexFunc(words, func(word string) bool { return parseSplit(word) != "" }); i >= 0 {
			like[parseSplit(words[i])] = true
			suspects = append(suspects, name)
		}
		if split := parseSplit(name); split != "" {
			exact[split] = true
		}
	}
	switch {
	case len(exact) > 1 && len(suspects) == len(names):
		d.addProblem(ProblemLayout, nil,
			"the folders %s have no class folders, and no table labels their pictures",
			quoteNames(suspects))
		return true
	case len(like) > 1:
		d.addWarning(ProblemLayout, "the folders %s are read as classes, but have names like splits",
			quoteNames(suspects))
	}
	return false
}

// findInFolders finds the pictures in class folders, at any depth.
func (d *Data) findInFolders(ctx context.Context, folder string, classes []string) ([]foundPicture, error) {
	var all []foundPicture
	for _, class := range classes {
		w, err := newWalker(ctx, filepath.Join(folder, class), &d.Tally, func(path string, _ fs.FileInfo) error {
			all = append(all, foundPicture{path: path, label: CleanLabel(class)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := w.walk(filepath.Join(folder, class), w.root); err != nil {
			return nil, err
		}
		for _, err := range w.unreadable { // otherwise its pictures would be missing without notice
			d.addProblem(ProblemLayout, err, "a folder cannot be read: %v", err)
		}
	}
	return all, d.skipLooseFiles(folder)
}

// skipLooseFiles counts the pictures beside the folders that are read. Other files, such as a
// README, do not count.
func (d *Data) skipLooseFiles(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("data set: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path)
		switch {
		case isHidden(e.Name()):
			d.Tally.Add(ReasonHidden, path, "a hidden or system file")
		case err != nil && isLinkCycle(path):
			return fmt.Errorf("data set: %q: %w; remove it", path, ErrLinkLoop)
		case err != nil:
			d.Tally.Add(ReasonMissing, path, "the link leads nowhere")
		case info.Mode().IsRegular() && looksLikePicture(path):
			d.Tally.Add(ReasonOutside, path, "it is in no class folder")
		}
	}
	return nil
}

// skipFolder counts the pictures below a folder that is not read.
func (d *Data) skipFolder(ctx context.Context, folder string, reason Reason, message string) error {
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

// assignGroups sets the group of each picture, as the options say.
func (d *Data) assignGroups(all []foundPicture, o Options) error {
	if o.GroupBy != "" && d.Layout != LayoutTable {
		return &OptionsError{"group_by", fmt.Sprintf("%s has no table, so no column %q; give a pattern for file names",
			d.Path, o.GroupBy)}
	}
	if d.Grouped = d.Columns.Group >= 0 || o.GroupPattern != ""; !d.Grouped {
		return nil
	}
	option := "group_by"
	if o.GroupPattern != "" {
		option = "group_pattern"
		if err := d.matchGroups(all, o.GroupPattern); err != nil {
			return &OptionsError{option, err.Error()}
		}
	}
	without := 0
	for _, f := range all {
		if f.group == "" {
			without++
		}
	}
	switch {
	case without == 0:
	case without == len(all):
		return &OptionsError{option, "no picture has a group"}
	default:
		d.addNote("%d %s without a group: each is a group of its own", without, plural(without, "picture"))
	}
	return nil
}

// matchGroups sets the group of each picture whose name matches a pattern.
func (d *Data) matchGroups(all []foundPicture, text string) error {
	pattern, err := regexp.Compile(text)
	if err != nil {
		return err
	}
	for i := range all {
		name := filepath.Base(all[i].path)
		if strings.Contains(text, "/") {
			if relative, err := filepath.Rel(d.Folder, all[i].path); err == nil {
				name = filepath.ToSlash(relative)
			}
		}
		if m := pattern.FindStringSubmatch(name); m != nil {
			all[i].group = m[min(1, len(m)-1)]
		}
	}
	return nil
}

// chooseClasses turns labels into classes, and pictures into parts.
func (d *Data) chooseClasses(all []foundPicture, o Options) {
	labels := map[string]bool{}
	for _, f := range all {
		labels[f.label] = true
	}
	d.Labels = slices.Sorted(maps.Keys(labels))
	s, notes := newSelection(o, labels)
	d.Notes = append(d.Notes, notes...)
	kept := all[:0]
	for _, f := range all {
		class, ok := s.class(f.label)
		if !ok {
			d.Tally.Add(ReasonExcluded, f.path, fmt.Sprintf("labelled %q", f.label))
			continue
		}
		f.label = class
		kept = append(kept, f)
	}
	if d.Layout == LayoutTable {
		kept = d.dropRepeats(kept)
	}
	counts := map[string]int{}
	for _, f := range kept {
		counts[f.label]++
	}
	d.Classes = slices.Sorted(maps.Keys(counts))
	sets := map[string]*Set{}
	for _, f := range kept {
		set := sets[f.part]
		if set == nil {
			set = &Set{Folder: d.Path, Classes: d.Classes}
			sets[f.part] = set
		}
		label, _ := slices.BinarySearch(d.Classes, f.label)
		set.Samples = append(set.Samples, Sample{Path: f.path, Label: label, Group: f.group})
	}
	for _, name := range []string{"", Train, Validation, Test} {
		if set := sets[name]; set != nil {
			set.sort()
			d.Parts = append(d.Parts, Part{name, set})
		}
	}
	d.checkClasses(o, counts)
	d.checkGroups()
}

// dropRepeats drops rows of a table that repeat another row's picture and class, and pictures
// whose rows have different classes.
func (d *Data) dropRepeats(all []foundPicture) []foundPicture {
	identify := makeIdentity(all)
	first := map[string]foundPicture{}
	conflicts := map[string]bool{}
	kept := all[:0]
	for _, f := range all {
		key := identify(f.path)
		before, repeated := first[key]
		switch {
		case !repeated:
			first[key] = f
			kept = append(kept, f)
		case before.label != f.label:
			conflicts[key] = true
		case !conflicts[key]:
			d.Tally.Add(ReasonRepeated, f.path, fmt.Sprintf("line %d repeats line %d", f.line, before.line))
		}
	}
	return slices.DeleteFunc(kept, func(f foundPicture) bool {
		conflict := conflicts[identify(f.path)]
		if conflict {
			d.Tally.Add(ReasonConflict, f.path, "the table gives it several labels")
		}
		return conflict
	})
}

// makeIdentity returns a function that returns the same text for all paths of a file, even if some
// are absolute and others relative. A link is a file of its own.
func makeIdentity(all []foundPicture) func(path string) string {
	absolute := func(f foundPicture) bool { return filepath.IsAbs(f.path) }
	relative := func(f foundPicture) bool { return !filepath.IsAbs(f.path) }
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

// checkClasses adds the problems with the classes.
func (d *Data) checkClasses(o Options, counts map[string]int) {
	for _, class := range d.Classes {
		if class == "" {
			d.addProblem(ProblemClasses, nil, "%s has a class folder with a blank name; rename it", d.Path)
		}
		if strings.ContainsFunc(class, unicode.IsControl) || !utf8.ValidString(class) {
			d.addProblem(ProblemClasses, nil, "the class %q has characters that cannot be printed; rename it", class)
		}
	}
	if len(counts) == 0 && d.Err() == nil {
		d.addProblem(ProblemClasses, ErrNoClasses, "%s has no labelled pictures: %s", d.Path, d.Tally.Summary(0))
	}
	for _, name := range o.Classes {
		class := CleanLabel(name)
		isLike := func(c string) bool { return foldLabel(c) == foldLabel(class) }
		if counts[class] == 0 && !slices.ContainsFunc(d.Classes, isLike) {
			d.addProblem(ProblemClasses, nil, "the requested class %q has no pictures; the labels are %s", class,
				quoteNames(d.Labels))
		}
	}
	alike := map[string][]string{}
	for _, class := range d.Classes {
		alike[foldLabel(class)] = append(alike[foldLabel(class)], class)
	}
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		if names := alike[key]; len(names) > 1 {
			d.addWarning(ProblemAlike, "the labels %s differ only in case, spaces or invisible characters; unless "+
				"they are merged, they are different classes", quoteNames(names))
		}
	}
}

// checkGroups warns of groups that lie in several splits.
func (d *Data) checkGroups() {
	if !d.Grouped {
		return
	}
	first, leaks := map[string]string{}, map[string]bool{} // the first part of each group
	for _, p := range d.Parts {
		for _, s := range p.Set.Samples {
			if s.Group == "" {
				continue
			}
			if part, ok := first[s.Group]; ok && part != p.Name {
				leaks[s.Group] = true
			} else {
				first[s.Group] = p.Name
			}
		}
	}
	if len(leaks) > 0 {
		d.addWarning(ProblemGroupLeak, "%d of %d groups lie in several splits of the data set: %s", len(leaks),
			len(first), quoteNames(slices.Sorted(maps.Keys(leaks))))
	}
}

// baseNames returns the last elements of paths.
func baseNames(paths []string) []string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	return names
}
