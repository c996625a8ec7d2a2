package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/convert"
	"garb/tensor"
	"garb/weights"
)

// foreignExtensions are the file name extensions of other programs' models.
var foreignExtensions = []string{".keras", ".h5", ".onnx"}

// isForeign reports whether a file name is that of another program's model.
func isForeign(path string) bool {
	return slices.Contains(foreignExtensions, strings.ToLower(filepath.Ext(path))) &&
		!strings.HasSuffix(strings.ToLower(path), ".weights.h5")
}

// isApplication reports whether a name is that of a network of keras.applications.
func isApplication(name string) bool {
	s, ok := weights.Lookup(name)
	return ok && s.Application != nil
}

// convertOnce converts another program's model to a backbone and returns the path of the
// result. The result stays in garb's cache folder, named after the digest of the model, so
// that later calls and runs find it.
func convertOnce(ctx context.Context, path string, o convert.Options) (string, error) {
	home, err := weights.Home()
	if err != nil {
		return "", err
	}
	digest, err := hashFile(path)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("%s-%.16s", strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), digest)
	if o.Preprocess != "" {
		name += "-" + o.Preprocess
	}
	if o.Side != 0 {
		name += fmt.Sprintf("-%d", o.Side)
	}
	to := filepath.Join(home, "converted", name+".safetensors")
	if exists(to) {
		return to, nil
	}
	o.Unnamed = true
	in, err := convert.Read(ctx, path, o)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	return to, in.Model.Save(to, tensor.Float32)
}

// hashFile returns the SHA-256 of a file, in hexadecimal.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
