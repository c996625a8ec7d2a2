//go:build (!amd64 && !arm64) || purego

package vp8l

func predict(mode int, out, in, above []uint32) { predictGeneric(mode, out, in, above) }

func addColour(out, in []uint32, factors uint32) { addColourGeneric(out, in, factors) }

func addGreen(out, in []uint32) { addGreenGeneric(out, in) }

// Pack writes pixels 0xAARRGGBB as red, green and blue.
func Pack(out []uint8, in []uint32) { packGeneric(out, in) }
