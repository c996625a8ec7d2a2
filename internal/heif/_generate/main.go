// Command generate cuts a decoder out of a WebAssembly module and makes it interruptible.
//
// It exports functions that the module's name section names, or some of the module's exports. It removes
// what they do not reach (for instance an encoder) and the sections for debugging, and adds a check to each
// loop: a counter goes down by one, and at zero the loop calls the imported function garb.tick, which
// returns the counter's next value or stops the program. wazero's own check (WithCloseOnContextDone) leaves
// the machine code in each pass of each loop, which triples the time of decoding.
//
// The output depends on the input and the flags alone.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	in := flag.String("in", "", "module to read")
	out := flag.String("out", "", "gzipped module to write")
	exports := flag.String("export", "", "comma-separated functions to export, by the module's names or exports")
	drop := flag.String("drop", "", "comma-separated ranges first..last of functions, as the module orders them, "+
		"that are kept only if they are called directly")
	flag.Parse()
	if err := run(*in, *out, splitList(*exports), splitList(*drop)); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// splitList splits at commas. An empty list has no parts.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func run(in, out string, exports, drop []string) error {
	data, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	m, err := parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	roots, err := m.chooseExports(exports)
	if err != nil {
		return err
	}
	dropped, err := m.findRanges(drop)
	if err != nil {
		return err
	}
	kept, err := m.reach(roots, dropped)
	if err != nil {
		return err
	}
	module, err := m.encode(kept)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d of %d functions, %d of %d bytes\n", out, len(kept), len(m.types), len(module), len(data))
	return writePacked(out, module)
}

func writePacked(out string, module []byte) error {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err = w.Write(module); err == nil {
		err = w.Close()
	}
	if err != nil {
		return err
	}
	return os.WriteFile(out, packed.Bytes(), 0o644)
}

// chooseExports makes the named functions, if any, and the memory the module's exports, and returns
// the functions that it exports.
func (m *module) chooseExports(names []string) ([]uint32, error) {
	if len(names) > 0 {
		roots, err := m.findFunctions(names)
		if err != nil {
			return nil, err
		}
		m.exports = nil
		for i, name := range names {
			m.exports = append(m.exports, export{name, 0, roots[i]})
		}
		m.exports = append(m.exports, export{"memory", 2, 0})
	}
	var roots []uint32
	for _, e := range m.exports {
		if e.kind == 0 {
			roots = append(roots, e.index)
		}
	}
	return roots, nil
}

// findFunctions returns the functions that the module names or exports by the given names.
func (m *module) findFunctions(names []string) ([]uint32, error) {
	byName := map[string]uint32{}
	for i, name := range m.names {
		byName[name] = uint32(i)
	}
	for _, e := range m.exports {
		if e.kind == 0 {
			byName[e.name] = e.index
		}
	}
	found := make([]uint32, len(names))
	for i, name := range names {
		f, ok := byName[name]
		if !ok || name == "" {
			return nil, fmt.Errorf("the module has no function %q", name)
		}
		found[i] = f
	}
	return found, nil
}

// findRanges returns which functions are in one of the ranges "first..last".
func (m *module) findRanges(ranges []string) ([]bool, error) {
	in := make([]bool, len(m.types))
	for _, r := range ranges {
		if r == "" {
			continue
		}
		first, last, _ := strings.Cut(r, "..")
		ends, err := m.findFunctions([]string{first, last})
		if err != nil {
			return nil, err
		}
		for f := ends[0]; f <= ends[1]; f++ {
			in[f] = true
		}
	}
	return in, nil
}
