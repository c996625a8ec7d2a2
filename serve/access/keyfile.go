package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// entry is a key of a key file.
type entry struct {
	name     string
	digest   [sha256.Size]byte
	limits   Limits
	notAfter time.Time // zero: never expires
}

// minKeyLength is the least length of a key in TOML, and of a key in a line that may be cut off. 16
// characters of hexadecimal digits are 64 bits.
const minKeyLength = 16

// maxKeys is the largest number of keys in a file. To compare a request with so many takes 0.4 ms, see
// BenchmarkFind.
const maxKeys = 10_000

// keyName matches the names that keys may have, which are values of metrics.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// tomlAssignment matches lines that only make sense in TOML.
var tomlAssignment = regexp.MustCompile(`^[A-Za-z0-9_.-]+\s*=\s*["'\[{]`)

// parseKeys parses a key file: TOML if the first line other than comments begins with "[", else a key in
// each line. A file without keys is valid. Errors contain no part of a key.
func parseKeys(text []byte) ([]entry, error) {
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	switch {
	case bytes.HasPrefix(text, []byte("\xFF\xFE")), bytes.HasPrefix(text, []byte("\xFE\xFF")):
		return nil, errors.New("the file is UTF-16; save it as UTF-8")
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return nil, errors.New("the file is not text in UTF-8")
	}
	parse := parseLines
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			if line[0] == '[' {
				parse = parseTOML
			}
			break
		}
	}
	entries, err := parse(text)
	if err != nil {
		return nil, err
	}
	return entries, checkEntries(entries)
}

// checkEntries returns an error if there are too many entries, or if two have the same name or key.
func checkEntries(entries []entry) error {
	if len(entries) > maxKeys {
		return fmt.Errorf("there are %d keys; at most %d are supported", len(entries), maxKeys)
	}
	names, digests := map[string]bool{}, map[[sha256.Size]byte]string{}
	for _, e := range entries {
		if names[e.name] {
			return fmt.Errorf("two keys have the name %s", e.name)
		}
		if other, ok := digests[e.digest]; ok {
			return fmt.Errorf("%s and %s are the same key", other, e.name)
		}
		names[e.name], digests[e.digest] = true, e.name
	}
	return nil
}

// parseLines parses a file with a key in each line. The names are line-1 and so on.
func parseLines(text []byte) ([]entry, error) {
	var entries []entry
	number := 0
	for line := range bytes.Lines(text) {
		number++
		complete := bytes.HasSuffix(line, []byte("\n"))
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
			continue
		case bytes.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }):
			return nil, fmt.Errorf("line %d contains control characters", number)
		case tomlAssignment.Match(line):
			return nil, fmt.Errorf("line %d looks like TOML, but there is no [[key]] before it", number)
		case !complete && len(line) < minKeyLength:
			return nil, fmt.Errorf("line %d has no newline at its end and is shorter than %d characters, so it may be "+
				"cut off; end the file with a newline", number, minKeyLength)
		}
		entries = append(entries, entry{name: fmt.Sprintf("line-%d", number), digest: sha256.Sum256(line)})
	}
	return entries, nil
}

// keyTable is a [[key]] of the TOML form. Pointers tell fields that are missing from those that are 0.
type keyTable struct {
	Name              string   `toml:"name"`
	Key               *string  `toml:"key"`
	SHA256            *string  `toml:"sha256"`
	RequestsPerSecond *float64 `toml:"requests_per_second"`
	PicturesPerSecond *float64 `toml:"pictures_per_second"`
	BytesPerSecond    *float64 `toml:"bytes_per_second"`
	BurstSeconds      *float64 `toml:"burst_seconds"`
	MaxPictures       *int64   `toml:"max_pictures"`
	NotAfter          any      `toml:"not_after"`
}

// parseTOML parses a file with a [[key]] table for each key.
func parseTOML(text []byte) ([]entry, error) {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, errors.New("the last line has no newline at its end, so it may be cut off")
	}
	var file struct {
		Keys []keyTable `toml:"key"`
	}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&file); err != nil &&
		!errors.Is(err, io.EOF) {
		return nil, describeTOMLError(err)
	}
	var entries []entry
	for i, t := range file.Keys {
		e, err := t.entry()
		if err != nil {
			return nil, fmt.Errorf("key %d (%.80q): %w", i+1, t.Name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// describeTOMLError returns an error with the line of a decoder's error. It leaves out the decoder's
// excerpt of the file, which may have a key in it.
func describeTOMLError(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: there is no field %.80s", line, strings.Join(unknown.Errors[0].Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return fmt.Errorf("line %d, column %d: %w", line, column, decode)
	}
	return err
}

// entry checks a table and returns its key.
func (t keyTable) entry() (entry, error) {
	if !keyName.MatchString(t.Name) {
		return entry{}, errors.New("name must be 1 to 64 letters, digits, dots, dashes and underscores")
	}
	e := entry{name: t.Name}
	if t.NotAfter != nil {
		var ok bool
		if e.notAfter, ok = t.NotAfter.(time.Time); !ok {
			return entry{}, errors.New("not_after must be a time with its zone, such as 2027-01-01T00:00:00Z")
		}
	}
	var err error
	if e.digest, err = t.digest(); err != nil {
		return entry{}, err
	}
	e.limits, err = t.limits()
	return e, err
}

// digest returns the SHA-256 of the key.
func (t keyTable) digest() (digest [sha256.Size]byte, err error) {
	switch {
	case (t.Key == nil) == (t.SHA256 == nil):
		return digest, errors.New("either key or sha256 is required")
	case t.SHA256 != nil:
		if n, err := hex.Decode(digest[:], []byte(*t.SHA256)); err != nil || n != sha256.Size {
			return digest, errors.New("sha256 must be 64 hexadecimal digits")
		}
		return digest, nil
	case len(*t.Key) < minKeyLength:
		return digest, fmt.Errorf("key must have at least %d characters", minKeyLength)
	case strings.ContainsFunc(*t.Key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return digest, errors.New("key must be ASCII without spaces, since it is sent in a header")
	}
	return sha256.Sum256([]byte(*t.Key)), nil
}

// limits returns the limits, with defaults.
func (t keyTable) limits() (Limits, error) {
	l := Limits{BurstSeconds: defaultBurstSeconds}
	for _, f := range []struct {
		name       string
		value      *float64
		least, max float64
		to         *float64
	}{
		{string(RequestsPerSecond), t.RequestsPerSecond, minRate, maxRate, &l.RequestsPerSecond},
		{string(PicturesPerSecond), t.PicturesPerSecond, minRate, maxRate, &l.PicturesPerSecond},
		{string(BytesPerSecond), t.BytesPerSecond, minRate, maxRate, &l.BytesPerSecond},
		{"burst_seconds", t.BurstSeconds, 0, maxBurstSeconds, &l.BurstSeconds},
	} {
		if f.value == nil {
			continue
		}
		// Also true for NaN, which no comparison holds for.
		if !(*f.value >= f.least && *f.value <= f.max) {
			return Limits{}, fmt.Errorf("%s must be from %g to %g; omit it for no limit", f.name, f.least, f.max)
		}
		*f.to = *f.value
	}
	if t.MaxPictures != nil {
		if *t.MaxPictures < 1 || *t.MaxPictures > maxMaxPictures {
			return Limits{}, fmt.Errorf("%s must be from 1 to %d; omit it for no limit", MaxPictures, maxMaxPictures)
		}
		l.MaxPictures = int(*t.MaxPictures)
	}
	return l, nil
}
