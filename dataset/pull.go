package dataset

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/internal/download"
)

// Source is a public data set that garb can pull.
type Source struct {
	Name string
	URL  string // of a zip archive, with the data set in it or in its only folder
	// Digest is the data set's, see TreeDigest: an archive may be packed anew, its files
	// stay the same.
	Digest   string
	MaxBytes int64 // of the archive, and of all that is in it
	Licence  string
	About    string
}

// Sources lists the data sets that garb can pull.
func Sources() []Source {
	return []Source{{
		Name: "clothing-small",
		URL:  "https://github.com/alexeygrigorev/clothing-dataset-small/archive/refs/heads/master.zip",
		// Of the 3781 pictures of train, validation and test.
		Digest:   "sha256:af0fa2a207223344f8fc49a7127bc31e208dde79cdd889e627345abd920ef7f4",
		MaxBytes: 512 << 20,
		Licence:  "can be freely used for any purpose",
		About:    "3781 photos of clothes, 10 classes, 3068 to train on, 341 to validate, 372 to test",
	}}
}

// LookupSource returns the source of a name, or an error that lists the names.
func LookupSource(name string) (Source, error) {
	var names []string
	for _, s := range Sources() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Source{}, fmt.Errorf("no data set is named %q; there is %s", name, strings.Join(names, ", "))
}

// DigestError says that what was pulled is not the data set that was expected.
type DigestError struct{ Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("the pictures are not those that were expected: their digest is %s, not %s; the archive is "+
		"damaged, or the data set has changed", e.Got, e.Want)
}

// Pull downloads a source and unpacks it to a folder, which must not exist, once its
// digest is right. A Pull that fails or whose ctx ends leaves nothing behind. progress,
// if not nil, is called with the bytes had so far and in all (−1 if unknown).
func Pull(ctx context.Context, client *http.Client, s Source, to string, progress func(done, total int64)) error {
	if exists(to) {
		return fmt.Errorf("%s exists; choose another folder", to)
	}
	data, err := download.Get(ctx, client, s.URL, s.MaxBytes, progress)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("could not get %s: %w; download the archive elsewhere and run: garb data pull %s --from ARCHIVE",
			s.URL, err, s.Name)
	}
	return Unpack(ctx, data, s, to)
}

// Unpack is Pull from an archive that was downloaded otherwise.
func Unpack(ctx context.Context, archive []byte, s Source, to string) (err error) {
	if exists(to) {
		return fmt.Errorf("%s exists; choose another folder", to)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(to), ".garb-pull-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := unzip(ctx, archive, part, s.MaxBytes); err != nil {
		return err
	}
	digest, err := TreeDigest(part)
	if err != nil {
		return err
	}
	if digest != s.Digest {
		return &DigestError{s.Digest, digest}
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	return os.Rename(part, to)
}

// maxFiles bounds the files of an archive.
const maxFiles = 200_000

// unzip writes an archive's files below a folder: those of its only folder, if it has
// one. Names that lead elsewhere are refused, and so are links.
func unzip(ctx context.Context, archive []byte, to string, maxBytes int64) error {
	from := bytes.NewReader(archive)
	r, err := zip.NewReader(from, int64(len(archive)))
	if err != nil {
		return refuseArchive("%w", err)
	}
	top := onlyFolder(r.File)
	u := &unpacker{
		to: to, maxFiles: maxFiles, maxBytes: maxBytes,
		link:   func(name, _ string) error { return refuseArchive("%q is not a file", name) },
		rename: func(name string) string { return strings.TrimPrefix(name, top) },
	}
	return u.unpack(ctx, from, "zip", int64(len(archive)))
}

// onlyFolder is the folder that all files are in, with its slash, "" if there is none.
func onlyFolder(files []*zip.File) string {
	top := ""
	for i, f := range files {
		first, _, inside := strings.Cut(f.Name, "/")
		if !inside || i > 0 && first+"/" != top ||
			slices.Contains([]string{"train", "validation", "test", "", ".", ".."},
				first) {
			return ""
		}
		top = first + "/"
	}
	return top
}

// TreeDigest returns the digest of a data set's files: of a line for each file below
// train, validation and test, its SHA-256 and its path with slashes, sorted by path.
func TreeDigest(folder string) (string, error) {
	var lines []string
	for _, split := range []string{"train", "validation", "test"} {
		root := filepath.Join(folder, split)
		if !exists(root) {
			continue
		}
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			hash := sha256.New()
			if _, err := io.Copy(hash, f); err != nil {
				return err
			}
			name, err := filepath.Rel(folder, path)
			lines = append(lines, fmt.Sprintf("%s\x00%x %[1]s\n", filepath.ToSlash(name), hash.Sum(nil)))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	slices.Sort(lines)
	all := sha256.New()
	for _, line := range lines {
		_, text, _ := strings.Cut(line, "\x00")
		io.WriteString(all, text)
	}
	return fmt.Sprintf("sha256:%x", all.Sum(nil)), nil
}
