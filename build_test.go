package garb_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestBinaryIsStaticAndSmall builds the command as the README says.
func TestBinaryIsStaticAndSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the binary's form is checked on Linux")
	}
	const largest = 70_000_000 // bytes, the project's promise
	binary := filepath.Join(t.TempDir(), "garb")
	build := exec.Command("go", "build", "-o", binary, "./cmd/garb")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > largest {
		t.Errorf("the binary has %d bytes, more than %d", info.Size(), largest)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a %v segment: it is not static", segment.Type)
		}
	}
}
