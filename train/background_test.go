package train

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/dataset"
)

func init() {
	settingTests["Background"] = func(t *testing.T, data string) { testPasting(t, data) }
	settingTests["Masks"] = settingTests["Background"]
	settingTests["BackgroundShare"] = settingTests["Background"]
}

// masked gives the first training pictures of a class masks, white in a quarter.
func masked(t *testing.T, count, width, height int) string {
	t.Helper()
	folder := t.TempDir()
	for i := range count {
		m := image.NewGray(image.Rect(0, 0, width, height))
		for at := range width * height / 4 {
			m.SetGray(at%width, at/width, color.Gray{255})
		}
		write(t, filepath.Join(folder, fmt.Sprint(i)+".png"), m)
	}
	return folder
}

func write(t *testing.T, path string, p image.Image) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, p), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// pastingConfig trains on the pictures of one class's names only once: in drawn, both
// classes have pictures 0 to 5.
func pastingConfig(t *testing.T, data string) Config {
	c := tiny(t, data)
	c.Background, c.Masks, c.BackgroundShare = coloured(t, 5, 7), masked(t, 3, 40, 40), 1
	return c
}

func testPasting(t *testing.T, data string) {
	c := pastingConfig(t, data)
	view := func(c Config, sample int) []float32 {
		r := begun(t, c)
		v := make([]float32, r.train.length())
		if err := r.train.load(t.Context(), 1, 0, []int{sample}, v, make([]float32, 2)); err != nil {
			t.Fatal(err)
		}
		return v
	}
	without := c
	without.Background, without.Masks, without.BackgroundShare = "", "", 0
	if slices.Equal(view(c, 0), view(without, 0)) {
		t.Error("picture 0, which has a mask, keeps its background")
	}
	if !slices.Equal(view(c, 4), view(without, 4)) {
		t.Error("picture 4, which has no mask, is changed")
	}
	if begun(t, c).Data == begun(t, without).Data {
		t.Error("the digest of the data does not tell of masks and backgrounds")
	}
}

func TestBackgroundsSayWhatIsWrong(t *testing.T) {
	data := drawn(t)
	fails := func(c Config) error {
		t.Helper()
		_, err := Run(t.Context(), c, Progress{})
		if err == nil {
			t.Fatal("no error")
		}
		return err
	}
	c := pastingConfig(t, data)
	c.Masks = masked(t, 3, 40, 30)
	var size *MaskSizeError
	if err := fails(c); !errors.As(err, &size) || size.MaskSize != [2]int{40, 30} ||
		size.PictureSize != [2]int{40, 40} {
		t.Errorf("another size: %v", err)
	}
	c.Masks = t.TempDir()
	write(t, filepath.Join(c.Masks, "0.png"), image.NewGray(image.Rect(0, 0, 40, 40)))
	if err := fails(c); !errors.Is(err, errEmptyMask) {
		t.Errorf("a black mask: %v", err)
	}
	c.Masks = t.TempDir()
	write(t, filepath.Join(c.Masks, "elsewhere.png"), image.NewGray(image.Rect(0, 0, 40, 40)))
	if err := fails(c); !strings.Contains(err.Error(), "has no mask of a training picture") {
		t.Errorf("masks of other pictures: %v", err)
	}
	c = pastingConfig(t, data)
	c.Background = t.TempDir()
	if err := fails(c); !errors.Is(err, dataset.ErrNoPictures) {
		t.Errorf("no backgrounds: %v", err)
	}
	c = pastingConfig(t, data)
	c.Masks = ""
	if err := c.Validate(); err == nil {
		t.Error("backgrounds without masks are valid")
	}
	c = pastingConfig(t, data)
	if err := os.WriteFile(filepath.Join(c.Background, "bad.png"), []byte("\x89PNG\r\n\x1a\nbad"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := begun(t, c); len(r.tally.Skips()) != 1 {
		t.Errorf("skips %v", r.tally.Skips())
	}
}
