package answers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"hash/maphash"
	"io"
	"path/filepath"
	"slices"

	"garb/internal/safefile"
)

// location is where the line of an answer begins.
type location struct {
	file   string
	offset int64
}

// entry is what the index remembers of an answer: where it is, and which picture of its request it is about.
type entry struct {
	location
	index   int
	picture uint64 // hash of the picture's digest
}

// maxPerRequest is the number of answers that are remembered for one request id of one API key. Clients choose
// ids, and may send the same one again and again.
const maxPerRequest = 256

// index finds the newest answers by the request id and the name of the API key, so that no client can push out
// another one's answers by sending its ids.
type index struct {
	seed    maphash.Seed
	entries map[uint64][]entry // by the hash of the request id and the key, the oldest first
	order   []uint64           // a ring of the hashes in the order of the answers
	next    int                // position in the ring of the next hash
}

func newIndex(capacity int) *index {
	return &index{seed: maphash.MakeSeed(), entries: map[uint64][]entry{}, order: make([]uint64, 0, capacity)}
}

// hash returns the hash of a request id and the name of an API key.
func (x *index) hash(requestID, key string) uint64 {
	return maphash.Comparable(x.seed, [2]string{requestID, key})
}

// add remembers an answer, and forgets the oldest one if there are too many.
func (x *index) add(r *Record, at location) {
	h := x.hash(r.RequestID, r.Key)
	if len(x.order) < cap(x.order) {
		x.order = append(x.order, h)
	} else {
		x.forgetFirst(x.order[x.next])
		x.order[x.next] = h
		x.next = (x.next + 1) % len(x.order)
	}
	if len(x.entries[h]) == maxPerRequest {
		x.entries[h] = x.entries[h][1:]
	}
	x.entries[h] = append(x.entries[h], entry{at, r.Index, maphash.String(x.seed, r.Picture.SHA256)})
}

// forgetFirst forgets the oldest answer with a hash.
func (x *index) forgetFirst(h uint64) {
	switch all := x.entries[h]; {
	case len(all) > 1:
		x.entries[h] = all[1:]
	default:
		delete(x.entries, h)
	}
}

// find returns the newest answer that feedback means, of those to the API key with this name. It reads no other
// one, since answers wait to be written meanwhile. Answers whose files have been removed do not count.
func (x *index) find(folder string, f Feedback, key string) (*Record, error) {
	all := x.entries[x.hash(f.RequestID, key)]
	picture := maphash.String(x.seed, f.SHA256)
	var missing error = &UnknownRequestError{f.RequestID}
	for _, e := range slices.Backward(all) {
		if f.Index != nil && *f.Index != e.index || f.SHA256 != "" && picture != e.picture {
			missing = &UnknownPictureError{f.RequestID, false}
			continue
		}
		r, err := readAt(folder, e.location)
		if err != nil || r.RequestID != f.RequestID || r.Key != key || f.SHA256 != "" && f.SHA256 != r.Picture.SHA256 {
			continue
		}
		if f.Index == nil && f.SHA256 == "" &&
			slices.ContainsFunc(all, func(other entry) bool { return other.index != e.index }) {
			return nil, &UnknownPictureError{f.RequestID, true}
		}
		return r, nil
	}
	return nil, missing
}

// readAt reads the answer at a location.
func readAt(folder string, at location) (*Record, error) {
	f, err := safefile.Open(filepath.Join(folder, at.file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err = f.Seek(at.offset, io.SeekStart); err != nil {
		return nil, err
	}
	line, err := readLine(bufio.NewReader(f), nil)
	if err != nil {
		return nil, err
	}
	return decodeRecord(line)
}

// load remembers the newest answers of earlier writers.
func (x *index) load(folder string, files []storedFile) {
	first, count := len(files), 0
	for first > 0 && count < cap(x.order) {
		first--
		_ = eachLine(filepath.Join(folder, files[first].name), func([]byte, int64) { count++ })
	}
	for _, file := range files[first:] {
		_ = eachLine(filepath.Join(folder, file.name), func(line []byte, offset int64) {
			if r := decodeHead(line); r.RequestID != "" {
				x.add(&r, location{file.name, offset})
			}
		})
	}
}

// eachLine calls use for each complete line of a file, with its offset. The line is valid until use
// returns.
func eachLine(path string, use func(line []byte, offset int64)) error {
	f, err := safefile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, bufferSize)
	var buffer []byte
	for offset := int64(0); ; {
		line, size, err := readAnyLine(lines, buffer)
		if err != nil {
			return err
		}
		if line != nil {
			use(line, offset)
			buffer = line[:0]
		}
		offset += size
	}
}

// decodeHead decodes a line up to the picture, without the rest, which is most of it. The request id is "" if the
// line is no record.
func decodeHead(line []byte) (r Record) {
	d := json.NewDecoder(bytes.NewReader(line))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return Record{}
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return Record{}
		}
		var value any = new(json.RawMessage)
		switch name {
		case "request_id":
			value = &r.RequestID
		case "index":
			value = &r.Index
		case "key":
			value = &r.Key
		case "picture":
			value = &r.Picture
		}
		if err = d.Decode(value); err != nil {
			return Record{}
		}
		if name == "picture" {
			return r
		}
	}
	return Record{}
}
