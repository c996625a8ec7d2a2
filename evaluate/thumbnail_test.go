package evaluate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadThumbnail reads a picture, one that is cut short, and none.
func TestReadThumbnail(t *testing.T) {
	photo, err := os.ReadFile("../examples/t-shirt.jpg")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, test := range map[string]struct {
		data  []byte
		shown bool
	}{
		"whole.jpg": {photo, true}, "cut.jpg": {photo[:len(photo)/2], true}, "text.jpg": {[]byte("text"), false},
	} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		url, err := ReadThumbnail(t.Context(), path, 20)
		if (err == nil) != test.shown || strings.HasPrefix(string(url), "data:image/jpeg;base64,") != test.shown {
			t.Errorf("%s: %.40q, %v", name, url, err)
		}
	}
	if _, err := ReadThumbnail(t.Context(), filepath.Join(folder, "gone.jpg"), 20); err == nil {
		t.Error("a file that is gone has a thumbnail")
	}
}
