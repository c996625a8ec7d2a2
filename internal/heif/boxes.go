package heif

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// container is what the boxes of a file say, as far as a decoder's caller needs it.
// The boxes are those of ISO/IEC 14496-12 (file format) and 23008-12 (pictures).
type container struct {
	brands     []string // major brand first
	majorBrand int      // offset of the major brand in the file

	hasMeta     bool
	primary     uint32
	primaryBox  payload // of pitm, so that another item can be made the primary one
	items       map[uint32]*item
	properties  []property // of ipco; associations count from 1
	trackWidth  int        // of the first video track, 0 if there is none
	trackHeight int
}

// payload is a box's content: data[start:end] of the file.
type payload struct{ start, end int }

// item is a picture, a tile of one, or an auxiliary plane.
type item struct {
	kind       string // "av01", "hvc1", "grid", ...
	flagsAt    int    // offset of the low byte of infe's flags, whose bit 0 hides the item
	properties []int  // indices into container.properties, in their order of application
	tiles      []uint32
	extents    []payload // in the file; nil if the item's bytes lie elsewhere
	auxOf      uint32    // the item that this one is an auxiliary plane of, or 0
}

type property struct {
	kind string
	body payload
}

// reader takes big-endian numbers from a box; past the end it reports fail.
type reader struct {
	data     []byte
	at, end  int
	overread bool
}

func (r *reader) uint(bytes int) uint64 {
	if bytes < 0 || r.end-r.at < bytes {
		r.overread = true
		r.at = r.end
		return 0
	}
	var v uint64
	for _, b := range r.data[r.at : r.at+bytes] {
		v = v<<8 | uint64(b)
	}
	r.at += bytes
	return v
}

func (r *reader) text(bytes int) string {
	if r.end-r.at < bytes {
		r.overread = true
		r.at = r.end
		return ""
	}
	s := string(r.data[r.at : r.at+bytes])
	r.at += bytes
	return s
}

// box takes the next box. A box that runs past the end is cut there, and short is true.
func (r *reader) box() (kind string, body payload, short, ok bool) {
	start := r.at
	if r.end-start < 8 {
		return "", payload{}, false, false
	}
	size := uint64(binary.BigEndian.Uint32(r.data[start:]))
	kind = string(r.data[start+4 : start+8])
	header := 8
	switch size {
	case 0: // to the end
		size = uint64(r.end - start)
	case 1:
		if r.end-start < 16 {
			return "", payload{}, false, false
		}
		size = binary.BigEndian.Uint64(r.data[start+8:])
		header = 16
	}
	if size < uint64(header) {
		return "", payload{}, false, false
	}
	end := r.end
	if size <= uint64(r.end-start) {
		end = start + int(size)
	} else {
		short = true
	}
	r.at = end
	return kind, payload{start + header, end}, short, true
}

func (c *container) in(data []byte, p payload) *reader {
	return &reader{data: data, at: p.start, end: p.end}
}

// fullBox takes the version and flags that most boxes begin with.
func (r *reader) fullBox() (version byte, flags uint32) {
	v := r.uint(4)
	return byte(v >> 24), uint32(v) & 0xffffff
}

// isPicture tells whether data begin as a file of boxes with one of our brands.
func isPicture(data []byte) bool {
	if len(data) < 12 || string(data[4:8]) != "ftyp" {
		return false
	}
	r := &reader{data: data, end: len(data)}
	_, body, _, ok := r.box()
	if !ok || body.end-body.start < 4 {
		return false
	}
	for at := body.start; at+4 <= body.end; at += 4 {
		if at == body.start+4 {
			continue // the minor version
		}
		switch string(data[at : at+4]) {
		case "avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1":
			return true
		}
	}
	return false
}

// parse reads the boxes of data, which isPicture has let through.
func parse(data []byte) (*container, error) {
	c := &container{items: map[uint32]*item{}}
	top := &reader{data: data, end: len(data)}
	for top.at < top.end {
		kind, body, short, ok := top.box()
		if !ok {
			break // trailing bytes; what is missing shows below
		}
		var err error
		switch kind {
		case "ftyp":
			if short || c.brands != nil {
				return nil, corrupt("the file type box is cut short or comes twice")
			}
			c.majorBrand = body.start
			for at := body.start; at+4 <= body.end; at += 4 {
				if at != body.start+4 {
					c.brands = append(c.brands, string(data[at:at+4]))
				}
			}
		case "meta":
			if short {
				return nil, corrupt("the file ends inside its description")
			}
			if !c.hasMeta {
				err = c.meta(data, body)
				c.hasMeta = true
			}
		case "moov":
			if short {
				return nil, corrupt("the file ends inside its description")
			}
			err = c.moov(data, body)
		}
		if err != nil {
			return nil, err
		}
	}
	if !c.hasMeta && c.trackWidth == 0 {
		return nil, corrupt("it has no description of a picture (cut short?)")
	}
	return c, nil
}

func (c *container) item(id uint32) *item {
	it := c.items[id]
	if it == nil {
		it = &item{}
		c.items[id] = it
	}
	return it
}

func (c *container) meta(data []byte, body payload) error {
	r := c.in(data, body)
	r.fullBox()
	var locations, contents payload
	for r.at < r.end {
		kind, body, short, ok := r.box()
		if !ok || short {
			return corrupt("a box runs past the end of the one that holds it")
		}
		var err error
		switch kind {
		case "pitm":
			p := c.in(data, body)
			version, _ := p.fullBox()
			c.primaryBox = payload{p.at, p.at + idBytes(version > 0)}
			c.primary = uint32(p.uint(idBytes(version > 0)))
			err = p.failed("pitm")
		case "iinf":
			err = c.infos(data, body)
		case "iref":
			err = c.references(data, body)
		case "iprp":
			err = c.itemProperties(data, body)
		case "iloc":
			locations = body
		case "idat":
			contents = body
		}
		if err != nil {
			return err
		}
	}
	if locations.end > 0 {
		return c.locations(data, locations, contents)
	}
	return nil
}

func idBytes(long bool) int {
	if long {
		return 4
	}
	return 2
}

func (r *reader) failed(box string) error {
	if r.overread {
		return corrupt("its %s box is cut short", box)
	}
	return nil
}

func (c *container) infos(data []byte, body payload) error {
	r := c.in(data, body)
	version, _ := r.fullBox()
	r.uint(idBytes(version > 0)) // the count; the boxes themselves are counted
	if r.overread {
		return r.failed("iinf")
	}
	for r.at < r.end {
		kind, body, short, ok := r.box()
		if !ok || short {
			return corrupt("its iinf box is cut short")
		}
		if kind != "infe" {
			continue
		}
		e := c.in(data, body)
		version, _ := e.fullBox()
		if version < 2 {
			continue // names a file, not a picture
		}
		id := uint32(e.uint(idBytes(version > 2)))
		e.uint(2) // protection
		kind = e.text(4)
		if err := e.failed("infe"); err != nil {
			return err
		}
		it := c.item(id)
		it.kind, it.flagsAt = kind, body.start+3
	}
	return nil
}

func (c *container) references(data []byte, body payload) error {
	r := c.in(data, body)
	version, _ := r.fullBox()
	for r.at < r.end {
		kind, body, short, ok := r.box()
		if !ok || short {
			return corrupt("its iref box is cut short")
		}
		e := c.in(data, body)
		from := uint32(e.uint(idBytes(version > 0)))
		for range e.uint(2) {
			to := uint32(e.uint(idBytes(version > 0)))
			if e.overread {
				return e.failed("iref")
			}
			switch kind {
			case "dimg":
				it := c.item(from)
				it.tiles = append(it.tiles, to)
			case "auxl":
				c.item(from).auxOf = to
			}
		}
	}
	return r.failed("iref")
}

func (c *container) itemProperties(data []byte, body payload) error {
	r := c.in(data, body)
	for r.at < r.end {
		kind, body, short, ok := r.box()
		if !ok || short {
			return corrupt("its iprp box is cut short")
		}
		p := c.in(data, body)
		switch kind {
		case "ipco":
			for p.at < p.end {
				kind, body, short, ok := p.box()
				if !ok || short {
					return corrupt("its ipco box is cut short")
				}
				c.properties = append(c.properties, property{kind, body})
			}
		case "ipma":
			version, flags := p.fullBox()
			for range p.uint(4) {
				it := c.item(uint32(p.uint(idBytes(version > 0))))
				for range p.uint(1) {
					index := int(p.uint(1)) & 0x7f
					if flags&1 != 0 {
						index = index<<8 | int(p.uint(1))
					}
					it.properties = append(it.properties, index-1)
				}
				if p.overread {
					return p.failed("ipma")
				}
			}
		}
	}
	return nil
}

func (c *container) locations(data []byte, body, contents payload) error {
	r := c.in(data, body)
	version, _ := r.fullBox()
	sizes := r.uint(2)
	offsetBytes, lengthBytes, baseBytes, indexBytes := int(sizes>>12&15), int(sizes>>8&15), int(sizes>>4&15),
		int(sizes&15)
	if version == 0 {
		indexBytes = 0
	}
	for _, n := range []int{offsetBytes, lengthBytes, baseBytes, indexBytes} {
		if n > 8 {
			return corrupt("its iloc box has impossible sizes")
		}
	}
	for range r.uint(idBytes(version > 1)) {
		it := c.item(uint32(r.uint(idBytes(version > 1))))
		method := uint64(0)
		if version > 0 {
			method = r.uint(2) & 15
		}
		r.uint(2) // which file: this one
		base := r.uint(baseBytes)
		for range r.uint(2) {
			r.uint(indexBytes)
			offset, length := base+r.uint(offsetBytes), r.uint(lengthBytes)
			if r.overread {
				return r.failed("iloc")
			}
			within := payload{0, len(data)}
			if method == 1 {
				within = contents
			} else if method > 1 {
				continue
			}
			size := uint64(within.end - within.start)
			if offset > size || length > size-offset {
				it.extents = append(it.extents, payload{-1, -1}) // missing
				continue
			}
			if length == 0 {
				length = size - offset
			}
			start := within.start + int(offset)
			it.extents = append(it.extents, payload{start, start + int(length)})
		}
		if r.overread {
			return r.failed("iloc")
		}
	}
	return nil
}

// present reports an item whose bytes the file does not have.
func (c *container) present(id uint32) error {
	it := c.items[id]
	if it == nil || it.kind == "" {
		return corrupt("picture item %d is not described", id)
	}
	for _, e := range it.extents {
		if e.start < 0 {
			return corrupt("the file ends before the bytes of picture item %d", id)
		}
	}
	return nil
}

func (c *container) moov(data []byte, body payload) error {
	r := c.in(data, body)
	for r.at < r.end {
		kind, body, short, ok := r.box()
		if !ok || short {
			return corrupt("its moov box is cut short")
		}
		if kind != "trak" {
			continue
		}
		t := c.in(data, body)
		for t.at < t.end {
			kind, body, short, ok := t.box()
			if !ok || short {
				return corrupt("its trak box is cut short")
			}
			if kind != "tkhd" || c.trackWidth > 0 {
				continue
			}
			h := c.in(data, body)
			version, _ := h.fullBox()
			times := 20
			if version == 1 {
				times = 32
			}
			h.text(times + 16 + 36) // times and duration; layer to volume; matrix
			width, height := int(h.uint(4)>>16), int(h.uint(4)>>16)
			if err := h.failed("tkhd"); err != nil {
				return err
			}
			if width > 0 && height > 0 {
				c.trackWidth, c.trackHeight = width, height
			}
		}
	}
	return nil
}

// find calls f with the bytes of each property of an item, in order.
func (c *container) find(data []byte, id uint32, f func(kind string, body []byte)) {
	it := c.items[id]
	if it == nil {
		return
	}
	for _, index := range it.properties {
		if index >= 0 && index < len(c.properties) {
			p := c.properties[index]
			f(p.kind, data[p.body.start:p.body.end])
		}
	}
}

// alpha finds the item that is the alpha plane of another, or 0.
func (c *container) alpha(data []byte, of uint32) uint32 {
	var found uint32
	for id, it := range c.items {
		if it.auxOf != of || of == 0 {
			continue
		}
		c.find(data, id, func(kind string, body []byte) {
			if kind == "auxC" && isAlpha(body) && (found == 0 || id < found) {
				found = id
			}
		})
	}
	return found
}

func isAlpha(auxC []byte) bool {
	for _, name := range []string{"urn:mpeg:hevc:2015:auxid:1\x00",
		"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00"} {
		if len(auxC) >= 4 && bytes.HasPrefix(auxC[4:], []byte(name)) {
			return true
		}
	}
	return false
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}
