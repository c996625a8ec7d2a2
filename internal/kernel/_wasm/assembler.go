package main

import "encoding/binary"

// Value types, as WebAssembly encodes them.
const (
	i32  = 0x7f
	v128 = 0x7b
)

// Instructions, as WebAssembly encodes them. Those of vectors have the prefix 0xfd.
const (
	opBlock = 0x02
	opLoop  = 0x03
	opIf    = 0x04
	opEnd   = 0x0b
	opBrIf  = 0x0d

	opLocalGet = 0x20
	opLocalSet = 0x21
	opLocalTee = 0x22

	opI32Load  = 0x28
	opI32Const = 0x41
	opI32Eqz   = 0x45
	opI32GeS   = 0x4e
	opI32Add   = 0x6a
	opI32Sub   = 0x6b

	vectorPrefix = 0xfd
	vLoad        = 0
	vLoad32Splat = 9
	vStore       = 11
	vF32Add      = 0xe4
	vF32Mul      = 0xe6
	vF32Min      = 0xe8
	vF32Max      = 0xe9
)

// noResult is the type of a block that leaves nothing on the stack.
const noResult = 0x40

// local is the number of a local variable.
type local uint32

// function is a function whose parameter is one i32, the address of its argument: local 0.
type function struct {
	name    string
	ints    int // local variables of type i32 beside the parameter
	vectors int // local variables of type v128, which come after those of type i32
	code    []byte
}

func (f *function) emit(bytes ...byte) { f.code = append(f.code, bytes...) }

func (f *function) unsigned(v uint32) { f.code = binary.AppendUvarint(f.code, uint64(v)) }

// constant pushes an i32, in signed LEB128.
func (f *function) constant(v int32) {
	f.emit(opI32Const)
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			f.emit(low)
			return
		}
		f.emit(low | 0x80)
	}
}

func (f *function) get(l local) { f.emit(opLocalGet); f.unsigned(uint32(l)) }
func (f *function) set(l local) { f.emit(opLocalSet); f.unsigned(uint32(l)) }
func (f *function) tee(l local) { f.emit(opLocalTee); f.unsigned(uint32(l)) }

// field pushes the low half of the 64-bit field at an offset of the argument.
func (f *function) field(offset uint32) {
	f.get(0)
	f.emit(opI32Load, 2)
	f.unsigned(offset)
}

// vector emits an instruction of vectors without operands.
func (f *function) vector(op uint32) {
	f.emit(vectorPrefix)
	f.unsigned(op)
}

// access emits a load or store of vectors at an offset from the address on the stack.
func (f *function) access(op, offset uint32) {
	f.vector(op)
	f.emit(2) // aligned to 4 bytes
	f.unsigned(offset)
}

// advance adds a constant to a local variable.
func (f *function) advance(l local, by int32) {
	f.get(l)
	f.constant(by)
	f.emit(opI32Add)
	f.set(l)
}

// add adds a local variable to another.
func (f *function) add(to, l local) {
	f.get(to)
	f.get(l)
	f.emit(opI32Add)
	f.set(to)
}

// repeat emits a loop that runs body while at least step is left in count, and takes step off each time.
func (f *function) repeat(count local, step int32, body func()) {
	f.emit(opBlock, noResult, opLoop, noResult)
	f.constant(step - 1)
	f.get(count)
	f.emit(opI32GeS, opBrIf, 1)
	body()
	f.advance(count, -step)
	f.emit(0x0c, 0, opEnd, opEnd) // br 0
}

// when emits code that runs body if the field at an offset is not zero.
func (f *function) when(offset uint32, body func()) {
	f.field(offset)
	f.emit(opIf, noResult)
	body()
	f.emit(opEnd)
}

// section appends a section of a module.
func section(module []byte, id byte, content []byte) []byte {
	module = append(module, id)
	module = binary.AppendUvarint(module, uint64(len(content)))
	return append(module, content...)
}

func name(to []byte, s string) []byte {
	to = binary.AppendUvarint(to, uint64(len(s)))
	return append(to, s...)
}

// encode returns a module that imports garb.memory and exports the functions.
func encode(functions []*function) []byte {
	count := func() []byte { return binary.AppendUvarint(nil, uint64(len(functions))) }
	types := []byte{1, 0x60, 1, i32, 0}
	imports := name(name([]byte{1}, "garb"), "memory")
	imports = append(imports, 2, 0, 1) // a memory of at least one page
	declared, exports, code := count(), count(), count()
	for i, f := range functions {
		declared = append(declared, 0)
		exports = append(name(exports, f.name), 0)
		exports = binary.AppendUvarint(exports, uint64(i))
		body := []byte{2}
		body = append(binary.AppendUvarint(body, uint64(f.ints)), i32)
		body = append(binary.AppendUvarint(body, uint64(f.vectors)), v128)
		body = append(append(body, f.code...), opEnd)
		code = binary.AppendUvarint(code, uint64(len(body)))
		code = append(code, body...)
	}
	module := []byte("\x00asm\x01\x00\x00\x00")
	module = section(module, 1, types)
	module = section(module, 2, imports)
	module = section(module, 3, declared)
	module = section(module, 7, exports)
	return section(module, 10, code)
}
