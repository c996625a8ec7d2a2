package tensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"garb/serve/request"
)

// JSON is a JSON value: a part of a valid text. Its methods parse it in place, since bodies have
// megabytes of numbers or base64, and decoding an array such as [{},{},…] takes many times its size.
type JSON []byte

// ParseJSON checks that a body is valid JSON.
func ParseJSON(body []byte) (JSON, error) {
	if !json.Valid(body) {
		var v json.RawMessage
		return nil, request.DecodeJSON(body, &v) // the error says what is wrong
	}
	return JSON(body).trimmed(), nil
}

// trimmed returns the value without leading white space.
func (v JSON) trimmed() JSON {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Is reports whether a value is an object '{', an array '[' or a string '"'.
func (v JSON) Is(first byte) bool { return len(v) > 0 && v[0] == first }

// cut returns the first value and what follows it.
func (v JSON) cut() (first, rest JSON) {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			for i++; v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return v[:i+1], v[i+1:]
			}
		case c == '[' || c == '{':
			depth++
		case depth > 0 && (c == ']' || c == '}'):
			if depth--; depth == 0 {
				return v[:i+1], v[i+1:]
			}
		case depth == 0 && (isSpace(c) || c == ',' || c == ']' || c == '}'):
			return v[:i], v[i:]
		}
	}
	return v, nil
}

// Elements iterates over the elements of an array; other values have none.
func (v JSON) Elements() iter.Seq[JSON] {
	return func(yield func(JSON) bool) {
		if !v.Is('[') {
			return
		}
		for v = v[1:].trimmed(); !v.Is(']'); {
			var e JSON
			e, v = v.cut()
			if !yield(e) {
				return
			}
			v = v.next()
		}
	}
}

// Only returns the element of an array with one element, else nil.
func (v JSON) Only() (one JSON) {
	for e := range v.Elements() {
		if one != nil {
			return nil
		}
		one = e
	}
	return one
}

// Members iterates over the members of an object; other values have none.
func (v JSON) Members() iter.Seq2[string, JSON] {
	return func(yield func(string, JSON) bool) {
		if !v.Is('{') {
			return
		}
		for v = v[1:].trimmed(); !v.Is('}'); {
			var name, m JSON
			name, v = v.cut()
			m, v = v.trimmed()[1:].trimmed().cut() // after the colon
			if !yield(name.Text(), m) {
				return
			}
			v = v.next()
		}
	}
}

// next returns the text from the element after a comma, or from the end of the array or object.
func (v JSON) next() JSON {
	if v = v.trimmed(); v.Is(',') {
		v = v[1:].trimmed()
	}
	return v
}

// Member returns the member of an object with a name, the last of several, nil if there is none.
func (v JSON) Member(name string) (found JSON) {
	for n, m := range v.Members() {
		if n == name {
			found = m
		}
	}
	return found
}

// Fields returns the members of an object by their names. It fails if the value is no object, or a member
// is repeated or not among names. A member that is null counts as missing. what names the object in errors.
func (v JSON) Fields(what string, names ...string) (map[string]JSON, error) {
	if !v.Is('{') {
		return nil, fmt.Errorf("%w: %s must be an object", request.ErrInvalid, what)
	}
	fields := map[string]JSON{}
	for name, m := range v.Members() {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: %s has the member %.40q, which is not supported; there are %s",
				request.ErrInvalid, what, name, strings.Join(names, ", "))
		}
		if _, ok := fields[name]; ok {
			return nil, fmt.Errorf("%w: %s has the member %s twice", request.ErrInvalid, what, name)
		}
		fields[name] = m
	}
	maps.DeleteFunc(fields, func(_ string, m JSON) bool { return string(m) == "null" })
	return fields, nil
}

// OptionalText returns the text of a string, "" for a value that is missing. It fails for other values; name is
// the name of the member in the error.
func (v JSON) OptionalText(name string) (string, error) {
	if v != nil && !v.Is('"') {
		return "", fmt.Errorf("%w: %q must be a string", request.ErrInvalid, name)
	}
	return v.Text(), nil
}

// Text returns the content of a string, "" for other values.
func (v JSON) Text() string {
	if !v.Is('"') {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) { // the usual case
		return string(v[1 : len(v)-1])
	}
	var s string
	_ = json.Unmarshal(v, &s) // it is valid
	return s
}

// Integer parses an integer, which may be written as 12.0 or 1.2e1.
func (v JSON) Integer() (int, error) {
	n, err := strconv.Atoi(string(v))
	if f, floatErr := strconv.ParseFloat(string(v), 64); err != nil && floatErr == nil && f == math.Trunc(f) &&
		math.Abs(f) < 1<<53 {
		n, err = int(f), nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %.40s is not an integer", request.ErrInvalid, v)
	}
	return n, nil
}

// Numbers parses an array of numbers of a shape, which may be nested or flat.
func (v JSON) Numbers(shape ...int) ([]float32, error) {
	count := 1
	for _, n := range shape {
		count *= n
	}
	if len(v) < 2*count { // a digit and a comma each; allocate nothing for a short text
		return nil, errNumbers(shape)
	}
	if v.Is('[') && !v[1:].trimmed().Is('[') {
		shape = []int{count}
	}
	values := make([]float32, count)
	_, _, err := v.row(shape, values)
	return values, err
}

func errNumbers(shape []int) error {
	return fmt.Errorf("%w: the data are not numbers of shape %v", request.ErrInvalid, shape)
}

// row parses one array of numbers into values. It returns the text after it and the values that are
// still to be filled.
func (v JSON) row(shape []int, values []float32) (rest JSON, left []float32, err error) {
	if !v.Is('[') {
		return nil, nil, errNumbers(shape)
	}
	v = v[1:].trimmed()
	for range shape[0] {
		if v.Is(']') {
			return nil, nil, errNumbers(shape)
		}
		if len(shape) > 1 {
			if v, values, err = v.row(shape[1:], values); err != nil {
				return nil, nil, err
			}
		} else {
			var number JSON
			number, v = v.cut()
			f, err := strconv.ParseFloat(string(number), 32)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %.40s is not a 32-bit number", request.ErrInvalid, number)
			}
			values[0], values = float32(f), values[1:]
		}
		v = v.next()
	}
	if !v.Is(']') {
		return nil, nil, errNumbers(shape)
	}
	return v[1:], values, nil
}
