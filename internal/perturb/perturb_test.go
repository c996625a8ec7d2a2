package perturb_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"garb/internal/perturb"
	"garb/model"
	"garb/picture"
)

// digests are those of golden picture 1 after each change; they are the same on every machine.
var digests = map[string]string{
	"turned-90": "1d52b7c620018657", "turned-180": "7a019e06fec93d00", "turned-20": "c5b1e2b01351800a",
	"half": "578e9b794891d289", "middle": "7cc99d8bd0991f62", "small": "1c91004f2db52218",
	"blurred": "df4ef9c40a65f372", "noisy": "f014cd05e440d2b1",
}

func TestAll(t *testing.T) {
	sizes := map[string][2]int{
		"turned-90": {200, 160}, "turned-180": {160, 200}, "turned-20": {160, 200}, "half": {160, 200},
		"middle": {96, 120}, "small": {48, 60}, "blurred": {160, 200}, "noisy": {160, 200},
	}
	for _, change := range perturb.All() {
		p := model.DrawGoldenPicture(1)
		before := bytes.Clone(p.Pix)
		out := change.Apply(p, 7)
		if !bytes.Equal(p.Pix, before) {
			t.Errorf("%s changes its input", change.Name)
		}
		if got := [2]int{out.Width, out.Height}; got != sizes[change.Name] || len(out.Pix) != 3*out.Width*out.Height {
			t.Errorf("%s: %v pixels and %d values, want %v", change.Name, got, len(out.Pix), sizes[change.Name])
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(out.Pix))[:16]; got != digests[change.Name] {
			t.Errorf("%s: digest %q, want %q", change.Name, got, digests[change.Name])
		}
		for _, size := range [][2]int{{1, 1}, {1, 9}, {300, 2}} { // none may fail
			change.Apply(&picture.RGB{Width: size[0], Height: size[1], Pix: make([]uint8, 3*size[0]*size[1])}, 1)
		}
	}
}

// numbered returns a picture of 4 × 3 pixels, each of whose values is different.
func numbered() *picture.RGB {
	p := &picture.RGB{Width: 4, Height: 3}
	for i := range 12 {
		p.Pix = append(p.Pix, uint8(10*i), uint8(10*i+1), uint8(10*i+2))
	}
	return p
}

func TestRotateQuarter(t *testing.T) {
	p := numbered()
	q := perturb.RotateQuarter(p)
	// The lower left corner moves to the upper left.
	if q.Width != 3 || q.Height != 4 || q.Pix[0] != 80 || q.Pix[3] != 40 || q.Pix[3*11] != 30 {
		t.Errorf("got %d × %d: %v", q.Width, q.Height, q.Pix)
	}
	if back := perturb.RotateQuarter(perturb.RotateQuarter(perturb.RotateQuarter(q))); !bytes.Equal(back.Pix, p.Pix) {
		t.Error("four quarter turns do not restore the picture")
	}
}

func TestRotate(t *testing.T) {
	p := numbered()
	if got := perturb.Rotate(p, 0); !bytes.Equal(got.Pix, p.Pix) {
		t.Errorf("rotated by 0°: %v", got.Pix)
	}
	square := model.DrawGoldenPicture(0)
	square = perturb.CropMiddle(square, 60)
	square.Height = square.Width
	square.Pix = square.Pix[:3*square.Width*square.Height]
	if !bytes.Equal(perturb.Rotate(square, 90).Pix, perturb.RotateQuarter(square).Pix) {
		t.Error("Rotate by 90° and RotateQuarter differ: do they rotate the same way?")
	}
	if corner := perturb.Rotate(square, 45).Pix[:3]; !bytes.Equal(corner, []uint8{128, 128, 128}) {
		t.Errorf("a corner from outside is %v, want grey", corner)
	}
}

func TestShrink(t *testing.T) {
	p := &picture.RGB{Width: 8, Height: 8, Pix: bytes.Repeat([]byte{200}, 3*64)}
	for i, v := range perturb.Shrink(p).Pix {
		x, y, want := i/3%8, i/3/8, uint8(128)
		if x >= 2 && x < 6 && y >= 2 && y < 6 {
			want = 200
		}
		if v != want {
			t.Fatalf("(%d, %d) is %d, want %d", x, y, v, want)
		}
	}
}

func TestCropMiddle(t *testing.T) {
	if got := perturb.CropMiddle(numbered(), 50); got.Width != 2 || got.Height != 1 || got.Pix[0] != 50 ||
		got.Pix[3] != 60 {
		t.Errorf("got %d × %d: %v", got.Width, got.Height, got.Pix)
	}
}

// TestBlur checks that a bar spreads by the given deviation, and that the sum of the values stays.
func TestBlur(t *testing.T) {
	const side, pixels = 400, 4
	p := &picture.RGB{Width: side, Height: side, Pix: make([]uint8, 3*side*side)}
	const bar = 40 // pixels wide, since a single pixel would round to nothing
	for y := range side {
		for x := side/2 - bar/2; x < side/2+bar/2; x++ {
			p.Pix[3*(y*side+x)] = 240
		}
	}
	out := perturb.Blur(p, pixels)
	var sum, square float64
	for x := range side {
		v, d := float64(out.Pix[3*(side/2*side+x)]), float64(x)-side/2+0.5
		sum, square = sum+v, square+v*d*d
	}
	want := math.Sqrt(pixels*pixels + bar*bar/12.0) // variances add up
	if got := math.Sqrt(square / sum); math.Abs(got-want) > 0.05 || math.Abs(sum-240*bar) > 40 {
		t.Errorf("deviation %.2f, want %.2f; sum %.0f, want %d", got, want, sum, 240*bar)
	}
}

func TestAddNoise(t *testing.T) {
	p := &picture.RGB{Width: 100, Height: 100, Pix: bytes.Repeat([]byte{128}, 3*100*100)}
	out := perturb.AddNoise(p, 25, 1)
	var sum, square float64
	for _, v := range out.Pix {
		d := float64(v) - 128
		sum, square = sum+d, square+d*d
	}
	n := float64(len(out.Pix))
	if mean, deviation := sum/n, math.Sqrt(square/n); math.Abs(mean) > 0.5 || math.Abs(deviation-25) > 0.5 {
		t.Errorf("noise has mean %.2f and deviation %.2f, want 0 and 25", mean, deviation)
	}
	if bytes.Equal(out.Pix, perturb.AddNoise(p, 25, 2).Pix) {
		t.Error("two seeds give the same noise")
	}
}
