package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fullDisk is a writer that fails like a full disk.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestOutputThatCannotBeWritten: the exit code tells a script that its output was lost.
func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{
		{"classify", example}, {"classify", "--json", example}, {"embed", example}, {"embed", "--json", example},
	} {
		var errOut bytes.Buffer
		code := run(t.Context(), args, strings.NewReader(""), fullDisk{}, &errOut)
		if code != exitFailed || !strings.Contains(errOut.String(), "no space left") {
			t.Errorf("%v: exit %d, %q", args, code, errOut.String())
		}
	}
}

// endless is standard input that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestEndlessInputIsTooLarge(t *testing.T) {
	code, out, _ := runGarb(t, endless{}, "classify", "--json", "-")
	if code != exitFailed || !strings.Contains(out, `"too_large"`) {
		t.Errorf("%d %s", code, out)
	}
}

// TestPictureCutAnywhere reads a whole picture and cut ones: what follows them is answered in
// order.
func TestPictureCutAnywhere(t *testing.T) {
	data := readFile(t, example)
	folder := t.TempDir()
	args := []string{"classify", "--json"}
	const cuts = 12
	for i := range cuts {
		args = append(args, write(t, folder, string(rune('a'+i))+".jpg", data[:i*len(data)/cuts]))
	}
	code, out, _ := runGarb(t, nil, append(args, example)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitFailed || len(lines) != cuts+1 {
		t.Fatalf("%d\n%s", code, out)
	}
	for i, line := range lines[:cuts] {
		if o := decodeObject(t, line, "picture", "error"); o["picture"] != args[2+i] {
			t.Errorf("line %d is about %v, not %s", i, o["picture"], args[2+i])
		}
	}
}

func TestEvaluateWithNothingReadable(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "hat"), 0o755); err != nil {
		t.Fatal(err)
	}
	bad := write(t, filepath.Join(root, "hat"), "bad.jpg", []byte("text"))
	code, out, errOut := runGarb(t, nil, "evaluate", "--data", root)
	if code != exitFailed || !strings.Contains(errOut, bad) || !strings.Contains(errOut, "nothing was measured") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
}
