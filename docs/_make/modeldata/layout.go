package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"garb/crops"
	"garb/dataset"
	"garb/picture"
)

const (
	jpegQuality = 95 // of crops, as garb data crops writes them
	every       = 5  // every fifth worn photo and other picture is held out
	// validationShare is the share of worn photos and other pictures, and kindShare the share
	// of each kind of the full set.
	validationShare = 0.15
	kindShare       = 0.1
	// giants is the number of contributors with the most pictures. They stay in train: each has
	// more pictures of some kinds than all of validation should have.
	giants = 4
	// wholeShare is the smallest share of the largest class's pixels that a class needs to name
	// a whole street photo.
	wholeShare = 0.05
	seed       = 1 // of the pictures without a garment
)

// file is one file of the layout.
type file struct {
	name   string // relative to OUT, with slashes
	source string // relative to DATA, with slashes; "" for tables
	kind   bool   // its folder is named after its kind
}

// layout is a folder under construction:
//
//	full, worn, street, named   {train,validation}/KIND/
//	empty, other                {train,validation}/
//	worn-masks                  the mask of the garment in each picture of worn/train
//	clothes-unnamed, people     acceptable pictures without a kind
//	aside/test/CLASS            the small set's test split
//	aside/full/KIND             all pictures by the test split's contributors; kids.csv
//	street-validation.csv       the garments worn in each photo of street/validation
//	aside/worn, worn10, street, empty   every fifth photo; street.csv: garments worn
//	aside/other, people         every fifth of each, by position among all other pictures
//	aside/named                 half of the pictures that show clothes; named.csv: classes
type layout struct {
	data, out string
	files     []file
}

func (l *layout) layOut(ctx context.Context) error {
	for _, step := range []func(context.Context) error{l.layOutFull, l.layOutWorn, l.layOutOther} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// add links or copies a picture of DATA to OUT.
func (l *layout) add(name, source string, kind bool) error {
	to := filepath.Join(l.out, filepath.FromSlash(name))
	from := filepath.Join(l.data, filepath.FromSlash(source))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	l.files = append(l.files, file{name, source, kind})
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return l.write(to, func(w io.Writer) error { _, err := io.Copy(w, in); return err })
}

// write writes a new file.
func (l *layout) write(to string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (l *layout) addTable(name string, rows [][]string) error {
	l.files = append(l.files, file{name: name})
	return writeTable(filepath.Join(l.out, filepath.FromSlash(name)), rows)
}

// entry is a picture of the full set.
type entry struct {
	id, sender, kind, kids, source string
}

// layOutFull lays out the full set and the small set's test split.
func (l *layout) layOutFull(ctx context.Context) error {
	entries, testers, err := l.readFull(ctx)
	if err != nil {
		return err
	}
	var rest []entry
	kids := [][]string{{"image", "class", "kids"}}
	for _, e := range entries {
		if !testers[e.sender] {
			rest = append(rest, e)
			continue
		}
		name := e.kind + "/" + e.id + ".jpg"
		if err := l.add("aside/full/"+name, e.source, true); err != nil {
			return err
		}
		kids = append(kids, []string{name, e.kind, e.kids})
	}
	if err := l.addTable("aside/kids.csv", kids); err != nil {
		return err
	}
	validation := divide(rest)
	for _, e := range rest {
		split := "train"
		if validation[e.sender] {
			split = "validation"
		}
		if err := l.add("full/"+split+"/"+e.kind+"/"+e.id+".jpg", e.source, true); err != nil {
			return err
		}
	}
	return nil
}

// sources are the pictures of the small set and of the full set's extra folder, by id.
type sources struct {
	source map[string]string // relative to DATA
	kind   map[string]string // the small set's folder
	test   map[string]bool   // in the small set's test split
}

// readFull returns the full set's pictures that have a kind, in the order of images.csv, and the
// contributors of the small set's test split, which it lays out. If the two sets disagree, the
// small set's folder is the kind, because it has been corrected.
func (l *layout) readFull(ctx context.Context) ([]entry, map[string]bool, error) {
	rows, err := readTable(filepath.Join(l.data, "clothing-dataset-full", "images.csv"))
	if err != nil {
		return nil, nil, err
	}
	if want := []string{"image", "sender_id", "label", "kids"}; !slices.Equal(rows[0], want) {
		return nil, nil, fmt.Errorf("images.csv has the columns %q, want %q", rows[0], want)
	}
	s, err := l.readSources(ctx)
	if err != nil {
		return nil, nil, err
	}
	var entries []entry
	testers, seen := map[string]bool{}, map[string]bool{}
	for _, row := range rows[1:] {
		e := entry{id: row[0], sender: row[1], kind: strings.ToLower(row[2]), kids: row[3], source: s.source[row[0]]}
		if seen[e.id] {
			return nil, nil, fmt.Errorf("images.csv has %s twice", e.id)
		}
		seen[e.id] = true
		if s.test[e.id] {
			testers[e.sender] = true
		}
		e.kind = cmp.Or(s.kind[e.id], e.kind)
		switch {
		case slices.Contains(noKinds, e.kind) || e.source == "": // 5 rows have no picture
		case !slices.Contains(allKinds, e.kind):
			return nil, nil, fmt.Errorf("%s has an unknown label, %s", e.id, row[2])
		default:
			entries = append(entries, e)
		}
	}
	for id := range s.kind {
		if !seen[id] {
			return nil, nil, fmt.Errorf("images.csv has no row for %s: its contributor is unknown", s.source[id])
		}
	}
	return entries, testers, nil
}

// readSources finds the pictures of both sets, and lays out the small set's test split.
func (l *layout) readSources(ctx context.Context) (s sources, err error) {
	const small, extra = "clothing-dataset-small", "clothing-dataset-full/extra"
	s = sources{map[string]string{}, map[string]string{}, map[string]bool{}}
	for _, folder := range []string{small, extra} {
		found, err := l.pictures(ctx, folder)
		if err != nil {
			return s, err
		}
		for _, source := range found {
			id := stem(source)
			if s.source[id] != "" {
				return s, fmt.Errorf("%s and %s are the same picture", s.source[id], source)
			}
			s.source[id] = source
			if folder == extra {
				continue
			}
			parts := strings.Split(source, "/") // clothing-dataset-small/SPLIT/CLASS/ID.jpg
			if len(parts) != 4 {
				return s, fmt.Errorf("%s is not in a class's folder", source)
			}
			s.kind[id], s.test[id] = parts[2], parts[1] == "test"
			if !s.test[id] {
				continue
			}
			if err := l.add("aside/test/"+parts[2]+"/"+id+".jpg", source, true); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// divide chooses the contributors of validation, so that each kind has about kindShare of its
// pictures there. It adds random contributors until this no longer reduces the sum of squared
// deviations. Then it moves the contributor that reduces the sum most, until none does.
func divide(entries []entry) map[string]bool {
	total, pictures := map[string]int{}, map[string]int{}
	per := map[string]map[string]int{} // by contributor and kind
	for _, e := range entries {
		total[e.kind]++
		pictures[e.sender]++
		if per[e.sender] == nil {
			per[e.sender] = map[string]int{}
		}
		per[e.sender][e.kind]++
	}
	senders := slices.SortedFunc(maps.Keys(per), func(a, b string) int {
		return cmp.Or(cmp.Compare(pictures[b], pictures[a]), cmp.Compare(hash(a), hash(b)))
	})
	senders = senders[min(giants, len(senders)):]
	slices.SortFunc(senders, func(a, b string) int { return cmp.Compare(hash(a), hash(b)) })

	chosen, taken := map[string]bool{}, map[string]int{}
	sign := func(sender string) int {
		if chosen[sender] {
			return -1
		}
		return 1
	}
	// gain returns the reduction of the sum of squares if a contributor moves.
	gain := func(sender string) (sum float64) {
		for _, kind := range allKinds { // in a fixed order, so that the sum always rounds alike
			if n := sign(sender) * per[sender][kind]; n != 0 {
				goal := kindShare * float64(total[kind])
				before := (float64(taken[kind]) - goal) / goal
				after := (float64(taken[kind]+n) - goal) / goal
				sum += before*before - after*after
			}
		}
		return sum
	}
	change := func(sender string) {
		for kind, n := range per[sender] {
			taken[kind] += sign(sender) * n
		}
		chosen[sender] = !chosen[sender]
	}
	for _, sender := range senders {
		if gain(sender) > 0 {
			change(sender)
		}
	}
	for {
		best, most := "", 1e-9 // above the rounding error, so that the loop ends
		for _, sender := range senders {
			if g := gain(sender); g > most {
				best, most = sender, g
			}
		}
		if best == "" {
			return chosen
		}
		change(best)
	}
}

// wornCutters cut the photos of the worn set in several ways.
type wornCutters struct {
	kinds  *crops.Cutter // each garment, by kind
	tens   *crops.Cutter // each garment, by the names of the ten classes
	street *crops.Cutter // whole photos, by their main garments
	all    *crops.Cutter // all garments worn, by the names of the ten classes, however few their pixels
	empty  *crops.Cutter // parts without a garment
}

func newWornCutters(names []string) (c wornCutters, err error) {
	kinds := crops.DefaultRule()
	kinds.Merge, kinds.Ignore, kinds.Classes = wornMerge, wornIgnored, wornKinds
	tens, street, empty := kinds, kinds, kinds
	tens.Classes = tenClasses
	street.Whole = wholeShare
	all := crops.Rule{Merge: maps.Clone(wornMerge), Ignore: wornIgnored, Classes: tenClasses,
		MinPixels: 1, MinSide: 1, Whole: 1e-9}
	maps.Copy(all.Merge, asTen)
	empty.Ignore = slices.DeleteFunc(slices.Clone(wornIgnored), func(name string) bool {
		return slices.Contains(wornCloth, name)
	})
	for _, one := range []struct {
		cutter **crops.Cutter
		rule   crops.Rule
	}{{&c.kinds, kinds}, {&c.tens, tens}, {&c.street, street}, {&c.all, all}, {&c.empty, empty}} {
		if *one.cutter, err = crops.NewCutter(names, one.rule); err != nil {
			return c, err
		}
	}
	return c, nil
}

// layOutWorn lays out the crops, whole photos and negatives of the worn set.
func (l *layout) layOutWorn(ctx context.Context) error {
	const folder = "clothing-worn"
	root := filepath.Join(l.data, folder)
	text, err := os.ReadFile(filepath.Join(root, "labels.txt"))
	if err != nil {
		return err
	}
	names, err := crops.ParseNames(text)
	if err != nil {
		return err
	}
	cutters, err := newWornCutters(names)
	if err != nil {
		return err
	}
	var tally dataset.Tally
	pairs, err := crops.FindPairs(ctx, filepath.Join(root, "photos"), filepath.Join(root, "labels"), &tally)
	if err == nil {
		err = tally.Strict()
	}
	if err != nil {
		return err
	}
	// The garments worn in held-out photos and in validation photos.
	worn, chosen := [][]string{{"photo", "garments"}}, [][]string{{"photo", "garments"}}
	for i, pair := range pairs {
		photo, err := crops.Read(ctx, pair, picture.DefaultLimits())
		if err != nil {
			return err
		}
		w := wornPhoto{l, ctx, photo, pair.Name, folder + "/photos/" + filepath.Base(pair.Photo)}
		var row []string
		switch {
		case i%every == 0:
			row, err = w.holdOut(cutters)
			worn = append(worn, row)
		case hash(pair.Name) < validationShare:
			if row, err = w.addValidation(cutters); row != nil {
				chosen = append(chosen, row)
			}
		default:
			err = w.addTraining(cutters)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(l.addTable("street-validation.csv", chosen), l.addTable("aside/street.csv", worn))
}

// wornPhoto is a photo of the worn set before it is laid out.
type wornPhoto struct {
	*layout
	ctx    context.Context
	photo  *crops.Photo
	name   string
	source string
}

// addTraining adds the photo to the training parts.
func (w *wornPhoto) addTraining(c wornCutters) error {
	if err := w.addCrops(c.kinds, "worn/train", "worn-masks"); err != nil {
		return err
	}
	if err := w.addNegatives(c.empty, "empty/train"); err != nil {
		return err
	}
	_, err := w.addWhole(c.street, "street/train")
	return err
}

// addValidation adds the photo to the validation parts. It returns the photo's row of the table,
// or nil if the photo shows no garment that is large enough.
func (w *wornPhoto) addValidation(c wornCutters) (row []string, err error) {
	if err = w.addCrops(c.kinds, "worn/validation", ""); err != nil {
		return nil, err
	}
	if err = w.addNegatives(c.empty, "empty/validation"); err != nil {
		return nil, err
	}
	garments, err := w.listGarments(c.all)
	if err != nil {
		return nil, err
	}
	whole, err := w.addWhole(c.street, "street/validation")
	if err != nil || len(whole) == 0 {
		return nil, err
	}
	return []string{whole[0], garments}, nil
}

// holdOut adds the photo to the held-out parts, and returns its row of the table.
func (w *wornPhoto) holdOut(c wornCutters) (row []string, err error) {
	if err = w.addCrops(c.kinds, "aside/worn", ""); err != nil {
		return nil, err
	}
	if err = w.addNegatives(c.empty, "aside/empty"); err != nil {
		return nil, err
	}
	garments, err := w.listGarments(c.all)
	if err != nil {
		return nil, err
	}
	if err = w.addCrops(c.tens, "aside/worn10", ""); err != nil {
		return nil, err
	}
	name := path.Base(w.source)
	return []string{name, garments}, w.add("aside/street/"+name, w.source, false)
}

// listGarments returns the garments of the photo, separated by bars.
func (w *wornPhoto) listGarments(cutter *crops.Cutter) (string, error) {
	cut, err := cutter.Cut(w.ctx, w.photo)
	if err != nil {
		return "", err
	}
	var garments []string
	for _, crop := range cut.Crops {
		garments = append(garments, crop.Class)
	}
	return strings.Join(garments, "|"), nil
}

// addCrops adds the crops of a photo to a set, and their masks to a folder, unless that is "".
func (w *wornPhoto) addCrops(cutter *crops.Cutter, set, masks string) error {
	cut, err := cutter.Cut(w.ctx, w.photo)
	if err != nil {
		return err
	}
	for _, crop := range cut.Crops {
		name := w.name + "-" + strings.ReplaceAll(crop.Label, "-", "_")
		to := set + "/" + crop.Class + "/" + name + ".jpg"
		if err := w.addJPEG(to, true, cut.Picture(crop.Box)); err != nil {
			return err
		}
		if masks == "" {
			continue
		}
		to = masks + "/" + name + ".png"
		w.files = append(w.files, file{to, w.source, false})
		err := w.write(filepath.Join(w.out, filepath.FromSlash(to)), func(out io.Writer) error {
			return png.Encode(out, cut.Mask(crop))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addWhole links the whole photo into the folder of each of its garments, and returns the names
// relative to set.
func (w *wornPhoto) addWhole(cutter *crops.Cutter, set string) (names []string, err error) {
	cut, err := cutter.Cut(w.ctx, w.photo)
	if err != nil {
		return nil, err
	}
	for _, crop := range cut.Crops {
		// The name differs from the crop's, because masks are found by name.
		name := fmt.Sprintf("%s/%s-whole.jpg", crop.Class, w.name)
		if err := w.add(set+"/"+name, w.source, true); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// addNegatives adds parts of a photo without a garment.
func (w *wornPhoto) addNegatives(cutter *crops.Cutter, set string) error {
	negatives := crops.DefaultNegatives()
	negatives.Seed = seed
	cut, err := cutter.Cut(w.ctx, w.photo)
	if err != nil {
		return err
	}
	for i, n := range cut.FindNegatives(negatives) {
		to := fmt.Sprintf("%s/%s-%d.jpg", set, w.name, i+1)
		if err := w.addJPEG(to, false, cut.Picture(n.Box)); err != nil {
			return err
		}
	}
	return nil
}

func (w *wornPhoto) addJPEG(name string, kind bool, m image.Image) error {
	w.files = append(w.files, file{name, w.source, kind})
	return w.write(filepath.Join(w.out, filepath.FromSlash(name)), func(out io.Writer) error {
		return jpeg.Encode(out, m, &jpeg.Options{Quality: jpegQuality})
	})
}

// layOutOther lays out the other pictures.
func (l *layout) layOutOther(ctx context.Context) error {
	const folder = "other-pictures"
	sources, err := l.pictures(ctx, folder)
	if err != nil {
		return err
	}
	answers := [][]string{{"image", "class"}}
	named, unnamed := 0, 0
	for i, source := range sources {
		base := filepath.Base(source)
		_, name, ok := strings.Cut(stem(source), "_") // n01440764_tench
		if !ok {
			return fmt.Errorf("%s does not name its ImageNet class", source)
		}
		split := "train"
		if hash(base) < validationShare {
			split = "validation"
		}
		kinds, clothes := shownClothes[name]
		var to string
		kind := false
		switch {
		case clothes && kinds == "":
			to = "clothes-unnamed/" + base
			if unnamed%2 == 1 {
				to = "aside/named/" + base
				answers = append(answers, []string{base, ""})
			}
			unnamed++
		case clothes:
			split, kind = "train", true
			if named%8 == 6 { // every fourth of the training pictures
				split = "validation"
			}
			best, _, _ := strings.Cut(kinds, "|")
			to = "named/" + split + "/" + best + "/" + base
			if named%2 == 1 {
				to, kind = "aside/named/"+base, false
				answers = append(answers, []string{base, tenOf(kinds)})
			}
			named++
		case slices.Contains(unclear, name):
			continue
		case slices.Contains(shownPeople, name):
			to = "people/" + base
			if i%every == 0 {
				to = "aside/people/" + base
			}
		case i%every == 0:
			to = "aside/other/" + base
		default:
			to = "other/" + split + "/" + base
		}
		if err := l.add(to, source, kind); err != nil {
			return err
		}
	}
	return l.addTable("aside/named.csv", answers)
}

// tenOf returns those of the ten classes that are acceptable for the kinds.
func tenOf(kinds string) string {
	var ten []string
	for _, kind := range strings.Split(kinds, "|") {
		if class := asTen[kind]; class != "" {
			kind = class
		}
		if slices.Contains(tenClasses, kind) && !slices.Contains(ten, kind) {
			ten = append(ten, kind)
		}
	}
	return strings.Join(ten, "|")
}

// pictures lists the pictures below a folder of DATA as sources, sorted by path. A file that
// cannot be a picture is an error.
func (l *layout) pictures(ctx context.Context, folder string) ([]string, error) {
	var tally dataset.Tally
	paths, err := dataset.Pictures(ctx, filepath.Join(l.data, filepath.FromSlash(folder)), &tally)
	if err != nil {
		return nil, err
	}
	var sources []string
	for _, path := range paths {
		relative, err := filepath.Rel(l.data, path)
		if err != nil {
			return nil, err
		}
		sources = append(sources, filepath.ToSlash(relative))
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%s has no pictures", folder)
	}
	slices.Sort(sources)
	return sources, nil
}

// stem returns the name of a file without its extension.
func stem(source string) string {
	base := filepath.Base(source)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// hash returns a number from 0 to 1 that depends only on the name.
func hash(name string) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	x := h.Sum64() // its high bits hardly depend on the last letters
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return float64(x>>11) / (1 << 53)
}
