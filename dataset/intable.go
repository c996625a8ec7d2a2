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

// tableExtensions are the extensions of tables.
var tableExtensions = []string{".csv", ".tsv"}

// tableStems are the usual names of tables with labels, without extension, the likeliest first.
var tableStems = []string{"images", "labels", "_classes", "train", "metadata", "annotations", "data"}

// likelyStems is the number of tableStems that take precedence over class folders beside them.
const likelyStems = 3

// oneHotStem is the name of a table with a column for each class, as Roboflow writes it.
const oneHotStem = "_classes"

// fileStem returns a file's name in lower case, without folder and extension.
func fileStem(path string) string {
	base := filepath.Base(path)
	return strings.ToLower(strings.TrimSuffix(base, filepath.Ext(base)))
}

// tableList has the tables in a folder, sorted by name.
type tableList struct {
	fit   []string // those with columns for pictures and labels
	unfit []string // others, and those that cannot be read
}

// listTables returns the tables in a folder. Those that fit have columns for pictures and labels:
// the columns that the options name, or columns with the usual names.
func (d *Data) listTables(ctx context.Context, folder string, o Options) (tableList, error) {
	var found tableList
	entries, err := os.ReadDir(folder)
	if err != nil {
		return found, fmt.Errorf("data set: %w", err)
	}
	has := func(t *Table, named string, names []string) bool {
		if named != "" {
			_, err := t.column(named)
			return err == nil
		}
		return len(t.usualColumns(names)) > 0
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if isHidden(e.Name()) || !slices.Contains(tableExtensions, strings.ToLower(filepath.Ext(path))) {
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
			fileStem(path) == oneHotStem) {
			found.fit = append(found.fit, path)
		} else {
			found.unfit = append(found.unfit, path)
		}
	}
	return found, nil
}

// chooseByName returns the table with the likeliest name, or "" if several are equally likely.
// likely says that the name is one of the likeliest of all.
func chooseByName(tables []string) (table string, likely bool) {
	if len(tables) == 0 {
		return "", false
	}
	first := findLikeliest(tables)
	for _, t := range tables {
		if t != first && stemRank(t) == stemRank(first) {
			return "", false
		}
	}
	return first, stemRank(first) < likelyStems
}

// findLikeliest returns the table with the likeliest name; ties go to the first.
func findLikeliest(tables []string) string {
	return slices.MinFunc(tables, func(a, b string) int { return cmp.Compare(stemRank(a), stemRank(b)) })
}

// stemRank returns the index of a table's name among tableStems, or their number.
func stemRank(path string) int {
	if i := slices.Index(tableStems, fileStem(path)); i >= 0 {
		return i
	}
	return len(tableStems)
}

// errEnough stops the reading of a table early.
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

// findSplitTables returns the tables of a data set that has one for each split, by split: for
// example train.csv and test.csv, or a table in each of the folders train and valid.
func (d *Data) findSplitTables(ctx context.Context, names []string, o Options,
	found tableList) (map[string]string, error) {
	beside := map[string]string{}
	for _, table := range found.fit {
		if split := parseSplit(fileStem(table)); split != "" && beside[split] == "" {
			beside[split] = table
		}
	}
	if beside[Train] != "" && len(beside) > 1 {
		return beside, nil
	}
	inside := map[string]string{}
	for _, name := range names {
		if parseSplit(name) == "" {
			continue
		}
		tables, err := d.listTables(ctx, filepath.Join(d.Folder, name), o)
		if err != nil {
			return nil, err
		}
		if table, _ := chooseByName(tables.fit); table != "" {
			inside[parseSplit(name)] = table
		}
	}
	if inside[Train] != "" {
		return inside, nil
	}
	return nil, nil
}

// findInTables finds the pictures that the tables of the splits name.
func (d *Data) findInTables(ctx context.Context, o Options, tables map[string]string,
	packed bool) ([]foundPicture, error) {
	var all []foundPicture
	for _, s := range splitFolders {
		if tables[s.split] == "" {
			continue
		}
		d.addNote("%s has the %s split", tables[s.split], s.split)
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

// findInTable finds the pictures that a table names. What is wrong with the table becomes a
// problem, not an error.
func (d *Data) findInTable(ctx context.Context, o Options, path string, packed bool) ([]foundPicture, error) {
	d.Layout = LayoutTable
	table, err := readHeader(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.addProblem(ProblemTable, err, "%v", err)
		return nil, nil
	}
	d.Table = table
	r := &tableReader{Data: d, options: o, table: table, packed: packed}
	if err = r.chooseColumns(ctx); err != nil {
		return nil, err
	}
	if r.columns.Image < 0 || r.columns.Label < 0 && r.classes == nil && !r.unlabelled {
		return nil, nil // chooseColumns has added a problem
	}
	all, err := r.read(ctx)
	if err != nil && ctx.Err() == nil {
		var broken *TableError
		if errors.As(err, &broken) {
			d.addProblem(ProblemTable, err, "%v", err)
			return all, nil
		}
	}
	return all, err
}

// tableNamesPictures reports whether some of the pictures that a table names exist.
func (d *Data) tableNamesPictures(ctx context.Context, o Options, path string) bool {
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
	classes []int    // the classes' columns of a one-hot table; nil for a table with a label column
	bases   []*files // the folders to which names are relative
	hits    int      // the number of sampled rows whose picture exists
}

// Sizes of the sample of rows that decides about the columns and the folder of pictures.
const (
	sampledFirst = 200  // rows at the beginning
	sampledEvery = 97   // after those, every so many rows
	sampledMost  = 2000 // in total
)

// sample reads some rows, up to the first broken one, about which read will return an error.
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

// chooseColumns finds the columns of pictures, labels, groups and splits, and the folder to which
// names are relative. Missing columns are problems.
func (r *tableReader) chooseColumns(ctx context.Context) error {
	r.columns = Columns{-1, -1, -1, -1}
	images := r.chooseImageColumns()
	r.chooseLabelColumn()
	if r.options.GroupBy != "" {
		r.columns.Group = r.findNamed(r.options.GroupBy)
	}
	rows, err := r.sample(ctx)
	if err != nil {
		return err
	}
	r.chooseBase(images, rows)
	if r.options.LabelColumn == "" && r.columns.Label < 0 && !r.unlabelled {
		if r.classes = r.findOneHot(rows); r.classes == nil {
			r.addProblem(ProblemTable, nil, "table %s: none of its columns %s is known to have labels; say which has",
				r.table.File, quoteNames(r.table.Columns))
		} else {
			r.addNote("table %s has a column for each class: the class is the one with a 1", r.table.File)
		}
	}
	r.chooseSplitColumn(rows)
	r.Columns = r.columns
	return nil
}

// findNamed returns the column that an option names, or adds a problem and returns −1.
func (r *tableReader) findNamed(name string) int {
	i, err := r.table.column(name)
	if err != nil {
		r.addProblem(ProblemTable, err, "%v", err)
		return -1
	}
	return i
}

// chooseImageColumns returns the columns that may have the names of pictures.
func (r *tableReader) chooseImageColumns() []int {
	if name := r.options.ImageColumn; name != "" {
		if i := r.findNamed(name); i >= 0 {
			return []int{i}
		}
		return nil
	}
	images := r.table.usualColumns(imageColumns)
	if images == nil {
		r.addProblem(ProblemTable, nil, "table %s: none of its columns %s is known to name pictures; say which does",
			r.table.File, quoteNames(r.table.Columns))
	}
	return images
}

// chooseLabelColumn chooses the column of labels, if there is one.
func (r *tableReader) chooseLabelColumn() {
	if r.unlabelled {
		return
	}
	if name := r.options.LabelColumn; name != "" {
		r.columns.Label = r.findNamed(name)
		return
	}
	labels := r.table.usualColumns(labelColumns)
	if len(labels) == 0 {
		return
	}
	r.columns.Label = labels[0]
	if len(labels) > 1 {
		r.addNote("the labels are those of the column %q; %s could be, too", r.table.Columns[labels[0]],
			quoteNames(nameColumns(r.table, labels[1:])))
	}
}

// chooseSplitColumn chooses the column of splits, if there is one and all sampled values are
// splits.
func (r *tableReader) chooseSplitColumn(rows [][]string) {
	splits := r.table.usualColumns(splitColumns)
	if len(splits) == 0 || len(rows) == 0 || splits[0] == r.columns.Label {
		return
	}
	i, name := splits[0], r.table.Columns[splits[0]]
	other := slices.IndexFunc(rows, func(row []string) bool { return parseSplit(row[i]) == "" })
	if other < 0 {
		r.columns.Split = i
		r.addNote("the column %q of %s says which split a picture is in", name, r.table.File)
	} else if slices.ContainsFunc(rows, func(row []string) bool { return parseSplit(row[i]) != "" }) {
		r.addNote("the column %q of %s is ignored: its value %q is not a split", name, r.table.File, rows[other][i])
	}
}

// nameColumns returns the names of columns.
func nameColumns(t *Table, columns []int) []string {
	var names []string
	for _, i := range columns {
		names = append(names, t.Columns[i])
	}
	return names
}

// findOneHot returns the classes' columns of a one-hot table: all columns except the picture's and
// the group's have 0 or 1 in every sampled row. It returns nil for another table.
func (r *tableReader) findOneHot(rows [][]string) []int {
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

// maxBases is the largest number of folders beside a table in which pictures are searched for.
const maxBases = 500

// chooseBase chooses the column and the folder for which most of the sampled names are files: the
// table's folder, the data set's, or one in these. Ties go to the first in this order. If pictures
// lie in several folders, all of these are chosen, unless two of them have a name in common.
func (r *tableReader) chooseBase(images []int, rows [][]string) {
	bases := r.listBases()
	if bases == nil || len(images) == 0 {
		return
	}
	hits := map[int][]int{} // the files found for each column, by base
	column, base := images[0], 0
	for _, c := range images {
		for b, candidate := range bases {
			hits[c] = append(hits[c], countFiles(candidate, rows, c))
			if hits[c][b] > hits[column][base] {
				column, base = c, b
			}
		}
	}
	r.columns.Image, r.hits = column, hits[column][base]
	r.bases = []*files{bases[base]}
	r.Images = bases[base].base
	if r.hits == 0 || r.hits == len(rows) {
		return
	}
	for b, n := range hits[column] {
		if b == base || n == 0 || slices.ContainsFunc(r.bases, bases[b].overlaps) {
			continue
		}
		r.bases = append(r.bases, bases[b])
		r.addNote("pictures are in %s, too", bases[b].base)
	}
}

// listBases returns the folders to which the names of pictures may be relative. If the option's
// folder does not exist, it adds a problem and returns nil.
func (r *tableReader) listBases() []*files {
	if r.options.Images != "" {
		if info, err := os.Stat(r.options.Images); err != nil || !info.IsDir() {
			r.addProblem(ProblemTable, err, "%s, the folder of pictures, is not a folder", r.options.Images)
			return nil
		}
		return []*files{newFiles(r.options.Images, r.packed)}
	}
	folders := []string{filepath.Dir(r.table.File)}
	if own := filepath.Clean(r.Folder); own != folders[0] { // the table is elsewhere
		folders = append(folders, own)
	}
	var bases []*files
	for _, folder := range folders {
		bases = append(bases, newFiles(folder, r.packed))
		inner, _ := listFolders(folder)
		slices.SortStableFunc(inner, func(a, b string) int {
			return cmp.Compare(rankFolder(a, r.table.File), rankFolder(b, r.table.File))
		})
		for _, name := range inner[:min(len(inner), maxBases)] {
			bases = append(bases, newFiles(filepath.Join(folder, name), r.packed))
		}
	}
	return bases
}

// countFiles counts the rows whose column names a file below base.
func countFiles(base *files, rows [][]string, column int) int {
	n := 0
	for _, row := range rows {
		if path, _, _ := base.find(row[column]); path != "" {
			n++
		}
	}
	return n
}

// rankFolder ranks folders beside a table: first those named for pictures, then one named like the
// table.
func rankFolder(folder, table string) int {
	switch name := strings.ToLower(folder); {
	case name == "images":
		return 0
	case strings.HasPrefix(name, "images"):
		return 1
	case strings.HasPrefix(name, "img"), strings.HasPrefix(name, "pictures"), strings.HasPrefix(name, "photos"):
		return 2
	case name == fileStem(table):
		return 3
	case parseSplit(name) == Train:
		return 4
	}
	return 5
}

// overlaps reports whether both folders have a picture with the same name.
func (f *files) overlaps(other *files) bool {
	for stem := range f.list(f.base).stems {
		if other.list(other.base).stems[stem] != nil {
			return true
		}
	}
	return false
}

// findPicture finds a picture by its name in the table, in the folders of pictures.
func (r *tableReader) findPicture(name string) (path string, reason Reason, message string) {
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

// label returns the label of a row, or the reason why it has none.
func (r *tableReader) label(row tableRow) (label string, reason Reason, message string) {
	if r.unlabelled {
		return "picture", "", ""
	}
	if r.classes == nil {
		if label = CleanLabel(row.Fields[r.columns.Label]); label == "" {
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
			return "", ReasonConflict, fmt.Sprintf("line %d has several classes", row.Line)
		default:
			label = r.table.Columns[i]
		}
	}
	if label == "" {
		return "", ReasonNoLabel, fmt.Sprintf("line %d has no class", row.Line)
	}
	return label, "", ""
}

// read finds the pictures of all rows.
func (r *tableReader) read(ctx context.Context) ([]foundPicture, error) {
	var all []foundPicture
	contributors := newContributors(r.table, r.columns, r.classes)
	source := &RowSource{r.table, r.columns, r.classes}
	known := interner{}
	err := readTable(ctx, r.table.File, func(*Table) error { return nil }, func(row tableRow) error {
		skip := func(reason Reason, message string) error {
			r.Tally.Add(reason, r.expectedPath(row.Fields[r.columns.Image]), message)
			return nil
		}
		path, reason, message := r.findPicture(row.Fields[r.columns.Image])
		if path == "" {
			return skip(reason, fmt.Sprintf("line %d: %s", row.Line, message))
		}
		f := foundPicture{path: path, line: row.Line}
		label, reason, message := r.label(row)
		if label == "" {
			return skip(reason, message)
		}
		f.label = known.intern(label)
		if r.columns.Group >= 0 {
			f.group = known.intern(strings.TrimSpace(row.Fields[r.columns.Group]))
		}
		if r.columns.Split >= 0 {
			if f.part = parseSplit(row.Fields[r.columns.Split]); f.part == "" {
				return skip(ReasonBadRow,
					fmt.Sprintf("line %d: %q is not a split", row.Line, row.Fields[r.columns.Split]))
			}
		}
		contributors.add(row.Fields, f.label)
		r.Rows = append(r.Rows, Row{f.path, f.label, f.line, source})
		all = append(all, f)
		return nil
	}, func(line int, message string) {
		r.Tally.Add(ReasonBadRow, r.table.File, message)
	})
	r.Contributors = contributors.findLikely()
	r.listings = append(r.listings, r.bases...)
	return all, err
}

// skipUnlisted counts the pictures that no row of a table names: below the data set's folder if
// whole, and else in the folders with pictures that rows name.
func (d *Data) skipUnlisted(ctx context.Context, whole bool) error {
	named := map[string]map[string]bool{} // the files that rows name, by folder
	for _, f := range d.listings {
		f.addNamed(named)
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
			d.addNote("not all pictures that the table does not name are counted: %v", err)
		}
	} else {
		for _, folder := range slices.Sorted(maps.Keys(named)) {
			paths = append(paths, listPictures(folder)...)
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

// addNamed adds the files that rows name to named, by folder.
func (f *files) addNamed(named map[string]map[string]bool) {
	for folder, l := range f.folders {
		for file, isNamed := range l.names {
			if !isNamed {
				continue
			}
			if named[folder] == nil {
				named[folder] = map[string]bool{}
			}
			named[folder][file] = true
		}
	}
}

// listPictures returns the paths of the files in a folder with the extension of a picture.
func listPictures(folder string) []string {
	var paths []string
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		extension := strings.ToLower(filepath.Ext(e.Name()))
		if slices.Contains(pictureExtensions, extension) && !isHidden(e.Name()) && !e.IsDir() {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	return paths
}

// interner has one copy of each name, so that a name does not keep its whole row in memory.
type interner map[string]string

// intern returns the copy of a name.
func (n interner) intern(name string) string {
	kept, ok := n[name]
	if !ok {
		kept = strings.Clone(name)
		n[kept] = kept
	}
	return kept
}

// expectedPath returns the path where a picture should be, for messages. If a row has no name, it
// is the table's.
func (r *tableReader) expectedPath(name string) string {
	name = filepath.FromSlash(strings.TrimSpace(name))
	if name == "" {
		return r.table.File
	}
	if len(r.bases) == 0 || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.bases[0].base, name)
}

// exists reports whether a file or folder exists.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
