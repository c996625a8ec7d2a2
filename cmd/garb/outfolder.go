package main

import (
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"garb/internal/safefile"
)

// outFolder is the output folder of explain.
type outFolder struct {
	path     string
	used     map[string]bool // file names in lower case, for case-insensitive file systems
	pictures int
}

// ownFiles matches the files that explain writes, and so may replace.
var ownFiles = regexp.MustCompile(
	`^((cam|gradcam|occlusion|features)-.*\.png|filters\.png|neighbours\.png|explain\.json|index\.html)$`)

// openOutFolder creates the folder if it does not exist. It refuses a folder with files unless
// force is set, and then removes those of an earlier explain.
func openOutFolder(path string, force bool) (outFolder, error) {
	f := outFolder{path: path, used: map[string]bool{}}
	files, err := safefile.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, os.MkdirAll(path, 0o755)
	}
	if err != nil {
		return f, fmt.Errorf("--out: %w", err)
	}
	if len(files) > 0 && !force {
		return f, fmt.Errorf("--out %s: the folder is not empty; choose another, or use --force to replace the files "+
			"of an earlier explain", path)
	}
	for _, file := range files {
		if file.Type().IsRegular() && ownFiles.MatchString(file.Name()) {
			if err := safefile.Remove(filepath.Join(path, file.Name())); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// maxFileLabel is the maximum number of letters of a label in a file name.
const maxFileLabel = 60

// draw writes a picture to a file named after its kind and label, and returns the file name.
func (f *outFolder) draw(kind, label string, m image.Image) (name string, err error) {
	letters := []rune(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, label))
	stem := strings.Trim(kind+"-"+string(letters[:min(len(letters), maxFileLabel)]), "-.")
	name = stem + ".png"
	for i := 2; f.used[strings.ToLower(name)]; i++ {
		name = fmt.Sprintf("%s-%d.png", stem, i)
	}
	f.used[strings.ToLower(name)] = true
	if err := f.write(name, encodePNG(m)); err != nil {
		return "", err
	}
	f.pictures++
	return name, nil
}

func (f *outFolder) write(name string, content func(io.Writer) error) error {
	return safefile.Write(filepath.Join(f.path, name), content)
}
