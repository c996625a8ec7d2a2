// Command make writes the static files of a page that classifies pictures in the browser, for any web server:
//
//	go run ./cmd/garb-wasm/make docs/try
//
// Beside each large file lies one compressed with Brotli, for servers that send those. The page has to stay
// below 6 MB of them.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/andybalholm/brotli"
)

// maxBytes is the largest size of all files of the page, compressed.
const maxBytes = 6_000_000

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		log.Fatal("usage: go run ./cmd/garb-wasm/make FOLDER   (in the folder of garb's go.mod)")
	}
	folder := os.Args[1]
	if err := build(".", folder); err != nil {
		log.Fatal(err)
	}
	if err := compress(folder); err != nil {
		log.Fatal(err)
	}
}

// build writes the page's files to a folder, which it empties. root is the folder of garb's go.mod.
func build(root, folder string) error {
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	if err = errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755)); err != nil {
		return err
	}
	page, err := filepath.Glob(filepath.Join(root, "cmd/garb-wasm/page/*"))
	if err != nil {
		return err
	}
	for _, file := range append(page,
		filepath.Join(root, "internal/kernel/simd128.wasm"),
		filepath.Join(root, "serve/page/assets/icon.svg"),
		filepath.Join(strings.TrimSpace(string(goRoot)), "lib/wasm/wasm_exec.js"),
	) {
		if err = copyFile(filepath.Join(folder, filepath.Base(file)), file); err != nil {
			return err
		}
	}
	program, err := filepath.Abs(filepath.Join(folder, "garb.wasm"))
	if err != nil {
		return err
	}
	command := exec.Command("go", "build", "-tags", "small,simd128", "-trimpath", "-ldflags", "-s -w", "-o", program,
		"./cmd/garb-wasm")
	command.Dir, command.Env = root, append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, output)
	}
	return seal(folder)
}

// seal writes the digests of the programs into garb.js, and that of all files into sw.js, the name of whose cache
// has it.
func seal(folder string) error {
	for mark, name := range map[string]string{"GARB_DIGEST": "garb.wasm", "KERNELS_DIGEST": "simd128.wasm"} {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		digest := sha256.Sum256(data)
		if err := fill(folder, "garb.js", mark, "sha256-"+base64.StdEncoding.EncodeToString(digest[:])); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	hash := sha256.New()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%d %s\n%s", len(data), filepath.Base(file), data)
	}
	return fill(folder, "sw.js", `BUILD"`, fmt.Sprintf(`%x"`, hash.Sum(nil)[:8]))
}

// fill replaces a mark in a file, which has it once.
func fill(folder, name, mark, value string) error {
	file := filepath.Join(folder, name)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := bytes.Count(text, []byte(mark)); n != 1 {
		return fmt.Errorf("%s has %s %d times instead of once", file, mark, n)
	}
	return os.WriteFile(file, bytes.Replace(text, []byte(mark), []byte(value), 1), 0o644)
}

// compress writes NAME.br beside each file, and prints the sizes.
func compress(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	total := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 11, LGWin: 24})
		if _, err := w.Write(data); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(file+".br", b.Bytes(), 0o644); err != nil {
			return err
		}
		fmt.Printf("%10d bytes, %8d as Brotli: %s\n", len(data), b.Len(), filepath.Base(file))
		total += b.Len()
	}
	fmt.Printf("%.2f MB as Brotli in all, of at most %.2f\n", float64(total)/1e6, maxBytes/1e6)
	if total > maxBytes {
		return fmt.Errorf("the page is too large: %d bytes as Brotli, more than %d", total, maxBytes)
	}
	return nil
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
