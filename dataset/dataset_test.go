package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"garb/picture"
)

// tree makes files, and folders for names that end in a slash.
func tree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOpen(t *testing.T) {
	root := tree(t, "shoes/b.jpg", "shoes/a.png", "hat/1", ".cache/x.jpg", "hat/.hidden", "readme.txt", "hat/deeper/2.jpg")
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []Sample{
		{filepath.Join(root, "hat", "1"), 0},
		{filepath.Join(root, "shoes", "a.png"), 1},
		{filepath.Join(root, "shoes", "b.jpg"), 1},
	}
	if !slices.Equal(s.Classes, []string{"hat", "shoes"}) || !slices.Equal(s.Samples, want) {
		t.Errorf("%v %v", s.Classes, s.Samples)
	}
}

func TestOpenFollowsLinks(t *testing.T) {
	real := tree(t, "1.jpg")
	root := tree(t, "hat/1.jpg")
	if err := os.Symlink(real, filepath.Join(root, "shoes")); err != nil {
		t.Skip("no links here:", err)
	}
	if s, err := Open(root); err != nil || len(s.Classes) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	if _, err := Open(tree(t, "a.jpg")); !errors.Is(err, ErrNoClasses) {
		t.Errorf("no classes: %v", err)
	}
	if _, err := Open(tree(t, "hat/a.jpg", "shoes/")); err == nil || !strings.Contains(err.Error(), "shoes") {
		t.Errorf("empty class: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nix")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestOpenSplits(t *testing.T) {
	s, err := OpenSplits(tree(t, "train/a/1", "train/b/1", "validation/a/1", "validation/b/1"), DefaultSplitRule())
	if err != nil || s.Test != nil || len(s.Train.Samples) != 2 || len(s.Validation.Samples) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = OpenSplits(tree(t, "train/a/1", "validation/a/1", "test/a/1"), DefaultSplitRule())
	if err != nil || s.Test == nil {
		t.Errorf("%+v, %v", s, err)
	}
	for name, names := range map[string][]string{
		"no validation": {"train/a/1"},
		"no train":      {"validation/a/1", "test/a/1"},
		"other classes": {"train/a/1", "train/b/1", "validation/a/1", "validation/c/1"},
		"no splits":     {"a/1", "b/1"},
	} {
		if _, err := OpenSplits(tree(t, names...), DefaultSplitRule()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEach(t *testing.T) {
	s := &Set{Samples: make([]Sample, 100)}
	var mu sync.Mutex
	seen := map[int]int{}
	if err := s.Each(context.Background(), func(i int) { mu.Lock(); seen[i]++; mu.Unlock() }); err != nil || len(seen) != 100 {
		t.Errorf("%d samples, %v", len(seen), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	count := 0
	err := s.Each(ctx, func(int) { mu.Lock(); count++; mu.Unlock(); cancel() })
	if !errors.Is(err, context.Canceled) || count > 20 {
		t.Errorf("%d samples after the end, %v", count, err)
	}
}

func TestRead(t *testing.T) {
	root := tree(t, "hat/1")
	s := Sample{filepath.Join(root, "hat", "1"), 0}
	if data, err := s.Read(picture.DefaultLimits()); err != nil || string(data) != "hat/1" {
		t.Errorf("%q, %v", data, err)
	}
	l := picture.DefaultLimits()
	l.MaxBytes = 2
	if _, err := s.Read(l); !errors.Is(err, picture.ErrTooLarge) || !strings.Contains(err.Error(), s.Path) {
		t.Errorf("%v", err)
	}
}

func ExampleOpen() {
	root, err := os.MkdirTemp("", "pictures")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(root)
	for _, class := range []string{"shoes", "hat"} {
		os.Mkdir(filepath.Join(root, class), 0o755)
		os.WriteFile(filepath.Join(root, class, "1.jpg"), nil, 0o644)
	}
	set, err := Open(root)
	fmt.Println(set.Classes, len(set.Samples), err)
	// Output: [hat shoes] 2 <nil>
}
