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
	"strings"
	"sync"
	"time"

	"garb/picture"
)

// standardInput is the argument that stands for it.
const standardInput = "-"

// source is a picture to answer on, or what is wrong with an argument.
type source struct {
	name string
	err  error
}

// sources lists the pictures that arguments name, in their order: files, standard
// input, and the files of folders, by path. In folders what is no picture is
// passed over; a file that is named is not.
func sources(args []string) []source {
	var all []source
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == standardInput:
			all = append(all, source{name: arg})
		case err != nil:
			all = append(all, source{arg, err})
		case !info.IsDir():
			all = append(all, source{name: arg})
		default:
			all = append(all, folder(arg)...)
		}
	}
	return all
}

func folder(root string) []source {
	var all []source
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			all = append(all, source{path, err})
			return nil
		}
		if path != root && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.Type().IsRegular() && beginsLikePicture(path) {
			all = append(all, source{name: path})
		}
		return nil
	})
	if err != nil {
		all = append(all, source{root, err})
	}
	if len(all) == 0 {
		all = append(all, source{root, errors.New("the folder holds no pictures; name one that does, or a picture")})
	}
	return all
}

// beginsLikePicture reads as much of a file as tells a format. A file that is
// empty, broken or cannot be read counts if its name says picture: then somebody
// would miss its answer.
func beginsLikePicture(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".avif", ".heic", ".heif":
		return true
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	_, err = picture.Identify(head[:n])
	return !errors.Is(err, picture.ErrNotPicture)
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

// answered is a source with what a function made of it.
type answered[T any] struct {
	source  source
	value   T
	err     error
	reading time.Duration // that its bytes took
}

// each calls answer for every source, several at a time, and hands the results on
// in order. Few are under way or waiting at a time, so memory is bounded.
func each[T any](ctx context.Context, all []source, in io.Reader, l picture.Limits,
	answer func(context.Context, []byte) (T, error), use func(answered[T]) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	ctx, cancel := context.WithCancel(ctx)
	type job struct {
		source source
		result chan answered[T]
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
				a := answered[T]{source: j.source}
				began := time.Now()
				data, err := j.source.read(in, l)
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
			j := job{s, make(chan answered[T], 1)}
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

// failed is an error as scripts see it.
type failed struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// failedBy gives an error its kind: that of package picture, or not_found,
// unreadable, timeout.
func failedBy(err error) failed {
	kind := picture.KindOf(err)
	switch {
	case kind != "":
	case errors.Is(err, fs.ErrNotExist):
		kind = "not_found"
	case errors.Is(err, context.DeadlineExceeded):
		kind = "timeout"
	default:
		kind = "unreadable"
	}
	return failed{kind, message(err)}
}

// message is an error's text without the path that the sentence around it names.
func message(err error) string {
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

// complain tells a person about a picture that could not be answered.
func complain(errOut io.Writer, name string, err error) {
	fmt.Fprintf(errOut, "garb: %s: %s\n", printable(name), message(err))
}

// someFailed is the error of a command that answered all but some pictures.
func someFailed(count int) error {
	if count == 0 {
		return nil
	}
	return errReported
}

// threadsFor is the number of cores that one answer may use: all for a single
// picture, one where several are answered at a time.
func threadsFor(all []source) int {
	if len(all) == 1 {
		return 0
	}
	return 1
}
