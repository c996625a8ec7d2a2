package main

import "strings"

// liveness says which vector registers are in use at each line of a function.
type liveness struct {
	free  [][]int  // registers whose values neither the line nor what comes after it needs
	after []uint32 // registers that are needed after the line: bit i stands for Vi
}

// findLive returns the liveness of a function.
func (f function) findLive() liveness {
	labels := map[string]int{}
	for i, l := range f.lines {
		if l.label != "" {
			labels[l.label] = i
		}
	}
	live := make([]uint32, len(f.lines)+1) // before each line
	for changed := true; changed; {
		changed = false
		for i := len(f.lines) - 1; i >= 0; i-- {
			before := f.liveAfter(i, live, labels)
			reads, writes := f.touched(i)
			before = before&^writes | reads
			changed = changed || before != live[i]
			live[i] = before
		}
	}
	all := liveness{make([][]int, len(f.lines)), make([]uint32, len(f.lines))}
	for i := range f.lines {
		all.after[i] = f.liveAfter(i, live, labels)
		reads, writes := f.touched(i)
		inUse := all.after[i] | reads | writes
		for v := range 32 {
			if inUse>>v&1 == 0 {
				all.free[i] = append(all.free[i], v)
			}
		}
	}
	return all
}

// liveAfter returns the registers that are needed after line i.
func (f function) liveAfter(i int, live []uint32, labels map[string]int) uint32 {
	l := f.lines[i]
	switch {
	case l.opcode == "RET":
		return 0
	case l.opcode == "JMP":
		return live[labels[l.operands[0]]]
	case strings.HasPrefix(l.opcode, "J"):
		return live[labels[l.operands[0]]] | live[i+1]
	}
	return live[i+1]
}

// touched returns the registers that line i reads and writes, without those of masks.
func (f function) touched(i int) (reads, writes uint32) {
	l := f.lines[i]
	read := func(operand string) {
		p, ok := vector(operand)
		if !ok {
			return
		}
		reads |= 1 << p[0]
		if halves(operand) == 2 && l.opcode != "VINSERTI128" { // which replaces the upper half
			reads |= 1 << p[1]
		}
	}
	clears := (l.opcode == "VXORPS" || l.opcode == "VPXOR") && l.operands[0] == l.operands[1]
	if !clears && !(i > 0 && f.loadsMask(i-1)) {
		for j, o := range l.operands[:max(0, len(l.operands)-1)] {
			if l.opcode != "VMASKMOVPS" || j != 1 {
				read(o)
			}
		}
	}
	if len(l.operands) == 0 {
		return reads, writes
	}
	last := l.operands[len(l.operands)-1]
	if l.opcode == "VPTEST" {
		read(last)
		return reads, writes
	}
	if p, ok := vector(last); ok {
		writes = 1<<p[0] | 1<<p[1] // a result in half a vector clears the other half
		if strings.HasPrefix(l.opcode, "VFM") || strings.HasPrefix(l.opcode, "VFNM") {
			reads |= writes
		}
	}
	return reads, writes
}
