package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// levels returns the levels that this machine and build offer.
func levels() []Level { return offeredLevels() }

// use sets the level for the rest of a test.
func use(t testing.TB, l Level) {
	before := level
	level = l
	t.Cleanup(func() { level = before })
}

// eachLevel runs a test at each level.
func eachLevel(t *testing.T, test func(t *testing.T, l Level)) {
	for _, l := range levels() {
		t.Run(l.String(), func(t *testing.T) {
			use(t, l)
			test(t, l)
		})
	}
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// guard fills the memory round and between what a kernel may write. No test
// computes it.
const guard = -123456.75

// guarded is a slice with guard values before and after it, at an address that
// is not a multiple of a vector.
type guarded struct {
	values []float32
	all    []float32
}

const guardLen = 37 // more than two of the largest vectors, and odd

func newGuarded(n int) guarded {
	all := make([]float32, n+2*guardLen)
	for i := range all {
		all[i] = guard
	}
	return guarded{values: all[guardLen:][:n:n], all: all}
}

// check reports writes outside the slice.
func (g guarded) check(t tester) {
	t.Helper()
	for i, v := range g.all {
		if (i < guardLen || i >= guardLen+len(g.values)) && v != guard {
			t.Fatalf("value %d of a slice of %d was overwritten with %v", i-guardLen, len(g.values), v)
		}
	}
}

// random returns n values in [-1, 1), in a guarded slice: reading beside it would
// show.
func random(r *rand.Rand, n int) []float32 {
	g := newGuarded(n)
	for i := range g.values {
		g.values[i] = 2*r.Float32() - 1
	}
	return g.values
}

func newRand(seed ...int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, s := range seed {
		h = (h ^ uint64(s)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, 3))
}

// sumError bounds the rounding error of a float32 sum of n products, in any order
// and with or without fusing, whose absolute values add up to magnitude: Higham,
// Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1, with
// three more roundings for bias, residual and the reference itself.
func sumError(n int, magnitude float64) float64 {
	const unit = 1.0 / (1 << 24)
	nu := float64(n+3) * unit
	return nu/(1-nu)*magnitude + math.SmallestNonzeroFloat32*float64(n+3)
}

// activated computes the activations by their definition.
func activated(v float64, a Activation) float64 {
	switch a {
	case ReLU:
		return max(v, 0)
	case ReLU6:
		return min(max(v, 0), 6)
	}
	return v
}

// sameBits reports the first difference between two results. Zeros may differ in
// sign, and NaN is NaN.
func sameBits(a, b []float32) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d values and %d", len(a), len(b))
	}
	for i, v := range a {
		if v != b[i] && (v == v || b[i] == b[i]) {
			return fmt.Errorf("value %d: %v and %v", i, v, b[i])
		}
	}
	return nil
}

// mustPanic runs f, which must panic with the package's prefix and about.
func mustPanic(t *testing.T, about string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		text, _ := recover().(string)
		if !strings.HasPrefix(text, "kernel: ") || !strings.Contains(text, about) {
			t.Errorf("panic %q, want one about %q", text, about)
		}
	}()
	f()
}

func TestChoose(t *testing.T) {
	portable, old := []Level{Generic}, []Level{Generic, AVX2}
	wide, arm := []Level{Generic, AVX2, AVX512}, []Level{Generic, NEON}
	for _, c := range []struct {
		name    string
		offered []Level
		want    Level
		error   string
	}{
		{"", portable, Generic, ""},
		{"", old, AVX2, ""},
		{"", wide, AVX512, ""},
		{"", arm, NEON, ""},
		{"generic", wide, Generic, ""},
		{"generic", arm, Generic, ""},
		{"avx2", wide, AVX2, ""},
		{"avx2", old, AVX2, ""},
		{"avx512", wide, AVX512, ""},
		{"neon", arm, NEON, ""},
		{"avx512", old, AVX2, "offer only generic, avx2;"},
		{"avx2", portable, Generic, "offer only generic;"},
		{"avx2", arm, NEON, "offer only generic, neon;"},
		{"neon", wide, AVX512, "offer only generic, avx2, avx512;"},
		{"AVX2", wide, AVX512, "generic, avx2, avx512, neon and simd128"},
		{"sse9", arm, NEON, "generic, avx2, avx512, neon and simd128"},
	} {
		got, err := chooseLevel(c.name, c.offered)
		if got != c.want || (err == nil) != (c.error == "") {
			t.Errorf("chooseLevel(%q, %v) = %v, %v", c.name, c.offered, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.error) ||
			!strings.Contains(err.Error(), "GARB_CPU="+c.name)) {
			t.Errorf("chooseLevel(%q, %v): message %q", c.name, c.offered, err)
		}
	}
}

// TestEnvironment starts this program again, as GARB_CPU is read at start-up.
func TestEnvironment(t *testing.T) {
	if os.Getenv("KERNEL_TEST_PRINT") != "" {
		fmt.Printf("level=%v error=%v\n", ActiveLevel(), LevelError())
		return
	}
	program, err := os.Executable()
	if runtime.GOOS == "js" {
		t.Skip("a browser starts no programs")
	}
	if err != nil {
		t.Fatal(err)
	}
	all := levels()
	wants := map[string]string{"nonsense": fmt.Sprintf("level=%v error=GARB_CPU=nonsense", all[len(all)-1])}
	for _, l := range all {
		wants[l.String()] = fmt.Sprintf("level=%v error=<nil>", l)
	}
	for name, want := range wants {
		command := exec.Command(program, "-test.run=^TestEnvironment$")
		command.Env = append(os.Environ(), "GARB_CPU="+name, "KERNEL_TEST_PRINT=1")
		out, err := command.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skipf("this program runs under an emulator and cannot start itself: %v", err)
		}
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("GARB_CPU=%s: %v, %s; want %q", name, err, out, want)
		}
	}
}

func TestPause(t *testing.T) {
	for _, turns := range []int{-1, 0, 1, 1000} { // it returns
		Pause(turns)
	}
}

func TestPackPanics(t *testing.T) {
	mustPanic(t, "rows × columns", func() { Pack(make([]float32, 5), 2, 3, nil) })
}
