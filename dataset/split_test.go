package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDivide: whatever the pictures and the rule, the splits are disjoint, complete,
// stratified to a picture, and the same each time; adding a picture moves few others.
func TestDivide(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &Set{Folder: "f"}
		for class := range rapid.IntRange(1, 4).Draw(r, "classes") {
			s.Classes = append(s.Classes, fmt.Sprint(class))
			for i := range rapid.IntRange(3, 60).Draw(r, "pictures") {
				s.Samples = append(s.Samples, Sample{fmt.Sprintf("f/%d/%d.jpg", class, i), class})
			}
		}
		s.sort()
		rule := SplitRule{
			Validation: rapid.Float64Range(0.01, 0.3).Draw(r, "validation"), Test: rapid.Float64Range(0, 0.3).Draw(r, "test"),
			Seed: rapid.Uint64().Draw(r, "seed"),
		}
		splits, err := rule.divide(s)
		if err != nil {
			r.Fatal(err)
		}
		if (splits.Test == nil) != (rule.Test == 0) {
			r.Fatal("a test split that was not asked for, or none")
		}
		place := map[string]string{}
		for name, part := range map[string]*Set{"train": splits.Train.Set, "validation": splits.Validation, "test": splits.Test} {
			if part == nil {
				continue
			}
			counts := make([]int, len(s.Classes))
			for _, sample := range part.Samples {
				if place[sample.Path] != "" {
					r.Fatalf("%s is in %s and %s", sample.Path, place[sample.Path], name)
				}
				place[sample.Path] = name
				counts[sample.Label]++
			}
			for label, n := range counts {
				all := 0
				for _, sample := range s.Samples {
					if sample.Label == label {
						all++
					}
				}
				share := map[string]float64{"train": 1 - rule.Validation - rule.Test, "validation": rule.Validation, "test": rule.Test}[name]
				if n == 0 || float64(n) > share*float64(all)+2 || float64(n) < share*float64(all)-2 {
					r.Fatalf("%d of %d pictures of class %d in %s, a share of %v", n, all, label, name, share)
				}
			}
		}
		if len(place) != len(s.Samples) {
			r.Fatalf("%d of %d pictures are in a split", len(place), len(s.Samples))
		}
		again, _ := rule.divide(s)
		if !slices.Equal(again.Train.Samples, splits.Train.Samples) {
			r.Fatal("another division of the same pictures")
		}
		more := &Set{Folder: "f", Classes: s.Classes, Samples: append(slices.Clone(s.Samples), Sample{"f/0/new.jpg", 0})}
		more.sort()
		after, err := rule.divide(more)
		if err != nil {
			r.Fatal(err)
		}
		moved := 0
		for name, part := range map[string]*Set{"train": after.Train.Set, "validation": after.Validation, "test": after.Test} {
			if part == nil {
				continue
			}
			for _, sample := range part.Samples {
				if before := place[sample.Path]; before != "" && before != name {
					moved++
				}
			}
		}
		if moved > 3 {
			r.Fatalf("a new picture moved %d others", moved)
		}
	})
}

func TestDivideRefuses(t *testing.T) {
	two := &Set{Classes: []string{"a"}, Samples: []Sample{{"1", 0}, {"2", 0}}}
	if _, err := DefaultSplitRule().divide(two); !errors.Is(err, ErrTooFew) {
		t.Errorf("%v", err)
	}
	for _, rule := range []SplitRule{{}, {Validation: 0.5, Test: 0.5}, {Validation: -1}, {Validation: 0.1, Test: -0.1}} {
		if _, err := rule.divide(two); err == nil {
			t.Errorf("%+v was taken", rule)
		}
	}
}

// list makes a folder with images.csv.
func list(t *testing.T, csv string, folders ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, listFile), []byte(csv), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if err := os.Mkdir(filepath.Join(root, f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestList(t *testing.T) {
	var csv strings.Builder
	csv.WriteString("image,sender_id,label,kids\n")
	for i := range 12 {
		fmt.Fprintf(&csv, "id-%d,7,%s,False\n", i, []string{"T-Shirt", "Shoes", "Not sure"}[i%3])
	}
	root := list(t, csv.String(), "images_original", "images_compressed")
	s, err := OpenSplits(root, DefaultSplitRule())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Train.Classes, []string{"Shoes", "T-Shirt"}) || len(s.Train.Samples) != 4 || len(s.Validation.Samples) != 2 || len(s.Test.Samples) != 2 {
		t.Errorf("%+v", s)
	}
	if path := s.Train.Samples[0].Path; filepath.Dir(path) != filepath.Join(root, "images_compressed") || filepath.Ext(path) != ".jpg" {
		t.Errorf("path %s", path)
	}
	for name, c := range map[string]struct{ csv, want string }{
		"no columns":   {"a,b\n1,2\n", "needs image and label"},
		"empty":        {"", "cannot be read"},
		"no rows":      {"image,label\n", "no row has a label"},
		"short row":    {"image,label,kids\n1,Shoes,False\n2,Shoes\n", "line 3"},
		"path":         {"image,label\n1,Shoes\n../../x,Shoes\n", "line 3"},
		"broken quote": {"image,label\n\"1,Shoes\n", "line"},
	} {
		if _, err := OpenSplits(list(t, c.csv, "images"), DefaultSplitRule()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := OpenSplits(list(t, csv.String()), DefaultSplitRule()); err == nil || !strings.Contains(err.Error(), "images_compressed") {
		t.Errorf("no pictures: %v", err)
	}
}
