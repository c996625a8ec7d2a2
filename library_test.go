package garb_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// libraryImports are the packages that the blocks of docs/library.md use, by their names.
var libraryImports = map[string]string{
	"convert": "garb/convert", "dataset": "garb/dataset", "evaluate": "garb/evaluate", "garb": "garb",
	"model": "garb/model", "picture": "garb/picture", "serve": "garb/serve", "tensor": "garb/tensor",
	"train": "garb/train", "errors": "errors", "fmt": "fmt", "http": "net/http", "json": "encoding/json",
	"slog": "log/slog", "time": "time",
}

// TestLibraryPage compiles every block of Go in docs/library.md: programs as they are, other
// blocks as the body of a function that has what the page took from earlier blocks.
func TestLibraryPage(t *testing.T) {
	page := string(read(t, "docs/library.md"))
	blocks := regexp.MustCompile("(?s)\n```go\n(.*?)\n```").FindAllStringSubmatch(page, -1)
	if len(blocks) < 10 {
		t.Fatalf("the page has %d blocks of Go", len(blocks))
	}
	// Inside of the module, so that it can import garb; the go command ignores folders that
	// begin with an underscore in ./..., as git does this one.
	folder, err := os.MkdirTemp(".", "_library-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	var packages []string
	for i, block := range blocks {
		source := block[1]
		if !strings.HasPrefix(source, "package main") {
			source = function(source)
		}
		program := filepath.Join(folder, fmt.Sprintf("block%02d", i))
		if err := os.Mkdir(program, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(program, "main.go"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, "./"+filepath.ToSlash(program))
	}
	if out, err := exec.Command("go", append([]string{"vet"}, packages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// function makes a program of statements, with the imports that they need and with what they
// read but do not declare.
func function(statements string) string {
	var imports []string
	for name, path := range libraryImports {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(statements) {
			imports = append(imports, fmt.Sprintf("%q", path))
		}
	}
	for _, path := range []string{`"context"`, `"garb"`} { // of the parameters
		if !slices.Contains(imports, path) {
			imports = append(imports, path)
		}
	}
	last := statements[strings.LastIndexByte(statements, '\n')+1:]
	if !strings.HasPrefix(last, "return ") {
		statements += "\nreturn nil"
	}
	parameters := "ctx context.Context, data []byte, pictures []garb.Picture"
	if !strings.Contains(statements, "classifier, err :=") {
		parameters += ", classifier *garb.Classifier"
	}
	if strings.Contains(statements, "data, err :=") {
		parameters = strings.Replace(parameters, "data []byte, ", "", 1)
	}
	return fmt.Sprintf("package main\n\nimport (\n%s\n)\n\nfunc main() {}\n\nfunc block(%s) error {\n%s\n}\n",
		strings.Join(imports, "\n"), parameters, statements)
}
