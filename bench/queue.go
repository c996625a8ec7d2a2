package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// queuePictures is the number of pictures of a run: so many that starting the processes matters
// little, as it does for those who need a queue.
const queuePictures = 1000

// measureQueueOverhead measures the time that the work queue takes for a picture, with one worker of
// one thread: put, work and get with a server in a new folder. What it is compared with is garb
// classify, with one thread, on the same pictures. Both print the same.
func measureQueueOverhead(ctx context.Context, b *bench) (result, error) {
	if _, err := os.Stat(b.garb); err != nil {
		return result{Skipped: fmt.Sprintf("there is no %s: run make build, or name garb with -garb", b.garb)}, nil
	}
	pictures := filepath.Join(b.folder, "queued")
	if err := b.linkPictures(ctx, pictures); err != nil {
		return result{}, err
	}
	r := result{Unit: milliseconds, Same: true}
	r.Peer.Name = "garb classify"
	var queued, classified string
	err := b.alternate(
		func() (times []float64, err error) {
			queued, times, err = b.timeQueue(ctx, pictures)
			return times, err
		},
		func() (times []float64, err error) {
			began := time.Now()
			classified, err = b.runGarb(ctx, "classify", "--json", pictures)
			return []float64{1000 * time.Since(began).Seconds() / queuePictures}, err
		}, &r)
	r.Same = queued == classified
	return r, err
}

// timeQueue classifies the pictures with a new queue. It returns the answers and the time for a
// picture, in milliseconds.
func (b *bench) timeQueue(ctx context.Context, pictures string) (string, []float64, error) {
	queue, err := os.MkdirTemp(b.folder, "queue-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(queue)
	began := time.Now()
	if _, err = b.runGarb(ctx, "queue", "put", "--queue", queue, pictures); err != nil {
		return "", nil, err
	}
	if _, err = b.runGarb(ctx, "queue", "work", "--queue", queue, "--threads", "1"); err != nil {
		return "", nil, err
	}
	answers, err := b.runGarb(ctx, "queue", "get", "--queue", queue)
	return answers, []float64{1000 * time.Since(began).Seconds() / queuePictures}, err
}

// runGarb runs garb on one core and returns what it printed.
func (b *bench) runGarb(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, b.garb, append([]string{"--quiet"}, args...)...)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("garb %v: %w", args, err)
	}
	return string(text), nil
}

// linkPictures fills a folder with as many links to the small picture as a run has pictures.
func (b *bench) linkPictures(ctx context.Context, folder string) error {
	photo, err := b.findPicture(ctx, smallPicture)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for i := range queuePictures {
		if err = os.Link(photo, filepath.Join(folder, fmt.Sprintf("%04d.jpg", i))); err != nil {
			return err
		}
	}
	return nil
}
