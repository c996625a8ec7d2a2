package dataset

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"garb/internal/filename"
	"garb/internal/safefile"
)

// CacheFolder is the folder in garb's cache for unpacked archives (see Options.Cache).
const CacheFolder = "datasets"

// ErrArchive is wrapped by errors about archives that cannot be unpacked.
var ErrArchive = errors.New("unusable archive")

// Limits of archives that are read as data sets. The files of an archive have together at most
// DefaultMaxArchiveBytes, and at most expansionBase plus expansion times the archive's size,
// because archives hardly compress pictures.
const (
	DefaultMaxArchiveBytes int64 = 64 << 30
	expansionBase          int64 = 256 << 20
	expansion              int64 = 30
	maxArchiveFiles              = 5_000_000
)

// detectArchive returns "zip", "tar" or "tar.gz" by a file's content, or "" for other files.
func detectArchive(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "" // reading from a pipe would consume its content
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(f, head)
	head = head[:n]
	isTar := func(b []byte) bool { return len(b) >= 262 && string(b[257:262]) == "ustar" }
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return "zip"
	case isTar(head):
		return "tar"
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "tar.gz"
	}
	return ""
}

// unpacked is stored beside the unpacked files of an archive.
type unpacked struct {
	Archive string         `json:"archive"` // its path when it was unpacked
	Files   int            `json:"files"`
	Counts  map[Reason]int `json:"counts"` // the entries that were not unpacked
	Skips   []Skip         `json:"skips"`  // the first of them, with their names in the archive
}

// addTo adds the entries that were not unpacked to a tally, with the archive's name.
func (u *unpacked) addTo(tally *Tally, archive string) {
	skips := slices.Clone(u.Skips)
	for i := range skips {
		skips[i].Path = archive + ": " + skips[i].Path
	}
	tally.Merge(&Tally{counts: u.Counts, skips: skips})
}

// unpackToCache unpacks an archive to a folder of the cache, which is named by the archive's
// digest, unless it exists, and returns the folder. It adds entries that are not unpacked to
// tally.
func unpackToCache(ctx context.Context, path, kind string, o Options, tally *Tally) (string, error) {
	if o.Cache == "" {
		return "", fmt.Errorf("data set %s: %w: there is no folder to unpack it to; set GARB_HOME to one",
			path, ErrArchive)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("data set: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, &contextReader{ctx, f})
	if err != nil {
		return "", fmt.Errorf("data set %s: %w", path, err)
	}
	folder := filepath.Join(o.Cache, fmt.Sprintf("%x", hash.Sum(nil)[:12]))
	done, err := readUnpacked(ctx, folder)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		if done, err = unpackOnce(ctx, folder, f, kind, size, o); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return "", fmt.Errorf("data set %s: %w", path, err)
		}
	}
	done.addTo(tally, path)
	return filepath.Join(folder, "data"), nil
}

// lockSuffix ends the name of the file that is locked while an archive is unpacked. It stays.
const lockSuffix = ".lock"

// lockInterval is the time between attempts to lock a folder of the cache.
const lockInterval = 50 * time.Millisecond

// unpackOnce calls unpackTo, unless another process is unpacking the same archive: then it waits for
// that one, and takes what it unpacked.
func unpackOnce(
	ctx context.Context, folder string, f *os.File, kind string, size int64, o Options,
) (*unpacked, error) {
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(folder + lockSuffix)
	if _, err := lock.TryLockContext(ctx, lockInterval); err != nil {
		return nil, fmt.Errorf("locking the cache: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // closing the file unlocks it in any case
	if other, err := readUnpacked(ctx, folder); err == nil {
		return other, nil
	}
	return unpackTo(ctx, folder, f, kind, size, o)
}

// unpackTo unpacks an archive to a folder of the cache, which appears in one step. The caller has locked
// the folder.
func unpackTo(ctx context.Context, folder string, f *os.File, kind string, size int64, o Options) (*unpacked, error) {
	removeAbandoned(o.Cache)
	part, err := os.MkdirTemp(o.Cache, partPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(part)
	limit := DefaultMaxArchiveBytes
	if o.MaxArchiveBytes > 0 {
		limit = o.MaxArchiveBytes
	}
	var skipped Tally
	u := &unpacker{
		portable: runtime.GOOS == "windows",
		to:       filepath.Join(part, "data"), maxFiles: maxArchiveFiles, maxBytes: min(limit,
			expansionBase+expansion*size),
		link: func(name, message string) error {
			skipped.Add(ReasonMissing, name, message)
			return nil
		},
	}
	if err = os.Mkdir(u.to, 0o755); err != nil {
		return nil, err
	}
	if err = u.unpack(ctx, f, kind, size); err != nil {
		return nil, err
	}
	done := &unpacked{f.Name(), u.files, skipped.Counts(), skipped.Skips()}
	text, err := json.Marshal(done)
	if err != nil {
		return nil, err
	}
	if err = os.WriteFile(filepath.Join(part, "unpacked.json"), text, 0o644); err != nil {
		return nil, err
	}
	if err = os.Chmod(part, 0o755); err != nil {
		return nil, err
	}
	if err = os.RemoveAll(folder); err != nil { // an incomplete one
		return nil, err
	}
	return done, safefile.Rename(part, folder)
}

// partPrefix begins the names of folders to which an archive is being unpacked.
const partPrefix = ".part-"

// removeAbandoned removes folders that killed processes have left in the cache.
func removeAbandoned(cache string) {
	const abandoned = 24 * time.Hour
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), partPrefix) &&
			time.Since(info.ModTime()) > abandoned {
			os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}

// readUnpacked reads what is stored about an archive that was unpacked to a folder. It returns an
// error if none was, or if some of its files are missing.
func readUnpacked(ctx context.Context, folder string) (*unpacked, error) {
	text, err := os.ReadFile(filepath.Join(folder, "unpacked.json"))
	if err != nil {
		return nil, err
	}
	u := &unpacked{}
	if err = json.Unmarshal(text, u); err != nil {
		return nil, err
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(folder, "data"), func(_ string, e fs.DirEntry, walkErr error) error {
		if walkErr == nil && !e.IsDir() {
			files++
		}
		return cmp.Or(walkErr, ctx.Err())
	})
	if err == nil && files != u.Files {
		err = fmt.Errorf("there are %d files, not %d", files, u.Files)
	}
	return u, err
}

// contextReader is a reader that fails when ctx ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// unpacker writes the files of an archive below a folder.
type unpacker struct {
	to       string
	maxFiles int
	maxBytes int64 // for all files together
	// link is called for each entry that is a symbolic link or a special file, or whose name is
	// not allowed; its error ends the work.
	link func(name, message string) error
	// portable skips names that Windows does not allow, such as NUL and a:b, and those that it
	// would change.
	portable bool
	// rename returns the name to write a file to, or "" to skip it; nil keeps the names.
	rename func(name string) string

	files int
	bytes int64
}

// newArchiveError returns an error that wraps ErrArchive.
func newArchiveError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrArchive, fmt.Errorf(format, args...))
}

// unpack writes all files. It refuses names that lead out of the folder, and an archive with more
// files or bytes than allowed.
func (u *unpacker) unpack(ctx context.Context, from io.ReaderAt, kind string, size int64) error {
	if kind == "zip" {
		return u.unpackZip(ctx, from, size)
	}
	var stream io.Reader = &contextReader{ctx, io.NewSectionReader(from, 0, size)}
	if kind == "tar.gz" {
		unzipped, err := gzip.NewReader(stream)
		if err != nil {
			return newArchiveError("%w", err)
		}
		stream = unzipped
	}
	// The limit bounds headers, too.
	return u.unpackTar(ctx, tar.NewReader(io.LimitReader(stream, u.maxBytes+u.maxBytes/4+int64(1<<20))))
}

// unpackZip writes the files of a zip archive.
func (u *unpacker) unpackZip(ctx context.Context, from io.ReaderAt, size int64) error {
	r, err := zip.NewReader(from, size)
	if err != nil {
		return newArchiveError("%w", err)
	}
	if len(r.File) > u.maxFiles {
		return newArchiveError("the archive has %d files; the maximum is %d", len(r.File), u.maxFiles)
	}
	for _, f := range r.File {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if strings.HasSuffix(f.Name, "/") || strings.HasSuffix(f.Name, `\`) {
			continue
		}
		path, err := u.path(f.Name)
		if err != nil {
			return err
		}
		switch {
		case path == "":
			continue
		case !f.Mode().IsRegular():
			if err = u.link(f.Name, "a link in an archive is not followed"); err != nil {
				return err
			}
			continue
		case f.Flags&1 != 0: // APPNOTE.TXT 4.4.4: bit 0
			return newArchiveError("%q is encrypted; unpack it yourself", f.Name)
		}
		in, err := f.Open()
		if err != nil {
			return newArchiveError("%s: %w", f.Name, err)
		}
		err = u.write(ctx, path, in)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unpackTar writes the files of a tar archive.
func (u *unpacker) unpackTar(ctx context.Context, r *tar.Reader) error {
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if u.files == 0 {
				return newArchiveError("the archive has no files")
			}
			return nil
		}
		if err != nil {
			return newArchiveError("the archive is damaged: %w", err)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		}
		path, err := u.path(h.Name)
		if err != nil {
			return err
		}
		switch {
		case path == "":
		case h.Typeflag == tar.TypeReg:
			err = u.write(ctx, path, r)
		case h.Typeflag == tar.TypeLink: // a hard link to an earlier file
			var target string
			if target, err = u.path(h.Linkname); err == nil && target != "" {
				err = u.copyFile(ctx, target, path)
			}
		default:
			err = u.link(h.Name, "a link or special file in an archive is not followed")
		}
		if err != nil {
			return err
		}
	}
}

// path returns the path to write a file to, by its name in the archive, or "" to skip it.
func (u *unpacker) path(name string) (string, error) {
	local := strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "./")
	if element := filename.FirstUnportable(local); u.portable && element != "" && !strings.ContainsRune(name, 0) {
		return "", u.link(name, fmt.Sprintf("Windows does not allow the name %q", element))
	}
	if !filepath.IsLocal(local) || strings.ContainsRune(local, 0) {
		return "", newArchiveError("%q would be written outside the folder", name)
	}
	if u.rename != nil {
		if local = u.rename(local); local == "" {
			return "", nil
		}
		if !filepath.IsLocal(local) {
			return "", newArchiveError("%q would be written outside the folder", name)
		}
	}
	return filepath.Join(u.to, filepath.FromSlash(local)), nil
}

// newTooLargeError says that the files exceed maxBytes.
func (u *unpacker) newTooLargeError() error {
	return newArchiveError("its files take more than %d bytes; if that is intended, unpack it yourself", u.maxBytes)
}

// write writes a file within the remaining limits.
func (u *unpacker) write(ctx context.Context, path string, from io.Reader) (err error) {
	if u.files++; u.files > u.maxFiles {
		return newArchiveError("the archive has more than %d files", u.maxFiles)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return newArchiveError("%w", err)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return newArchiveError("the archive has %q twice, or in upper and lower case", filepath.Base(path))
	}
	if err != nil {
		return newArchiveError("%w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	left := u.maxBytes - u.bytes
	n, err := io.Copy(out, io.LimitReader(&contextReader{ctx, from}, left+1))
	u.bytes += n
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case n > left:
		return u.newTooLargeError()
	case err != nil:
		return newArchiveError("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// copyFile writes a copy of a file.
func (u *unpacker) copyFile(ctx context.Context, target, path string) error {
	in, err := os.Open(target)
	if err != nil {
		return newArchiveError("%q links to a file that is missing", filepath.Base(path))
	}
	defer in.Close()
	return u.write(ctx, path, in)
}
