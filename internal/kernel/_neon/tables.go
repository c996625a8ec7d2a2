package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"regexp"
	"strconv"
	"strings"
)

// table is a table of constants in amd64's assembly.
type table struct {
	name  string
	bytes []byte
	// repeated says that the halves of each vector are equal. Then only one of them is kept.
	repeated bool
}

var (
	dataForm     = regexp.MustCompile(`^DATA (\w+)<>\+(\d+)\(SB\)/(\d), \$([+-]?)(\w+)$`)
	constantForm = regexp.MustCompile(`^(\w+)<>\+(\d+)\(SB\)$`)
)

// readTables returns the tables of constants in the order of the file.
func readTables(name string) []*table {
	var all []*table
	for _, l := range strings.Split(read(name), "\n") {
		if !strings.HasPrefix(l, "DATA ") {
			continue
		}
		m := dataForm.FindStringSubmatch(l)
		if m == nil {
			log.Fatalf("no translation of %s", l)
		}
		if len(all) == 0 || all[len(all)-1].name != m[1] {
			all = append(all, &table{name: m[1]})
		}
		t := all[len(all)-1]
		if len(t.bytes) != integer(m[2]) {
			log.Fatalf("%s leaves a gap", l)
		}
		value, err := strconv.ParseUint(m[5], 0, 64)
		if err != nil {
			log.Fatal(err)
		}
		if m[4] == "-" {
			value = -value
		}
		t.bytes = append(t.bytes, binary.LittleEndian.AppendUint64(nil, value)[:integer(m[3])]...)
	}
	for _, t := range all {
		t.repeated = len(t.bytes)%32 == 0
		for at := 0; t.repeated && at < len(t.bytes); at += 32 {
			t.repeated = string(t.bytes[at:at+16]) == string(t.bytes[at+16:at+32])
		}
	}
	return all
}

// write writes the table for arm64.
func (t *table) write(a *assembly) {
	a.WriteString("\n")
	var kept []byte
	for at := 0; at < len(t.bytes); at += 16 {
		if !t.repeated || at%32 == 0 {
			kept = append(kept, t.bytes[at:at+16]...)
		}
	}
	for at := 0; at < len(kept); at += 8 {
		fmt.Fprintf(a, "DATA %s<>+%d(SB)/8, $0x%016x\n", t.name, at, binary.LittleEndian.Uint64(kept[at:]))
	}
	fmt.Fprintf(a, "GLOBL %s<>(SB), RODATA|NOPTR, $%d\n", t.name, len(kept))
}

// loadAddresses writes instructions that load the addresses of the first tables that a function reads.
func (a *assembly) loadAddresses(f function) {
	a.bases = map[string]string{}
	for _, l := range f.lines {
		for _, o := range l.operands {
			m := constantForm.FindStringSubmatch(o)
			if m == nil || a.bases[m[1]] != "" {
				continue
			}
			if len(a.bases) == len(constants) {
				continue
			}
			a.bases[m[1]] = constants[len(a.bases)]
			a.emit("MOVD $%s<>(SB), %s", m[1], a.bases[m[1]])
		}
	}
}

// loadConstant loads so many halves of a vector from a table, into one register if they are equal, and
// returns the registers.
func (t *translation) loadConstant(m []string, halves int, register func() int) pair {
	from, offset := t.tables[m[1]], integer(m[2])
	to, base := register(), t.bases[m[1]]
	if base == "" {
		base = address
		t.emit("MOVD $%s<>(SB), %s", m[1], base)
	}
	if from.repeated {
		if offset%32 != 0 {
			log.Fatalf("%s: a vector of %s begins at %d", t.name, m[1], offset)
		}
		t.emit("FMOVQ %d(%s), F%d", offset/2, base, to)
		return pair{to, to}
	}
	p := pair{to, to}
	t.emit("FMOVQ %d(%s), F%d", offset, base, to)
	if halves == 2 {
		p[1] = register()
		t.emit("FMOVQ %d(%s), F%d", offset+16, base, p[1])
	}
	return p
}
