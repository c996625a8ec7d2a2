package model

import (
	_ "embed"

	"garb/tensor"
	"garb/weights"
)

// The names of the built-in models.
const (
	// Clothing classifies the ten kinds of garment of the small clothing data set.
	Clothing = "clothing"
	// Garments classifies the seventeen kinds of garment of the full clothing data set.
	Garments = "garments"
	// ImageNet classifies the 1000 classes of ImageNet.
	ImageNet = "imagenet"
)

// DefaultName is the name of the default model.
const DefaultName = Clothing

// BuiltInNames returns the names of the built-in models, for Open.
func BuiltInNames() []string { return []string{Clothing, Garments, ImageNet} }

// The files of the built-in models, which "make model" writes; their training records say how. That of
// Clothing has only a head, on the backbone of Garments.
var (
	//go:embed clothing.safetensors
	clothingFile []byte
	//go:embed garments.safetensors
	garmentsFile []byte
)

// garmentsDigest is the digest of garmentsFile. It is a constant, checked by a test, since computing it
// would delay the first answer.
const garmentsDigest = "sha256:849779f44494fad83b93a443ccdafd7a1430c6c8426d35a47a3928d03a8672b2"

// builtInFile returns the file of a built-in model that has one.
func builtInFile(name string) (data []byte, ok bool) {
	switch name {
	case Clothing:
		return clothingFile, true
	case Garments:
		return garmentsFile, true
	}
	return nil, false
}

// HasBuiltInBackbone reports whether this version of garb has the backbone weights with this digest built
// in, so that a model's file can refer to them.
func HasBuiltInBackbone(architecture, digest string) bool {
	if digest == garmentsDigest {
		return architecture == imageNetBackbone
	}
	f, ok := weights.BuiltIn(architecture)
	return ok && weights.Digest(architecture, f) == digest
}

// OpenBackbone opens the backbone weights of a built-in model, or any that weights.Open opens.
func OpenBackbone(reference string) (*tensor.File, error) {
	switch reference {
	case Clothing, Garments:
		return tensor.Decode(garmentsFile)
	}
	return weights.Open(reference)
}
