package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// output runs the command and returns the lines it prints, sorted.
func output(t *testing.T, args string) []string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), strings.Fields(args), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(lines)
	return lines
}

// TestRun tests every mutant of a package whose survivors are known: two make no difference
// and one is in code without a test. The one that does not compile is not counted.
func TestRun(t *testing.T) {
	const source = "testdata/numbers/numbers.go"
	before, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"garb/internal/mutate/testdata/numbers: 5 of 8 mutants killed, 62.5 % (0 by the timeout); " +
			"no test runs the code of 1; 1 others do not compile",
		"testdata/numbers/numbers.go:19: (no test runs this) return !ok  ->  return ok",
		"testdata/numbers/numbers.go:6: if n < 0 {  ->  if n < 1 {",
		"testdata/numbers/numbers.go:6: if n < 0 {  ->  if n <= 0 {",
	}
	if diff := cmp.Diff(want, output(t, "-parallel 2 -min 62.5 ./testdata/numbers")); diff != "" {
		t.Error(diff)
	}
	if after, err := os.ReadFile(source); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the source changed (error %v)", err)
	}
}

// TestSample: a seed gives the same mutants, however many are tested at a time.
func TestSample(t *testing.T) {
	one := output(t, "-sample 3 -seed 5 ./testdata/numbers")
	two := output(t, "-sample 3 -seed 5 -parallel 2 ./testdata/numbers")
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
	if score := one[0]; !strings.Contains(score, " of 3 mutants killed") {
		t.Error(score)
	}
}

var all = regexp.MustCompile("")

// prepare returns a tester of a package in testdata, and the package's mutant whose changed
// line begins so.
func prepare(t *testing.T, pattern string, o options, changed string) (*tester, mutant) {
	t.Helper()
	packages, err := list(t.Context(), pattern)
	if err != nil {
		t.Fatal(err)
	}
	mutants, err := packageMutants(packages[0])
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(mutants, func(m mutant) bool { return strings.Contains(m.String(), "  ->  "+changed) })
	if i < 0 {
		t.Fatalf("no mutant %q among %v", changed, mutants)
	}
	tester, err := newTester(t.Context(), packages[0], o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tester, mutants[i]
}

func TestMutantIsKilledByTestsOfOtherPackages(t *testing.T) {
	o := options{packages: []string{"./testdata/forever"}, pattern: all}
	tester, m := prepare(t, "./testdata/numbers", o, "return ok")
	if v, err := tester.test(t.Context(), m); v != killed || err != nil {
		t.Errorf("verdict %v, error %v", v, err)
	}
}

func TestFiles(t *testing.T) {
	want := []string{"garb/internal/mutate/testdata/numbers: 0 of 0 mutants killed, 100.0 % (0 by the timeout); " +
		"no test runs the code of 0; 0 others do not compile"}
	if diff := cmp.Diff(want, output(t, "-files other ./testdata/numbers")); diff != "" {
		t.Error(diff)
	}
}

func TestTimeout(t *testing.T) {
	tester, m := prepare(t, "./testdata/forever", options{pattern: all}, "for may")
	tester.timeout = time.Second
	if v, err := tester.test(t.Context(), m); v != timedOut || err != nil {
		t.Errorf("verdict %v, error %v", v, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := tester.test(ended, m); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: error %v", err)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-sample 1 -min 100 -run None ./testdata/numbers", "less than 100 % killed: garb/internal"},
		{"./testdata/failing", "TestOne of garb/internal/mutate/testdata/failing fails without any change"},
		{"./testdata/none", "testdata/none"},
		{"-files ( ./testdata/numbers", "missing closing )"},
		{"-tests ./testdata/failing ./testdata/numbers", "TestOne of garb/internal/mutate/testdata/failing fails"},
	} {
		err := run(t.Context(), strings.Fields(test.args), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, not %s", test.args, err, test.want)
		}
	}
	if err := run(t.Context(), []string{"-help"}, &bytes.Buffer{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v", err)
	}
	for _, args := range [][]string{nil, {"-none"}} {
		if err := run(t.Context(), args, &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Errorf("%q: error %v", args, err)
		}
	}
}
