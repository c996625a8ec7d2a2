//go:build (amd64 || arm64) && !purego

package vp8

import "garb/internal/kernel"

// vector reports whether the assembly is in use, which GARB_CPU decides as in package kernel.
var vector = kernel.ActiveLevel() != kernel.Generic

// vectorSamples is the number of samples that the kernels of output handle at once.
const vectorSamples = 16

func addOne(block *[16]int16, w *workspace, at int) {
	if !vector {
		addResidual(block, w, at)
		return
	}
	_ = w[at+3*workStride+3]
	addOneAssembly(&block[0], &w[at])
}

func addTwo(blocks *[32]int16, w *workspace, at int) {
	if !vector {
		addResidual((*[16]int16)(blocks[:]), w, at)
		addResidual((*[16]int16)(blocks[16:]), w, at+4)
		return
	}
	_ = w[at+3*workStride+7]
	addTwoAssembly(&blocks[0], &w[at])
}

func predictTrueMotion(w *workspace, at, size int) {
	if !vector {
		predictTrueMotionGeneric(w, at, size)
		return
	}
	_, _ = w[at-workStride-1], w[at+(size-1)*workStride+size-1]
	if size == 16 {
		trueMotion16Assembly(&w[at])
	} else {
		trueMotion8Assembly(&w[at])
	}
}

func filterNormal(c *rowCache, luma, chroma int, s strength, left, above bool) {
	if !vector {
		filterNormalGeneric(c, luma, chroma, s, left, above)
		return
	}
	// The kernels read 4 samples before each edge and 4 behind it.
	_ = c.luma[luma-4*c.lumaStride : luma+15*c.lumaStride+16]
	first, end := chroma-4*c.chromaStride, chroma+7*c.chromaStride+8
	_, _ = c.u[first:end], c.v[first:end]
	p, u, v := c.luma[luma:], c.u[chroma:], c.v[chroma:]
	if left {
		filterVerticalLumaOuterAssembly(&p[0], c.lumaStride, s.outer(), s.interior, s.variance)
		filterVerticalChromaOuterAssembly(&u[0], &v[0], c.chromaStride, s.outer(), s.interior, s.variance)
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterVerticalLumaInnerAssembly(&p[i], c.lumaStride, s.limit, s.interior, s.variance)
		}
		filterVerticalChromaInnerAssembly(&u[4], &v[4], c.chromaStride, s.limit, s.interior, s.variance)
	}
	if above {
		filterHorizontalLumaOuterAssembly(&p[0], c.lumaStride, s.outer(), s.interior, s.variance)
		filterHorizontalChromaOuterAssembly(&u[0], &v[0], c.chromaStride, s.outer(), s.interior, s.variance)
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterHorizontalLumaInnerAssembly(&p[i*c.lumaStride], c.lumaStride, s.limit, s.interior, s.variance)
		}
		at := 4 * c.chromaStride
		filterHorizontalChromaInnerAssembly(&u[at], &v[at], c.chromaStride, s.limit, s.interior, s.variance)
	}
}

func filterSimple(p []uint8, at, stride int, s strength, left, above bool) {
	if !vector {
		filterSimpleGeneric(p, at, stride, s, left, above)
		return
	}
	_ = p[at-4*stride : at+15*stride+16]
	p = p[at:]
	if left {
		filterVerticalSimpleAssembly(&p[0], stride, s.outer(), 0, 0)
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterVerticalSimpleAssembly(&p[i], stride, s.limit, 0, 0)
		}
	}
	if above {
		filterHorizontalSimpleAssembly(&p[0], stride, s.outer(), 0, 0)
	}
	if s.inner {
		for i := 4; i < 16; i += 4 {
			filterHorizontalSimpleAssembly(&p[i*stride], stride, s.limit, 0, 0)
		}
	}
}

// upsample computes what upsampleGeneric says. All rows have room for whole vectors.
func upsample(to, near, far []uint8, n int) {
	vectors := (n - 1 + vectorSamples - 1) / vectorSamples
	if !vector || vectors == 0 {
		upsampleGeneric(to, near, far, n)
		return
	}
	done := vectors * vectorSamples
	_, _, _ = to[2*done], near[done], far[done]
	upsampleAssembly(&to[1], &near[0], &far[0], vectors)
	upsampleEnds(to, near, far, n)
}

// convert computes what convertGeneric says. All rows but out have room for whole vectors.
func convert(out, luma, u, v []uint8) {
	if !vector {
		convertGeneric(out, luma, u, v)
		return
	}
	n := len(out) / 3
	vectors := n / vectorSamples
	done := vectors * vectorSamples
	_, _, _ = luma[done+vectorSamples-1], u[done+vectorSamples-1], v[done+vectorSamples-1]
	if vectors > 0 {
		convertAssembly(&out[0], &luma[0], &u[0], &v[0], vectors)
	}
	if done < n {
		var last [3 * vectorSamples]uint8
		convertAssembly(&last[0], &luma[done], &u[done], &v[done], 1)
		copy(out[3*done:], last[:])
	}
}
