package heif

import (
	"bytes"
	"encoding/binary"

	"garb/internal/raster"
)

// container holds what the boxes of a file say, as far as a decoder needs it. The boxes are those
// of ISO/IEC 14496-12 (file format) and 23008-12 (pictures).
type container struct {
	hasType    bool // the file type box was read
	hasMeta    bool
	hasMovie   bool // a sequence of pictures
	primary    uint32
	items      map[uint32]*item
	alphas     map[uint32]uint32 // the alpha planes of items that have one
	properties []property        // in ipco; associations count from 1
}

// payload is the extent of a box's content in the file: data[start:end].
type payload struct{ start, end int }

// item is a picture, a tile of one, or an auxiliary plane.
type item struct {
	kind       string // "hvc1", "grid", ...
	properties []int  // indices into container.properties, in the order of application
	tiles      []uint32
	extents    []payload // in the file; nil if the item's bytes are not in it
	auxOf      uint32    // the item that this one is an auxiliary plane of, or 0
	// premultipliedBy is the alpha plane that the item's colours are multiplied with, or 0.
	premultipliedBy uint32
}

type property struct {
	kind string
	body payload
}

// reader reads big-endian numbers from a box. Past its end it returns zeros and sets overread.
type reader struct {
	data     []byte
	at, end  int
	overread bool
}

func (r *reader) takeUint(bytes int) uint64 {
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

func (r *reader) takeText(bytes int) string {
	if r.end-r.at < bytes {
		r.overread = true
		r.at = r.end
		return ""
	}
	s := string(r.data[r.at : r.at+bytes])
	r.at += bytes
	return s
}

// takeBox takes the next box. A box that runs past the end is cut off there, and short is true.
func (r *reader) takeBox() (kind string, body payload, short, ok bool) {
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

func newReader(data []byte, p payload) *reader {
	return &reader{data: data, at: p.start, end: p.end}
}

// takeFullBoxHeader takes the version and flags that most boxes begin with.
func (r *reader) takeFullBoxHeader() (version byte, flags uint32) {
	v := r.takeUint(4)
	return byte(v >> 24), uint32(v) & 0xffffff
}

// isPicture reports whether data begins with a file type box of one of the known brands.
func isPicture(data []byte) bool {
	if len(data) < 12 || string(data[4:8]) != "ftyp" {
		return false
	}
	r := &reader{data: data, end: len(data)}
	_, body, _, ok := r.takeBox()
	if !ok || body.end-body.start < 4 {
		return false
	}
	for at := body.start; at+4 <= body.end; at += 4 {
		if at == body.start+4 {
			continue // the minor version
		}
		switch string(data[at : at+4]) {
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1":
			return true
		}
	}
	return false
}

// parse reads the boxes of data, for which isPicture is true.
func parse(data []byte) (*container, error) {
	c := &container{items: map[uint32]*item{}}
	top := &reader{data: data, end: len(data)}
	for top.at < top.end {
		kind, body, short, ok := top.takeBox()
		if !ok {
			break // trailing bytes
		}
		var err error
		switch {
		case kind == "ftyp":
			if short || c.hasType {
				return nil, raster.Corruptf("the file type box is cut short or comes twice")
			}
			c.hasType = true
		case short && (kind == "meta" || kind == "moov"):
			return nil, raster.Corruptf("the file ends inside its description")
		case kind == "meta" && !c.hasMeta:
			err = c.parseMeta(data, body)
			c.hasMeta = true
		case kind == "moov":
			c.hasMovie = true
		}
		if err != nil {
			return nil, err
		}
	}
	if !c.hasMeta && !c.hasMovie {
		return nil, raster.Corruptf("it has no description of a picture; it may be cut short")
	}
	c.findAlphas(data)
	return c, nil
}

// reserveItem returns the item of a number, a new one if it has not been named before.
func (c *container) reserveItem(id uint32) *item {
	it := c.items[id]
	if it == nil {
		it = &item{}
		c.items[id] = it
	}
	return it
}

func (c *container) parseMeta(data []byte, body payload) error {
	r := newReader(data, body)
	r.takeFullBoxHeader()
	var locations, contents payload
	for r.at < r.end {
		kind, body, short, ok := r.takeBox()
		if !ok || short {
			return raster.Corruptf("a box runs past the end of the one that holds it")
		}
		var err error
		switch kind {
		case "pitm":
			p := newReader(data, body)
			version, _ := p.takeFullBoxHeader()
			c.primary = uint32(p.takeUint(idBytes(version > 0)))
			err = p.checkComplete("pitm")
		case "iinf":
			err = c.parseItemInfos(data, body)
		case "iref":
			err = c.parseReferences(data, body)
		case "iprp":
			err = c.parseProperties(data, body)
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
		return c.parseLocations(data, locations, contents)
	}
	return nil
}

// idBytes returns the size of an item number.
func idBytes(long bool) int {
	if long {
		return 4
	}
	return 2
}

// checkComplete returns an error if more was read than the box has.
func (r *reader) checkComplete(box string) error {
	if r.overread {
		return raster.Corruptf("its %s box is cut short", box)
	}
	return nil
}

func (c *container) parseItemInfos(data []byte, body payload) error {
	r := newReader(data, body)
	version, _ := r.takeFullBoxHeader()
	r.takeUint(idBytes(version > 0)) // the number of boxes, which is not needed
	if r.overread {
		return r.checkComplete("iinf")
	}
	for r.at < r.end {
		kind, body, short, ok := r.takeBox()
		if !ok || short {
			return raster.Corruptf("its iinf box is cut short")
		}
		if kind != "infe" {
			continue
		}
		e := newReader(data, body)
		version, _ := e.takeFullBoxHeader()
		if version < 2 {
			continue // an item of another kind than pictures
		}
		id := uint32(e.takeUint(idBytes(version > 2)))
		e.takeUint(2) // protection
		kind = e.takeText(4)
		if err := e.checkComplete("infe"); err != nil {
			return err
		}
		c.reserveItem(id).kind = kind
	}
	return nil
}

func (c *container) parseReferences(data []byte, body payload) error {
	r := newReader(data, body)
	version, _ := r.takeFullBoxHeader()
	for r.at < r.end {
		kind, body, short, ok := r.takeBox()
		if !ok || short {
			return raster.Corruptf("its iref box is cut short")
		}
		e := newReader(data, body)
		from := uint32(e.takeUint(idBytes(version > 0)))
		for range e.takeUint(2) {
			to := uint32(e.takeUint(idBytes(version > 0)))
			if e.overread {
				return e.checkComplete("iref")
			}
			switch kind {
			case "dimg":
				it := c.reserveItem(from)
				it.tiles = append(it.tiles, to)
			case "auxl":
				c.reserveItem(from).auxOf = to
			case "prem":
				c.reserveItem(from).premultipliedBy = to
			}
		}
	}
	return r.checkComplete("iref")
}

func (c *container) parseProperties(data []byte, body payload) error {
	r := newReader(data, body)
	for r.at < r.end {
		kind, body, short, ok := r.takeBox()
		if !ok || short {
			return raster.Corruptf("its iprp box is cut short")
		}
		var err error
		switch kind {
		case "ipco":
			err = c.parsePropertyList(data, body)
		case "ipma":
			err = c.parseAssociations(data, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *container) parsePropertyList(data []byte, body payload) error {
	r := newReader(data, body)
	for r.at < r.end {
		kind, body, short, ok := r.takeBox()
		if !ok || short {
			return raster.Corruptf("its ipco box is cut short")
		}
		c.properties = append(c.properties, property{kind, body})
	}
	return nil
}

// parseAssociations reads which properties each item has.
func (c *container) parseAssociations(data []byte, body payload) error {
	r := newReader(data, body)
	version, flags := r.takeFullBoxHeader()
	for range r.takeUint(4) {
		it := c.reserveItem(uint32(r.takeUint(idBytes(version > 0))))
		for range r.takeUint(1) {
			index := int(r.takeUint(1)) & 0x7f
			if flags&1 != 0 {
				index = index<<8 | int(r.takeUint(1))
			}
			it.properties = append(it.properties, index-1)
		}
		if r.overread {
			return r.checkComplete("ipma")
		}
	}
	return nil
}

func (c *container) parseLocations(data []byte, body, contents payload) error {
	r := newReader(data, body)
	version, _ := r.takeFullBoxHeader()
	sizes := r.takeUint(2)
	offsetBytes, lengthBytes := int(sizes>>12&15), int(sizes>>8&15)
	baseBytes, indexBytes := int(sizes>>4&15), int(sizes&15)
	if version == 0 {
		indexBytes = 0
	}
	for _, n := range []int{offsetBytes, lengthBytes, baseBytes, indexBytes} {
		if n > 8 {
			return raster.Corruptf("its iloc box has invalid sizes")
		}
	}
	for range r.takeUint(idBytes(version > 1)) {
		it := c.reserveItem(uint32(r.takeUint(idBytes(version > 1))))
		method := uint64(0)
		if version > 0 {
			method = r.takeUint(2) & 15
		}
		r.takeUint(2) // number of the file; 0 is this one
		base := r.takeUint(baseBytes)
		for range r.takeUint(2) {
			r.takeUint(indexBytes)
			offset, length := base+r.takeUint(offsetBytes), r.takeUint(lengthBytes)
			if r.overread {
				return r.checkComplete("iloc")
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
			return r.checkComplete("iloc")
		}
	}
	return nil
}

// checkPresent returns an error if the file does not have an item's bytes.
func (c *container) checkPresent(id uint32) error {
	it := c.items[id]
	if it == nil || it.kind == "" {
		return raster.Corruptf("picture item %d is not described", id)
	}
	for _, e := range it.extents {
		if e.start < 0 {
			return raster.Corruptf("the file ends before the bytes of picture item %d", id)
		}
	}
	return nil
}

// itemBytes returns the bytes of an item for which checkPresent returns no error.
func (c *container) itemBytes(data []byte, id uint32) []byte {
	var all []byte
	for _, e := range c.items[id].extents {
		all = append(all, data[e.start:e.end]...)
	}
	return all
}

// eachProperty calls f with the bytes of each property of an item, in order.
func (c *container) eachProperty(data []byte, id uint32, f func(kind string, body []byte)) {
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

// findAlphas sets alphas. Of several alpha planes of an item, it takes the one of the lowest number.
func (c *container) findAlphas(data []byte) {
	c.alphas = map[uint32]uint32{}
	for id, it := range c.items {
		if it.auxOf == 0 {
			continue
		}
		c.eachProperty(data, id, func(kind string, body []byte) {
			if known := c.alphas[it.auxOf]; kind == "auxC" && isAlpha(body) && (known == 0 || id < known) {
				c.alphas[it.auxOf] = id
			}
		})
	}
}

func isAlpha(auxC []byte) bool {
	for _, name := range []string{
		"urn:mpeg:hevc:2015:auxid:1\x00", "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00",
	} {
		if len(auxC) >= 4 && bytes.HasPrefix(auxC[4:], []byte(name)) {
			return true
		}
	}
	return false
}
