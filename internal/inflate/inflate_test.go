package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

// samples returns data of several kinds: empty, random, repeated, text-like, and longer than the history.
func samples() map[string][]byte {
	random := rand.New(rand.NewPCG(3, 4))
	noise, smooth := make([]byte, 100_000), make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
		smooth[i] = byte(random.NormFloat64() * 4)
	}
	return map[string][]byte{
		"empty":     {},
		"one":       {42},
		"zeros":     make([]byte, 70_000),
		"period 3":  bytes.Repeat([]byte{1, 2, 3}, 20_000),
		"period 7":  bytes.Repeat([]byte("garment"), 300),
		"noise":     noise,
		"smooth":    smooth,
		"far match": append(append(bytes.Clone(noise[:40_000]), noise[7_500:20_000]...), smooth[:500]...),
	}
}

func compress(t testing.TB, data []byte, level int, format Format) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	if format == Zlib {
		w, err = zlib.NewWriterLevel(&out, level)
	} else {
		w, err = flate.NewWriter(&out, level)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecompress(t *testing.T) {
	for name, data := range samples() {
		for _, level := range []int{0, 1, 6, 9, flate.HuffmanOnly} {
			for _, format := range []Format{Zlib, Raw} {
				compressed := append(compress(t, data, level, format), 1, 2, 3)
				dst := make([]byte, len(data))
				n, err := Decompress(dst, compressed, format)
				if err != nil || !bytes.Equal(dst[:n], data) {
					t.Errorf("%s, level %d: %v after %d bytes of %d", name, level, err, n, len(data))
				}
				if len(data) > 0 {
					n, err = Decompress(dst[:len(data)-1], compressed, format)
					if !errors.Is(err, io.ErrShortBuffer) || !bytes.Equal(dst[:n], data[:len(data)-1]) {
						t.Errorf("%s, level %d: %v for a buffer that is too short", name, level, err)
					}
				}
			}
		}
	}
}

// step decompresses with a window that slides, in which only the history remains.
func step(data []byte, format Format, size int) ([]byte, error) {
	var d Decompressor
	d.Reset(data, format)
	var all []byte
	buf := make([]byte, History+size)
	from := 0
	for {
		to, err := d.Decompress(buf, from)
		all = append(all, buf[from:to]...)
		if err != nil {
			return all, err
		}
		from = copy(buf, buf[to-History:to])
	}
}

func TestDecompressInSteps(t *testing.T) {
	for name, data := range samples() {
		for _, size := range []int{1, 7, 300, 5000} {
			got, err := step(compress(t, data, 6, Zlib), Zlib, size)
			if !errors.Is(err, io.EOF) || !bytes.Equal(got, data) {
				t.Errorf("%s in steps of %d: %v after %d bytes of %d", name, size, err, len(got), len(data))
			}
		}
	}
}

func TestTruncatedGivesWhatIsThere(t *testing.T) {
	data := samples()["smooth"][:3000]
	for _, level := range []int{0, 1, 6} {
		compressed := compress(t, data, level, Zlib)
		dst := make([]byte, len(data))
		before := 0
		for cut := range compressed {
			n, err := Decompress(dst, compressed[:cut], Zlib)
			if !errors.Is(err, ErrTruncated) || !bytes.Equal(dst[:n], data[:n]) || n < before {
				t.Fatalf("level %d, cut to %d bytes: %v after %d bytes of output", level, cut, err, n)
			}
			before = n
		}
		if before != len(data) {
			t.Errorf("level %d: without the last byte, there are %d bytes of output; want %d", level, before, len(data))
		}
	}
}

func TestErrors(t *testing.T) {
	data := compress(t, []byte("trousers, trousers, trousers"), 6, Zlib)
	wrongSum := bytes.Clone(data)
	wrongSum[len(wrongSum)-1]++
	for _, c := range []struct {
		name string
		data []byte
		want error
		n    int
	}{
		{"wrong checksum", wrongSum, ErrChecksum, 28},
		{"dictionary", []byte{0x78, 0xbb, 0, 0, 0, 0}, ErrDictionary, 0},
		{"gzip", []byte{0x1f, 0x8b, 8, 0}, ErrCorrupt, 0},
		{"window too large", []byte{0x88, 0x1c, 0}, ErrCorrupt, 0},
		{"type of block", []byte{0x78, 0x9c, 0x07}, ErrCorrupt, 0},
		{"stored length", []byte{0x78, 0x9c, 1, 1, 0, 1, 0, 'a'}, ErrCorrupt, 0},
		// A fixed block: the literal 0 (00110000), a length of 3 (0000001), a distance of 2 (00001).
		{"too far back", []byte{0x78, 0x9c, 0x63, 0x00, 0x42, 0x00}, ErrTooFar, 1},
	} {
		dst := make([]byte, 100)
		n, err := Decompress(dst, c.data, Zlib)
		if !errors.Is(err, c.want) || n != c.n {
			t.Errorf("%s: %v after %d bytes; want %v after %d", c.name, err, n, c.want, c.n)
		}
	}
}

// TestPositions checks what the decompressor says of its input: the output ends before the end of the
// block and the checksum.
func TestPositions(t *testing.T) {
	compressed := compress(t, samples()["noise"][:1000], 0, Zlib)
	var d Decompressor
	d.Reset(append(bytes.Clone(compressed), 0), Zlib)
	if _, err := d.Decompress(make([]byte, 1000), 0); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if output, _ := d.Exhausted(); d.InputEnd() != len(compressed) || output != -1 {
		t.Errorf("input ends at %d of %d; exhausted at %d", d.InputEnd(), len(compressed), output)
	}
	d.Reset(compressed, Zlib)
	_, err := d.Decompress(make([]byte, 1000), 0)
	if output, input := d.Exhausted(); !errors.Is(err, io.EOF) || output != 1000 || input != d.OutputEnd() {
		t.Errorf("%v; exhausted at %d after %d bytes", err, output, input)
	}
	if at := bytes.LastIndexByte(compressed[:d.OutputEnd()], samples()["noise"][999]); at != d.OutputEnd()-1 {
		t.Errorf("output ends at %d; want %d", d.OutputEnd(), at+1)
	}
}

// TestOutputEnd checks that a match counts even if it is cut by the buffer, and what follows does not.
func TestOutputEnd(t *testing.T) {
	compressed := compress(t, make([]byte, 300), 6, Raw)
	var d Decompressor
	d.Reset(compressed, Raw)
	n, err := d.Decompress(make([]byte, 5), 0)
	if n != 5 || err != nil || d.OutputEnd() != d.InputEnd() {
		t.Errorf("%d bytes, %v; output ends at %d, input at %d", n, err, d.OutputEnd(), d.InputEnd())
	}
	// A stored block of one byte, and the header of a fixed one with its end.
	d.Reset([]byte{0, 1, 0, 0xfe, 0xff, 'a', 3, 0}, Raw)
	if n, err = d.Decompress(make([]byte, 5), 0); n != 1 || !errors.Is(err, io.EOF) || d.OutputEnd() != 6 {
		t.Errorf("%d bytes, %v; output ends at %d", n, err, d.OutputEnd())
	}
	// A fixed block with the literal 0 and its end, and the last one with its end only.
	d.Reset([]byte{0x62, 0x00, 0x0c, 0x00}, Raw)
	if n, err = d.Decompress(make([]byte, 5), 0); n != 1 || !errors.Is(err, io.EOF) || d.OutputEnd() != 2 {
		t.Errorf("%d bytes, %v; output ends at %d", n, err, d.OutputEnd())
	}
}

func TestAdler(t *testing.T) {
	data := samples()["noise"]
	for i := range data {
		data[i] |= 0xf0 // large sums
	}
	for _, n := range []int{0, 1, 31, 32, 33, 63, 64, 5535, 5536, 5537, 6000, 100_000 - 3} {
		for offset := range 3 {
			p := data[offset : offset+n]
			if got, want := updateAdler(1, p), adler32.Checksum(p); got != want {
				t.Errorf("checksum of %d bytes: %#x; want %#x", n, got, want)
			}
			a, b := sumAdler(7, 9, p[:min(n, adlerBlock)])
			if c, d := sumAdlerGeneric(7, 9, p[:min(n, adlerBlock)]); a != c || b != d {
				t.Errorf("the sums of %d bytes differ from their portable twin's", n)
			}
		}
	}
}

// FuzzDecompress compares with compress/flate, at once and in steps.
func FuzzDecompress(f *testing.F) {
	for _, data := range samples() {
		for _, level := range []int{0, 1, 6} {
			f.Add(compress(f, data[:min(len(data), 2000)], level, Raw))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 16
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), most+1))
		if len(want) > most {
			t.Skip()
		}
		dst := make([]byte, most)
		n, err := Decompress(dst, data, Raw)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v; compress/flate says %v", err, wantErr)
		}
		if m := min(n, len(want)); !bytes.Equal(dst[:m], want[:m]) || wantErr == nil && n != len(want) {
			t.Fatal("the output differs from that of compress/flate")
		}
		inSteps, stepErr := step(data, Raw, 1+len(data)%700+n/50)
		if !bytes.Equal(inSteps, dst[:n]) || (errors.Is(stepErr, io.EOF)) != (err == nil) {
			t.Fatalf("in steps: %d bytes, %v; at once %d, %v", len(inSteps), stepErr, n, err)
		}
	})
}

func BenchmarkDecompress(b *testing.B) {
	for _, name := range []string{"smooth", "zeros"} {
		data := samples()[name]
		compressed := compress(b, data, 6, Zlib)
		dst := make([]byte, len(data))
		b.Run(fmt.Sprintf("%s/garb", name), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Decompress(dst, compressed, Zlib); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%s/std", name), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				r, err := zlib.NewReader(bytes.NewReader(compressed))
				if err == nil {
					_, err = io.ReadFull(r, dst)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
