package nn

import "runtime"

// looksBeforeYield is how often a waiting thread looks before it offers its core
// to other goroutines: some microseconds.
const looksBeforeYield = 200

// wait passes a moment in a loop that waits; spins counts the loop's turns.
func wait(spins int) {
	if spins < looksBeforeYield {
		return
	}
	runtime.Gosched()
}
