package jpeg

import "garb/internal/raster"

const (
	markerTEM   = 0x01
	markerSOF0  = 0xc0
	markerSOF1  = 0xc1
	markerSOF2  = 0xc2
	markerSOF3  = 0xc3
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerSOF9  = 0xc9
	markerSOF10 = 0xca
	markerDAC   = 0xcc
	markerSOF15 = 0xcf
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDNL   = 0xdc
	markerDRI   = 0xdd
	markerEXP   = 0xdf
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerAPP15 = 0xef
	markerJPG0  = 0xf0
	markerJPG13 = 0xfd
	markerCOM   = 0xfe
)

// readToScan reads segments up to the next scan, whose header it returns, or to the end marker of
// the picture. Like libjpeg it skips a tables-only file in front.
func (d *decoder) readToScan() (*scan, error) {
	for {
		if d.scans == 0 && !d.started {
			if err := d.readStart(); err != nil {
				return nil, err
			}
		}
		marker, err := d.nextMarker()
		if err != nil {
			return nil, err
		}
		switch {
		case marker == markerEOI && d.scans > 0:
			d.at -= 2 // the picture ends here
			return nil, nil
		case marker == markerEOI:
			if d.components != nil {
				return nil, raster.Corruptf("the JPEG has a frame header, but no picture")
			}
			d.started = false
		case marker == markerTEM, marker >= markerRST0 && marker <= markerRST7: // without a segment
		case marker == markerSOS:
			return d.readScanHeader()
		default:
			if err = d.readSegment(marker); err != nil {
				return nil, err
			}
		}
	}
}

// readStart reads the start marker.
func (d *decoder) readStart() error {
	if len(d.data)-d.at < 2 {
		return raster.ErrTruncated
	}
	if d.data[d.at] != 0xff || d.data[d.at+1] != markerSOI {
		return raster.Corruptf("the data do not begin with JPEG's start marker")
	}
	d.at += 2
	d.started = true
	d.restartInterval, d.jfif, d.adobe = 0, false, false
	d.conditioning = defaultConditioning()
	return nil
}

// nextMarker moves behind the next marker and returns it. Like libjpeg it ignores bytes between
// segments.
func (d *decoder) nextMarker() (byte, error) {
	start := d.at
	for ; d.at+1 < len(d.data); d.at++ {
		if d.data[d.at] != 0xff {
			continue
		}
		switch next := d.data[d.at+1]; next {
		case 0xff: // fill byte
			if d.at == start {
				start++
			}
		case 0:
			d.at++
		default:
			if d.at != start {
				d.repairs.AddRepair(repairSurplus)
			}
			d.at += 2
			return next, nil
		}
	}
	return 0, raster.ErrTruncated
}

// hasMarker reports whether there is a marker in data.
func hasMarker(data []byte) bool {
	for i := 1; i < len(data); i++ {
		if data[i-1] == 0xff && data[i] != 0 && data[i] != 0xff {
			return true
		}
	}
	return false
}

// segment is the body of a marker segment.
type segment struct {
	body []byte // as far as there are data
	rest int    // bytes of the body that are missing
}

// takeSegment returns the segment behind a marker. The body of one whose length is below 2 is nil.
func (d *decoder) takeSegment() (segment, error) {
	rest := d.data[d.at:]
	if len(rest) < 2 {
		return segment{}, raster.ErrTruncated
	}
	length := int(rest[0])<<8 | int(rest[1])
	if length < 2 {
		d.at += 2
		return segment{}, nil
	}
	end := min(length, len(rest))
	d.at += end
	return segment{body: rest[2:end:end], rest: length - end}, nil
}

// take returns the next n bytes of the body and moves behind them. It fails if they are missing.
func (s *segment) take(n int) ([]byte, error) {
	switch {
	case n <= len(s.body):
		taken := s.body[:n]
		s.body = s.body[n:]
		return taken, nil
	case n <= len(s.body)+s.rest:
		return nil, raster.ErrTruncated
	}
	return nil, raster.Corruptf("a segment of the JPEG is too short")
}

// size returns the number of bytes of the body that have not been taken.
func (s *segment) size() int { return len(s.body) + s.rest }

// readSegment reads a segment other than the header of a scan.
func (d *decoder) readSegment(marker byte) error {
	ignored := marker == markerDNL || marker >= markerAPP0 && marker <= markerAPP15 || marker == markerCOM
	frame := marker >= markerSOF0 && marker <= markerSOF15 &&
		marker != markerDHT && marker != markerJPG && marker != markerDAC
	p, ok := processes[marker]
	switch {
	case frame && !ok:
		return raster.Unsupportedf("JPEG of coding process %d", marker-markerSOF0)
	case frame && d.components != nil:
		return raster.Corruptf("the JPEG has two frame headers")
	case frame, ignored, marker == markerDHT, marker == markerDAC, marker == markerDQT, marker == markerDRI:
	default:
		return raster.Corruptf("the JPEG has the marker %#x, which is unknown", marker)
	}
	s, err := d.takeSegment()
	if err != nil {
		return err
	}
	if s.body == nil && !ignored {
		return raster.Corruptf("a segment of the JPEG has a length below 2")
	}
	switch {
	case frame:
		return d.readFrameHeader(s, p)
	case marker == markerDHT:
		return d.readHuffmanTables(s)
	case marker == markerDAC:
		return d.conditioning.read(s)
	case marker == markerDQT:
		return d.readQuantizationTables(s)
	case marker == markerDRI:
		return d.readRestartInterval(s)
	case marker == markerAPP0:
		d.jfif = d.jfif || len(s.body) >= 14 && string(s.body[:5]) == "JFIF\x00"
	case marker == markerAPP14:
		if len(s.body) >= 12 && string(s.body[:5]) == "Adobe" {
			d.adobe, d.adobeTransform = true, s.body[11]
		}
	}
	if s.rest > 0 {
		return raster.ErrTruncated
	}
	return nil
}

// readRestartInterval reads the number of minimum coded units between restart markers.
func (d *decoder) readRestartInterval(s segment) error {
	if s.size() != 2 {
		return raster.Corruptf("the segment of the restart interval has the wrong length")
	}
	v, err := s.take(2)
	if err == nil {
		d.restartInterval = int(v[0])<<8 | int(v[1])
	}
	return err
}

// readFrameHeader reads the size and the components.
func (d *decoder) readFrameHeader(s segment, p process) error {
	size := s.size()
	fixed, err := s.take(6)
	switch {
	case err != nil:
		return err
	case fixed[5] == 0 || size != 6+3*int(fixed[5]):
		return raster.Corruptf("the frame header of the JPEG has the wrong length")
	}
	specs, err := s.take(3 * int(fixed[5]))
	if err != nil {
		return err
	}
	d.process = p
	d.height, d.width = int(fixed[1])<<8|int(fixed[2]), int(fixed[3])<<8|int(fixed[4])
	d.components = make([]component, fixed[5])
	for i := range d.components {
		spec := specs[3*i:]
		d.components[i] = component{id: spec[0], h: int(spec[1] >> 4), v: int(spec[1] & 15), quantizationIndex: spec[2]}
	}
	return nil
}

func (d *decoder) readQuantizationTables(s segment) error {
	for s.size() > 0 {
		head, err := s.take(1)
		if err != nil {
			return err
		}
		wide, table := head[0]>>4 != 0, head[0]&15
		if table > 3 {
			return raster.Corruptf("a quantization table of the JPEG has an invalid number")
		}
		size := 64
		if wide {
			size = 128
		}
		values, err := s.take(size)
		if err != nil {
			return err
		}
		q := new([64]int16)
		for i := range 64 {
			if wide {
				q[zigzag[i]] = int16(uint16(values[2*i])<<8 | uint16(values[2*i+1]))
			} else {
				q[zigzag[i]] = int16(values[i])
			}
		}
		d.quantization[table] = q
	}
	return nil
}

// readScanHeader reads the header of a scan. As in libjpeg-turbo, component i of a scan is not
// before the i-th one of the frame, and of components with the same name each is found once.
func (d *decoder) readScanHeader() (*scan, error) {
	if d.components == nil {
		return nil, raster.Corruptf("a scan of the JPEG comes before the frame header")
	}
	segment, err := d.takeSegment()
	if err != nil {
		return nil, err
	}
	size := segment.size()
	count, err := segment.take(1)
	if err != nil {
		return nil, err
	}
	if n := int(count[0]); size != 4+2*n || n < 1 || n > 4 {
		return nil, raster.Corruptf("the header of a scan of the JPEG has the wrong length")
	}
	s := &scan{}
	for i := range int(count[0]) {
		var spec []byte
		if spec, err = segment.take(2); err != nil {
			return nil, err
		}
		at := i
		for at < len(d.components) && d.components[at].id != spec[0] {
			at++
		}
		if at >= min(len(d.components), 4) || s.contains(&d.components[at]) {
			return nil, raster.Corruptf("a scan of the JPEG names a component that does not exist")
		}
		c := &d.components[at]
		c.dcIndex, c.acIndex = spec[1]>>4, spec[1]&15
		s.components = append(s.components, c)
	}
	end, err := segment.take(3)
	if err != nil {
		return nil, err
	}
	s.first, s.last, s.high, s.low = int(end[0]), int(end[1]), int(end[2]>>4), int(end[2]&15)
	d.nextRestart = 0
	d.scans++
	return s, nil
}

// readRestartMarker finds the restart marker that comes next. If there is another marker, it does
// what libjpeg's jpeg_resync_to_restart does: it goes on behind the marker, looks for the next one,
// or stays in front of the marker so that the interval is empty, which it reports.
func (d *decoder) readRestartMarker() (empty bool, err error) {
	desired := d.nextRestart
	d.nextRestart = (desired + 1) & 7
	for {
		marker, err := d.nextMarker()
		if err != nil {
			return false, err
		}
		if marker == markerRST0+desired {
			return false, nil
		}
		d.repairs.AddRepair(repairRestart)
		ahead := (marker - markerRST0 - desired) & 7
		switch {
		case marker < markerSOF0: // no marker
		case marker < markerRST0 || marker > markerRST7, ahead == 1, ahead == 2:
			d.at -= 2
			return true, nil
		case ahead == 3, ahead == 4, ahead == 5:
			return false, nil
		}
	}
}
