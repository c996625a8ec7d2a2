package origin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserTimeout is for one page in a browser on a busy machine.
const browserTimeout = time.Minute

// startBrowser starts the browser that GARB_BROWSER names. All names below test resolve to this machine.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("GARB_BROWSER")
	if path == "" {
		t.Skip("set GARB_BROWSER to a Chromium to run this test (see .ci/run)")
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.WSURLReadTimeout(browserTimeout))
	t.Cleanup(end)
	browser, _ := chromedp.NewContext(allocator)
	if err := chromedp.Run(browser); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(browser); err != nil {
			t.Error(err)
		}
	})
	return browser
}

// visit opens an address in a tab, and returns the status of the page. script is run in it, and has to
// return a string, maybe by a promise. The tab stays open until done.
func visit(t *testing.T, browser context.Context, address, script string, done func() bool) (int64, string) {
	t.Helper()
	timed, stop := context.WithTimeout(browser, browserTimeout)
	defer stop()
	ctx, end := chromedp.NewContext(timed)
	defer end()
	answer, err := chromedp.RunResponse(ctx, network.Enable(), chromedp.Navigate(address))
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	var result string
	wait := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	if err = chromedp.Run(ctx, chromedp.Evaluate("(async () => {"+script+"})()", &result, wait)); err != nil {
		t.Fatalf("%s: %s: %v", address, script, err)
	}
	for began := time.Now(); !done() && time.Since(began) < 10*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
	return answer.Status, result
}

// service is a service behind the checks that records what reaches it, and what is refused.
type service struct {
	mu   sync.Mutex
	seen []string
}

func (s *service) add(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, text)
}

// called reports whether something was recorded.
func (s *service) called() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen) > 0
}

// take returns what was recorded, without what the browser repeated, and forgets it.
func (s *service) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.seen = nil }()
	return strings.Join(slices.Compact(s.seen), " ")
}

// start starts the service on loopback, and returns its port.
func (s *service) start(t *testing.T, c Config) (port string) {
	t.Helper()
	wrap, err := New(c, func(w http.ResponseWriter, r *http.Request, err error) {
		if r.URL.Path != "/favicon.ico" {
			s.add(fmt.Sprintf("%s %s: %v;", r.Method, r.URL.Path, err))
		}
		status := map[error]int{ErrHost: http.StatusMisdirectedRequest, ErrCrossOrigin: http.StatusForbidden}[err]
		http.Error(w, err.Error(), status)
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" {
			return
		}
		s.add(fmt.Sprintf("%s %s;", r.Method, r.URL.Path))
		w.Header().Set("X-Request-Id", "17")
		switch r.URL.Path {
		case "/script":
			w.Header().Set("Content-Type", "text/javascript")
		case "/image":
			w.Header().Set("Content-Type", "image/svg+xml")
			fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`)
		default:
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<title>garb</title>")
		}
	})))
	t.Cleanup(server.Close)
	return server.URL[strings.LastIndex(server.URL, ":"):]
}

// attempts are what a page can do with the service at a URL $ of another origin. Each script returns what the
// page learns.
var attempts = []struct{ name, path, script string }{
	{"fetch", "GET /v1", `return fetch("$/v1").then(r => "read " + r.status, e => "error")`},
	{"blind fetch", "GET /v1", `return fetch("$/v1", {mode: "no-cors"}).then(r => r.type, e => "error")`},
	{"blind POST", "POST /v1", `return fetch("$/v1", {mode: "no-cors", method: "POST", body: "x"})
		.then(r => r.type, e => "error")`},
	{"simple POST", "POST /v1", `return fetch("$/v1", {method: "POST", body: new Blob(["x"])})
		.then(r => "read " + r.status, e => "error")`},
	{"beacon", "POST /v1",
		`navigator.sendBeacon("$/v1", "x"); return "error"`},
	{"POST of JSON", "OPTIONS /v1", `return fetch("$/v1", {method: "POST", body: "{}",
		headers: {"Content-Type": "application/json", "X-Api-Key": "k"}}).then(r => "read " + r.status,
			e => "error")`},
	{"image", "GET /image", `const i = new Image(); i.src = "$/image"
		return new Promise(f => { i.onload = () => f("shown"); i.onerror = () => f("error") })`},
	{"script", "GET /script", `const s = document.createElement("script"); s.src = "$/script"
		return new Promise(f => { s.onload = () => f("run"); s.onerror = () => f("error"); document.body.append(s) })`},
	{"form in a frame", "POST /v1", `document.body.innerHTML =
			'<iframe name=f></iframe><form method=post action="$/v1" target=f><input name=x value=y></form>'
		document.forms[0].submit(); return "error"`},
	{"form", "POST /v1", `document.body.innerHTML = '<form method=post action="$/v1"><input name=x></form>'
		setTimeout(() => document.forms[0].submit()); return "error"`},
	{"frame", "GET /", `const i = document.createElement("iframe"); i.src = "$/"
		await new Promise(f => { i.onload = f; document.body.append(i) }); return "error"`},
	{"sandboxed frame", "POST /v1", `const i = document.createElement("iframe"); i.sandbox = "allow-scripts"
		i.srcdoc = "<script>fetch('$/v1', {method: 'POST', body: 'x'}).then(r => 'read', e => 'error')" +
			".then(m => parent.postMessage(m, '*'))</script>"
		return new Promise(f => { window.onmessage = e => f(e.data); document.body.append(i) })`},
}

// scene is a service and a browser that shows pages of other origins.
type scene struct {
	service
	browser     context.Context
	port, pages string // of the service and of the pages, each after a colon
}

// TestPagesOfOtherOrigins tries, in a browser, what pages can do.
func TestPagesOfOtherOrigins(t *testing.T) {
	s := scene{browser: startBrowser(t)}
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>another page</title><body>")
	}))
	defer pages.Close()
	s.pages = pages.URL[strings.LastIndex(pages.URL, ":"):]
	s.port = s.start(t, Config{Loopback: true, CORSOrigins: []string{"http://front.test" + s.pages}})
	t.Run("attempts", s.testAttempts)
	t.Run("allowed origin", s.testAllowedOrigin)
	t.Run("links", s.testLinks)
	t.Run("own page", s.testOwnPage)
	t.Run("rebinding", s.testRebinding)
}

// testAttempts makes each attempt from a page of another site, and from one on another port.
func (s *scene) testAttempts(t *testing.T) {
	for _, a := range attempts {
		for page, host := range map[string]string{
			"http://evil.test": "http://127.0.0.1", "http://localhost": "http://localhost",
		} {
			_, got := visit(t, s.browser, page+s.pages+"/", strings.ReplaceAll(a.script, "$", host+s.port), s.called)
			want := fmt.Sprintf("%s: %v;", a.path, ErrCrossOrigin)
			if seen := s.take(); seen != want || got != "error" && got != "opaque" {
				t.Errorf("%s from %s: %q; the page got %q", a.name, page, seen, got)
			}
		}
	}
}

// testAllowedOrigin uses the service from a page of the allowed origin.
func (s *scene) testAllowedOrigin(t *testing.T) {
	front, url := "http://front.test"+s.pages+"/", "http://localhost"+s.port
	_, got := visit(t, s.browser, front, strings.ReplaceAll(`
		const r = await fetch("$/v1", {method: "POST", body: "{}", headers: {
			"Content-Type": "application/json", "X-Api-Key": "k", "Authorization": "Bearer k",
			"X-Request-Timeout": "1", "Inference-Header-Content-Length": "1", "traceparent": "x"}})
		return r.status + " " + r.headers.get("X-Request-Id") + " " + await r.text()`, "$", url), s.called)
	if seen := s.take(); got != "200 17 <title>garb</title>" || seen != "POST /v1;" {
		t.Errorf("the page got %q; %q reached the service", got, seen)
	}
	_, got = visit(t, s.browser, front, strings.ReplaceAll(
		`return fetch("$/v1", {method: "PUT"}).then(r => "read " + r.status, e => "error")`, "$", url),
		func() bool { return true })
	if seen := s.take(); got != "error" || seen != "" {
		t.Errorf("PUT: the page got %q; %q reached the service", got, seen)
	}
}

// testLinks follows links of another site to the service's pages.
func (s *scene) testLinks(t *testing.T) {
	for _, path := range []string{"/", "/docs"} {
		visit(t, s.browser, "http://evil.test"+s.pages+"/", fmt.Sprintf(`const a = document.createElement("a")
			a.href = "http://localhost%s%s"; setTimeout(() => a.click()); return ""`, s.port, path), s.called)
		if seen := s.take(); seen != "GET "+path+";" {
			t.Errorf("%s: %q", path, seen)
		}
	}
}

// testOwnPage uses the service from its own page, under each of its names.
func (s *scene) testOwnPage(t *testing.T) {
	for _, host := range []string{"http://localhost", "http://127.0.0.1", "http://shop.localhost"} {
		status, got := visit(t, s.browser, host+s.port+"/", `const i = new Image(); i.src = "/image"
			await new Promise((f, e) => { i.onload = f; i.onerror = e })
			return fetch("/v1", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}})
				.then(r => "read " + r.status, e => "error")`, s.called)
		if seen := s.take(); status != 200 || got != "read 200" || seen != "GET /; GET /image; POST /v1;" {
			t.Errorf("%s: status %d; the page got %q; %q", host, status, got, seen)
		}
	}
}

// testRebinding opens a page of a name that resolves to the service. The browser takes the answers of the
// service for those of that name.
func (s *scene) testRebinding(t *testing.T) {
	status, got := visit(t, s.browser, "http://evil.test"+s.port+"/",
		`return fetch("/v1", {method: "POST", body: "x"}).then(r => "read " + r.status, e => "error")`, s.called)
	if status != http.StatusMisdirectedRequest || got != "read 421" {
		t.Errorf("status %d; the page got %q", status, got)
	}
	// Chromium repeats requests on a new connection after 421.
	if seen := s.take(); seen != fmt.Sprintf("GET /: %v; POST /v1: %[1]v;", ErrHost) {
		t.Errorf("%q", seen)
	}
}
