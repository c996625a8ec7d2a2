package results_test

import (
	"os"

	"garb/results"
)

// output is a results.File that prints.
type output struct{}

func (output) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (output) Close() error                { return nil }
func (output) Abort() error                { return nil }

func ExampleNewLines() {
	w, err := results.NewLines(output{}, results.Options{Kind: results.KindEmbeddings})
	if err != nil {
		panic(err)
	}
	w.Write(results.Embedding{Picture: "shirt.jpg", Embedding: []float32{0.25, 1}})
	w.Write(results.PictureError{Picture: "empty.jpg", Error: results.Failure{Kind: "empty",
		Message: "the file is empty"}})
	w.Close()
	// Output:
	// {"picture":"shirt.jpg","embedding":[0.25,1]}
	// {"picture":"empty.jpg","error":{"kind":"empty","message":"the file is empty"}}
}
