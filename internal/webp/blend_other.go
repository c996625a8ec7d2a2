//go:build (!amd64 && !arm64) || purego

package webp

func blend(out, alpha []uint8) { blendGeneric(out, alpha) }
