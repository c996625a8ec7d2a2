package main

import (
	"bytes"
	"errors"
	"fmt"
)

// Sections of a module (WebAssembly core specification 2.0, 5.5).
const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionMemory   = 5
	sectionGlobal   = 6
	sectionExport   = 7
	sectionElement  = 9
	sectionCode     = 10
	sectionData     = 11

	sectionDataCount = 12
)

// module is what of a module is changed. Functions count from the imported ones.
type module struct {
	sections  map[byte][]byte // content of the sections that are copied
	typeCount uint32          // in the type section
	types     []uint32        // type of each function
	imports   [][]byte        // imported functions, encoded without the type
	bodies    [][]byte        // of the functions that are not imported
	names     []string        // of all functions, from the name section; empty if it has none
	globals   uint32          // number of globals
	table     []uint32        // functions of the table's one element segment
	tableHead []byte          // the segment's kind and offset
	exports   []export
}

type export struct {
	name  string
	kind  byte
	index uint32
}

// reader reads the binary format. The first error stays.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) byte() byte {
	if r.at >= len(r.data) {
		r.err = errors.New("the data end too early")
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

// unsigned reads an LEB128 number. It serves for signed ones whose value does not matter.
func (r *reader) unsigned() uint32 {
	var v uint64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << min(shift, 63)
		if b < 0x80 {
			return uint32(v)
		}
	}
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil || int(n) > len(r.data)-r.at {
		r.err = errors.New("the data end too early")
		return nil
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at]
}

func (r *reader) text() string { return string(r.bytes(r.unsigned())) }

func appendUnsigned(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendText(b []byte, s string) []byte { return append(appendUnsigned(b, uint32(len(s))), s...) }

func parse(data []byte) (*module, error) {
	if !bytes.HasPrefix(data, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("not a WebAssembly module")
	}
	m := &module{sections: map[byte][]byte{}}
	r := &reader{data: data, at: 8}
	for r.at < len(data) && r.err == nil {
		id := r.byte()
		body := &reader{data: r.bytes(r.unsigned())}
		m.parseSection(id, body)
		if body.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, body.err)
		}
	}
	if m.names == nil {
		m.names = make([]string, len(m.types))
	}
	return m, r.err
}

func (m *module) parseSection(id byte, r *reader) {
	switch id {
	case sectionCustom:
		if r.text() == "name" {
			m.parseNames(r)
		}
	case sectionImport:
		m.parseImports(r)
	case sectionFunction:
		for range r.unsigned() {
			m.types = append(m.types, r.unsigned())
		}
	case sectionElement:
		m.parseTable(r)
	case sectionCode:
		for range r.unsigned() {
			m.bodies = append(m.bodies, r.bytes(r.unsigned()))
		}
	case sectionType, sectionGlobal:
		m.sections[id] = r.data
		count := r.unsigned()
		if id == sectionType {
			m.typeCount = count
		} else {
			m.globals = count
		}
	case sectionTable, sectionMemory, sectionData:
		m.sections[id] = r.data
	case sectionExport:
		for range r.unsigned() {
			m.exports = append(m.exports, export{r.text(), r.byte(), r.unsigned()})
		}
	case sectionDataCount: // only for memory.init, which is not expected
	default:
		r.err = errors.New("not expected")
	}
}

func (m *module) parseImports(r *reader) {
	for range r.unsigned() {
		start := r.at
		r.text()
		r.text()
		if r.byte() != 0 {
			r.err = errors.New("something else than a function is imported")
			return
		}
		m.imports = append(m.imports, r.data[start:r.at])
		m.types = append(m.types, r.unsigned())
	}
}

// parseTable reads one active segment of function numbers for table 0.
func (m *module) parseTable(r *reader) {
	if r.unsigned() != 1 || r.unsigned() != 0 || r.byte() != opI32Const {
		r.err = errors.New("not one segment of the first table")
		return
	}
	start := r.at
	r.unsigned()
	if r.byte() != opEnd {
		r.err = errors.New("a segment's offset is not constant")
		return
	}
	m.tableHead = append([]byte{0, opI32Const}, r.data[start:r.at]...)
	for range r.unsigned() {
		m.table = append(m.table, r.unsigned())
	}
}

// parseNames reads the names of functions.
func (m *module) parseNames(r *reader) {
	for r.at < len(r.data) && r.err == nil {
		kind := r.byte()
		sub := &reader{data: r.bytes(r.unsigned())}
		if kind != 1 {
			continue
		}
		m.names = make([]string, len(m.types))
		for range sub.unsigned() {
			if i := sub.unsigned(); int(i) < len(m.names) && sub.err == nil {
				m.names[i] = sub.text()
			}
		}
		r.err = sub.err
	}
}

// encode returns the module with the functions that are kept, in order, and the checks.
func (m *module) encode(kept []uint32) ([]byte, error) {
	imported := uint32(len(m.imports))
	// The new numbers: imported functions, tick, then the others from a stub on, which fills the
	// table's unused places.
	number := make([]uint32, len(m.types))
	var imports, functions, code []byte
	count := uint32(0)
	for _, f := range kept {
		if f < imported {
			number[f] = count
			imports = append(append(imports, m.imports[f]...), appendUnsigned(nil, m.types[f])...)
			count++
		}
	}
	tick := count
	imports = append(appendText(appendText(imports, "garb"), "tick"), 0)
	imports = appendUnsigned(imports, m.typeCount) // () -> i32
	sections := map[byte][]byte{sectionImport: append(appendUnsigned(nil, count+1), imports...)}
	stub := tick + 1
	count += 2
	functions = appendUnsigned(functions, m.typeCount+1) // () -> ()
	code = append(code, 3, 0, opUnreachable, opEnd)
	for _, f := range kept {
		if f >= imported {
			number[f] = count
			functions = appendUnsigned(functions, m.types[f])
			count++
		}
	}
	for _, f := range kept {
		if f < imported {
			continue
		}
		body, err := rewrite(m.bodies[f-imported], func(f uint32) uint32 { return number[f] }, tick, m.globals)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.names[f], err)
		}
		code = append(appendUnsigned(code, uint32(len(body))), body...)
	}
	sections[sectionFunction] = append(appendUnsigned(nil, count-tick-1), functions...)
	sections[sectionCode] = append(appendUnsigned(nil, count-tick-1), code...)
	sections[sectionElement] = m.encodeTable(kept, number, stub)
	sections[sectionExport] = m.encodeExports(number)
	m.addTypesAndCounter(sections)
	out := []byte("\x00asm\x01\x00\x00\x00")
	for id := byte(sectionType); id <= sectionData; id++ {
		body := sections[id]
		if body == nil {
			body = m.sections[id]
		}
		if body != nil {
			out = append(appendUnsigned(append(out, id), uint32(len(body))), body...)
		}
	}
	return out, nil
}

func (m *module) encodeTable(kept, number []uint32, stub uint32) []byte {
	isKept := make([]bool, len(m.types))
	for _, f := range kept {
		isKept[f] = true
	}
	out := append([]byte{1}, m.tableHead...)
	out = appendUnsigned(out, uint32(len(m.table)))
	for _, f := range m.table {
		if isKept[f] {
			out = appendUnsigned(out, number[f])
		} else {
			out = appendUnsigned(out, stub)
		}
	}
	return out
}

func (m *module) encodeExports(number []uint32) []byte {
	out := appendUnsigned(nil, uint32(len(m.exports)))
	for _, e := range m.exports {
		index := e.index
		if e.kind == 0 {
			index = number[index]
		}
		out = appendUnsigned(append(appendText(out, e.name), e.kind), index)
	}
	return out
}

// addTypesAndCounter adds the types of tick and of the stub, and the counter: a variable i32, 1 at
// first, so that the first loop calls tick.
func (m *module) addTypesAndCounter(sections map[byte][]byte) {
	add := func(section byte, count uint32, entries uint32, more ...byte) {
		old := m.sections[section][len(appendUnsigned(nil, count)):]
		sections[section] = append(append(appendUnsigned(nil, count+entries), old...), more...)
	}
	const functionType, i32, variable = 0x60, 0x7f, 1
	add(sectionType, m.typeCount, 2, functionType, 0, 1, i32, functionType, 0, 0)
	add(sectionGlobal, m.globals, 1, i32, variable, opI32Const, 1, opEnd)
}
