package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"garb/model"
	"garb/serve"
	"garb/serve/functiontest"
)

// buildOnce builds the program as it is deployed.
var buildOnce = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "garb-lambda")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := buildOnce(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// process is a running function.
type process struct {
	*functiontest.Runtime
	command *exec.Cmd
	stderr  bytes.Buffer
	ended   chan error
}

// start starts the function with Lambda's variables and others.
func start(t *testing.T, environment ...string) *process {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	lambda, err := functiontest.Start()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Runtime: lambda, command: exec.Command(program), ended: make(chan error, 1)}
	p.command.Env = append([]string{functiontest.Variable + "=" + lambda.Addr(), memoryVariable + "=128"},
		environment...)
	p.command.Stderr = &p.stderr
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
		_ = lambda.Close()
		if t.Failed() {
			t.Logf("standard error: %s", p.stderr.String())
		}
	})
	return p
}

// invoke hands an event to the function.
func (p *process) invoke(t *testing.T, event any) ([]byte, error) {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Invoke(ctx, payload)
}

// readPhoto returns a picture of the project's.
func readPhoto(t testing.TB) []byte {
	t.Helper()
	photo, err := os.ReadFile("../../picture/testdata/plain.jpg")
	if err != nil {
		t.Fatal(err)
	}
	return photo
}

// newURLEvent returns the event of a function URL that classifies a picture.
func newURLEvent(photo []byte) map[string]any {
	return map[string]any{"version": "2.0", "rawPath": "/v1/classify", "rawQueryString": "top=10",
		"headers": map[string]string{"content-type": "image/jpeg"}, "isBase64Encoded": true,
		"body":           base64.StdEncoding.EncodeToString(photo),
		"requestContext": map[string]any{"http": map[string]string{"method": "POST", "sourceIp": "192.0.2.1"}}}
}

// newRESTEvent returns the same as the event of a REST API; version is "1.0" for that of an HTTP API.
func newRESTEvent(photo []byte, version string) map[string]any {
	return map[string]any{"version": version, "httpMethod": "POST", "path": "/v1/classify",
		"multiValueQueryStringParameters": map[string][]string{"top": {"10"}},
		"multiValueHeaders":               map[string][]string{"Content-Type": {"image/jpeg"}}, "isBase64Encoded": true,
		"body": base64.StdEncoding.EncodeToString(photo), "requestContext": map[string]any{"stage": "$default"}}
}

// times are what differs between two answers about a picture.
var times = regexp.MustCompile(`"milliseconds":\{[^}]*\}`)

// askService returns what garb serve answers to a picture.
func askService(t *testing.T, photo []byte) string {
	t.Helper()
	c := serve.Default()
	c.Models.Models = []serve.NamedModel{{Name: model.Clothing, Path: model.Clothing}}
	s, err := serve.New(c, func(path string) (serve.Classifier, error) { return model.Open(path, model.Options{}) },
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/classify?top=10", bytes.NewReader(photo)))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return times.ReplaceAllString(w.Body.String(), "")
}

// TestFunction runs the program as Lambda does: it answers like garb serve, in the form of each event, and
// one bad event does not keep it from answering the next.
func TestFunction(t *testing.T) {
	photo := readPhoto(t)
	want := askService(t, photo)
	p := start(t, "GARB_ALLOW_URL_PREFIX=http://127.0.0.1/")
	if err := p.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, event := range map[string]any{
		"function URL": newURLEvent(photo), "REST API": newRESTEvent(photo, ""), "HTTP API": newRESTEvent(photo, "1.0"),
	} {
		payload, err := p.invoke(t, event)
		var a struct {
			StatusCode int
			Body       string
		}
		if err != nil || json.Unmarshal(payload, &a) != nil || a.StatusCode != http.StatusOK ||
			times.ReplaceAllString(a.Body, "") != want {
			t.Errorf("%s: %s, %v; garb serve answers %s", name, payload, err, want)
		}
		if _, err = p.invoke(t, map[string]string{"detail-type": "Scheduled Event"}); err == nil ||
			!strings.Contains(err.Error(), "unknown_event: ") || !strings.Contains(err.Error(), `"detail-type"`) {
			t.Errorf("an unknown event: %v", err)
		}
	}
	var service struct {
		Predictions []struct {
			Class string
			Logit float64
		}
	}
	if err := json.Unmarshal([]byte(strings.Replace(want, `,}`, `}`, 1)), &service); err != nil {
		t.Fatal(err)
	}
	payload, err := p.invoke(t, map[string]any{"picture": photo})
	var scores map[string]float64
	if err != nil || json.Unmarshal(payload, &scores) != nil || len(scores) != len(service.Predictions) {
		t.Errorf("{picture}: %s, %v", payload, err)
	}
	for _, s := range service.Predictions {
		if scores[s.Class] != s.Logit {
			t.Errorf("%s: %v, and the service answers %v", s.Class, scores[s.Class], s.Logit)
		}
	}
	for url, kind := range map[string]string{
		"http://127.0.0.1/a.jpg":                   "unavailable: ",
		"http://169.254.169.254/latest/meta-data/": "forbidden: ",
	} {
		if _, err := p.invoke(t, map[string]string{"url": url}); err == nil || !strings.HasPrefix(err.Error(), kind) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if runtime.GOOS == "linux" {
		p.checkMemory(t)
	}
}

// checkMemory checks that Lambda's smallest memory is enough.
func (p *process) checkMemory(t *testing.T) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	var kilobytes int
	if m == nil {
		t.Fatal("no VmHWM")
	}
	if _, err := fmt.Sscan(string(m[1]), &kilobytes); err != nil || kilobytes > 128<<10 {
		t.Errorf("peak memory %d kB, %v", kilobytes, err)
	}
}

// TestFunctionFetches: the course's event has a picture of an allowed server.
func TestFunctionFetches(t *testing.T) {
	photo := readPhoto(t)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(photo)
	}))
	defer store.Close()
	p := start(t, "GARB_ALLOW_URL_PREFIX="+store.URL+"/,https://images.example.org/",
		"GARB_ALLOW_PRIVATE_PREFIX=127.0.0.1/32")
	fetched, err := p.invoke(t, map[string]string{"url": store.URL + "/shirt.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := p.invoke(t, map[string]any{"picture": photo}); err != nil || !bytes.Equal(fetched, sent) {
		t.Errorf("%s, %v; fetched %s", sent, err, fetched)
	}
}

// TestFunctionEnds: SIGTERM ends the function at once and without an error.
func TestFunctionEnds(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	p := start(t)
	if err := p.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-p.ended
	p.ended <- err
	if err != nil || p.stderr.Len() > 0 {
		t.Errorf("%v: %s", err, p.stderr.String())
	}
}

// TestFunctionRefusesSettings: Lambda, the log and the exit code have the reason.
func TestFunctionRefusesSettings(t *testing.T) {
	for setting, want := range map[string][2]string{
		"GARB_ADDR=:8080":                 {"setting_error", "GARB_ADDR: a function has no such setting"},
		"GARB_MODEL=shirts=missing.model": {"open_error", "missing.model"},
	} {
		p := start(t, setting)
		var failure *functiontest.Failure
		err := p.WaitReady(t.Context())
		if !errors.As(err, &failure) || failure.Type != want[0] || !strings.Contains(failure.Message, want[1]) {
			t.Errorf("%s: %v", setting, err)
		}
		ended := <-p.ended
		p.ended <- ended
		code := map[string]int{"setting_error": exitMisused, "open_error": exitFailed}[want[0]]
		if exit := (*exec.ExitError)(nil); !errors.As(ended, &exit) || exit.ExitCode() != code ||
			!strings.Contains(p.stderr.String(), want[1]) {
			t.Errorf("%s: %v, %s", setting, ended, p.stderr.String())
		}
	}
}

// TestArguments covers --help, --version and misuse outside Lambda.
func TestArguments(t *testing.T) {
	t.Setenv(runtimeVariable, "")
	for _, test := range []struct {
		args      []string
		code      int
		out, text string
	}{
		{[]string{"--help"}, exitDone, "GARB_ALLOW_URL_PREFIX", ""},
		{[]string{"-h"}, exitDone, "Examples:", ""},
		{[]string{"--version"}, exitDone, model.Version, ""},
		{[]string{"serve"}, exitMisused, "", `not "serve"`},
		{nil, exitMisused, "", "AWS_LAMBDA_RUNTIME_API is not set"},
	} {
		var out, errOut bytes.Buffer
		code := run(test.args, nil, &out, &errOut)
		if code != test.code || !strings.Contains(out.String(), test.out) ||
			!strings.Contains(errOut.String(), test.text) ||
			(test.text == "") != (errOut.Len() == 0) {
			t.Errorf("%q: code %d, output %s, error %s", test.args, code, &out, &errOut)
		}
	}
	if err := reportInit("127.0.0.1:1", errors.New("any")); err == nil ||
		!strings.Contains(err.Error(), "reported to Lambda") {
		t.Errorf("without a runtime API: %v", err)
	}
}

// TestEmulator runs the program under AWS's own emulator.
func TestEmulator(t *testing.T) {
	emulator := os.Getenv("GARB_LAMBDA_RIE")
	if emulator == "" {
		t.Skip("GARB_LAMBDA_RIE does not name AWS's runtime interface emulator")
	}
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, l.Addr().String())
		defer l.Close()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	command := exec.Command(emulator, "--log-level", "error", "--runtime-interface-emulator-address", addresses[0],
		"--runtime-api-address", addresses[1], program)
	command.Env = []string{memoryVariable + "=128", "AWS_LAMBDA_FUNCTION_TIMEOUT=60", "PATH=" + os.Getenv("PATH")}
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	photo := readPhoto(t)
	for want, event := range map[string]any{
		`"statusCode":200`: newURLEvent(photo), `"statusCode":200,`: newRESTEvent(photo, ""),
		`"shirt":`:                map[string]any{"picture": photo},
		`"errorType":"forbidden"`: map[string]string{"url": "http://127.0.0.1/"},
	} {
		if answer := postEvent(t, "http://"+addresses[0], event); !strings.Contains(answer, want) {
			t.Errorf("%s is missing: %s", want, answer)
		}
	}
}

// postEvent hands an event to the emulator, once that listens.
func postEvent(t *testing.T, address string, event any) string {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ {
		answer, err := http.Post(address+"/2015-03-31/functions/function/invocations",
			"application/json", bytes.NewReader(payload))
		if err != nil && try < 300 {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}
