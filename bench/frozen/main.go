// Command frozen measures the course's training, a frozen Xception 150 with a dense
// layer, ten epochs, beside Keras: the wall time of garb train, from the pictures on
// and with nothing kept, over that of Keras.
//
//	go run ./bench/frozen DATA XCEPTION.safetensors
//
// DATA is the small clothing data set. It needs bin/garb (make build), and a Python with
// Keras, TensorFlow and SciPy, which GARB_PYTHON names. Keras does some steps of an
// epoch, and its ten epochs are that many times a step: it has no reason to be slower or
// faster later. garb's run is whole; with augmentation it is of two epochs, which are
// scaled.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"garb/dataset"
)

const (
	epochs          = 10
	augmentedEpochs = 2
	batch           = 32
	peerSteps       = 12
	peerValidation  = 4
)

// change is the course's augmentation.
var change = []string{"--shear", "10", "--zoom", "0.1", "--horizontal-flip"}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: frozen DATA XCEPTION.safetensors")
	}
	data, weights := os.Args[1], os.Args[2]
	splits, err := dataset.OpenSplits(data, dataset.DefaultSplitRule())
	if err != nil {
		log.Fatal(err)
	}
	steps := func(s *dataset.Set) float64 { return float64((len(s.Samples) + batch - 1) / batch) }
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		python = "python3"
	}
	for _, augmented := range []bool{false, true} {
		var peer struct {
			Name           string  `json:"name"`
			Step           float64 `json:"step"`
			ValidationStep float64 `json:"validation_step"`
		}
		args := []string{filepath.Join("bench", "peers", "frozen.py"), data, weights, fmt.Sprint(peerSteps),
			fmt.Sprint(peerValidation)}
		if augmented {
			args = append(args, "--augment")
		}
		c := exec.Command(python, args...)
		c.Stderr = os.Stderr
		text, err := c.Output()
		if err != nil {
			log.Fatal(err)
		}
		if err := json.Unmarshal(text, &peer); err != nil {
			log.Fatal(err)
		}
		theirs := epochs * (peer.Step*steps(splits.Train.Set) + peer.ValidationStep*steps(splits.Validation))
		ours, err := train(data, weights, augmented)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("augmented %-5v  garb %.0f s, %s %.0f s (%.0f ms a step): ratio %.2f\n", augmented, ours,
			peer.Name, theirs, 1000*peer.Step, ours/theirs)
	}
}

// train returns the seconds that ten epochs take garb, from a home that is empty.
func train(data, weights string, augmented bool) (float64, error) {
	folder, err := os.MkdirTemp("", "garb-frozen-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	run := func(out string, n int) (float64, error) {
		args := []string{"train", "--data", data, "--backbone", "xception", "--weights", weights, "--size", "150",
			"--epochs", fmt.Sprint(n), "--out", filepath.Join(folder, out)}
		if augmented {
			args = append(args, change...)
		}
		c := exec.Command("bin/garb", args...)
		c.Env = append(os.Environ(), "GARB_HOME="+folder)
		c.Stderr = os.Stderr
		began := time.Now()
		err := c.Run()
		return time.Since(began).Seconds(), err
	}
	if !augmented {
		return run("run", epochs)
	}
	// What is done once, the features of validation and test, is kept after the first.
	whole, err := run("first", augmentedEpochs)
	if err != nil {
		return 0, err
	}
	again, err := run("second", 2*augmentedEpochs)
	if err != nil {
		return 0, err
	}
	// again = start + 2·augmentedEpochs·e; the start of the second is all but nothing.
	return whole - again/2 + again/(2*augmentedEpochs)*epochs, nil
}
