package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/internal/safefile"
	"garb/model"
	"garb/shard"
)

// vectorsKind is the kind of parts of an array of vectors of a length. Their body has for each
// picture the length of its name as a varint, its name, and its vector as little-endian float32.
const vectorsKind = "embed vectors of %d values"

const (
	maxPictureName = 1 << 16
	maxVectorBytes = 1 << 22
)

// networkFlags are the flags of backboneFlags whose effect the digest of the weights shows.
var networkFlags = []string{"weights"}

// embedToPart writes the vectors of a shard.
func (f *embedFlags) embedToPart(c *cobra.Command, e *model.Extractor, digest string, all []source,
	tally *dataset.Tally) error {
	all, h := f.output.take(c, all, fmt.Sprintf(vectorsKind, e.FeatureCount()), digest, networkFlags...)
	failures := 0
	var out io.Writer
	begin := func(w io.Writer) error {
		out = w
		return nil
	}
	err := f.output.print(c, h, begin, func() (shard.End, error) {
		var row []byte
		err := f.eachEmbedding(c, e, all, func(a outcome[[]float32]) error {
			if a.err != nil {
				failures++
				tally.Add(dataset.FindReason(a.err), a.source.name, explainError(a.err))
				reportError(c.ErrOrStderr(), a.source.name, a.err)
				return nil
			}
			row = binary.AppendUvarint(row[:0], uint64(len(a.source.name)))
			row = append(row, a.source.name...)
			for _, v := range a.value {
				row = binary.LittleEndian.AppendUint32(row, math.Float32bits(v))
			}
			_, err := out.Write(row)
			return err
		})
		return shard.End{Rows: len(all) - failures, Failed: failures}, err
	})
	if err != nil {
		return err
	}
	return f.output.close(c, all, failures, tally)
}

// errVectors says that the body of a part is not what embedToPart writes.
var errVectors = errors.New("it has no vectors in the form that garb embed writes; compute it again")

// readVectors calls use with the name and the vector, as bytes, of each picture in the body of a
// part.
func readVectors(r io.Reader, values int, use func(name string, vector []byte) error) error {
	in := bufio.NewReader(r)
	vector := make([]byte, 4*values)
	for {
		length, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || length > maxPictureName {
			return errVectors
		}
		name := make([]byte, length)
		if _, err := io.ReadFull(in, name); err != nil {
			return errVectors
		}
		if _, err := io.ReadFull(in, vector); err != nil {
			return errVectors
		}
		if err := use(string(name), vector); err != nil {
			return err
		}
	}
}

// readParts calls use with the name and the vector of each picture of parts, in order.
func readParts(ctx context.Context, parts []*shard.Part, values int, use func(name string, vector []byte) error) error {
	for _, p := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		found := 0
		err := p.Read(func(r io.Reader) error {
			return readVectors(r, values, func(name string, vector []byte) error {
				found++
				return use(name, vector)
			})
		})
		if err == nil && found != p.Rows {
			err = errVectors
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	return nil
}

// mergeVectors writes the array and the names of the parts of garb embed --out.
func mergeVectors(c *cobra.Command, parts []*shard.Part, out string) error {
	var values int
	_, err := fmt.Sscanf(parts[0].Kind, vectorsKind, &values)
	if err != nil || values < 1 || values > maxVectorBytes/4 {
		return &shard.FormatError{Path: parts[0].Path, Reason: "its kind is " + parts[0].Kind}
	}
	if err = checkNamesFile(namePicturesFile(out)); err != nil {
		return err
	}
	rows := 0
	for _, p := range parts {
		rows += p.Rows
	}
	if rows == 0 {
		return fmt.Errorf("%s was not written: no picture could be read", out)
	}
	each := func(use func(name string, vector []byte) error) error {
		return readParts(c.Context(), parts, values, use)
	}
	// The names come first: an array without names is worse than names without an array.
	err = safefile.Write(namePicturesFile(out), func(w io.Writer) error {
		names, writeErr := newNamesWriter(w)
		if writeErr != nil {
			return writeErr
		}
		if writeErr = each(func(name string, _ []byte) error { return names.write(name) }); writeErr != nil {
			return writeErr
		}
		return names.flush()
	})
	if err != nil {
		return err
	}
	return safefile.Write(out, func(w io.Writer) error {
		if err := writeNPYHeader(w, rows, values); err != nil {
			return err
		}
		return each(func(_ string, vector []byte) error {
			_, err := w.Write(vector)
			return err
		})
	})
}
