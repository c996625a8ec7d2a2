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
	"slices"
	"strings"
	"time"
)

// CacheFolder is the folder of garb's cache that archives are unpacked to: see
// Options.Cache.
const CacheFolder = "datasets"

// ErrArchive is wrapped by errors about archives that cannot be unpacked.
var ErrArchive = errors.New("unusable archive")

// Limits of archives that are read as data sets: what one unpacks to is at most
// DefaultMaxArchiveBytes, and at most expansionBase and expansion times its own size, as
// pictures are hardly ever compressed further.
const (
	DefaultMaxArchiveBytes int64 = 64 << 30
	expansionBase          int64 = 256 << 20
	expansion              int64 = 30
	maxArchiveFiles              = 5_000_000
)

// archiveKind returns zip, tar or tar.gz by a file's content, "" for other files.
func archiveKind(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "" // opening a pipe would take what is in it
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

// unpacked is what is kept beside the files of an archive.
type unpacked struct {
	Archive string         `json:"archive"` // its path when it was unpacked
	Files   int            `json:"files"`
	Counts  map[Reason]int `json:"counts"` // of entries that were not unpacked
	Skips   []Skip         `json:"skips"`  // the first of them, by their names in the archive
}

// count adds the entries that were not unpacked to a tally, as those of an archive.
func (u *unpacked) count(tally *Tally, archive string) {
	skips := slices.Clone(u.Skips)
	for i := range skips {
		skips[i].Path = archive + ": " + skips[i].Path
	}
	tally.Merge(&Tally{counts: u.Counts, skips: skips})
}

// unpackToCache unpacks an archive to a folder of the cache that its digest names, unless
// it is there, and returns the folder. Entries that were not unpacked are counted.
func unpackToCache(ctx context.Context, path, kind string, o Options, tally *Tally) (string, error) {
	if o.Cache == "" {
		return "", fmt.Errorf("data set %s: %w: there is no folder to unpack it to", path, ErrArchive)
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
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("data set %s: %w", path, err)
	}
	home := filepath.Join(o.Cache, fmt.Sprintf("%x", hash.Sum(nil)[:12]))
	if done, err := readUnpacked(ctx, home); err == nil {
		done.count(tally, path)
		return filepath.Join(home, "data"), nil
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return "", err
	}
	removeAbandoned(o.Cache)
	part, err := os.MkdirTemp(o.Cache, partPrefix)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	limit := DefaultMaxArchiveBytes
	if o.MaxArchiveBytes > 0 {
		limit = o.MaxArchiveBytes
	}
	var skipped Tally
	u := &unpacker{
		to: filepath.Join(part, "data"), maxFiles: maxArchiveFiles, maxBytes: min(limit, expansionBase+expansion*size),
		link: func(name, message string) error {
			skipped.Add(ReasonMissing, name, message)
			return nil
		},
	}
	if err := os.Mkdir(u.to, 0o755); err != nil {
		return "", err
	}
	if err := u.unpack(ctx, f, kind, size); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("data set %s: %w", path, err)
	}
	done := &unpacked{path, u.files, skipped.Counts(), skipped.Skips()}
	text, err := json.Marshal(done)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(part, "unpacked.json"), text, 0o644); err != nil {
		return "", err
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(part, home); err != nil {
		if _, there := readUnpacked(ctx, home); there != nil { // another garb was not faster
			if err := os.RemoveAll(home); err != nil {
				return "", err
			}
			if err := os.Rename(part, home); err != nil {
				return "", err
			}
		}
	}
	done.count(tally, path)
	return filepath.Join(home, "data"), nil
}

// partPrefix begins the names of folders that an archive is being unpacked to.
const partPrefix = ".part-"

// removeAbandoned removes folders that a garb which was killed has left in the cache.
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

// readUnpacked returns what is known of an archive that was unpacked to a folder, an
// error if it was not, or if some of its files are gone.
func readUnpacked(ctx context.Context, home string) (*unpacked, error) {
	text, err := os.ReadFile(filepath.Join(home, "unpacked.json"))
	if err != nil {
		return nil, err
	}
	u := &unpacked{}
	if err := json.Unmarshal(text, u); err != nil {
		return nil, err
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(home, "data"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files++
		}
		return cmp.Or(err, ctx.Err())
	})
	if err == nil && files != u.Files {
		err = fmt.Errorf("it has %d files, not %d", files, u.Files)
	}
	return u, err
}

// contextReader reads until a context ends.
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
	maxBytes int64 // of all files
	// link is told of each entry that is a symbolic link or a special file; its error
	// ends the work.
	link func(name, message string) error
	// rename gives the name to write a file under, "" for none; nil keeps names.
	rename func(name string) string

	files int
	bytes int64
}

func refuseArchive(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrArchive, fmt.Errorf(format, args...))
}

// unpack writes all files. Names that lead out of the folder are refused, as is an
// archive with more files or bytes than the bounds.
func (u *unpacker) unpack(ctx context.Context, from io.ReaderAt, kind string, size int64) error {
	if kind == "zip" {
		return u.zip(ctx, from, size)
	}
	var stream io.Reader = &contextReader{ctx, io.NewSectionReader(from, 0, size)}
	if kind == "tar.gz" {
		unzipped, err := gzip.NewReader(stream)
		if err != nil {
			return refuseArchive("%w", err)
		}
		stream = unzipped
	}
	// Headers, too, may not go on for ever.
	return u.tar(ctx, tar.NewReader(io.LimitReader(stream, u.maxBytes+u.maxBytes/4+int64(1<<20))))
}

func (u *unpacker) zip(ctx context.Context, from io.ReaderAt, size int64) error {
	r, err := zip.NewReader(from, size)
	if err != nil {
		return refuseArchive("%w", err)
	}
	if len(r.File) > u.maxFiles {
		return refuseArchive("it has %d files, more than %d", len(r.File), u.maxFiles)
	}
	for _, f := range r.File {
		if err := ctx.Err(); err != nil {
			return err
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
			if err := u.link(f.Name, "a link in an archive is not followed"); err != nil {
				return err
			}
			continue
		case f.Flags&1 != 0: // APPNOTE.TXT 4.4.4: bit 0
			return refuseArchive("%q is encrypted: unpack it by hand", f.Name)
		}
		in, err := f.Open()
		if err != nil {
			return refuseArchive("%s: %w", f.Name, err)
		}
		err = u.write(ctx, path, in)
		in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) tar(ctx context.Context, r *tar.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			if u.files == 0 {
				return refuseArchive("it has no files")
			}
			return nil
		}
		if err != nil {
			return refuseArchive("it is damaged: %w", err)
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
		case h.Typeflag == tar.TypeLink: // to a file that came before
			var target string
			if target, err = u.path(h.Linkname); err == nil && target != "" {
				err = u.copyOf(ctx, target, path)
			}
		default:
			err = u.link(h.Name, "a link or special file in an archive is not followed")
		}
		if err != nil {
			return err
		}
	}
}

// path returns where to write a file of an archive's name, "" for nowhere.
func (u *unpacker) path(name string) (string, error) {
	local := strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "./")
	if !filepath.IsLocal(local) || strings.ContainsRune(local, 0) {
		return "", refuseArchive("%q would be written outside the folder", name)
	}
	if u.rename != nil {
		if local = u.rename(local); local == "" {
			return "", nil
		}
		if !filepath.IsLocal(local) {
			return "", refuseArchive("%q would be written outside the folder", name)
		}
	}
	return filepath.Join(u.to, filepath.FromSlash(local)), nil
}

func (u *unpacker) tooLarge() error {
	return refuseArchive("its files take more than %d bytes; unpack it by hand if that is right", u.maxBytes)
}

// write writes a file, within what is left of the bounds.
func (u *unpacker) write(ctx context.Context, path string, from io.Reader) (err error) {
	if u.files++; u.files > u.maxFiles {
		return refuseArchive("it has more than %d files", u.maxFiles)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return refuseArchive("%w", err)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return refuseArchive("it has %q twice", filepath.Base(path))
	}
	if err != nil {
		return refuseArchive("%w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	left := u.maxBytes - u.bytes
	n, err := io.Copy(out, io.LimitReader(&contextReader{ctx, from}, left+1))
	u.bytes += n
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case n > left:
		return u.tooLarge()
	case err != nil:
		return refuseArchive("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// copyOf writes a file again under another name.
func (u *unpacker) copyOf(ctx context.Context, target, path string) error {
	in, err := os.Open(target)
	if err != nil {
		return refuseArchive("%q links to a file that is not there", filepath.Base(path))
	}
	defer in.Close()
	return u.write(ctx, path, in)
}
