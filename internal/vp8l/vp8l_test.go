package vp8l

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/internal/raster"
)

func TestReadHeader(t *testing.T) {
	const bits = 16 | 32<<14 | 1<<28
	data := []byte{0x2f, bits & 255, bits >> 8 & 255, bits >> 16 & 255, bits >> 24}
	if h, err := ReadHeader(data); err != nil || h != (Header{Width: 17, Height: 33, Alpha: true}) {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := ReadHeader(data[:4]); !errors.Is(err, raster.ErrTruncated) {
		t.Errorf("cut: %v", err)
	}
	data[4] |= 1 << 5
	if _, err := ReadHeader(data); !errors.Is(err, raster.ErrCorrupt) {
		t.Errorf("version 1: %v", err)
	}
}

// randomCode returns the code of random complete lengths of count of size symbols.
func randomCode(t *testing.T, random *rand.Rand, size, count int) code {
	t.Helper()
	lengths := []uint8{0}
	for len(lengths) < count {
		i := random.IntN(len(lengths))
		if random.IntN(2) == 0 { // make long words
			i = len(lengths) - 1
		}
		if lengths[i] == maxLength {
			continue
		}
		lengths[i]++
		lengths = append(lengths, lengths[i])
	}
	if count == 1 {
		lengths[0] = 1
	}
	b := builder{}
	b.reset(size)
	for i, symbol := range random.Perm(size)[:count] {
		b.lengths[symbol] = lengths[i]
	}
	c, err := b.build(true)
	if err != nil {
		t.Fatalf("%d of %d symbols, lengths %v: %v", count, size, lengths, err)
	}
	return c
}

func randomPixels(random *rand.Rand, n int) []uint32 {
	pixels := make([]uint32, n)
	for i := range pixels {
		pixels[i] = random.Uint32()
		if random.IntN(4) == 0 { // close to its neighbour
			pixels[i] = pixels[max(i-1, 0)] + 0x01000100
		}
	}
	return pixels
}

// TestReadLiterals reads random data and compares everything with the portable code.
func TestReadLiterals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for round := range 500 {
		var g group
		greens := literals + lengthCodes + 1<<random.IntN(12)
		for i, size := range [5]int{greens, literals, literals, literals, distanceSize} {
			count := []int{1, 2, 5, 30, size}[random.IntN(5)]
			g.codes[i] = randomCode(t, random, size, min(count, size))
		}
		data := make([]byte, random.IntN(300))
		for i := range data {
			data[i] = uint8(random.Uint32())
		}
		got := bitReader{data: data}
		want := got
		for !want.overrun() && want.next < 400 {
			run := make([]uint32, 1+random.IntN(40))
			wantRun := slices.Clone(run)
			n, symbol := readLiterals(&got, &g, run)
			wantN, wantSymbol := readLiteralsGeneric(&want, &g, wantRun)
			got.value &= 1<<got.count - 1 // those above are of no matter
			want.value &= 1<<want.count - 1
			if n != wantN || n < len(run) && symbol != wantSymbol || !slices.Equal(run, wantRun) ||
				8*got.next-int(got.count) != 8*want.next-int(want.count) {
				t.Fatalf("round %d: %d pixels, symbol %d, %+v\nwant %d, %d, %+v", round, n, symbol, got,
					wantN, wantSymbol, want)
			}
			if g.codes[green].single() {
				break // which may go on for ever
			}
		}
	}
}

func TestPredict(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	for mode := range 16 {
		for n := 1; n < 50; n++ {
			in, above := randomPixels(random, n), randomPixels(random, n+1)
			got := randomPixels(random, n+1) // one pixel to be left alone
			want := slices.Clone(got)
			predict(mode, got[:n], in, above)
			predictGeneric(mode, want[:n], in, above)
			if !slices.Equal(got, want) {
				t.Fatalf("mode %d, %d pixels: %x, want %x", mode, n, got, want)
			}
		}
	}
}

func TestAddColourAndGreen(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for n := 1; n < 50; n++ {
		for range 20 {
			in, factors := randomPixels(random, n), random.Uint32()
			got, want := make([]uint32, n), make([]uint32, n)
			addColour(got, in, factors)
			addColourGeneric(want, in, factors)
			if !slices.Equal(got, want) {
				t.Fatalf("%d pixels %x, factors %x: %x, want %x", n, in, factors, got, want)
			}
			addGreen(got, in)
			addGreenGeneric(want, in)
			if !slices.Equal(got, want) {
				t.Fatalf("%d pixels %x: %x, want %x", n, in, got, want)
			}
		}
	}
}

func TestPack(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 0))
	for n := 1; n < 50; n++ {
		in := randomPixels(random, n)
		got, want := make([]uint8, 3*n+1), make([]uint8, 3*n+1)
		Pack(got[:3*n], in)
		packGeneric(want[:3*n], in)
		if !slices.Equal(got, want) {
			t.Fatalf("%d pixels: %x, want %x", n, got, want)
		}
	}
}

// TestCodes builds codes that are not complete or have too many words, and some that are sound.
func TestCodes(t *testing.T) {
	for _, c := range []struct {
		lengths []uint8
		sound   bool
	}{
		{[]uint8{0, 0}, false}, {[]uint8{1, 0}, true}, {[]uint8{0, 9}, true}, {[]uint8{1, 1}, true},
		{[]uint8{1, 2}, false}, {[]uint8{1, 2, 2}, true}, {[]uint8{1, 1, 2}, false}, {[]uint8{2, 2, 2, 3}, false},
	} {
		for _, store := range []bool{false, true} {
			b := builder{lengths: slices.Clone(c.lengths)}
			if _, err := b.build(store); (err == nil) != c.sound || err != nil && !errors.Is(err, raster.ErrCorrupt) {
				t.Errorf("lengths %v: %v", c.lengths, err)
			}
		}
	}
}

// TestSymbols reads every word of a code with long words.
func TestSymbols(t *testing.T) {
	lengths := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15}
	b := builder{lengths: lengths}
	c, err := b.build(true)
	if err != nil {
		t.Fatal(err)
	}
	for symbol, n := range lengths {
		word := uint64(1)<<symbol - 1 // ones, and a zero unless it is the last
		r := bitReader{value: word, count: 56}
		if got := c.symbol(&r); got != symbol || r.count != 56-uint(n) {
			t.Errorf("word %b: symbol %d of %d bits, want %d of %d", word, got, 56-r.count, symbol, n)
		}
	}
}

func TestConvertDistance(t *testing.T) {
	c := cursor{width: 100}
	for v, want := range map[int]int{1: 100, 2: 1, 3: 101, 4: 99, 120: 7*100 + 8, 121: 1, 1000: 880} {
		if got := c.convertDistance(v); got != want {
			t.Errorf("distance %d: %d pixels, want %d", v, got, want)
		}
	}
	narrow := cursor{width: 1}
	if got := narrow.convertDistance(113); got != 1 {
		t.Errorf("distance 113 in a picture of one column: %d pixels, want 1", got)
	}
}

func ExampleReadHeader() {
	h, err := ReadHeader([]byte{0x2f, 0, 0, 0, 0})
	fmt.Println(h.Width, h.Height, h.Alpha, err)
	// Output: 1 1 false <nil>
}
