package numbers

import "testing"

func TestAbs(t *testing.T) {
	for _, n := range []int{-1, 0, 1} {
		if have := Abs(n); have != n*n {
			t.Errorf("Abs(%d) is %d", n, have)
		}
	}
}

func TestGreet(t *testing.T) {
	if have := Greet("you"); have != "hello, you" {
		t.Error(have)
	}
}
