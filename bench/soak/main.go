//go:build linux

// Command soak holds garb's service under load and among faults for minutes, and checks that no answer is
// wrong or lost and that memory, goroutines and descriptors return to where they began.
//
//	go run ./bench/soak [-garb bin/garb] [-duration 5m] [-clients 8]
//
// It uses this machine's loopback addresses only, and ends by itself. Linux lets it use all of 127.0.0.0/8:
// each fault comes from an address of its own. There are two services: the first one has the load and most
// faults; the second one has API keys, TLS and a log on a small disk, which are what these faults are about.
//
// First and last there are only clients that behave; in between there are also all faults, each again and
// again. At the end, the first service is stopped under full load.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	binary := flag.String("garb", "bin/garb", "the garb command to start")
	duration := flag.Duration("duration", 5*time.Minute, "how long, from 20s to 1h")
	clients := flag.Int("clients", 8, "clients that send requests at saturation, from 1 to 64")
	model := flag.String("model", "model/clothing.safetensors", "a model file, to publish as versions")
	flag.Parse()
	if *duration < 20*time.Second || *duration > time.Hour || *clients < 1 || *clients > 64 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, *binary, *model, *duration, *clients)
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

// soak is the services under load, and what was observed.
type soak struct {
	*record
	service, guarded *service
	folder           string // temporary, for all files
	model            []byte // of a model file
	photo            []byte
	answer           string // the predictions for the photo
}

// run starts the services, holds them under load, stops them, and reports whether they did as they should.
func run(ctx context.Context, binary, model string, duration time.Duration, clients int) (ok bool, err error) {
	folder, err := os.MkdirTemp("", "garb-soak-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	s := &soak{record: newRecord(), folder: folder, photo: drawPhoto()}
	if s.model, err = os.ReadFile(model); err != nil {
		return false, err
	}
	unmount, err := s.prepare()
	if err != nil {
		return false, err
	}
	defer unmount()
	if err = s.startServices(ctx, binary); err != nil {
		return false, err
	}
	defer s.service.kill()
	defer s.guarded.kill()

	start, err := s.observeQuietly(ctx, clients, max(duration/20, 3*time.Second), nil)
	if err != nil {
		return false, err
	}
	peak, err := s.observeFaults(ctx, clients, duration)
	if err != nil {
		return false, err
	}
	end, err := s.observeQuietly(ctx, clients, 3*time.Minute, start)
	if err != nil {
		return false, err
	}
	stopping, err := s.stopUnderLoad(clients)
	if err != nil {
		return false, err
	}
	return s.report(start, peak, end, stopping) && ctx.Err() == nil, nil
}

// prepare makes the files of the services. The function that it returns unmounts the small disk, if this
// user may mount one.
func (s *soak) prepare() (unmount func(), err error) {
	unmount = func() {}
	disk := s.path("disk")
	if err = os.Mkdir(disk, 0o700); err != nil {
		return unmount, err
	}
	if err = syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		s.skip("full disk for the log", fmt.Sprintf("a small disk cannot be mounted: %v", err))
	} else {
		unmount = func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) }
	}
	for _, write := range []func() error{
		func() error { _, failure := s.writeCertificate(); return failure },
		func() error { return s.publish(1, s.model) },
		func() error { return os.WriteFile(s.path("garb.yaml"), []byte("queue: 64\n"), 0o600) },
		func() error { return os.WriteFile(s.path("keys"), []byte(apiKey+"\n"), 0o600) },
	} {
		if err = write(); err != nil {
			unmount()
			return nil, err
		}
	}
	return unmount, nil
}

// startServices starts both services, and remembers the answer to the photo.
func (s *soak) startServices(ctx context.Context, binary string) (err error) {
	if s.service, err = startService(ctx, binary, s.path("log"), "--models", s.path("models"),
		"--models-interval", "500ms", "--header-timeout", "2s", "--timeout", "10s", "--config", s.path("garb.yaml"),
	); err != nil {
		return err
	}
	if s.guarded, err = startService(ctx, binary, s.path("disk", "log"), "--api-key-file", s.path("keys"),
		"--tls-cert", s.path("cert.pem"), "--tls-key", s.path("key.pem"), "--header-timeout", "2s"); err != nil {
		s.service.kill()
		return err
	}
	client := newClient(honestAddress, false)
	defer client.CloseIdleConnections()
	status, text, err := s.classify(ctx, client, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the first answer is %d: %s", status, text)
	}
	if err != nil {
		s.service.kill()
		s.guarded.kill()
		return err
	}
	s.answer = cutPredictions(text)
	return nil
}

// path returns the path of a file in the temporary folder.
func (s *soak) path(names ...string) string {
	return filepath.Join(append([]string{s.folder}, names...)...)
}

// observeQuietly observes the services while there are only honest clients. It ends when the time is over,
// or when the levels are those of start again.
func (s *soak) observeQuietly(ctx context.Context, clients int, time time.Duration, start *levels) (*levels, error) {
	ctx, end := context.WithTimeout(ctx, time)
	defer end()
	wait := s.startHonestClients(ctx, clients)
	defer wait()
	defer end()
	last, _, err := s.watch(ctx, func(now *levels) bool { return start != nil && now.check(start) == nil })
	return last, err
}

// observeFaults observes the services while there are honest clients and faults. It returns the highest
// levels.
func (s *soak) observeFaults(ctx context.Context, clients int, duration time.Duration) (*levels, error) {
	ctx, end := context.WithCancel(ctx)
	time.AfterFunc(duration, end) // a deadline would end connections a little before the context
	wait := s.startHonestClients(ctx, clients)
	waitFaults := s.startFaults(ctx)
	defer wait()
	defer waitFaults()
	defer end()
	_, highest, err := s.watch(ctx, func(*levels) bool { return false })
	return highest, err
}

// startHonestClients starts the clients that behave. They end with ctx, and the function that it returns
// waits for that.
func (s *soak) startHonestClients(ctx context.Context, clients int) (wait func()) {
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() { s.load(ctx, i) })
	}
	return group.Wait
}

// stopUnderLoad stops the first service while clients send requests until nobody answers. It returns what
// they saw.
func (s *soak) stopUnderLoad(clients int) (stopping *record, err error) {
	ctx, end := context.WithTimeout(context.Background(), 20*time.Second)
	defer end()
	during := *s
	during.record = newRecord()
	during.stopping = true
	wait := during.startHonestClients(ctx, clients)
	pause(ctx, 500*time.Millisecond)
	if err = s.service.command.Process.Signal(syscall.SIGTERM); err != nil {
		return nil, err
	}
	err = <-s.service.ended
	end()
	wait()
	if err != nil {
		during.violate("stopping", fmt.Sprintf("the service ended with %v", err))
	}
	return during.record, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
