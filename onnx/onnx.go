// Package onnx writes networks as ONNX models, and reads classifiers that PyTorch, Keras with
// tf2onnx, and garb exported.
//
// ONNX's feature maps are [n c h w], those of garb [n h w c]. The writer transposes the input once,
// and writes each operation for ONNX's order; the reader keeps track of the order of each value, and
// computes no transpositions.
package onnx

import (
	"fmt"
	"math"
)

// The versions of ONNX's operators: that which garb writes, and those it reads.
const (
	outputOpset = 17
	minOpset    = 7
	maxOpset    = 25
	irVersion   = 8 // of the file format, the one of opset 17
)

// Limits bound the time and memory that reading a file takes.
type Limits struct {
	MaxBytes  int64 // of the file, and of the files beside it together
	MaxValues int   // in all weights together
	MaxNodes  int
	// Side is the height and width in pixels of an input whose file leaves them open. With 0 such a
	// file is refused.
	Side int
}

// DefaultLimits returns limits ten times as large as the largest network of garb needs.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 1 << 30, MaxValues: 1 << 28, MaxNodes: 1 << 14}
}

// FormatError says why a file is not an ONNX model, is damaged, or is not a network that garb can
// run.
type FormatError struct {
	Node   string // the node that it is about, "" for none
	Reason string
	Err    error // the cause, nil if there is none
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

// UnknownOperatorError names a node whose operator garb does not support, or not with these
// attributes or inputs.
type UnknownOperatorError struct {
	Operator string // ONNX's name: "LSTM"; with its domain in front if that is another
	Node     string
	Detail   string // the part that garb does not support; "": all of it
}

func (e *UnknownOperatorError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("node %q is a %s, which garb does not support", e.Node, e.Operator)
	}
	return fmt.Sprintf("node %q is a %s with %s, which garb does not support", e.Node, e.Operator, e.Detail)
}

// OpsetError says that a file's operators are of a version that garb does not support.
type OpsetError struct{ Opset int64 }

func (e *OpsetError) Error() string {
	return fmt.Sprintf("its operators are those of opset %d; garb reads opsets %d to %d: export it again with one "+
		"of these", e.Opset, minOpset, maxOpset)
}

// SizeError says that a file leaves the size of its input open, and Limits.Side does not set it.
type SizeError struct{ Input string }

func (e *SizeError) Error() string {
	return fmt.Sprintf("its input %q may be of any height and width; name one", e.Input)
}

// TooLargeError says that a network does not fit into an ONNX file.
type TooLargeError struct{ Bytes int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the ONNX file would have %d bytes; one file holds at most %d", e.Bytes, maxFileBytes)
}

// maxFileBytes is the limit of protobuf on a message.
const maxFileBytes = math.MaxInt32
