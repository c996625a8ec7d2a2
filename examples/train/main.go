// Command train shows garb as a library: it trains a classifier on a folder of pictures, and classifies a
// picture with it.
//
//	go run ./examples/train DATA PICTURE
//
// DATA has a folder of pictures for each class, or folders train and validation with these.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"garb"
	"garb/train"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: train DATA PICTURE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1], os.Args[2], "runs/example"); err != nil {
		log.Fatal(err)
	}
}

// run trains a model on data, saves the run in the folder out, and writes the best model's answer about a
// picture.
func run(ctx context.Context, w io.Writer, data, picture, out string) error {
	config := train.Default() // a new head on the frozen, built-in backbone
	config.Data, config.Out = data, out
	if _, err := train.Run(ctx, config, train.Progress{Epoch: func(e train.Epoch) {
		fmt.Fprintf(w, "epoch %d: loss %.3f, validation accuracy %.3f\n", e.Epoch, e.Loss, e.ValidationAccuracy)
	}}); err != nil {
		return err
	}
	classifier, err := garb.Open(out)
	if err != nil {
		return err
	}
	photo, err := os.Open(picture)
	if err != nil {
		return err
	}
	defer photo.Close()
	answer, err := classifier.Classify(ctx, garb.FromReader(photo))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s, %.0f %%\n", picture, answer.Class, 100*answer.Probability)
	return nil
}
