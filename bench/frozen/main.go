// Command frozen measures the course's training in garb and in Keras: ten epochs of a dense layer on a
// frozen Xception, with pictures of 150 × 150 pixels. It prints the wall time of garb train, with an empty
// cache of features, divided by that of Keras.
//
//	go run ./bench/frozen DATA XCEPTION.safetensors
//
// DATA is the small clothing data set. The command needs bin/garb (make build), and a Python with Keras,
// TensorFlow and SciPy, which GARB_PYTHON names. Keras trains for some steps only, whose time is
// multiplied by the number of steps in ten epochs. garb trains for ten epochs; with augmentation for two
// and then four, from which the time of ten is computed.
package main

import (
	"cmp"
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

// augmentation has the flags of the course's augmentation.
var augmentation = []string{"--shear", "10", "--zoom", "0.1", "--horizontal-flip"}

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
	for _, augmented := range []bool{false, true} {
		peer, err := timePeer(data, weights, augmented)
		if err != nil {
			log.Fatal(err)
		}
		theirs := epochs * (peer.Step*countBatches(splits.Train.Set) +
			peer.ValidationStep*countBatches(splits.Validation))
		ours, err := train(data, weights, augmented)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("augmented %-5v  garb %.0f s, %s %.0f s (%.0f ms a step): ratio %.2f\n", augmented, ours,
			peer.Name, theirs, 1000*peer.Step, ours/theirs)
	}
}

// peerTimes has the seconds that a step takes Keras.
type peerTimes struct {
	Name           string  `json:"name"`
	Step           float64 `json:"step"`
	ValidationStep float64 `json:"validation_step"`
}

// timePeer times some steps of Keras.
func timePeer(data, weights string, augmented bool) (peerTimes, error) {
	python := cmp.Or(os.Getenv("GARB_PYTHON"), "python3")
	args := []string{filepath.Join("bench", "peers", "frozen.py"), data, weights,
		fmt.Sprint(peerSteps), fmt.Sprint(peerValidation)}
	if augmented {
		args = append(args, "--augment")
	}
	c := exec.Command(python, args...)
	c.Stderr = os.Stderr
	var times peerTimes
	text, err := c.Output()
	if err == nil {
		err = json.Unmarshal(text, &times)
	}
	return times, err
}

// countBatches returns the number of batches in an epoch.
func countBatches(s *dataset.Set) float64 { return float64((len(s.Samples) + batch - 1) / batch) }

// train returns the seconds that ten epochs take garb, with an empty cache of features.
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
			args = append(args, augmentation...)
		}
		c := exec.Command("bin/garb", args...)
		c.Env = append(os.Environ(), "GARB_HOME="+folder)
		c.Stderr = os.Stderr
		began := time.Now()
		failure := c.Run()
		return time.Since(began).Seconds(), failure
	}
	if !augmented {
		return run("run", epochs)
	}
	// The features of the validation and test pictures are computed in the first run only.
	whole, err := run("first", augmentedEpochs)
	if err != nil {
		return 0, err
	}
	again, err := run("second", 2*augmentedEpochs)
	if err != nil {
		return 0, err
	}
	// The second run, whose start takes next to no time, gives the time of an epoch.
	return whole - again/2 + again/(2*augmentedEpochs)*epochs, nil
}
