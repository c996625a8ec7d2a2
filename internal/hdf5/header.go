package hdf5

import "fmt"

// Kinds of messages in an object header (specification, IV.A.2).
const (
	messageDataspace    = 0x01
	messageLinkInfo     = 0x02
	messageDatatype     = 0x03
	messageLink         = 0x06
	messageLayout       = 0x08
	messageFilters      = 0x0b
	messageAttribute    = 0x0c
	messageContinuation = 0x10
	messageSymbolTable  = 0x11
	messageAttributes   = 0x15
)

// message is one part of an object's description. data is part of the file.
type message struct {
	kind   uint16
	shared bool // data is only a reference to the message
	offset uint64
	data   []byte
}

// readHeader returns the messages of the object header at address.
func (f *File) readHeader(address uint64) ([]message, error) {
	if err := f.spend(address); err != nil {
		return nil, err
	}
	if mark, err := f.slice(address, 4); err != nil {
		return nil, err
	} else if string(mark) == "OHDR" {
		return f.readHeader2(address)
	}
	return f.readHeader1(address)
}

// block is a part of the file that holds messages.
type block struct{ offset, bytes uint64 }

func (f *File) readHeader1(address uint64) ([]message, error) {
	c := f.cursorAt(address)
	version := c.u8()
	c.skip(7) // reserved, number of messages, references
	size := c.u32()
	c.skip(4)
	if c.err != nil {
		return nil, c.err
	}
	if version != 1 {
		return nil, &FormatError{address, fmt.Sprintf("an object header of version %d", version)}
	}
	var all []message
	blocks := []block{{address + c.at, uint64(size)}}
	for len(blocks) > 0 {
		b := blocks[0]
		blocks = blocks[1:]
		data, err := f.slice(b.offset, b.bytes)
		if err != nil {
			return nil, err
		}
		c := &cursor{file: f, data: data, base: b.offset}
		for c.remaining() >= 8 {
			kind, size, flags := c.u16(), c.u16(), c.u8()
			c.skip(3)
			all, blocks, err = f.appendMessage(all, blocks, c, kind, uint64(size), flags)
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (f *File) readHeader2(address uint64) ([]message, error) {
	c := f.cursorAt(address)
	c.expect("OHDR")
	version, flags := c.u8(), c.u8()
	if c.err == nil && version != 2 {
		return nil, &FormatError{address, fmt.Sprintf("an object header of version %d", version)}
	}
	if flags&0x20 != 0 {
		c.skip(16) // times
	}
	if flags&0x10 != 0 {
		c.skip(4) // when attributes move to dense storage
	}
	size := c.takeUint(1 << (flags & 3))
	if c.err != nil {
		return nil, c.err
	}
	prefix := uint64(4) // bytes before a message's data
	if flags&0x04 != 0 {
		prefix += 2 // creation order
	}
	var all []message
	blocks := []block{{address + c.at, size}}
	for first := true; len(blocks) > 0; first = false {
		b := blocks[0]
		blocks = blocks[1:]
		data, err := f.slice(b.offset, b.bytes)
		if err != nil {
			return nil, err
		}
		c := &cursor{file: f, data: data, base: b.offset}
		if !first { // a continuation has its own mark and checksum
			c.expect("OCHK")
			if c.err != nil || c.remaining() < 4 {
				return nil, &FormatError{b.offset, "a continued object header is cut off"}
			}
			c.data = c.data[:len(c.data)-4]
		}
		for c.remaining() >= prefix {
			kind, size, messageFlags := uint16(c.u8()), c.u16(), c.u8()
			c.skip(prefix - 4)
			all, blocks, err = f.appendMessage(all, blocks, c, kind, uint64(size), messageFlags)
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// appendMessage reads a message's data. A continuation adds a block.
func (f *File) appendMessage(
	all []message, blocks []block, c *cursor, kind uint16, size uint64, flags uint8,
) ([]message, []block, error) {
	offset := c.base + c.at
	m := message{kind: kind, shared: flags&0x02 != 0, offset: offset, data: c.take(size)}
	if c.err != nil {
		return nil, nil, c.err
	}
	if err := f.spend(offset); err != nil {
		return nil, nil, err
	}
	if kind != messageContinuation {
		if kind != 0 {
			all = append(all, m)
		}
		return all, blocks, nil
	}
	next := f.cursorOver(m)
	blocks = append(blocks, block{next.u64(), next.u64()})
	return all, blocks, next.err
}

// findMessage returns the only message of a kind.
func (o *object) findMessage(kind uint16, what string) (message, error) {
	for _, m := range o.header {
		if m.kind != kind {
			continue
		}
		if m.shared {
			return m, &UnsupportedError{"a shared " + what + " of " + o.path}
		}
		return m, nil
	}
	return message{}, &FormatError{0, o.path + " has no " + what}
}

// decodeDataspace returns the dimensions of a dataset or attribute, none for a scalar.
func (f *File) decodeDataspace(m message) ([]uint64, error) {
	c := f.cursorOver(m)
	version, rank := c.u8(), int(c.u8())
	switch version {
	case 1:
		c.skip(6)
	case 2:
		c.skip(1)
		if kind := c.u8(); c.err == nil && kind == 2 {
			return []uint64{0}, nil // no values
		}
	default:
		return nil, &UnsupportedError{fmt.Sprintf("dataspace version %d", version)}
	}
	shape := make([]uint64, rank)
	for i := range shape {
		shape[i] = c.u64()
	}
	return shape, c.err
}

// countValues returns the number of values of a shape, or false if it exceeds limit.
func countValues(shape []uint64, limit uint64) (uint64, bool) {
	n := uint64(1)
	for _, d := range shape {
		if d == 0 {
			return 0, true
		}
		if n > limit/d {
			return 0, false
		}
		n *= d
	}
	return n, n <= limit
}

type class uint8

// Classes of datatypes (specification, IV.A.2.d).
const (
	classInteger  class = 0
	classFloat    class = 1
	classText     class = 3
	classVariable class = 9
)

// datatype describes how one value is stored.
type datatype struct {
	class     class
	bytes     uint64
	bigEndian bool
	text      bool // of variable length
}

func (f *File) decodeDatatype(m message) (datatype, error) {
	c := f.cursorOver(m)
	first := c.u8()
	bits := uint32(c.u8()) | uint32(c.u8())<<8 | uint32(c.u8())<<16
	t := datatype{class: class(first & 0x0f), bytes: uint64(c.u32())}
	switch t.class {
	case classInteger, classFloat:
		t.bigEndian = bits&1 != 0
		if bits&0x40 != 0 && t.class == classFloat {
			return t, &UnsupportedError{"VAX numbers"}
		}
	case classVariable:
		t.text = bits&0x0f == 1
	}
	return t, c.err
}

// Attribute implements Object.
func (o *object) Attribute(name string) ([]string, bool, error) {
	for _, m := range o.header {
		switch m.kind {
		case messageAttributes:
			c := o.file.cursorOver(m)
			c.skip(1)
			if c.u8()&1 != 0 {
				c.skip(2)
			}
			if heap := c.u64(); c.err == nil && heap != undefinedAddress {
				return nil, false, &UnsupportedError{"the attributes of " + o.path + " in dense storage"}
			}
		case messageAttribute:
			found, values, err := o.readAttribute(m, name)
			if found || err != nil {
				return values, found, err
			}
		}
	}
	return nil, false, nil
}

// readAttribute returns the values of an attribute message if it has that name.
func (o *object) readAttribute(m message, name string) (bool, []string, error) {
	c := o.file.cursorOver(m)
	version, flags := c.u8(), c.u8()
	nameBytes, typeBytes, spaceBytes := uint64(c.u16()), uint64(c.u16()), uint64(c.u16())
	if c.err != nil {
		return false, nil, c.err
	}
	pad := uint64(1)
	switch version {
	case 1:
		pad = 8
		flags = 0 // reserved
	case 2:
	case 3:
		c.skip(1) // character set
	default:
		return false, nil, &UnsupportedError{fmt.Sprintf("attribute version %d", version)}
	}
	part := func(n uint64) message {
		p := message{offset: c.base + c.at, data: c.take(n)}
		if c.remaining() > 0 {
			c.align(pad)
		}
		return p
	}
	got, ended := cutText(part(nameBytes).data, 0)
	if c.err != nil || !ended {
		return false, nil, &FormatError{m.offset, "an attribute's name is cut off"}
	}
	if got != name {
		return false, nil, nil
	}
	kind, space := part(typeBytes), part(spaceBytes)
	if c.err != nil {
		return true, nil, c.err
	}
	if flags&3 != 0 {
		return true, nil, &UnsupportedError{"a shared datatype of attribute " + name}
	}
	t, err := o.file.decodeDatatype(kind)
	if err != nil {
		return true, nil, err
	}
	shape, err := o.file.decodeDataspace(space)
	if err != nil {
		return true, nil, err
	}
	// h5py gives an empty list a numeric type. Without values that does not matter.
	n, ok := countValues(shape, c.remaining())
	if !ok {
		return true, nil, &FormatError{m.offset, "attribute " + name + " has more values than bytes"}
	}
	values, err := o.file.readTexts(c, t, n)
	return true, values, err
}

// readTexts reads n texts, of fixed length or in the global heap.
func (f *File) readTexts(c *cursor, t datatype, n uint64) ([]string, error) {
	values := make([]string, 0, n)
	for range n {
		switch {
		case t.class == classText && t.bytes > 0:
			raw := c.take(t.bytes)
			end := 0
			for end < len(raw) && raw[end] != 0 {
				end++
			}
			values = append(values, string(raw[:end]))
		case t.class == classVariable && t.text:
			length, collection, index := uint64(c.u32()), c.u64(), c.u32()
			if c.err != nil {
				return nil, c.err
			}
			if length == 0 {
				values = append(values, "")
				continue
			}
			raw, err := f.findHeapObject(collection, index)
			if err != nil {
				return nil, err
			}
			if uint64(len(raw)) < length {
				return nil, &FormatError{collection, "a text is longer than its object in the heap"}
			}
			values = append(values, string(raw[:length]))
		default:
			return nil, &UnsupportedError{fmt.Sprintf("an attribute of class %d instead of text", t.class)}
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	return values, nil
}

// findHeapObject returns an object of the global heap.
func (f *File) findHeapObject(collection uint64, index uint32) ([]byte, error) {
	c := f.cursorAt(collection)
	c.expect("GCOL")
	c.skip(4)
	size := c.u64()
	if c.err != nil {
		return nil, c.err
	}
	data, err := f.slice(collection, size)
	if err != nil {
		return nil, err
	}
	c = &cursor{file: f, data: data, base: collection, at: min(16, size)}
	for c.remaining() >= 16 {
		if err := f.spend(collection); err != nil {
			return nil, err
		}
		got := c.u16()
		c.skip(6)
		objectBytes := c.u64()
		if got == 0 {
			break // free space
		}
		object := c.take(objectBytes)
		if c.err == nil && uint32(got) == index {
			return object, nil
		}
		if c.remaining() > 0 {
			c.align(8)
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	return nil, &FormatError{collection, "a text is missing in the heap"}
}
