package garb_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestBinaryIsStaticAndSmall builds the command as the README says, and as a
// plain build.
func TestBinaryIsStaticAndSmall(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the binary's form is checked on Linux")
	}
	const largest = 40_000_000 // bytes, the project's promise
	for _, build := range []struct {
		name, cgo string
		args      []string
	}{
		{"without cgo", "CGO_ENABLED=0", nil},
		{"as released", "CGO_ENABLED=0", []string{"-trimpath", "-ldflags=-s -w"}},
	} {
		t.Run(build.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "garb")
			command := exec.Command("go", append(append([]string{"build", "-o", binary}, build.args...), "./cmd/garb")...)
			command.Env = append(os.Environ(), build.cgo)
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			info, err := os.Stat(binary)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f MB", float64(info.Size())/1e6)
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
		})
	}
}
