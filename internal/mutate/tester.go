package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
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
	folder string // for what is built
	suites []goPackage
	tests  []testCase // the quickest first
}

// testCase is a test of the package or of another, and what it does without any change.
type testCase struct {
	suite  goPackage
	name   string
	took   time.Duration
	blocks map[block]bool // blocks of the mutated package's code: whether the test runs them
}

// newTester runs each test on the package as it is, which must pass.
func newTester(ctx context.Context, p goPackage, o options, folder string) (*tester, error) {
	suites, err := list(ctx, append([]string{p.ImportPath}, o.packages...)...)
	if err != nil {
		return nil, err
	}
	t := &tester{options: o, folder: folder, suites: suites}
	clean, err := os.MkdirTemp(folder, "clean")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(clean)
	if err := t.build(ctx, clean, "-cover", "-coverpkg="+p.ImportPath); err != nil {
		return nil, err
	}
	profile := filepath.Join(clean, "profile")
	for _, suite := range suites {
		names, err := t.run(ctx, clean, suite, "-test.list=^(Test|Fuzz|Example)")
		if err != nil {
			return nil, fmt.Errorf("%s has no tests: %w", suite.ImportPath, err)
		}
		for name := range strings.Lines(string(names)) {
			name = strings.TrimSpace(name)
			if !o.pattern.MatchString(name) || o.skipped != nil && o.skipped.MatchString(name) {
				continue
			}
			began := time.Now()
			out, err := t.run(ctx, clean, suite, only(name), "-test.coverprofile="+profile)
			if err != nil {
				return nil, fmt.Errorf("%s of %s fails without any change: %w\n%s", name, suite.ImportPath, err, out)
			}
			test := testCase{suite: suite, name: name, took: time.Since(began)}
			if test.blocks, err = readProfile(profile); err != nil {
				return nil, err
			}
			t.tests = append(t.tests, test)
		}
	}
	slices.SortStableFunc(t.tests, func(a, b testCase) int { return cmp.Compare(a.took, b.took) })
	return t, nil
}

// only is the flag of a test binary that runs the tests of these names.
func only(names ...string) string { return "-test.run=^(" + strings.Join(names, "|") + ")$" }

// build builds the tests of all suites into a folder.
func (t *tester) build(ctx context.Context, folder string, flags ...string) error {
	args := append([]string{"test", "-c", "-o", folder + string(filepath.Separator)}, flags...)
	for _, suite := range t.suites {
		args = append(args, suite.ImportPath)
	}
	_, err := goCommand(ctx, args...)
	return err
}

// run runs the test binary of a suite, built in a folder, and returns what it prints.
func (t *tester) run(ctx context.Context, folder string, suite goPackage, flags ...string) ([]byte, error) {
	program := filepath.Join(folder, path.Base(suite.ImportPath)+".test")
	c := exec.CommandContext(ctx, program, append(flags, "-test.failfast", fmt.Sprint("-test.short=", t.short))...)
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
	groups := t.groups(m)
	if len(groups) == 0 {
		return uncovered, nil
	}
	for _, g := range groups {
		if v, err := t.runGroup(ctx, folder, g); v != survived || err != nil {
			return v, err
		}
	}
	return survived, nil
}

// group is some tests of a suite that run together.
type group struct {
	suite goPackage
	names []string
	took  time.Duration
}

// groups returns the tests that run what a mutant changes, or all tests if that is in no
// block of code: the quick ones of each suite together, then the slow ones one by one.
func (t *tester) groups(m mutant) []group {
	const quick = time.Second
	var groups []group
	for _, test := range t.tests {
		if m.inside(test.blocks, false) && !m.inside(test.blocks, true) {
			continue
		}
		i := -1
		if test.took < quick {
			i = slices.IndexFunc(groups, func(g group) bool { return g.suite.ImportPath == test.suite.ImportPath })
		}
		if i < 0 {
			i, groups = len(groups), append(groups, group{suite: test.suite})
		}
		groups[i].names, groups[i].took = append(groups[i].names, test.name), groups[i].took+test.took
	}
	return groups
}

// runGroup tells what becomes of a mutant, built in a folder, by some tests.
func (t *tester) runGroup(ctx context.Context, folder string, g group) (verdict, error) {
	timeout := t.timeout
	if timeout == 0 {
		timeout = 10*time.Second + 5*g.took
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch _, err := t.run(limited, folder, g.suite, only(g.names...)); {
	case err == nil:
		return survived, nil
	case limited.Err() != nil:
		return timedOut, ctx.Err()
	}
	return killed, nil
}
