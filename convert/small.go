//go:build small

package convert

import (
	"garb/internal/edition"
	"garb/model"
)

// openONNX says that this build cannot read ONNX files.
func openONNX(string, int) (*file, error) {
	return nil, &edition.MissingError{Part: "ONNX", Build: edition.Default}
}

// Write says that this build writes no files for other programs.
func Write(string, *model.Classifier, WriteOptions) (Export, error) {
	return Export{}, &edition.MissingError{Part: "files for other programs (ONNX, Keras, LiteRT)", Build: edition.Default}
}
