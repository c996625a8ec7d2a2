package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed counter/count.c
var counterSource []byte

const millions = "M" // 10⁶ instructions

// countPair returns a measurement of how many instructions of arm64 a subject takes with NEON and in
// portable Go. runs is the number of runs that are counted.
func countPair(s subject, runs int) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		r, err := b.countInstructions(ctx, s, runs)
		if err != nil {
			return skipRow(err)
		}
		return r, nil
	}
}

func (b *bench) countInstructions(ctx context.Context, s subject, runs int) (result, error) {
	r := result{Unit: millions}
	r.Garb.Name, r.Peer.Name = "NEON", "portable Go"
	if err := b.makeFiles(ctx, &s); err != nil {
		return r, err
	}
	if err := b.buildCounter(ctx); err != nil {
		return r, err
	}
	var outputs [2][]float32
	var counts [2]float64
	for i, level := range []string{"neon", "generic"} {
		before, _, err := b.countWorker(ctx, level, s, 0)
		if err != nil {
			return r, err
		}
		after, output, err := b.countWorker(ctx, level, s, runs)
		if err != nil {
			return r, err
		}
		outputs[i], counts[i] = output, float64(after-before)/float64(runs)/1e6
	}
	r.Garb.summarize(counts[:1])
	r.Peer.summarize(counts[1:])
	r.Ratio = counts[0] / counts[1]
	tolerance := networkTolerance
	if s.Picture != "" {
		tolerance = 0
	}
	var err error
	r.Difference, err = computeDifference(outputs[0], outputs[1], s.Picture == "")
	r.Same = r.Difference <= tolerance
	return r, err
}

// The files that buildCounter makes in the temporary folder.
const (
	counterName = "count.so"
	armName     = "bench-arm64"
)

// buildCounter builds QEMU's plugin and this program for arm64, unless another row has.
func (b *bench) buildCounter(ctx context.Context) error {
	for _, need := range []struct{ program, from string }{
		{"qemu-aarch64", "Debian's package qemu-user"}, {"cc", "Debian's package gcc"}, {"go", "Go"},
	} {
		if _, err := exec.LookPath(need.program); err != nil {
			return &skipError{fmt.Sprintf("there is no %s, which is in %s", need.program, need.from)}
		}
	}
	plugin, binary := filepath.Join(b.folder, counterName), filepath.Join(b.folder, armName)
	if _, err := os.Stat(binary); err == nil {
		return nil
	}
	compile := exec.CommandContext(ctx, "cc", "-shared", "-fPIC", "-O2", "-o", plugin, "-x", "c", "-")
	compile.Stdin = bytes.NewReader(counterSource)
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "garb/bench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	for _, command := range []*exec.Cmd{compile, build} {
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", command.Args, err, out)
		}
	}
	return nil
}

// countWorker lets a worker for arm64 load the subject, run it once for its output, and then as often as
// runs says. It returns the instructions of the whole process and the output.
func (b *bench) countWorker(ctx context.Context, level string, s subject, runs int) (int64, []float32, error) {
	counted := filepath.Join(b.folder, "count")
	command := exec.CommandContext(ctx, "qemu-aarch64",
		"-plugin", filepath.Join(b.folder, counterName)+",out="+counted, filepath.Join(b.folder,
			armName), workerArgument)
	// One thread collects no garbage beside another.
	command.Env = append(os.Environ(), "GARB_CPU="+level, "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	var requests bytes.Buffer
	for _, r := range []request{{Op: "prepare", Subject: &s}, {Op: "output"}, {Op: "time", Repeats: runs}} {
		if err := json.NewEncoder(&requests).Encode(r); err != nil {
			return 0, nil, err
		}
	}
	command.Stdin = &requests
	replies, err := command.Output()
	if err != nil {
		return 0, nil, fmt.Errorf("qemu-aarch64: %w", err)
	}
	var output []float32
	for line := range strings.Lines(string(replies)) {
		var answer reply
		if err = json.Unmarshal([]byte(line), &answer); err != nil {
			return 0, nil, err
		}
		if answer.Error != "" {
			return 0, nil, errors.New(answer.Error)
		}
		if answer.Output != nil {
			output = answer.Output
		}
	}
	text, err := os.ReadFile(counted)
	if err != nil {
		return 0, nil, err
	}
	count, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return count, output, err
}
