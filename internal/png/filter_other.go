//go:build (!amd64 && !arm64) || purego

package png

func unfilterSub(out, data []uint8, bpp int) int            { return 0 }
func unfilterUp(out, data, above []uint8) int               { return 0 }
func unfilterAverage(out, data, above []uint8, bpp int) int { return 0 }
func unfilterPaeth(out, data, above []uint8, bpp int) int   { return 0 }
