// Command _wasm writes the kernels of package kernel for WebAssembly: a module with vectors of 128 bits, which
// shares the memory of Go's. The sums run in the order of the portable kernels, which round each product too,
// so both give the same bits.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
)

func main() {
	out := flag.String("out", "simd128.wasm", "the file to write")
	flag.Parse()
	functions := []*function{depthwise(false), depthwise(true)}
	for rows := 1; rows <= gemmRows; rows++ {
		functions = append(functions, gemm(rows))
	}
	if err := os.WriteFile(*out, encode(functions), 0o644); err != nil {
		log.Fatal(err)
	}
}

// gemmRows is the number of rows of the largest tile. Its 2·6 sums, 2 vectors of B and 1 of A are what 16
// registers hold.
const gemmRows = 6

// Offsets of gemmTile's fields.
const (
	gemmDst            = 0
	gemmA              = 8
	gemmB              = 16
	gemmBias           = 24
	gemmResidual       = 32
	gemmDstStride      = 40
	gemmAStride        = 48
	gemmSegments       = 56
	gemmSegmentLen     = 64
	gemmSegmentStep    = 72
	gemmResidualStride = 80
	gemmLow            = 104
	gemmHigh           = 108
)

// gemm returns the function for tiles with so many rows and 8 columns.
func gemm(rows int) *function {
	const (
		b        = local(1)
		count    = local(2)
		segments = local(3)
		stride   = local(4)
		address  = local(5)
		firstRow = local(6)
	)
	f := &function{name: fmt.Sprintf("gemm%d", rows), ints: 5 + rows, vectors: 3 + 2*rows}
	row := func(i int) local { return firstRow + local(i) }
	vectors := firstRow + local(rows)
	left, right, value := vectors, vectors+1, vectors+2
	sum := func(i, half int) local { return vectors + 3 + local(2*i+half) }

	f.field(gemmAStride)
	f.set(stride)
	f.field(gemmA)
	f.set(row(0))
	for i := 1; i < rows; i++ {
		f.get(row(i - 1))
		f.get(stride)
		f.emit(opI32Add)
		f.set(row(i))
	}
	f.when(gemmBias, func() {
		for half := range 2 {
			f.field(gemmBias)
			f.access(vLoad, uint32(16*half))
			for i := range rows {
				f.tee(sum(i, half))
			}
			f.emit(0x1a) // drop
		}
	})
	// step adds the products with one row of B.
	step := func(k int) {
		for half, l := range []local{left, right} {
			f.get(b)
			f.access(vLoad, uint32(32*k+16*half))
			f.set(l)
		}
		for i := range rows {
			f.get(row(i))
			f.access(vLoad32Splat, uint32(4*k))
			f.set(value)
			for half, l := range []local{left, right} {
				f.get(sum(i, half))
				f.get(value)
				f.get(l)
				f.vector(vF32Mul)
				f.vector(vF32Add)
				f.set(sum(i, half))
			}
		}
	}
	f.field(gemmB)
	f.set(b)
	f.field(gemmSegments)
	f.set(segments)
	f.repeat(segments, 1, func() {
		f.field(gemmSegmentLen)
		f.set(count)
		for _, steps := range []int{4, 1} {
			f.repeat(count, int32(steps), func() {
				for k := range steps {
					step(k)
				}
				f.advance(b, int32(32*steps))
				for i := range rows {
					f.advance(row(i), int32(4*steps))
				}
			})
		}
		f.field(gemmSegmentStep)
		f.set(stride)
		for i := range rows {
			f.add(row(i), stride)
		}
	})
	f.when(gemmResidual, func() {
		f.field(gemmResidual)
		f.set(address)
		f.field(gemmResidualStride)
		f.set(stride)
		for i := range rows {
			for half := range 2 {
				f.get(sum(i, half))
				f.get(address)
				f.access(vLoad, uint32(16*half))
				f.vector(vF32Add)
				f.set(sum(i, half))
			}
			f.add(address, stride)
		}
	})
	f.get(0)
	f.access(vLoad32Splat, gemmLow)
	f.set(left)
	f.get(0)
	f.access(vLoad32Splat, gemmHigh)
	f.set(right)
	f.field(gemmDst)
	f.set(address)
	f.field(gemmDstStride)
	f.set(stride)
	for i := range rows {
		for half := range 2 {
			f.get(address)
			f.activate(sum(i, half), left, right)
			f.access(vStore, uint32(16*half))
		}
		f.add(address, stride)
	}
	return f
}

// activate pushes min(max(v, low), high).
func (f *function) activate(v, low, high local) {
	f.get(v)
	f.get(low)
	f.vector(vF32Max)
	f.get(high)
	f.vector(vF32Min)
}

// Offsets of depthwiseTile's fields.
const (
	depthwiseDst       = 0
	depthwiseSrc       = 8
	depthwiseKernel    = 40
	depthwiseBias      = 48
	depthwiseSrcRow    = 56
	depthwisePixel     = 64
	depthwiseKernelRow = 72
	depthwiseRows      = 80
	depthwiseColumns   = 88
	depthwiseVectors   = 96
	depthwiseLow       = 112
	depthwiseHigh      = 116
)

// depthwise returns the function for one output, with or without a ReLU before.
func depthwise(relu bool) *function {
	const (
		offset    = local(1) // of the channels
		vectors   = local(2)
		rows      = local(3)
		columns   = local(4)
		src       = local(5)
		kernel    = local(6)
		pixel     = local(7)
		srcLine   = local(8)
		kernelRow = local(9)
		sum       = local(10) // and 11
		low       = local(12)
		high      = local(13)
		zero      = local(14)
	)
	f := &function{name: "depthwise", ints: 9, vectors: 5}
	if relu {
		f.name = "depthwiseReLU"
	}
	f.get(0)
	f.access(vLoad32Splat, depthwiseLow)
	f.set(low)
	f.get(0)
	f.access(vLoad32Splat, depthwiseHigh)
	f.set(high)
	f.field(depthwisePixel)
	f.set(pixel)
	f.field(depthwiseVectors)
	f.set(vectors)
	f.repeat(vectors, 1, func() {
		f.get(zero)
		f.tee(sum)
		f.set(sum + 1)
		f.when(depthwiseBias, func() {
			for half := range 2 {
				f.field(depthwiseBias)
				f.get(offset)
				f.emit(opI32Add)
				f.access(vLoad, uint32(16*half))
				f.set(sum + local(half))
			}
		})
		for _, start := range []struct {
			field uint32
			to    local
		}{{depthwiseSrc, srcLine}, {depthwiseKernel, kernelRow}} {
			f.field(start.field)
			f.get(offset)
			f.emit(opI32Add)
			f.set(start.to)
		}
		f.field(depthwiseRows)
		f.set(rows)
		f.repeat(rows, 1, func() {
			f.get(srcLine)
			f.set(src)
			f.get(kernelRow)
			f.set(kernel)
			f.field(depthwiseColumns)
			f.set(columns)
			f.repeat(columns, 1, func() {
				for half := range 2 {
					f.get(sum + local(half))
					f.get(src)
					f.access(vLoad, uint32(16*half))
					if relu {
						f.get(zero)
						f.vector(vF32Max)
					}
					f.get(kernel)
					f.access(vLoad, uint32(16*half))
					f.vector(vF32Mul)
					f.vector(vF32Add)
					f.set(sum + local(half))
				}
				f.add(src, pixel)
				f.add(kernel, pixel)
			})
			for _, next := range []struct {
				to    local
				field uint32
			}{{srcLine, depthwiseSrcRow}, {kernelRow, depthwiseKernelRow}} {
				f.get(next.to)
				f.field(next.field)
				f.emit(opI32Add)
				f.set(next.to)
			}
		})
		for half := range 2 {
			f.field(depthwiseDst)
			f.get(offset)
			f.emit(opI32Add)
			f.activate(sum+local(half), low, high)
			f.access(vStore, uint32(16*half))
		}
		f.advance(offset, 32)
	})
	return f
}
