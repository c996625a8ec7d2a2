package garb_test

import (
	"errors"
	"testing"

	"garb"
	"garb/picture"
)

// The error of a single picture is its cause, and names no place in a batch.
func TestClassifyReturnsTheCause(t *testing.T) {
	c := open(t)
	_, err := c.Classify(t.Context(), garb.FromBytes([]byte("no picture")))
	var placed *garb.PictureError
	var cause *picture.Error
	if !errors.Is(err, picture.ErrNotPicture) || !errors.As(err, &cause) || errors.As(err, &placed) {
		t.Errorf("%#v", err)
	}
}
