package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"path"
	"strings"
)

const (
	// pickleEntry is the name of the archive's entry with the pickle. The storages are the entries
	// data/0, data/1 and so on beside it.
	pickleEntry = "data.pkl"
	// maxEntries limits an archive's entries. A network has one per tensor.
	maxEntries = 1 << 16
)

// archive is a file in the format of torch.save since PyTorch 1.6.
type archive struct {
	data    []byte
	entries map[string]*zip.File
	folder  string // that holds the pickle
	left    int    // bytes that may still be read, so that entries cannot overlap
}

// readArchive interprets the pickle in a zip archive and returns its value, with the values
// of all storages.
func readArchive(data []byte) (any, error) {
	// Each entry has this signature. A directory of millions would take much memory.
	if n := bytes.Count(data, []byte("PK\x01\x02")); n > maxEntries {
		return nil, malformed("the archive has %d entries; the limit is %d", n, maxEntries)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, &FormatError{"the archive is damaged or cut off; copy or download it again", err}
	}
	a := &archive{data: data, entries: map[string]*zip.File{}, left: len(data)}
	found := 0
	for _, f := range z.File {
		if _, taken := a.entries[f.Name]; taken {
			return nil, malformed("the archive has the entry %q twice", f.Name)
		}
		a.entries[f.Name] = f
		if path.Base(f.Name) == pickleEntry && strings.Count(f.Name, "/") <= 1 {
			a.folder = strings.TrimSuffix(f.Name, pickleEntry)
			found++
		}
	}
	if found != 1 {
		return nil, malformed("the archive has %d entries %s; torch.save writes one", found, pickleEntry)
	}
	if _, ok := a.entries[a.folder+"constants.pkl"]; ok {
		return nil, unsupported("a program of TorchScript; save the model's state_dict() instead")
	}
	if f, ok := a.entries[a.folder+"byteorder"]; ok {
		order, readErr := a.bytes(f)
		if readErr != nil {
			return nil, readErr
		}
		if string(order) != "little" {
			return nil, unsupported("values in the byte order %q", order)
		}
	}
	pickle, err := a.bytes(a.entries[a.folder+pickleEntry])
	if err != nil {
		return nil, err
	}
	if len(pickle) > maxPickleBytes {
		return nil, malformed("its pickle has %d bytes; the limit is %d", len(pickle), maxPickleBytes)
	}
	m := machine{data: pickle, storages: map[string]*storage{}, load: a.load}
	return m.interpret()
}

// bytes returns an entry's bytes without copying them: torch.save does not compress entries.
func (a *archive) bytes(f *zip.File) ([]byte, error) {
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, unsupported("the compressed entry %s", f.Name)
	}
	start, err := f.DataOffset()
	if err != nil {
		return nil, &FormatError{"entry " + f.Name + " is damaged", err}
	}
	if start < 0 || start > int64(len(a.data)) || f.UncompressedSize64 > uint64(len(a.data))-uint64(start) {
		return nil, malformed("entry %s is cut off; copy or download the file again", f.Name)
	}
	b := a.data[start:][:f.UncompressedSize64]
	if a.left -= len(b); a.left < 0 {
		return nil, malformed("the archive's entries overlap")
	}
	if crc32.ChecksumIEEE(b) != f.CRC32 {
		return nil, malformed("the checksum of entry %s is wrong; copy or download it again", f.Name)
	}
	return b, nil
}

// load sets a storage's data.
func (a *archive) load(s *storage) error {
	name := a.folder + "data/" + s.key
	f, ok := a.entries[name]
	if !ok {
		return malformed("the archive has no entry %s", name)
	}
	b, err := a.bytes(f)
	if err != nil {
		return err
	}
	if len(b) != s.count*s.kind.bytes {
		return malformed("entry %s has %d bytes, not %d × %d", name, len(b), s.count, s.kind.bytes)
	}
	s.data = b
	return nil
}

// The first two pickles of a file from before PyTorch 1.6 hold these constants
// (torch/serialization.py: MAGIC_NUMBER, little-endian, and PROTOCOL_VERSION).
const (
	legacyMagic   = bigInt("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
	legacyVersion = int64(1001)
)

// readLegacy reads the format of torch.save before PyTorch 1.6: five pickles with a magic number, a
// version, the system, the value and the storages' keys, and then the storages' values. It returns
// the value.
func readLegacy(data []byte) (any, error) {
	m := machine{data: data[:min(len(data), maxPickleBytes)], storages: map[string]*storage{}}
	m.load = func(*storage) error { return nil } // the values follow the pickles
	var values [5]any
	for i := range values {
		var err error
		if values[i], err = m.interpret(); err != nil {
			return nil, err
		}
		if i == 0 && values[0] != legacyMagic {
			return nil, malformed("it is a pickle, but not one of torch.save")
		}
	}
	if values[1] != legacyVersion {
		return nil, unsupported("version %v of the format before PyTorch 1.6", values[1])
	}
	if system, ok := values[2].(*dict); !ok || system.get("little_endian") != true {
		return nil, unsupported("values in another byte order")
	}
	keys, ok := values[4].(*list)
	if !ok || len(keys.items) != len(m.storages) {
		return nil, malformed("it does not list its %d storages", len(m.storages))
	}
	rest := data[m.at:]
	for _, key := range keys.items {
		name, _ := key.(string)
		s := m.storages[name]
		if s == nil || s.data != nil {
			return nil, malformed("its list of storages has the key %v, which is unknown or repeated", key)
		}
		if len(rest) < 8 {
			return nil, malformed("its storages are cut off; copy or download the file again")
		}
		count, size := binary.LittleEndian.Uint64(rest), s.count*s.kind.bytes
		rest = rest[8:]
		if count != uint64(s.count) {
			return nil, malformed("storage %q has %d values, not %d", name, min(count, math.MaxInt64), s.count)
		}
		if size > len(rest) {
			return nil, malformed("its storages are cut off; copy or download the file again")
		}
		s.data = rest[:size:size]
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, malformed("%d bytes at its end belong to no storage", len(rest))
	}
	return values[3], nil
}
