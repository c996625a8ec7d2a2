// Package forever has a mutant that never ends.
package forever

// Wait returns if it may.
func Wait(may bool) {
	for !may {
	}
}
