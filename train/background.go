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

// MaskSizeError says that a mask has another size than its picture.
type MaskSizeError struct {
	Mask, Picture         string // paths
	MaskSize, PictureSize [2]int // width and height, in pixels, of the upright picture
}

func (e *MaskSizeError) Error() string {
	return fmt.Sprintf("the mask %s has %d × %d pixels, and its picture %s has %d × %d", e.Mask, e.MaskSize[0],
		e.MaskSize[1], e.Picture, e.PictureSize[0], e.PictureSize[1])
}

// setBackgrounds finds the training pictures' masks and the pictures to put them on, and
// checks them all before training begins.
func (r *run) setBackgrounds(ctx context.Context, views *augment.Views, limits picture.Limits) error {
	c := r.Config
	if c.Background == "" {
		return nil
	}
	masks, err := masksByName(ctx, c.Masks)
	if err != nil {
		return err
	}
	b := augment.Backgrounds{Share: c.BackgroundShare, Masks: make([]string, len(r.train.set.Samples))}
	digests := make([]string, len(r.train.set.Samples))
	err = inParallel(ctx, len(b.Masks), func(i int) error {
		s := r.train.set.Samples[i]
		path := masks[nameOf(s.Path)]
		if path == "" {
			return nil
		}
		b.Masks[i] = path
		var err error
		digests[i], err = checkMask(ctx, path, s, limits)
		return err
	})
	if err != nil {
		return err
	}
	if strings.Join(b.Masks, "") == "" {
		return fmt.Errorf("%s: no training picture has a mask in it: the mask of NAME.jpg is NAME.png", c.Masks)
	}
	paths, err := dataset.PicturesIn(ctx, c.Background, dataset.Options{}, r.tally)
	if err != nil {
		return fmt.Errorf("backgrounds: %w", err)
	}
	set := &dataset.Set{Folder: c.Background}
	for _, path := range paths {
		set.Samples = append(set.Samples, dataset.Sample{Path: path})
	}
	if len(paths) == 0 {
		return fmt.Errorf("backgrounds: %s: %w", c.Background, dataset.ErrNoPictures)
	}
	kept, found, err := scanned(ctx, set, limits, r.tally, func() {}, func(data []byte, _ string) error {
		_, err := picture.Decode(ctx, data, limits)
		return err
	})
	if err != nil {
		return fmt.Errorf("backgrounds: %w", err)
	}
	for _, s := range kept.Samples {
		b.Paths = append(b.Paths, s.Path)
	}
	if c.Strict {
		if err := r.tally.Strict(); err != nil {
			return err
		}
	}
	all := sha256.New()
	fmt.Fprintln(all, r.Data, digests, found.digests)
	r.Data = fmt.Sprintf("sha256:%x", all.Sum(nil))
	views.SetBackgrounds(b)
	return nil
}

// nameOf is a path's last element without its ending.
func nameOf(path string) string {
	name := filepath.Base(path)
	return strings.TrimSuffix(name, filepath.Ext(name))
}

// masksByName lists the masks below a folder by their names without endings. Two masks of
// one name are an error, since it would be unsure whose they are.
func masksByName(ctx context.Context, folder string) (map[string]string, error) {
	var tally dataset.Tally // what is no picture is no mask
	paths, err := dataset.Pictures(ctx, folder, &tally)
	if err != nil {
		return nil, fmt.Errorf("masks: %w", err)
	}
	masks := map[string]string{}
	for _, path := range paths {
		if !strings.EqualFold(filepath.Ext(path), ".png") {
			continue
		}
		if before := masks[nameOf(path)]; before != "" {
			return nil, fmt.Errorf("masks: %s and %s have one name: it is unsure whose they are", before, path)
		}
		masks[nameOf(path)] = path
	}
	if len(masks) == 0 {
		return nil, fmt.Errorf("masks: %s has no PNG files", folder)
	}
	return masks, nil
}

var errEmptyMask = errors.New("the mask shows no garment: it is black")

// checkMask reports a mask that cannot be used, and returns its digest.
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
