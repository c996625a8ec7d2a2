package vp8

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"
)

// encode encodes decisions with their probabilities (RFC 6386, section 7.3).
func encode(decisions []bool, probabilities []uint8) []byte {
	number, width, bits := new(big.Int), uint(255), uint(0)
	for i, one := range decisions {
		split := 1 + (width-1)*uint(probabilities[i])>>8
		if one {
			number.Add(number, big.NewInt(int64(split)))
			width -= split
		} else {
			width = split
		}
		for width < 128 {
			width <<= 1
			number.Lsh(number, 1)
			bits++
		}
	}
	bits += 8
	pad := -bits & 7
	number.Lsh(number, pad)
	return number.FillBytes(make([]byte, (bits+pad)/8))
}

func TestBoolReader(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for _, n := range []int{1, 7, 8, 100, 5000} {
		decisions, probabilities := make([]bool, n), make([]uint8, n)
		for i := range decisions {
			probabilities[i] = uint8(random.Uint32())
			decisions[i] = random.UintN(256) >= uint(probabilities[i])
		}
		data := encode(decisions, probabilities)
		r := newBoolReader(data)
		for i, want := range decisions {
			if got := r.read(probabilities[i]); got != want {
				t.Fatalf("decision %d of %d is %v", i, n, got)
			}
		}
		if r.ended {
			t.Errorf("%d decisions: the reader ended early", n)
		}
		for range 16 {
			r.readFlag()
		}
		if !r.ended {
			t.Errorf("%d decisions: the reader does not know that the data ended", n)
		}
	}
}

func TestReadNumbers(t *testing.T) {
	// 5; −2, which is there; none.
	bits := []bool{true, false, true, true, true, false, true, false}
	r := newBoolReader(encode(bits, bytes.Repeat([]byte{128}, len(bits))))
	if v := r.readNumber(3); v != 5 {
		t.Errorf("number %d, want 5", v)
	}
	if v := r.readOptional(2); v != -2 {
		t.Errorf("signed number %d, want −2", v)
	}
	if v := r.readOptional(2); v != 0 {
		t.Errorf("missing number %d, want 0", v)
	}
}
