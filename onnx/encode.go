package onnx

import (
	"encoding/binary"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields that garb writes or reads, from onnx.proto3.
const (
	modelIRVersion       = 1
	modelProducer        = 2
	modelProducerVersion = 3
	modelDoc             = 6
	modelGraph           = 7
	modelOpsets          = 8
	modelMetadata        = 14
	modelFunctions       = 25

	functionName   = 1
	functionDomain = 10

	opsetDomain  = 1
	opsetVersion = 2

	entryKey   = 1
	entryValue = 2

	graphNodes        = 1
	graphName         = 2
	graphInitializers = 5
	graphInputs       = 11
	graphOutputs      = 12

	nodeInputs     = 1
	nodeOutputs    = 2
	nodeName       = 3
	nodeOp         = 4
	nodeAttributes = 5
	nodeDomain     = 7

	attributeName   = 1
	attributeFloat  = 2
	attributeInt    = 3
	attributeString = 4
	attributeTensor = 5
	attributeGraph  = 6
	attributeFloats = 7
	attributeInts   = 8
	attributeType   = 20
	attributeFrom   = 21 // the attribute of a function that it stands for

	tensorDims     = 1
	tensorType     = 2
	tensorFloats   = 4
	tensorInt32s   = 5
	tensorInt64s   = 7
	tensorName     = 8
	tensorRaw      = 9
	tensorDoubles  = 10
	tensorExternal = 13
	tensorLocation = 14

	valueName = 1
	valueType = 2

	typeTensor     = 1
	tensorTypeElem = 1
	tensorTypeDims = 2
	shapeDims      = 1
	dimValue       = 1
	dimName        = 2
)

// The types of an attribute that garb writes or reads.
const (
	kindFloat  = 1
	kindInt    = 2
	kindString = 3
	kindTensor = 4
	kindFloats = 6
	kindInts   = 7
)

// The types of a tensor's values that garb supports.
const (
	typeFloat    = 1
	typeUint8    = 2
	typeInt8     = 3
	typeInt32    = 6
	typeInt64    = 7
	typeBool     = 9
	typeFloat16  = 10
	typeDouble   = 11
	typeBFloat16 = 16
)

// message is a protobuf message that is being built.
type message []byte

func (m *message) appendInteger(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) appendFloat(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) appendText(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) appendMessage(field protowire.Number, inner message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), inner)
}

func (m *message) appendIntegers(field protowire.Number, values []int64) {
	var packed message
	for _, v := range values {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	m.appendMessage(field, packed)
}

// openMessage begins an inner message of the given length, whose bytes follow.
func (m *message) openMessage(field protowire.Number, length int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.BytesType), uint64(length))
}

// attribute is one setting of a node.
func attribute(name string, kind int64) message {
	var m message
	m.appendText(attributeName, name)
	m.appendInteger(attributeType, kind)
	return m
}

func stringAttribute(name, v string) message {
	m := attribute(name, kindString)
	m.appendText(attributeString, v)
	return m
}

func intAttribute(name string, v int) message {
	m := attribute(name, kindInt)
	m.appendInteger(attributeInt, int64(v))
	return m
}

func floatAttribute(name string, v float64) message {
	m := attribute(name, kindFloat)
	m.appendFloat(attributeFloat, float32(v))
	return m
}

func textAttribute(name, text string) message {
	m := attribute(name, kindString)
	m.appendText(attributeString, text)
	return m
}

func intsAttribute(name string, values ...int) message {
	m := attribute(name, kindInts)
	m.appendIntegers(attributeInts, toInt64s(values))
	return m
}

func toInt64s(values []int) []int64 {
	all := make([]int64, len(values))
	for i, v := range values {
		all[i] = int64(v)
	}
	return all
}

// initializer is a constant of a graph: floats, integers of 64 bits, or small ones of 8.
type initializer struct {
	name     string
	dims     []int
	floats   []float32
	integers []int64
	small    []int8
}

// header encodes all of the tensor but its values.
func (i initializer) header() message {
	var m message
	m.appendIntegers(tensorDims, toInt64s(i.dims))
	switch {
	case i.integers != nil:
		m.appendInteger(tensorType, typeInt64)
	case i.small != nil:
		m.appendInteger(tensorType, typeInt8)
	default:
		m.appendInteger(tensorType, typeFloat)
	}
	m.appendText(tensorName, i.name)
	m.openMessage(tensorRaw, i.valueBytes())
	return m
}

func (i initializer) valueBytes() int64 {
	return 4*int64(len(i.floats)) + 8*int64(len(i.integers)) + int64(len(i.small))
}

// writeValues writes the values, little-endian, a few at a time.
func (i initializer) writeValues(w io.Writer) error {
	buffer := make([]byte, 0, 1<<16)
	for _, v := range i.integers {
		buffer = binary.LittleEndian.AppendUint64(buffer, uint64(v))
	}
	for _, v := range i.small {
		if len(buffer) == cap(buffer) {
			if _, err := w.Write(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
		buffer = append(buffer, byte(v))
	}
	for _, v := range i.floats {
		if len(buffer) == cap(buffer) {
			if _, err := w.Write(buffer); err != nil {
				return err
			}
			buffer = buffer[:0]
		}
		buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(v))
	}
	_, err := w.Write(buffer)
	return err
}
