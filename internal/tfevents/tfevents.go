// Package tfevents writes the event files that TensorBoard reads.
//
// An event file is a sequence of records in TensorFlow's TFRecord format: the length as
// uint64, a checksum of these 8 bytes, the data, and a checksum of the data, all
// little-endian. A checksum is a masked CRC-32C. The data of each record is a protocol
// buffer message Event (tensorflow/core/util/event.proto).
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

// Scalar is a value measured at a step. TensorBoard draws one chart per tag, and groups
// charts by the part of the tag before the first slash.
type Scalar struct {
	Tag   string
	Value float64 // stored as float32
}

// Event holds the scalars of one step.
type Event struct {
	Step    int64
	Time    time.Time // to the microsecond
	Scalars []Scalar
}

// Field numbers of the messages Event, Summary and Summary.Value.
const (
	eventWallTime    protowire.Number = 1 // double, seconds since 1970
	eventStep        protowire.Number = 2 // int64
	eventFileVersion protowire.Number = 3 // string, in a file's first event
	eventSummary     protowire.Number = 5 // Summary

	summaryValue protowire.Number = 1 // Value, repeated

	valueTag    protowire.Number = 1 // string
	valueSimple protowire.Number = 2 // float
)

// fileVersion is the version in the first event of each file.
const fileVersion = "brain.Event:2"

// maxFileBytes is the largest file that Read and Truncate read. A hundred thousand events
// of five scalars take 25 MB.
const maxFileBytes = 64 << 20

// Append adds events to the end of a file in one write. If the file is missing or empty, it
// begins it with the record of the version.
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

// Read returns the events of a file up to the first record that is damaged or cut off. A
// missing file has no events.
func Read(path string) ([]Event, error) {
	f, err := open(path)
	return f.events, err
}

// Truncate removes the events of steps after limit from a file, and everything from the
// first record that is damaged or cut off. It returns the step of the last event left, or
// 0 if there is none.
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

// file holds the events of a file, and the offsets of its records.
type file struct {
	events []Event
	begin  int   // the end of the version's record; 0 if there is none
	ends   []int // the end of each event's record
	size   int   // in bytes
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

// parse reads events up to the first record that is damaged or holds no Event.
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

// encode returns the message Event.
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

// eachField calls use for every field of a message: with the value of a varint or a number
// of fixed size, or with the data of a string or a message.
func eachField(m []byte,
	use func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error) error {
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

// decode reads a message Event, and its version if it is a file's first. It ignores fields
// that Append does not write.
func decode(m []byte) (e Event, version string, err error) {
	err = eachField(m, func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error {
		switch {
		case number == eventWallTime && kind == protowire.Fixed64Type:
			e.Time = time.UnixMicro(int64(math.Round(math.Float64frombits(value) * 1e6)))
		case number == eventStep && kind == protowire.VarintType:
			e.Step = int64(value)
		case number == eventFileVersion && kind == protowire.BytesType:
			version = string(data)
		case number == eventSummary && kind == protowire.BytesType:
			e.Scalars, err = appendScalars(e.Scalars, data)
			return err
		}
		return nil
	})
	return e, version, err
}

// appendScalars appends the scalars of a message Summary.
func appendScalars(scalars []Scalar, m []byte) ([]Scalar, error) {
	err := eachField(m, func(number protowire.Number, kind protowire.Type, _ uint64, data []byte) error {
		if number != summaryValue || kind != protowire.BytesType {
			return nil
		}
		s, err := decodeScalar(data)
		scalars = append(scalars, s)
		return err
	})
	return scalars, err
}

func decodeScalar(m []byte) (s Scalar, err error) {
	err = eachField(m, func(number protowire.Number, kind protowire.Type, value uint64, data []byte) error {
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

// recordOverhead is the number of bytes that a record takes in addition to its data.
const recordOverhead = 8 + 4 + 4

func appendRecord(to, data []byte) []byte {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	to = append(to, length...)
	to = binary.LittleEndian.AppendUint32(to, maskedChecksum(length))
	to = append(to, data...)
	return binary.LittleEndian.AppendUint32(to, maskedChecksum(data))
}

// nextRecord returns the data of the record at the beginning of b, and the rest of b. ok is
// false unless b begins with a whole record whose checksums match.
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

// maskedChecksum returns the CRC-32C of data, rotated right by 15 bits, plus a constant
// (tensorflow/core/lib/hash/crc32c.h).
func maskedChecksum(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}
