package edition

import "testing"

func TestMissingError(t *testing.T) {
	e := &MissingError{"queue", Default}
	if got, want := e.Error(), "the "+Name+" build of garb has no queue: use the default build"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
