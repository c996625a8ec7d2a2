//go:build js && wasm

// Command garb-wasm is garb in a browser: its program, garb.wasm, classifies pictures on the visitor's
// device. garb.js loads it and documents its function classify. Build it with
//
//	GOOS=js GOARCH=wasm go build -tags small,simd128 -trimpath -ldflags '-s -w' -o garb.wasm ./cmd/garb-wasm
package main

import (
	"context"
	"encoding/json"
	"syscall/js"

	"garb"
	"garb/picture"
)

// maxDecodedPixels is the largest width × height of what is decoded. It keeps garb below about 500 MB, which
// phones grant a page.
const maxDecodedPixels = 24_000_000

// main opens the model, passes the function classify to globalThis.garbReady, and waits for calls.
func main() {
	ready := js.Global().Get("garbReady")
	limits := picture.DefaultLimits()
	limits.MaxDecodedPixels = maxDecodedPixels
	classifier, err := garb.Default(garb.WithLimits(limits))
	if err != nil {
		ready.Invoke(js.Null(), err.Error())
		return
	}
	ready.Invoke(js.FuncOf(func(_ js.Value, arguments []js.Value) any {
		answer, err := classify(classifier, arguments)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		return map[string]any{"answer": answer}
	}), js.Null())
	select {}
}

// classify returns the answer to a picture as JSON. arguments is the list of JavaScript's arguments: one
// Uint8Array with the bytes of the picture's file, as garb.js passes them.
func classify(classifier *garb.Classifier, arguments []js.Value) (string, error) {
	data := make([]byte, arguments[0].Length())
	js.CopyBytesToGo(data, arguments[0])
	answer, err := classifier.Classify(context.Background(), garb.FromBytes(data))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(answer)
	return string(text), err
}
