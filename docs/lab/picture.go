package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"garb/internal/safefile"
)

// create copies or draws a picture. A picture without a source must exist already.
func (p picture) create() error {
	to := filepath.Join(folder, p.file)
	if p.from == "" {
		_, err := os.Stat(to)
		return err
	}
	var content bytes.Buffer
	if name, ok := strings.CutPrefix(p.from, "draw "); ok {
		draw, ok := drawings[name]
		if !ok {
			return fmt.Errorf("there is no drawing %q", name)
		}
		if err := draw(&content); err != nil {
			return err
		}
	} else {
		text, err := os.ReadFile(p.from)
		if err != nil {
			return err
		}
		content.Write(text)
	}
	text := content.Bytes()
	if filepath.Ext(to) == ".svg" {
		text = addSize(text)
	}
	return safefile.Write(to, func(w io.Writer) error { return write(w, text) })
}

var viewBox = regexp.MustCompile(`^<svg [^>]*viewBox="0 0 (\d+) (\d+)"`)

// addSize adds width and height to an SVG that has only a viewBox. Without them, Markdown pages
// show it at full width.
func addSize(svg []byte) []byte {
	m := viewBox.FindSubmatch(svg)
	if m == nil || bytes.Contains(m[0], []byte(" width=")) {
		return svg
	}
	head := fmt.Sprintf(`%s width="%s" height="%s"`, m[0], m[1], m[2])
	return append([]byte(head), svg[len(m[0]):]...)
}
