package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tableEndings are the endings of tables' names.
var tableEndings = []string{".csv", ".tsv"}

// tableStems are the names that tables of labels usually have, without ending, the
// surest first.
var tableStems = []string{"images", "labels", "_classes", "train", "metadata", "annotations", "data"}

// likelyStems is how many of tableStems are taken before class folders beside them.
const likelyStems = 3

// oneHotStem is the name of a table with a column for each class, as Roboflow writes it.
const oneHotStem = "_classes"

func stem(path string) string {
	base := filepath.Base(path)
	return strings.ToLower(strings.TrimSuffix(base, filepath.Ext(base)))
}

// tables are the tables in a folder, by name.
type tables struct {
	fit   []string // those with columns for pictures and labels
	unfit []string // others, and those that cannot be read
}

// tablesIn lists the tables in a folder, and tells those that have the columns that
// options name, or else columns of the usual names, for pictures and labels.
func (d *Data) tablesIn(ctx context.Context, folder string, o Options) (tables, error) {
	var found tables
	entries, err := os.ReadDir(folder)
	if err != nil {
		return found, fmt.Errorf("data set: %w", err)
	}
	has := func(t *Table, named string, names []string) bool {
		if named != "" {
			_, err := t.column(named)
			return err == nil
		}
		return len(t.usual(names)) > 0
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if hidden(e.Name()) || !slices.Contains(tableEndings, strings.ToLower(filepath.Ext(path))) {
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		table, err := readHeader(ctx, path)
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
		if err == nil && has(table, o.ImageColumn, imageColumns) && (has(table, o.LabelColumn, labelColumns) ||
			stem(path) == oneHotStem) {
			found.fit = append(found.fit, path)
		} else {
			found.unfit = append(found.unfit, path)
		}
	}
	return found, nil
}

// chooseTable returns the table to read of several, "" if none is surer than the others;
// likely says that its name is one of the surest.
func chooseTable(tables []string) (table string, likely bool) {
	if len(tables) == 0 {
		return "", false
	}
	first := surest(tables)
	for _, t := range tables {
		if t != first && stemPlace(t) == stemPlace(first) {
			return "", false
		}
	}
	return first, stemPlace(first) < likelyStems
}

// surest returns the table with the surest name; ties go to the first.
func surest(tables []string) string {
	return slices.MinFunc(tables, func(a, b string) int { return cmp.Compare(stemPlace(a), stemPlace(b)) })
}

// stemPlace is a table's place among tableStems by its name, behind all if it has none.
func stemPlace(path string) int {
	if i := slices.Index(tableStems, stem(path)); i >= 0 {
		return i
	}
	return len(tableStems)
}

// errEnough ends the reading of a table early.
var errEnough = errors.New("enough rows")

// readHeader reads a table's columns.
func readHeader(ctx context.Context, path string) (*Table, error) {
	var table *Table
	err := readTable(ctx, path, func(t *Table) error { table = t; return errEnough }, nil, nil)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return table, err
}

// splitTables returns the tables of a data set that has one for each split, by split:
// train.csv and test.csv, or a table in each of the folders train and valid.
func (d *Data) splitTables(ctx context.Context, names []string, o Options, found tables) (map[string]string, error) {
	beside := map[string]string{}
	for _, table := range found.fit {
		if split := splitOf(stem(table)); split != "" && beside[split] == "" {
			beside[split] = table
		}
	}
	if beside[Train] != "" && len(beside) > 1 {
		return beside, nil
	}
	inside := map[string]string{}
	for _, name := range names {
		if splitOf(name) == "" {
			continue
		}
		tables, err := d.tablesIn(ctx, filepath.Join(d.Folder, name), o)
		if err != nil {
			return nil, err
		}
		if table, _ := chooseTable(tables.fit); table != "" {
			inside[splitOf(name)] = table
		}
	}
	if inside[Train] != "" {
		return inside, nil
	}
	return nil, nil
}

// findInTables reads a table for each split.
func (d *Data) findInTables(ctx context.Context, o Options, tables map[string]string, packed bool) ([]found, error) {
	var all []found
	for _, s := range splitFolders {
		if tables[s.split] == "" {
			continue
		}
		d.note("%s has the %s split", tables[s.split], s.split)
		some, err := d.findInTable(ctx, o, tables[s.split], packed)
		if err != nil {
			return nil, err
		}
		for i := range some {
			some[i].part = s.split
		}
		all = append(all, some...)
	}
	return all, nil
}

// findInTable lists the pictures that a table names. What is wrong with the table is a
// problem, not an error.
func (d *Data) findInTable(ctx context.Context, o Options, path string, packed bool) ([]found, error) {
	d.Layout = LayoutTable
	table, err := readHeader(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.refuse(ProblemTable, err, "%v", err)
		return nil, nil
	}
	d.Table = table
	r := &tableReader{Data: d, options: o, table: table, packed: packed}
	if err := r.chooseColumns(ctx); err != nil {
		return nil, err
	}
	if r.columns.Image < 0 || r.columns.Label < 0 && r.classes == nil && !r.unlabelled {
		return nil, nil // said by chooseColumns
	}
	all, err := r.read(ctx)
	if err != nil && ctx.Err() == nil {
		var broken *TableError
		if errors.As(err, &broken) {
			d.refuse(ProblemTable, err, "%v", err)
			return all, nil
		}
	}
	return all, err
}

// tableFits reports whether some of the pictures that a table names are there.
func (d *Data) tableFits(ctx context.Context, o Options, path string) bool {
	table, err := readHeader(ctx, path)
	if err != nil {
		return false
	}
	r := &tableReader{Data: &Data{Path: d.Path, Folder: d.Folder}, options: o, table: table}
	if err := r.chooseColumns(ctx); err != nil || r.columns.Image < 0 {
		return false
	}
	return r.hits > 0
}

// tableReader reads the pictures of one table.
type tableReader struct {
	*Data
	options Options
	table   *Table
	packed  bool
	columns Columns
	classes []int    // columns of a table with one for each class; nil with a label column
	bases   []*files // folders that names are relative to
	hits    int      // of the sampled rows, those whose picture is there
}

// sampled rows are looked at to choose the columns and the folder of pictures.
const (
	sampledFirst = 200  // rows from the first on
	sampledEvery = 97   // after those, one row in this many
	sampledMost  = 2000 // in all
)

// sample reads some rows. A broken one ends it, and is an error when all rows are read.
func (r *tableReader) sample(ctx context.Context) (rows [][]string, err error) {
	count := 0
	readTable(ctx, r.table.File, func(*Table) error { return nil }, func(row tableRow) error {
		if count++; count <= sampledFirst || count%sampledEvery == 0 {
			rows = append(rows, slices.Clone(row.Fields))
		}
		if len(rows) == sampledMost {
			return errEnough
		}
		return nil
	}, func(int, string) {})
	return rows, ctx.Err()
}

// chooseColumns finds the columns of pictures, labels, groups and splits, and the folder
// that names are relative to. Columns that are missing are problems.
func (r *tableReader) chooseColumns(ctx context.Context) error {
	t, o := r.table, r.options
	r.columns = Columns{-1, -1, -1, -1}
	named := func(name string) int {
		i, err := t.column(name)
		if err != nil {
			r.refuse(ProblemTable, err, "%v", err)
			return -1
		}
		return i
	}
	var images []int
	switch {
	case o.ImageColumn != "":
		if i := named(o.ImageColumn); i >= 0 {
			images = []int{i}
		}
	default:
		if images = t.usual(imageColumns); images == nil {
			r.refuse(ProblemTable, nil, "table %s: none of its columns %s is known to name pictures; say which does",
				t.File,
				quoted(t.Columns))
		}
	}
	switch labels := t.usual(labelColumns); {
	case r.unlabelled:
	case o.LabelColumn != "":
		r.columns.Label = named(o.LabelColumn)
	case len(labels) > 0:
		r.columns.Label = labels[0]
		if len(labels) > 1 {
			r.note("the labels are those of the column %q; %s could be, too", t.Columns[labels[0]],
				quoted(columnNames(t,
					labels[1:])))
		}
	}
	if o.GroupBy != "" {
		r.columns.Group = named(o.GroupBy)
	}
	rows, err := r.sample(ctx)
	if err != nil {
		return err
	}
	r.chooseBase(images, rows)
	if o.LabelColumn == "" && r.columns.Label < 0 && !r.unlabelled {
		if r.classes = r.oneHot(rows); r.classes == nil {
			r.refuse(ProblemTable, nil, "table %s: none of its columns %s is known to have labels; say which has",
				t.File,
				quoted(t.Columns))
		} else {
			r.note("table %s has a column for each class: the class is the one with a 1", t.File)
		}
	}
	if splits := t.usual(splitColumns); len(splits) > 0 && len(rows) > 0 {
		at := splits[0]
		other := slices.IndexFunc(rows, func(row []string) bool { return splitOf(row[at]) == "" })
		switch {
		case at == r.columns.Label:
		case other < 0:
			r.columns.Split = at
			r.note("the column %q of %s says which split a picture is in", t.Columns[at], t.File)
		case slices.ContainsFunc(rows, func(row []string) bool { return splitOf(row[at]) != "" }):
			r.note("the column %q of %s is ignored: %q in it is no split", t.Columns[at], t.File, rows[other][at])
		}
	}
	r.Data.Columns = r.columns
	return nil
}

func columnNames(t *Table, columns []int) []string {
	var names []string
	for _, i := range columns {
		names = append(names, t.Columns[i])
	}
	return names
}

// oneHot returns the columns of a table that has one for each class, nil if it is none:
// all columns but the picture's have 0 or 1 in every row that was sampled.
func (r *tableReader) oneHot(rows [][]string) []int {
	var columns []int
	for i := range r.table.Columns {
		if i == r.columns.Image || i == r.columns.Group {
			continue
		}
		for _, row := range rows {
			if v := strings.TrimSpace(row[i]); v != "0" && v != "1" {
				return nil
			}
		}
		columns = append(columns, i)
	}
	if len(columns) < 2 || len(rows) == 0 {
		return nil
	}
	return columns
}

// maxBases bounds the folders that pictures are looked for in.
const maxBases = 500

// chooseBase chooses the column and the folder for which most of the sampled names are
// files: the table's own folder, the data set's, or one in these. Ties go to the first in
// this order. Pictures that lie in several folders are all found if no two of the folders
// have a name in common.
func (r *tableReader) chooseBase(images []int, rows [][]string) {
	var bases []*files
	if r.options.Images != "" {
		if info, err := os.Stat(r.options.Images); err != nil || !info.IsDir() {
			r.refuse(ProblemTable, err, "%s, the folder of pictures, is not a folder", r.options.Images)
			return
		}
		bases = []*files{newFiles(r.options.Images, r.packed)}
	} else {
		own := []string{filepath.Dir(r.table.File)}
		if filepath.Clean(r.Folder) != own[0] { // a table from elsewhere
			own = append(own, filepath.Clean(r.Folder))
		}
		for _, folder := range own {
			bases = append(bases, newFiles(folder, r.packed))
			inner, _ := subfolders(folder)
			slices.SortStableFunc(inner, func(a, b string) int {
				return cmp.Compare(imagesRank(a, r.table.File), imagesRank(b, r.table.File))
			})
			for _, name := range inner[:min(len(inner), maxBases)] {
				bases = append(bases, newFiles(filepath.Join(folder, name), r.packed))
			}
		}
	}
	type score struct {
		column, base, hits int
	}
	best := score{-1, 0, -1}
	scores := map[int][]int{} // of each column, by base
	for _, column := range images {
		for b, base := range bases {
			hits := 0
			for _, row := range rows {
				if path, _, _ := base.find(row[column]); path != "" {
					hits++
				}
			}
			scores[column] = append(scores[column], hits)
			if hits > best.hits {
				best = score{column, b, hits}
			}
		}
	}
	if best.column < 0 {
		return
	}
	r.columns.Image, r.hits = best.column, best.hits
	r.bases = []*files{bases[best.base]}
	r.Data.Images = bases[best.base].base
	if best.hits == 0 || best.hits == len(rows) {
		return
	}
	for b, hits := range scores[best.column] {
		if b == best.base || hits == 0 {
			continue
		}
		if !slices.ContainsFunc(r.bases, func(f *files) bool { return f.overlaps(bases[b]) }) {
			r.bases = append(r.bases, bases[b])
			r.note("pictures are in %s, too", bases[b].base)
		}
	}
}

// imagesRank orders folders beside a table: those that are named for pictures first,
// then one named like the table.
func imagesRank(folder, table string) int {
	switch name := strings.ToLower(folder); {
	case name == "images":
		return 0
	case strings.HasPrefix(name, "images"):
		return 1
	case strings.HasPrefix(name, "img"), strings.HasPrefix(name, "pictures"), strings.HasPrefix(name, "photos"):
		return 2
	case name == stem(table):
		return 3
	case splitOf(name) == Train:
		return 4
	}
	return 5
}

// overlaps reports whether both folders have a picture of one name.
func (f *files) overlaps(other *files) bool {
	for stem := range f.list(f.base).stems {
		if other.list(other.base).stems[stem] != nil {
			return true
		}
	}
	return false
}

// resolve finds a picture in the folders of pictures.
func (r *tableReader) resolve(name string) (path string, reason Reason, message string) {
	for i, base := range r.bases {
		p, why, text := base.find(name)
		if p != "" {
			base.mark(p)
			return p, "", ""
		}
		if i == 0 {
			reason, message = why, text
		}
	}
	return "", reason, message
}

// label returns the label of a row, or why it has none.
func (r *tableReader) label(row tableRow) (label string, reason Reason, message string) {
	if r.unlabelled {
		return "picture", "", ""
	}
	if r.classes == nil {
		if label = strings.TrimSpace(row.Fields[r.columns.Label]); label == "" {
			return "", ReasonNoLabel, fmt.Sprintf("line %d has no label", row.Line)
		}
		return label, "", ""
	}
	for _, i := range r.classes {
		switch v := strings.TrimSpace(row.Fields[i]); {
		case v == "0":
		case v != "1":
			return "", ReasonBadRow, fmt.Sprintf("line %d: %q is neither 0 nor 1", row.Line, v)
		case label != "":
			return "", ReasonConflict, fmt.Sprintf("line %d is of several classes", row.Line)
		default:
			label = r.table.Columns[i]
		}
	}
	if label == "" {
		return "", ReasonNoLabel, fmt.Sprintf("line %d is of no class", row.Line)
	}
	return label, "", ""
}

// read reads all rows.
func (r *tableReader) read(ctx context.Context) ([]found, error) {
	var all []found
	contributors := newContributors(r.table, r.columns, r.classes)
	source := &RowSource{r.table, r.columns, r.classes}
	known := names{}
	err := readTable(ctx, r.table.File, func(*Table) error { return nil }, func(row tableRow) error {
		skip := func(reason Reason, message string) error {
			r.Tally.Add(reason, r.place(row.Fields[r.columns.Image]), message)
			return nil
		}
		path, reason, message := r.resolve(row.Fields[r.columns.Image])
		if path == "" {
			return skip(reason, fmt.Sprintf("line %d: %s", row.Line, message))
		}
		f := found{path: path, line: row.Line}
		label, reason, message := r.label(row)
		if label == "" {
			return skip(reason, message)
		}
		f.label = known.keep(label)
		if r.columns.Group >= 0 {
			f.group = known.keep(strings.TrimSpace(row.Fields[r.columns.Group]))
		}
		if r.columns.Split >= 0 {
			if f.part = splitOf(row.Fields[r.columns.Split]); f.part == "" {
				return skip(ReasonBadRow,
					fmt.Sprintf("line %d: %q is no split", row.Line, row.Fields[r.columns.Split]))
			}
		}
		contributors.add(row.Fields, f.label)
		r.Rows = append(r.Rows, Row{f.path, f.label, f.line, source})
		all = append(all, f)
		return nil
	}, func(line int, message string) {
		r.Tally.Add(ReasonBadRow, r.table.File, message)
	})
	r.Contributors = contributors.likely()
	r.listings = append(r.listings, r.bases...)
	return all, err
}

// loseUnlisted counts the pictures that no row of a table names: below the data set's
// folder, if that is what was named, and else in the folders of pictures that rows name.
func (d *Data) loseUnlisted(ctx context.Context, whole bool) error {
	named := map[string]map[string]bool{} // files of each folder with one that a row names
	for _, f := range d.listings {
		for folder, l := range f.folders {
			for file, isNamed := range l.names {
				if isNamed {
					if named[folder] == nil {
						named[folder] = map[string]bool{}
					}
					named[folder][file] = true
				}
			}
		}
	}
	var paths []string
	if whole {
		var unused Tally
		var err error
		paths, err = Pictures(ctx, d.Folder, &unused)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrLinkLoop) {
			d.note("pictures that the table does not name are not all counted: %v", err)
		}
	} else {
		for _, folder := range slices.Sorted(maps.Keys(named)) {
			entries, _ := os.ReadDir(folder)
			for _, e := range entries {
				ending := strings.ToLower(filepath.Ext(e.Name()))
				if slices.Contains(pictureEndings, ending) && !hidden(e.Name()) && !e.IsDir() {
					paths = append(paths, filepath.Join(folder, e.Name()))
				}
			}
		}
	}
	for _, path := range paths {
		folder, file := filepath.Split(path)
		if !named[filepath.Clean(folder)][file] {
			d.Tally.Add(ReasonUnlisted, path, "no row of the table names it")
		}
	}
	return nil
}

// names has one copy of each name, so that a name does not keep the whole row that it is
// part of.
type names map[string]string

func (n names) keep(name string) string {
	kept, ok := n[name]
	if !ok {
		kept = strings.Clone(name)
		n[kept] = kept
	}
	return kept
}

// place is where a picture of a name should be, for messages: the table, if a row has
// no name.
func (r *tableReader) place(name string) string {
	name = filepath.FromSlash(strings.TrimSpace(name))
	if name == "" {
		return r.table.File
	}
	if len(r.bases) == 0 || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.bases[0].base, name)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
