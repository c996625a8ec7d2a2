package main

import (
	"context"
	"fmt"
	"strings"
)

// Units of the series.
const (
	milliseconds = "ms"
	megabytes    = "MB" // 10⁶ bytes
)

// row is a row of the table.
type row struct {
	name    string
	target  float64 // the largest figure that meets the target; 0: there is none
	measure func(context.Context, *bench) (result, error)
}

// table has all rows. Their targets are those of the issues that asked for the measurements. The cold
// rows come first: Linux charges a process at least with its parent's peak memory, which is small then.
var table = newTable()

func newTable() []row {
	all := []row{
		{"cold/time", 120, measureColdTime},         // ms
		{"cold/memory", 150, measureColdMemory},     // MB
		{"lambda/cold", 250, measureLambdaTime},     // ms
		{"lambda/memory", 134, measureLambdaMemory}, // MB: 128 MiB
	}
	all = append(all, newPictureRows()...)
	all = append(all,
		row{"browser/node", 1, measureBrowser("node")},
		row{"browser/chromium", 1, measureBrowser("chromium")},
		row{"browser/size", 1, measureBrowserSize},
	)
	for _, network := range []struct {
		name, architecture string
		side               int
		peer               string
		target             float64
	}{
		{"lite0", "efficientnet-lite0", 224, "onnxruntime", 1.25},
		{"xception", "xception", 299, "onnxruntime", 1.25},
		{"xception-keras", "xception", 299, "keras", 0},
	} {
		for _, batch := range []int{1, 32} {
			for _, threads := range []int{1, 2} {
				all = append(all, row{
					fmt.Sprintf("%s/batch=%d/threads=%d", network.name, batch, threads), network.target,
					measurePair(subject{
						Peer: network.peer, Architecture: network.architecture,
						Side: network.side, Batch: batch, Threads: threads,
					}),
				})
			}
		}
	}
	all = append(all,
		row{"train-lite0/pytorch", 0.6, measurePair(newTrainingSubject("pytorch"))},
		row{"train-lite0/keras", 0.4, measurePair(newTrainingSubject("keras"))},
	)
	all = append(all,
		row{"neon/lite0", 1. / 8, countPair(
			subject{Architecture: "efficientnet-lite0", Side: 224, Batch: 1, Threads: 1}, 1)},
		row{"neon/jpeg", 0, countPair(subject{Picture: smallPicture}, 10)},
		row{"neon/resize", 0, countPair(subject{Picture: smallPicture, Side: 224, Decoded: true}, 10)},
	)
	all = append(all, newConvertedRows()...)
	all = append(all, newModelRows()...)
	return append(all,
		row{"queue/overhead", 1.03, measureQueueOverhead},
		row{"train-lite0/memory", 2500, measureTrainingMemory}, // MB
		row{"serve/ready", 200, measureReady},                  // ms
		row{"serve/saturation", 1 / 0.85, compareThroughput},   // ms a picture, and so the inverse of throughput
		row{"serve/fastapi", 0.5, comparePeer("FastAPI, ONNX Runtime, Pillow")},
		row{"serve/fastapi-tuned", 0.5, comparePeer("the same, tuned", "--tuned")},
		row{"serve/p99-random", 1.5, compareLatency(true)}, // ms
		row{"serve/p99-regular", 3, compareLatency(false)}, // ms
	)
}

// newPictureRows returns the rows of pictures. OpenCV's resize has no antialiasing, so that its pixels
// are not compared.
func newPictureRows() (all []row) {
	for _, peer := range []string{"pillow", "simplejpeg", "opencv"} {
		for _, picture := range []struct {
			file   string
			target float64
		}{{largePicture, 0.8}, {smallPicture, 0.5}} {
			all = append(all, row{"picture/" + picture.file + "/" + peer, picture.target,
				measurePair(subject{Peer: peer, Picture: picture.file, Side: 224, Loose: peer == "opencv"})})
		}
	}
	for _, file := range encodedPictures {
		target := 1.2
		if strings.HasSuffix(file, ".avif") || strings.HasSuffix(file, ".heic") { // in a sandbox
			target = 0
		}
		all = append(all, row{"picture/" + file, target, measurePair(subject{Peer: "pillow", Picture: file})})
	}
	return all
}

// newTrainingSubject returns a training step of all layers of Lite0.
func newTrainingSubject(peer string) subject {
	return subject{Peer: peer, Train: true, Architecture: "efficientnet-lite0", Side: 224, Batch: 32, Threads: 2}
}

// measurePair returns a measurement of a subject on garb and on its peer, in turn.
func measurePair(s subject) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) { return b.compare(ctx, s) }
}
