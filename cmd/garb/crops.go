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
	"garb/picture"
)

const (
	cropsTable   = "crops.csv"
	cropsQuality = 95      // of JPEG files
	maxNamesFile = 1 << 20 // bytes
)

// cropsColumns are the columns of the table. By photo, a division keeps a photo's crops
// together.
var cropsColumns = []string{"image", "label", "photo", "left", "top", "width", "height", "pixels"}

// cropsFlags are the flags of data crops.
type cropsFlags struct {
	photos, labels, names       string
	out, masksOut, negativesOut string
	rule                        crops.Rule
	negatives                   crops.Negatives
	force, strict               bool
}

// The flags of the folders that data crops makes.
const (
	cropsFlag     = "out"
	masksFlag     = "masks"
	negativesFlag = "negatives"
)

func newCropsCommand() *cobra.Command {
	f := cropsFlags{rule: crops.DefaultRule(), negatives: crops.DefaultNegatives()}
	command := &cobra.Command{
		Use:   "crops --photos DIR --labels DIR --names FILE --out DIR [flags]",
		Short: "Cut the garments out of photos whose pixels are labelled",
		Long: `Cut the garments out of the photos of a segmentation data set. Each photo needs a mask
of the same name and size: a PNG file, grey or with a palette, whose pixels are indices
of labels. --names has the names of the labels, one a line, index 0 first.

A crop is the box around all pixels of one label of a photo, with a margin. A label
gives no crop if it has too few pixels or too small a box, or if another garment has as
many pixels in the box: a sweater under a coat is no picture of a sweater. All labels
are garments except those that --ignore names. --merge turns labels into classes;
labels of the same class still have a crop each, so that two kinds of shoes in a photo
are two pictures. --classes says which classes become crops; without it, all do.

The crops go to OUT/CLASS/PHOTO-LABEL.jpg, and the table OUT/` + cropsTable + ` lists them, with
the photo of each: --group-by photo keeps a photo's crops in one split. The same input
gives the same files, byte for byte. A dash in LABEL is written _, and a slash in PHOTO
as %2F. OUT appears when all crops are done, so that a command that was interrupted
leaves nothing.

--whole 0.5 makes no boxes: each photo is copied for every class that has at least half
as many pixels as the photo's largest class, all labels of a class together. The files
are OUT/CLASS/PHOTO-whole-CLASS.jpg, so that no crop of the photo has the same name.
--masks DIR also writes a mask for each crop, DIR/PHOTO-LABEL.png or
DIR/PHOTO-whole-CLASS.png, white where the garment is.
--negatives DIR also writes parts of the photos that show no garment, at least 64 × 64
pixels: around a face, a bag or another ignored label, with at most 3 % garment pixels,
and anywhere else, with at most .5 %. They teach a model what is none of its classes.
Both folders have a ` + cropsTable + ` too; in that of --negatives, label is the ignored label.`,
		Example: `  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,255 --out worn \
      --merge sneakers=shoes,boots=shoes,jeans=pants --classes shoes,pants
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn \
      --masks worn-masks --negatives no-garment --negatives-per-photo 3
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out street \
      --whole 0.5
  garb data check worn --group-by photo
  garb train --data worn --labels worn/crops.csv --group-by photo`,
		Args: func(c *cobra.Command, args []string) error {
			if err := refuseArguments(c, args); err != nil {
				return err
			}
			for _, needed := range []struct{ flag, value string }{
				{"photos", f.photos}, {"labels", f.labels}, {"names", f.names}, {"out", f.out},
			} {
				if needed.value == "" {
					return fmt.Errorf("crops needs --photos, --labels, --names and --out; --%s is missing",
						needed.flag)
				}
			}
			switch given := c.Flags().Changed; {
			case given("whole") && f.rule.Whole == 0:
				return errors.New("--whole is 0; give a share above 0 and at most 1")
			case given("whole") && (given("margin") || given("margin-pixels")):
				return errors.New("--whole keeps the whole photo; omit --margin and --margin-pixels")
			case f.negativesOut == "" && (given("negatives-per-photo") || given("seed")):
				return errors.New("--negatives-per-photo and --seed are about --negatives DIR, which is missing")
			}
			if err := f.rule.Validate(); err != nil {
				return withCropsHint(err)
			}
			return withCropsHint(f.negatives.Validate())
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := command.Flags()
	flags.StringVar(&f.photos, "photos", "", "folder of photos: `DIR`")
	flags.StringVar(&f.labels, "labels", "", "folder of masks, which have the photos' names: `DIR`")
	flags.StringVar(&f.names, "names", "", "the labels' names, one a line, index 0 first: `FILE`")
	flags.Var(&mergeValue{names: &f.rule.Merge}, "merge",
		"turn labels into classes: `OLD=NEW`, several separated by commas")
	flags.StringSliceVar(&f.rule.Ignore, "ignore", nil,
		"labels that are no garments, or indices without a name: `a,b,255`")
	flags.StringSliceVar(&f.rule.Classes, "classes", nil, "make crops of these classes only: `a,b,c`")
	flags.Float64Var(&f.rule.Margin, "margin", f.rule.Margin,
		"margin on each side, as a share of the box's width or height")
	flags.IntVar(&f.rule.MarginPixels, "margin-pixels", f.rule.MarginPixels, "further margin on each side, in pixels")
	flags.IntVar(&f.rule.MinPixels, "min-pixels", f.rule.MinPixels, "least number of pixels of a label")
	flags.IntVar(&f.rule.MinSide, "min-side", f.rule.MinSide,
		"least width and height of a label's box without margin, in pixels")
	flags.Float64Var(&f.rule.Whole, "whole", 0,
		"keep whole photos, for each class with this share of the largest class's pixels")
	flags.StringVar(&f.out, cropsFlag, "", "folder to make: `DIR`")
	flags.StringVar(&f.masksOut, masksFlag, "", "also make a folder of the crops' masks: `DIR`")
	flags.StringVar(&f.negativesOut, negativesFlag, "", "also make a folder of parts without a garment: `DIR`")
	flags.IntVar(&f.negatives.PerPhoto, "negatives-per-photo", f.negatives.PerPhoto, "most parts of one photo")
	flags.Uint64Var(&f.negatives.Seed, "seed", f.negatives.Seed, "the same seed makes the same --negatives")
	flags.BoolVar(&f.force, "force", false, "replace what an earlier data crops wrote to the folders")
	flags.BoolVar(&f.strict, strictFlag, false, "fail if any photo has to be skipped; nothing is written then")
	return command
}

// withCropsHint adds to an error of a rule the flag that it is about, and the name that
// was probably meant.
func withCropsHint(err error) error {
	var rule *crops.RuleError
	var names *crops.NamesError
	switch {
	case errors.As(err, &names):
		return fmt.Errorf("%w (--names)", err)
	case !errors.As(err, &rule):
		return err
	}
	flag := strings.ReplaceAll(rule.Field, "_", "-")
	if rule.Name == "" {
		return fmt.Errorf("%w (--%s)", err, flag)
	}
	if name := findNearest(rule.Name, rule.Known); name != "" {
		return fmt.Errorf("%w; did you mean %q? (--%s)", err, name, flag)
	}
	return fmt.Errorf("%w; there are %s (--%s)", err, strings.Join(rule.Known, ", "), flag)
}

// cropsRow is a row of the table.
type cropsRow struct {
	image        string // below the folder, with slashes
	label, photo string
	box          image.Rectangle
	pixels       int
}

// cropsFolder is a folder in the making.
type cropsFolder struct {
	flag, name string // the flag and what it says
	target     string // the folder's path once it is done
	path       string // until then
}

// photoCrops are the rows of one photo, and its labels that became no crop.
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
		return fmt.Errorf("%s: %w", f.names, withCropsHint(err))
	}
	cutter, err := crops.NewCutter(names, f.rule)
	if err != nil {
		return withCropsHint(err)
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
	for flag, folder := range folders {
		folder.path, err = os.MkdirTemp(filepath.Dir(folder.target), "."+filepath.Base(folder.target)+".*.tmp")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder.path) // which does nothing once it has its name
		if err := os.Chmod(folder.path, 0o755); err != nil {
			return err
		}
		folders[flag] = folder
	}
	photos, err := f.cutAll(c, cutter, names, pairs, folders)
	if err != nil {
		return err
	}
	tables := map[string][]cropsRow{}
	var few, small, hidden, used int
	perClass, withCrops := map[string]int{}, 0
	for i, p := range photos {
		if p.err != nil {
			tally.Add(crops.FindReason(p.err), pairs[i].Photo, p.err.Error())
			continue
		}
		used++
		few, small, hidden = few+p.few, small+p.small, hidden+p.hidden
		tables[cropsFlag] = append(tables[cropsFlag], p.rows...)
		tables[masksFlag] = append(tables[masksFlag], p.masks...)
		tables[negativesFlag] = append(tables[negativesFlag], p.negatives...)
		withCrops += min(len(p.rows), 1)
		for _, row := range p.rows {
			perClass[row.label]++
		}
	}
	printSkips(c, &tally)
	noun, why := "labels", "hidden by another garment"
	if f.rule.Whole > 0 {
		noun, why = "classes", fmt.Sprintf("below %v of the largest", f.rule.Whole)
	}
	noCrop := fmt.Sprintf("no crop of %s with fewer than %d pixels: %d; in a box with a side below %d: %d; %s: %d",
		noun,
		f.rule.MinPixels, few, f.rule.MinSide, small, why, hidden)
	if f.strict {
		if err := tally.Strict(); err != nil {
			say(c, "%s", tally.Summary(used))
			return err
		}
	}
	rows, negatives := tables[cropsFlag], tables[negativesFlag]
	switch {
	case len(rows) == 0:
		return fmt.Errorf("there are no crops, and nothing was written: %s; %s", tally.Summary(used), noCrop)
	case f.negativesOut != "" && len(negatives) == 0:
		return fmt.Errorf("no part of the photos of at least %d × %[1]d pixels is without garments, and nothing was "+
			"written (--ignore says which labels are no garments)", f.negatives.MinSide)
	}
	for flag, folder := range folders {
		if err := writeCropsTable(filepath.Join(folder.path, cropsTable), tables[flag]); err != nil {
			return err
		}
	}
	if err := c.Context().Err(); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := replaceFolder(folder.target, folder.path); err != nil {
			return err
		}
	}
	out := openTextOut(c)
	for _, class := range cutter.Classes() {
		fmt.Fprintf(out, "%6d  %s\n", perClass[class], class)
	}
	fmt.Fprintf(out, "%s of %s in %s; try  garb data check %[3]s --group-by photo\n", count(len(rows), "crop"),
		count(withCrops, "photo"), f.out)
	if f.masksOut != "" {
		fmt.Fprintf(out, "%s in %s\n", count(len(tables[masksFlag]), "mask"), f.masksOut)
	}
	if f.negativesOut != "" {
		fmt.Fprintf(out, "%s without a garment in %s\n", count(len(negatives), "picture"), f.negativesOut)
	}
	fmt.Fprintln(out, noCrop)
	say(c, "%s", tally.Summary(used))
	return nil
}

// cutAll writes the crops of all photos, by flag to a folder each. Only an error in writing
// or the context's end is the end of it.
func (f *cropsFlags) cutAll(c *cobra.Command, cutter *crops.Cutter, names []string, pairs []crops.Pair,
	folders map[string]cropsFolder) ([]photoCrops, error) {
	classes := cutter.Classes()
	classFolders := map[string]string{}
	for i, name := range nameClassFolders(classes) {
		classFolders[classes[i]] = name
		if err := os.Mkdir(filepath.Join(folders[cropsFlag].path, name), 0o755); err != nil {
			return nil, err
		}
	}
	// A label's part of a file's name has no dash, so that no two photos and labels share
	// a name.
	labels := names
	if f.rule.Whole > 0 {
		labels = classes
	}
	var plain []string
	for _, name := range labels {
		plain = append(plain, strings.ReplaceAll(name, "-", "_"))
	}
	files := nameClassFolders(plain)
	parts := map[string]string{}
	for i, name := range labels {
		parts[name] = files[i]
	}

	ctx, cancel := context.WithCancelCause(c.Context())
	defer cancel(nil)
	photos := make([]photoCrops, len(pairs))
	bar := newCounter(c, "photos", len(pairs))
	err := dataset.Each(ctx, len(pairs), func(i int) {
		defer bar.add(1)
		photo, err := crops.Read(ctx, pairs[i], picture.DefaultLimits())
		if err != nil {
			photos[i].err = err
			return
		}
		cut, err := cutter.Cut(ctx, photo)
		if err != nil {
			photos[i].err = err
			return
		}
		p := &photos[i]
		p.few, p.small, p.hidden = cut.Few, cut.Small, cut.Hidden
		photoName := escapeFolderName(pairs[i].Name)
		write := func(flag, name string, write func(io.Writer) error) bool {
			folder, ok := folders[flag]
			if !ok {
				return false
			}
			if err := writeNew(filepath.Join(folder.path, filepath.FromSlash(name)), write); err != nil {
				cancel(err)
				return false
			}
			return true
		}
		for _, crop := range cut.Crops {
			row := cropsRow{label: crop.Class, photo: pairs[i].Name, box: crop.Box, pixels: crop.Pixels}
			stem := photoName + "-" + parts[crop.Label]
			if f.rule.Whole > 0 { // masks go by names, and crops of the same photo may be beside it
				stem = photoName + "-whole-" + parts[crop.Label]
			}
			row.image = classFolders[crop.Class] + "/" + stem + ".jpg"
			if write(cropsFlag, row.image, func(w io.Writer) error { return encodeCrop(w, cut.Picture(crop.Box)) }) {
				p.rows = append(p.rows, row)
			}
			row.image = stem + ".png"
			if write(masksFlag, row.image, func(w io.Writer) error { return png.Encode(w, cut.Mask(crop)) }) {
				p.masks = append(p.masks, row)
			}
		}
		if f.negativesOut == "" {
			return
		}
		for n, part := range cut.FindNegatives(f.negatives) {
			row := cropsRow{fmt.Sprintf("%s-%d.jpg", photoName, n+1), part.Label, pairs[i].Name, part.Box, part.Pixels}
			if write(negativesFlag, row.image,
				func(w io.Writer) error { return encodeCrop(w, cut.Picture(part.Box)) }) {
				p.negatives = append(p.negatives, row)
			}
		}
	})
	bar.finish()
	if err != nil {
		return nil, context.Cause(ctx)
	}
	for _, name := range classFolders { // of classes without a crop
		_ = os.Remove(filepath.Join(folders[cropsFlag].path, name)) // which leaves a folder with files
	}
	return photos, nil
}

// writeNew writes a new file. Two crops of one name would be a mistake of the program, and
// are an error.
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
		w.Write(cropsColumns) // an error stays until Flush
		for _, r := range rows {
			w.Write([]string{r.image, r.label, r.photo, strconv.Itoa(r.box.Min.X), strconv.Itoa(r.box.Min.Y),
				strconv.Itoa(r.box.Dx()), strconv.Itoa(r.box.Dy()), strconv.Itoa(r.pixels)})
		}
		w.Flush()
		return w.Error()
	})
}

// listOutputs lists the folders to make, with the flags that name them.
func (f *cropsFlags) listOutputs() []cropsFolder {
	folders := []cropsFolder{{flag: cropsFlag, name: f.out}, {flag: masksFlag, name: f.masksOut},
		{flag: negativesFlag, name: f.negativesOut}}
	return slices.DeleteFunc(folders, func(folder cropsFolder) bool { return folder.name == "" })
}

// checkSeparate returns an error if one folder to make is another or in it. Links are not
// followed.
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
			if relative, err := filepath.Rel(outer, inner); err == nil && filepath.IsLocal(relative) {
				return fmt.Errorf("--%s %s is in --%s %s, but each is replaced as a whole; name another folder",
					a.flag, a.name,
					b.flag, b.name)
			}
		}
	}
	return nil
}

// checkFolders returns the folders to make, by flag, once it is sure that nothing is lost by
// making them and that none is in another or in a folder that is read.
func (f *cropsFlags) checkFolders() (map[string]cropsFolder, error) {
	sources := []struct{ flag, folder string }{{"photos", f.photos}, {"labels", f.labels}}
	var found []string
	for _, source := range sources {
		folder, err := resolvePath(source.folder)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", source.flag, err)
		}
		found = append(found, folder)
	}
	made := f.listOutputs()
	if err := checkSeparate(made, func(folder cropsFolder) (string, error) { return filepath.Abs(folder.name) }); err != nil {
		return nil, err
	}
	folders := map[string]cropsFolder{}
	for i := range made {
		folder := &made[i]
		var err error
		if folder.target, err = f.checkTarget(folder.flag, folder.name); err != nil {
			return nil, err
		}
		for i, source := range sources {
			if relative, err := filepath.Rel(found[i], folder.target); err == nil && filepath.IsLocal(relative) {
				return nil, fmt.Errorf("--%s %s is in --%s %s, where the crops would be taken for input", folder.flag,
					folder.name, source.flag, source.folder)
			}
		}
		folders[folder.flag] = *folder
	}
	// Links are followed by now.
	return folders, checkSeparate(made, func(folder cropsFolder) (string, error) { return folder.target, nil })
}

// checkTarget returns a folder's path, absolute and without links, once it is sure that nothing
// is lost by making it: it does not exist, is empty, or with --force has only what an
// earlier data crops wrote.
func (f *cropsFlags) checkTarget(flag, folder string) (string, error) {
	path, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	parent, err := resolvePath(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(parent, filepath.Base(path))
	entries, err := os.ReadDir(path)
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
		return "", fmt.Errorf("--%s %s: the folder has files; name another, or give --force to replace earlier crops",
			flag, folder)
	}
	if err := checkOnlyCrops(path, entries); err != nil {
		return "", fmt.Errorf("--%s %s: %w", flag, folder, err)
	}
	return path, nil
}

// checkOnlyCrops returns an error about the first file of a folder that its table of crops
// does not list.
func checkOnlyCrops(folder string, entries []fs.DirEntry) error {
	if len(entries) == 0 {
		return nil
	}
	own := map[string]bool{cropsTable: true}
	file, err := os.Open(filepath.Join(folder, cropsTable))
	if err != nil {
		return fmt.Errorf("these are no crops to replace: %w", err)
	}
	defer file.Close()
	r := csv.NewReader(bufio.NewReader(file))
	r.ReuseRecord = true
	for first := true; ; first = false {
		row, err := r.Read()
		switch {
		case err == io.EOF && !first:
		case err != nil:
			return fmt.Errorf("%s: %w", cropsTable, err)
		case first && !slices.Equal(row, cropsColumns):
			return fmt.Errorf("%s is not a table of data crops", cropsTable)
		case !first:
			own[strings.Clone(row[0])] = true
		}
		if err != nil {
			break
		}
	}
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err == nil && !own[filepath.ToSlash(relative)] {
			err = fmt.Errorf("%s is in it, which data crops did not write; name another folder", relative)
		}
		return err
	})
}

// replaceFolder gives a folder the name of another, which is removed if it is there. Until
// the new one has the name, the other is only set aside.
func replaceFolder(target, folder string) error {
	old := folder + ".old"
	switch err := os.Rename(target, old); {
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(folder, target)
	case err != nil:
		return err
	}
	if err := os.Rename(folder, target); err != nil {
		return errors.Join(err, os.Rename(old, target))
	}
	return os.RemoveAll(old)
}
