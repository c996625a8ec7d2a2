//go:build !small

package picture

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestIdentifyShortHeaders checks that a file that is cut right behind the bytes that name its
// format is a broken picture of that format.
func TestIdentifyShortHeaders(t *testing.T) {
	for _, test := range []struct {
		data string
		want Format
	}{
		{"\xff\xd8\xff", JPEG},
		{"\x89PNG\r\n\x1a\n", PNG},
		{"GIF87a", GIF},
		{"GIF89a", GIF},
		{"RIFF\x04\x00\x00\x00WEBP", WebP},
		{"BM" + strings.Repeat("\x00", 12) + "\x28\x00\x00\x00", BMP},
		{"\x00\x00\x00\x10ftypheic\x00\x00\x00\x00", HEIC},
		{"\x00\x00\x00\x10ftypavif\x00\x00\x00\x00", AVIF},
	} {
		info, err := Identify([]byte(test.data))
		if info.Format != test.want || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%q: format %q, error %v", test.data, info.Format, err)
		}
		if _, err := Identify([]byte(test.data[:len(test.data)-1])); test.want != HEIC && test.want != AVIF &&
			!errors.Is(err, ErrNotPicture) {
			t.Errorf("%q, cut: error %v", test.data, err)
		}
	}
}

// TestCorpus compares Decode with Pillow on the committed files of testdata/corpus.
func TestCorpus(t *testing.T) { compareCorpus(t, filepath.Join("testdata", "corpus")) }

// TestCorpusAfresh compares Decode with Pillow and pillow-heif on this machine, on files that
// testdata/corpus/make.py makes of another seed: GARB_CORPUS_SEED or today's date.
func TestCorpusAfresh(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to run this test (see .ci/run)")
	}
	seed := cmp.Or(os.Getenv("GARB_CORPUS_SEED"), time.Now().Format("20060102"))
	t.Log("seed", seed)
	folder := t.TempDir()
	program := filepath.Join("testdata", "corpus", "make.py")
	out, err := exec.Command(python, program, "--seed", seed, folder).CombinedOutput()
	if err != nil {
		t.Fatalf("make.py: %v\n%s", err, out)
	}
	compareCorpus(t, folder)
}

// TestTruncated checks which pictures that are cut short are ErrTruncated: those of which
// KeepTruncated decodes what is there.
func TestTruncated(t *testing.T) {
	for name, keeps := range map[string]bool{
		"plain.jpg": true, "palette.png": true, "plain.gif": true, "plain.bmp": true, "lossy.webp": false,
		"../../internal/heif/testdata/drawn-odd.heic": false, "../../internal/heif/testdata/drawn.avif": false,
	} {
		whole := read(t, "testdata/"+name)
		cut := whole[:len(whole)-40]
		l := DefaultLimits()
		l.Timeout = 0 // the machine may be slow
		_, err := Decode(t.Context(), cut, l)
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) != keeps {
			t.Errorf("%s: %v", name, err)
		}
		l.KeepTruncated = true
		_, info, err := Inspect(t.Context(), cut, l)
		if (err == nil) != keeps || keeps != (len(info.Repairs) > 0) || errors.Is(err, ErrTruncated) {
			t.Errorf("%s, kept: %v, %v", name, info.Repairs, err)
		}
		if _, err = Decode(t.Context(), whole[:16], l); err == nil || errors.Is(err, ErrTruncated) {
			t.Errorf("%s without a header: %v", name, err)
		}
	}
}

// TestCroppedHEIC checks a picture with odd sides, which is coded with even ones and cropped.
func TestCroppedHEIC(t *testing.T) {
	data := read(t, "../internal/heif/testdata/drawn-odd.heic")
	info, err := Identify(data)
	if err != nil {
		t.Fatal(err)
	}
	l := DefaultLimits()
	l.Timeout = 0 // the machine may be slow
	p, err := Decode(context.Background(), data, l)
	if err != nil || p.Width != info.Width || p.Height != info.Height || p.Width%2 == 0 {
		t.Errorf("%+v, %v", info, err)
	}
	l.MaxPixels = info.Width * info.Height / 2
	if _, err := Decode(context.Background(), data, l); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v", err)
	}
}
