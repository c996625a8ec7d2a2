package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"
)

// goPackage is what the go command tells about a package.
type goPackage struct {
	Dir, ImportPath string
	GoFiles         []string
}

// list returns the packages that patterns name.
func list(ctx context.Context, patterns ...string) ([]goPackage, error) {
	out, err := goCommand(ctx, append([]string{"list", "-json=Dir,ImportPath,GoFiles", "--"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// goCommand runs the go command and returns what it prints.
func goCommand(ctx context.Context, args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	c := exec.CommandContext(ctx, "go", args...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s%s", args[0], err, out.Bytes(), complaint.Bytes())
	}
	return out.Bytes(), nil
}

// tester runs tests on the mutants of a package.
type tester struct {
	options
	folder string         // for what is built
	suites []goPackage    // the packages whose tests run
	blocks map[block]bool // blocks of the package's code: whether a test runs them
}

// newTester runs the tests on the package as it is, which must pass. Their time sets the
// timeout, unless the options do.
func newTester(ctx context.Context, p goPackage, o options, folder string) (*tester, error) {
	suites, err := list(ctx, append([]string{p.ImportPath}, o.tests...)...)
	if err != nil {
		return nil, err
	}
	t := &tester{options: o, folder: folder, suites: suites, blocks: map[block]bool{}}
	clean, err := os.MkdirTemp(folder, "clean")
	if err != nil {
		return nil, err
	}
	if err := t.build(ctx, clean, "-cover", "-coverpkg="+p.ImportPath); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, suite := range suites {
		profile := filepath.Join(clean, "profile")
		if out, err := t.runSuite(ctx, clean, suite, "-test.coverprofile="+profile); err != nil {
			return nil, fmt.Errorf("the tests of %s fail without any change: %w\n%s", suite.ImportPath, err, out)
		}
		if err := readProfile(profile, t.blocks); err != nil {
			return nil, err
		}
	}
	if t.timeout == 0 {
		t.timeout = 10*time.Second + 5*time.Since(began)
	}
	return t, nil
}

// build builds the tests of all suites into a folder.
func (t *tester) build(ctx context.Context, folder string, flags ...string) error {
	args := append([]string{"test", "-c", "-o", folder + string(filepath.Separator)}, flags...)
	for _, suite := range t.suites {
		args = append(args, suite.ImportPath)
	}
	_, err := goCommand(ctx, args...)
	return err
}

// runSuite runs the tests of a package, built in a folder, and returns what they print.
func (t *tester) runSuite(ctx context.Context, folder string, suite goPackage, flags ...string) ([]byte, error) {
	program := filepath.Join(folder, path.Base(suite.ImportPath)+".test")
	c := exec.CommandContext(ctx, program, append(flags, t.testFlags...)...)
	c.Dir = suite.Dir
	c.Env = append(os.Environ(), "TMPDIR="+folder)
	c.WaitDelay = time.Second // for what the tests started and did not end
	return c.CombinedOutput()
}

// test tells what becomes of a mutant.
func (t *tester) test(ctx context.Context, m mutant) (verdict, error) {
	folder, err := os.MkdirTemp(t.folder, "mutant")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	changed := filepath.Join(folder, "changed.go")
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{m.path: changed}})
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(changed, m.apply(), 0o600); err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		return 0, err
	}
	if err := t.build(ctx, folder, "-overlay="+filepath.Join(folder, "overlay.json")); err != nil {
		return invalid, ctx.Err()
	}
	if m.inside(t.blocks, false) && !m.inside(t.blocks, true) {
		return uncovered, nil
	}
	limited, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	for _, suite := range t.suites {
		if _, err := t.runSuite(limited, folder, suite); err != nil {
			if limited.Err() != nil {
				return timedOut, ctx.Err()
			}
			return killed, nil
		}
	}
	return survived, nil
}
