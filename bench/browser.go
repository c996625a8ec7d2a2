package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// measureBrowser returns a measurement of garb.wasm beside ONNX Runtime Web in node or in Chromium, from the bytes
// of a JPEG to the answer, with the built-in clothing model. Their resizing differs. ONNX Runtime gets float32 weights,
// because it is slower with int8 ones, which it would scale for each picture.
func measureBrowser(host string) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		r := result{Unit: milliseconds}
		garb, peer, err := b.startBrowsers(ctx, host, "--force")
		if err != nil {
			return skipRow(err)
		}
		defer garb.stop()
		defer peer.stop()
		path, err := b.findPicture(ctx, smallPicture)
		if err != nil {
			return result{}, err
		}
		if err = compareOutputs(garb, peer, subject{Picture: path, Loose: true}, &r); err != nil {
			return skipRow(err)
		}
		err = b.timeWorkers(garb, peer, &r)
		return r, err
	}
}

// measureBrowserSize compares the sizes of all that a page loads for an answer, compressed with Brotli. Both have
// int8 weights.
func measureBrowserSize(ctx context.Context, b *bench) (result, error) {
	r := result{Unit: megabytes, Same: true}
	garb, peer, err := b.startBrowsers(ctx, "node", "--force", "--quantize", "int8")
	if err != nil {
		return skipRow(err)
	}
	defer garb.stop()
	defer peer.stop()
	var sizes [2]float64
	for i, side := range []*process{garb, peer} {
		answer, failure := side.ask(request{Op: "size"})
		if failure != nil {
			return result{}, failure
		}
		sizes[i] = float64(answer.Output[0]) / 1e6
		r.Peer.Name = answer.Name
	}
	r.Garb.summarize(sizes[:1])
	r.Peer.summarize(sizes[1:])
	r.Ratio = sizes[0] / sizes[1]
	return r, nil
}

// startBrowsers starts the workers of garb.wasm and of ONNX Runtime Web, each on a core. flags are those of garb
// convert for the latter's model.
func (b *bench) startBrowsers(ctx context.Context, host string, flags ...string) (garb, peer *process, err error) {
	folder := filepath.Join("docs", "try")
	modules := os.Getenv("GARB_NODE_MODULES")
	switch {
	case modules == "":
		return nil, nil, &skipError{"GARB_NODE_MODULES names no node_modules with what bench/peers/package.json lists"}
	case host == "chromium" && os.Getenv("GARB_BROWSER") == "":
		return nil, nil, &skipError{"GARB_BROWSER names no Chromium"}
	}
	if _, err = os.Stat(filepath.Join(folder, "garb.wasm")); err != nil {
		return nil, nil, &skipError{fmt.Sprintf("there is no %s: run make try", folder)}
	}
	model := filepath.Join(b.folder, "clothing.onnx")
	convert := exec.CommandContext(ctx, b.garb, append([]string{"convert", "clothing", model, "--with-preprocessing"},
		flags...)...)
	if output, failure := convert.CombinedOutput(); failure != nil {
		return nil, nil, fmt.Errorf("%w: %s", failure, output)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, nil, err
	}
	var sides [2]*process
	for i, kind := range []string{"garb", "onnxruntime"} {
		sides[i], err = startWorker(ctx, 1, "node", filepath.Join(b.folder, "peers", "browser.mjs"), kind, host, folder,
			modules, model)
		if err != nil {
			if i > 0 {
				sides[0].stop()
			}
			return nil, nil, err
		}
	}
	return sides[0], sides[1], nil
}
