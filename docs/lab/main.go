// Command lab runs the commands on the lab's pages, and copies their output and pictures into
// the pages.
//
//	go run ./docs/lab DATA
//
// DATA is the small clothing data set. The program needs bin/garb (make build). It keeps all
// runs in runs/lab, so you can stop it and start it again. To repeat the runs, remove that
// folder, or a part of it together with runs/lab/printed.
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
	for _, page := range pages { // in order, because later pages use the runs of earlier ones
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		run := func(commands []string) ([]string, error) { return shell.run(ctx, commands) }
		filled, err := fill(string(text), run, selectCourseRows)
		if err != nil {
			return fmt.Errorf("%s: %w", page, err)
		}
		for _, p := range findPictures(filled) {
			if err := p.create(); err != nil {
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
