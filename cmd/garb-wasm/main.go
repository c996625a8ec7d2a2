//go:build js && wasm

// Command garb-wasm is garb in a browser: its program, garb.wasm, classifies pictures on the visitor's
// device. page/garb.js loads it and documents its function classify. Package make, beside this one, builds it.
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
		answer, err := classify(classifier, limits, arguments[0])
		if err != nil {
			return map[string]any{"code": code(err), "error": err.Error()}
		}
		return map[string]any{"answer": answer}
	}), js.Null())
	select {}
}

// classify returns the answer to a picture as JSON. file is a Uint8Array with the picture's file.
func classify(classifier *garb.Classifier, limits picture.Limits, file js.Value) (string, error) {
	size := file.Length()
	if int64(size) > limits.MaxBytes { // before the copy
		return "", &picture.Error{Kind: picture.TooLarge, Detail: "the file has more bytes than the limit"}
	}
	data := make([]byte, size)
	js.CopyBytesToGo(data, file)
	answer, err := classifier.Classify(context.Background(), garb.FromBytes(data))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(answer)
	return string(text), err
}

// code returns the code of an error for garb.js.
func code(err error) string {
	if kind := picture.KindOf(err); kind != "" {
		return kind
	}
	return "broken"
}
