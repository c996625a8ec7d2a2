// Command lab runs the commands that the pages beside it tell learners to run, and sets
// into the pages what they print and the pictures that they give.
//
//	go run ./docs/lab DATA
//
// DATA is the small clothing data set. It needs bin/garb (make build). What was run is kept
// in runs/lab, so that it can be stopped and started again; remove the folder, or a part of
// it with runs/lab/printed, to run anew.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
)

const (
	folder = "docs/lab"
	kept   = "runs/lab"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: lab DATA")
	}
	data, err := filepath.Abs(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, data); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, data string) error {
	pages, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return err
	}
	shell, err := newShell(data)
	if err != nil {
		return err
	}
	for _, page := range pages { // in the order of their numbers, as later ones use earlier ones' runs
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		filled, err := fill(string(text), func(commands []string) ([]string, error) { return shell.run(ctx, commands) }, courseRows)
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		for _, p := range pictures(filled) {
			if err := p.make(); err != nil {
				return fmt.Errorf("%s: %s: %w", page, p.file, err)
			}
		}
		if err := os.WriteFile(page, []byte(filled), 0o644); err != nil {
			return err
		}
		log.Printf("%s is done", page)
	}
	return nil
}
