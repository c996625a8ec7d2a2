package model

import (
	_ "embed"

	"garb/tensor"
	"garb/weights"
)

// The names of the built-in models.
const (
	// Clothing knows the ten kinds of garment of the small clothing data set.
	Clothing = "clothing"
	// Garments knows the seventeen kinds of the full clothing data set.
	Garments = "garments"
	// ImageNet knows ImageNet's 1000 classes.
	ImageNet = "imagenet"
)

// DefaultName is the model that answers if none is named.
const DefaultName = Clothing

// BuiltInNames returns the names of the built-in models, for Open.
func BuiltInNames() []string { return []string{Clothing, Garments, ImageNet} }

// `make model` makes both files; their training records say how. Clothing's has a head
// alone, on the features of Garments.
var (
	//go:embed clothing.safetensors
	clothingFile []byte
	//go:embed garments.safetensors
	garmentsFile []byte
)

// garmentsDigest is the digest of garmentsFile, which a test holds: to compute it would
// take a part of the time to a first answer.
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

// HasBuiltInBackbone reports whether every garb of this version has the backbone weights with
// this digest, so that a model's file may refer to them.
func HasBuiltInBackbone(architecture, digest string) bool {
	if digest == garmentsDigest {
		return architecture == imageNetBackbone
	}
	f, ok := weights.BuiltIn(architecture)
	return ok && weights.Digest(architecture, f) == digest
}

// OpenBackbone opens a backbone's weights: a built-in model's, or as weights.Open does.
func OpenBackbone(reference string) (*tensor.File, error) {
	switch reference {
	case Clothing, Garments:
		return tensor.Decode(garmentsFile)
	}
	return weights.Open(reference)
}
