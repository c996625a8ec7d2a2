package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir()) // where features are kept
	data := t.TempDir()
	random := rand.New(rand.NewPCG(5, 5))
	for split, count := range map[string]int{"train": 6, "validation": 3} {
		for i := range count {
			write(t, filepath.Join(data, split, "balls", fmt.Sprintf("%d.png", i)), ball(random))
			write(t, filepath.Join(data, split, "stripes", fmt.Sprintf("%d.png", i)), stripes(random))
		}
	}
	for class, m := range map[string]image.Image{"balls": ball(random), "stripes": stripes(random)} {
		picture := filepath.Join(t.TempDir(), "unseen.png")
		write(t, picture, m)
		var b bytes.Buffer
		if err := run(context.Background(), &b, data, picture, filepath.Join(t.TempDir(), "run")); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 11 || !strings.HasPrefix(lines[10], picture+": "+class+", ") {
			t.Errorf("%s: it says\n%s", class, &b)
		}
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	err := run(t.Context(), new(bytes.Buffer), nowhere, nowhere, filepath.Join(t.TempDir(), "run"))
	if err == nil || !strings.Contains(err.Error(), nowhere) {
		t.Errorf("data that is not there: %v", err)
	}
}

func TestProgramIsShort(t *testing.T) {
	const most = 60 // lines, what the README promises
	text, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > most {
		t.Errorf("main.go has %d lines, more than %d", n, most)
	}
}

func ball(random *rand.Rand) image.Image {
	x0, y0, radius := 30+40*random.Float64(), 30+40*random.Float64(), 15+10*random.Float64()
	return draw(func(x, y float64) bool { return math.Hypot(x-x0, y-y0) < radius })
}

func stripes(random *rand.Rand) image.Image {
	begin, width := 20*random.Float64(), 6+4*random.Float64()
	return draw(func(x, _ float64) bool { return math.Mod(x+begin, 2*width) < width })
}

// draw draws what is on in white, on black.
func draw(on func(x, y float64) bool) image.Image {
	const side = 100
	m := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			if on(float64(x), float64(y)) {
				m.SetGray(x, y, color.Gray{Y: 230})
			}
		}
	}
	return m
}

func write(t *testing.T, path string, m image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
