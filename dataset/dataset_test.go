package dataset

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

func TestEach(t *testing.T) {
	s := &Set{Samples: make([]Sample, 100)}
	var mu sync.Mutex
	seen := map[int]int{}
	if err := s.Each(context.Background(), func(i int) { mu.Lock(); seen[i]++; mu.Unlock() }); err != nil ||
		len(seen) != 100 {
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
	s := Sample{Path: filepath.Join(root, "hat", "1")}
	if data, err := s.Read(picture.DefaultLimits()); err != nil || string(data) != "hat/1" {
		t.Errorf("%q, %v", data, err)
	}
	l := picture.DefaultLimits()
	l.MaxBytes = 2
	if _, err := s.Read(l); !errors.Is(err, picture.ErrTooLarge) || !strings.Contains(err.Error(), s.Path) {
		t.Errorf("%v", err)
	}
}
