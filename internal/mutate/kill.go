package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// verdict is what became of a mutant.
type verdict int

const (
	killed verdict = iota
	timedOut
	survived
	uncovered // it survived, because no test runs what it changes
	invalid   // it does not compile
	verdicts  // their number
)

// score counts the verdicts on a package's mutants.
type score [verdicts]int

// counted returns the number of mutants that compile.
func (s score) counted() int {
	return s[killed] + s[timedOut] + s[survived] + s[uncovered]
}

// percent returns how many mutants in a hundred the tests killed.
func (s score) percent() float64 {
	if s.counted() == 0 {
		return 100
	}
	return 100 * float64(s[killed]+s[timedOut]) / float64(s.counted())
}

func (s score) String() string {
	return fmt.Sprintf("%d of %d mutants killed, %.1f %% (%d by the timeout); "+
		"no test runs the code of %d; %d others do not compile",
		s[killed]+s[timedOut], s.counted(), s.percent(), s[timedOut], s[uncovered], s[invalid])
}

// testMutants tests a sample of a package's mutants and prints each that survives.
func testMutants(ctx context.Context, p goPackage, o options, out io.Writer) (score, error) {
	p.GoFiles = slices.DeleteFunc(p.GoFiles, func(name string) bool { return !o.files.MatchString(name) })
	all, err := packageMutants(p)
	if err != nil {
		return score{}, err
	}
	rand.New(rand.NewPCG(o.seed, 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	folder, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return score{}, err
	}
	defer os.RemoveAll(folder)
	t, err := newTester(ctx, p, o, folder)
	if err != nil {
		return score{}, err
	}
	// A mutant that does not compile makes room for another, in the next round.
	var s score
	for {
		n := len(all)
		if o.sample > 0 {
			n = min(n, o.sample-s.counted())
		}
		if n == 0 {
			return s, nil
		}
		if err := t.testAll(ctx, all[:n], &s, out); err != nil {
			return score{}, err
		}
		all = all[n:]
	}
}

// packageMutants returns every mutant of a package.
func packageMutants(p goPackage) ([]mutant, error) {
	var all []mutant
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := mutants(path, text)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// testAll tests mutants, t.parallel of them at a time, and adds the verdicts to a score.
func (t *tester) testAll(ctx context.Context, all []mutant, s *score, out io.Writer) error {
	var (
		lock    sync.Mutex // of what follows, of s and of out
		next    int
		failure error
	)
	var workers sync.WaitGroup
	for range max(1, t.parallel) {
		workers.Go(func() {
			lock.Lock()
			defer lock.Unlock()
			for next < len(all) && failure == nil {
				m := all[next]
				next++
				lock.Unlock()
				v, err := t.test(ctx, m)
				lock.Lock()
				if err != nil {
					failure = err
					return
				}
				s[v]++
				switch v {
				case survived:
					fmt.Fprintf(out, "%s %s\n", position(m), m)
				case uncovered:
					fmt.Fprintf(out, "%s (no test runs this) %s\n", position(m), m)
				}
			}
		})
	}
	workers.Wait()
	return failure
}

// position returns a mutant's file, as seen from the working directory, and its line.
func position(m mutant) string {
	name := m.path
	if folder, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(folder, name); err == nil && filepath.IsLocal(short) {
			name = short
		}
	}
	line, _ := m.place()
	return fmt.Sprintf("%s:%d:", name, line)
}
