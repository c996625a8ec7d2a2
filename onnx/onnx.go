// Package onnx writes networks as ONNX models, and reads classifiers that other programs
// exported as such: PyTorch, Keras by tf2onnx, and this one.
//
// ONNX's feature maps are [n c h w] and ours [n h w c]. Writing, each operation is given
// its other order and the input is turned once; reading, every turn is followed and none
// is computed.
package onnx

import (
	"fmt"
	"math"
)

// The versions of ONNX's operators: that which is written, and those that are read.
const (
	writtenOpset = 17
	minOpset     = 7
	maxOpset     = 25
	irVersion    = 8 // of the file format, that which came with opset 17
)

// Limits bound what a file may make its reader do.
type Limits struct {
	MaxBytes  int64 // of the file, and of the files beside it together
	MaxValues int   // in all weights together
	MaxNodes  int
	// Side is the height and width of an input that leaves its own open, in pixels.
	// 0 refuses such a file.
	Side int
}

// DefaultLimits returns limits that ten times the largest network here meets.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 1 << 30, MaxValues: 1 << 28, MaxNodes: 1 << 14}
}

// FormatError says why a file is no ONNX model, is damaged, or is no network that garb
// could run.
type FormatError struct {
	Node   string // the node that it is about, "" for none
	Reason string
	Err    error // the cause, if it is an error of its own
}

func (e *FormatError) Error() string {
	text := e.Reason
	if e.Node != "" {
		text = fmt.Sprintf("node %q: %s", e.Node, text)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// UnknownOperatorError names a node whose operator garb does not have, or not with these
// attributes or inputs.
type UnknownOperatorError struct {
	Operator string // ONNX's: "LSTM"; of another domain with that in front
	Node     string
	Detail   string // what of it garb lacks; "": all
}

func (e *UnknownOperatorError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("node %q is a %s, which garb does not have", e.Node, e.Operator)
	}
	return fmt.Sprintf("node %q is a %s with %s, which garb does not have", e.Node, e.Operator, e.Detail)
}

// OpsetError says that a file's operators are of a version that garb does not know.
type OpsetError struct{ Opset int64 }

func (e *OpsetError) Error() string {
	return fmt.Sprintf("its operators are those of opset %d; garb reads opsets %d to %d: export it again with one "+
		"of these", e.Opset, minOpset, maxOpset)
}

// SizeError says that a file leaves the size of its input open, and Limits name none.
type SizeError struct{ Input string }

func (e *SizeError) Error() string {
	return fmt.Sprintf("its input %q may be of any height and width; name one", e.Input)
}

// TooLargeError says that a network does not fit into an ONNX file.
type TooLargeError struct{ Bytes int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the ONNX file would have %d bytes; one file holds at most %d", e.Bytes, maxFileBytes)
}

// maxFileBytes is protobuf's bound on a message.
const maxFileBytes = math.MaxInt32
