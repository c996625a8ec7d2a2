package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"garb/model"
)

// candidate is a version in the models' folder.
type candidate struct {
	number int
	name   string // of the folder
	// path is that of the model file or the run's folder, below the models' folder, and signature
	// changes when its files do. Both are "" if there is nothing to open yet, or err says why the
	// version cannot be read now.
	path, signature string
	err             error
}

// errEmpty is the error of a models' folder without any entry, as an unmounted volume looks.
var errEmpty = errors.New("the folder is empty; if it is a volume, it may not be mounted")

// listNames returns the names of the models in a models' folder.
func listNames(files fs.FS) (names []string, err error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, errEmpty
	}
	for _, e := range entries {
		if folder, err := isFolder(files, e.Name()); (folder || err != nil) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// listCandidates returns the versions in a model's folder, the highest first. Of several folders with
// the same number, it returns the one with the shortest name.
func listCandidates(files fs.FS, name string) ([]candidate, error) {
	entries, err := fs.ReadDir(files, name)
	if err != nil {
		return nil, err
	}
	var all []candidate
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name()) // 00000123 is 123, as for TensorFlow Serving
		if err != nil || number < 1 || e.Name()[0] == '+' {
			continue
		}
		c := candidate{number: number, name: e.Name()}
		folder, err := isFolder(files, path.Join(name, e.Name()))
		switch {
		case err != nil:
			c.err = err
		case !folder:
			continue
		default:
			c.path, c.signature, c.err = findModel(files, path.Join(name, e.Name()))
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(len(a.name), len(b.name)))
	})
	return slices.CompactFunc(all, func(a, b candidate) bool { return a.number == b.number }), nil
}

// findModel finds the model in a version's folder: its only model file, or the folder itself if it is
// that of a training run, whose checkpoints are in a folder of their own. The path and the signature
// are "" if there is neither yet. signature has the size and time of what would be opened.
func findModel(files fs.FS, folder string) (found, signature string, err error) {
	checkpoint, err := model.BestCheckpointFS(files, folder)
	if err == nil {
		signature, err = sign(files, checkpoint)
		return folder, signature, err
	}
	if !errors.Is(err, model.ErrNotModel) {
		return "", "", err
	}
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return "", "", err
	}
	if len(entries) == 0 {
		return "", "", nil
	}
	var models, all []string
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if all = append(all, name); path.Ext(name) == ".safetensors" {
			models = append(models, name)
		}
	}
	if len(models) == 1 {
		signature, err = sign(files, models[0])
		return models[0], signature, err
	}
	// Opening the folder fails, and the error says why.
	signature, err = sign(files, all...)
	return folder, signature, err
}

// sign returns the sizes and times of files.
func sign(files fs.FS, paths ...string) (string, error) {
	var text strings.Builder
	for _, p := range paths {
		info, err := fs.Stat(files, p)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%s %d %d\n", p, info.Size(), info.ModTime().UnixNano())
	}
	return text.String(), nil
}

// isFolder reports whether a path is a folder or a link to one, as versions often are.
func isFolder(files fs.FS, name string) (bool, error) {
	info, err := fs.Stat(files, name)
	return err == nil && info.IsDir(), err
}
