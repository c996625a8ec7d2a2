package tensor

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"

	"garb/internal/kernel"
	"garb/internal/safefile"
)

// DType is the type of a tensor's values in a file.
type DType string

// Types that garb reads and writes.
const (
	Float32 DType = "F32"
	Float16 DType = "F16" // IEEE 754 binary16: 11 bits of precision, at most 65504
	// Int8 stores large tensors as int8 and the others as Float16. An int8 tensor has one
	// float32 scale per place on its last axis (a kernel's output channels), in a second
	// tensor whose name ends in ".scale".
	Int8 DType = "I8"
)

// Types that garb reads from the files of other programs and never writes.
const (
	BFloat16 DType = "BF16" // the upper half of a float32
	Float64  DType = "F64"
	Int64    DType = "I64" // never weights: Tensor does not return them
)

// size returns the bytes that one value takes, 0 for an unknown type.
func (d DType) size() int {
	switch d {
	case Float32:
		return 4
	case Float16, BFloat16:
		return 2
	case Float64, Int64:
		return 8
	case Int8:
		return 1
	}
	return 0
}

const (
	// maxFileBytes bounds what ReadFile takes into memory: 24 times the largest
	// network of this project.
	maxFileBytes = 2 << 30
	// maxHeaderBytes bounds the JSON header. The largest of this project's
	// networks needs 0.1 MB; other writers allow 100 MB.
	maxHeaderBytes = 16 << 20
	metadataKey    = "__metadata__"
	alignment      = 8 // the tensors' bytes begin at a multiple of it
)

// ErrMissing says that a file or map has no tensor of the requested name.
var ErrMissing = errors.New("no such tensor")

// FormatError says why data is not a safetensors file.
type FormatError struct {
	Path   string // "" when the bytes did not come from a file
	Reason string
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "not a valid safetensors file: " + e.Reason
	}
	return e.Path + " is not a valid safetensors file: " + e.Reason
}

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// File is a safetensors file in memory. It is immutable and safe for concurrent use.
type File struct {
	// Metadata holds the file's key-value pairs. It must not be changed.
	Metadata map[string]string

	data    []byte // the whole file
	entries map[string]entry
}

// entry is one tensor in a file; data is a part of the file's bytes.
type entry struct {
	dtype  DType
	shape  []int
	data   []byte
	scales []float32 // for Int8
}

// floats returns the values of a Float32 entry.
func (e entry) floats() []float32 {
	values := make([]float32, len(e.data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(e.data[4*i:]))
	}
	return values
}

// Decode decodes a safetensors file: 8 bytes with the header's length, the JSON
// header and the tensors' bytes. It keeps data, which must not change afterwards,
// and copies no values. It checks that every tensor has as many bytes as its shape
// needs, and that the tensors cover the file without gaps or overlaps. Its error is
// a *FormatError.
func Decode(data []byte) (*File, error) {
	if len(data) < 8 {
		return nil, malformed("it has only %d bytes, too few for a header; copy or download it again", len(data))
	}
	length := binary.LittleEndian.Uint64(data)
	if length > maxHeaderBytes {
		return nil, malformed("its header has %d bytes; the limit is %d", length, maxHeaderBytes)
	}
	if length > uint64(len(data)-8) {
		return nil, malformed("it ends within its header of %d bytes; copy or download it again", length)
	}
	f := &File{data: data}
	if err := f.decodeHeader(data[8:8+length], data[8+length:]); err != nil {
		return nil, err
	}
	return f, nil
}

// ReadFile reads and decodes the safetensors file at path. The limit is 2 GiB. A
// *FormatError has the path; other errors come from reading the file.
func ReadFile(path string) (*File, error) {
	data, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	f, err := Decode(data)
	var format *FormatError
	if errors.As(err, &format) {
		format.Path = path
	}
	return f, err
}

// decodeHeader sets the metadata and the entries. body is the part behind the header.
func (f *File) decodeHeader(header, body []byte) error {
	f.entries = map[string]entry{}
	var extents []extent
	d := json.NewDecoder(bytes.NewReader(header))
	err := decodeObject(d, func(key string) error {
		if key == metadataKey {
			return f.decodeMetadata(d)
		}
		if _, taken := f.entries[key]; taken {
			return malformed("tensor %q appears twice", key)
		}
		var stored storedEntry
		if err := d.Decode(&stored); err != nil {
			return err
		}
		e, x, err := stored.resolve(key, body)
		f.entries[key] = e
		extents = append(extents, x)
		return err
	})
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("text after the last brace")
		}
	}
	var format *FormatError
	switch {
	case errors.As(err, &format):
		return err
	case err != nil:
		return malformed("its header is not valid JSON of safetensors (%v); copy or download it again", err)
	}
	if err := checkCover(extents, uint64(len(body))); err != nil {
		return err
	}
	return f.attachScales()
}

// decodeMetadata decodes the header's object of key-value pairs.
func (f *File) decodeMetadata(d *json.Decoder) error {
	if f.Metadata != nil {
		return malformed("it has two sets of metadata")
	}
	f.Metadata = map[string]string{}
	return decodeObject(d, func(key string) error {
		if _, taken := f.Metadata[key]; taken {
			return malformed("metadata %q appears twice", key)
		}
		var value string
		err := d.Decode(&value)
		f.Metadata[key] = value
		return err
	})
}

// attachScales moves the scales of int8 tensors into their entries.
func (f *File) attachScales() error {
	for name, e := range f.entries {
		if e.dtype != Int8 {
			continue
		}
		scales, ok := f.entries[name+scaleSuffix]
		if axes := len(e.shape); !ok || scales.dtype != Float32 || axes == 0 || len(scales.shape) != 1 ||
			scales.shape[0] != e.shape[axes-1] {
			return malformed("tensor %q is int8, but there is no float32 tensor %q with one scale per place on its "+
				"last axis", name, name+scaleSuffix)
		}
		e.scales = scales.floats()
		f.entries[name] = e
		delete(f.entries, name+scaleSuffix)
	}
	return nil
}

// decodeObject decodes a JSON object and calls member after each key to decode the
// value. Decoding into a map would hide repeated keys.
func decodeObject(d *json.Decoder, member func(key string) error) error {
	if open, err := d.Token(); err != nil {
		return err
	} else if open != json.Delim('{') {
		return fmt.Errorf("%v instead of an object", open)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := member(key.(string)); err != nil { // the decoder accepts only strings as keys
			return err
		}
	}
	_, err := d.Token()
	return err
}

// storedEntry is a tensor's description in the header.
type storedEntry struct {
	DType   DType     `json:"dtype"`
	Shape   []uint64  `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

// extent is the range of a tensor's bytes, counted from the header's end.
type extent struct {
	name       string
	begin, end uint64
}

// resolve checks a description and returns the tensor that it describes.
func (s storedEntry) resolve(name string, body []byte) (entry, extent, error) {
	fail := func(format string, args ...any) (entry, extent, error) {
		return entry{}, extent{}, malformed("tensor %q: %s", name, fmt.Sprintf(format, args...))
	}
	if s.DType.size() == 0 {
		return fail("its dtype is %q; garb reads F32, F16, BF16, F64, I64 and I8", string(s.DType))
	}
	begin, end := s.Offsets[0], s.Offsets[1]
	if begin > end {
		return fail("it ends at byte %d before it begins at %d", end, begin)
	}
	if end > uint64(len(body)) {
		return fail("its last %d bytes are missing; copy or download the file again", end-uint64(len(body)))
	}
	// Every dimension is checked, so that a zero cannot hide a huge one.
	size, shape := uint64(s.DType.size()), make([]int, len(s.Shape))
	for i, dimension := range s.Shape {
		if dimension > math.MaxInt32 {
			return fail("dimension %d is %d", i, dimension)
		}
		high, low := bits.Mul64(size, dimension)
		if high != 0 {
			return fail("its shape %v overflows", s.Shape)
		}
		size, shape[i] = low, int(dimension)
	}
	if size != end-begin {
		return fail("shape %s of %s needs %d bytes, not %d", ShapeString(shape), s.DType, size, end-begin)
	}
	return entry{dtype: s.DType, shape: shape, data: body[begin:end]}, extent{name, begin, end}, nil
}

// checkCover checks that the extents cover size bytes without gaps or overlaps.
func checkCover(extents []extent, size uint64) error {
	slices.SortFunc(extents, func(a, b extent) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	at := uint64(0)
	for _, x := range extents {
		if x.begin < at {
			return malformed("tensor %q overlaps the one before it", x.name)
		}
		if x.begin > at {
			return malformed("%d bytes before tensor %q belong to no tensor", x.begin-at, x.name)
		}
		at = x.end
	}
	if at != size {
		return malformed("%d bytes at its end belong to no tensor", size-at)
	}
	return nil
}

// Names returns the names of all tensors, sorted.
func (f *File) Names() []string { return sortedKeys(f.entries) }

// Has reports whether there is a tensor of that name.
func (f *File) Has(name string) bool {
	_, ok := f.entries[name]
	return ok
}

// Shape returns a tensor's shape, nil if there is no tensor of that name.
func (f *File) Shape(name string) []int { return slices.Clone(f.entries[name].shape) }

// DType returns the type in which a tensor is stored, "" if there is no tensor of that name.
func (f *File) DType(name string) DType { return f.entries[name].dtype }

// Tensor returns a new float32 copy of a tensor. The error is ErrMissing if there is no
// tensor of that name, and a *FormatError if its values are integers or too large for
// float32.
func (f *File) Tensor(name string) (*Tensor, error) {
	e, ok := f.entries[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if e.dtype == Float32 {
		return FromSlice(e.floats(), e.shape...), nil
	}
	t := New(e.shape...)
	switch e.dtype {
	case Float16:
		kernel.FromHalf(t.Data, e.data)
	case BFloat16:
		for i := range t.Data {
			t.Data[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(e.data[2*i:])) << 16)
		}
	case Float64:
		for i := range t.Data {
			value := math.Float64frombits(binary.LittleEndian.Uint64(e.data[8*i:]))
			if t.Data[i] = float32(value); math.IsInf(float64(t.Data[i]), 0) && !math.IsInf(value, 0) {
				return nil, malformed("tensor %q: %g is too large for float32", name, value)
			}
		}
	case Int64:
		return nil, malformed("tensor %q has integers instead of weights", name)
	default:
		dequantize(t.Data, e.data, e.scales)
	}
	return t, nil
}

// Digest computes the SHA-256 of the whole file and returns "sha256:" and 64
// hexadecimal digits.
func (f *File) Digest() string { return fmt.Sprintf("sha256:%x", sha256.Sum256(f.data)) }

// Size returns the file's length in bytes.
func (f *File) Size() int { return len(f.data) }

// Map is a set of named tensors in memory.
type Map map[string]*Tensor

// As rounds the values to what a file of this type would hold. For Float32 it returns m
// itself, otherwise copies. Tensors that cannot be stored, such as infinities as Int8, are
// not rounded.
func (m Map) As(dtype DType) Map {
	if dtype == Float32 {
		return m
	}
	rounded := Map{}
	for name, t := range m {
		r := New(t.Shape...)
		rounded[name] = r
		if dtype == Int8 && fitsInt8(t) {
			integers, scales, err := quantize(t)
			if err != nil {
				rounded[name] = t
				continue
			}
			for i, v := range integers {
				r.Data[i] = float32(v) * scales[i%len(scales)]
			}
			continue
		}
		for i, v := range t.Data {
			r.Data[i] = kernel.HalfToFloat(kernel.FloatToHalf(v))
		}
	}
	return rounded
}

// Names returns the names of all tensors, sorted.
func (m Map) Names() []string { return sortedKeys(m) }

// Tensor returns the map's own tensor, not a copy. The error is ErrMissing if there is no
// tensor of that name.
func (m Map) Tensor(name string) (*Tensor, error) {
	t, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	}
	return t, nil
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// part is a tensor ready to be written.
type part struct {
	name     string
	dtype    DType
	shape    []int
	values   []float32
	integers []int8 // instead of values, for Int8
}

// makeParts returns the tensors to be written, with the scales of Int8, sorted by name.
func makeParts(tensors Map, dtype DType) ([]part, error) {
	var all []part
	for _, name := range tensors.Names() {
		t := tensors[name]
		if len(t.Data) != Len(t.Shape) {
			panic(fmt.Sprintf("tensor: %s has %d values, which do not fill its shape %s", name, len(t.Data),
				ShapeString(t.Shape)))
		}
		p := part{name: name, dtype: dtype, shape: t.Shape, values: t.Data}
		if dtype == Int8 && !fitsInt8(t) {
			p.dtype = Float16
		}
		if p.dtype == Int8 {
			var scales []float32
			var err error
			p.values = nil
			if p.integers, scales, err = quantize(t); err != nil {
				return nil, fmt.Errorf("%s cannot be stored as int8: %w; store it as float32", name, err)
			}
			if _, taken := tensors[name+scaleSuffix]; taken {
				return nil, fmt.Errorf("%s cannot be stored as int8: another tensor has the name of its scales", name)
			}
			all = append(all,
				part{name: name + scaleSuffix, dtype: Float32, shape: []int{len(scales)}, values: scales})
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

// Write writes a safetensors file with every value rounded to the nearest of type dtype.
// Tensors are sorted by name, so equal contents give equal bytes. It fails if a finite
// value is beyond dtype's range or a tensor is named "__metadata__". It panics if dtype is
// not Float32, Float16 or Int8, or if a tensor's data does not fill its shape.
func Write(w io.Writer, metadata map[string]string, tensors Map, dtype DType) error {
	if dtype != Float32 && dtype != Float16 && dtype != Int8 {
		panic(fmt.Sprintf("tensor: cannot write dtype %q", string(dtype)))
	}
	all, err := makeParts(tensors, dtype)
	if err != nil {
		return err
	}
	header, err := encodeHeader(metadata, all)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	buffer := make([]byte, 0, 1<<16)
	for _, p := range all {
		if err := p.write(w, buffer); err != nil {
			return err
		}
	}
	return nil
}

// write writes the values by way of buffer, which is empty and has room for a few.
func (p part) write(w io.Writer, buffer []byte) error {
	for integers := range slices.Chunk(p.integers, cap(buffer)) {
		buffer = buffer[:0]
		for _, v := range integers {
			buffer = append(buffer, byte(v))
		}
		if _, err := w.Write(buffer); err != nil {
			return err
		}
	}
	for values := range slices.Chunk(p.values, cap(buffer)/p.dtype.size()) {
		buffer = buffer[:0]
		for _, v := range values {
			if p.dtype == Float32 {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
				continue
			}
			h := kernel.FloatToHalf(v)
			if h&0x7fff == 0x7c00 && !math.IsInf(float64(v), 0) {
				return fmt.Errorf("%s holds %g, beyond the range of float16; store it as float32", p.name, v)
			}
			buffer = binary.LittleEndian.AppendUint16(buffer, h)
		}
		if _, err := w.Write(buffer); err != nil {
			return err
		}
	}
	return nil
}

// encodeHeader returns the file's bytes up to the first tensor. It pads the header
// with spaces so that the tensors begin at a multiple of 8.
func encodeHeader(metadata map[string]string, all []part) ([]byte, error) {
	header := append(make([]byte, 8), '{')
	if len(metadata) > 0 {
		header = appendMember(header, metadataKey, metadata)
	}
	at := uint64(0)
	for _, p := range all {
		if p.name == metadataKey {
			return nil, fmt.Errorf("a tensor cannot be named %s", metadataKey)
		}
		stored := storedEntry{DType: p.dtype, Shape: make([]uint64, len(p.shape))}
		for i, dimension := range p.shape {
			stored.Shape[i] = uint64(dimension)
		}
		stored.Offsets[0] = at
		at += uint64(Len(p.shape) * p.dtype.size())
		stored.Offsets[1] = at
		header = appendMember(header, p.name, stored)
	}
	header = append(header, '}')
	for len(header)%alignment != 0 {
		header = append(header, ' ')
	}
	if len(header)-8 > maxHeaderBytes {
		return nil, fmt.Errorf("the header of names and metadata has %d bytes; the limit is %d", len(header)-8,
			maxHeaderBytes)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

// appendMember appends a key and its value to an unfinished JSON object.
func appendMember(object []byte, key string, value any) []byte {
	if object[len(object)-1] != '{' {
		object = append(object, ',')
	}
	text := func(v any) string {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic("tensor: " + err.Error()) // strings and numbers always encode
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	object = append(object, text(key)...)
	object = append(object, ':')
	return append(object, text(value)...)
}

// WriteFile writes a safetensors file, as Write does, to path. A file that was there is
// replaced once the new one is complete, and kept if writing fails.
func WriteFile(path string, metadata map[string]string, tensors Map, dtype DType) error {
	return safefile.Write(path, func(w io.Writer) error { return Write(w, metadata, tensors, dtype) })
}
