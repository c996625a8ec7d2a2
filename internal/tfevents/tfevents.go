// Package tfevents writes figures of a training as TensorBoard reads them.
//
// A file of events is a sequence of records, as of TensorFlow's TFRecord format: the
// length as uint64, a checksum of these 8 bytes, the data, and a checksum of the data,
// all little-endian. A checksum is a CRC-32C, masked. The data of each record is a
// protocol buffer message Event (tensorflow/core/util/event.proto).
package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"garb/internal/safefile"
)

// Scalar is a figure of a step. TensorBoard draws one chart for each tag, and groups
// charts by the part of the tag before the first slash.
type Scalar struct {
	Tag   string
	Value float64 // stored as float32
}

// Event is what was measured at a step.
type Event struct {
	Step    int64
	Time    time.Time // to the microsecond
	Scalars []Scalar
}

// Numbers of the fields of messages Event, Summary and Summary.Value.
const (
	eventWallTime    protowire.Number = 1 // double, seconds since 1970
	eventStep        protowire.Number = 2 // int64
	eventFileVersion protowire.Number = 3 // string, of a file's first event
	eventSummary     protowire.Number = 5 // Summary

	summaryValue protowire.Number = 1 // Value, repeated

	valueTag    protowire.Number = 1 // string
	valueSimple protowire.Number = 2 // float
)

// fileVersion is what the first event of each file says.
const fileVersion = "brain.Event:2"

// maxFileBytes bounds a file that Truncate reads: a hundred thousand events of five
// scalars have 25 MB.
const maxFileBytes = 64 << 20

// Append adds events to the end of a file, which it makes, with its first record, if
// there is none or it is empty. The events reach the file in one write.
func Append(path string, events ...Event) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var data []byte
	if info.Size() == 0 && len(events) > 0 {
		first := appendWallTime(nil, events[0].Time)
		first = protowire.AppendTag(first, eventFileVersion, protowire.BytesType)
		data = appendRecord(data, protowire.AppendString(first, fileVersion))
	}
	for _, e := range events {
		data = appendRecord(data, e.encode())
	}
	_, err = file.Write(data)
	return err
}

// Read returns the events of a file, up to its end or to the first record that is
// damaged or cut off. Of no file it returns none.
func Read(path string) ([]Event, error) {
	f, err := open(path)
	return f.events, err
}

// Truncate cuts a file after its last event of a step up to limit, and before the
// first record that is damaged or cut off, and returns the step of the last event that
// is left: 0 if there is none, or no file.
func Truncate(path string, limit int64) (last int64, err error) {
	f, err := open(path)
	if err != nil {
		return 0, err
	}
	keep := f.begin
	for i, e := range f.events {
		if e.Step > limit {
			break
		}
		last, keep = e.Step, f.ends[i]
	}
	if keep == f.size {
		return last, nil
	}
	return last, os.Truncate(path, int64(keep))
}

// file is what a file of events holds, with the places where its records end.
type file struct {
	events []Event
	begin  int   // after the record of the version; 0 if there is none
	ends   []int // after each event
	size   int   // bytes in all
}

func open(path string) (file, error) {
	data, err := safefile.Read(path, maxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return file{}, nil
	}
	if err != nil {
		return file{}, err
	}
	return parse(data), nil
}

// parse reads what it can: up to a record that is damaged, or no Event.
func parse(data []byte) file {
	f := file{size: len(data)}
	record, rest, ok := nextRecord(data)
	if _, version, err := decode(record); !ok || err != nil || version != fileVersion {
		return f
	}
	f.begin = len(data) - len(rest)
	for {
		record, rest, ok = nextRecord(rest)
		if !ok {
			return f
		}
		e, version, err := decode(record)
		if err != nil || version != "" {
			return f
		}
		f.events, f.ends = append(f.events, e), append(f.ends, len(data)-len(rest))
	}
}

// encode makes the message Event.
func (e Event) encode() []byte {
	m := appendWallTime(nil, e.Time)
	m = protowire.AppendTag(m, eventStep, protowire.VarintType)
	m = protowire.AppendVarint(m, uint64(e.Step))
	var summary []byte
	for _, s := range e.Scalars {
		value := protowire.AppendTag(nil, valueTag, protowire.BytesType)
		value = protowire.AppendString(value, s.Tag)
		value = protowire.AppendTag(value, valueSimple, protowire.Fixed32Type)
		value = protowire.AppendFixed32(value, math.Float32bits(float32(s.Value)))
		summary = protowire.AppendTag(summary, summaryValue, protowire.BytesType)
		summary = protowire.AppendBytes(summary, value)
	}
	m = protowire.AppendTag(m, eventSummary, protowire.BytesType)
	return protowire.AppendBytes(m, summary)
}

func appendWallTime(m []byte, t time.Time) []byte {
	m = protowire.AppendTag(m, eventWallTime, protowire.Fixed64Type)
	return protowire.AppendFixed64(m, math.Float64bits(float64(t.UnixMicro())/1e6))
}

// fields calls use for every field of a message: with the value of a varint or a
// number of fixed size, or with the data of a string or a message.
func fields(m []byte, use func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error) error {
	for len(m) > 0 {
		number, kind, n := protowire.ConsumeTag(m)
		if n < 0 {
			return protowire.ParseError(n)
		}
		m = m[n:]
		var value uint64
		var data []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(m)
		case protowire.Fixed64Type:
			value, n = protowire.ConsumeFixed64(m)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(m)
			value = uint64(v)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(m)
		default:
			n = protowire.ConsumeFieldValue(number, kind, m)
		}
		if n < 0 {
			return fmt.Errorf("field %d: %w", number, protowire.ParseError(n))
		}
		if err := use(number, kind, value, data); err != nil {
			return err
		}
		m = m[n:]
	}
	return nil
}

// decode reads the message Event, and the version that a file's first one has. Fields
// that are not Append's are ignored.
func decode(m []byte) (e Event, version string, err error) {
	err = fields(m, func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error {
		switch {
		case number == eventWallTime && kind == protowire.Fixed64Type:
			e.Time = time.UnixMicro(int64(math.Round(math.Float64frombits(value) * 1e6)))
		case number == eventStep && kind == protowire.VarintType:
			e.Step = int64(value)
		case number == eventFileVersion && kind == protowire.BytesType:
			version = string(data)
		case number == eventSummary && kind == protowire.BytesType:
			return fields(data, func(number protowire.Number, kind protowire.Type, _ uint64, data []byte) error {
				if number != summaryValue || kind != protowire.BytesType {
					return nil
				}
				s, err := decodeScalar(data)
				e.Scalars = append(e.Scalars, s)
				return err
			})
		}
		return nil
	})
	return e, version, err
}

func decodeScalar(m []byte) (s Scalar, err error) {
	err = fields(m, func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error {
		switch {
		case number == valueTag && kind == protowire.BytesType:
			s.Tag = string(data)
		case number == valueSimple && kind == protowire.Fixed32Type:
			s.Value = float64(math.Float32frombits(uint32(value)))
		}
		return nil
	})
	return s, err
}

// recordOverhead is the number of bytes of a record beside its data.
const recordOverhead = 8 + 4 + 4

func appendRecord(to, data []byte) []byte {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	to = append(to, length...)
	to = binary.LittleEndian.AppendUint32(to, maskedChecksum(length))
	to = append(to, data...)
	return binary.LittleEndian.AppendUint32(to, maskedChecksum(data))
}

// nextRecord returns the data of the record at the beginning of b, and what follows
// it. ok is false if b does not begin with a whole record of right checksums.
func nextRecord(b []byte) (data, rest []byte, ok bool) {
	if len(b) < recordOverhead {
		return nil, b, false
	}
	length := binary.LittleEndian.Uint64(b)
	if length > uint64(len(b)-recordOverhead) || binary.LittleEndian.Uint32(b[8:]) != maskedChecksum(b[:8]) {
		return nil, b, false
	}
	data, rest = b[12:][:length], b[12+length:]
	if binary.LittleEndian.Uint32(rest) != maskedChecksum(data) {
		return nil, b, false
	}
	return data, rest[4:], true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedChecksum is the CRC-32C of data, rotated by 15 bits to the right, plus a
// constant (tensorflow/core/lib/hash/crc32c.h).
func maskedChecksum(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}
