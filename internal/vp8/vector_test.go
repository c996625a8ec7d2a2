package vp8

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func randomBytes(random *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = uint8(random.Uint32())
	}
	return data
}

// TestReadTokens reads blocks from random data until they end, and compares everything with the
// portable code.
func TestReadTokens(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for round := range 300 {
		var table tokenTable
		for place := range table {
			for context := range table[place] {
				copy(table[place][context][:], randomBytes(random, tokenNodes))
			}
		}
		data := randomBytes(random, random.IntN(200))
		if round%3 == 0 { // which no encoder writes
			copy(data, "\xff\xff\xff\xff\xff\xff\xff\xff")
		}
		got := newBoolReader(data)
		want := got
		for i := 0; !want.ended || i < 5; i++ {
			context, first := random.IntN(contexts), random.IntN(2)
			q := steps{random.Int32N(315) + 1, random.Int32N(441) + 1}
			var gotOut, wantOut [16]int16
			n := readTokens(&got, &table, context, first, &q, &gotOut)
			wantN := readTokensGeneric(&want, &table, context, first, &q, &wantOut)
			if n != wantN || gotOut != wantOut || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d, block %d: %d %v %v\nwant %d %v %v", round, i, n, gotOut, got, wantN, wantOut, want)
			}
		}
	}
}

func randomWorkspace(random *rand.Rand) (w workspace) {
	copy(w[:], randomBytes(random, len(w)))
	return w
}

func TestResiduals(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 0))
	for range 2000 {
		var blocks [32]int16
		most := []int32{1, 100, 2000, 32767}[random.IntN(4)]
		for i := range blocks {
			if random.IntN(3) == 0 {
				blocks[i] = int16(random.Int32N(2*most+1) - most)
			}
		}
		w := randomWorkspace(random)
		one, two, wantOne, wantTwo := w, w, w, w
		addOne((*[16]int16)(blocks[:]), &one, lumaAt)
		addResidual((*[16]int16)(blocks[:]), &wantOne, lumaAt)
		addTwo(&blocks, &two, vAt)
		addResidual((*[16]int16)(blocks[:]), &wantTwo, vAt)
		addResidual((*[16]int16)(blocks[16:]), &wantTwo, vAt+4)
		if one != wantOne || two != wantTwo {
			t.Fatalf("blocks %v: other samples than those of the portable code", blocks)
		}
	}
}

// TestResidualsOfFewCoefficients compares the short transforms with the whole one.
func TestResidualsOfFewCoefficients(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	for range 2000 {
		var block [16]int16
		w := randomWorkspace(random)
		block[0] = int16(random.Int32N(4000) - 2000)
		got, want := w, w
		addDC(block[0], &got, uAt)
		addResidual(&block, &want, uAt)
		if got != want {
			t.Fatalf("DC %d", block[0])
		}
		block[1], block[4] = int16(random.Int32N(2000)-1000), int16(random.Int32N(2000)-1000)
		got, want = w, w
		addFewResidual(&block, &got, uAt)
		addResidual(&block, &want, uAt)
		if got != want {
			t.Fatalf("block %v", block)
		}
	}
}

func TestTrueMotion(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 0))
	for range 200 {
		w := randomWorkspace(random)
		for at, size := range map[int]int{lumaAt: 16, uAt: 8, vAt: 8} {
			got, want := w, w
			predictTrueMotion(&got, at, size)
			predictTrueMotionGeneric(&want, at, size)
			if got != want {
				t.Fatalf("%d samples at %d", size, at)
			}
		}
	}
}

// TestFilters filters smooth and rough samples with all kinds of strength.
func TestFilters(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 0))
	for round := range 3000 {
		c := newRowCache(2)
		base, noise := random.Int32N(256), random.Int32N(1<<random.IntN(9)+1)
		for _, p := range [][]uint8{c.luma, c.u, c.v} {
			for i := range p {
				p[i] = clamp(base + random.Int32N(2*noise+1) - noise)
			}
		}
		got, want := c, c
		for _, p := range []*[]uint8{&got.luma, &got.u, &got.v} {
			*p = slices.Clone(*p)
		}
		s := newStrength(1+random.IntN(63), random.IntN(8))
		s.inner = random.IntN(2) == 0
		left, above := random.IntN(2) == 0, random.IntN(2) == 0
		luma, chroma := c.lumaStart+16, c.chromaStart+8
		if round%2 == 0 {
			filterNormal(&got, luma, chroma, s, left, above)
			filterNormalGeneric(&want, luma, chroma, s, left, above)
		} else {
			filterSimple(got.luma, luma, c.lumaStride, s, left, above)
			filterSimpleGeneric(want.luma, luma, c.lumaStride, s, left, above)
		}
		if !bytes.Equal(got.luma, want.luma) || !bytes.Equal(got.u, want.u) || !bytes.Equal(got.v, want.v) {
			t.Fatalf("round %d, %+v, left %v, above %v: other samples", round, s, left, above)
		}
	}
}

func TestUpsampleAndConvert(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 0))
	for width := 1; width < 150; width++ {
		n := (width + 1) / 2
		near, far := randomBytes(random, n+padding), randomBytes(random, n+padding)
		got, want := make([]uint8, width+padding), make([]uint8, width+padding)
		upsample(got, near, far, n)
		upsampleGeneric(want, near, far, n)
		if !bytes.Equal(got[:width], want[:width]) {
			t.Fatalf("width %d: chroma %v, want %v", width, got[:width], want[:width])
		}
		luma, v := randomBytes(random, width+padding), randomBytes(random, width+padding)
		gotRow := make([]uint8, 3*width+1) // one byte to be left alone
		wantRow := make([]uint8, 3*width+1)
		convert(gotRow[:3*width], luma, want, v)
		convertGeneric(wantRow[:3*width], luma, want, v)
		if !bytes.Equal(gotRow, wantRow) {
			t.Fatalf("width %d: pixels %v, want %v", width, gotRow, wantRow)
		}
	}
}

// TestConvertAll converts all levels of luma with all of each kind of chroma.
func TestConvertAll(t *testing.T) {
	var luma, u, v [256 + padding]uint8
	for i := range 256 {
		luma[i] = uint8(i)
	}
	var got, want [3 * 256]uint8
	for chroma := range 256 {
		for i := range u {
			u[i], v[i] = uint8(chroma), uint8(255-chroma)
		}
		convert(got[:], luma[:], u[:], v[:])
		convertGeneric(want[:], luma[:], u[:], v[:])
		if got != want {
			t.Fatalf("chroma %d", chroma)
		}
	}
}
