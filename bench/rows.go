package main

import (
	"context"
	"fmt"
)

// Units of the series.
const (
	milliseconds = "ms"
	megabytes    = "MB" // 10⁶ bytes
)

// row is one line of the table.
type row struct {
	name    string
	target  float64 // the largest figure that is good enough; 0: none is set
	measure func(context.Context, *bench) (result, error)
}

// table is what is measured. Targets are those of the issues that asked for it. The cold rows come
// first: a process that Linux starts is
// charged at least its parent's peak memory, which is small then.
var table = rows()

func rows() []row {
	all := []row{
		{"cold/time", 120, coldTime},     // ms
		{"cold/memory", 150, coldMemory}, // MB
		{"picture/12-megapixel", 1.2, pair(subject{Peer: "pillow", Picture: largePicture, Side: 224})},
		{"picture/400x533", 1.2, pair(subject{Peer: "pillow", Picture: smallPicture, Side: 224})},
	}
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
					pair(subject{
						Peer: network.peer, Architecture: network.architecture,
						Side: network.side, Batch: batch, Threads: threads,
					}),
				})
			}
		}
	}
	for _, p := range []struct {
		name   string
		target float64
	}{{"pytorch", 0.6}, {"keras", 0.4}} {
		all = append(all, row{"train-lite0/" + p.name, p.target, pair(fineTuned(p.name))})
	}
	all = append(all, convertedRows()...)
	all = append(all, modelRows()...)
	return append(all,
		row{"train-lite0/memory", 2500, fineTuneMemory},    // MB
		row{"serve/ready", 200, serveReady},                // ms
		row{"serve/saturation", 1 / 0.85, serveThroughput}, // ms a picture, and so the inverse of throughput
		row{"serve/fastapi", 0.5, servePeer("FastAPI, ONNX Runtime, Pillow")},
		row{"serve/fastapi-tuned", 0.5, servePeer("the same, tuned", "--tuned")},
		row{"serve/p99-random", 3, serveLatency(true)},   // ms
		row{"serve/p99-regular", 3, serveLatency(false)}, // ms
	)
}

// fineTuned is a training step of all layers of Lite0.
func fineTuned(peer string) subject {
	return subject{Peer: peer, Train: true, Architecture: "efficientnet-lite0", Side: 224, Batch: 32, Threads: 2}
}

// pair measures a subject on garb and on its peer, in turn.
func pair(s subject) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) { return b.compare(ctx, s) }
}
