//go:build !small

package main

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// startBucket starts a local S3 server with a bucket named b, and returns it with a function that
// returns the URL of a key.
func startBucket(t *testing.T) (*s3mem.Backend, func(key string) string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "verysecret", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": t.TempDir() + "/none", "AWS_PROFILE": "",
		"AWS_SHARED_CREDENTIALS_FILE": t.TempDir() + "/none", "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_S3": "",
	} {
		t.Setenv(name, value)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("b"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	query := url.Values{"endpoint": {server.URL}, "use_path_style": {"true"}}
	return backend, func(key string) string {
		return (&url.URL{Scheme: "s3", Host: "b", Path: "/" + key, RawQuery: query.Encode()}).String()
	}
}

// Pictures come from an object store, and the results go to one.
func TestQueueObjectStore(t *testing.T) {
	backend, locate := startBucket(t)
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	for _, name := range []string{"dark/0.png", "dark/broken.png", "light/0.png"} {
		picture := readFile(t, filepath.Join(data, filepath.FromSlash(name)))
		_, err := backend.PutObject("b", "pictures/"+name, nil, bytes.NewReader(picture), int64(len(picture)), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, said := runQueue(t, 0, dir, "put", locate("pictures/")); !strings.Contains(said, "put 3 pictures") {
		t.Error(said)
	}
	if _, said := runQueue(t, 0, dir, "put", locate("pictures/")); !strings.Contains(said, "had 3 already") {
		t.Error(said)
	}
	if _, said := runQueue(t, 0, dir, "work"); !strings.Contains(said, "2 pictures done, 1 dead") {
		t.Error(said)
	}
	want, _ := runQueue(t, 0, dir, "get")
	runQueue(t, 0, dir, "get", "--out", locate("results/rows.jsonl"))
	object, err := backend.GetObject("b", "results/rows.jsonl", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(object.Contents); err != nil || got.String() != want || strings.Count(want, "\n") != 3 {
		t.Errorf("%v: the object has\n%s, want\n%s", err, got.String(), want)
	}
}

// An object that is changed between put and work becomes a dead letter.
func TestQueueObjectChanged(t *testing.T) {
	backend, locate := startBucket(t)
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	write := func(from, to string) {
		picture := readFile(t, filepath.Join(data, filepath.FromSlash(from)))
		if _, err := backend.PutObject("b", to, nil, bytes.NewReader(picture), int64(len(picture)), nil); err != nil {
			t.Fatal(err)
		}
	}
	write("dark/0.png", "pictures/a.png")
	write("dark/0.png", "pictures/b.png")
	runQueue(t, 0, dir, "put", locate("pictures/"))
	write("light/0.png", "pictures/a.png")
	if _, said := runQueue(t, 0, dir, "work"); !strings.Contains(said, "1 picture done, 1 dead") {
		t.Error(said)
	}
	if out, _ := runQueue(t, 0, dir, "status", "--dead"); !strings.Contains(out, "it was changed after it was put") {
		t.Error(out)
	}
}

// A worker that is interrupted ends with its exit code, and the next one does the rest.
func TestQueueWorkInterrupted(t *testing.T) {
	terminate := func(t *testing.T, c *exec.Cmd) {
		t.Helper()
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			c.Process.Kill()
			c.Wait()
			t.Skip(err) // Windows has no such signal
		}
	}
	for name, stop := range map[string]func(*testing.T, *exec.Cmd){"interrupt": interrupt, "terminate": terminate} {
		t.Run(name, func(t *testing.T) { testQueueWorkStopped(t, stop) })
	}
}

func testQueueWorkStopped(t *testing.T, stop func(*testing.T, *exec.Cmd)) {
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	runQueue(t, 0, dir, "put", data)
	// The first worker waits for more pictures, and so is at work when it gets the signal.
	p := newGarbProcess(t, "queue", "work", "--queue", dir, "--wait")
	var said bytes.Buffer
	p.Stderr = &said
	makeInterruptible(p)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		out, _ := runQueue(t, 0, dir, "status", "--json")
		if strings.Contains(out, `"left":0`) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	runQueue(t, 0, dir, "put", "../../examples/t-shirt.jpg")
	stop(t, p)
	p.Wait() //nolint:errcheck // the exit code is compared
	if code := p.ProcessState.ExitCode(); code != exitStopped {
		t.Errorf("exit code %d: %s", code, said.String())
	}
	runQueue(t, 0, dir, "work")
	if out, _ := runQueue(t, 0, dir, "get"); strings.Count(out, "\n") != 18 {
		t.Error(out)
	}
}

// Another process reaches a folder that listens, if it has the token.
func TestQueueListen(t *testing.T) {
	t.Setenv(queueTokenVariable, "secret")
	data, dir := drawQueued(t), filepath.Join(t.TempDir(), "queue")
	runQueue(t, 0, dir, "put", data)
	p := newGarbProcess(t, "queue", "status", "--queue", dir, "--listen", "127.0.0.1:0", "--watch")
	said, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = p.Start(); err != nil {
		t.Fatal(err)
	}
	var text [300]byte
	n, err := said.Read(text[:])
	_, address, found := strings.Cut(string(text[:n]), "--nats ")
	if err != nil || !found {
		t.Fatalf("%v: %s", err, text[:n])
	}
	address = strings.TrimSpace(address)
	t.Setenv(queueTokenVariable, "wrong")
	if code, _, said := runGarb(t, nil, "queue", "work", "--nats", address); code != exitFailed ||
		!strings.Contains(strings.ToLower(said), "authorization") {
		t.Error(code, said)
	}
	t.Setenv(queueTokenVariable, "secret")
	if code, _, said := runGarb(t, nil, "queue", "work", "--nats", address); code != 0 {
		t.Error(code, said)
	}
	if err := p.Wait(); err != nil { // --watch ends with the job
		t.Error(err)
	}
	if out, _ := runQueue(t, 0, dir, "get"); strings.Count(out, "\n") != 17 {
		t.Error(out)
	}
}
