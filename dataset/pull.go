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
	"runtime"
	"slices"
	"strings"

	"garb/internal/download"
	"garb/internal/safefile"
)

// Source is a public data set that can be downloaded.
type Source struct {
	Name string
	URL  string // of a zip archive, which has the data set at its top or in its only folder
	// Digest is that of the files (see ComputeDigest), which stay the same when the archive is
	// packed again.
	Digest   string
	MaxBytes int64 // the maximum for the archive, and for the files in it together
	Licence  string
	About    string
}

// Sources returns the data sets that can be downloaded.
func Sources() []Source {
	return []Source{{
		Name: "clothing-small",
		URL:  "https://github.com/alexeygrigorev/clothing-dataset-small/archive/refs/heads/master.zip",
		// The 3781 pictures of train, validation and test.
		Digest:   "sha256:af0fa2a207223344f8fc49a7127bc31e208dde79cdd889e627345abd920ef7f4",
		MaxBytes: 512 << 20,
		Licence:  "can be freely used for any purpose",
		About:    "3781 photos of clothes, 10 classes, 3068 to train on, 341 to validate, 372 to test",
	}}
}

// LookupSource returns the source with a name. Its error lists the names.
func LookupSource(name string) (Source, error) {
	var names []string
	for _, s := range Sources() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Source{}, fmt.Errorf("there is no data set named %q; the data sets are %s", name, strings.Join(names, ", "))
}

// DownloadError says that the archive of a source could not be downloaded.
type DownloadError struct {
	Name string // of the source
	URL  string
	Err  error
}

func (e *DownloadError) Error() string { return fmt.Sprintf("downloading %s: %v", e.URL, e.Err) }

// Unwrap returns the cause.
func (e *DownloadError) Unwrap() error { return e.Err }

// DigestError says that an archive does not have the data set that was expected.
type DigestError struct{ Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("the pictures are not those expected: their digest is %s, not %s; either the archive is "+
		"damaged or the data set has changed", e.Got, e.Want)
}

// Pull downloads a source, checks its digest and unpacks it to a folder, which must not exist
// yet. It calls progress, unless nil, with the bytes received and the total (−1 if unknown). If
// it fails or ctx ends, the folder does not exist; if the server can continue downloads, the
// bytes received stay in a file beside it, whose name has ".partial" added, for the next Pull.
// If the download fails, the error is a *DownloadError.
func Pull(ctx context.Context, client *http.Client, s Source, to string, progress func(done, total int64)) error {
	if exists(to) {
		return fmt.Errorf("%s exists; choose another folder", to)
	}
	data, err := download.Fetch(ctx, client, s.URL, s.MaxBytes, to+".partial", progress)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &DownloadError{s.Name, s.URL, err}
	}
	return Unpack(ctx, data, s, to)
}

// Unpack checks and unpacks an archive as Pull does after the download.
func Unpack(ctx context.Context, archive []byte, s Source, to string) (err error) {
	if exists(to) {
		return fmt.Errorf("%s exists; choose another folder", to)
	}
	if err = os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(to), ".garb-pull-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err = unzip(ctx, archive, part, s.MaxBytes); err != nil {
		return err
	}
	digest, err := ComputeDigest(part)
	if err != nil {
		return err
	}
	if digest != s.Digest {
		return &DigestError{s.Digest, digest}
	}
	if err = os.Chmod(part, 0o755); err != nil {
		return err
	}
	return safefile.Rename(part, to)
}

// maxFiles is the largest number of files in an archive.
const maxFiles = 200_000

// unzip writes the files of an archive below a folder, without the name of the archive's only
// folder, if it has one. It refuses links and names that lead elsewhere.
func unzip(ctx context.Context, archive []byte, to string, maxBytes int64) error {
	from := bytes.NewReader(archive)
	r, err := zip.NewReader(from, int64(len(archive)))
	if err != nil {
		return newArchiveError("%w", err)
	}
	top := findOnlyFolder(r.File)
	u := &unpacker{
		portable: runtime.GOOS == "windows",
		to:       to, maxFiles: maxFiles, maxBytes: maxBytes,
		link:   func(name, _ string) error { return newArchiveError("%q is not a file", name) },
		rename: func(name string) string { return strings.TrimPrefix(name, top) },
	}
	return u.unpack(ctx, from, "zip", int64(len(archive)))
}

// findOnlyFolder returns the folder that all files are in, with a slash, or "".
func findOnlyFolder(files []*zip.File) string {
	top := ""
	for i, f := range files {
		first, _, inside := strings.Cut(f.Name, "/")
		if !inside || i > 0 && first+"/" != top ||
			slices.Contains([]string{"train", "validation", "test", "", ".", ".."}, first) {
			return ""
		}
		top = first + "/"
	}
	return top
}

// ComputeDigest returns the digest of a data set's files: the SHA-256 of one line for each file
// below train, validation and test, which has the file's SHA-256 and its path with slashes. The
// lines are sorted by path.
func ComputeDigest(folder string) (string, error) {
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
			if _, err = io.Copy(hash, f); err != nil {
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
