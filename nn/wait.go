package nn

import (
	"runtime"

	"garb/internal/kernel"
)

// looksBeforeYield is how often a waiting thread looks before it offers its core
// to other goroutines: some ten microseconds.
const looksBeforeYield = 500

// wait passes a moment in a loop that waits; spins counts the loop's turns.
func wait(spins int) {
	if spins < looksBeforeYield {
		kernel.Pause(1)
		return
	}
	runtime.Gosched()
}
