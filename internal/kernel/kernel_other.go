//go:build (!amd64 && !arm64) || purego

package kernel

// No level of this build has these; they are portable, or nothing calls them.

func outerVector(o *Outer, low, count int) { outerGeneric(o, low, count) }

func (d *Depthwise) addTapsVector(into, sums, _, line, out []float32) {
	d.addTapsGeneric(into, sums, line, out)
}

func (d *Depthwise) sumTapsVector(dst, src, taps []float32, rows, columns, tapColumns, pixels int) {
	d.sumTapsGeneric(dst, src, taps, rows, columns, tapColumns, pixels)
}

func (w *Winograd) transformVector(count, transform int, e *WinogradEpilogue) {}

func unaryVectors(f unaryFunction, dst, src []float32, a, b float32) {}

func binaryVectors(f binaryFunction, dst, x, y []float32) {}

// The functions below would return the number of values that they processed.

func maxVector(dst, src []float32) int                            { return 0 }
func addVector(dst, src []float32, low, high float32) int         { return 0 }
func activateVector(dst, src []float32, low, high float32) int    { return 0 }
func zeroOutsideVector(dst, src []float32, low, high float32) int { return 0 }
func fromHalfVector(dst []float32, src []byte) int                { return 0 }

// Pause spins for so many turns.
func Pause(turns int) {
	for range turns {
	}
}
