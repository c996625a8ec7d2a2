package reload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"garb/serve/reload"
)

// A greeting is read from a file, and again after the file has changed.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "greeting")
	if err = os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	greeting, err := reload.Open(reload.Config[string]{
		Name:  "greeting",
		Paths: []string{path},
		Load: func(files [][]byte, _ string) (string, error) {
			return strings.TrimSpace(string(files[0])), nil
		},
		OnFailure: func(s reload.State) { fmt.Println("the greeting could not be loaded:", s.Err) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A program that runs for long starts: go greeting.Watch(ctx)
	fmt.Println(greeting.Get())

	if err := os.WriteFile(path, []byte("good evening\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := greeting.Reload(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(greeting.Get())
	// Output:
	// hello <nil>
	// good evening <nil>
}
