package train

import (
	"strings"
	"testing"
)

// TestOtherErrorNamesSome: the error names five pictures, and counts those beyond.
func TestOtherErrorNamesSome(t *testing.T) {
	six := []string{"p1", "p2", "p3", "p4", "p5", "p6"}
	for n, want := range map[int]string{1: "other pictures: p1", 5: "p1; p2; p3; p4; p5", 6: "p4; p5; and 1 more"} {
		text := (&OtherError{six[:n]}).Error()
		if !strings.HasSuffix(text, want) {
			t.Errorf("of %d pictures: %s", n, text)
		}
	}
}
