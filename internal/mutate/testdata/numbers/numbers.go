// Package numbers has known mutants.
package numbers

// Abs returns n without its sign.
func Abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// Greet has a mutant that does not compile.
func Greet(name string) string {
	return "hello, " + name
}

// Not is not tested by this package.
func Not(ok bool) bool {
	return !ok
}
