package png

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"garb/internal/inflate"
	"garb/internal/raster"
)

// Pillow's limits of a text that is decompressed, and of all texts together: MAX_TEXT_CHUNK and
// MAX_TEXT_MEMORY in PngImagePlugin.py.
const (
	maxText  = 1 << 20
	maxTexts = 64 * maxText
)

var errLongText = raster.Corruptf("a text or profile has more than %d bytes", maxText)

// decompressText decompresses a text or profile. Where it is cut, it returns what there is; where it
// is corrupt, ok is false. It refuses texts of more than maxText bytes, and more work than Pillow's
// limit of all texts.
func (r *reader) decompressText(data []byte) (text []byte, ok bool, err error) {
	if r.text == nil {
		r.text, r.inflater = make([]byte, maxText), new(inflate.Decompressor)
	}
	d := r.inflater
	d.Reset(data, inflate.Zlib)
	n, err := d.Decompress(r.text, 0)
	r.decompressed += n
	if r.decompressed > maxTexts {
		return nil, false, raster.Corruptf("the texts and profiles have more than %d bytes", maxTexts)
	}
	switch {
	case err == nil && d.InputEnd() < len(data):
		return nil, false, errLongText
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, inflate.ErrTruncated):
		return bytes.Clone(r.text[:n]), true, nil
	}
	return nil, false, nil
}

func (r *reader) readICCP(body []byte) error {
	_, profile, found := bytes.Cut(body, []byte{0})
	if !found {
		profile = body
	}
	if len(profile) == 0 {
		return raster.Corruptf("chunk iCCP is too short")
	}
	if profile[0] != 0 {
		return raster.Corruptf("unknown compression method %d of the ICC profile", profile[0])
	}
	icc, _, err := r.decompressText(profile[1:])
	if errors.Is(err, errLongText) && r.lenient {
		err = nil
	}
	if err == nil {
		r.icc = icc
	}
	return err
}

func (r *reader) readTEXT(body []byte) error {
	key, text, _ := bytes.Cut(body, []byte{0})
	if string(key) == "exif" {
		r.exif = text
	}
	return r.setText(key, text, len(text))
}

func (r *reader) readZTXT(body []byte) error {
	key, text, _ := bytes.Cut(body, []byte{0})
	if len(text) > 0 {
		if text[0] != 0 {
			return raster.Corruptf("unknown compression method %d of a text", text[0])
		}
		text = text[1:]
	}
	text, _, err := r.decompressText(text)
	if errors.Is(err, errLongText) && r.lenient {
		err = nil
	}
	if err != nil {
		return err
	}
	return r.setText(key, text, len(text))
}

func (r *reader) readITXT(body []byte) error {
	zero := []byte{0}
	key, rest, found := bytes.Cut(body, zero)
	if !found || len(rest) < 2 {
		return nil
	}
	compressed, method := rest[0] != 0, rest[1]
	language, rest, _ := bytes.Cut(rest[2:], zero)
	translated, text, found := bytes.Cut(rest, zero)
	if !found {
		return nil
	}
	if compressed {
		if method != 0 {
			return nil
		}
		var ok bool
		var err error
		text, ok, err = r.decompressText(text)
		if errors.Is(err, errLongText) && r.lenient {
			return nil
		}
		if err != nil || !ok {
			return err
		}
	}
	if string(key) == "XML:com.adobe.xmp" {
		r.xmp = text
	}
	if !utf8.Valid(language) || !utf8.Valid(translated) || !utf8.Valid(text) {
		return nil
	}
	return r.setText(key, text, utf8.RuneCount(text))
}

// setText notes a text of the given number of characters.
func (r *reader) setText(key, text []byte, characters int) error {
	switch string(key) {
	case "":
		return nil
	case "Raw profile type exif":
		r.exifProfile = text
	case "XML:com.adobe.xmp":
		r.xmpText = text
	}
	r.textLength += characters
	if r.textLength > maxTexts {
		return raster.Corruptf("the texts have more than %d characters", maxTexts)
	}
	return nil
}
