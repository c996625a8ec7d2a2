package main

import "strings"

// freeRegisters returns, for each line, the vector registers whose values neither it nor what comes
// after it needs.
func (f function) freeRegisters() [][]int {
	labels := map[string]int{}
	for i, l := range f.lines {
		if l.label != "" {
			labels[l.label] = i
		}
	}
	live := make([]uint16, len(f.lines)+1) // before each line: bit i stands for Yi
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
	free := make([][]int, len(f.lines))
	for i := range free {
		reads, writes := f.touched(i)
		inUse := f.liveAfter(i, live, labels) | reads | writes
		for y := range 16 {
			if inUse>>y&1 == 0 {
				free[i] = append(free[i], 2*y, 2*y+1)
			}
		}
	}
	return free
}

// liveAfter returns the registers that are needed after line i.
func (f function) liveAfter(i int, live []uint16, labels map[string]int) uint16 {
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
func (f function) touched(i int) (reads, writes uint16) {
	l := f.lines[i]
	if i > 0 && f.loadsMask(i-1) || l.opcode == "VXORPS" && l.operands[0] == l.operands[1] {
		reads = 0
	} else {
		for j, o := range l.operands[:max(0, len(l.operands)-1)] {
			isMask := l.opcode == "VMASKMOVPS" && j == 1
			if p, ok := vector(o); ok && !isMask {
				reads |= 1 << (p[0] / 2)
			}
		}
	}
	if len(l.operands) > 0 {
		if p, ok := vector(l.operands[len(l.operands)-1]); ok {
			writes = 1 << (p[0] / 2)
			if strings.HasPrefix(l.opcode, "VFM") || strings.HasPrefix(l.opcode, "VFNM") {
				reads |= writes
			}
		}
	}
	return reads, writes
}
