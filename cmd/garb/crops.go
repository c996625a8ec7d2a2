package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"garb/crops"
	"garb/dataset"
	"garb/internal/safefile"
)

const (
	cropsTable   = "crops.csv"
	cropsQuality = 95      // JPEG quality
	maxNamesFile = 1 << 20 // bytes
)

// cropsColumns are the columns of the table. Grouping by photo keeps the crops of a photo in
// one split.
var cropsColumns = []string{"image", "label", "photo", "left", "top", "width", "height", "pixels"}

// cropsFlags holds the flags of data crops.
type cropsFlags struct {
	photos, labels, names       string
	out, masksOut, negativesOut string
	rule                        crops.Rule
	negatives                   crops.Negatives
	force, strict               bool
	accepted                    limitFlags
}

// The flags of the output folders of data crops.
const (
	cropsFlag     = "out"
	masksFlag     = "masks"
	negativesFlag = "negatives"
)

const cropsHelp = `Cut the garments out of the photos of a segmentation data set. Every photo needs a mask
with the same name and size: a greyscale or palette PNG file whose pixel values are label
indices. --names is a file with the label names, one per line, index 0 first.

A crop is the bounding box of all pixels of one label in a photo, with a margin. A label
gives no crop if it has too few pixels, if its box is too small, or if another garment has
as many pixels in the box (a sweater under a coat is not a picture of a sweater). All
labels are garments except those in --ignore. --merge maps labels to classes. Labels of
the same class still get a crop each, so two kinds of shoes in a photo give two pictures.
--classes limits the crops to some classes.

The crops are written to OUT/CLASS/PHOTO-LABEL.jpg, and the table OUT/` + cropsTable + ` lists them
with their photos, so that --group-by photo keeps the crops of a photo in one split. The
same input gives the same files, byte for byte. In file names, a dash in LABEL becomes _,
and a slash in PHOTO becomes %2F. OUT is created when all crops are done; an interrupted
command leaves nothing behind.

--whole 0.5 keeps whole photos instead of boxes: it copies each photo for every class that
has at least half as many pixels as the photo's largest class, where a class is all of its
labels together. The files are named OUT/CLASS/PHOTO-whole-CLASS.jpg, so that they never
collide with crops.

--masks DIR also writes a mask for each crop, DIR/PHOTO-LABEL.png or
DIR/PHOTO-whole-CLASS.png, white on the garment.

--negatives DIR also writes parts of the photos that show no garment, at least 64 × 64
pixels, to train a model to refuse them. Parts around a face, a bag or another ignored label
have at most 3 % garment pixels, parts from other places at most 0.5 %.
Both folders get a ` + cropsTable + ` too; for --negatives its label column holds the ignored label.`

const cropsExamples = `  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin \
      --out worn
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,255 --out worn \
      --merge sneakers=shoes,boots=shoes,jeans=pants --classes shoes,pants
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn \
      --masks worn-masks --negatives no-garment --negatives-per-photo 3
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out street \
      --whole 0.5
  garb data check worn --group-by photo
  garb train --data worn --labels worn/crops.csv --group-by photo`

func newCropsCommand() *cobra.Command {
	f := cropsFlags{rule: crops.DefaultRule(), negatives: crops.DefaultNegatives()}
	command := &cobra.Command{
		Use:     "crops --photos DIR --labels DIR --names FILE --out DIR [flags]",
		Short:   "Cut garments out of photos with segmentation masks",
		Long:    cropsHelp,
		Example: cropsExamples,
		Args:    func(c *cobra.Command, args []string) error { return f.validate(c, args) },
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := command.Flags()
	flags.StringVar(&f.photos, "photos", "", "folder `DIR` of photos")
	flags.StringVar(&f.labels, "labels", "", "folder `DIR` of masks, named like the photos")
	flags.StringVar(&f.names, "names", "", "`FILE` of label names, one per line, index 0 first")
	flags.Var(&mergeValue{names: &f.rule.Merge}, "merge", "map labels to classes: `OLD=NEW,...`")
	flags.StringSliceVar(&f.rule.Ignore, "ignore", nil,
		"labels that are no garments, or indices without a name: `A,B,255,...`")
	flags.StringSliceVar(&f.rule.Classes, "classes", nil, "make crops only of the classes `A,B,...`")
	flags.Float64Var(&f.rule.Margin, "margin", f.rule.Margin,
		"margin on each side, as a share of the box's width or height")
	flags.IntVar(&f.rule.MarginPixels, "margin-pixels", f.rule.MarginPixels, "extra margin on each side, in pixels")
	flags.IntVar(&f.rule.MinPixels, "min-pixels", f.rule.MinPixels, "minimum number of pixels of a label")
	flags.IntVar(&f.rule.MinSide, "min-side", f.rule.MinSide,
		"minimum width and height of a label's box without margin, in pixels")
	flags.Float64Var(&f.rule.Whole, "whole", 0,
		"keep whole photos, for each class with at least this share of the largest class's pixels")
	flags.StringVar(&f.out, cropsFlag, "", "output folder `DIR`")
	flags.StringVar(&f.masksOut, masksFlag, "", "also write the masks of the crops to the folder `DIR`")
	flags.StringVar(&f.negativesOut, negativesFlag, "", "also write parts without a garment to the folder `DIR`")
	flags.IntVar(&f.negatives.PerPhoto, "negatives-per-photo", f.negatives.PerPhoto,
		"maximum number of --negatives from one photo")
	flags.Uint64Var(&f.negatives.Seed, "seed", f.negatives.Seed,
		"random seed for --negatives; the same seed gives the same parts")
	flags.BoolVar(&f.force, "force", false, "replace the output of an earlier data crops in these folders")
	f.accepted.add(flags)
	flags.BoolVar(&f.strict, strictFlag, false, "fail and write nothing if any photo has to be skipped")
	return command
}

// validate reports flags that are missing or do not go together.
func (f *cropsFlags) validate(c *cobra.Command, args []string) error {
	if err := refuseArguments(c, args); err != nil {
		return err
	}
	for _, required := range []struct{ flag, value string }{
		{"photos", f.photos}, {"labels", f.labels}, {"names", f.names}, {"out", f.out},
	} {
		if required.value == "" {
			return fmt.Errorf("crops needs --photos, --labels, --names and --out; --%s is missing", required.flag)
		}
	}
	switch given := c.Flags().Changed; {
	case given("whole") && f.rule.Whole == 0:
		return errors.New("--whole 0: it must be above 0 and at most 1")
	case given("whole") && (given("margin") || given("margin-pixels")):
		return errors.New("--whole keeps the whole photo; omit --margin and --margin-pixels")
	case f.negativesOut == "" && (given("negatives-per-photo") || given("seed")):
		return errors.New("--negatives-per-photo and --seed require --negatives DIR")
	}
	if err := f.rule.Validate(); err != nil {
		return err
	}
	return f.negatives.Validate()
}

// cropsRow is a row of the table.
type cropsRow struct {
	image        string // path below the folder, with slashes
	label, photo string
	box          image.Rectangle
	pixels       int
}

// cropsFolder is an output folder.
type cropsFolder struct {
	flag, name string // the flag and its value
	target     string // the final path
	path       string // the temporary path until all crops are done
}

// photoCrops holds the rows of one photo, and the number of its labels without a crop.
type photoCrops struct {
	rows               []cropsRow
	masks, negatives   []cropsRow
	few, small, hidden int
	err                error // why the photo was skipped
}

func (f *cropsFlags) run(c *cobra.Command) error {
	text, err := safefile.Read(f.names, maxNamesFile)
	if err != nil {
		return err
	}
	names, err := crops.ParseNames(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.names, err)
	}
	cutter, err := crops.NewCutter(names, f.rule)
	if err != nil {
		return err
	}
	folders, err := f.checkFolders()
	if err != nil {
		return err
	}
	var tally dataset.Tally
	pairs, err := crops.FindPairs(c.Context(), f.photos, f.labels, &tally)
	if err != nil {
		return err
	}
	defer removeFolders(folders) // this does nothing once they have their names
	if err = makeFolders(folders); err != nil {
		return err
	}
	photos, err := f.cutAll(c, cutter, names, pairs, folders)
	if err != nil {
		return err
	}
	total := sumCrops(photos, pairs, &tally)
	printSkips(c, &tally)
	if f.strict {
		if err := tally.Strict(); err != nil {
			say(c, "%s", tally.Summary(total.photos))
			return err
		}
	}
	if err := f.checkTotal(total, &tally); err != nil {
		return err
	}
	if err := total.write(c.Context(), folders); err != nil {
		return err
	}
	f.print(openTextOut(c), cutter.Classes(), total)
	say(c, "%s", tally.Summary(total.photos))
	return nil
}

// makeFolders makes a temporary folder for each output folder.
func makeFolders(folders map[string]*cropsFolder) (err error) {
	for _, folder := range folders {
		folder.path, err = os.MkdirTemp(filepath.Dir(folder.target), "."+filepath.Base(folder.target)+".*.tmp")
		if err != nil {
			return err
		}
		if err := os.Chmod(folder.path, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// removeFolders removes the temporary folders.
func removeFolders(folders map[string]*cropsFolder) {
	for _, folder := range folders {
		if folder.path != "" {
			os.RemoveAll(folder.path)
		}
	}
}

// cropsTotal sums up the crops of all photos.
type cropsTotal struct {
	tables             map[string][]cropsRow // by flag
	perClass           map[string]int
	photos, withCrops  int // photos that were read, and those of them with a crop
	few, small, hidden int
}

// sumCrops sums up the crops of all photos, and adds those that were skipped to the tally.
func sumCrops(photos []photoCrops, pairs []crops.Pair, tally *dataset.Tally) cropsTotal {
	total := cropsTotal{tables: map[string][]cropsRow{}, perClass: map[string]int{}}
	for i, p := range photos {
		if p.err != nil {
			tally.Add(crops.FindReason(p.err), pairs[i].Photo, p.err.Error())
			continue
		}
		total.photos++
		total.few, total.small, total.hidden = total.few+p.few, total.small+p.small, total.hidden+p.hidden
		total.tables[cropsFlag] = append(total.tables[cropsFlag], p.rows...)
		total.tables[masksFlag] = append(total.tables[masksFlag], p.masks...)
		total.tables[negativesFlag] = append(total.tables[negativesFlag], p.negatives...)
		total.withCrops += min(len(p.rows), 1)
		for _, row := range p.rows {
			total.perClass[row.label]++
		}
	}
	return total
}

// checkTotal returns an error if there is nothing to write.
func (f *cropsFlags) checkTotal(total cropsTotal, tally *dataset.Tally) error {
	switch {
	case len(total.tables[cropsFlag]) == 0:
		return fmt.Errorf("there are no crops, and nothing was written: %s; %s", tally.Summary(total.photos),
			f.describeRejected(total))
	case f.negativesOut != "" && len(total.tables[negativesFlag]) == 0:
		return fmt.Errorf("no part of the photos of at least %d × %[1]d pixels is free of garments, and nothing was "+
			"written (--ignore names the labels that are no garments)", f.negatives.MinSide)
	}
	return nil
}

// write writes the tables and renames the temporary folders.
func (t cropsTotal) write(ctx context.Context, folders map[string]*cropsFolder) error {
	for flag, folder := range folders {
		if err := writeCropsTable(filepath.Join(folder.path, cropsTable), t.tables[flag]); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := replaceFolder(folder.target, folder.path); err != nil {
			return err
		}
	}
	return nil
}

// describeRejected says how many labels became no crop, and why.
func (f *cropsFlags) describeRejected(total cropsTotal) string {
	noun, reason := "labels", "hidden by another garment"
	if f.rule.Whole > 0 {
		noun, reason = "classes", fmt.Sprintf("below %v of the largest", f.rule.Whole)
	}
	return fmt.Sprintf("%s without a crop: %d with fewer than %d pixels, %d with a side below %d pixels, %d %s",
		noun, total.few, f.rule.MinPixels, total.small, f.rule.MinSide, total.hidden, reason)
}

// print prints what was written.
func (f *cropsFlags) print(out io.Writer, classes []string, total cropsTotal) {
	for _, class := range classes {
		fmt.Fprintf(out, "%6d  %s\n", total.perClass[class], class)
	}
	fmt.Fprintf(out, "%s of %s in %s; try  garb data check %[3]s --group-by photo\n",
		count(len(total.tables[cropsFlag]), "crop"), count(total.withCrops, "photo"), f.out)
	if f.masksOut != "" {
		fmt.Fprintf(out, "%s in %s\n", count(len(total.tables[masksFlag]), "mask"), f.masksOut)
	}
	if f.negativesOut != "" {
		fmt.Fprintf(out, "%s without a garment in %s\n", count(len(total.tables[negativesFlag]), "picture"),
			f.negativesOut)
	}
	fmt.Fprintln(out, f.describeRejected(total))
}

// cropsWriter writes the crops of photos to the temporary folders.
type cropsWriter struct {
	flags        *cropsFlags
	cutter       *crops.Cutter
	folders      map[string]*cropsFolder // by flag
	classFolders map[string]string       // names, by class
	stems        map[string]string       // the label's part of a file name, by label
}

// newCropsWriter makes the folders of the classes.
func newCropsWriter(f *cropsFlags, cutter *crops.Cutter, names []string, folders map[string]*cropsFolder) (
	*cropsWriter, error) {
	classes := cutter.Classes()
	w := &cropsWriter{flags: f, cutter: cutter, folders: folders, classFolders: map[string]string{},
		stems: map[string]string{}}
	for i, name := range nameClassFolders(classes) {
		w.classFolders[classes[i]] = name
		if err := os.Mkdir(filepath.Join(folders[cropsFlag].path, name), 0o755); err != nil {
			return nil, err
		}
	}
	// The label's part of a file name has no dash, so that no two photos and labels share a
	// file name.
	labels := names
	if f.rule.Whole > 0 {
		labels = classes
	}
	var withoutDashes []string
	for _, name := range labels {
		withoutDashes = append(withoutDashes, strings.ReplaceAll(name, "-", "_"))
	}
	for i, stem := range nameClassFolders(withoutDashes) {
		w.stems[labels[i]] = stem
	}
	return w, nil
}

// cutAll writes the crops of all photos. It fails only if a file cannot be written, or if the
// context ends.
func (f *cropsFlags) cutAll(c *cobra.Command, cutter *crops.Cutter, names []string, pairs []crops.Pair,
	folders map[string]*cropsFolder) ([]photoCrops, error) {
	w, err := newCropsWriter(f, cutter, names, folders)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	photos := make([]photoCrops, len(pairs))
	bar := newCounter(c, "photos", len(pairs))
	ended := dataset.Each(ctx, len(pairs), func(i int) {
		defer bar.add(1)
		var cut *crops.Cut
		if cut, photos[i].err = w.cut(ctx, pairs[i]); photos[i].err != nil {
			return
		}
		if err := w.writePhoto(&photos[i], pairs[i].Name, cut); err != nil {
			cancel(err)
		}
	})
	bar.finish()
	if ended != nil {
		return nil, context.Cause(ctx)
	}
	w.removeEmptyFolders()
	return photos, nil
}

// cut reads a photo and finds its crops.
func (w *cropsWriter) cut(ctx context.Context, pair crops.Pair) (*crops.Cut, error) {
	photo, err := crops.Read(ctx, pair, w.flags.accepted.limits())
	if err != nil {
		return nil, err
	}
	return w.cutter.Cut(ctx, photo)
}

// writePhoto writes the crops, masks and negatives of a photo, and adds their rows to p.
func (w *cropsWriter) writePhoto(p *photoCrops, name string, cut *crops.Cut) error {
	p.few, p.small, p.hidden = cut.Few, cut.Small, cut.Hidden
	fileName := escapeFolderName(name)
	for _, crop := range cut.Crops {
		row := cropsRow{label: crop.Class, photo: name, box: crop.Box, pixels: crop.Pixels}
		stem := fileName + "-" + w.stems[crop.Label]
		if w.flags.rule.Whole > 0 { // the folder of masks may also hold those of crops of the same photo
			stem = fileName + "-whole-" + w.stems[crop.Label]
		}
		row.image = w.classFolders[crop.Class] + "/" + stem + ".jpg"
		encode := func(out io.Writer) error { return encodeCrop(out, cut.Picture(crop.Box)) }
		if err := w.write(cropsFlag, &p.rows, row, encode); err != nil {
			return err
		}
		row.image = stem + ".png"
		encode = func(out io.Writer) error { return png.Encode(out, cut.Mask(crop)) }
		if err := w.write(masksFlag, &p.masks, row, encode); err != nil {
			return err
		}
	}
	if w.flags.negativesOut == "" {
		return nil
	}
	for n, part := range cut.FindNegatives(w.flags.negatives) {
		row := cropsRow{fmt.Sprintf("%s-%d.jpg", fileName, n+1), part.Label, name, part.Box, part.Pixels}
		encode := func(out io.Writer) error { return encodeCrop(out, cut.Picture(part.Box)) }
		if err := w.write(negativesFlag, &p.negatives, row, encode); err != nil {
			return err
		}
	}
	return nil
}

// write writes a picture to the folder of a flag and appends its row. It does nothing if the
// flag was not given.
func (w *cropsWriter) write(flag string, rows *[]cropsRow, row cropsRow, encode func(io.Writer) error) error {
	folder, ok := w.folders[flag]
	if !ok {
		return nil
	}
	if err := writeNew(filepath.Join(folder.path, filepath.FromSlash(row.image)), encode); err != nil {
		return err
	}
	*rows = append(*rows, row)
	return nil
}

// removeEmptyFolders removes the folders of classes without a crop.
func (w *cropsWriter) removeEmptyFolders() {
	for _, name := range w.classFolders {
		_ = os.Remove(filepath.Join(w.folders[cropsFlag].path, name)) // fails if the folder has files
	}
}

// writeNew writes a new file. It fails if the file exists, because two crops with the same
// name would be a bug.
func writeNew(path string, write func(io.Writer) error) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriter(file)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

func encodeCrop(w io.Writer, m image.Image) error {
	return jpeg.Encode(w, m, &jpeg.Options{Quality: cropsQuality})
}

func writeCropsTable(path string, rows []cropsRow) error {
	return safefile.Write(path, func(out io.Writer) error {
		w := csv.NewWriter(out)
		w.Write(cropsColumns) // w.Error returns the first error
		for _, r := range rows {
			w.Write([]string{r.image, r.label, r.photo, strconv.Itoa(r.box.Min.X), strconv.Itoa(r.box.Min.Y),
				strconv.Itoa(r.box.Dx()), strconv.Itoa(r.box.Dy()), strconv.Itoa(r.pixels)})
		}
		w.Flush()
		return w.Error()
	})
}

// listOutputs lists the output folders, with the flags that name them.
func (f *cropsFlags) listOutputs() []cropsFolder {
	folders := []cropsFolder{
		{flag: cropsFlag, name: f.out}, {flag: masksFlag, name: f.masksOut},
		{flag: negativesFlag, name: f.negativesOut},
	}
	return slices.DeleteFunc(folders, func(folder cropsFolder) bool { return folder.name == "" })
}

// checkSeparate returns an error if one output folder is the same as another, or inside it.
// It does not follow links.
func checkSeparate(folders []cropsFolder, path func(cropsFolder) (string, error)) error {
	for i, a := range folders {
		for j, b := range folders {
			if i == j {
				continue
			}
			inner, err := path(a)
			if err != nil {
				return err
			}
			outer, err := path(b)
			if err != nil {
				return err
			}
			if isInside(outer, inner) {
				return fmt.Errorf("--%s %s is inside --%s %s, but each is replaced as a whole; choose another folder",
					a.flag, a.name, b.flag, b.name)
			}
		}
	}
	return nil
}

// checkFolders returns the output folders by flag. It makes sure that nothing is lost by
// making them, and that none is inside another or inside an input folder.
func (f *cropsFlags) checkFolders() (map[string]*cropsFolder, error) {
	sources := []struct{ flag, folder string }{{"photos", f.photos}, {"labels", f.labels}}
	var sourcePaths []string
	for _, source := range sources {
		path, err := resolvePath(source.folder)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", source.flag, err)
		}
		sourcePaths = append(sourcePaths, path)
	}
	outputs := f.listOutputs()
	absolute := func(folder cropsFolder) (string, error) { return filepath.Abs(folder.name) }
	if err := checkSeparate(outputs, absolute); err != nil {
		return nil, err
	}
	folders := map[string]*cropsFolder{}
	for i := range outputs {
		folder := &outputs[i]
		var err error
		if folder.target, err = f.checkTarget(folder.flag, folder.name); err != nil {
			return nil, err
		}
		for i, source := range sources {
			if isInside(sourcePaths[i], folder.target) {
				return nil, fmt.Errorf("--%s %s is inside --%s %s, where its pictures would be taken for input",
					folder.flag, folder.name, source.flag, source.folder)
			}
		}
		folders[folder.flag] = folder
	}
	// The targets have their links resolved.
	return folders, checkSeparate(outputs, func(folder cropsFolder) (string, error) { return folder.target, nil })
}

// checkTarget returns the absolute path of an output folder, without links. It makes sure
// that nothing is lost: the folder does not exist, is empty, or with --force holds only what
// an earlier data crops wrote.
func (f *cropsFlags) checkTarget(flag, folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	parent, err := resolvePath(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(parent, filepath.Base(path))
	entries, err := safefile.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, nil
	case err != nil:
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	if path, err = resolvePath(path); err != nil {
		return "", err
	}
	if len(entries) > 0 && !f.force {
		return "", fmt.Errorf("--%s %s: the folder is not empty; choose another, or use --force to replace earlier "+
			"crops", flag, folder)
	}
	if err := checkOnlyCrops(path, entries); err != nil {
		return "", fmt.Errorf("--%s %s: %w", flag, folder, err)
	}
	return path, nil
}

// checkOnlyCrops returns an error for the first file of a folder that is not in its table of
// crops.
func checkOnlyCrops(folder string, entries []fs.DirEntry) error {
	if len(entries) == 0 {
		return nil
	}
	own, err := readCropsTable(filepath.Join(folder, cropsTable))
	if err != nil {
		return err
	}
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err == nil && !own[filepath.ToSlash(relative)] {
			err = fmt.Errorf("data crops did not write %s; choose another folder", relative)
		}
		return err
	})
}

// readCropsTable returns the files that a table of crops lists, and the table itself.
func readCropsTable(path string) (map[string]bool, error) {
	own := map[string]bool{cropsTable: true}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the folder holds no crops: %w", err)
	}
	defer file.Close()
	r := csv.NewReader(bufio.NewReader(file))
	r.ReuseRecord = true
	for first := true; ; first = false {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return own, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", cropsTable, err)
		case first && !slices.Equal(row, cropsColumns):
			return nil, fmt.Errorf("%s is not a table of data crops", cropsTable)
		case !first:
			own[strings.Clone(row[0])] = true
		}
	}
}

// replaceFolder renames a folder to target. It removes the old target only after that has
// succeeded.
func replaceFolder(target, folder string) error {
	old := folder + ".old"
	switch err := safefile.Rename(target, old); {
	case errors.Is(err, fs.ErrNotExist):
		return safefile.Rename(folder, target)
	case err != nil:
		return err
	}
	if err := safefile.Rename(folder, target); err != nil {
		return errors.Join(err, safefile.Rename(old, target))
	}
	return os.RemoveAll(old)
}
