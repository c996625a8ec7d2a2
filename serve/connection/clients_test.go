package connection

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a handler on a free port, and returns its host and port. At the end of the test the server has to
// stop.
func start(t testing.TB, handler http.Handler, change func(*Config)) (*Server, string) {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	s, err := New(c, handler)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// refusals are the paths of refuser: the status, and how the body is read before.
var refusals = []string{"401", "404", "405", "413", "413-midway", "415", "429", "503"}

// refuser refuses each request with the status in its path: before it reads the body, or in the middle.
var refuser = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	status, how, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "-")
	code, err := strconv.Atoi(status)
	if err != nil {
		code = http.StatusTeapot
	}
	if how == "midway" {
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 500_000)); err == nil {
			code = http.StatusTeapot
		}
	}
	http.Error(w, "refused", code)
})

// peer runs a program from testdata. It skips the test if the variable that names the interpreter is not set.
func peer(t *testing.T, variable, script string, arguments ...string) string {
	t.Helper()
	interpreter := os.Getenv(variable)
	if interpreter == "" {
		t.Skipf("set %s to run testdata/%s", variable, script)
	}
	command := exec.CommandContext(t.Context(), interpreter,
		append([]string{filepath.Join("testdata", script)}, arguments...)...)
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestClientsReadTheAnswer has real clients send bodies that the server refuses. All of them must read the status,
// although most send the whole body first.
func TestClientsReadTheAnswer(t *testing.T) {
	tries, sizes := 10, []int{1 << 20, 6 << 20, 40 << 20}
	if os.Getenv("GARB_NODE") == "" {
		tries = 1 // not the full run: with all clients it takes minutes
	}
	patient := func(c *Config) { c.Linger.Timeout, c.Linger.Idle, c.Linger.StreamIdle = patience, patience, patience }
	_, host := start(t, refuser, patient)
	_, secureHost := start(t, refuser, func(c *Config) { patient(c); c.TLS = certificate(t) })
	plain, secure := "http://"+host, "https://"+secureHost
	// Go's client stops sending over HTTP/2, and waits for the end of the answer.
	_, impatientHost := start(t, refuser, func(c *Config) { c.Linger.StreamIdle = 10 * time.Millisecond })
	impatient := "http://" + impatientHost
	script := func(variable, script, base string, client ...string) func(t *testing.T) string {
		arguments := append(client, base, strconv.Itoa(tries))
		for _, size := range sizes {
			arguments = append(arguments, strconv.Itoa(size))
		}
		arguments = append(append(arguments, "--"), refusals...)
		return func(t *testing.T) string { return peer(t, variable, script, arguments...) }
	}
	command := func(base string, options ...string) func(t *testing.T) string {
		return func(t *testing.T) string { return curl(t, base, tries, sizes, options...) }
	}
	want := fmt.Sprintf("read %d", tries*len(sizes)*len(refusals))
	for name, run := range map[string]func(t *testing.T) string{
		"urllib":              script("GARB_PYTHON", "client.py", plain, "urllib"),
		"http.client":         script("GARB_PYTHON", "client.py", plain, "http.client"),
		"requests":            script("GARB_PYTHON", "client.py", plain, "requests"),
		"node http":           script("GARB_NODE", "client.mjs", plain, "http"),
		"node fetch":          script("GARB_NODE", "client.mjs", plain, "fetch"),
		"node http2":          script("GARB_NODE", "client.mjs", plain, "http2"),
		"node http2 and TLS":  script("GARB_NODE", "client.mjs", secure, "http2"),
		"Java":                script("GARB_JAVA", "Client.java", plain),
		"Java and TLS":        script("GARB_JAVA", "Client.java", secure),
		"curl":                command(plain),
		"curl without Expect": command(plain, "-H", "Expect:"),
		"curl over HTTP2":     command(plain, "--http2-prior-knowledge"),
		"curl and TLS":        command(secure, "-k", "--http1.1"),
		"curl, HTTP2 and TLS": command(secure, "-k"),
		"Go":                  func(t *testing.T) string { return goClient(t, plain, tries, sizes, false) },
		"Go over HTTP2":       func(t *testing.T) string { return goClient(t, impatient, tries, sizes, true) },
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			if out := strings.TrimSpace(run(t)); out != want {
				t.Errorf("want %q:\n%.4000s", want, out)
			}
			t.Logf("%v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// curl sends the bodies with curl, in a process for each: curl 7.88 fails when it uses an HTTP/2 connection again
// without TLS, whatever the server.
func curl(t *testing.T, base string, tries int, sizes []int, options ...string) string {
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("install curl, and have it in PATH")
	}
	folder := t.TempDir()
	for _, size := range sizes {
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(size)), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return eachBody(base, tries, sizes, func(url string, size int) (string, error) {
		body := filepath.Join(folder, strconv.Itoa(size))
		command := exec.CommandContext(t.Context(), program, append(options, "-sS", "-o", os.DevNull, "-w",
			"%{http_code}", "--data-binary", "@"+body, url)...)
		out, err := command.CombinedOutput()
		return string(out), err
	})
}

// eachBody calls send for each size, refusal and try; refusals are sent at a time. It returns the failures, and then
// how many statuses were read, as the programs in testdata do.
func eachBody(base string, tries int, sizes []int, send func(url string, size int) (string, error)) string {
	var mu sync.Mutex // of the results
	var failures strings.Builder
	read := 0
	for _, size := range sizes {
		var sent sync.WaitGroup
		for _, path := range refusals {
			want, _, _ := strings.Cut(path, "-")
			sent.Go(func() {
				for try := range tries {
					have, err := send(base+"/"+path, size)
					mu.Lock()
					if err == nil && have == want {
						read++
					} else {
						fmt.Fprintf(&failures, "%d bytes, %s, try %d: %s, %v\n", size, path, try, have, err)
					}
					mu.Unlock()
				}
			})
		}
		sent.Wait()
	}
	return failures.String() + fmt.Sprintf("read %d", read)
}

// goClient sends the bodies with net/http.
func goClient(t *testing.T, base string, tries int, sizes []int, http2 bool) string {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	body := make([]byte, slices.Max(sizes))
	return eachBody(base, tries, sizes, func(url string, size int) (string, error) {
		have, err := sendBody(t.Context(), client, url, body[:size])
		return strconv.Itoa(have), err
	})
}

func sendBody(ctx context.Context, client *http.Client, url string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
