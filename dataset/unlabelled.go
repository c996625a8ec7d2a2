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

// Unlabelled is pictures without labels, in splits.
type Unlabelled struct {
	Train, Validation, Test []string // paths
}

// ReadUnlabelled lists the pictures of a path, as PicturesIn does, in splits: those that
// the folder has, under the names that data sets have, or drawn by the rule's shares and
// seed and each file's name. Without wantTest no test split is drawn. A folder with splits
// but without train is an error; files beside its splits are counted in tally. Errors are
// PicturesIn's, or say that there are no pictures.
func ReadUnlabelled(ctx context.Context, path string, rule SplitRule, wantTest bool, o Options,
	tally *Tally) (*Unlabelled, error) {
	u := &Unlabelled{}
	parts := map[string]*[]string{Train: &u.Train, Validation: &u.Validation, Test: &u.Test}
	found := false
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		names, err := subfolders(path)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			part := parts[splitOf(name)]
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
			if found && parts[splitOf(name)] == nil {
				return nil, fmt.Errorf("%s: it has splits, and the folder %q beside them: is it of one of them?",
					path, name)
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

// ErrNoPictures is wrapped by errors about folders of pictures that have none to train on.
var ErrNoPictures = errors.New("it has no pictures to train on")

// divide draws the splits: at least one picture for each that is wanted, if there are
// enough.
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
