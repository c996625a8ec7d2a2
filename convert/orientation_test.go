//go:build !small

package convert

import (
	"testing"

	"garb/picture"
)

// TestOrientation checks which files' models turn pictures upright.
func TestOrientation(t *testing.T) {
	described := picture.Spec{Width: 1}
	ignoring := picture.Spec{Width: 1, Orientation: picture.IgnoreOrientation}
	apply, ignore := picture.ApplyOrientation, picture.IgnoreOrientation
	for _, test := range []struct {
		name    string
		isKeras bool
		spec    picture.Spec // in the file
		asked   *picture.Orientation
		want    picture.Orientation
	}{
		{"Keras's own", true, picture.Spec{}, nil, ignore},
		{"Keras's own, asked", true, picture.Spec{}, &apply, apply},
		{"garb's for Keras", true, described, nil, apply},
		{"garb's for Keras that ignores", true, ignoring, nil, ignore},
		{"ONNX", false, picture.Spec{}, nil, apply},
		{"ONNX, asked", false, picture.Spec{}, &ignore, ignore},
		{"garb's ONNX that ignores", false, ignoring, nil, ignore},
		{"garb's ONNX, asked", false, ignoring, &apply, apply},
	} {
		f := file{isKeras: test.isKeras, description: description{Preprocessing: test.spec}}
		if got := f.chooseOrientation(test.asked); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
