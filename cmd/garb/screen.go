package main

import (
	"io"
	"sync"
)

const clearLine = "\r\x1b[K"

// screen is the standard error of a command: several goroutines can write to it, and a bar on it and
// other lines do not mix.
type screen struct {
	to  io.Writer
	mu  sync.Mutex
	bar string // as it is drawn now, below all lines; "" if there is none
}

// openScreen returns w if it is a screen, and else a screen that writes to w.
func openScreen(w io.Writer) *screen {
	if s, ok := w.(*screen); ok {
		return s
	}
	return &screen{to: w}
}

// Write writes whole lines, above the bar.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == "" {
		return s.to.Write(p)
	}
	if _, err := io.WriteString(s.to, clearLine); err != nil {
		return 0, err
	}
	n, err := s.to.Write(p)
	if err == nil {
		_, err = io.WriteString(s.to, s.bar)
	}
	return n, err
}

// drawBar draws the bar, in place of the one before.
func (s *screen) drawBar(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar = line
	io.WriteString(s.to, "\r"+line+"\x1b[K")
}

// endBar replaces the bar by text.
func (s *screen) endBar(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar = ""
	io.WriteString(s.to, clearLine+text)
}
