package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image/jpeg"
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
	photos, labels, names, out string
	rule                       crops.Rule
	force, strict              bool
}

func newCropsCommand() *cobra.Command {
	f := cropsFlags{rule: crops.DefaultRule()}
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
as %2F. OUT appears when all crops are done, so that a
command that was interrupted leaves nothing.`,
		Example: `  garb data crops --photos photos --labels masks --names labels.txt --ignore background,skin --out worn
  garb data crops --photos photos --labels masks --names labels.txt --ignore background,255 --out worn \
      --merge sneakers=shoes,boots=shoes,jeans=pants --classes shoes,pants
  garb data check worn --group-by photo
  garb train --data worn --labels worn/crops.csv --group-by photo`,
		Args: func(c *cobra.Command, args []string) error {
			if err := noArguments(c, args); err != nil {
				return err
			}
			for _, needed := range []struct{ flag, value string }{
				{"photos", f.photos}, {"labels", f.labels}, {"names", f.names}, {"out", f.out},
			} {
				if needed.value == "" {
					return fmt.Errorf("crops needs --photos, --labels, --names and --out; --%s is missing", needed.flag)
				}
			}
			return withCropsHint(f.rule.Validate())
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
	flags.StringVar(&f.out, "out", "", "folder to make: `DIR`")
	flags.BoolVar(&f.force, "force", false, "replace the crops that an earlier data crops wrote to --out")
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
	if name := nearest(rule.Name, rule.Known); name != "" {
		return fmt.Errorf("%w; did you mean %q? (--%s)", err, name, flag)
	}
	return fmt.Errorf("%w; there are %s (--%s)", err, strings.Join(rule.Known, ", "), flag)
}

// cropsRow is a row of the table.
type cropsRow struct {
	image string // below the folder, with slashes
	photo string
	crops.Crop
}

// photoCrops are the rows of one photo, and its labels that became no crop.
type photoCrops struct {
	rows               []cropsRow
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
	target, err := f.target()
	if err != nil {
		return err
	}
	var tally dataset.Tally
	pairs, err := crops.Pairs(c.Context(), f.photos, f.labels, &tally)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(target), "."+filepath.Base(target)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) // which does nothing once it has its name
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	photos, err := f.cutAll(c, cutter, names, pairs, folder)
	if err != nil {
		return err
	}
	var rows []cropsRow
	var few, small, hidden, used int
	perClass, withCrops := map[string]int{}, 0
	for i, p := range photos {
		if p.err != nil {
			tally.Add(crops.ReasonOf(p.err), pairs[i].Photo, p.err.Error())
			continue
		}
		used++
		few, small, hidden = few+p.few, small+p.small, hidden+p.hidden
		rows = append(rows, p.rows...)
		withCrops += min(len(p.rows), 1)
		for _, row := range p.rows {
			perClass[row.Class]++
		}
	}
	printSkips(c, &tally)
	noCrop := fmt.Sprintf("no crop of labels with fewer than %d pixels: %d; in a box with a side below %d: %d; "+
		"hidden by another garment: %d", f.rule.MinPixels, few, f.rule.MinSide, small, hidden)
	if f.strict {
		if err := tally.Strict(); err != nil {
			say(c, "%s", tally.Summary(used))
			return err
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("there are no crops, and nothing was written: %s; %s", tally.Summary(used), noCrop)
	}
	if err := writeCropsTable(filepath.Join(folder, cropsTable), rows); err != nil {
		return err
	}
	if err := c.Context().Err(); err != nil {
		return err
	}
	if err := replaceFolder(target, folder); err != nil {
		return err
	}
	out := textOut(c)
	for _, class := range cutter.Classes() {
		fmt.Fprintf(out, "%6d  %s\n", perClass[class], class)
	}
	fmt.Fprintf(out, "%s of %s in %s; try  garb data check %[3]s --group-by photo\n", count(len(rows), "crop"),
		count(withCrops, "photo"), f.out)
	fmt.Fprintln(out, noCrop)
	say(c, "%s", tally.Summary(used))
	return nil
}

// cutAll writes the crops of all photos below a folder. Only an error in writing or the
// context's end is the end of it.
func (f *cropsFlags) cutAll(c *cobra.Command, cutter *crops.Cutter, names []string, pairs []crops.Pair,
	folder string) ([]photoCrops, error) {
	classes := cutter.Classes()
	folders := map[string]string{}
	for i, name := range classFolderNames(classes) {
		folders[classes[i]] = name
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			return nil, err
		}
	}
	// A label's part of a file's name has no dash, so that no two photos and labels share
	// a name.
	var plain []string
	for _, name := range names {
		plain = append(plain, strings.ReplaceAll(name, "-", "_"))
	}
	files := classFolderNames(plain)
	parts := map[string]string{}
	for i, name := range names {
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
		for _, crop := range cut.Crops {
			name := folderName(pairs[i].Name) + "-" + parts[crop.Label] + ".jpg"
			path := filepath.Join(folder, folders[crop.Class], name)
			if err := writeCrop(path, cut, crop); err != nil {
				cancel(err)
				return
			}
			p.rows = append(p.rows, cropsRow{folders[crop.Class] + "/" + name, pairs[i].Name, crop})
		}
	})
	bar.finish()
	if err != nil {
		return nil, context.Cause(ctx)
	}
	for _, name := range folders { // of classes without a crop
		_ = os.Remove(filepath.Join(folder, name)) // which leaves a folder with files
	}
	return photos, nil
}

// writeCrop writes a picture to a new file. Two crops of one name would be a mistake of
// the program, and are an error.
func writeCrop(path string, cut *crops.Cut, crop crops.Crop) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := bufio.NewWriter(file)
	if err := jpeg.Encode(w, cut.Picture(crop.Box), &jpeg.Options{Quality: cropsQuality}); err != nil {
		return err
	}
	return w.Flush()
}

func writeCropsTable(path string, rows []cropsRow) error {
	return safefile.Write(path, func(out io.Writer) error {
		w := csv.NewWriter(out)
		w.Write(cropsColumns) // an error stays until Flush
		for _, r := range rows {
			w.Write([]string{r.image, r.Class, r.photo, strconv.Itoa(r.Box.Min.X), strconv.Itoa(r.Box.Min.Y),
				strconv.Itoa(r.Box.Dx()), strconv.Itoa(r.Box.Dy()), strconv.Itoa(r.Pixels)})
		}
		w.Flush()
		return w.Error()
	})
}

// target returns the path of --out, absolute and without links, once it is sure that
// nothing is lost by making it: it does not exist, is empty, or with --force has only
// what an earlier data crops wrote.
func (f *cropsFlags) target() (string, error) {
	sources := []struct{ flag, folder string }{{"photos", f.photos}, {"labels", f.labels}}
	var found []string
	for _, source := range sources {
		folder, err := physical(source.folder)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", source.flag, err)
		}
		found = append(found, folder)
	}
	path, err := filepath.Abs(f.out)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("--out: %w", err)
	}
	parent, err := physical(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	path = filepath.Join(parent, filepath.Base(path))
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("--out: %w", err)
	default:
		if path, err = physical(path); err != nil {
			return "", err
		}
		if len(entries) > 0 && !f.force {
			return "", fmt.Errorf("--out %s: the folder has files; name another, or give --force to replace earlier crops",
				f.out)
		}
		if err := onlyCrops(path, entries); err != nil {
			return "", fmt.Errorf("--out %s: %w", f.out, err)
		}
	}
	for i, source := range sources {
		if relative, err := filepath.Rel(found[i], path); err == nil && filepath.IsLocal(relative) {
			return "", fmt.Errorf("--out %s is in --%s %s, where the crops would be taken for input", f.out, source.flag,
				source.folder)
		}
	}
	return path, nil
}

// onlyCrops returns an error about the first file of a folder that its table of crops
// does not list.
func onlyCrops(folder string, entries []fs.DirEntry) error {
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
