package features

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"garb/internal/safefile"
)

const (
	formatName     = "garb features 2"
	maxHeaderBytes = 1 << 20
	// maxColumns bounds the length of a vector. The largest backbone has 2048 values.
	maxColumns = 1 << 20
	// maxRows keeps the size of a file, about maxRows·(32+4·maxColumns), within an int64.
	maxRows = 1 << 40
)

// Meta describes a file of features.
type Meta struct {
	Key     Key
	Columns int // length of a vector
	// Part says which part of a larger job the file is, in words of who wrote it; "" for a whole.
	Part string
}

// storedTensor is the description of a tensor in the header.
type storedTensor struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// storedMeta is the metadata in the header.
type storedMeta struct {
	Format string `json:"format"`
	Key    string `json:"key"` // a Key as JSON: metadata are texts
	Part   string `json:"part,omitempty"`
}

// storedHeader is the header of a file.
type storedHeader struct {
	Meta     storedMeta   `json:"__metadata__"`
	Digests  storedTensor `json:"digests"`
	Features storedTensor `json:"features"`
	SHA256   storedTensor `json:"sha256"` // of all bytes before it
}

// encodeHeader returns a file's bytes up to the digests.
func encodeHeader(m Meta, rows int64) ([]byte, error) {
	key, err := json.Marshal(m.Key)
	if err != nil {
		panic("features: " + err.Error()) // plain values only
	}
	middle, columns := rows*int64(len(Digest{})), int64(m.Columns)
	end := middle + 4*rows*columns
	text, err := json.Marshal(storedHeader{
		storedMeta{formatName, string(key), m.Part},
		storedTensor{"U8", []int64{rows, int64(len(Digest{}))}, [2]int64{0, middle}},
		storedTensor{"F32", []int64{rows, columns}, [2]int64{middle, end}},
		storedTensor{"U8", []int64{sha256.Size}, [2]int64{end, end + sha256.Size}},
	})
	if err != nil {
		panic("features: " + err.Error())
	}
	if len(text) > maxHeaderBytes-8 {
		return nil, fmt.Errorf("the header of a file of features has %d bytes; the limit is %d", len(text),
			maxHeaderBytes-8)
	}
	text = append(text, bytes.Repeat([]byte{' '}, (8-len(text)%8)%8)...) // the values are aligned
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...), nil
}

// File is an open file of features. It is safe for concurrent use.
type File struct {
	Meta
	path      string
	file      *os.File
	rows      int64
	digestsAt int64 // offset of the first digest
	vectorsAt int64 // offset of the first vector
}

// IsFile reports whether a file begins as a file of features does.
func IsFile(path string) (bool, error) {
	f, err := safefile.OpenRegular(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, 9)
	if _, err := io.ReadFull(f, begin); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return binary.LittleEndian.Uint64(begin) <= maxHeaderBytes && begin[8] == '{', nil
}

// Open opens a file of features and checks its form: its size, and the order of its digests. Only
// Check finds other changes. Errors are *FormatError, *safefile.NotRegularError and those of package
// os.
func Open(path string) (*File, error) {
	f, err := openUnsorted(path)
	if err != nil {
		return nil, err
	}
	if err := f.checkOrder(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openUnsorted opens a file, but does not check the order of its digests.
func openUnsorted(path string) (*File, error) {
	file, err := safefile.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, file: file}
	if err := f.readHeader(); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// Rows returns the number of vectors.
func (f *File) Rows() int64 { return f.rows }

func (f *File) malformed(format string, args ...any) error {
	return &FormatError{f.path, fmt.Sprintf(format, args...)}
}

// readHeader reads and checks the header.
func (f *File) readHeader() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	var length [8]byte
	if _, err := f.file.ReadAt(length[:], 0); errors.Is(err, io.EOF) {
		return f.malformed("it has only %d bytes, too few for a header; copy it again", info.Size())
	} else if err != nil {
		return err
	}
	size := binary.LittleEndian.Uint64(length[:])
	if size > maxHeaderBytes {
		return f.malformed("it does not begin with the length of a header, at most %d bytes", maxHeaderBytes)
	}
	if int64(size) > info.Size()-8 {
		return f.malformed("its header of %d bytes is longer than the file; copy it again", size)
	}
	text := make([]byte, size)
	if _, err := f.file.ReadAt(text, 8); err != nil {
		return err
	}
	var h storedHeader
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return f.malformed("its header cannot be read (%v)", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return f.malformed("there is text after its header")
	}
	f.digestsAt = int64(8 + size)
	return f.setHeader(h, info.Size()-f.digestsAt)
}

// setHeader checks a header and takes over its values. size is the number of bytes behind it.
func (f *File) setHeader(h storedHeader, size int64) error {
	if h.Meta.Format != formatName {
		return f.malformed("its format is %q, and this version of garb reads %q", h.Meta.Format, formatName)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(h.Meta.Key)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f.Key); err != nil {
		return f.malformed("its key cannot be read (%v)", err)
	}
	x, y, sum := h.Digests, h.Features, h.SHA256
	if x.DType != "U8" || y.DType != "F32" || len(x.Shape) != 2 || len(y.Shape) != 2 ||
		x.Shape[1] != int64(len(Digest{})) || x.Shape[0] != y.Shape[0] {
		return f.malformed("its tensors are %s %v and %s %v, not U8 [N 32] and F32 [N C]", x.DType, x.Shape, y.DType,
			y.Shape)
	}
	rows, columns := y.Shape[0], y.Shape[1]
	if rows < 0 || rows > maxRows || columns < 1 || columns > maxColumns {
		return f.malformed("it has %d vectors of %d values", rows, columns)
	}
	middle := rows * int64(len(Digest{}))
	end := middle + 4*rows*columns
	if x.Offsets != [2]int64{0, middle} || y.Offsets != [2]int64{middle, end} {
		return f.malformed("the offsets of its tensors do not match their shapes")
	}
	if sum.DType != "U8" || !slices.Equal(sum.Shape, []int64{sha256.Size}) ||
		sum.Offsets != [2]int64{end, end + sha256.Size} {
		return f.malformed("its last tensor is not a SHA-256")
	}
	end += sha256.Size
	if size != end {
		return f.malformed("its tensors have %d bytes instead of %d: it was cut off or extended; copy it again", size,
			end)
	}
	f.rows, f.Columns, f.Part, f.vectorsAt = rows, int(columns), h.Meta.Part, f.digestsAt+middle
	return nil
}

// readDigests returns a reader of all digests.
func (f *File) readDigests() io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(f.file, f.digestsAt, f.vectorsAt-f.digestsAt), 1<<16)
}

// checkOrder checks that the digests ascend.
func (f *File) checkOrder() error {
	var before, d Digest
	r := f.readDigests()
	for i := range f.rows {
		if _, err := io.ReadFull(r, d[:]); err != nil {
			return fmt.Errorf("reading %s: %w", f.path, err)
		}
		if i > 0 && bytes.Compare(before[:], d[:]) >= 0 {
			return f.malformed("its digests %v and %v are not in ascending order", before, d)
		}
		before = d
	}
	return nil
}

// checkedBytes is the size of the blocks that Check reads.
const checkedBytes = 1 << 20

// Check reads the whole file and compares its content with the digest in it. The error is a
// *ChangedError, ctx's, or comes from reading the file. read, if not nil, is called with the number of
// vectors in each block that was read.
func (f *File) Check(ctx context.Context, read func(vectors int)) error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f.file, 0, f.vectorsAt)); err != nil {
		return fmt.Errorf("reading %s: %w", f.path, err)
	}
	size := int64(4 * f.Columns)
	block := max(1, checkedBytes/size)
	for row := int64(0); row < f.rows; row += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(block, f.rows-row)
		if _, err := io.Copy(h, io.NewSectionReader(f.file, f.vectorsAt+row*size, n*size)); err != nil {
			return fmt.Errorf("reading %s: %w", f.path, err)
		}
		if read != nil {
			read(int(n))
		}
	}
	stored := make([]byte, sha256.Size)
	if _, err := f.file.ReadAt(stored, f.vectorsAt+f.rows*size); err != nil {
		return fmt.Errorf("reading %s: %w", f.path, err)
	}
	if !bytes.Equal(h.Sum(nil), stored) {
		return &ChangedError{f.path}
	}
	return nil
}

// Lookup returns the vector of a picture, and false if the file has none. The error is a
// *FormatError if the vector is not finite, or comes from reading the file.
func (f *File) Lookup(d Digest) ([]float32, bool, error) {
	low, high := int64(0), f.rows
	for low < high {
		middle := low + (high-low)/2
		var found Digest
		if _, err := f.file.ReadAt(found[:], f.digestsAt+middle*int64(len(found))); err != nil {
			return nil, false, fmt.Errorf("reading %s: %w", f.path, err)
		}
		switch c := bytes.Compare(found[:], d[:]); {
		case c == 0:
			v := make([]float32, f.Columns)
			return v, true, f.readVector(middle, v)
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return nil, false, nil
}

// readVector reads the vector of a row.
func (f *File) readVector(row int64, into []float32) error {
	data := make([]byte, 4*f.Columns)
	if _, err := f.file.ReadAt(data, f.vectorsAt+row*int64(len(data))); err != nil {
		return fmt.Errorf("reading %s: %w", f.path, err)
	}
	for i := range into {
		into[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	if !isFinite(into) {
		return f.malformed("vector %d has values that are not finite numbers", row)
	}
	return nil
}
