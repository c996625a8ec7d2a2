//go:build linux && !small

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// servingProcess is a garb serve in a process of its own.
type servingProcess struct {
	*exec.Cmd
	t      *testing.T
	client *http.Client // of its Unix socket
	socket string
	admin  string // URL of probes and metrics

	mu  sync.Mutex
	log strings.Builder
}

// startServing starts garb serve on a Unix socket, with probes and metrics on a port of their own, and waits
// until it serves both.
func startServing(t *testing.T, environment []string, args ...string) *servingProcess {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	p := &servingProcess{t: t, socket: socket, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}}
	p.Cmd = newGarbProcess(t, append([]string{"serve", "--addr", "unix:" + socket + "?mode=0600",
		"--admin-addr", "127.0.0.1:0"}, args...)...)
	p.Env = append(p.Env, environment...)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stderr = p
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "probes and metrics on "); ok {
			p.admin = "http://" + address
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p
		}
	}
	t.Fatalf("garb serve ended: %s", p.logged())
	return nil
}

func (p *servingProcess) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(text)
}

func (p *servingProcess) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// get returns the status and the body of a GET request.
func (p *servingProcess) get(client *http.Client, url string) (int, string) {
	p.t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Error(err)
	}
	return answer.StatusCode, string(text)
}

// waitUntil waits until a condition holds, for minutes.
func (p *servingProcess) waitUntil(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("never: %s\n%s", what, p.logged())
		}
	}
}

// TestServeProcess checks what only a process can show: the Unix socket and its mode, the address for probes
// and metrics, a reload by SIGHUP, notifications of systemd, and that the service drains before it stops.
//
//nolint:funlen // one process, from its start to its end
func TestServeProcess(t *testing.T) {
	folder := t.TempDir()
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	config, keys := filepath.Join(folder, "garb.yaml"), filepath.Join(folder, "keys")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keys, "a-key-for-this-test\n")
	write(config, "queue: 64\napi-key-file: "+keys+"\ndrain-delay: 1s\n")
	p := startServing(t, []string{"NOTIFY_SOCKET=" + systemd.LocalAddr().String()}, "--config", config)
	expectNotice(t, systemd, "READY=1")

	if info, err := os.Stat(p.socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	const public = "http://localhost"
	for _, c := range []struct {
		client *http.Client
		url    string
		want   int
	}{
		{p.client, public + "/readyz", 200}, {p.client, public + "/metrics", 401},
		{http.DefaultClient, p.admin + "/readyz", 200}, {http.DefaultClient, p.admin + "/metrics", 200},
		{http.DefaultClient, p.admin + "/v1/classify", 404}, {http.DefaultClient, p.admin + "/docs", 404},
	} {
		if status, text := p.get(c.client, c.url); status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.url, status, c.want, text)
		}
	}
	var out strings.Builder
	health := newGarbProcess(t, "health", "--addr", "unix:"+p.socket)
	health.Stdout, health.Stderr = &out, &out
	if err := health.Run(); err != nil || !strings.Contains(out.String(), "is ready") {
		t.Errorf("garb health: %v, %s", err, out.String())
	}

	metric := func(line string) func() bool {
		return func() bool {
			_, text := p.get(http.DefaultClient, p.admin+"/metrics")
			return strings.Contains(text, "\n"+line+"\n")
		}
	}
	p.waitUntil("the limit of the queue", metric("garb_queue_limit 64"))
	p.get(p.client, public+"/openapi.json")
	p.waitUntil("requests are logged", func() bool { return strings.Contains(p.logged(), `"path":"/openapi.json"`) })
	logged := strings.Count(p.logged(), `"path":"/openapi.json"`)
	write(config, "queue: 32\napi-key-file: "+keys+"\ndrain-delay: 1s\nworkers: 1\nquiet: true\n")
	hangUp := func() {
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		expectNotice(t, systemd, "RELOADING=1")
		expectNotice(t, systemd, "READY=1")
	}
	hangUp()
	p.waitUntil("the new limit of the queue", metric("garb_queue_limit 32"))
	p.waitUntil("the keys are read again", metric(`garb_reloads_total{file="keys",result="success"} 2`))
	p.waitUntil("a restart is asked for", func() bool { return strings.Contains(p.logged(), `"settings":["workers"]`) })
	p.get(p.client, public+"/openapi.json")
	if n := strings.Count(p.logged(), `"path":"/openapi.json"`); n != logged {
		t.Errorf("%d more requests are logged with quiet", n-logged)
	}
	write(config, "queue: none\n")
	hangUp()
	p.waitUntil("a failed reload", metric(`garb_reloads_total{file="config",result="failure"} 1`))
	if !metric("garb_queue_limit 32")() {
		t.Error("a bad file changed the queue")
	}

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expectNotice(t, systemd, "STOPPING=1")
	p.waitUntil("not ready, but still there", func() bool {
		status, _ := p.get(p.client, public+"/readyz")
		return status == 503
	})
	if status, _ := p.get(p.client, public+"/docs"); status != 200 {
		t.Errorf("while it drains: %d", status)
	}
	p.client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	if err := p.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.logged())
	}
	if _, err := os.Stat(p.socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// expectNotice waits for a notification that has a line.
func expectNotice(t *testing.T, systemd *net.UnixConn, line string) {
	t.Helper()
	if err := systemd.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := systemd.Read(buffer)
	if err != nil {
		t.Fatalf("no %s: %v", line, err)
	}
	if text := fmt.Sprintf("\n%s\n", buffer[:n]); !strings.Contains(text, "\n"+line+"\n") {
		t.Errorf("systemd is told %q, not %s", buffer[:n], line)
	}
}
