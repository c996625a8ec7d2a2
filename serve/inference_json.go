package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"unicode/utf8"
)

// value is a JSON value, a part of a text that was found valid. It is walked through where
// it lies: bodies hold megabytes of numbers or base64, and an array such as [{},{},…] that
// is decoded at once takes many times its own size.
type value []byte

// parseJSON checks a body.
func parseJSON(body []byte) (value, error) {
	if !json.Valid(body) {
		var v json.RawMessage
		return nil, decodeJSON(body, &v) // says what is wrong
	}
	return value(body).trimmed(), nil
}

// trimmed is the value without the space before it.
func (v value) trimmed() value {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	return v
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// is reports whether a value is an object '{', an array '[' or a string '"'.
func (v value) is(first byte) bool { return len(v) > 0 && v[0] == first }

// split parts a value from what follows it.
func (v value) split() (first, rest value) {
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

// elements are those of an array; there are none of another value.
func (v value) elements() iter.Seq[value] {
	return func(yield func(value) bool) {
		if !v.is('[') {
			return
		}
		for v = v[1:].trimmed(); !v.is(']'); {
			var e value
			e, v = v.split()
			if !yield(e) {
				return
			}
			v = v.next()
		}
	}
}

// only is the element of an array that has one, nil if there are more or none.
func (v value) only() (one value) {
	for e := range v.elements() {
		if one != nil {
			return nil
		}
		one = e
	}
	return one
}

// members are those of an object; there are none of another value.
func (v value) members() iter.Seq2[string, value] {
	return func(yield func(string, value) bool) {
		if !v.is('{') {
			return
		}
		for v = v[1:].trimmed(); !v.is('}'); {
			var name, m value
			name, v = v.split()
			m, v = v.trimmed()[1:].trimmed().split() // after the colon
			if !yield(name.text(), m) {
				return
			}
			v = v.next()
		}
	}
}

// next goes on to the element after a comma, or to the end.
func (v value) next() value {
	if v = v.trimmed(); v.is(',') {
		v = v[1:].trimmed()
	}
	return v
}

// member is the member of an object with a name, nil if there is none.
func (v value) member(name string) (found value) {
	for n, m := range v.members() {
		if n == name {
			found = m
		}
	}
	return found
}

// text is what a string says, and "" of another value.
func (v value) text() string {
	if !v.is('"') {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) { // as all are but what somebody made up
		return string(v[1 : len(v)-1])
	}
	var s string
	_ = json.Unmarshal(v, &s) // it is valid
	return s
}

// integer is a number without a fraction.
func (v value) integer() (int, error) {
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return 0, fmt.Errorf("%w: %.40s is no whole number", errBadRequest, v)
	}
	return n, nil
}

// numbers reads an array, nested as shape says or flat, of as many numbers as shape says.
func (v value) numbers(shape ...int) ([]float32, error) {
	count := 1
	for _, n := range shape {
		count *= n
	}
	if len(v) < 2*count { // a digit and a comma each: what is short takes no memory
		return nil, errNumbers(shape)
	}
	if v.is('[') && !v[1:].trimmed().is('[') {
		shape = []int{count}
	}
	values := make([]float32, count)
	_, _, err := v.row(shape, values)
	return values, err
}

func errNumbers(shape []int) error {
	return fmt.Errorf("%w: its data are no numbers of shape %v", errBadRequest, shape)
}

// row reads one array of numbers, and returns what follows it and the values that are left.
func (v value) row(shape []int, values []float32) (rest value, left []float32, err error) {
	if !v.is('[') {
		return nil, nil, errNumbers(shape)
	}
	v = v[1:].trimmed()
	for range shape[0] {
		if v.is(']') {
			return nil, nil, errNumbers(shape)
		}
		if len(shape) > 1 {
			if v, values, err = v.row(shape[1:], values); err != nil {
				return nil, nil, err
			}
		} else {
			var number value
			number, v = v.split()
			f, err := strconv.ParseFloat(string(number), 32)
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %.40s is no number of 32 bits", errBadRequest, number)
			}
			values[0], values = float32(f), values[1:]
		}
		v = v.next()
	}
	if !v.is(']') {
		return nil, nil, errNumbers(shape)
	}
	return v[1:], values, nil
}
