package garb_test

import (
	"bytes"
	"image"
	"image/png"
	"math/rand/v2"
	"testing"

	"garb"
	"garb/internal/drawn"
	"garb/internal/kernel"
	"garb/picture"
)

// encoded is a picture as a PNG file.
func encoded(t *testing.T, p *picture.RGB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:], []uint8{p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The built-in models are right about the pictures that README.md shows: classes that were
// swapped, or a threshold that was lost, would show here.
func TestExamples(t *testing.T) {
	for _, name := range []string{garb.Clothing, garb.Garments} {
		c, err := garb.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, class := range []string{"t-shirt", "dress", "longsleeve", "pants", "skirt"} {
			a := classify(t, c, garb.FromBytes(read(t, "examples/"+class+".jpg")))
			if !a.Accepted || a.Class != class {
				t.Errorf("%s: %s is %q, accepted %v (%.3f)", name, class, a.Class, a.Accepted,
					a.Acceptance)
			}
		}
		if a := classify(t, c, garb.FromBytes(read(t, "examples/cat.jpg"))); a.Accepted || a.Refusal != "not clothing" {
			t.Errorf("%s: the cat is accepted (%.3f)", name, a.Acceptance)
		}
	}
}

// The built-in models accept no picture of nothing. MODEL_CARD.md has the figure for 200.
func TestNothingIsRefused(t *testing.T) {
	count := 60
	if testing.Short() || kernel.ActiveLevel() == kernel.Generic {
		count = 20 // every kind once
	}
	for _, name := range []string{garb.Clothing, garb.Garments} {
		c, err := garb.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(what string, p *picture.RGB) {
			t.Helper()
			if a, err := c.Classify(t.Context(), garb.FromBytes(encoded(t, p))); err != nil || a.Accepted {
				t.Errorf("%s: %s is %s (%.3f), %v", name, what, a.Class, a.Acceptance, err)
			}
		}
		for n := range count {
			p, kind := drawn.DrawOther(77, n)
			refuse(kind, p)
		}
		for what, level := range map[string]func(*rand.Rand) uint8{
			"black": func(*rand.Rand) uint8 { return 0 },
			"white": func(*rand.Rand) uint8 { return 255 },
			"noise": func(r *rand.Rand) uint8 { return uint8(r.Uint32()) },
		} {
			p, r := &picture.RGB{Width: 64, Height: 48}, rand.New(rand.NewPCG(1, 1))
			for range 3 * p.Width * p.Height {
				p.Pix = append(p.Pix, level(r))
			}
			refuse(what, p)
		}
	}
}
