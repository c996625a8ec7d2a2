// Package hdf5 reads the HDF5 files that Keras and h5py write: groups, text
// attributes, and datasets of floating-point numbers, from bytes in memory.
//
// It supports the part of the format (The HDF Group, "HDF5 File Format
// Specification", version 3.0) that such files use: superblocks 0 to 3, object
// headers 1 and 2, groups as symbol tables or as links in their header, compact,
// contiguous and chunked data (indexed by a version 1 B-tree), and the filters
// deflate, shuffle and fletcher32. Everything else is an *UnsupportedError. Write
// uses the simplest of these variants.
//
// Files are not trusted. Objects are read only on request, each address is checked
// against the file's end, and a budget limits the structures that are visited: no
// file can make a reader loop, recurse forever, or allocate much more than the
// file could hold.
package hdf5

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// FormatError says where a file breaks the format.
type FormatError struct {
	Offset uint64 // of the damaged structure, in bytes
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("damaged HDF5 file: %s (at byte %d)", e.Reason, e.Offset)
}

// UnsupportedError names a part of the format that this package does not read.
type UnsupportedError struct{ Feature string }

func (e *UnsupportedError) Error() string {
	return "HDF5 file with " + e.Feature + ", which garb does not read"
}

const (
	signature        = "\x89HDF\r\n\x1a\n"
	undefinedAddress = ^uint64(0)
	// minStructureBytes is less than the size of any structure that the budget counts, so that a
	// valid file, which uses each once or twice, never exhausts it.
	minStructureBytes = 8
	minBudget         = 10_000
)

// File is an HDF5 file in memory. It must not be used by several goroutines at once.
type File struct {
	data   []byte
	root   uint64 // address of the root group's object header
	budget int    // structures that may still be visited
}

// IsHDF5 reports whether data begins like an HDF5 file.
func IsHDF5(data []byte) bool {
	return len(data) >= len(signature) && string(data[:len(signature)]) == signature
}

// Open reads the superblock. It keeps data, which must not change afterwards.
func Open(data []byte) (*File, error) {
	if !IsHDF5(data) {
		return nil, &FormatError{0, "it does not begin like an HDF5 file"}
	}
	f := &File{data: data, budget: minBudget + len(data)/minStructureBytes}
	c := f.cursorAt(8)
	version := c.u8()
	var sizes [2]uint8 // of addresses and of lengths
	var end uint64
	switch version {
	case 0, 1:
		c.skip(4)
		sizes = [2]uint8{c.u8(), c.u8()}
		c.skip(9)
		if version == 1 {
			c.skip(4)
		}
		c.skip(2 * 8) // base and free space
		end = c.u64()
		c.skip(2 * 8) // driver, the root's name
		f.root = c.u64()
	case 2, 3:
		sizes = [2]uint8{c.u8(), c.u8()}
		c.skip(1 + 2*8)
		end = c.u64()
		f.root = c.u64()
	default:
		return nil, &UnsupportedError{fmt.Sprintf("superblock version %d", version)}
	}
	if c.err == nil && sizes != [2]uint8{8, 8} {
		return nil, &UnsupportedError{fmt.Sprintf("addresses of %d and lengths of %d bytes", sizes[0], sizes[1])}
	}
	if c.err == nil && end > uint64(len(data)) {
		return nil, &FormatError{uint64(len(data)),
			fmt.Sprintf("it has %d bytes less than it should; copy or download it again", end-uint64(len(data)))}
	}
	return f, c.err
}

// Root returns the root group.
func (f *File) Root() (*Group, error) {
	h, err := f.readHeader(f.root)
	if err != nil {
		return nil, err
	}
	return f.openGroup("/", h)
}

// spend takes one structure off the budget.
func (f *File) spend(offset uint64) error {
	f.budget--
	if f.budget < 0 {
		return &FormatError{offset, "its structures refer to each other in cycles"}
	}
	return nil
}

// Object is a *Group or a *Dataset.
type Object interface {
	// Path returns the object's path from the root: "/layers/dense".
	Path() string
	// Attribute returns an attribute's text values (one for a scalar), and false if there is no
	// attribute of that name.
	Attribute(name string) ([]string, bool, error)
}

type object struct {
	file   *File
	path   string
	header []message
}

func (o *object) Path() string { return o.path }

// Group is a folder of objects.
type Group struct {
	object
	links map[string]uint64 // addresses of the members' object headers
}

// Names returns the names of the group's members, sorted.
func (g *Group) Names() []string {
	names := make([]string, 0, len(g.links))
	for name := range g.links {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Open returns the object at a path below the group, "a/b/c", or nil and no error if there is none.
func (g *Group) Open(path string) (Object, error) {
	for {
		name, rest, more := strings.Cut(path, "/")
		address, ok := g.links[name]
		if !ok {
			return nil, nil
		}
		child, err := g.file.open(strings.TrimSuffix(g.path, "/")+"/"+name, address)
		if err != nil || !more {
			return child, err
		}
		next, ok := child.(*Group)
		if !ok {
			return nil, nil
		}
		g, path = next, rest
	}
}

// Group returns the group at a path below g, or nil if there is none.
func (g *Group) Group(path string) (*Group, error) {
	child, err := g.Open(path)
	group, _ := child.(*Group)
	return group, err
}

// Dataset returns the dataset at a path below g, or nil if there is none.
func (g *Group) Dataset(path string) (*Dataset, error) {
	child, err := g.Open(path)
	dataset, _ := child.(*Dataset)
	return dataset, err
}

// open opens the object whose header is at address.
func (f *File) open(path string, address uint64) (Object, error) {
	h, err := f.readHeader(address)
	if err != nil {
		return nil, err
	}
	isDataset := slices.ContainsFunc(h, func(m message) bool { return m.kind == messageLayout })
	if isDataset {
		var d *Dataset
		if d, err = f.openDataset(path, h); err != nil {
			return nil, err // not d, which in an Object would not be nil
		}
		return d, nil
	}
	g, err := f.openGroup(path, h)
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (f *File) openGroup(path string, header []message) (*Group, error) {
	g := &Group{object{f, path, header}, map[string]uint64{}}
	for _, m := range header {
		var err error
		switch m.kind {
		case messageSymbolTable:
			err = g.readSymbolTable(m)
		case messageLink:
			err = g.readLink(m)
		case messageLinkInfo:
			err = g.readLinkInfo(m)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// readSymbolTable reads a group of the older kind: a B-tree of symbol table nodes, with names in a
// heap.
func (g *Group) readSymbolTable(m message) error {
	c := g.file.cursorOver(m)
	tree, heapHeader := c.u64(), c.u64()
	if c.err != nil {
		return c.err
	}
	h := g.file.cursorAt(heapHeader)
	h.expect("HEAP")
	h.skip(4)
	size := h.u64()
	h.skip(8)
	address := h.u64()
	if h.err != nil {
		return h.err
	}
	heap, err := g.file.slice(address, size)
	if err != nil {
		return err
	}
	return g.file.walkTree(tree, groupTree, 8, func(_ *cursor, node uint64) error {
		c := g.file.cursorAt(node)
		c.expect("SNOD")
		c.skip(2)
		for range int(c.u16()) {
			if err := g.file.spend(node); err != nil {
				return err
			}
			nameAt, header := c.u64(), c.u64()
			kind := c.u32()
			c.skip(4 + 16)
			if c.err != nil {
				return c.err
			}
			if kind == 2 {
				continue // a symbolic link, which Keras does not write
			}
			name, ok := cutText(heap, nameAt)
			if !ok {
				return &FormatError{node, "a name lies outside its heap"}
			}
			g.links[name] = header
		}
		return c.err
	})
}

// readLink reads one member of a group of the newer kind.
func (g *Group) readLink(m message) error {
	c := g.file.cursorOver(m)
	version, flags := c.u8(), c.u8()
	kind := uint8(0)
	if flags&0x08 != 0 {
		kind = c.u8()
	}
	if flags&0x04 != 0 {
		c.skip(8) // creation order
	}
	if flags&0x10 != 0 {
		c.skip(1) // character set
	}
	name := string(c.take(c.takeUint(1 << (flags & 3))))
	if c.err != nil {
		return c.err
	}
	if version != 1 {
		return &UnsupportedError{fmt.Sprintf("link version %d", version)}
	}
	if kind == 0 { // the others are symbolic or external links
		g.links[name] = c.u64()
	}
	return c.err
}

// readLinkInfo refuses groups whose members are in a fractal heap. HDF5 uses one for more than 8
// members, only in files for version 1.8 and later, which Keras does not write.
func (g *Group) readLinkInfo(m message) error {
	c := g.file.cursorOver(m)
	c.skip(1)
	if c.u8()&1 != 0 {
		c.skip(8)
	}
	if heap := c.u64(); c.err == nil && heap != undefinedAddress {
		return &UnsupportedError{"group " + g.path + " in dense storage"}
	}
	return c.err
}

const (
	groupTree = 0
	chunkTree = 1
)

// walkTree calls leaf for each entry on the lowest level of a version 1 B-tree, with a cursor at
// the entry's key of keyBytes and the address of the entry's child.
func (f *File) walkTree(address uint64, kind uint8, keyBytes int, leaf func(key *cursor, address uint64) error) error {
	return f.walkNode(address, kind, -1, keyBytes, leaf)
}

// walkNode walks a node of the given level, or any for −1. Levels must decrease, so that cycles
// end.
func (f *File) walkNode(address uint64, kind uint8, level, keyBytes int,
	leaf func(key *cursor, address uint64) error) error {
	if err := f.spend(address); err != nil {
		return err
	}
	c := f.cursorAt(address)
	c.expect("TREE")
	nodeKind, nodeLevel, entries := c.u8(), int(c.u8()), int(c.u16())
	c.skip(16) // siblings
	if c.err == nil && (nodeKind != kind || level >= 0 && nodeLevel != level) {
		return &FormatError{address, "a B-tree has a node of another kind or level"}
	}
	for range entries {
		key := *c
		c.skip(uint64(keyBytes))
		child := c.u64()
		if c.err != nil {
			return c.err
		}
		var err error
		if nodeLevel > 0 {
			err = f.walkNode(child, kind, nodeLevel-1, keyBytes, leaf)
		} else if err = f.spend(child); err == nil {
			err = leaf(&key, child)
		}
		if err != nil {
			return err
		}
	}
	return c.err
}

// slice returns n bytes of the file.
func (f *File) slice(offset, n uint64) ([]byte, error) {
	if offset > uint64(len(f.data)) || n > uint64(len(f.data))-offset {
		return nil, &FormatError{offset, fmt.Sprintf("%d bytes are missing", n)}
	}
	return f.data[offset : offset+n], nil
}

// cutText returns the text from an offset to the next zero byte.
func cutText(data []byte, offset uint64) (string, bool) {
	if offset > uint64(len(data)) {
		return "", false
	}
	data = data[offset:min(uint64(len(data)), offset+maxNameBytes)]
	end := bytes.IndexByte(data, 0)
	if end < 0 {
		return "", false
	}
	return string(data[:end]), true
}

// maxNameBytes limits a member's name; Keras's are shorter than 100 bytes.
const maxNameBytes = 4096

// cursor reads little-endian numbers one after another. After the first failure it returns zeros;
// err is that failure.
type cursor struct {
	file *File
	data []byte
	base uint64 // offset of data in the file
	at   uint64 // within data
	err  error
}

// cursorAt returns a cursor from offset to the file's end.
func (f *File) cursorAt(offset uint64) *cursor {
	c := &cursor{file: f, base: offset}
	if offset > uint64(len(f.data)) {
		c.err = &FormatError{offset, "an address lies beyond its end"}
		return c
	}
	c.data = f.data[offset:]
	return c
}

func (f *File) cursorOver(m message) *cursor {
	return &cursor{file: f, data: m.data, base: m.offset}
}

func (c *cursor) remaining() uint64 { return uint64(len(c.data)) - c.at }

func (c *cursor) take(n uint64) []byte {
	if c.err == nil && n > c.remaining() {
		c.err = &FormatError{c.base + c.at, "a structure is cut off"}
	}
	if c.err != nil {
		return nil
	}
	c.at += n
	return c.data[c.at-n : c.at : c.at]
}

func (c *cursor) skip(n uint64) { c.take(n) }

func (c *cursor) expect(mark string) {
	if at, got := c.base+c.at, c.take(uint64(len(mark))); c.err == nil && string(got) != mark {
		c.err = &FormatError{at, fmt.Sprintf("%q is missing", mark)}
	}
}

// takeUint reads a number of 1, 2, 4 or 8 bytes.
func (c *cursor) takeUint(size int) uint64 {
	b := c.take(uint64(size))
	if b == nil {
		return 0
	}
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

func (c *cursor) u8() uint8   { return uint8(c.takeUint(1)) }
func (c *cursor) u16() uint16 { return uint16(c.takeUint(2)) }
func (c *cursor) u32() uint32 { return uint32(c.takeUint(4)) }
func (c *cursor) u64() uint64 { return c.takeUint(8) }

// align moves to the next multiple of n from the cursor's start.
func (c *cursor) align(n uint64) {
	if rest := c.at % n; rest != 0 {
		c.skip(n - rest)
	}
}
