package garb_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestBinaryIsStaticAndSmall builds the command as the README says, and the small build.
func TestBinaryIsStaticAndSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the binary's form is checked on Linux")
	}
	for _, c := range []struct {
		name, tags string
		largest    int64 // bytes, the project's promise
	}{{"default", "", 70_000_000}, {"small", "small", 20_000_000}} {
		t.Run(c.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "garb")
			build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", c.tags, "-o", binary,
				"./cmd/garb")
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			info, err := os.Stat(binary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f MB", float64(info.Size())/1e6)
			if info.Size() > c.largest {
				t.Errorf("the binary has %d bytes, more than %d", info.Size(), c.largest)
			}
			checkStatic(t, binary)
		})
	}
}

// checkStatic fails if a binary needs a dynamic linker.
func checkStatic(t *testing.T, binary string) {
	t.Helper()
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
