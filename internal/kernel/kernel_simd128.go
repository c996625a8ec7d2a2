//go:build js && simd128

package kernel

import "unsafe"

// offeredLevels returns the levels of this build. The program that loads this one must have checked that the
// browser has SIMD, and must pass the functions of simd128.wasm as the module "garb".
func offeredLevels() []Level { return []Level{Generic, SIMD128} }

//go:wasmimport garb gemm1
//go:noescape
func gemm1SIMD128(t *byte)

//go:wasmimport garb gemm2
//go:noescape
func gemm2SIMD128(t *byte)

//go:wasmimport garb gemm3
//go:noescape
func gemm3SIMD128(t *byte)

//go:wasmimport garb gemm4
//go:noescape
func gemm4SIMD128(t *byte)

//go:wasmimport garb gemm5
//go:noescape
func gemm5SIMD128(t *byte)

//go:wasmimport garb gemm6
//go:noescape
func gemm6SIMD128(t *byte)

//go:wasmimport garb depthwise
//go:noescape
func depthwiseSIMD128(t *byte)

//go:wasmimport garb depthwiseReLU
//go:noescape
func depthwiseReLUSIMD128(t *byte)

// gemmKernels has the functions for a gemmTile, by rows and columns/8.
var gemmKernels = [levelCount][maxTileRows + 1][5]func(t *byte){
	SIMD128: {
		1: {1: allowPart(1, gemm1SIMD128)},
		2: {1: allowPart(2, gemm2SIMD128)},
		3: {1: allowPart(3, gemm3SIMD128)},
		4: {1: allowPart(4, gemm4SIMD128)},
		5: {1: allowPart(5, gemm5SIMD128)},
		6: {1: allowPart(6, gemm6SIMD128)},
	},
}

// depthwiseKernels has the functions for a depthwiseTile of one output.
var depthwiseKernels = [levelCount][6][3][2]func(t *byte){
	SIMD128: {0: {0: {depthwiseOne(depthwiseSIMD128, false), depthwiseOne(depthwiseReLUSIMD128, true)}}},
}

// allowPart returns a function for tiles of the given rows whose columns may be fewer than 8. It copies such a
// tile, because run reads and writes 8.
func allowPart(rows int, run func(t *byte)) func(t *byte) {
	const columns, value = 8, int(unsafe.Sizeof(float32(0)))
	return func(argument *byte) {
		t := (*gemmTile)(unsafe.Pointer(argument))
		if t.mask == 0 {
			run(argument)
			return
		}
		n := int(t.mask)
		var bias [columns]float32
		var dst, residual [maxTileRows * columns]float32
		part := *t
		part.dst, part.dstStride = unsafe.Pointer(&dst), uintptr(columns*value)
		if t.bias != nil {
			copy(bias[:n], unsafe.Slice((*float32)(t.bias), n))
			part.bias = unsafe.Pointer(&bias)
		}
		if t.residual != nil {
			for i := range rows {
				row := unsafe.Add(t.residual, i*int(t.residualStride))
				copy(residual[i*columns:][:n], unsafe.Slice((*float32)(row), n))
			}
			part.residual, part.residualStride = unsafe.Pointer(&residual), uintptr(columns*value)
		}
		run((*byte)(unsafe.Pointer(&part)))
		for i := range rows {
			row := unsafe.Add(t.dst, i*int(t.dstStride))
			copy(unsafe.Slice((*float32)(row), n), dst[i*columns:])
		}
	}
}

// depthwiseOne returns a function for one output of any number of channels: run computes whole vectors, and Go
// the channels that remain.
func depthwiseOne(run func(t *byte), relu bool) func(t *byte) {
	return func(argument *byte) {
		run(argument)
		t := (*depthwiseTile)(unsafe.Pointer(argument))
		for k := 8 * t.vectors; k < 8*t.vectors+int(t.mask); k++ {
			t.computeChannel(k, relu)
		}
	}
}

// computeChannel computes channel k of one output.
func (t *depthwiseTile) computeChannel(k int, relu bool) {
	const value = int(unsafe.Sizeof(float32(0)))
	var sum float32
	if t.bias != nil {
		sum = *(*float32)(unsafe.Add(t.bias, k*value))
	}
	for i := range t.rows {
		src, kernel := unsafe.Add(t.src, i*int(t.srcRow)+k*value), unsafe.Add(t.kernel, i*int(t.kernelRow)+k*value)
		for range t.columns {
			v := *(*float32)(src)
			if relu {
				v = max(v, 0)
			}
			sum += float32(v * *(*float32)(kernel))
			src, kernel = unsafe.Add(src, int(t.pixel)), unsafe.Add(kernel, int(t.pixel))
		}
	}
	*(*float32)(unsafe.Add(t.dst, k*value)) = min(max(sum, t.low), t.high)
}
