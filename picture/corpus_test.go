package picture

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// corpusFile is a row of corpus.tsv. Digests are those of the pixels, or "refused".
type corpusFile struct {
	name, kind, what, size, digest, keptDigest string
	data                                       []byte
	pixels                                     []byte // PNG, for formats whose pixels may differ a little
}

// corpusLevels is the largest difference to pillow-heif's pixels for HEIC: the decoders round the
// conversion of colours differently.
const corpusLevels = 2

// corpusOutcomes are the columns of the summary.
var corpusOutcomes = [...]string{"right", "other pixels", "refused though sound", "read though refused"}

// compareCorpus decodes all files of the archive in folder, reports each that Pillow reads in another
// way, and prints a summary for each kind. Files that Pillow reads or that are cut short are decoded
// with KeepTruncated, too.
//
// It leaves out cut JPEGs of arithmetic coding, of which Pillow keeps little or nothing: libjpeg's
// decoder for them cannot wait for more data.
func compareCorpus(t *testing.T, folder string) {
	files := readCorpus(t, folder)
	if len(files) < 600 {
		t.Fatalf("%d files, want at least 600", len(files))
	}
	var summary corpusSummary
	limits := DefaultLimits()
	limits.Timeout = 0 // the machine may be slow
	for _, f := range files {
		limits.KeepTruncated = false
		outcome, says := f.compare(f.digest, limits)
		if outcome != 0 {
			t.Errorf("%s (%s): %s: %s", f.name, f.what, corpusOutcomes[outcome], says)
		}
		summary.add(f.kind, outcome)
		cut := strings.Contains(f.kind+f.what, "cut")
		if f.digest == "refused" && (!cut || strings.Contains(f.what, "arithmetic")) {
			continue
		}
		limits.KeepTruncated = true
		if outcome, says = f.compare(cmp.Or(f.keptDigest, f.digest), limits); outcome != 0 {
			t.Errorf("%s (%s), kept: %s: %s", f.name, f.what, corpusOutcomes[outcome], says)
		}
		summary.add(f.kind+", kept", outcome)
	}
	t.Logf("\n%s", &summary)
}

// corpusSummary counts outcomes by kind.
type corpusSummary struct {
	kinds  []string
	counts map[string]*[len(corpusOutcomes)]int
}

func (s *corpusSummary) add(kind string, outcome int) {
	if s.counts == nil {
		s.counts = map[string]*[len(corpusOutcomes)]int{}
	}
	if s.counts[kind] == nil {
		s.kinds = append(s.kinds, kind)
		s.counts[kind] = new([len(corpusOutcomes)]int)
	}
	s.counts[kind][outcome]++
}

func (s *corpusSummary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-36s %s\n", "kind", strings.Join(corpusOutcomes[:], " | "))
	var total [len(corpusOutcomes)]int
	for _, kind := range s.kinds {
		fmt.Fprintf(&b, "%-36s %v\n", kind, *s.counts[kind])
		for i, n := range s.counts[kind] {
			total[i] += n
		}
	}
	fmt.Fprintf(&b, "%-36s %v\n", "all", total)
	return b.String()
}

// compare decodes the file and compares it with the digest. It returns an index of corpusOutcomes and,
// unless that is 0, what garb makes of the file.
func (f corpusFile) compare(digest string, l Limits) (outcome int, says string) {
	p, err := Decode(context.Background(), f.data, l)
	switch {
	case digest == "refused" && err == nil:
		return 3, fmt.Sprintf("%d × %d pixels", p.Width, p.Height)
	case digest == "refused":
		return 0, ""
	case err != nil:
		return 2, err.Error()
	}
	if size := fmt.Sprintf("%dx%d", p.Width, p.Height); f.size != "" && size != f.size {
		return 1, fmt.Sprintf("%s, want %s", size, f.size)
	}
	if f.pixels != nil {
		if d, err := largestDifference(p.Pix, f.pixels); err != nil || d > corpusLevels {
			return 1, fmt.Sprintf("the largest difference is %d levels, want at most %d (%v)", d, corpusLevels, err)
		}
		return 0, ""
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(p.Pix))[:len(digest)]; got != digest {
		return 1, fmt.Sprintf("digest %s, want %s", got, digest)
	}
	return 0, ""
}

// largestDifference returns the largest difference of pixels to those of a PNG, in levels.
func largestDifference(pix, encoded []byte) (int, error) {
	m, err := png.Decode(bytes.NewReader(encoded))
	if err != nil {
		return 0, err
	}
	want := image.NewNRGBA(m.Bounds())
	draw.Draw(want, want.Rect, m, m.Bounds().Min, draw.Src)
	if len(pix)/3 != len(want.Pix)/4 {
		return 0, fmt.Errorf("%d pixels, want %d", len(pix)/3, len(want.Pix)/4)
	}
	largest := 0
	for i, level := range pix {
		d := int(level) - int(want.Pix[i/3*4+i%3])
		largest = max(largest, d, -d)
	}
	return largest, nil
}

// readCorpus reads corpus.tsv and the files that it lists from corpus.zip.
func readCorpus(t *testing.T, folder string) []corpusFile {
	archive, err := zip.OpenReader(filepath.Join(folder, "corpus.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	content := map[string][]byte{}
	for _, entry := range archive.File {
		r, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		if content[entry.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(entry.Name, err)
		}
		r.Close()
	}
	table := string(read(t, filepath.Join(folder, "corpus.tsv")))
	var files []corpusFile
	for _, row := range strings.Split(strings.TrimSuffix(table, "\n"), "\n")[1:] {
		c := strings.Split(row, "\t")
		if len(c) != 6 || content[c[0]] == nil {
			t.Fatalf("corpus.tsv: row %q", row)
		}
		files = append(files, corpusFile{c[0], c[1], c[2], c[3], c[4], c[5], content[c[0]], content[c[0]+".png"]})
	}
	return files
}
