package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/picture"
	"garb/results"
)

// standardInput is the argument for standard input.
const standardInput = "-"

// source is a picture to read, or the error of an argument.
type source struct {
	name string
	err  error
}

// errNoMatch reports a pattern such as pics/*.jpg that matches no file.
var errNoMatch = errors.New("no file matches this pattern; check the path")

// expand replaces patterns that the shell has not expanded by the files and folders that they
// match, sorted. * and ? stand for letters of a name, [a-c] for one of a set. The name of an
// existing file is never a pattern. As in shells, only patterns that start with a dot match
// hidden files.
func expand(args []string) []source {
	var all []source
	for _, arg := range args {
		_, err := os.Lstat(arg)
		if arg == standardInput || err == nil || !strings.ContainsAny(arg, "*?[") {
			all = append(all, source{name: arg})
			continue
		}
		matches, err := filepath.Glob(arg)
		matches = slices.DeleteFunc(matches, func(match string) bool { return isHiddenFrom(arg, match) })
		switch {
		case err != nil:
			all = append(all, source{arg, fmt.Errorf("it is neither a file nor a valid pattern: %w", err)})
		case len(matches) == 0:
			all = append(all, source{arg, errNoMatch})
		}
		slices.Sort(matches)
		for _, match := range matches {
			all = append(all, source{name: match})
		}
	}
	return all
}

// isHiddenFrom reports whether a path has a name with a leading dot where the pattern
// that it matches has none.
func isHiddenFrom(pattern, path string) bool {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(pattern)), "/")
	for i, name := range strings.Split(filepath.ToSlash(filepath.Clean(path)), "/") {
		if strings.HasPrefix(name, ".") && (i >= len(parts) || !strings.HasPrefix(parts[i], ".")) {
			return true
		}
	}
	return false
}

// findSources lists the pictures that arguments name, in their order: files, standard input,
// and the pictures in folders, archives and tables, sorted by path. The tally lists the files
// in these that are no pictures; a file that an argument names is always taken for one.
func findSources(c *cobra.Command, args []string) ([]source, *dataset.Tally, error) {
	tally := &dataset.Tally{}
	options := addCacheFolder(dataset.Options{})
	var all []source
	for _, expanded := range expand(args) {
		arg := expanded.name
		if expanded.err != nil || arg == standardInput {
			all = append(all, expanded)
			continue
		}
		paths, err := dataset.PicturesIn(c.Context(), arg, options, tally)
		switch {
		case c.Context().Err() != nil:
			return nil, nil, c.Context().Err()
		case err != nil:
			all = append(all, source{arg, err})
		case len(paths) == 0:
			all = append(all, source{arg, errors.New("it contains no pictures")})
		}
		for _, path := range paths {
			all = append(all, source{name: path})
		}
	}
	return all, tally, nil
}

// strictFlag is the flag that makes a command fail if it skips a picture.
const strictFlag = "strict"

// addStrictFlag adds --strict to a command that ends with closeSources.
func addStrictFlag(c *cobra.Command) {
	c.Flags().Bool(strictFlag, false, "fail if any file in a folder, table or archive has to be skipped")
}

// closeSources ends a command that has read pictures. Unless it was a single picture, it prints
// how many were read and skipped. It fails if there were failures or unreadable files, and
// with --strict if any file was skipped.
func closeSources(c *cobra.Command, all []source, failures int, tally *dataset.Tally) error {
	if len(all) > 1 || len(tally.Skips()) > failures {
		say(c, "%s", tally.Summary(len(all)-failures))
	}
	if failures+tally.Count(dataset.ReasonMissing)+tally.Count(dataset.ReasonUnreadable) > 0 {
		return errReported
	}
	if isSet(c, strictFlag) {
		return tally.Strict()
	}
	return nil
}

// readUntil reads like read, but returns when ctx ends, even if the read still waits for a
// terminal or a pipe. That read is then abandoned.
func (s source) readUntil(ctx context.Context, in io.Reader, l picture.Limits) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := s.read(in, l)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads a source's bytes.
func (s source) read(in io.Reader, l picture.Limits) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.name == standardInput {
		return picture.Read(in, l)
	}
	f, err := os.Open(s.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return picture.Read(f, l)
}

// outcome is the result of a function for a source.
type outcome[T any] struct {
	source  source
	value   T
	err     error
	reading time.Duration // time to read the bytes
}

// job is a source, and the channel for its outcome.
type job[T any] struct {
	source source
	done   chan outcome[T]
}

// run reads the source and answers it.
func (j job[T]) run(ctx context.Context, in io.Reader, l picture.Limits,
	answer func(context.Context, []byte) (T, error)) {
	o := outcome[T]{source: j.source}
	began := time.Now()
	data, err := j.source.readUntil(ctx, in, l)
	o.reading = time.Since(began)
	if err == nil {
		o.value, err = answer(ctx, data)
	}
	o.err = err
	j.done <- o
}

// each calls answer for every source, several at a time, and passes the results to use in
// order. The number of pending results is bounded, and with it the memory.
func each[T any](ctx context.Context, all []source, in io.Reader, l picture.Limits,
	answer func(context.Context, []byte) (T, error), use func(outcome[T]) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	ctx, cancel := context.WithCancel(ctx)
	jobs, order := make(chan job[T]), make(chan job[T], 4*workers)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	for range workers {
		wait.Go(func() {
			for j := range jobs {
				j.run(ctx, in, l, answer)
			}
		})
	}
	wait.Go(func() {
		defer close(order)
		defer close(jobs)
		for _, s := range all {
			j := job[T]{s, make(chan outcome[T], 1)}
			if !send(ctx, order, j) || !send(ctx, jobs, j) {
				return
			}
		}
	})
	for j := range order {
		select {
		case o := <-j.done:
			if o.err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := use(o); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// send sends a value, and reports whether it did so before ctx ended.
func send[T any](ctx context.Context, to chan<- T, value T) bool {
	select {
	case to <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// describeFailure returns an error with its kind: one of package picture, or not_found,
// unreadable or timeout.
func describeFailure(err error) results.Failure {
	kind := picture.KindOf(err)
	switch {
	case kind != "":
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoMatch):
		kind = "not_found"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	default:
		kind = "unreadable"
	}
	return results.Failure{Kind: kind, Message: explainError(err)}
}

// explainError returns an error's text without the path, which the sentence around it names.
func explainError(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file; check the path"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied; check its permissions"
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "decoding took too long; scale the picture down"
	}
	return addHint(err).Error()
}

// reportError prints the error of a picture without an answer.
func reportError(errOut io.Writer, name string, err error) {
	fmt.Fprintf(errOut, "garb: %s: %s\n", escape(name), explainError(err))
}

// chooseThreads returns the number of threads for one answer: 0, which means all, for a single
// picture, and 1 for several pictures, which are answered concurrently.
func chooseThreads(all []source) int {
	if len(all) == 1 {
		return 0
	}
	return 1
}
