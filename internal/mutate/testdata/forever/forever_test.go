package forever

import (
	"testing"

	"garb/internal/mutate/testdata/numbers"
)

func TestWait(t *testing.T) { Wait(true) }

func TestNot(t *testing.T) {
	if numbers.Not(true) {
		t.Error("not true is true")
	}
}
