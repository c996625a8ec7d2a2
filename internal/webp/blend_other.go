//go:build !amd64 || purego

package webp

func blend(out, alpha []uint8) { blendGeneric(out, alpha) }
