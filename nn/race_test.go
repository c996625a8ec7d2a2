//go:build race

package nn

// underRace: sync.Pool forgets at random under the race detector, so runs
// allocate.
const underRace = true
