package answers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"time"
)

// Skipped counts the lines that a Reader cannot use.
type Skipped struct {
	Torn    int `json:"torn"`     // without an end: the writer was killed, or is about to write the rest
	TooLong int `json:"too_long"` // longer than any line that a writer writes
	Invalid int `json:"invalid"`  // not a valid record
}

// Total returns the number of all skipped lines.
func (s Skipped) Total() int { return s.Torn + s.TooLong + s.Invalid }

// Reader reads the answers and the feedback in a folder. A Writer, of this or another process, may
// write there at the same time.
type Reader struct {
	Folder string
	// From and To bound the time of what is read: From ≤ time < To. If one is zero, there is no
	// such bound.
	From, To time.Time

	skipped Skipped
}

// Skipped returns the numbers of the lines that were skipped so far.
func (r *Reader) Skipped() Skipped { return r.skipped }

// Records iterates over the answers, in the order in which they were written. Lines that are not
// valid are skipped and counted. An error, such as ctx's, ends the iteration.
func (r *Reader) Records(ctx context.Context) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		names, err := listFiles(r.Folder)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, name := range names {
			goOn, err := readLines(ctx, r, name, decodeRecord,
				func(record *Record) time.Time { return record.Time },
				func(record *Record) bool { return yield(record, nil) })
			if errors.Is(err, fs.ErrNotExist) {
				continue // the writer has removed the file to make room
			}
			if err != nil {
				yield(nil, err)
			}
			if err != nil || !goOn {
				return
			}
		}
	}
}

// Feedback iterates over the feedback, in the order in which it was written, as Records does over
// the answers.
func (r *Reader) Feedback(ctx context.Context) iter.Seq2[*StoredFeedback, error] {
	return func(yield func(*StoredFeedback, error) bool) {
		_, err := readLines(ctx, r, feedbackName, decodeFeedback,
			func(f *StoredFeedback) time.Time { return f.Time },
			func(f *StoredFeedback) bool { return yield(f, nil) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(nil, err)
		}
	}
}

// includes reports whether a time is within r's bounds.
func (r *Reader) includes(at time.Time) bool {
	return (r.From.IsZero() || !at.Before(r.From)) && (r.To.IsZero() || at.Before(r.To))
}

// readLines opens a file and calls decodeLines.
func readLines[T any](ctx context.Context, r *Reader, name string, decode func([]byte) (T, error),
	timeOf func(T) time.Time, use func(T) bool) (goOn bool, err error) {
	f, err := openRegular(filepath.Join(r.Folder, name))
	if err != nil {
		return true, err
	}
	defer f.Close()
	return decodeLines(ctx, r, f, decode, timeOf, use)
}

// decodeLines decodes lines and calls use with those within r's bounds, until it returns false.
func decodeLines[T any](ctx context.Context, r *Reader, file io.Reader, decode func([]byte) (T, error),
	timeOf func(T) time.Time, use func(T) bool) (goOn bool, err error) {
	lines := bufio.NewReaderSize(file, bufferSize)
	var line []byte
	for {
		if err = ctx.Err(); err != nil {
			return false, err
		}
		line, err = readLine(lines, line[:0])
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			r.skipped.Torn++
			return true, nil
		case errors.Is(err, errLineTooLong):
			r.skipped.TooLong++
			continue
		case err != nil:
			return false, err
		}
		value, err := decode(line)
		if err != nil {
			r.skipped.Invalid++
			continue
		}
		if r.includes(timeOf(value)) && !use(value) {
			return false, nil
		}
	}
}

// bufferSize is the size of the buffers for reading.
const bufferSize = 1 << 16

// readLine reads a line without its end into buffer. The error is io.EOF after the last line,
// io.ErrUnexpectedEOF for a line without an end, and errLineTooLong for one that is too long, which
// it skips.
func readLine(r *bufio.Reader, buffer []byte) ([]byte, error) {
	line, _, err := readAnyLine(r, buffer)
	if err == nil && line == nil {
		err = errLineTooLong
	}
	return line, err
}

// readAnyLine is readLine, except that a line that is too long is nil. It also returns the size with
// the line's end.
func readAnyLine(r *bufio.Reader, buffer []byte) (line []byte, size int64, err error) {
	if buffer == nil {
		buffer = []byte{}
	}
	for {
		part, err := r.ReadSlice('\n')
		size += int64(len(part))
		if size <= maxLine {
			buffer = append(buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && size > 0:
			return buffer, size, io.ErrUnexpectedEOF
		case err != nil:
			return buffer, size, err
		case size > maxLine:
			return nil, size, nil
		}
		return buffer[:len(buffer)-1], size, nil
	}
}

// decodeRecord decodes and checks a line of answers.
func decodeRecord(line []byte) (*Record, error) {
	r := new(Record)
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("not a record: %w", err)
	}
	return r, r.Validate()
}
