package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Unlabelled has pictures without labels, in splits.
type Unlabelled struct {
	Train, Validation, Test []string // paths
}

// ReadUnlabelled finds the pictures at a path as PicturesIn does, in splits. If the path is a
// folder with folders named as splits, these are the splits. Otherwise it divides the pictures by
// the rule's shares and seed and by the files' names, without a test split unless wantTest. It
// returns an error if there are splits but no train split, or other folders beside them. Other
// errors are PicturesIn's, or wrap ErrNoPictures.
func ReadUnlabelled(ctx context.Context, path string, rule SplitRule, wantTest bool, o Options,
	tally *Tally) (*Unlabelled, error) {
	u := &Unlabelled{}
	parts := map[string]*[]string{Train: &u.Train, Validation: &u.Validation, Test: &u.Test}
	found := false
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		names, err := listFolders(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			part := parts[parseSplit(name)]
			if part == nil {
				continue
			}
			pictures, err := Pictures(ctx, filepath.Join(path, name), tally)
			if err != nil {
				return nil, err
			}
			*part, found = append(*part, pictures...), true
		}
		for _, name := range names {
			if found && parts[parseSplit(name)] == nil {
				return nil, fmt.Errorf("%s has splits, and beside them the folder %q, which is none", path, name)
			}
		}
	}
	if !found {
		pictures, err := PicturesIn(ctx, path, o, tally)
		if err != nil {
			return nil, err
		}
		u.divide(pictures, rule, wantTest)
	}
	if len(u.Train) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrNoPictures)
	}
	return u, nil
}

// ErrNoPictures is wrapped by errors about paths without pictures to train on.
var ErrNoPictures = errors.New("there are no pictures to train on")

// divide draws the splits, each with at least one picture if there are enough.
func (u *Unlabelled) divide(pictures []string, rule SplitRule, wantTest bool) {
	rank := func(path string) string { return rule.rank(filepath.Base(path)) }
	order := slices.SortedFunc(slices.Values(pictures), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	take := func(share float64) int {
		return min(max(1, int(math.Round(share*float64(len(pictures))))), max(0, len(order)-1))
	}
	if wantTest {
		n := take(rule.Test)
		u.Test, order = order[:n], order[n:]
	}
	n := take(rule.Validation)
	u.Validation, u.Train = order[:n], order[n:]
	for _, part := range [][]string{u.Train, u.Validation, u.Test} {
		slices.Sort(part)
	}
}
