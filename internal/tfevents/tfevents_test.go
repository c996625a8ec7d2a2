package tfevents

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestFormat compares the encoder's output with bytes worked out by hand from the format.
// TensorBoard 2.21 read a file that the encoder had written; its EventAccumulator had every
// step and value.
func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	e := Event{Step: 3, Time: time.Unix(1_700_000_000, 0), Scalars: []Scalar{{"loss", 0.5}}}
	if err := Append(path, e); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const wallTime = "09" + "00000040fc54d941" // field 1, double
	for i, record := range []string{
		wallTime + "1a0d" + hex.EncodeToString([]byte("brain.Event:2")),
		wallTime + "1003" + "2a0d" + "0a0b" + "0a04" + hex.EncodeToString([]byte("loss")) + "150000003f",
	} {
		want, err := hex.DecodeString(record)
		if err != nil {
			t.Fatal(err)
		}
		data, rest, ok := nextRecord(got)
		if !ok || !bytes.Equal(data, want) {
			t.Errorf("record %d: %x, want %x", i, data, want)
		}
		got = rest
	}
	if len(got) != 0 {
		t.Errorf("%d bytes follow", len(got))
	}
	// The check value of CRC-32C is 0xe3069283 for the digits 1 to 9.
	if got, want := maskedChecksum([]byte("123456789")),
		uint32(0xe3069283>>15|0xe3069283<<17&0xffffffff)+0xa282ead8; got != want {
		t.Errorf("checksum %#x, want %#x", got, want)
	}
}

func events(steps ...int64) []Event {
	var all []Event
	for _, s := range steps {
		all = append(all, Event{Step: s, Time: time.UnixMicro(1_700_000_000_123_456 + s),
			Scalars: []Scalar{{"loss/train", 1 / float64(s)}, {"learning_rate", math.Inf(1)}}})
	}
	return all
}

// roundToFloat32 rounds values as a file stores them.
func roundToFloat32(all []Event) []Event {
	var rounded []Event
	for _, e := range all {
		var scalars []Scalar
		for _, s := range e.Scalars {
			scalars = append(scalars, Scalar{s.Tag, float64(float32(s.Value))})
		}
		rounded = append(rounded, Event{e.Step, e.Time, scalars})
	}
	return rounded
}

// TestAppendTruncate checks that Truncate removes later events, and those that were cut off or
// damaged, and that Append then continues the file.
func TestAppendTruncate(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func([]byte) []byte // nil: the file is whole
		limit int64
		last  int64
	}{
		"whole":            {nil, 9, 3},
		"all":              {nil, 3, 3},
		"one again":        {nil, 2, 2},
		"from the start":   {nil, 0, 0},
		"cut off":          {func(b []byte) []byte { return b[:len(b)-1] }, 9, 2},
		"half a length":    {func(b []byte) []byte { return append(b, 1, 2, 3) }, 9, 3},
		"a huge length":    {func(b []byte) []byte { return append(b, bytes.Repeat([]byte{0xff}, 40)...) }, 9, 3},
		"damaged data":     {func(b []byte) []byte { b[len(b)-6] ^= 1; return b }, 9, 2},
		"damaged checksum": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, 9, 2},
		"damaged version":  {func(b []byte) []byte { b[20] ^= 1; return b }, 9, 0},
		"no event":         {func(b []byte) []byte { return appendRecord(b, []byte{0xff}) }, 9, 3},
		"two files":        {func(b []byte) []byte { return append(b, b...) }, 9, 3},
		"empty":            {func([]byte) []byte { return nil }, 9, 0},
		"another format":   {func([]byte) []byte { return []byte("epoch,loss\n1,0.5\n2,0.25\n3,0.125\n") }, 9, 0},
	} {
		path := writeThreeEvents(t, c.spoil)
		last, err := Truncate(path, c.limit)
		if err != nil || last != c.last {
			t.Errorf("%s: last %d, %v, want %d", name, last, err, c.last)
		}
		var missing []int64
		for step := last + 1; step <= 4; step++ {
			missing = append(missing, step)
		}
		if err = Append(path, events(missing...)...); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if diff := cmp.Diff(roundToFloat32(events(1, 2, 3, 4)), got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		f, openErr := open(path)
		if openErr != nil {
			t.Fatal(openErr)
		}
		if end := f.ends[len(f.ends)-1]; end != f.size {
			t.Errorf("%s: %d bytes after the last event", name, f.size-end)
		}
	}
}

// writeThreeEvents writes the events of steps 1 to 3 to a file, and then changes its bytes
// by spoil, if that is not nil.
func writeThreeEvents(t *testing.T, spoil func([]byte) []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "events")
	if err := Append(path, events(1, 2)...); err != nil {
		t.Fatal(err)
	}
	if err := Append(path, events(3)...); err != nil {
		t.Fatal(err)
	}
	if spoil == nil {
		return path
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, spoil(data), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nix")
	if last, err := Truncate(path, 5); last != 0 || err != nil {
		t.Errorf("%d, %v", last, err)
	}
	if err := Append(filepath.Join(path, "events"), events(1)...); err == nil {
		t.Error("Append made a file in a missing folder")
	}
	if _, err := Truncate(t.TempDir(), 5); err == nil {
		t.Error("Truncate read a folder")
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Event{Step: rapid.Int64Min(0).Draw(t, "step"),
			Time: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time"))}
		for range rapid.IntRange(0, 4).Draw(t, "scalars") {
			e.Scalars = append(e.Scalars,
				Scalar{rapid.String().Draw(t, "tag"), float64(rapid.Float32().Draw(t, "value"))})
		}
		got, version, err := decode(e.encode())
		if diff := cmp.Diff(e, got); err != nil || version != "" || diff != "" {
			t.Errorf("%v %q %s", err, version, diff)
		}
	})
}

// FuzzParse checks that parse returns for any content, with consistent offsets.
func FuzzParse(f *testing.F) {
	data := appendRecord(nil, events(1)[0].encode())
	f.Add(data)
	f.Add(append(appendRecord(nil, []byte("\x1a\x0dbrain.Event:2")), data...))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := parse(data)
		if len(p.events) != len(p.ends) || p.begin > p.size {
			t.Errorf("%d events, %d ends, %d of %d bytes", len(p.events), len(p.ends), p.begin, p.size)
		}
	})
}
