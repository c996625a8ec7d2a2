package serve

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"garb/model"
	"garb/nn"
	"garb/picture"
	tensors "garb/tensor"
)

// browserTimeout is for one test in a browser on a busy machine.
const browserTimeout = time.Minute

// startBrowser starts the browser that GARB_BROWSER names.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("GARB_BROWSER")
	if path == "" {
		t.Skip("set GARB_BROWSER to a Chromium to run this test (see .ci/run)")
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), // in a folder of its own, which ends with it
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		// Tabs are drawn whether or not another is before them.
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-background-timer-throttling", true),
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

// tab is the page in a browser.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // what the console says
	addresses  []string // what was asked for
}

// open opens the page of a service in a tab of its own. At the end
// the console has to be empty, and nobody else may have been contacted.
func open(t *testing.T, browser context.Context, url string, before ...chromedp.Action) *tab {
	t.Helper()
	timed, stop := context.WithTimeout(browser, browserTimeout)
	ctx, end := chromedp.NewContext(timed)
	p := &tab{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, p.listen)
	t.Cleanup(func() {
		end()
		stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.complaints {
			t.Errorf("the console says: %s", c)
		}
		for _, a := range p.addresses {
			if !strings.HasPrefix(a, url+"/") && !strings.HasPrefix(a, "blob:"+url+"/") &&
				!strings.HasPrefix(a, "data:") {
				t.Errorf("the page asked for %s", a)
			}
		}
	})
	p.run(append([]chromedp.Action{network.Enable()}, before...)...)
	p.run(page.BringToFront(), chromedp.Navigate(url+"/"), chromedp.WaitVisible("#choose"), evaluate(browserJS))
	return p
}

// browserJS are the functions that the tests call in the page.
//
//go:embed testdata/browser.js
var browserJS string

// evaluate runs statements in the page.
func evaluate(statements string) chromedp.Action { return chromedp.Evaluate("{"+statements+"}", nil) }

func (p *tab) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.addresses = append(p.addresses, e.Request.URL)
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		p.complaints = append(p.complaints, fmt.Sprintf("%s %v", e.Type, e.Args))
	case *log.EventEntryAdded:
		// Of source network are answers with an error's status, which tests ask for.
		if e.Entry.Source != log.SourceNetwork {
			p.complaints = append(p.complaints, fmt.Sprintf("%s: %s", e.Entry.Source, e.Entry.Text))
		}
	}
}

func (p *tab) run(actions ...chromedp.Action) {
	p.Helper()
	if err := chromedp.Run(p.ctx, actions...); err != nil {
		p.Fatal(err)
	}
}

// shows waits until a condition in the page's JavaScript holds.
func (p *tab) shows(condition string) {
	p.Helper()
	for began := time.Now(); time.Since(began) < browserTimeout/3; time.Sleep(20 * time.Millisecond) {
		var holds bool
		if p.run(chromedp.Evaluate(condition, &holds)); holds {
			return
		}
	}
	var now string
	p.run(chromedp.Evaluate(`document.body.innerText`, &now))
	p.Fatalf("never: %s; the page says:\n%s", condition, now)
}

// texts are those of all elements that a selector finds.
func (p *tab) texts(selector string) (all []string) {
	p.Helper()
	p.run(chromedp.Evaluate(fmt.Sprintf(`tests.texts(%q)`, selector), &all))
	return all
}

func (p *tab) choose(paths ...string) {
	p.Helper()
	for i := range paths {
		paths[i] = absolute(p, paths[i])
	}
	p.run(chromedp.SetUploadFiles("#files", paths, chromedp.ByID))
}

// screenshot keeps what the page looks like, in GARB_SCREENSHOTS.
func (p *tab) screenshot(name string) {
	p.Helper()
	folder := os.Getenv("GARB_SCREENSHOTS")
	if folder == "" {
		folder = p.TempDir()
	}
	var image []byte
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		_, _, _, _, _, content, err := page.GetLayoutMetrics().Do(ctx)
		if err != nil {
			return err
		}
		clip := &page.Viewport{Width: content.Width, Height: content.Height, Scale: 1}
		image, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(clip).Do(ctx)
		return err
	}))
	writeFile(p, filepath.Join(folder, name+".png"), image)
}

const (
	done   = `tests.count('done')`
	failed = `tests.count('failed')`
)

// drawn writes a picture of one colour.
func drawn(t testing.TB, path string, c color.Color) string {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 60, 90))
	for i := range 60 * 90 {
		m.Set(i%60, i/60, c)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// labelling writes a model with several labels: which colours a picture has, or, of a grey one,
// whether it is bright or very bright.
func labelling(t testing.TB, grey bool) string {
	t.Helper()
	spec := picture.Spec{
		Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch, Std: [3]float32{255, 255, 255}, Grey: grey,
	}
	classes, channels := []string{"red", "green", "blue"}, 3
	kernel, bias := []float32{9, 0, 0, 0, 8, 0, 0, 0, 7}, []float32{-4.5, -4, -3.5}
	if grey {
		classes, channels, kernel, bias = []string{"bright", "very bright"}, 1, []float32{20, 20}, []float32{-10, -19}
	}
	b := nn.NewBuilder(8, 8, channels)
	x := b.ReLU(b.Conv("same", b.Input(), channels, 1, 1, nn.Same))
	graph := b.Build(b.Sigmoid(b.Dense("top", b.GlobalAveragePool(x), len(classes), nn.WithBias())))
	identity := make([]float32, channels*channels)
	for i := range channels {
		identity[i*channels+i] = 1
	}
	m, err := model.FromNetwork(&nn.Network{Layers: graph.Layers(), Tensors: tensors.Map{
		"top/kernel":  tensors.FromSlice(kernel, channels, len(classes)),
		"top/bias":    tensors.FromSlice(bias, len(classes)),
		"same/kernel": tensors.FromSlice(identity, 1, 1, channels, channels),
	}}, classes, spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "labels.safetensors")
	err = errors.Join(m.SetGolden(context.Background(), nil), m.Save(path, tensors.Float32))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fileInPage returns an expression whose value is a DataTransfer with the example, as pasting and
// dropping have.
func fileInPage(t testing.TB, name string) string {
	return fmt.Sprintf(`tests.file(%q, %q)`, base64.StdEncoding.EncodeToString(read(t, example)), name)
}

// Emulated devices and settings. Without motion, screenshots do not depend on their time.
var (
	light, dark = colourScheme("light"), colourScheme("dark")
	desktop     = emulation.SetDeviceMetricsOverride(1280, 900, 1, false)
	phone       = chromedp.Tasks{
		emulation.SetDeviceMetricsOverride(375, 740, 2, true), emulation.SetTouchEmulationEnabled(true),
	}
)

func colourScheme(name string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	})
}

// browserTest has what the tests of the page share: a browser, and a service with the built-in model.
type browserTest struct {
	browser context.Context
	url     string
}

// TestBrowser uses the page as a person does, in a real browser.
func TestBrowser(t *testing.T) {
	builtIn := func(string) (Classifier, error) { return model.Open(model.Clothing, model.Options{}) }
	b := browserTest{startBrowser(t), startWith(t, builtIn, nil).url}
	for name, test := range map[string]func(*testing.T){
		"choose":   b.testChoose,
		"paste":    b.testPaste,
		"drop":     b.testDrop,
		"several":  b.testSeveral,
		"phone":    b.testPhone,
		"keyboard": b.testKeyboard,
		"key":      b.testKey,
		"busy":     b.testBusy,
		"again":    b.testAgain,
		"labels":   b.testLabels,
		"models":   b.testModels,
		"no-list":  b.testNoModelList,
		"refused":  b.testRefused,
		"away":     b.testAway,
		"policy":   b.testPolicy,
	} {
		t.Run(name, test)
	}
}

func (b browserTest) testChoose(t *testing.T) {
	p := open(t, b.browser, b.url, desktop, light)
	p.screenshot("empty-light")
	p.choose(example)
	p.shows(done + ` === 1`)
	if verdict, classes := p.texts(".verdict"), p.texts(".class"); verdict[0] != "t-shirt" || len(classes) != 5 ||
		classes[0] != "t-shirt" {
		t.Errorf("%q, %q", verdict, classes)
	}
	var widths []float64
	p.run(chromedp.Evaluate(`tests.widths()`, &widths))
	if len(widths) != 5 || widths[0] < 50 ||
		!slices.IsSortedFunc(widths, func(a, b float64) int { return int(1e6 * (b - a)) }) {
		t.Errorf("bars of %v%%", widths)
	}
	if time := p.texts(".time")[0]; !strings.Contains(time, " ms in total (") {
		t.Errorf("the time: %q", time)
	}
	if said := p.texts("#log p"); len(said) != 1 || !strings.HasPrefix(said[0], "t-shirt.jpg: t-shirt, ") {
		t.Errorf("a screen reader says %q", said)
	}
	p.screenshot("result-light")
	asked := len(p.asked("explain=true"))

	// The heat map is shown and hidden.
	const look, on, off = ".look", `tests.heatOn()`, `document.querySelector('.heat').hidden`
	p.run(chromedp.Click(look, chromedp.ByQuery))
	p.shows(on)
	p.screenshot("heat-light")
	p.run(chromedp.Click(look, chromedp.ByQuery))
	p.shows(off)
	p.run(chromedp.Click(look, chromedp.ByQuery))
	p.shows(on)
	if now := len(p.asked("explain=true")); now != asked+1 {
		t.Errorf("the heat map was asked for %d times", now-asked)
	}
	p.choose(example)
	p.shows(done + ` === 2`)
	p.run(chromedp.Click(".remove", chromedp.ByQuery))
	p.shows(done + ` === 1`)
	p.run(chromedp.Click("#clear", chromedp.ByQuery))
	p.shows(`document.querySelector('#results').hidden && document.activeElement.id === 'choose'`)
	p.shows(`heldURLs.size === 0`)
}

func (b browserTest) testPaste(t *testing.T) {
	p := open(t, b.browser, b.url, desktop)
	p.run(evaluate(`tests.paste(` + fileInPage(t, "image.png") + `)`))
	p.shows(done + ` === 1`)
	if file, verdict := p.texts(".file"), p.texts(".verdict"); file[0] != "Pasted picture" ||
		verdict[0] != "t-shirt" {
		t.Errorf("%q, %q", file, verdict)
	}
}

func (b browserTest) testDrop(t *testing.T) {
	p := open(t, b.browser, b.url, desktop, light)
	p.run(evaluate(`window.dragged = ` + fileInPage(t, "dropped.jpg") + `
		tests.drag('dragenter', dragged)
		tests.drag('dragover', dragged)`))
	p.shows(`document.body.classList.contains('dragging')`)
	p.screenshot("dragging-light")
	var taken bool
	p.run(chromedp.Evaluate(`tests.drag('drop', dragged)`, &taken))
	p.shows(done + ` === 1 && !document.body.classList.contains('dragging')`)
	if !taken || p.texts(".file")[0] != "dropped.jpg" || p.texts(".verdict")[0] != "t-shirt" {
		t.Errorf("%v, %q", taken, p.texts(".card"))
	}
}

func (b browserTest) testSeveral(t *testing.T) {
	folder := t.TempDir()
	var files []string
	for i, c := range []color.RGBA{{200, 60, 60, 255}, {60, 120, 60, 255}, {50, 60, 160, 255}} {
		files = append(files, drawn(t, filepath.Join(folder, fmt.Sprintf("%d.png", i)), c))
	}
	p := open(t, b.browser, b.url, desktop, light)
	p.choose(append(files, example, "../README.md", "../internal/heif/testdata/drawn-709.heic")...)
	p.shows(done + ` === 5 && ` + failed +
		` === 1 && document.querySelectorAll('[data-thumbnail=none]').length === 2`)
	want := []string{"0.png", "1.png", "2.png", "t-shirt.jpg", "README.md", "drawn-709.heic"}
	if names := p.texts(".file"); !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	const sentence = "This file is not a supported picture. Use JPEG, PNG, WebP, GIF, BMP, TIFF, ICO, AVIF or HEIC."
	if said := p.texts("[data-state=failed] .problem"); said[0] != sentence {
		t.Errorf("%q", said)
	}
	p.screenshot("several-light")
	p.run(dark)
	p.screenshot("several-dark")
}

func (b browserTest) testPhone(t *testing.T) {
	p := open(t, b.browser, b.url, phone, light)
	p.run(chromedp.WaitVisible("#photograph"))
	p.screenshot("phone-empty-light")
	p.run(chromedp.SetUploadFiles("#camera", []string{absolute(t, example)}, chromedp.ByID))
	p.shows(done + ` === 1`)
	p.choose("../README.md")
	p.shows(failed + ` === 1`)
	p.run(chromedp.Click("[data-state=done] .look", chromedp.ByQuery))
	p.shows(`!document.querySelector('[data-state=done] .heat').hidden`)
	var over float64
	p.run(chromedp.Evaluate(`document.documentElement.scrollWidth - innerWidth`, &over))
	if over > 0 {
		t.Errorf("the page is %v pixels wider than the phone", over)
	}
	p.screenshot("phone-light")
	p.run(dark)
	p.screenshot("phone-dark")
}

func (b browserTest) testKeyboard(t *testing.T) {
	p := open(t, b.browser, b.url, desktop, dark)
	reach := func(condition string) {
		t.Helper()
		for range 20 {
			var there bool
			p.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(condition, &there))
			if there {
				var outline string
				p.run(chromedp.Evaluate(`getComputedStyle(document.activeElement).outlineStyle`, &outline))
				if outline != "solid" {
					t.Errorf("what has the focus is not seen: %s", condition)
				}
				return
			}
		}
		t.Fatalf("Tab never comes to where %s", condition)
	}
	reach(`document.activeElement.id === 'choose'`)
	p.screenshot("keyboard-dark")
	p.choose(example)
	p.shows(done + ` === 1`)
	reach(`document.activeElement.className === 'look'`)
	p.run(chromedp.KeyEvent(" "))
	p.shows(`!document.querySelector('.heat').hidden`)
	p.screenshot("heat-dark")
	reach(`document.activeElement.className === 'remove'`)
	p.run(chromedp.KeyEvent(kb.Enter))
	p.shows(`document.querySelectorAll('.card').length === 0 && document.activeElement.id === 'choose'`)
	// All that can be used has a name.
	var nameless []string
	p.run(chromedp.Evaluate(`tests.nameless()`, &nameless))
	if len(nameless) > 0 {
		t.Errorf("without a name: %q", nameless)
	}
}

func (b browserTest) testKey(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	writeFile(t, keys, []byte("sesame\n"))
	url := start(t, &fake{}, func(c *Config) { c.APIKeyFile = keys }).url
	p := open(t, b.browser, url, desktop, light)
	p.choose(example, example, example)
	p.shows(`!document.querySelector('#key-form').hidden && document.activeElement.id === 'key'`)
	p.run(chromedp.SendKeys("#key", "wrong"+kb.Enter))
	p.shows(`!document.querySelector('#key-form').hidden && !document.querySelector('#key-wrong').hidden`)
	p.screenshot("key-light")
	p.run(chromedp.SendKeys("#key", "sesame"+kb.Enter))
	p.shows(done + ` === 3 && document.querySelector('#key-form').hidden`)
	p.run(chromedp.Reload(), chromedp.WaitVisible("#choose"), evaluate(browserJS))
	p.choose(example)
	p.shows(done + ` === 1`)
	var kept []string
	p.run(chromedp.Evaluate(`tests.stored()`, &kept))
	if !slices.Equal(kept, []string{"sesame", "0", ""}) {
		t.Errorf("the browser keeps %q", kept)
	}
}

func (b browserTest) testBusy(t *testing.T) {
	f, entered, release := gate()
	defer release()
	url := start(t, f, func(c *Config) { c.Engine.Queue, c.Bodies.MaxPictures = 1, 1 }).url
	p := open(t, b.browser, url, desktop, light)
	p.choose(example, example, example)
	<-entered
	p.shows(`tests.texts('.verdict').includes('Service busy, trying again…')`)
	p.screenshot("busy-light")
	release()
	p.shows(done + ` === 3`)
}

func (b browserTest) testAgain(t *testing.T) {
	calls := 0
	f := &fake{OnOutputs: func(context.Context, []float32, []float32) error {
		if calls++; calls == 2 { // the first is the warming
			return errors.New("broken")
		}
		return nil
	}}
	s := start(t, f, nil)
	p := open(t, b.browser, s.url, desktop, light)
	p.choose(example)
	p.shows(failed + ` === 1`)
	said := p.texts(".card .problem")[0]
	id, ok := strings.CutPrefix(said, "Something went wrong. Try again in a moment. Request ID: ")
	if !ok || !strings.Contains(s.log.String(), id) {
		t.Errorf("%q", said)
	}
	p.run(chromedp.Click(".again", chromedp.ByQuery))
	p.shows(done + ` === 1 && !tests.visible('.card .problem, .again').includes(true)`)
}

func (b browserTest) testLabels(t *testing.T) {
	for _, grey := range []bool{false, true} {
		path := labelling(t, grey)
		url := startWith(t, func(string) (Classifier, error) { return model.Open(path, model.Options{}) }, nil).url
		p := open(t, b.browser, url, desktop, light)
		p.choose(drawn(t, filepath.Join(t.TempDir(), "yellow.png"), color.RGBA{255, 255, 0, 255}),
			drawn(t, filepath.Join(t.TempDir(), "black.png"), color.RGBA{0, 0, 0, 255}))
		p.shows(done + ` === 2`)
		want := []string{"red, green", "No label"}
		if grey { // of which yellow has much light, and no colour
			want[0] = "bright"
		}
		if verdicts := p.texts(".verdict"); !slices.Equal(verdicts, want) {
			t.Errorf("grey %v: %q", grey, verdicts)
		}
		p.run(chromedp.Click(".look", chromedp.ByQuery))
		p.shows(`!document.querySelector('.heat').hidden`)
		p.screenshot(fmt.Sprintf("labels-grey-%v", grey))
	}
}

func (b browserTest) testModels(t *testing.T) {
	url := start(t, &fake{}, func(c *Config) {
		c.Models.Models = []NamedModel{{Name: "second", Path: "x"}, {Name: "another", Path: "x"}}
	}).url
	p := open(t, b.browser, url, desktop, light)
	p.shows(`document.querySelector('#model').value === 'second' && tests.visible('#model')[0]`)
	p.run(chromedp.SetValue("#model", "another"))
	p.choose(example)
	p.shows(done + ` === 1`)
	if time := p.texts(".time"); !strings.HasSuffix(time[0], "model another") {
		t.Errorf("%q", time)
	}
	p.screenshot("models-light")
}

// testNoModelList: without the list of models, which a slow network brings after the first picture was
// chosen, the service's first model answers.
func (b browserTest) testNoModelList(t *testing.T) {
	url := start(t, &fake{}, func(c *Config) {
		c.Models.Models = []NamedModel{{Name: "second", Path: "x"}, {Name: "another", Path: "x"}}
	}).url
	p := open(t, b.browser, url, network.SetBlockedURLs().WithURLPatterns(
		[]*network.BlockPattern{{URLPattern: url + "/readyz", Block: true}}))
	p.choose(example)
	p.shows(done + ` === 1 && document.querySelector('#model').value === ''`)
	p.run(chromedp.Click(".look", chromedp.ByQuery))
	p.shows(`tests.heatOn()`)
}

func (b browserTest) testRefused(t *testing.T) {
	folder := t.TempDir()
	dark1, light1 := drawn(t, filepath.Join(folder, "coal.png"), color.Black),
		drawn(t, filepath.Join(folder, "snow.png"), color.White)
	url := start(t, &fake{Judging: true, RefusalClass: "not clothing"}, nil).url
	p := open(t, b.browser, url, desktop, light)
	p.choose(dark1, light1)
	p.shows(done + ` === 2`)
	if verdicts := p.texts(".verdict"); !slices.Equal(verdicts, []string{"dark", "This does not look like clothing"}) {
		t.Errorf("%q", verdicts)
	}
	if words := p.texts(".closest"); !slices.Equal(words, []string{"", "Most similar class: light"}) {
		t.Errorf("%q", words)
	}
	var seen []bool
	p.run(chromedp.Evaluate(`tests.visible('.card .closest')`, &seen))
	if !slices.Equal(seen, []bool{false, true}) {
		t.Errorf("what it is closest to is seen: %v", seen)
	}
	if said := p.texts("#log p"); !slices.Contains(said,
		"snow.png: This does not look like clothing. Most similar class: light, 75.0%") ||
		!slices.Contains(said, "coal.png: dark, 75.0%") {
		t.Errorf("a screen reader says %q", said)
	}
	for _, name := range []string{"light", "dark"} {
		p.run(colourScheme(name))
		// The bars of a refused picture are toned down, and its texts can be read: a contrast of
		// 4.5 at least (WCAG 2.2, 1.4.3).
		var bars []string
		p.run(chromedp.Evaluate(`tests.colours('.classes li:first-child i')`, &bars))
		if len(bars) != 2 || bars[0] == bars[1] {
			t.Errorf("%s: bars of %q", name, bars)
		}
		var contrasts []float64
		p.run(chromedp.Evaluate(
			`tests.contrasts('[data-refused] :is(.verdict, .closest, .class, .share, .time)')`, &contrasts))
		if len(contrasts) != 7 || slices.Min(contrasts) < 4.5 {
			t.Errorf("%s: contrasts of %.1f", name, contrasts)
		}
		p.screenshot("refused-" + name)
	}
	p.run(phone, light)
	p.screenshot("refused-phone-light")

	// A model of other things than clothes.
	url = start(t, &fake{Judging: true, RefusalClass: "none of these"}, nil).url
	p = open(t, b.browser, url, desktop, light)
	p.choose(light1)
	p.shows(done + ` === 1`)
	verdict, words := p.texts(".verdict")[0], p.texts(".closest")[0]
	if verdict != "This looks like none of these" || words != "Most similar class: light" {
		t.Errorf("%q, %q", verdict, words)
	}
}

func (b browserTest) testAway(t *testing.T) {
	s := start(t, &fake{}, func(c *Config) { c.Engine.Limits.MaxBytes = 40_000 })
	p := open(t, b.browser, s.url, desktop, light)
	large := filepath.Join(t.TempDir(), "large.jpg")
	writeFile(t, large, make([]byte, 50_000))
	p.choose(large)
	p.shows(failed + ` === 1`)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	p.choose(example)
	p.shows(failed + ` === 2`)
	if said := p.texts(".card .problem"); !slices.ContainsFunc(said,
		func(s string) bool { return strings.HasPrefix(s, "Cannot reach the service.") }) ||
		!slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "This picture is too large") }) {
		t.Errorf("%q", said)
	}
	p.shows(`document.querySelectorAll('.again:not([hidden])').length === 1`)
	p.screenshot("away-light")
}

func (b browserTest) testPolicy(t *testing.T) {
	// What the page must not do, it cannot, and these tests would see it.
	p := open(t, b.browser, b.url)
	p.run(evaluate(`tests.breakPolicy()`))
	p.shows(`window.broken === undefined`)
	waitFor(t, "the console complains of both", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.complaints) < 2 {
			return false
		}
		p.complaints, p.addresses = nil, nil
		return true
	})
}

// asked are the addresses so far that contain a text.
func (p *tab) asked(text string) (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.addresses {
		if strings.Contains(a, text) {
			all = append(all, a)
		}
	}
	return all
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	all, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
