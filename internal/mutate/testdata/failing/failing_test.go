package failing

import "testing"

func TestOne(t *testing.T) {
	if one() != 1 {
		t.Error("one is not 1")
	}
}
