package tflite

import flatbuffers "github.com/google/flatbuffers/go"

// The constants are those of TensorFlow Lite's schema
// (tensorflow/compiler/mlir/lite/schema/schema.fbs).
// A field's slot is its position in its table there; comments at each use name it.

// operator is a BuiltinOperator.
type operator int32

const (
	opAdd             operator = 0
	opAveragePool2D   operator = 1
	opConcatenation   operator = 2
	opConv2D          operator = 3
	opDepthwiseConv2D operator = 4
	opFullyConnected  operator = 9
	opLogistic        operator = 14
	opMaxPool2D       operator = 17
	opMul             operator = 18
	opReLU            operator = 19
	opReLU6           operator = 21
	opReshape         operator = 22
	opSoftmax         operator = 25
	opTanh            operator = 28
	opPReLU           operator = 54
	opMaximum         operator = 55
	opMinimum         operator = 57
	opHardSwish       operator = 117
	opResizeBilinear  operator = 23
	opPad             operator = 34
	opMean            operator = 40
	opSub             operator = 41
	opDiv             operator = 42
	opExp             operator = 47
	opCast            operator = 53
	opArgMax          operator = 56
	opPadV2           operator = 60
	opSlice           operator = 65
	opLog             operator = 73
	opSum             operator = 74
	opRsqrt           operator = 76
	opReduceMax       operator = 82
	opOneHot          operator = 85
	opReduceMin       operator = 89
	opResizeNearest   operator = 97
	opLeakyReLU       operator = 98
	opMirrorPad       operator = 100
	opAbs             operator = 101
	opGELU            operator = 150
)

// tensorType is a TensorType.
type tensorType int8

const (
	typeFloat32 tensorType = 0
	typeInt32   tensorType = 2
	typeUint8   tensorType = 3
)

// activation is an ActivationFunctionType: the function that an operator applies to its results.
type activation int8

const (
	noActivation activation = 0
	fusedReLU    activation = 1
	fusedReLU6   activation = 3
)

// padding is a Padding.
type padding int8

const (
	paddingSame  padding = 0
	paddingValid padding = 1
)

// optionsType is a member of the union BuiltinOptions.
type optionsType byte

const (
	noOptions              optionsType = 0
	conv2DOptions          optionsType = 1
	depthwiseConv2DOptions optionsType = 2
	pool2DOptions          optionsType = 5
	fullyConnectedOptions  optionsType = 8
	softmaxOptions         optionsType = 9
	concatenationOptions   optionsType = 10
	addOptions             optionsType = 11
	resizeBilinearOptions  optionsType = 15
	reshapeOptions         optionsType = 17
	mulOptions             optionsType = 21
	padOptions             optionsType = 22
	reducerOptions         optionsType = 27
	subOptions             optionsType = 28
	divOptions             optionsType = 29
	expOptions             optionsType = 33
	castOptions            optionsType = 37
	argMaxOptions          optionsType = 40
	maximumMinimumOptions  optionsType = 39
	padV2Options           optionsType = 43
	sliceOptions           optionsType = 48
	oneHotOptions          optionsType = 61
	resizeNearestOptions   optionsType = 74
	leakyReLUOptions       optionsType = 75
	mirrorPadOptions       optionsType = 77
	geluOptions            optionsType = 116
)

// field is a number in a table of options. The schema's defaults of all fields used here are zero.
type field interface {
	put(b *flatbuffers.Builder, slot int)
}

type (
	integer int32
	float   float32
	boolean bool
)

func (v integer) put(b *flatbuffers.Builder, slot int)    { b.PrependInt32Slot(slot, int32(v), 0) }
func (v float) put(b *flatbuffers.Builder, slot int)      { b.PrependFloat32Slot(slot, float32(v), 0) }
func (v boolean) put(b *flatbuffers.Builder, slot int)    { b.PrependBoolSlot(slot, bool(v), false) }
func (v activation) put(b *flatbuffers.Builder, slot int) { b.PrependInt8Slot(slot, int8(v), 0) }
func (v padding) put(b *flatbuffers.Builder, slot int)    { b.PrependInt8Slot(slot, int8(v), 0) }
func (v tensorType) put(b *flatbuffers.Builder, slot int) { b.PrependInt8Slot(slot, int8(v), 0) }

// builder adds tables and vectors to a flatbuffer.
type builder struct{ *flatbuffers.Builder }

// slots has the offsets in a table by slot; 0: absent.
type slots map[int]flatbuffers.UOffsetT

// addTable adds a table of offsets. numbers, if not nil, adds the other fields.
func (b builder) addTable(offsets slots, numbers func()) flatbuffers.UOffsetT {
	const maxSlots = 16
	b.StartObject(maxSlots)
	for slot := range maxSlots {
		b.PrependUOffsetTSlot(slot, offsets[slot], 0)
	}
	if numbers != nil {
		numbers()
	}
	return b.EndObject()
}

func (b builder) addOffsets(v ...flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	return b.CreateVectorOfTables(v)
}

func (b builder) addIntegers(v []int32) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependInt32(v[i])
	}
	return b.EndVector(len(v))
}

func (b builder) addFloats(v []float32) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependFloat32(v[i])
	}
	return b.EndVector(len(v))
}

// constantAlignment is the alignment of constants in the file, which are used where they are
// mapped.
const constantAlignment = 16

// addBytes adds a vector of ubyte, aligned for constants, that holds values.
func (b builder) addBytes(v values) flatbuffers.UOffsetT {
	b.StartVector(1, v.length(), constantAlignment)
	for i := len(v.text) - 1; i >= 0; i-- {
		b.PlaceByte(v.text[i])
	}
	for i := len(v.integers) - 1; i >= 0; i-- {
		b.PlaceInt32(v.integers[i])
	}
	for i := len(v.floats) - 1; i >= 0; i-- {
		b.PlaceFloat32(v.floats[i])
	}
	return b.EndVector(v.length())
}

// values is the contents of a buffer: one of these.
type values struct {
	floats   []float32
	integers []int32
	text     []byte
}

func (v values) length() int { return 4*len(v.floats) + 4*len(v.integers) + len(v.text) }
