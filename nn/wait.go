package nn

import (
	"runtime"

	"garb/internal/kernel"
)

// spinsBeforeYield is the number of spins before a waiting thread yields its core to other
// goroutines: about ten microseconds.
const spinsBeforeYield = 500

// wait spins once in a waiting loop; spins counts the loop's turns.
func wait(spins int) {
	if spins < spinsBeforeYield {
		kernel.Pause(1)
		return
	}
	runtime.Gosched()
}
