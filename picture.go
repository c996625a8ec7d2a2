package garb

import (
	"context"
	"image"
	"io"

	"garb/picture"
)

// Picture is a picture to classify: FromBytes, FromReader and FromImage make one.
type Picture struct {
	data   []byte
	reader io.Reader
	image  image.Image
}

// FromBytes returns the picture in the bytes of a JPEG, PNG, GIF, WebP, BMP, AVIF or HEIC file.
// It does not copy them.
func FromBytes(data []byte) Picture { return Picture{data: data} }

// FromReader returns the picture in a file of those formats that a reader gives, which is read
// when the picture is classified: to its end, and once. A context ends the reading between two
// calls of Read; it cannot interrupt one that blocks.
func FromReader(r io.Reader) Picture { return Picture{reader: r} }

// FromImage returns a decoded picture, which is upright as it is. Transparent parts lie on
// white. Other decoders round otherwise than garb's, which has the pixels of Pillow, so that
// the answer to an image can differ a little from that to the bytes of its file.
func FromImage(m image.Image) Picture { return Picture{image: m} }

// prepare writes the picture as an input of a network.
func (p Picture) prepare(ctx context.Context, spec picture.Spec, limits picture.Limits, input []float32) error {
	data := p.data
	switch {
	case p.image != nil:
		rgb, err := picture.FromImage(ctx, p.image, limits)
		if err != nil {
			return err
		}
		spec.Tensor(rgb, input)
		return nil
	case p.reader != nil:
		var err error
		if data, err = picture.ReadContext(ctx, p.reader, limits); err != nil {
			return err
		}
	}
	_, err := spec.Load(ctx, data, limits, input)
	return err
}
