package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listFile is the list of the full clothing data set (20 classes), beside a folder
// with its pictures: a CSV file with at least the columns image and label, of which
// image is the name of a file without its ending .jpg.
const listFile = "images.csv"

// pictureFolders are where the pictures of a list are looked for, the first first: the
// full data set has them in two sizes.
var pictureFolders = []string{"images", "images_compressed", "images_original"}

// noClass are labels of the full data set that name no garment; such rows are passed
// over.
var noClass = []string{"", "Not sure", "Other", "Skip"}

// openList reads a folder with a list. Errors tell the line.
func openList(folder string) (*Set, error) {
	path := filepath.Join(folder, listFile)
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data set: %w", err)
	}
	defer f.Close()
	pictures := ""
	for _, name := range pictureFolders {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.IsDir() {
			pictures = filepath.Join(folder, name)
			break
		}
	}
	if pictures == "" {
		return nil, fmt.Errorf("data set %s: it has %s, but none of the folders %s with the pictures", folder, listFile, strings.Join(pictureFolders, ", "))
	}
	rows := csv.NewReader(f)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("data set: %s: it cannot be read: %w", path, err)
	}
	image, label := slices.Index(header, "image"), slices.Index(header, "label")
	if image < 0 || label < 0 {
		return nil, fmt.Errorf("data set: %s: its columns are %s, and it needs image and label", path, strings.Join(header, ", "))
	}
	byClass := map[string][]string{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("data set: %s: %w", path, err) // csv names the line
		}
		line, _ := rows.FieldPos(0)
		name := row[image]
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
			return nil, fmt.Errorf("data set: %s: line %d: %q is not the name of a picture", path, line, name)
		}
		if !slices.Contains(noClass, row[label]) {
			byClass[row[label]] = append(byClass[row[label]], filepath.Join(pictures, name+".jpg"))
		}
	}
	if len(byClass) == 0 {
		return nil, fmt.Errorf("data set: %s: %w: no row has a label", path, ErrNoClasses)
	}
	s := &Set{Folder: folder}
	for class := range byClass {
		s.Classes = append(s.Classes, class)
	}
	slices.Sort(s.Classes)
	for i, class := range s.Classes {
		for _, path := range byClass[class] {
			s.Samples = append(s.Samples, Sample{path, i})
		}
	}
	s.sort()
	return s, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
