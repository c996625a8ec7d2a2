package main

import (
	"bufio"
	"cmp"
	"context"
	"embed"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

//go:embed peers/*.py peers/*.mjs peers/package.json
var peers embed.FS

const (
	workerArgument = "worker"
	// warmUps is how often each side runs before its first timed run.
	warmUps = 2
	// rest is the pause before each turn, in which the other side's threads stop waiting in a
	// busy loop. ONNX Runtime's do so within a few milliseconds.
	rest = 20 * time.Millisecond
)

// The largest differences of two outputs that still count as the same work.
const (
	networkTolerance = 1e-3 // as a part of the largest value: sums may be in another order
	pictureTolerance = 1.0  // one level of 255
)

// bench is one run of the program, with what it needs to measure a row.
type bench struct {
	config
	self   string // this program, to start as a worker
	folder string // a temporary folder for the peers' scripts, weights, inputs and pictures
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

// compare measures a subject on garb and on its peer, a few runs of each in turn, after it has checked
// that both do the same work.
func (b *bench) compare(ctx context.Context, s subject) (result, error) {
	r := result{Unit: milliseconds}
	if err := b.makeFiles(ctx, &s); err != nil {
		return skipRow(err)
	}
	cores := s.Threads
	if s.Picture != "" {
		cores = 1
	}
	garb, err := startWorker(ctx, cores, b.self, workerArgument)
	if err != nil {
		return skipRow(err)
	}
	defer garb.stop()
	peer, err := startWorker(ctx, cores, b.findPython(s.Peer), filepath.Join(b.folder, "peers", "worker.py"))
	if err != nil {
		return skipRow(err)
	}
	defer peer.stop()
	if err = compareOutputs(garb, peer, s, &r); err != nil {
		return skipRow(err)
	}
	if s.Trainable {
		answer, failure := garb.ask(request{Op: "train", Subject: &s})
		if failure != nil {
			fmt.Fprintf(os.Stderr, "%s cannot be trained: %v\n", s.Network, failure)
		}
		r.Trains, r.Parameters = failure == nil, answer.Parameters
	}
	err = b.timeWorkers(garb, peer, &r)
	return r, err
}

// makeFiles makes the files that both sides read, and enters their paths into the subject.
func (b *bench) makeFiles(ctx context.Context, s *subject) (err error) {
	if s.Picture != "" {
		s.Picture, err = b.findPicture(ctx, s.Picture)
		return err
	}
	if s.Network != "" {
		s.File, err = b.makeNetwork(ctx, *s)
	} else {
		s.Weights, err = b.exportWeights(ctx, s.Architecture)
	}
	if err != nil {
		return err
	}
	s.Input, err = b.writeInput(*s)
	return err
}

// compareOutputs lets both workers load the subject and run it once, and enters the difference of
// their outputs into the result.
func compareOutputs(garb, peer *process, s subject, r *result) error {
	var outputs [2][]float32
	for i, side := range []*process{garb, peer} {
		answer, err := side.ask(request{Op: "prepare", Subject: &s})
		if err != nil && side == garb && s.Trainable {
			return &skipError{"refused: " + err.Error()}
		}
		if err != nil {
			return err
		}
		if side == peer {
			r.Peer.Name = answer.Name
		}
		if answer, err = side.ask(request{Op: "output"}); err != nil {
			return err
		}
		outputs[i] = answer.Output
	}
	tolerance := networkTolerance
	if s.Picture != "" {
		tolerance = pictureTolerance
	}
	var err error
	r.Difference, err = computeDifference(outputs[0], outputs[1], s.Picture == "")
	r.Same = err == nil && (r.Difference <= tolerance || s.Loose)
	return err
}

// timeWorkers times the runs of two workers in turn, and enters the times into the result.
func (b *bench) timeWorkers(garb, peer *process, r *result) error {
	repeats := 1
	for _, side := range []*process{garb, peer} {
		answer, err := side.ask(request{Op: "time", Repeats: warmUps})
		if err != nil {
			return err
		}
		repeats = max(repeats, int(b.turn.Seconds()/slices.Min(answer.Seconds)))
	}
	measure := func(side *process) func() ([]float64, error) {
		return func() ([]float64, error) {
			time.Sleep(rest)
			answer, err := side.ask(request{Op: "time", Repeats: repeats})
			times := answer.Seconds
			for i := range times {
				times[i] *= 1000
			}
			return times, err
		}
	}
	return b.alternate(measure(garb), measure(peer), r)
}

// alternate measures garb and its peer in turn, in as many rounds as were chosen. Which one comes
// first changes from round to round.
func (b *bench) alternate(garb, peer func() ([]float64, error), r *result) error {
	var figures [2][]float64
	var ratios []float64
	for round := range b.rounds {
		var medians [2]float64
		for i := range 2 {
			i = (i + round) % 2
			measured, err := []func() ([]float64, error){garb, peer}[i]()
			if err != nil {
				return err
			}
			medians[i] = computeMedian(measured)
			figures[i] = append(figures[i], measured...)
		}
		ratios = append(ratios, medians[0]/medians[1])
	}
	r.Garb.summarize(figures[0])
	r.Peer.summarize(figures[1])
	r.Ratio = computeMedian(ratios)
	return nil
}

// findPython returns the command of the Python in which a peer is installed. PyTorch and Keras may
// have a Python of their own.
func (b *bench) findPython(peer string) string {
	variable := map[string]string{"pytorch": "GARB_TORCH_PYTHON", "keras": "GARB_KERAS_PYTHON"}[peer]
	return cmp.Or(os.Getenv(variable), b.python)
}

// runRequest runs one request in a worker of its own, whose memory then does not count towards this
// process's peak.
func (b *bench) runRequest(ctx context.Context, r request) error {
	p, err := startWorker(ctx, 0, b.self, workerArgument)
	if err != nil {
		return err
	}
	defer p.stop()
	_, err = p.ask(r)
	return err
}

// exportWeights writes a network's weights for both sides, unless they are there, and returns the
// file.
func (b *bench) exportWeights(ctx context.Context, architecture string) (string, error) {
	path := filepath.Join(b.folder, architecture+".safetensors")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, b.runRequest(ctx, request{Op: "export", Architecture: architecture, File: path})
}

// findPicture returns the file of a picture, which it makes first if need be.
func (b *bench) findPicture(ctx context.Context, name string) (string, error) {
	path := filepath.Join(b.folder, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if !slices.Contains(encodedPictures, name) {
		return path, b.runRequest(ctx, request{Op: "draw", File: b.folder})
	}
	from, err := b.findPicture(ctx, largePicture)
	if err != nil {
		return "", err
	}
	peer, err := startWorker(ctx, 1, b.findPython("pillow"), filepath.Join(b.folder, "peers", "worker.py"))
	if err != nil {
		return "", err
	}
	defer peer.stop()
	_, err = peer.ask(request{Op: "encode", From: from, File: path})
	return path, err
}

// writeInput writes a batch of uniform noise in [-1,1), the range of both networks' inputs, and
// returns its file.
func (b *bench) writeInput(s subject) (string, error) {
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

// computeDifference returns the largest difference of two outputs; if relative, as a part of the
// largest absolute value.
func computeDifference(got, want []float32, relative bool) (float64, error) {
	if len(got) != len(want) || len(got) == 0 {
		return 0, fmt.Errorf("garb returns %d values, the peer %d", len(got), len(want))
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
