package shard

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"garb/internal/safefile"
)

// A part is a line with a Header, the body, a line break, and a line with an End.

const (
	formatVersion  = 1
	maxHeaderBytes = 1 << 20
	maxEndBytes    = 1 << 10
)

// storedHeader is the first line of a part.
type storedHeader struct {
	Format int `json:"garb_part"`
	Header
}

// End sums up a part.
type End struct {
	Rows    int     `json:"rows"`   // pictures with a result
	Failed  int     `json:"failed"` // pictures without one
	Seconds float64 `json:"seconds"`
}

// storedEnd is the last line of a part.
type storedEnd struct {
	Bytes  int64  `json:"garb_part_end"` // of the body
	SHA256 string `json:"sha256"`        // of the body
	End
}

// endMark is the beginning of the last line, with the line break before it.
var endMark = []byte("\n{\"garb_part_end\":")

// FormatError says why a file is not a part, or not all of one.
type FormatError struct{ Path, Reason string }

func (e *FormatError) Error() string { return e.Path + " is not a complete part: " + e.Reason }

// hashWriter counts and hashes what is written.
type hashWriter struct {
	io.Writer
	hash  hash.Hash
	bytes int64
}

func (w *hashWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.hash.Write(p[:n])
	w.bytes += int64(n)
	return n, err
}

// Write writes a part to a file, whose body is what body writes. If body fails there is no file.
func Write(path string, h Header, body func(w io.Writer) (End, error)) error {
	return safefile.Write(path, func(w io.Writer) error { return write(w, h, body) })
}

// write writes a part.
func write(w io.Writer, h Header, body func(w io.Writer) (End, error)) error {
	first, err := json.Marshal(storedHeader{formatVersion, h})
	if err != nil {
		return err
	}
	if len(first) >= maxHeaderBytes {
		return fmt.Errorf("the settings of a part have %d bytes; the limit is %d", len(first), maxHeaderBytes)
	}
	if _, err = w.Write(append(first, '\n')); err != nil {
		return err
	}
	hashed := &hashWriter{Writer: w, hash: sha256.New()}
	end, err := body(hashed)
	if err != nil {
		return err
	}
	last, err := json.Marshal(storedEnd{hashed.bytes, fmt.Sprintf("%x", hashed.hash.Sum(nil)), end})
	if err != nil {
		return err
	}
	_, err = w.Write(append(append([]byte{'\n'}, last...), '\n'))
	return err
}

// Part is a part on disk, whose first and last line were checked.
type Part struct {
	Path string
	Header
	End
	bodyAt, bytes int64
	sha256        string
}

// IsPart reports whether a file begins as a part does.
func IsPart(path string) (bool, error) {
	f, err := safefile.OpenRegular(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	mark := []byte(`{"garb_part":`)
	begin := make([]byte, len(mark))
	n, err := io.ReadFull(f, begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return bytes.Equal(begin[:n], mark), err
}

// Open reads the first and the last line of a part. Errors are *FormatError, and those of opening and
// reading the file.
func Open(path string) (*Part, error) {
	f, err := safefile.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := &Part{Path: path}
	malformed := func(format string, args ...any) (*Part, error) {
		return nil, &FormatError{path, fmt.Sprintf(format, args...)}
	}
	line, err := bufio.NewReader(io.LimitReader(f, maxHeaderBytes)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var first storedHeader
	if err != nil || decodeStrictly(line, &first) != nil {
		return malformed("its first line cannot be read")
	}
	if first.Format != formatVersion {
		return malformed("its format is %d, and this version of garb reads %d", first.Format, formatVersion)
	}
	if err := first.validate(); err != nil {
		return malformed("%v", err)
	}
	p.Header, p.bodyAt = first.Header, int64(len(line))
	tail := make([]byte, min(maxEndBytes, info.Size()-p.bodyAt))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	at := bytes.LastIndex(tail, endMark)
	var last storedEnd
	endAt := info.Size() - int64(len(tail)-at) // unless at is negative
	if at < 0 && findEnd(f, p.bodyAt) || at >= 0 && endsEarly(tail[at+1:], endAt-p.bodyAt) {
		return malformed("it is longer than its end line says; copy it or compute it again")
	}
	if at < 0 || bytes.IndexByte(tail[at+1:], '\n') != len(tail)-at-2 || decodeStrictly(tail[at+1:], &last) != nil {
		return malformed("it was cut off; copy it or compute it again")
	}
	p.End, p.bytes, p.sha256 = last.End, last.Bytes, last.SHA256
	from, to := p.Range(p.Total)
	if endAt-p.bodyAt != p.bytes || p.Rows < 0 || p.Failed < 0 || p.Rows+p.Failed != to-from {
		return nil, p.changed()
	}
	return p, nil
}

// changed returns the error of a part that is not as it was written.
func (p *Part) changed() error {
	return &FormatError{p.Path, "it was changed: its content has another digest or size; copy it or compute it again"}
}

// endsEarly reports whether text begins with the last line of a part whose body has this size, and
// goes on behind it.
func endsEarly(text []byte, bodyBytes int64) bool {
	var last storedEnd
	line, rest, _ := bytes.Cut(text, []byte{'\n'})
	return len(rest) > 0 && decodeStrictly(line, &last) == nil && last.Bytes == bodyBytes
}

// findEnd reports whether there is a last line of a part behind its body, which begins at an offset,
// and more text after it.
func findEnd(f io.ReaderAt, bodyAt int64) bool {
	block := make([]byte, 1<<20+maxEndBytes)
	for from := bodyAt; ; from += 1 << 20 { // blocks overlap by a line
		n, err := f.ReadAt(block, from)
		for next := 0; ; next++ {
			at := bytes.Index(block[next:n], endMark)
			if at < 0 {
				break
			}
			next += at
			if endsEarly(block[next+1:min(n, next+1+maxEndBytes)], from+int64(next)-bodyAt) {
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}

// decodeStrictly decodes a line of JSON without unknown fields.
func decodeStrictly(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	return nil
}

// Read calls use with the part's body, and checks it. The error is a *FormatError if the body was
// changed, or what use returns.
func (p *Part) Read(use func(r io.Reader) error) error {
	f, err := safefile.OpenRegular(p.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	body := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(f, p.bodyAt, p.bytes), h), 1<<20)
	useErr := use(body)
	if _, err := io.Copy(io.Discard, body); err != nil {
		return errors.Join(useErr, err)
	}
	if fmt.Sprintf("%x", h.Sum(nil)) != p.sha256 {
		return p.changed()
	}
	return useErr
}

// Check reads the body and checks it, as Read does.
func (p *Part) Check() error { return p.Read(func(io.Reader) error { return nil }) }
