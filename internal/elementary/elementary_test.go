package elementary

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestSpecialCases checks limits, NaN, infinities and zeros.
func TestSpecialCases(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name    string
		compute func(float64) float64
		x, want float64
	}{
		{"Exp", Exp, 0, 1}, {"Exp", Exp, math.Copysign(0, -1), 1}, {"Exp", Exp, inf, inf}, {"Exp", Exp, -inf, 0},
		{"Exp", Exp, nan, nan}, {"Exp", Exp, 710, inf}, {"Exp", Exp, -746, 0}, {"Exp", Exp, -1e300, 0},
		{"Exp", Exp, 1e-300, 1}, {"Exp", Exp, -745, 5e-324}, {"Exp", Exp, largestExponent, 0x1.fffffffffff2ap+1023},
		{"Log", Log, 1, 0}, {"Log", Log, 0, -inf}, {"Log", Log, math.Copysign(0, -1), -inf}, {"Log", Log, inf, inf},
		{"Log", Log, -1, nan}, {"Log", Log, -inf, nan}, {"Log", Log, nan, nan},
		{"Log", Log, 5e-324, -0x1.74385446d71c3p+9}, {"Log", Log, math.MaxFloat64, largestExponent},
	} {
		if got := c.compute(c.x); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s(%v) = %v (%[3]x), want %v", c.name, c.x, got, c.want)
		}
	}
}

// samples calls check with numbers of all kinds that answers need, and many more.
func samples(check func(x float64)) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		for _, bound := range []float64{700, 10, 1, 1e-5} {
			check(bound * (1 - 2*random.Float64())) // 2·x is exact, so that fusing changes nothing
		}
	}
}

// TestAccuracy compares with math's functions, whose own error is less than 1 unit in the last place.
func TestAccuracy(t *testing.T) {
	compare := func(name string, x, got, want float64) {
		if unit := math.Nextafter(math.Abs(want), math.Inf(1)) - math.Abs(want); !(math.Abs(got-want) <= 2*unit) {
			t.Errorf("%s(%v) = %v, want %v", name, x, got, want)
		}
	}
	samples(func(x float64) {
		compare("Exp", x, Exp(x), math.Exp(x))
		compare("Log", math.Exp(x), Log(math.Exp(x)), math.Log(math.Exp(x)))
		compare("Log", math.Abs(x), Log(math.Abs(x)), math.Log(math.Abs(x)))
		compare("Log", 1+x/1e4, Log(1+x/1e4), math.Log(1+x/1e4))
	})
}

// TestExpError compares Exp with its series in 200 bits.
func TestExpError(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	worst := 0.0
	for range 2000 {
		x := random.Float64()*40 - 20
		exact, term := big.NewFloat(1).SetPrec(200), big.NewFloat(1).SetPrec(200)
		for n := 1; n < 200; n++ {
			term.Mul(term, big.NewFloat(x)).Quo(term, big.NewFloat(float64(n)))
			exact.Add(exact, term)
		}
		got := Exp(x)
		difference, _ := new(big.Float).Sub(exact, big.NewFloat(got)).Float64()
		worst = max(worst, math.Abs(difference)/(math.Nextafter(got, math.Inf(1))-got))
	}
	t.Logf("largest error: %.3f units in the last place", worst)
	if worst >= 1 {
		t.Errorf("an error of %.3f units in the last place", worst)
	}
}

// TestDigest checks that this machine gives the bits of amd64.
func TestDigest(t *testing.T) {
	hash := sha256.New()
	samples(func(x float64) {
		for _, v := range []float64{Exp(x), Log(math.Abs(x)), Log(1 + x/1e4)} {
			hash.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
		}
	})
	const want = "82ce9706a2055c9eface13520627d402"
	if got := fmt.Sprintf("%x", hash.Sum(nil)[:16]); got != want {
		t.Errorf("the digest of the results is %s, want %s", got, want)
	}
}
