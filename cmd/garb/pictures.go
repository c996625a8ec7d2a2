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
)

// standardInput is the argument that stands for it.
const standardInput = "-"

// source is a picture to answer on, or what is wrong with an argument.
type source struct {
	name string
	err  error
}

// errNoMatch is what is wrong with a pattern such as pics/*.jpg that fits no file.
var errNoMatch = errors.New("no file matches this pattern; check the path")

// expand replaces patterns, where the shell has not, by the files and folders that they
// match, sorted: * and ? stand for letters of a name, [a-c] for one of a set. A name
// that exists is not taken for a pattern, whatever letters it has. Hidden files match
// only a pattern that begins with a dot too, as in shells.
func expand(args []string) []source {
	var all []source
	for _, arg := range args {
		_, err := os.Lstat(arg)
		if arg == standardInput || err == nil || !strings.ContainsAny(arg, "*?[") {
			all = append(all, source{name: arg})
			continue
		}
		matches, err := filepath.Glob(arg)
		matches = slices.DeleteFunc(matches, func(match string) bool { return hiddenFrom(arg, match) })
		switch {
		case err != nil:
			all = append(all, source{arg, fmt.Errorf("it is neither a file nor a pattern: %w", err)})
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

// hiddenFrom reports whether a path has a name with a leading dot where the pattern
// that it matches has none.
func hiddenFrom(pattern, path string) bool {
	parts := strings.Split(filepath.ToSlash(filepath.Clean(pattern)), "/")
	for i, name := range strings.Split(filepath.ToSlash(filepath.Clean(path)), "/") {
		if strings.HasPrefix(name, ".") && (i >= len(parts) || !strings.HasPrefix(parts[i], ".")) {
			return true
		}
	}
	return false
}

// findSources lists the pictures that arguments name, in their order: files, standard
// input, and by path the pictures of folders, archives and tables. The tally has what
// of these gave no picture; a file that is named is always one.
func findSources(c *cobra.Command, args []string) ([]source, *dataset.Tally, error) {
	tally := &dataset.Tally{}
	options, err := addCacheFolder(dataset.Options{})
	if err != nil {
		return nil, nil, err
	}
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
			all = append(all, source{arg, errors.New("it holds no pictures; name one that does, or a picture")})
		}
		for _, path := range paths {
			all = append(all, source{name: path})
		}
	}
	return all, tally, nil
}

// strictFlag fails a command that skipped a picture.
const strictFlag = "strict"

// addStrictFlag adds --strict to a command that ends with closeSources.
func addStrictFlag(c *cobra.Command) {
	c.Flags().Bool(strictFlag, false, "fail if any file in a folder, table or archive has to be skipped")
}

// closeSources ends a command that answered on pictures: with their number, and with what
// gave none, unless it was one picture. Its error is that of failures, and of files that
// are missing or cannot be read; with --strict, of all that was skipped.
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

// readUntil is read that does not wait beyond ctx: nothing else ends a read that waits for
// what somebody types, or for the writer of a pipe. That read is left behind.
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

// outcome is a source with what a function made of it.
type outcome[T any] struct {
	source  source
	value   T
	err     error
	reading time.Duration // that its bytes took
}

// each calls answer for every source, several at a time, and hands the results on
// in order. Few are under way or waiting at a time, so memory is bounded.
func each[T any](ctx context.Context, all []source, in io.Reader, l picture.Limits,
	answer func(context.Context, []byte) (T, error), use func(outcome[T]) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	ctx, cancel := context.WithCancel(ctx)
	type job struct {
		source source
		result chan outcome[T]
	}
	jobs, order := make(chan job), make(chan job, 4*workers)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	for range workers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for j := range jobs {
				a := outcome[T]{source: j.source}
				began := time.Now()
				data, err := j.source.readUntil(ctx, in, l)
				a.reading = time.Since(began)
				if err == nil {
					a.value, err = answer(ctx, data)
				}
				a.err = err
				j.result <- a
			}
		}()
	}
	wait.Add(1)
	go func() {
		defer wait.Done()
		defer close(order)
		defer close(jobs)
		for _, s := range all {
			j := job{s, make(chan outcome[T], 1)}
			select {
			case order <- j:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	for j := range order {
		select {
		case a := <-j.result:
			if a.err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := use(a); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// pictureFailure is an error as scripts see it.
type pictureFailure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// describeFailure gives an error its kind: that of package picture, or not_found,
// unreadable, timeout.
func describeFailure(err error) pictureFailure {
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
	return pictureFailure{kind, explainError(err)}
}

// explainError is an error's text without the path that the sentence around it names.
func explainError(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file; check the path"
	case errors.Is(err, fs.ErrPermission):
		return "it may not be read; check its permissions"
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long to decode; scale the picture down"
	}
	return err.Error()
}

// reportError tells a person about a picture that could not be answered.
func reportError(errOut io.Writer, name string, err error) {
	fmt.Fprintf(errOut, "garb: %s: %s\n", escape(name), explainError(err))
}

// chooseThreads is the number of cores that one answer may use: all for a single
// picture, one where several are answered at a time.
func chooseThreads(all []source) int {
	if len(all) == 1 {
		return 0
	}
	return 1
}
