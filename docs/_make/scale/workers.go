package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"garb/internal/scale"
)

// workerCounts are the numbers of workers that are measured.
var workerCounts = []int{1, 2, 4, 8}

// Rates that are not measured here: those of an object store in the same region, as operators
// report them, and the times of machines in a cloud.
const (
	storeLatency    = 0.03 // s, from a request to the whole picture
	workerStart     = 60   // s, for a machine and its image
	redeliveryDelay = 30   // s, the deadline of a job by default
)

// measure measures the workers and the queue.
func measure(ctx context.Context, o options, pictures string) (scale.Measured, error) {
	m := scale.Measured{CPU: cpuName(), Date: time.Now().Format(time.DateOnly), Pictures: o.pictures,
		Rates: scale.Rates{StorePicture: 1.0 / scale.StoreRequests, StoreLatency: storeLatency,
			WorkerStart: workerStart, RedeliveryDelay: redeliveryDelay}}
	if err := measureQueue(ctx, o.names, &m); err != nil {
		return m, err
	}
	log.Printf("the queue: %+v", m.Rates)
	folder, err := os.MkdirTemp("", "scale-workers-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(folder)
	copies := filepath.Join(folder, "pictures")
	if err := copyPictures(pictures, copies, o.pictures); err != nil {
		return m, err
	}
	if err := measureClassify(ctx, o.program, copies, &m); err != nil {
		return m, err
	}
	var first [sha256.Size]byte
	for _, workers := range workerCounts {
		r, sum, err := measureWorkers(ctx, o.program, filepath.Join(folder, strconv.Itoa(workers)), copies, workers)
		if err != nil {
			return m, err
		}
		if workers == 1 {
			first = sum
		} else if sum != first {
			return m, fmt.Errorf("%d workers gave other results than one", workers)
		}
		log.Printf("%+v", r)
		m.Runs = append(m.Runs, r)
	}
	return m, nil
}

// copyPictures fills a folder with a number of pictures: hard links to those in another folder, each
// as often as is needed.
func copyPictures(from, to string, n int) error {
	var paths []string
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.EqualFold(filepath.Ext(path), ".jpg") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("%s: no .jpg files", from)
	}
	for i := range n {
		path := filepath.Join(to, strconv.Itoa(i/1000), fmt.Sprintf("%06d.jpg", i))
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
		}
		if err := linkOrCopy(paths[i%len(paths)], path); err != nil {
			return err
		}
	}
	return nil
}

// linkOrCopy makes a hard link, or a copy on another file system.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// measureClassify measures garb classify on one thread.
func measureClassify(ctx context.Context, program, pictures string, m *scale.Measured) error {
	command := exec.CommandContext(ctx, program, "classify", "--json", pictures)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	began := time.Now()
	if err := command.Run(); err != nil {
		return err
	}
	m.Classify = time.Since(began).Seconds()
	used := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	m.Rates.PictureCPU = used.Seconds() / float64(m.Pictures)
	return nil
}

// measureWorkers puts the pictures in a new queue, lets workers with one thread each classify them,
// and returns the digest of the results.
func measureWorkers(ctx context.Context, program, queue, pictures string, workers int) (
	r scale.Run, sum [sha256.Size]byte, err error) {
	at := []string{"--queue", queue, "--job", "scale"}
	if _, err = output(ctx, program, append([]string{"queue", "put", pictures}, at...)...); err != nil {
		return r, sum, err
	}
	all := make([]*exec.Cmd, workers)
	began := time.Now()
	for i := range all {
		all[i] = exec.CommandContext(ctx, program, append([]string{"queue", "work", "--threads", "1"}, at...)...)
		all[i].Env = append(os.Environ(), "GOMAXPROCS=1")
		all[i].Stderr = os.Stderr
		if err = all[i].Start(); err != nil {
			return r, sum, err
		}
	}
	ended := make(chan error, workers)
	for _, c := range all {
		go func() { ended <- c.Wait() }()
	}
	r, err = watch(all, ended)
	r.Workers, r.Seconds = workers, time.Since(began).Seconds()
	if err != nil {
		return r, sum, err
	}
	rows, err := output(ctx, program, append([]string{"queue", "get"}, at...)...)
	return r, sha256.Sum256(rows), err
}

// watch waits until all workers have ended, and returns the most memory that one of them used: of
// the times at which it looked, the most in the first half, and the most in all.
func watch(all []*exec.Cmd, ended <-chan error) (scale.Run, error) {
	var seen []int64
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var err error
	for left := len(all); left > 0; {
		select {
		case e := <-ended:
			err = errors.Join(err, e)
			left--
		case <-tick.C:
			var most int64
			for _, c := range all {
				most = max(most, residentBytes(c.Process.Pid))
			}
			seen = append(seen, most)
		}
	}
	if len(seen) < 2 {
		return scale.Run{}, errors.Join(err, errors.New("the workers ended too soon to be measured"))
	}
	return scale.Run{WorkerBytes: slices.Max(seen), HalfwayBytes: slices.Max(seen[:len(seen)/2])}, err
}

// residentBytes returns the memory of a process, or 0 if it has ended.
func residentBytes(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// output runs a command and returns its standard output.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(command.Args, " "), err)
	}
	return text, nil
}

// cpuName returns the name of the CPU.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, after, _ := bytes.Cut(text, []byte("model name\t: "))
	name, _, _ := bytes.Cut(after, []byte("\n"))
	return string(name)
}
