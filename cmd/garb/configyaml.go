//go:build !small

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// readYAML parses a YAML document, and also returns it as JSON.
func readYAML(data []byte) (keys map[string]any, text []byte, err error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var tree any
	if err = d.Decode(&tree); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if keys, _ = tree.(map[string]any); len(keys) == 0 {
		return nil, nil, errNoSettings
	}
	if !errors.Is(d.Decode(new(any)), io.EOF) {
		return nil, nil, errors.New("the file has several documents, separated by ---; only one is allowed")
	}
	text, err = json.Marshal(keys)
	var unsupported *json.UnsupportedTypeError
	if errors.As(err, &unsupported) {
		err = errors.New("the file has keys that are not text")
	}
	return keys, text, err
}
