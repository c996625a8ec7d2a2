package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"garb"
	"garb/serve/trypage"
)

// browserTimeout is for one test in a browser on a busy machine.
const browserTimeout = 2 * time.Minute

const root = "../../.."

// pictures are files of the formats that the page reads.
var pictures = []string{
	"examples/t-shirt.jpg", "examples/dress.jpg", "examples/cat.jpg", "picture/testdata/orientation6.jpg",
	"picture/testdata/alpha.png", "picture/testdata/bits16.png", "picture/testdata/lossy.webp",
	"picture/testdata/lossless.webp", "picture/testdata/animated.gif",
}

// buildPage builds the page once, in a folder of the test program.
var buildPage = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(built, "try")
	return folder, build(root, folder)
})

// built is the folder of buildPage.
var built string

func TestMain(m *testing.M) {
	if files := os.Getenv("GARB_TEST_ANSWERS"); files != "" {
		printAnswers(strings.Split(files, "\n"))
		return
	}
	var err error
	if built, err = os.MkdirTemp("", "garb-try-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// printAnswers prints the answer to each picture as a line of JSON.
func printAnswers(files []string) {
	classifier, err := garb.Default()
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		answer, err := classifier.Classify(context.Background(), garb.FromBytes(data))
		if err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			panic(err)
		}
	}
}

// portableAnswers returns the answers of the portable kernels, which this program computes when it starts again.
func portableAnswers(t *testing.T, files []string) []any {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), "GARB_CPU=generic", "GARB_TEST_ANSWERS="+strings.Join(files, "\n"))
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []any
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var answer any
		if err := decoder.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	return answers
}

// startBrowser starts the browser that GARB_BROWSER names, with more flags.
func startBrowser(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := os.Getenv("GARB_BROWSER")
	if path == "" {
		t.Skip("set GARB_BROWSER to a Chromium to run this test (see .ci/run)")
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-renderer-backgrounding", true), chromedp.WSURLReadTimeout(browserTimeout),
	}, flags...)...)
	t.Cleanup(end)
	timed, stop := context.WithTimeout(allocator, browserTimeout)
	t.Cleanup(stop)
	browser, _ := chromedp.NewContext(timed)
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

// tab is the page in a browser.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // errors and warnings in the console
}

// open opens an address. At the end the console may have no errors, such as violations of the policy.
func open(t *testing.T, browser context.Context, address string) *tab {
	t.Helper()
	p := &tab{T: t, ctx: browser}
	chromedp.ListenTarget(browser, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			p.complaints = append(p.complaints, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type != runtime.APITypeInfo {
				p.complaints = append(p.complaints, fmt.Sprintf("%s %v", e.Type, e.Args))
			}
		}
	})
	p.run(chromedp.Navigate(address))
	return p
}

// expectQuiet fails if the console has errors.
func (p *tab) expectQuiet() {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		p.Errorf("the console says: %s", c)
	}
}

func (p *tab) run(actions ...chromedp.Action) {
	p.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// shows waits until the page's text has a text.
func (p *tab) shows(text string) {
	p.Helper()
	var now string
	for began := time.Now(); time.Since(began) < browserTimeout/3; time.Sleep(20 * time.Millisecond) {
		if p.run(chromedp.Evaluate(`document.body.innerText`, &now)); strings.Contains(now, text) {
			return
		}
	}
	p.Fatalf("never %q; the page says:\n%s", text, now)
}

// choose chooses a file, as a visitor does.
func (p *tab) choose(file string) {
	p.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		p.Fatal(err)
	}
	p.run(chromedp.SetUploadFiles("#file", []string{path}))
}

// evaluate evaluates an expression, and waits for its promise.
func (p *tab) evaluate(expression string, result any) {
	p.Helper()
	p.run(chromedp.Evaluate(expression, result, func(e *runtime.EvaluateParams) *runtime.EvaluateParams {
		return e.WithAwaitPromise(true)
	}))
}

// write writes a file for the test.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// read reads a file of the project.
func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// page returns the folder of the page.
func page(t *testing.T) string {
	t.Helper()
	if os.Getenv("GARB_BROWSER") == "" {
		t.Skip("set GARB_BROWSER to a Chromium to run this test (see .ci/run)")
	}
	folder, err := buildPage()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// servePage serves the page as garb serve does, with more handlers, and returns its address.
func servePage(t *testing.T, folder string, wrap func(http.Handler) http.Handler) (*httptest.Server, string) {
	t.Helper()
	files, err := trypage.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	files.Register(mux)
	mux.HandleFunc("GET /picture", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(root, r.URL.Query().Get("file")))
	})
	handler := http.Handler(mux)
	if wrap != nil {
		handler = wrap(mux)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server, server.URL + "/try/"
}

// TestAnswers checks that the API for other pages gives the answers of the portable kernels, to the bit.
func TestAnswers(t *testing.T) {
	folder := page(t)
	files := make([]string, len(pictures))
	for i, p := range pictures {
		files[i] = filepath.Join(root, p)
	}
	want := portableAnswers(t, files)
	_, address := servePage(t, folder, nil)
	p := open(t, startBrowser(t), address)
	p.shows("Ready.")
	p.evaluate(`import("./garb.js").then(({ load }) => load()).then((classify) => { window.classify = classify; })`,
		nil)
	for i, name := range pictures {
		var got any
		p.evaluate(fmt.Sprintf(
			`fetch("/picture?file=%s").then((r) => r.arrayBuffer()).then((b) => window.classify(new Uint8Array(b)))`,
			name), &got)
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%s: the browser's answer is\n%v, the portable kernels'\n%v", name, got, want[i])
		}
	}
	var code string
	p.evaluate(`(() => { try { window.classify(new Uint8Array([1, 2, 3])); } catch (e) { return e.code; } })()`, &code)
	if code != "not_a_picture" {
		t.Errorf("three bytes: the code %q", code)
	}
	p.expectQuiet()
}

// TestPage classifies a picture in the page, without a network after the first visit.
func TestPage(t *testing.T) {
	server, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t), address)
	p.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	p.shows("Ready.")
	var milliseconds float64
	p.evaluate("performance.now()", &milliseconds)
	t.Logf("ready at most %.0f ms after the page was opened", milliseconds)
	p.screenshot("try-start")
	p.choose(filepath.Join(root, "examples/t-shirt.jpg"))
	p.shows("Answered in")
	p.shows("t-shirt, ")
	p.screenshot("try-answer")
	var wide bool
	p.evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide)
	if wide {
		t.Error("the page is wider than a phone")
	}
	p.run(chromedp.EmulateViewport(1000, 700),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme",
			Value: "dark"}}))
	p.choose(filepath.Join(root, "examples/cat.jpg"))
	p.shows("not clothing")
	p.screenshot("try-dark")

	p.evaluate(`navigator.serviceWorker.ready.then((r) => new Promise((done) => {
		const poll = () => (r.active?.state === "activated" ? done(true) : setTimeout(poll, 20));
		poll();
	}))`, nil)
	server.Close()
	p.run(chromedp.Navigate(address))
	p.shows("Ready.")
	p.choose(filepath.Join(root, "examples/dress.jpg"))
	p.shows("dress, ")
	p.expectQuiet()
}

// screenshot keeps a picture of the page in GARB_SCREENSHOTS.
func (p *tab) screenshot(name string) {
	p.Helper()
	folder := os.Getenv("GARB_SCREENSHOTS")
	if folder == "" {
		return
	}
	var data []byte
	p.run(chromedp.FullScreenshot(&data, 100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), data, 0o600); err != nil {
		p.Fatal(err)
	}
}

// makeHugePNG returns a PNG whose header says that it is 30,000 pixels wide and high.
func makeHugePNG() []byte {
	data := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []string{"IHDR\x00\x00\x75\x30\x00\x00\x75\x30\x08\x02\x00\x00\x00", "IDATx\x9c", "IEND"} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(chunk)-4))
		data = binary.BigEndian.AppendUint32(append(data, chunk...), crc32.ChecksumIEEE([]byte(chunk)))
	}
	return data
}

// TestBadFiles checks the sentences about files that cannot be classified, and that the page goes on.
func TestBadFiles(t *testing.T) {
	_, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t), address)
	p.shows("Ready.")
	picture := read(t, "examples/t-shirt.jpg")
	for _, c := range []struct {
		name string
		data []byte
		says string
	}{
		{"notes.jpg", []byte("these are notes"), "This file is no picture that the page can read."},
		{"empty.png", nil, "This file is no picture that the page can read."},
		{"cut.jpg", picture[:len(picture)/2], "This picture is damaged."},
		{"phone.heic", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1"),
			"The page cannot read this kind of picture."},
		{"huge.png", makeHugePNG(), "This picture is too large."},
		{"long.jpg", make([]byte, 64<<20+1), "This picture is too large."},
	} {
		p.choose(write(t, c.name, c.data))
		p.shows(c.says)
		p.choose(filepath.Join(root, "examples/t-shirt.jpg"))
		p.shows("t-shirt, ")
	}
	p.screenshot("try-error")
	p.expectQuiet()
}

// TestMemory checks the sentence about a picture that exhausts the memory that a browser gives, and that the page
// classifies others after it.
func TestMemory(t *testing.T) {
	_, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t, chromedp.Flag("js-flags", "--wasm-max-mem-pages=1400")), address)
	p.shows("Ready.")
	p.choose(write(t, "wide.png", makeWhitePNG(t, 4800, 4800)))
	p.shows("This picture needs more memory than the browser allows.")
	p.choose(filepath.Join(root, "examples/t-shirt.jpg"))
	p.shows("t-shirt, ")
}

// TestNoSIMD checks the sentence in a browser without SIMD.
func TestNoSIMD(t *testing.T) {
	_, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t, chromedp.Flag("js-flags", "--no-enable-sse3 --no-enable-ssse3 --no-enable-sse4-1")),
		address)
	p.shows("its WebAssembly has no SIMD")
	p.expectQuiet()
}

// TestFile checks the sentence of a page that was opened from a file.
func TestFile(t *testing.T) {
	folder := page(t)
	p := open(t, startBrowser(t), "file://"+filepath.Join(folder, "index.html"))
	p.shows("This page was opened from a file")
}

// TestEarly drops pictures while the model is loading: the last one is classified once it is there.
func TestEarly(t *testing.T) {
	loaded := make(chan bool)
	_, address := servePage(t, page(t), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/try/garb.wasm" {
				<-loaded
			}
			next.ServeHTTP(w, r)
		})
	})
	release := sync.OnceFunc(func() { close(loaded) })
	t.Cleanup(release) // before the server closes, which waits for requests
	p := open(t, startBrowser(t), address)
	p.shows("Loading the model")
	p.evaluate(`{
		const post = Worker.prototype.postMessage;
		window.posted = 0;
		Worker.prototype.postMessage = function (...all) { window.posted++; return post.apply(this, all); };
	}`, nil)
	drop := func(name string) {
		p.evaluate(fmt.Sprintf(`fetch("/picture?file=examples/%s.jpg").then((r) => r.blob()).then((b) => {
			const data = new DataTransfer();
			data.items.add(new File([b], "a.jpg"));
			dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
		})`, name), nil)
	}
	drop("cat")
	drop("t-shirt")
	release()
	p.shows("Answered in")
	p.shows("t-shirt, ")
	drop("dress")
	p.shows("dress, ")
	var posted int
	if p.evaluate(`window.posted`, &posted); posted != 2 {
		t.Errorf("%d pictures were classified, not the last of the first two and another", posted)
	}
	p.expectQuiet()
}

// TestOtherVersions checks a page beside the model of another build: in the browser's cache, which is
// refreshed, and on the server.
func TestOtherVersions(t *testing.T) {
	folder := page(t)
	var mu sync.Mutex
	old, count := true, 0
	_, address := servePage(t, folder, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path != "/try/garb.wasm" {
				next.ServeHTTP(w, r)
				return
			}
			if count++; !old {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/wasm")
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Write([]byte("\x00asm\x01\x00\x00\x00"))
		})
	})
	p := open(t, startBrowser(t), address)
	p.shows("The page and the model are of different versions.")
	mu.Lock()
	if count == 0 {
		t.Error("the page did not ask for the model")
	}
	old = false
	mu.Unlock()
	p.run(chromedp.Navigate(address)) // the old model is still in the browser's cache
	p.shows("Ready.")
	p.choose(filepath.Join(root, "examples/t-shirt.jpg"))
	p.shows("t-shirt, ")
}

// TestNoModel checks the sentence about a model that cannot be downloaded.
func TestNoModel(t *testing.T) {
	_, address := servePage(t, page(t), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/try/garb.wasm" {
				http.NotFound(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	p := open(t, startBrowser(t), address)
	p.shows("The model could not be downloaded.")
}

// TestCamera takes a photo of the browser's test pattern, which is no clothing.
func TestCamera(t *testing.T) {
	_, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t, chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true)), address)
	p.shows("Ready.")
	p.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile), chromedp.Click("#photo"),
		chromedp.WaitVisible("#shoot"))
	p.evaluate(`new Promise((done) => {
		const poll = () => (document.getElementById("video").videoWidth > 0 ? done(true) : setTimeout(poll, 20));
		poll();
	})`, nil)
	p.screenshot("try-camera")
	p.run(chromedp.Click("#shoot"))
	p.shows("Answered in")
	p.shows("not clothing")
	p.expectQuiet()
}

// TestNoCamera checks the sentence in a browser without a camera.
func TestNoCamera(t *testing.T) {
	_, address := servePage(t, page(t), nil)
	p := open(t, startBrowser(t), address)
	p.shows("Ready.")
	p.run(chromedp.Click("#photo"))
	p.shows("There is no camera, or this page may not use it.")
	p.expectQuiet()
}

// makeWhitePNG returns a white PNG.
func makeWhitePNG(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	white := image.NewUniform(color.White)
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(picture, picture.Bounds(), white, image.Point{}, draw.Src)
	if err := png.Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
