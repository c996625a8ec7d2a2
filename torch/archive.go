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
	// pickleEntry is the entry of an archive that holds the pickle; the storages are data/0
	// and so on beside it.
	pickleEntry = "data.pkl"
	// maxEntries bounds the entries of an archive: a network has a storage for each tensor.
	maxEntries = 1 << 16
)

// archive is a file that torch.save has written since PyTorch 1.6.
type archive struct {
	data    []byte
	entries map[string]*zip.File
	folder  string // of the pickle
	left    int    // bytes that may still be read: entries do not overlap
}

// readArchive returns the value of the pickle in a zip archive. Its tensors' storages have
// their values.
func readArchive(data []byte) (any, error) {
	// Each entry has such a signature. A directory of millions would take much memory.
	if n := bytes.Count(data, []byte("PK\x01\x02")); n > maxEntries {
		return nil, malformed("the archive has %d entries; at most %d are read", n, maxEntries)
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
		if order, err := a.bytes(f); err != nil {
			return nil, err
		} else if string(order) != "little" {
			return nil, unsupported("values in the byte order %q", order)
		}
	}
	pickle, err := a.bytes(a.entries[a.folder+pickleEntry])
	if err != nil {
		return nil, err
	}
	if len(pickle) > maxPickleBytes {
		return nil, malformed("its pickle has %d bytes; at most %d are read", len(pickle), maxPickleBytes)
	}
	m := machine{data: pickle, storages: map[string]*storage{}, find: a.find}
	return m.run()
}

// bytes returns an entry's bytes, which are a part of the file: torch.save compresses none.
func (a *archive) bytes(f *zip.File) ([]byte, error) {
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return nil, unsupported("the compressed entry %s", f.Name)
	}
	start, err := f.DataOffset()
	if err != nil {
		return nil, &FormatError{"entry " + f.Name + " is damaged", err}
	}
	if start < 0 || start > int64(len(a.data)) || f.UncompressedSize64 > uint64(len(a.data))-uint64(start) {
		return nil, malformed("the file ends before its entry %s does; copy or download it again", f.Name)
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

// find gives a storage its values.
func (a *archive) find(s *storage) error {
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

// What the first two pickles of a file before PyTorch 1.6 hold (torch/serialization.py:
// MAGIC_NUMBER, little-endian, and PROTOCOL_VERSION).
const (
	legacyMagic   = bigInt("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
	legacyVersion = int64(1001)
)

// readLegacy returns the value of the fourth of the pickles that torch.save wrote one after
// another before PyTorch 1.6: magic number, version, system, value, the storages' keys. The
// storages' values follow.
func readLegacy(data []byte) (any, error) {
	m := machine{data: data[:min(len(data), maxPickleBytes)], storages: map[string]*storage{}}
	m.find = func(*storage) error { return nil } // they come later
	var values [5]any
	for i := range values {
		var err error
		if values[i], err = m.run(); err != nil {
			return nil, err
		}
		if i == 0 && values[0] != legacyMagic {
			return nil, malformed("it is a pickle, but none that torch.save wrote")
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
			return nil, malformed("its list of storages has %v, which is none, or has it twice", key)
		}
		if len(rest) < 8 {
			return nil, malformed("the file ends before its storages do; copy or download it again")
		}
		count, size := binary.LittleEndian.Uint64(rest), s.count*s.kind.bytes
		rest = rest[8:]
		if count != uint64(s.count) {
			return nil, malformed("storage %q has %d values, not %d", name, min(count, math.MaxInt64), s.count)
		}
		if size > len(rest) {
			return nil, malformed("the file ends before its storages do; copy or download it again")
		}
		s.data = rest[:size:size]
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, malformed("%d bytes at its end belong to no storage", len(rest))
	}
	return values[3], nil
}
