package garb_test

import (
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNothingIsFused checks that Go's compiler fuses no multiplication and addition of garb's on arm64.
// It rounds x*y + z once there, so that the result differs from amd64's. An explicit conversion,
// float64(x*y) + z, forbids that.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: garb is not built for arm64")
	}
	name := filepath.Join(t.TempDir(), "garb")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, "./cmd/garb")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines, functions := findFused(t, name)
	for _, line := range lines {
		t.Errorf("%s: a multiplication and an addition are fused on arm64: convert the product", line)
	}
	if functions < 1000 {
		t.Errorf("only %d functions of garb were found in the binary", functions)
	}
}

// findFused returns the lines of garb's sources that have fused instructions in a binary for arm64, and
// the number of garb's functions there.
func findFused(t *testing.T, name string) (fused []string, functions int) {
	t.Helper()
	file, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text := file.Section(".text")
	code, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := file.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, text.Addr))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range table.Funcs {
		if strings.HasPrefix(f.Name, "garb/") {
			functions++
		}
		for pc := f.Entry; pc < f.End; pc += 4 {
			if !isFused(binary.LittleEndian.Uint32(code[pc-text.Addr:])) {
				continue
			}
			source, line, _ := table.PCToLine(pc)
			if at, ours := strings.CutPrefix(source, "garb/"); ours && strings.HasSuffix(at, ".go") {
				fused = append(fused, fmt.Sprintf("%s:%d", at, line))
			}
		}
	}
	slices.Sort(fused)
	return slices.Compact(fused), functions
}

// isFused reports whether an instruction is FMADD, FMSUB, FNMADD or FNMSUB: those that the Arm
// Architecture Reference Manual lists as floating-point data-processing with three sources.
func isFused(instruction uint32) bool { return instruction>>24 == 0x1f }
