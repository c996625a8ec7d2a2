//go:build (!amd64 && !arm64) || purego

package inflate

func sumAdler(a, b uint32, p []byte) (uint32, uint32) { return sumAdlerGeneric(a, b, p) }
