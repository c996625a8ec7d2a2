package kernel

// Winograd is a row of tiles of a 3×3 convolution with stride 1, in the minimal form
// F(2×2, 3×3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR
// 2016): a tile of 2×2 outputs is
//
//	Aᵀ·[U ⊙ V]·A     U = G·kernel·Gᵀ     V = Bᵀ·window·B
//
//	     1  0 −1  0           1   0   0           1  1  1  0
//	Bᵀ = 0  1  1  0      G =  ½   ½   ½      Aᵀ = 0  1 −1 −1
//	     0 −1  1  0           ½  −½   ½
//	     0  1  0 −1           0   0   1
//
// where window is the 4×4 inputs that the tile's outputs read. For each of the 16 places of
// U and V, called planes, the sum over the channels is a matrix product of all tiles at once:
// 16 multiplications for 4 outputs instead of 36. Plane 4i+j is place i, j; in it a tile is a
// row of channels.
//
// The transforms only add and subtract, in a fixed order, so their bits are the same at any
// level.
type Winograd struct {
	Map   []float32 // rows of the feature map, beginning at the first tile
	Line  int       // from a row of Map to the next, in values
	Pixel int       // from a position of Map to the next

	Planes []float32 // beginning at the first tile
	Plane  int       // from a plane to the next
	Pitch  int       // from a tile to the next

	Channels int
}

// Input computes V of count windows. The first begins at the first position of Map, each further
// one two positions later. It panics if a slice is too short.
func (w *Winograd) Input(count int) {
	w.checkLengths(count, 4, 2*count+2)
	w.transformMap(count, winogradInput, 4, func(v [4]float32) [4]float32 {
		return [4]float32{v[0] - v[2], v[1] + v[2], v[2] - v[1], v[1] - v[3]}
	})
}

// Gradient computes Z = A·gradient·Aᵀ of count tiles from the gradients of their 2×2 outputs in
// Map. The first begins at the first position, each further one two positions later. The gradient
// of U is the sum of V ⊙ Z over all tiles; that of a bias is the sum of plane 5. It panics if a
// slice is too short.
func (w *Winograd) Gradient(count int) {
	w.checkLengths(count, 2, 2*count)
	w.transformMap(count, winogradGradient, 2, func(v [4]float32) [4]float32 {
		return [4]float32{v[0], v[0] + v[1], v[0] - v[1], 0 - v[1]}
	})
}

// transformMap computes the planes of size × size positions of Map for each of count tiles. apply
// transforms a vector.
func (w *Winograd) transformMap(count, transform, size int, apply func(v [4]float32) [4]float32) {
	if level.complete() && count > 0 {
		w.transformVector(count, transform, &WinogradEpilogue{})
		return
	}
	for tile := range count {
		for c := range w.Channels {
			var columns [4][4]float32 // [j]
			for j := range size {
				var column [4]float32
				for i := range size {
					column[i] = w.Map[i*w.Line+(2*tile+j)*w.Pixel+c]
				}
				columns[j] = apply(column)
			}
			for i := range 4 {
				row := apply([4]float32{columns[0][i], columns[1][i], columns[2][i], columns[3][i]})
				for j, v := range row {
					w.Planes[(4*i+j)*w.Plane+tile*w.Pitch+c] = v
				}
			}
		}
	}
}

// transformOutput multiplies a vector by Aᵀ.
func transformOutput(a, b, c, d float32) [2]float32 {
	return [2]float32{a + b + c, b - c - d}
}

// WinogradEpilogue is what Output does with the outputs before it stores them: it adds Bias, then
// Residual, and applies Activation.
type WinogradEpilogue struct {
	Bias       []float32 // one value per channel, or nil
	Residual   []float32 // in the layout of Map, or nil; may be Map itself
	Activation Activation
}

// Output computes 1 or 2 rows of positions from the planes U ⊙ V of their tiles. It panics if a
// slice is too short.
func (w *Winograd) Output(rows, positions int, e WinogradEpilogue) {
	tiles := (positions + 1) / 2
	w.checkLengths(tiles, rows, positions)
	switch {
	case rows != 1 && rows != 2:
		panic("kernel: Winograd outputs of other than one or two rows")
	case e.Bias != nil && len(e.Bias) < w.Channels:
		panic("kernel: Winograd Bias is too short")
	case e.Residual != nil && len(e.Residual) < w.mapLength(rows, positions):
		panic("kernel: Winograd Residual is too short")
	case positions <= 0:
		return
	case level.complete():
		if whole := positions / 2; whole > 0 {
			w.transformVector(whole, winogradOutput+2*rows-1, &e)
		}
		if positions%2 > 0 {
			last := *w
			last.Map, last.Planes = w.Map[(positions-1)*w.Pixel:], w.Planes[(tiles-1)*w.Pitch:]
			if e.Residual != nil {
				e.Residual = e.Residual[(positions-1)*w.Pixel:]
			}
			last.transformVector(1, winogradOutput+2*rows-2, &e)
		}
		return
	}
	for tile := range tiles {
		for c := range w.Channels {
			w.outputGeneric(tile, c, rows, min(2, positions-2*tile), e)
		}
	}
}

// outputGeneric computes rows × columns outputs of one channel of a tile.
func (w *Winograd) outputGeneric(tile, c, rows, columns int, e WinogradEpilogue) {
	low, high := e.Activation.bounds()
	var sums [4][2]float32 // [j]
	for j := range sums {
		at := func(i int) float32 { return w.Planes[(4*i+j)*w.Plane+tile*w.Pitch+c] }
		sums[j] = transformOutput(at(0), at(1), at(2), at(3))
	}
	for i := range rows {
		row := transformOutput(sums[0][i], sums[1][i], sums[2][i], sums[3][i])
		for j, v := range row[:columns] {
			at := i*w.Line + (2*tile+j)*w.Pixel + c
			if e.Bias != nil {
				v += e.Bias[c]
			}
			if e.Residual != nil {
				v += e.Residual[at]
			}
			w.Map[at] = min(max(v, low), high)
		}
	}
}

// mapLength returns the number of values of Map that rows of so many positions cover.
func (w *Winograd) mapLength(rows, positions int) int {
	return (rows-1)*w.Line + (positions-1)*w.Pixel + w.Channels
}

// checkLengths panics if something outside the slices would be read or written, which the assembly
// does not check.
func (w *Winograd) checkLengths(tiles, rows, positions int) {
	switch {
	case w.Channels <= 0 || w.Line < 0 || w.Pixel < w.Channels || w.Plane < 0 || w.Pitch < w.Channels:
		panic("kernel: Winograd without channels, or with strides that are too short")
	case tiles > 0 && len(w.Map) < w.mapLength(rows, positions):
		panic("kernel: Winograd Map is too short")
	case tiles > 0 && len(w.Planes) < 15*w.Plane+(tiles-1)*w.Pitch+w.Channels:
		panic("kernel: Winograd Planes are too short")
	}
}

// The transforms that have assembly. Those of outputs are in the order of rows and columns:
// winogradOutput + 2·(rows−1) + columns−1.
const (
	winogradInput = iota
	winogradGradient
	winogradOutput
	winogradTransforms = winogradOutput + 4
)
