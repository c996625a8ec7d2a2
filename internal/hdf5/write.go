package hdf5

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Node is a group or dataset for Write: a dataset if it has Values.
type Node struct {
	Attributes map[string]string
	Members    map[string]*Node // of a group
	// Values has a dataset's values in row-major order: []float32, []float64 or []int64.
	Values any
	Shape  []int // of a dataset, none for a scalar
}

// Write writes a file with the given root group. The same tree always gives the same bytes.
//
// It uses only features that the HDF Group's library has read since version 1.8: superblock
// 0, object headers 1, the members of a group as links in its header, contiguous data. The
// values come first, so that their addresses are known when the headers are encoded.
//
// Errors are those of w. It panics if values do not fill their shape, if a name cannot be
// part of a path (it is empty, a dot, or has a slash or a zero byte), or if a text or a group
// is too large for a header: 64 kB or 65,000 members.
func Write(w io.Writer, root *Node) error {
	if root.Values != nil {
		panic("hdf5: the root is a dataset; it must be a group")
	}
	headersAt := superblockBytes + root.countValueBytes()
	f := &writer{headersAt: headersAt, valuesAt: superblockBytes}
	rootAt := f.writeObject(root)

	b := bufio.NewWriter(w)
	b.Write(encodeSuperblock(rootAt, headersAt+uint64(len(f.headers))))
	for _, n := range f.datasets {
		if err := writeValues(b, n.Values); err != nil {
			return err
		}
	}
	b.Write(f.headers)
	return b.Flush() // returns the first error of all writes
}

// alignment is that of all parts of the file, in bytes.
const alignment = 8

func align(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }

// countValueBytes returns the size of the values of a node and its members, with their padding.
func (n *Node) countValueBytes() uint64 {
	var total uint64
	if n.Values != nil {
		_, bytes := describeNumbers(n.Values)
		total = align(bytes)
	}
	for _, member := range n.Members {
		total += member.countValueBytes()
	}
	return total
}

// writer collects the headers, and the datasets in the order of their values.
type writer struct {
	headersAt uint64
	headers   []byte
	valuesAt  uint64 // address of the next dataset's values
	datasets  []*Node
}

// writeObject appends the headers of n's members and its own, and returns the address of its own.
func (f *writer) writeObject(n *Node) uint64 {
	var h headerWriter
	if n.Values != nil {
		f.writeDataset(&h, n)
	} else {
		f.writeGroup(&h, n)
	}
	for _, name := range slices.Sorted(maps.Keys(n.Attributes)) {
		h.addMessage(messageAttribute, encodeAttribute(name, n.Attributes[name]))
	}
	if h.count > math.MaxUint16 {
		panic(fmt.Sprintf("hdf5: an object of %d members and attributes", h.count))
	}
	address := f.headersAt + uint64(len(f.headers))
	f.headers = append(f.headers, 1, 0) // version
	f.headers = binary.LittleEndian.AppendUint16(f.headers, uint16(h.count))
	f.headers = binary.LittleEndian.AppendUint32(f.headers, 1) // references to it
	f.headers = binary.LittleEndian.AppendUint32(f.headers, uint32(len(h.data)))
	f.headers = append(f.headers, 0, 0, 0, 0)
	f.headers = append(f.headers, h.data...)
	return address
}

func (f *writer) writeGroup(h *headerWriter, n *Node) {
	noHeap := binary.LittleEndian.AppendUint64([]byte{0, 0}, undefinedAddress)
	h.addMessage(messageLinkInfo, binary.LittleEndian.AppendUint64(noHeap, undefinedAddress))
	for _, name := range slices.Sorted(maps.Keys(n.Members)) {
		if name == "" || name == "." || len(name) > maxNameBytes || strings.ContainsAny(name, "/\x00") {
			panic(fmt.Sprintf("hdf5: a member named %q", name))
		}
		const lengthIn2Bytes, hasCharacters, utf8 = 0x01, 0x10, 1
		link := []byte{1, lengthIn2Bytes | hasCharacters, utf8}
		link = binary.LittleEndian.AppendUint16(link, uint16(len(name)))
		link = append(link, name...)
		h.addMessage(messageLink, binary.LittleEndian.AppendUint64(link, f.writeObject(n.Members[name])))
	}
}

func (f *writer) writeDataset(h *headerWriter, n *Node) {
	if len(n.Members) > 0 {
		panic("hdf5: a dataset with members")
	}
	kind, bytes := describeNumbers(n.Values)
	wanted := uint64(binary.LittleEndian.Uint32(kind[4:])) // first the bytes of one value
	for _, d := range n.Shape {
		if d < 0 {
			panic(fmt.Sprintf("hdf5: a dataset of shape %v", n.Shape))
		}
		wanted *= uint64(d)
	}
	if wanted != bytes || len(n.Shape) > 32 {
		panic(fmt.Sprintf("hdf5: %d bytes of values for a dataset of shape %v", bytes, n.Shape))
	}
	at := f.valuesAt
	f.valuesAt += align(bytes)
	f.datasets = append(f.datasets, n)
	if bytes == 0 {
		at = undefinedAddress
	}
	const contiguous = 1
	layout := binary.LittleEndian.AppendUint64([]byte{3, contiguous}, at)
	h.addMessage(messageDataspace, encodeDataspace(n.Shape))
	h.addMessage(messageDatatype, kind)
	h.addMessage(messageLayout, binary.LittleEndian.AppendUint64(layout, bytes))
}

// headerWriter collects an object's messages.
type headerWriter struct {
	data  []byte
	count int
}

func (h *headerWriter) addMessage(kind uint16, data []byte) {
	size := align(uint64(len(data)))
	if size > math.MaxUint16 {
		panic(fmt.Sprintf("hdf5: a message of %d bytes; at most %d fit into a header", size, math.MaxUint16))
	}
	h.data = binary.LittleEndian.AppendUint16(h.data, kind)
	h.data = binary.LittleEndian.AppendUint16(h.data, uint16(size))
	h.data = append(h.data, 0, 0, 0, 0) // flags
	h.data = appendAligned(h.data, data)
	h.count++
}

func appendAligned(dst, data []byte) []byte {
	dst = append(dst, data...)
	return append(dst, make([]byte, align(uint64(len(data)))-uint64(len(data)))...)
}

// encodeSuperblock returns the beginning of the file.
func encodeSuperblock(root, end uint64) []byte {
	b := []byte(signature)
	b = append(b, 0, 0, 0, 0, 0, 8, 8, 0)                     // versions; bytes of an address and of a length
	b = append(b, 4, 0, 16, 0, 0, 0, 0, 0)                    // sizes of trees, which the file does not have; flags
	b = binary.LittleEndian.AppendUint64(b, 0)                // base address
	b = binary.LittleEndian.AppendUint64(b, undefinedAddress) // free space
	b = binary.LittleEndian.AppendUint64(b, end)
	b = binary.LittleEndian.AppendUint64(b, undefinedAddress) // driver
	b = binary.LittleEndian.AppendUint64(b, 0)                // the root's name
	b = binary.LittleEndian.AppendUint64(b, root)
	return append(b, make([]byte, superblockBytes-len(b))...)
}

const superblockBytes = 96

// encodeDataspace describes a shape.
func encodeDataspace(shape []int) []byte {
	b := []byte{1, uint8(len(shape)), 0, 0, 0, 0, 0, 0}
	for _, d := range shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(d))
	}
	return b
}

// Little-endian numbers, as datatypes of version 1: class, bits, bytes per value, and the positions
// of sign, exponent and mantissa in IEEE 754.
var (
	float32Type = []byte{0x10 | byte(classFloat), 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}
	float64Type = []byte{0x10 | byte(classFloat), 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0}
	int64Type   = []byte{0x10 | byte(classInteger), 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}
)

// describeNumbers returns the datatype of values and their size.
func describeNumbers(values any) (kind []byte, bytes uint64) {
	switch v := values.(type) {
	case []float32:
		return float32Type, 4 * uint64(len(v))
	case []float64:
		return float64Type, 8 * uint64(len(v))
	case []int64:
		return int64Type, 8 * uint64(len(v))
	}
	panic(fmt.Sprintf("hdf5: values of type %T", values))
}

// encodeAttribute returns the message of a text.
func encodeAttribute(name, text string) []byte {
	if name == "" || strings.ContainsRune(name, 0) || strings.ContainsRune(text, 0) {
		panic(fmt.Sprintf("hdf5: attribute %q is %q", name, text))
	}
	name += "\x00"
	const zeroPadded, utf8 = 0x01, 0x10
	kind := []byte{0x10 | byte(classText), zeroPadded | utf8, 0, 0}
	kind = binary.LittleEndian.AppendUint32(kind, uint32(max(1, len(text)))) // no text has 0 bytes
	space := encodeDataspace(nil)
	b := []byte{1, 0}
	for _, part := range [][]byte{[]byte(name), kind, space} {
		b = binary.LittleEndian.AppendUint16(b, uint16(min(len(part), math.MaxUint16)))
	}
	b = appendAligned(b, []byte(name))
	b = append(append(b, kind...), space...)
	if text == "" {
		text = "\x00"
	}
	return append(b, text...)
}

// writeValues writes values and their padding.
func writeValues(w *bufio.Writer, values any) (err error) {
	var bytes uint64
	var one [8]byte
	switch v := values.(type) {
	case []float32:
		for _, x := range v {
			binary.LittleEndian.PutUint32(one[:], math.Float32bits(x))
			_, err = w.Write(one[:4])
		}
		bytes = 4 * uint64(len(v))
	case []float64:
		for _, x := range v {
			binary.LittleEndian.PutUint64(one[:], math.Float64bits(x))
			_, err = w.Write(one[:])
		}
	case []int64:
		for _, x := range v {
			binary.LittleEndian.PutUint64(one[:], uint64(x))
			_, err = w.Write(one[:])
		}
	}
	if bytes%alignment != 0 {
		_, err = w.Write(make([]byte, align(bytes)-bytes))
	}
	return err // bufio.Writer returns the first error again
}
