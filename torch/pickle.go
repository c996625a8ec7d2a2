package torch

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// opcode is an instruction of the pickle machine (CPython, Lib/pickletools.py).
type opcode byte

const (
	opMark            opcode = '('
	opStop            opcode = '.'
	opEmptyTuple      opcode = ')'
	opBinFloat        opcode = 'G'
	opBinInt          opcode = 'J'
	opBinInt1         opcode = 'K'
	opBinInt2         opcode = 'M'
	opNone            opcode = 'N'
	opBinPersID       opcode = 'Q'
	opReduce          opcode = 'R'
	opBinUnicode      opcode = 'X'
	opEmptyList       opcode = ']'
	opAppend          opcode = 'a'
	opBuild           opcode = 'b'
	opGlobal          opcode = 'c'
	opAppends         opcode = 'e'
	opBinGet          opcode = 'h'
	opInst            opcode = 'i'
	opLongBinGet      opcode = 'j'
	opBinPut          opcode = 'q'
	opLongBinPut      opcode = 'r'
	opSetItem         opcode = 's'
	opTuple           opcode = 't'
	opSetItems        opcode = 'u'
	opEmptyDict       opcode = '}'
	opProto           opcode = 0x80
	opTuple1          opcode = 0x85
	opTuple2          opcode = 0x86
	opTuple3          opcode = 0x87
	opNewTrue         opcode = 0x88
	opNewFalse        opcode = 0x89
	opLong1           opcode = 0x8a
	opShortBinUnicode opcode = 0x8c
	opStackGlobal     opcode = 0x93
	opMemoize         opcode = 0x94
	opFrame           opcode = 0x95
)

// refused has the names of the instructions that no state dict needs.
var refused = map[opcode]string{
	'0': "POP", '1': "POP_MARK", '2': "DUP", 'F': "FLOAT", 'I': "INT", 'L': "LONG", 'P': "PERSID", 'S': "STRING",
	'T': "BINSTRING", 'U': "SHORT_BINSTRING", 'V': "UNICODE", 'd': "DICT", 'g': "GET", 'l': "LIST", 'o': "OBJ",
	'p': "PUT", 'B': "BINBYTES", 'C': "SHORT_BINBYTES", 0x81: "NEWOBJ", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4",
	0x8b: "LONG4", 0x8d: "BINUNICODE8", 0x8e: "BINBYTES8", 0x8f: "EMPTY_SET", 0x90: "ADDITEMS", 0x91: "FROZENSET",
	0x92: "NEWOBJ_EX", 0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

const (
	maxProtocol = 5
	// maxPickleBytes limits the pickle. A tensor takes about 150 bytes of it; a byte of it takes at
	// most about 100 bytes of memory.
	maxPickleBytes = 1 << 20
	// maxStringBytes limits strings, because a pickle can use one many times.
	maxStringBytes = 4096
)

// A value of a pickle is nil, a bool, int64, float64, string, or one of these. Values may
// refer to each other in cycles, so no function descends into them without a limit.
type (
	bigInt string // the bytes of an int that does not fit into an int64
	tuple  struct{ items []any }
	list   struct{ items []any }
	item   struct{ key, value any }
	dict   struct {
		items []item
		index map[any]int // from a key, which is a string or int64, to the index in items
	}
	// class is the name of a function or class that a pickle may use: "collections.OrderedDict".
	class string
)

const (
	classOrderedDict      class = "collections.OrderedDict"
	classRebuildTensor    class = "torch._utils._rebuild_tensor_v2"
	classRebuildParameter class = "torch._utils._rebuild_parameter"
)

func (d *dict) get(key any) any {
	if i, ok := d.index[key]; ok {
		return d.items[i].value
	}
	return nil
}

func (d *dict) set(key, value any) error {
	switch key.(type) {
	case string, int64:
	default:
		return unsupported("%s as the key of a dict", describe(key))
	}
	if _, taken := d.index[key]; taken {
		return malformed("a dict has the key %v twice", key)
	}
	if d.index == nil {
		d.index = map[any]int{}
	}
	d.index[key] = len(d.items)
	d.items = append(d.items, item{key, value})
	return nil
}

// machine interprets one pickle.
type machine struct {
	data  []byte
	at    int
	stack []any
	marks []int // indices in stack
	memo  map[uint32]any
	// storages holds the storages that the pickle names, by key. load sets the data of a new one if
	// it is known already.
	storages map[string]*storage
	load     func(*storage) error
}

// errCutOff returns the error for a pickle that ends too early.
func errCutOff() error {
	return malformed("its pickle is cut off; copy or download the file again")
}

// take returns the next n bytes.
func (m *machine) take(n int) ([]byte, error) {
	if n > len(m.data)-m.at {
		return nil, errCutOff()
	}
	m.at += n
	return m.data[m.at-n : m.at], nil
}

// takeLine returns the bytes up to the end of the line.
func (m *machine) takeLine() (string, error) {
	end := m.at
	for end < len(m.data) && m.data[end] != '\n' {
		if end++; end-m.at > maxStringBytes {
			return "", malformed("its pickle has a name longer than %d bytes", maxStringBytes)
		}
	}
	if end == len(m.data) {
		return "", errCutOff()
	}
	text := string(m.data[m.at:end])
	m.at = end + 1
	return text, nil
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// errEmptyStack returns the error for an instruction that takes more values than the stack has.
func errEmptyStack() error { return malformed("its pickle is damaged: the stack is empty") }

// floor returns the start of the part of the stack that instructions may change: the last mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// pop removes and returns the last n values of the stack, in order. The slice is valid until the
// next push.
func (m *machine) pop(n int) ([]any, error) {
	start := len(m.stack) - n
	if start < m.floor() {
		return nil, errEmptyStack()
	}
	values := m.stack[start:]
	m.stack = m.stack[:start]
	return values, nil
}

// popMark removes and returns the values since the last mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, malformed("its pickle is damaged: a mark is missing")
	}
	values := m.stack[m.floor():]
	m.stack = m.stack[:m.floor()]
	m.marks = m.marks[:len(m.marks)-1]
	return values, nil
}

// top returns the last value of the stack.
func (m *machine) top() (any, error) {
	if len(m.stack) == m.floor() {
		return nil, errEmptyStack()
	}
	return m.stack[len(m.stack)-1], nil
}

// interpret executes a pickle up to its end and returns its value.
func (m *machine) interpret() (any, error) {
	m.stack, m.marks, m.memo = nil, nil, map[uint32]any{}
	for {
		b, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if opcode(b[0]) == opStop {
			var values []any
			if values, err = m.pop(1); err != nil {
				return nil, err
			}
			return values[0], nil
		}
		if err = m.execute(opcode(b[0])); err != nil {
			return nil, err
		}
	}
}

// execute executes one instruction.
func (m *machine) execute(op opcode) error {
	switch op {
	case opProto:
		return m.checkProtocol()
	case opFrame: // the length of the next part, which nothing needs
		_, err := m.take(8)
		return err
	case opMark:
		m.marks = append(m.marks, len(m.stack))
		return nil
	case opNone, opNewTrue, opNewFalse, opEmptyTuple, opEmptyList, opEmptyDict:
		m.push(constant(op))
		return nil
	case opBinInt, opBinInt1, opBinInt2, opLong1, opBinFloat:
		return m.pushNumber(op)
	case opBinUnicode, opShortBinUnicode:
		return m.pushText(op)
	case opTuple, opTuple1, opTuple2, opTuple3:
		return m.pushTuple(op)
	case opBinPut, opLongBinPut, opMemoize:
		return m.memoize(op)
	case opBinGet, opLongBinGet:
		return m.recall(op)
	case opAppend, opAppends:
		return m.appendItems(op)
	case opSetItem, opSetItems:
		return m.setItems(op)
	case opGlobal, opInst, opStackGlobal:
		return m.pushClass(op)
	case opBinPersID:
		return m.pushStorage()
	case opReduce:
		return m.call()
	case opBuild:
		return m.skipAttributes()
	}
	if name, ok := refused[op]; ok {
		return unsupported("the pickle instruction %s", name)
	}
	return malformed("its pickle is damaged: there is no instruction %#02x", byte(op))
}

func (m *machine) checkProtocol() error {
	b, err := m.take(1)
	if err == nil && b[0] > maxProtocol {
		err = unsupported("pickles of protocol %d", b[0])
	}
	return err
}

func constant(op opcode) any {
	switch op {
	case opNewTrue, opNewFalse:
		return op == opNewTrue
	case opEmptyTuple:
		return &tuple{}
	case opEmptyList:
		return &list{}
	case opEmptyDict:
		return &dict{}
	}
	return nil
}

func (m *machine) pushNumber(op opcode) error {
	size := map[opcode]int{opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opLong1: 1, opBinFloat: 8}[op]
	b, err := m.take(size)
	if err != nil {
		return err
	}
	switch op {
	case opBinInt:
		m.push(int64(int32(binary.LittleEndian.Uint32(b))))
	case opBinInt1:
		m.push(int64(b[0]))
	case opBinInt2:
		m.push(int64(binary.LittleEndian.Uint16(b)))
	case opBinFloat:
		m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case opLong1: // two's complement; the first byte is the length
		if b, err = m.take(int(b[0])); err != nil {
			return err
		}
		if len(b) > 8 {
			m.push(bigInt(b))
			return nil
		}
		var v int64
		for i := len(b) - 1; i >= 0; i-- {
			if i == len(b)-1 {
				v = int64(int8(b[i]))
			} else {
				v = v<<8 | int64(b[i])
			}
		}
		m.push(v)
	}
	return nil
}

func (m *machine) pushText(op opcode) error {
	size := 1
	if op == opBinUnicode {
		size = 4
	}
	n, err := m.takeUnsigned(size)
	if err != nil {
		return err
	}
	if n > maxStringBytes {
		return unsupported("a text of %d bytes (at most %d)", n, maxStringBytes)
	}
	b, err := m.take(int(n))
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return malformed("its pickle has a text that is not UTF-8")
	}
	m.push(string(b))
	return nil
}

// takeUnsigned returns a little-endian number of 1 or 4 bytes.
func (m *machine) takeUnsigned(size int) (uint32, error) {
	b, err := m.take(size)
	if err != nil {
		return 0, err
	}
	if size == 1 {
		return uint32(b[0]), nil
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (m *machine) pushTuple(op opcode) error {
	var values []any
	var err error
	if op == opTuple {
		values, err = m.popMark()
	} else {
		values, err = m.pop(int(op-opTuple1) + 1)
	}
	if err != nil {
		return err
	}
	m.push(&tuple{append([]any(nil), values...)})
	return nil
}

func (m *machine) memoize(op opcode) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	place := uint32(len(m.memo))
	switch op {
	case opBinPut:
		place, err = m.takeUnsigned(1)
	case opLongBinPut:
		place, err = m.takeUnsigned(4)
	}
	if err == nil {
		m.memo[place] = v
	}
	return err
}

func (m *machine) recall(op opcode) error {
	size := 1
	if op == opLongBinGet {
		size = 4
	}
	place, err := m.takeUnsigned(size)
	if err != nil {
		return err
	}
	v, ok := m.memo[place]
	if !ok {
		return malformed("its pickle is damaged: it recalls a value that it did not store")
	}
	m.push(v)
	return nil
}

// popOperands removes the operands of an instruction, the last n values or those since the
// last mark, and returns them with the value below, which the instruction changes.
func (m *machine) popOperands(single bool, n int) (values []any, target any, err error) {
	if single {
		values, err = m.pop(n)
	} else {
		values, err = m.popMark()
	}
	if err != nil {
		return nil, nil, err
	}
	target, err = m.top()
	return values, target, err
}

func (m *machine) appendItems(op opcode) error {
	values, target, err := m.popOperands(op == opAppend, 1)
	if err != nil {
		return err
	}
	l, ok := target.(*list)
	if !ok {
		return malformed("its pickle is damaged: it appends to %s", describe(target))
	}
	l.items = append(l.items, values...)
	return nil
}

func (m *machine) setItems(op opcode) error {
	values, target, err := m.popOperands(op == opSetItem, 2)
	if err != nil {
		return err
	}
	d, ok := target.(*dict)
	if !ok || len(values)%2 != 0 {
		return malformed("its pickle is damaged: it sets %d values in %s", len(values), describe(target))
	}
	for i := 0; i < len(values); i += 2 {
		if err := d.set(values[i], values[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// pushClass pushes the named function or class if it is one that a state dict needs.
func (m *machine) pushClass(op opcode) error {
	var module, name string
	var err error
	if op == opStackGlobal {
		var values []any
		if values, err = m.pop(2); err != nil {
			return err
		}
		var ok, isText bool
		module, ok = values[0].(string)
		name, isText = values[1].(string)
		if !ok || !isText {
			return malformed("its pickle is damaged: a name is %s", describe(values[1]))
		}
	} else if module, err = m.takeLine(); err != nil {
		return err
	} else if name, err = m.takeLine(); err != nil {
		return err
	}
	full := module + "." + name
	if op == opInst {
		return &CallError{full}
	}
	switch class(full) {
	case classOrderedDict, classRebuildTensor, classRebuildParameter:
		m.push(class(full))
		return nil
	}
	for _, k := range storageKinds {
		if full == "torch."+k.name {
			m.push(k)
			return nil
		}
	}
	return &CallError{full}
}

// pushStorage replaces ("storage", kind, key, device, count) by the storage. In files from before
// the zip archive there is a sixth item, the part of another storage that it is; since version 0.4
// it is None.
func (m *machine) pushStorage() error {
	values, err := m.pop(1)
	if err != nil {
		return err
	}
	id, ok := values[0].(*tuple)
	if !ok || len(id.items) != 5 && len(id.items) != 6 || id.items[0] != "storage" {
		return malformed("its pickle is damaged: it refers to a storage without describing it")
	}
	kind, isKind := id.items[1].(*storageKind)
	key, isText := id.items[2].(string)
	count, isInt := id.items[4].(int64)
	switch {
	case !isKind || !isText || !isInt:
		return malformed("its pickle is damaged: the size of a storage is %s", describe(id.items[4]))
	case count < 0 || count > math.MaxInt32:
		return malformed("storage %q has %d values", key, count)
	case len(id.items) == 6 && id.items[5] != nil:
		return unsupported("a storage that is a part of another")
	}
	s := &storage{kind: kind, key: key, count: int(count)}
	if before, ok := m.storages[key]; ok {
		if before.kind != s.kind || before.count != s.count {
			return malformed("storage %q is both %d × %s and %d × %s",
				key, before.count, before.kind.name, s.count, s.kind.name)
		}
		m.push(before)
		return nil
	}
	if err := m.load(s); err != nil {
		return err
	}
	m.storages[key] = s
	m.push(s)
	return nil
}

// call performs the calls that a state dict needs.
func (m *machine) call() error {
	values, err := m.pop(2)
	if err != nil {
		return err
	}
	args, ok := values[1].(*tuple)
	if !ok {
		return malformed("its pickle is damaged: it calls with %s", describe(values[1]))
	}
	var result any
	switch f := values[0].(type) {
	case class:
		result, err = call(f, args.items)
	case *storageKind:
		err = &CallError{"torch." + f.name}
	default:
		err = malformed("its pickle is damaged: it calls %s", describe(f))
	}
	m.push(result)
	return err
}

// call returns the result of calling f.
func call(f class, args []any) (any, error) {
	damaged := func() error { return malformed("its pickle is damaged: it calls %s with wrong arguments", f) }
	switch f {
	case classOrderedDict:
		if len(args) != 0 {
			return nil, unsupported("a collections.OrderedDict made of %s", describe(args[0]))
		}
		return &dict{}, nil
	case classRebuildParameter: // tensor, requires_grad, hooks
		if len(args) != 3 || !isEmpty(args[2]) {
			return nil, damaged()
		}
		v, ok := args[0].(*view)
		if !ok {
			return nil, damaged()
		}
		return v, nil
	}
	// storage, offset, size, stride, requires_grad, hooks and, in newer files, metadata
	if len(args) != 6 && len(args) != 7 || !isEmpty(args[5]) || len(args) == 7 && !isEmpty(args[6]) {
		return nil, damaged()
	}
	s, isStorage := args[0].(*storage)
	offset, isInt := args[1].(int64)
	size, sizeErr := toInts(args[2])
	stride, strideErr := toInts(args[3])
	if !isStorage || !isInt || sizeErr != nil || strideErr != nil {
		return nil, damaged()
	}
	v, err := newView(s, offset, size, stride)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// isEmpty reports whether v is None or an empty dict.
func isEmpty(v any) bool {
	d, ok := v.(*dict)
	return v == nil || ok && len(d.items) == 0
}

// toInts returns the integers of a tuple, at most maxRank.
func toInts(v any) ([]int64, error) {
	t, ok := v.(*tuple)
	if !ok || len(t.items) > maxRank {
		return nil, fmt.Errorf("%s for a shape", describe(v))
	}
	all := make([]int64, len(t.items))
	for i, v := range t.items {
		if all[i], ok = v.(int64); !ok {
			return nil, fmt.Errorf("%s for a dimension", describe(v))
		}
	}
	return all, nil
}

// skipAttributes ignores the attribute that state_dict() gives an OrderedDict: the version of each
// module. It refuses others.
func (m *machine) skipAttributes() error {
	values, target, err := m.popOperands(true, 1)
	if err != nil {
		return err
	}
	state, ok := values[0].(*dict)
	if _, isDict := target.(*dict); !ok || !isDict {
		return malformed("its pickle is damaged: it changes %s", describe(target))
	}
	for _, i := range state.items {
		if i.key != "_metadata" {
			return unsupported("the attribute %s of a dict", strings.TrimSpace(fmt.Sprint(i.key)))
		}
	}
	return nil
}
