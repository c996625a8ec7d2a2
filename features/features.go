// Package features stores the feature vectors of pictures: in files, which queues, shards and
// merges write and training reads, and in a cache for each backbone and preprocessing.
//
// A file is a safetensors file with three tensors: "digests" (U8, [N 32]), the SHA-256 of each
// picture's bytes, strictly ascending, "features" (F32, [N C]), its vector, and last "sha256" (U8,
// [32]), the SHA-256 of all bytes of the file before it. Equal contents give equal bytes, in whatever
// order they were computed. Files are read and merged without loading them into memory.
package features

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"garb/model"
	"garb/picture"
)

// Digest is the SHA-256 of a picture's bytes.
type Digest [sha256.Size]byte

// Sum computes the digest of an encoded picture.
func Sum(data []byte) Digest { return sha256.Sum256(data) }

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// version rises when the same picture gives other features than before, as after a change of the
// decoders.
const version = 3

// Key says how features were computed. Features of one picture with equal keys are equal.
type Key struct {
	Version int `json:"version"`
	// Weights is the digest of the backbone's weights, with the layer after it if that is not the
	// usual one.
	Weights       string       `json:"weights"`
	Preprocessing picture.Spec `json:"preprocessing"`
	// Pictures that other limits accept must not be found where they are refused.
	KeepTruncated    bool `json:"keep_truncated"`
	MaxPixels        int  `json:"max_pixels"`
	MaxDecodedPixels int  `json:"max_decoded_pixels"`
}

// NewKey returns the key of what an extractor computes with weights of this digest.
func NewKey(e *model.Extractor, weightsDigest string) Key {
	l := e.Limits()
	return Key{version, weightsDigest, e.Spec(), l.KeepTruncated, l.MaxPixels, l.MaxDecodedPixels}
}

// Differences lists how k differs from other.
func (k Key) Differences(other Key) []string {
	var all []string
	differ := func(name string, a, b any) {
		if a != b {
			all = append(all, fmt.Sprintf("%s (%v, not %v)", name, a, b))
		}
	}
	p, q := k.Preprocessing, other.Preprocessing
	differ("version of garb's features", k.Version, other.Version)
	differ("backbone weights", k.Weights, other.Weights)
	differ("width", p.Width, q.Width)
	differ("height", p.Height, q.Height)
	differ("resize filter", p.Filter, q.Filter)
	differ("fit", p.Fit, q.Fit)
	differ("crop ratio", p.CropRatio, q.CropRatio)
	differ("EXIF orientation", p.Orientation, q.Orientation)
	differ("greyscale", p.Grey, q.Grey)
	differ("mean", p.Mean, q.Mean)
	differ("standard deviation", p.Std, q.Std)
	differ("truncated pictures are kept", k.KeepTruncated, other.KeepTruncated)
	differ("maximum pixels", k.MaxPixels, other.MaxPixels)
	differ("maximum decoded pixels", k.MaxDecodedPixels, other.MaxDecodedPixels)
	return all
}

// FormatError says why a file is not a file of features.
type FormatError struct{ Path, Reason string }

func (e *FormatError) Error() string { return e.Path + " is not a valid file of features: " + e.Reason }

// ChangedError says that a file was changed after it was written.
type ChangedError struct{ Path string }

func (e *ChangedError) Error() string {
	return e.Path + " was changed after it was written: its content has another digest; copy it or compute it again"
}

// KeyError says that a file has features of another backbone, preprocessing or limits than needed.
type KeyError struct {
	Path        string
	Differences []string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("%s has other features: they differ in %s", e.Path, strings.Join(e.Differences, ", "))
}

// ConflictError says that a picture has two different vectors.
type ConflictError struct {
	Digest        Digest
	First, Second string // the files with the vectors
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the picture with the SHA-256 %v has different features in %s and %s: compute one of them again",
		e.Digest, e.First, e.Second)
}

// isFinite reports whether a vector has neither infinities nor NaN.
func isFinite(v []float32) bool {
	for _, x := range v {
		if math.IsInf(float64(x), 0) || math.IsNaN(float64(x)) {
			return false
		}
	}
	return true
}
