package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"garb/augment"
	"garb/dataset"
	"garb/picture"
)

// MaskSizeError says that a mask and its picture differ in size.
type MaskSizeError struct {
	Mask, Picture         string // paths
	MaskSize, PictureSize [2]int // width and height, in pixels, of the upright picture
}

func (e *MaskSizeError) Error() string {
	return fmt.Sprintf("the mask %s has %d × %d pixels, but its picture %s has %d × %d",
		e.Mask, e.MaskSize[0], e.MaskSize[1], e.Picture, e.PictureSize[0], e.PictureSize[1])
}

// setBackgrounds finds the masks of the training pictures and the background pictures, checks all
// of them, and makes views paste training pictures onto backgrounds.
func (r *run) setBackgrounds(ctx context.Context, views *augment.Views, limits picture.Limits) error {
	c := r.Config
	if c.Background == "" {
		return nil
	}
	masks, err := findMasks(ctx, c.Masks)
	if err != nil {
		return err
	}
	b := augment.Backgrounds{Share: c.BackgroundShare, Masks: make([]string, len(r.train.set.Samples))}
	digests := make([]string, len(r.train.set.Samples))
	err = forEach(ctx, len(b.Masks), func(i int) error {
		s := r.train.set.Samples[i]
		path := masks[baseName(s.Path)]
		if path == "" {
			return nil
		}
		b.Masks[i] = path
		digest, maskErr := checkMask(ctx, path, s, limits)
		digests[i] = digest
		return maskErr
	})
	if err != nil {
		return err
	}
	if strings.Join(b.Masks, "") == "" {
		return fmt.Errorf("masks: %s has no mask of a training picture: the mask of NAME.jpg is NAME.png", c.Masks)
	}
	paths, backgroundDigests, err := r.openBackgrounds(ctx, limits)
	if err != nil {
		return err
	}
	b.Paths = paths
	all := sha256.New()
	fmt.Fprintln(all, r.Data, digests, backgroundDigests)
	r.Data = fmt.Sprintf("sha256:%x", all.Sum(nil))
	views.SetBackgrounds(b)
	return nil
}

// openBackgrounds returns the background pictures that can be read, and their digests.
func (r *run) openBackgrounds(ctx context.Context, limits picture.Limits) (paths, digests []string, err error) {
	folder := r.Config.Background
	found, err := dataset.PicturesIn(ctx, folder, dataset.Options{}, r.tally)
	if err != nil {
		return nil, nil, fmt.Errorf("backgrounds: %w", err)
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("backgrounds: %s: %w", folder, dataset.ErrNoPictures)
	}
	set := &dataset.Set{Folder: folder}
	for _, path := range found {
		set.Samples = append(set.Samples, dataset.Sample{Path: path})
	}
	try := tryDecode(ctx, r.Config.Preprocessing, limits)
	kept, scan, err := scanPictures(ctx, set, limits, r.tally, func() {}, try)
	if err != nil {
		return nil, nil, fmt.Errorf("backgrounds: %w", err)
	}
	for _, s := range kept.Samples {
		paths = append(paths, s.Path)
	}
	if r.Config.Strict {
		err = r.tally.Strict()
	}
	return paths, scan.digests, err
}

// baseName returns the last element of a path without its extension.
func baseName(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// findMasks returns the paths of the masks below a folder by their base names. Two masks of the same
// name are an error.
func findMasks(ctx context.Context, folder string) (map[string]string, error) {
	var tally dataset.Tally // files that are not pictures do not matter here
	paths, err := dataset.Pictures(ctx, folder, &tally)
	if err != nil {
		return nil, fmt.Errorf("masks: %w", err)
	}
	masks := map[string]string{}
	for _, path := range paths {
		if !strings.EqualFold(filepath.Ext(path), ".png") {
			continue
		}
		if before := masks[baseName(path)]; before != "" {
			return nil, fmt.Errorf("masks: %s and %s have the same name: rename one", before, path)
		}
		masks[baseName(path)] = path
	}
	if len(masks) == 0 {
		return nil, fmt.Errorf("masks: %s has no PNG files", folder)
	}
	return masks, nil
}

var errEmptyMask = errors.New("the mask is all black: it marks no object")

// checkMask checks that a mask can be used for a picture, and returns its digest.
func checkMask(ctx context.Context, path string, s dataset.Sample, limits picture.Limits) (digest string, err error) {
	data, err := s.Read(limits)
	if err != nil {
		return "", err
	}
	info, err := picture.Identify(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Path, err)
	}
	width, height := info.Upright()
	if data, err = (dataset.Sample{Path: path}).Read(limits); err != nil {
		return "", err
	}
	mask, err := picture.Decode(ctx, data, limits)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if mask.Width != width || mask.Height != height {
		return "", &MaskSizeError{path, s.Path, [2]int{mask.Width, mask.Height}, [2]int{width, height}}
	}
	for _, v := range mask.Pix {
		if v > 0 {
			return fmt.Sprintf("%x", sha256.Sum256(data)), nil
		}
	}
	return "", fmt.Errorf("%s: %w", path, errEmptyMask)
}
