package main

import (
	"bufio"
	"cmp"
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

//go:embed peers/*.py
var peers embed.FS

const (
	workerArgument = "worker"
	// warmUps is how often each side runs before its first timed run.
	warmUps = 2
	// rest lets threads that wait by spinning fall asleep before the other side's
	// turn. ONNX Runtime's give up within a few milliseconds.
	rest = 20 * time.Millisecond
)

// The largest difference of two outputs that are the same work. Networks: part of
// the largest value, for sums in another order; pictures: one level of 255.
const (
	networkTolerance = 1e-3
	pictureTolerance = 1.0
)

// bench is one run of the program.
type bench struct {
	config
	self   string // this program, to start as a worker
	folder string // temporary: the peers' scripts, weights, inputs, pictures
}

func newBench(c config) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "garb-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{config: c, self: self, folder: folder}
	if err := os.CopyFS(folder, peers); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.folder) }

// compare measures a subject on garb and on its peer.
func (b *bench) compare(ctx context.Context, s subject) (result, error) {
	r, err := b.turns(ctx, s)
	var absent *absentError
	if errors.As(err, &absent) {
		return result{Skipped: absent.reason}, nil
	}
	return r, err
}

// turns prepares both sides, checks that they do the same work, and lets them
// work in turn.
func (b *bench) turns(ctx context.Context, s subject) (result, error) {
	r := result{Unit: milliseconds}
	tolerance := pictureTolerance
	cores := 1
	var err error
	if s.Picture != "" {
		if s.Picture, err = b.picture(ctx, s.Picture); err != nil {
			return r, err
		}
	} else {
		tolerance, cores = networkTolerance, s.Threads
		if s.Network != "" {
			s.File, err = b.network(ctx, s)
		} else {
			s.Weights, err = b.weights(ctx, s.Architecture)
		}
		if err != nil {
			return r, err
		}
		if s.Input, err = b.input(s); err != nil {
			return r, err
		}
	}
	garb, err := startWorker(ctx, cores, b.self, workerArgument)
	if err != nil {
		return r, err
	}
	defer garb.stop()
	peer, err := startWorker(ctx, cores, b.pythonOf(s.Peer), filepath.Join(b.folder, "peers", "worker.py"))
	if err != nil {
		return r, err
	}
	defer peer.stop()

	sides := []*process{garb, peer}
	var outputs [2][]float32
	for i, side := range sides {
		answer, err := side.ask(request{Op: "prepare", Subject: &s})
		if err != nil && side == garb && s.Trainable {
			return result{Skipped: "refused: " + err.Error()}, nil
		}
		if err != nil {
			return r, err
		}
		if side == peer {
			r.Peer.Name = answer.Name
		}
		if answer, err = side.ask(request{Op: "output"}); err != nil {
			return r, err
		}
		outputs[i] = answer.Output
	}
	if r.Difference, err = difference(outputs[0], outputs[1], s.Picture == ""); err != nil {
		return r, err
	}
	r.Same = r.Difference <= tolerance
	if s.Trainable {
		answer, err := garb.ask(request{Op: "train", Subject: &s})
		if err != nil {
			fmt.Fprintln(os.Stderr, "no training:", err)
		}
		r.Trains, r.Parameters = err == nil, answer.Parameters
	}

	repeats := 1
	for _, side := range sides {
		answer, err := side.ask(request{Op: "time", Repeats: warmUps})
		if err != nil {
			return r, err
		}
		repeats = max(repeats, int(b.turn.Seconds()/slices.Min(answer.Seconds)))
	}
	var times [2][]float64
	var ratios []float64
	for round := range b.rounds {
		var medians [2]float64
		for i := range sides {
			i = (i + round) % 2 // so that neither side always comes after the other
			time.Sleep(rest)
			answer, err := sides[i].ask(request{Op: "time", Repeats: repeats})
			if err != nil {
				return r, err
			}
			medians[i] = median(answer.Seconds)
			for _, seconds := range answer.Seconds {
				times[i] = append(times[i], 1000*seconds)
			}
		}
		ratios = append(ratios, medians[0]/medians[1])
	}
	r.Garb.summarize(times[0])
	r.Peer.summarize(times[1])
	r.Ratio = median(ratios)
	return r, nil
}

// pythonOf is the Python that has a peer: those of PyTorch and Keras may be others.
func (b *bench) pythonOf(peer string) string {
	variable := map[string]string{"pytorch": "GARB_TORCH_PYTHON", "keras": "GARB_KERAS_PYTHON"}[peer]
	return cmp.Or(os.Getenv(variable), b.python)
}

// helper runs one request in a worker of its own, so that its memory never
// counts as this process's peak.
func (b *bench) helper(ctx context.Context, r request) error {
	p, err := startWorker(ctx, 0, b.self, workerArgument)
	if err != nil {
		return err
	}
	defer p.stop()
	_, err = p.ask(r)
	return err
}

// weights returns the file that holds a network's weights for both sides.
func (b *bench) weights(ctx context.Context, architecture string) (string, error) {
	path := filepath.Join(b.folder, architecture+".safetensors")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, b.helper(ctx, request{Op: "export", Architecture: architecture, File: path})
}

// picture returns the file of one of the two pictures.
func (b *bench) picture(ctx context.Context, name string) (string, error) {
	path := filepath.Join(b.folder, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, b.helper(ctx, request{Op: "draw", File: b.folder})
}

// input writes a batch of uniform noise in [-1,1), the range of both networks'
// inputs, and returns its file.
func (b *bench) input(s subject) (string, error) {
	path := filepath.Join(b.folder, fmt.Sprintf("input-%d-%d", s.Side, s.Batch))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	random := rand.New(rand.NewPCG(1, 2))
	var value [4]byte
	for range s.Batch * s.Side * s.Side * 3 {
		binary.LittleEndian.PutUint32(value[:], math.Float32bits(2*random.Float32()-1))
		w.Write(value[:])
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	return path, f.Close()
}

// difference returns the largest difference of two outputs, as a part of the
// largest absolute value if relative.
func difference(got, want []float32, relative bool) (float64, error) {
	if len(got) != len(want) || len(got) == 0 {
		return 0, fmt.Errorf("garb gives %d values, the peer %d", len(got), len(want))
	}
	var worst, largest float64
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return 0, fmt.Errorf("value %d is %v on garb and %v on the peer", i, got[i], want[i])
		}
		worst = max(worst, d)
		largest = max(largest, math.Abs(float64(want[i])))
	}
	if relative && largest > 0 {
		worst /= largest
	}
	return worst, nil
}
