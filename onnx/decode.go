package onnx

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The limits of one node or tensor, far beyond what any operator needs.
const (
	maxNames      = 1 << 12 // inputs or outputs of a node, entries of metadata
	maxAttributes = 64
	maxNumbers    = 1 << 12 // in an attribute
	maxRank       = 8
)

// model is the part of a ModelProto that garb reads. The bytes and strings of weights stay in the
// file's memory.
type model struct {
	opset                          int64
	producer, producerVersion, doc string
	metadata                       map[string]string
	nodes                          []*node
	initializers                   map[string]*storedTensor
	inputs, outputs                []declaration
}

// node is one operator.
type node struct {
	name, op, domain string
	inputs, outputs  []string
	attributes       map[string]*setting
}

// displayName returns the node's name, or that of its output if it has none.
func (n *node) displayName() string {
	if n.name == "" && len(n.outputs) > 0 {
		return n.outputs[0]
	}
	return n.name
}

func (n *node) operator() string {
	if n.domain != "" {
		return n.domain + "." + n.op
	}
	return n.op
}

// setting is an attribute's value.
type setting struct {
	kind     int64 // of the value, 0 if the file does not say
	float    float32
	integer  int64
	text     string
	tensor   *storedTensor
	floats   []float32
	integers []int64
}

// storedTensor is a tensor whose values are not decoded yet.
type storedTensor struct {
	dims     []int64
	kind     int64
	raw      []byte
	hasRaw   bool
	numbers  []part // typed values, in pieces
	external map[string]string
	outside  bool // its values are in another file
}

// part is a run of packed values of a tensor's field.
type part struct {
	field protowire.Number
	data  []byte
	owned bool // a copy of single values, not the file's memory
}

// declaration is the declaration of a graph's input or output.
type declaration struct {
	name string
	kind int64
	dims []int64 // −1: open
}

// field is one field of a message: a number or bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64
	bytes  []byte
}

// eachField calls f for each field of a message. It does not copy the bytes of a field.
func eachField(data []byte, f func(field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return malformed("it is not an ONNX model, which is a protobuf message")
		}
		data = data[n:]
		at := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			at.value, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			at.value = uint64(v)
		case protowire.Fixed64Type:
			at.value, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			at.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = -1 // ONNX models have no groups
		}
		if n < 0 {
			return malformed("it is not an ONNX model, which is a protobuf message, or its end is missing")
		}
		data = data[n:]
		if err := f(at); err != nil {
			return err
		}
	}
	return nil
}

func decodeModel(data []byte, limits Limits) (*model, error) {
	m := &model{metadata: map[string]string{}, initializers: map[string]*storedTensor{}}
	var graph []byte
	hasGraph, hasOpset := false, false
	err := eachField(data, func(f field) error {
		switch f.number {
		case modelProducer:
			m.producer = string(f.bytes)
		case modelProducerVersion:
			m.producerVersion = string(f.bytes)
		case modelDoc:
			m.doc = string(f.bytes)
		case modelGraph:
			if hasGraph {
				return malformed("it has two graphs")
			}
			graph, hasGraph = f.bytes, true
		case modelOpsets:
			domain, version, err := decodeOpset(f.bytes)
			if err != nil || !isONNX(domain) {
				return err
			}
			if hasOpset && m.opset != version {
				return malformed("its operators are of opset %d and of opset %d", m.opset, version)
			}
			m.opset, hasOpset = version, true
		case modelFunctions:
			return checkFunction(f.bytes)
		case modelMetadata:
			if len(m.metadata) >= maxNames {
				return malformed("it has more than %d entries of metadata", maxNames)
			}
			return decodeEntry(f.bytes, m.metadata)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !hasGraph || !hasOpset:
		return nil, malformed("it is not an ONNX model: it has no graph, or does not name the opset of its operators")
	case m.opset < minOpset || m.opset > maxOpset:
		return nil, &OpsetError{m.opset}
	}
	return m, m.decodeGraph(graph, limits)
}

func decodeOpset(data []byte) (domain string, version int64, err error) {
	err = eachField(data, func(f field) error {
		switch f.number {
		case opsetDomain:
			domain = string(f.bytes)
		case opsetVersion:
			version = int64(f.value)
		}
		return nil
	})
	return domain, version, err
}

// checkFunction returns an error for a function that redefines one of ONNX's operators.
func checkFunction(data []byte) error {
	name, domain := "", ""
	err := eachField(data, func(f field) error {
		switch f.number {
		case functionName:
			name = string(f.bytes)
		case functionDomain:
			domain = string(f.bytes)
		}
		return nil
	})
	if err == nil && isONNX(domain) {
		err = malformed("it redefines ONNX's operator %s, which garb does not support", name)
	}
	return err
}

// isONNX tells whether a domain is that of ONNX's own operators.
func isONNX(domain string) bool { return domain == "" || domain == "ai.onnx" }

func decodeEntry(data []byte, into map[string]string) error {
	key, value := "", ""
	err := eachField(data, func(f field) error {
		switch f.number {
		case entryKey:
			key = string(f.bytes)
		case entryValue:
			value = string(f.bytes)
		}
		return nil
	})
	into[key] = value
	return err
}

func (m *model) decodeGraph(data []byte, limits Limits) error {
	return eachField(data, func(f field) error {
		switch f.number {
		case graphNodes:
			if len(m.nodes) >= limits.MaxNodes {
				return malformed("it has more than %d nodes", limits.MaxNodes)
			}
			n, err := decodeNode(f.bytes)
			m.nodes = append(m.nodes, n)
			return err
		case graphInitializers:
			if len(m.initializers) >= 4*limits.MaxNodes {
				return malformed("it has more than %d weights", 4*limits.MaxNodes)
			}
			t, name, err := decodeTensor(f.bytes)
			if err != nil {
				return err
			}
			if _, twice := m.initializers[name]; twice || name == "" {
				return malformed("the name of a weight, %q, is empty or that of another weight", name)
			}
			m.initializers[name] = t
		case graphInputs, graphOutputs:
			d, err := decodeDeclaration(f.bytes)
			if err != nil {
				return err
			}
			list := &m.inputs
			if f.number == graphOutputs {
				list = &m.outputs
			}
			if *list = append(*list, d); len(*list) > 4*limits.MaxNodes {
				return malformed("it has more than %d inputs or outputs", 4*limits.MaxNodes)
			}
		}
		return nil
	})
}

func decodeNode(data []byte) (*node, error) {
	n := &node{attributes: map[string]*setting{}}
	err := eachField(data, func(f field) error {
		switch f.number {
		case nodeInputs:
			n.inputs = append(n.inputs, string(f.bytes))
		case nodeOutputs:
			n.outputs = append(n.outputs, string(f.bytes))
		case nodeName:
			n.name = string(f.bytes)
		case nodeOp:
			n.op = string(f.bytes)
		case nodeDomain:
			if n.domain = string(f.bytes); isONNX(n.domain) {
				n.domain = ""
			}
		case nodeAttributes:
			return n.decodeAttribute(f.bytes)
		}
		if len(n.inputs) > maxNames || len(n.outputs) > maxNames {
			return malformed("a node has more than %d inputs or outputs", maxNames)
		}
		return nil
	})
	return n, err
}

func (n *node) decodeAttribute(data []byte) error {
	name, s := "", &setting{}
	err := eachField(data, func(f field) (err error) {
		switch f.number {
		case attributeName:
			name = string(f.bytes)
		case attributeType:
			s.kind = int64(f.value)
		case attributeFrom:
			return malformed("a node outside of functions refers to the attribute %q of a function", string(f.bytes))
		case attributeFloat:
			s.float = math.Float32frombits(uint32(f.value))
		case attributeInt:
			s.integer = int64(f.value)
		case attributeString:
			s.text = string(f.bytes)
		case attributeTensor:
			s.tensor, _, err = decodeTensor(f.bytes)
		case attributeFloats:
			err = eachNumber(f, protowire.Fixed32Type, maxNumbers-len(s.floats), func(v uint64) {
				s.floats = append(s.floats, math.Float32frombits(uint32(v)))
			})
		case attributeInts:
			err = eachNumber(f, protowire.VarintType, maxNumbers-len(s.integers), func(v uint64) {
				s.integers = append(s.integers, int64(v))
			})
		}
		return err
	})
	if err == nil && (len(n.attributes) >= maxAttributes || n.attributes[name] != nil) {
		err = malformed("a node has attribute %q twice, or more than %d", name, maxAttributes)
	}
	n.attributes[name] = s
	return err
}

// eachNumber calls f for each value of a repeated field, packed or not: at most limit.
func eachNumber(at field, kind protowire.Type, limit int, f func(uint64)) error {
	if at.kind == kind {
		if limit < 1 {
			return malformed("a list of numbers is too long")
		}
		f(at.value)
		return nil
	}
	if at.kind != protowire.BytesType {
		return malformed("a list of numbers has a wire type that ONNX does not use for it")
	}
	for data := at.bytes; len(data) > 0; limit-- {
		if limit < 1 {
			return malformed("a list of numbers is too long")
		}
		v, n := uint64(0), 0
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var short uint32
			short, n = protowire.ConsumeFixed32(data)
			v = uint64(short)
		default:
			v, n = protowire.ConsumeFixed64(data)
		}
		if n < 0 {
			return malformed("the end of a list of numbers is missing")
		}
		f(v)
		data = data[n:]
	}
	return nil
}

func decodeTensor(data []byte) (t *storedTensor, name string, err error) {
	t = &storedTensor{}
	err = eachField(data, func(f field) error {
		switch f.number {
		case tensorDims:
			return eachNumber(f, protowire.VarintType, maxRank-len(t.dims),
				func(v uint64) { t.dims = append(t.dims, int64(v)) })
		case tensorType:
			t.kind = int64(f.value)
		case tensorName:
			name = string(f.bytes)
		case tensorRaw:
			t.raw, t.hasRaw = f.bytes, true
		case tensorFloats, tensorInt32s, tensorInt64s, tensorDoubles:
			if f.kind != protowire.BytesType {
				// Single values are kept together: a part for each would take ten times
				// their memory.
				if len(t.numbers) == 0 || !t.numbers[len(t.numbers)-1].owned {
					t.numbers = append(t.numbers, part{field: f.number, owned: true})
				}
				last := &t.numbers[len(t.numbers)-1]
				last.data = appendNumber(last.data, f)
				return nil
			}
			t.numbers = append(t.numbers, part{field: f.number, data: f.bytes})
		case tensorExternal:
			if t.external == nil {
				t.external = map[string]string{}
			}
			if len(t.external) > maxAttributes {
				return malformed("a tensor has more than %d entries about the place of its values", maxAttributes)
			}
			return decodeEntry(f.bytes, t.external)
		case tensorLocation:
			t.outside = f.value == 1
		}
		return nil
	})
	return t, name, err
}

// appendNumber appends an unpacked value in the form of a packed list.
func appendNumber(data []byte, f field) []byte {
	switch f.kind {
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(data, uint32(f.value))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(data, f.value)
	}
	return protowire.AppendVarint(data, f.value)
}

func decodeDeclaration(data []byte) (declaration, error) {
	var d declaration
	inner := func(number protowire.Number, f func([]byte) error) func(field) error {
		return func(at field) error {
			if at.number != number {
				return nil
			}
			return f(at.bytes)
		}
	}
	dimension := func(data []byte) error {
		size := int64(-1)
		if len(d.dims) >= maxRank {
			return malformed("an input or output has more than %d axes", maxRank)
		}
		err := eachField(data, func(f field) error {
			if f.number == dimValue {
				size = int64(f.value)
			}
			return nil
		})
		d.dims = append(d.dims, size)
		return err
	}
	tensorOf := func(data []byte) error {
		return eachField(data, func(f field) error {
			switch f.number {
			case tensorTypeElem:
				d.kind = int64(f.value)
			case tensorTypeDims:
				return eachField(f.bytes, inner(shapeDims, dimension))
			}
			return nil
		})
	}
	err := eachField(data, func(f field) error {
		switch f.number {
		case valueName:
			d.name = string(f.bytes)
		case valueType:
			return eachField(f.bytes, inner(typeTensor, tensorOf))
		}
		return nil
	})
	return d, err
}
