package model

import (
	_ "embed"

	"garb/weights"
)

// The names of the built-in models.
const (
	// Clothing has the ten classes of the small clothing data set.
	Clothing = "clothing"
	// Garments has the seventeen classes of the full clothing data set.
	Garments = "garments"
	// ImageNet has ImageNet's 1000 classes.
	ImageNet = "imagenet"
)

// DefaultName is the name of the model that Default opens.
const DefaultName = Clothing

// imageNetBackbone is the name of the built-in network in package weights.
const imageNetBackbone = "efficientnet-lite0"

// BuiltInNames returns the names of the built-in models, for Open.
func BuiltInNames() []string {
	if _, ok := weights.Lookup(imageNetBackbone); !ok { // in the small build
		return []string{Clothing, Garments}
	}
	return []string{Clothing, Garments, ImageNet}
}

// `make model` trains both models; their training records say how. The file of Clothing has only
// a head, on the features of Garments.
var (
	//go:embed clothing.safetensors
	clothingFile []byte
	//go:embed garments.safetensors
	garmentsFile []byte
)

// garmentsDigest is the digest of garmentsFile, as a test checks. Computing it would delay the
// first answer.
const garmentsDigest = "sha256:849779f44494fad83b93a443ccdafd7a1430c6c8426d35a47a3928d03a8672b2"

// builtInFile returns the file of a built-in model. ok is false for any other name, and for
// ImageNet, which package weights holds.
func builtInFile(name string) (data []byte, ok bool) {
	switch name {
	case Clothing:
		return clothingFile, true
	case Garments:
		return garmentsFile, true
	}
	return nil, false
}
