// Package torch reads state dicts of PyTorch: what torch.save writes of a model's
// state_dict(), as a zip archive or in the older format. A .pth file holds a pickle,
// which is a program. This package interprets only the few instructions that a state
// dict needs, so no code of a file ever runs.
package torch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"garb/tensor"
)

// FormatError says why data is not a state dict of torch.save.
type FormatError struct {
	Reason string
	Err    error // the cause, or nil
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("not a state dict of PyTorch: %s (%v)", e.Reason, e.Err)
	}
	return "not a state dict of PyTorch: " + e.Reason
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// CallError says that a pickle uses a function or class that no state dict needs.
type CallError struct{ Name string } // "posix.system"

func (e *CallError) Error() string {
	return fmt.Sprintf("the pickle calls %q, and garb never runs code from a file; "+
		"save the model's state_dict() instead", e.Name)
}

// UnsupportedError says that a file uses a part of PyTorch's format that garb does not read.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string {
	return "garb does not read " + e.What + " in PyTorch files"
}

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) error {
	return &UnsupportedError{fmt.Sprintf(format, args...)}
}

// StateDict holds a model's parameters and buffers under PyTorch's names.
type StateDict struct {
	// Tensors holds the floating-point tensors, as float32.
	Tensors tensor.Map
	// Integers lists the names of the integer tensors, sorted. Their values are ignored: they are
	// the num_batches_tracked of batch-norms.
	Integers []string
}

// wrappers lists the keys under which training scripts save a state dict, beside the epoch and the
// optimizer's state.
var wrappers = []string{"state_dict", "model_state_dict", "model"}

// parallelPrefix is the prefix that torch.nn.DataParallel adds to each name.
const parallelPrefix = "module."

// Is reports whether data begins like a file of torch.save: as a pickle, or as a zip archive with
// one.
func Is(data []byte) bool {
	return isPickle(data) || bytes.HasPrefix(data, []byte("PK\x03\x04")) &&
		bytes.Contains(data, []byte("/"+pickleEntry))
}

// isPickle reports whether data begins with a pickle's first instruction. A safetensors file can
// begin with the same two bytes, since its first eight are a length; but then the last four of
// these are 0.
func isPickle(data []byte) bool {
	return len(data) >= 8 && data[0] == byte(opProto) && data[1] <= maxProtocol &&
		binary.LittleEndian.Uint32(data[4:]) != 0
}

// Decode decodes a state dict from a file's data. It unwraps a checkpoint that holds the state dict
// under "state_dict", "model_state_dict" or "model", and removes the prefix "module." of
// torch.nn.DataParallel. No tensor of the result shares memory with data. The error is a
// *CallError, an *UnsupportedError or a *FormatError.
func Decode(data []byte) (*StateDict, error) {
	read := readLegacy
	if !isPickle(data) {
		read = readArchive
	}
	root, err := read(data)
	if err != nil {
		return nil, err
	}
	top, ok := root.(*dict)
	if !ok {
		return nil, malformed("the pickle holds %s instead of a dict", describe(root))
	}
	if top, err = unwrap(top); err != nil {
		return nil, err
	}
	return decodeDict(top, len(data))
}

// unwrap returns the state dict in a checkpoint, or top itself if it is one.
func unwrap(top *dict) (*dict, error) {
	var inner *dict
	var innerKey string
	for _, key := range wrappers {
		d, ok := top.get(key).(*dict)
		if ok && inner != nil {
			return nil, malformed("it has both %q and %q, and does not say which one holds the weights", innerKey, key)
		}
		if ok {
			inner, innerKey = d, key
		}
	}
	if inner != nil {
		return inner, nil
	}
	return top, nil
}

// decodeDict decodes the tensors of a state dict. size is the length of its file.
func decodeDict(d *dict, size int) (*StateDict, error) {
	if len(d.items) == 0 {
		return nil, malformed("it holds no tensors")
	}
	parallel := !slices.ContainsFunc(d.items, func(i item) bool {
		name, ok := i.key.(string)
		return !ok || !strings.HasPrefix(name, parallelPrefix)
	})
	// Tied weights share values; without this limit a small file could fill the memory.
	left := size
	s := &StateDict{Tensors: tensor.Map{}}
	for _, i := range d.items {
		name, ok := i.key.(string)
		v, isTensor := i.value.(*view)
		if !ok || !isTensor {
			return nil, malformed("its entry %v is %s instead of a tensor", i.key, describe(i.value))
		}
		if parallel {
			name = strings.TrimPrefix(name, parallelPrefix)
		}
		if v.storage.kind.integer {
			s.Integers = append(s.Integers, name)
			continue
		}
		if left -= v.count; left < 0 {
			return nil, malformed("its tensors have more values than the file has bytes")
		}
		t, err := v.decode()
		if err != nil {
			return nil, malformed("tensor %q: %v", name, err)
		}
		s.Tensors[name] = t
	}
	slices.Sort(s.Integers)
	return s, nil
}

// describe names the type of a pickle's value in messages.
func describe(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int64, bigInt:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case *tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dict"
	case *view:
		return "a tensor"
	case *storage:
		return "a storage"
	}
	return "a class"
}
