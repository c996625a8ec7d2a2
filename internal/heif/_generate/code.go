package main

import (
	"fmt"
	"slices"
)

// Instructions (WebAssembly core specification 2.0, 5.4, and the threads proposal).
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opEnd          = 0x0b
	opBranch       = 0x0c
	opBranchIf     = 0x0d
	opBranchTable  = 0x0e
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opI32Load      = 0x28
	opI64Store32   = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI32Sub       = 0x6b
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMore         = 0xfc
	opVector       = 0xfd
	opAtomic       = 0xfe
	emptyBlockType = 0x40
)

// eachInstruction calls f with each instruction of a function's body, which is
// body[start:end] with its operands. operand is the first of them.
func eachInstruction(body []byte, f func(op byte, start, end int, operand uint32)) error {
	r := &reader{data: body}
	for range r.unsigned() { // groups of local variables
		r.unsigned()
		r.byte()
	}
	for r.at < len(body) && r.err == nil {
		start := r.at
		op := r.byte()
		operand := r.operands(op)
		if r.err == nil {
			f(op, start, r.at, operand)
		}
	}
	return r.err
}

// operands skips an instruction's operands and returns the first.
func (r *reader) operands(op byte) (first uint32) {
	switch {
	case op >= opI32Load && op <= opI64Store32: // alignment and offset
		first = r.unsigned()
		r.unsigned()
	case op == opBlock, op == opLoop, op == opIf, op == opBranch, op == opBranchIf, op == opCall,
		op >= opLocalGet && op <= opTableSet, op == opMemorySize, op == opMemoryGrow,
		op == opI32Const, op == opI64Const, op == opRefNull, op == opRefFunc:
		return r.unsigned()
	case op == opCallIndirect:
		first = r.unsigned()
		r.unsigned()
	case op == opBranchTable, op == opSelectTyped:
		first = r.unsigned()
		for range first {
			r.unsigned()
		}
		if op == opBranchTable {
			r.unsigned()
		}
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opMore:
		r.moreOperands()
	case op == opAtomic:
		const fence = 3
		if r.unsigned() == fence {
			r.byte()
			break
		}
		r.unsigned()
		r.unsigned()
	case op == opVector:
		r.vectorOperands()
	}
	return first
}

// vectorOperands skips the operands of the instructions with prefix opVector (core specification 2.0, 5.4.8).
func (r *reader) vectorOperands() {
	const (
		lastAccess    = 11 // v128.store
		constant      = 12
		shuffle       = 13
		firstOfLane   = 21 // i8x16.extract_lane_s
		lastOfLane    = 34 // f64x2.replace_lane
		firstOfMemory = 84 // v128.load8_lane
		lastWithLane  = 91 // v128.store64_lane
		lastOfMemory  = 93 // v128.load64_zero
	)
	sub := r.unsigned()
	if sub <= lastAccess || sub >= firstOfMemory && sub <= lastOfMemory { // alignment and offset
		r.unsigned()
		r.unsigned()
	}
	switch {
	case sub == constant, sub == shuffle:
		r.bytes(16)
	case sub >= firstOfLane && sub <= lastOfLane, sub >= firstOfMemory && sub <= lastWithLane:
		r.byte()
	}
}

// moreOperands skips the operands of the instructions with prefix opMore.
func (r *reader) moreOperands() {
	switch sub := r.unsigned(); {
	case sub < 8: // saturating conversions
	case sub == 8, sub == 10, sub == 12, sub == 14: // memory.init, memory.copy, table.init, table.copy
		r.unsigned()
		r.unsigned()
	default:
		r.unsigned()
	}
}

// reach returns, in order, the functions that the roots and the table's functions that are not
// dropped reach through calls.
func (m *module) reach(roots []uint32, dropped []bool) ([]uint32, error) {
	reached := make([]bool, len(m.types))
	var kept, next []uint32
	add := func(f uint32) {
		if !reached[f] {
			reached[f] = true
			next = append(next, f)
		}
	}
	for _, f := range roots {
		add(f)
	}
	for _, f := range m.table {
		if !dropped[f] {
			add(f)
		}
	}
	for len(next) > 0 {
		f := next[len(next)-1]
		next = next[:len(next)-1]
		kept = append(kept, f)
		if int(f) < len(m.imports) {
			continue
		}
		err := eachInstruction(m.bodies[int(f)-len(m.imports)], func(op byte, _, _ int, operand uint32) {
			if op == opCall || op == opRefFunc {
				add(operand)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.names[f], err)
		}
	}
	slices.Sort(kept)
	return kept, nil
}

// rewrite returns a function's body with the new numbers of functions and a check in each loop.
func rewrite(body []byte, number func(uint32) uint32, tick, counter uint32) ([]byte, error) {
	var out []byte
	copied := 0
	err := eachInstruction(body, func(op byte, start, end int, operand uint32) {
		switch op {
		case opCall, opRefFunc:
			out = append(append(out, body[copied:start]...), op)
			out = appendUnsigned(out, number(operand))
			copied = end
		case opLoop:
			out = append(out, body[copied:end]...)
			out = appendCheck(out, tick, counter)
			copied = end
		}
	})
	return append(out, body[copied:]...), err
}

// appendCheck appends: counter = counter - 1; if counter == 0 { counter = tick() }.
func appendCheck(out []byte, tick, counter uint32) []byte {
	get := appendUnsigned([]byte{opGlobalGet}, counter)
	set := appendUnsigned([]byte{opGlobalSet}, counter)
	out = append(append(out, get...), opI32Const, 1, opI32Sub)
	out = append(append(out, set...), get...)
	out = append(out, opI32Eqz, opIf, emptyBlockType)
	out = appendUnsigned(append(out, opCall), tick)
	return append(append(out, set...), opEnd)
}
