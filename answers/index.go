package answers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
)

// location is where the line of an answer begins.
type location struct {
	file   string
	offset int64
}

// maxPerRequest is the number of answers that are remembered for one request id. Clients choose
// ids, and may send the same one again and again.
const maxPerRequest = 256

// index finds the newest answers by request id. Of each it remembers where it is, not what it says.
type index struct {
	seed      maphash.Seed
	locations map[uint64][]location // by the hash of the request id, the oldest first
	order     []uint64              // a ring of the hashes in the order of the answers
	next      int                   // position in the ring of the next hash
}

func newIndex(capacity int) *index {
	return &index{seed: maphash.MakeSeed(), locations: map[uint64][]location{}, order: make([]uint64, 0, capacity)}
}

// add remembers an answer, and forgets the oldest one if there are too many.
func (x *index) add(requestID string, at location) {
	h := maphash.String(x.seed, requestID)
	if len(x.order) < cap(x.order) {
		x.order = append(x.order, h)
	} else {
		x.forgetFirst(x.order[x.next])
		x.order[x.next] = h
		x.next = (x.next + 1) % len(x.order)
	}
	if len(x.locations[h]) == maxPerRequest {
		x.locations[h] = x.locations[h][1:]
	}
	x.locations[h] = append(x.locations[h], at)
}

// forgetFirst forgets the oldest answer with a hash.
func (x *index) forgetFirst(h uint64) {
	switch all := x.locations[h]; {
	case len(all) > 1:
		x.locations[h] = all[1:]
	default:
		delete(x.locations, h)
	}
}

// find returns the remembered answers of a request, the newest first. It leaves out those whose
// files have been removed.
func (x *index) find(folder, requestID string) (found []*Record) {
	all := x.locations[maphash.String(x.seed, requestID)]
	for i := len(all) - 1; i >= 0; i-- {
		if r, err := readAt(folder, all[i]); err == nil && r.RequestID == requestID {
			found = append(found, r)
		}
	}
	return found
}

// readAt reads the answer at a location.
func readAt(folder string, at location) (*Record, error) {
	f, err := os.Open(filepath.Join(folder, at.file))
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
			if id := findRequestID(line); id != "" {
				x.add(id, location{file.name, offset})
			}
		})
	}
}

// eachLine calls use for each complete line of a file, with its offset. The line is valid until use
// returns.
func eachLine(path string, use func(line []byte, offset int64)) error {
	f, err := os.Open(path)
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

// findRequestID returns the request id of a line, which is its first field, without decoding the
// rest; "" if there is none.
func findRequestID(line []byte) string {
	d := json.NewDecoder(bytes.NewReader(line))
	var tokens [3]json.Token // {, the field's name, its value
	for i := range tokens {
		var err error
		if tokens[i], err = d.Token(); err != nil {
			return ""
		}
	}
	if tokens[1] != "request_id" {
		return ""
	}
	id, _ := tokens[2].(string)
	return id
}
