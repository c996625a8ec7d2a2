package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// block is a piece of code that runs from its start to its end, as a coverage profile names it.
type block struct {
	file                                       string // without its folder
	startLine, startColumn, endLine, endColumn int
}

// readProfile returns the blocks of a coverage profile: whether a test runs them.
func readProfile(name string) (map[block]bool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	blocks := map[block]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] { // the first is the mode
		var b block
		var statements, count int
		file, rest, _ := strings.Cut(line, ":")
		b.file = path.Base(file)
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d",
			&b.startLine, &b.startColumn, &b.endLine, &b.endColumn, &statements, &count); err != nil {
			return nil, fmt.Errorf("%s: line %q: %w", name, line, err)
		}
		blocks[b] = blocks[b] || count > 0
	}
	return blocks, nil
}

// inside tells whether a mutant begins in one of the blocks that run, or do not run.
func (m mutant) inside(blocks map[block]bool, run bool) bool {
	line, column := m.place()
	for b, runs := range blocks {
		if runs == run && b.file == filepath.Base(m.path) &&
			(b.startLine < line || b.startLine == line && b.startColumn <= column) &&
			(line < b.endLine || line == b.endLine && column < b.endColumn) {
			return true
		}
	}
	return false
}
