package tflite

import (
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
)

// parsed is what a written file holds, read with nothing but the schema's slots.
type parsed struct {
	tensors         []parsedTensor
	nodes           []parsedNode
	inputs, outputs []int32
	description     string
	metadata        map[string][]byte
	signature       map[string]int32 // the tensors of its inputs and outputs
}

type parsedTensor struct {
	name             string
	kind             int8
	shape, signature []int32
	data             []byte
	at               int // of the data in the file
}

type parsedNode struct {
	op              operator
	version         int32
	inputs, outputs []int32
	kind            byte
	options         reader
}

// reader reads a table.
type reader struct{ flatbuffers.Table }

func (r reader) slot(i int) (flatbuffers.UOffsetT, bool) {
	o := r.Offset(flatbuffers.VOffsetT(4 + 2*i))
	return flatbuffers.UOffsetT(o) + r.Pos, o != 0
}

func (r reader) int32(i int) int32 {
	if at, ok := r.slot(i); ok {
		return r.GetInt32(at)
	}
	return 0
}

func (r reader) byte(i int) byte {
	if at, ok := r.slot(i); ok {
		return r.GetByte(at)
	}
	return 0
}

func (r reader) float(i int) float32 {
	if at, ok := r.slot(i); ok {
		return r.GetFloat32(at)
	}
	return 0
}

func (r reader) text(i int) string {
	if at, ok := r.slot(i); ok {
		return string(r.ByteVector(at))
	}
	return ""
}

func (r reader) table(i int) reader {
	at, ok := r.slot(i)
	if !ok {
		return reader{}
	}
	return reader{flatbuffers.Table{Bytes: r.Bytes, Pos: r.Indirect(at)}}
}

func (r reader) tables(i int) []reader {
	at, ok := r.slot(i)
	if !ok {
		return nil
	}
	var all []reader
	o := at - r.Pos
	for j := range r.VectorLen(o) {
		all = append(all, reader{flatbuffers.Table{Bytes: r.Bytes,
			Pos: r.Indirect(r.Vector(o) + flatbuffers.UOffsetT(4*j))}})
	}
	return all
}

func (r reader) integers(i int) []int32 {
	at, ok := r.slot(i)
	if !ok {
		return nil
	}
	all := []int32{}
	o := at - r.Pos
	for j := range r.VectorLen(o) {
		all = append(all, r.GetInt32(r.Vector(o)+flatbuffers.UOffsetT(4*j)))
	}
	return all
}

func (r reader) floats(i int) []float32 {
	at, ok := r.slot(i)
	if !ok {
		return nil
	}
	all := []float32{}
	o := at - r.Pos
	for j := range r.VectorLen(o) {
		all = append(all, r.GetFloat32(r.Vector(o)+flatbuffers.UOffsetT(4*j)))
	}
	return all
}

// root returns the table that a flatbuffer begins with.
func root(t testing.TB, data []byte, identifier string) reader {
	t.Helper()
	if len(data) < 8 || string(data[4:8]) != identifier {
		t.Fatalf("it begins with %q", data[:min(len(data), 8)])
	}
	return reader{flatbuffers.Table{Bytes: data, Pos: flatbuffers.GetUOffsetT(data)}}
}

func parse(t testing.TB, data []byte) parsed {
	t.Helper()
	model := root(t, data, "TFL3")
	if v := model.int32(0); v != 3 {
		t.Errorf("version %d of the schema", v)
	}
	p := parsed{description: model.text(3), metadata: map[string][]byte{}, signature: map[string]int32{}}
	buffers := model.tables(4)
	content := func(i int32) ([]byte, int) {
		at, ok := buffers[i].slot(0)
		if !ok {
			return nil, 0
		}
		return buffers[i].ByteVector(at), int(buffers[i].Vector(at - buffers[i].Pos))
	}
	if b, _ := content(0); b != nil {
		t.Error("the first buffer is that of tensors without values")
	}
	subgraph := model.tables(2)[0]
	p.inputs, p.outputs = subgraph.integers(1), subgraph.integers(2)
	for _, r := range subgraph.tables(0) {
		v := parsedTensor{name: r.text(3), kind: int8(r.byte(1)), shape: r.integers(0), signature: r.integers(7)}
		if b := r.int32(2); b != 0 {
			v.data, v.at = content(b)
		}
		p.tensors = append(p.tensors, v)
	}
	codes := model.tables(1)
	for _, r := range subgraph.tables(3) {
		code := codes[r.int32(0)]
		if old := code.byte(0); int32(old) != min(code.int32(3), 127) {
			t.Errorf("operator %d is %d to old readers", code.int32(3), old)
		}
		p.nodes = append(p.nodes,
			parsedNode{op: operator(code.int32(3)), version: code.int32(2), inputs: r.integers(1),
				outputs: r.integers(2), kind: r.byte(3), options: r.table(4)})
	}
	for _, r := range model.tables(6) {
		b, at := content(r.int32(1))
		if at%16 != 0 {
			t.Errorf("the metadata %s is at %d", r.text(0), at)
		}
		p.metadata[r.text(0)] = b
	}
	for _, signature := range model.tables(7) {
		if key := signature.text(2); key != signatureName {
			t.Errorf("a signature %q", key)
		}
		for _, r := range append(signature.tables(0), signature.tables(1)...) {
			p.signature[r.text(0)] = r.int32(1)
		}
	}
	return p
}
