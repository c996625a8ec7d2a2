package explain

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// makeAtlas returns an atlas of count pictures in a row, whose two classes alternate.
func makeAtlas(count int) *Atlas {
	a := &Atlas{Title: "A map", Data: "<data>", Model: "m", Method: "hand", Judged: true}
	for i := range count {
		m := image.NewNRGBA(image.Rect(0, 0, 64, 40))
		draw.Draw(m, m.Rect, image.NewUniform(color.NRGBA{uint8(i), 200, 0, 255}), image.Point{}, draw.Src)
		class := []string{"hat", "shoes"}[i%2]
		a.Add(Point{
			X: float64(i), Y: 3, Class: class, Part: []string{"train", "test"}[i/2%2],
			Path: fmt.Sprintf("%s/</script>%d.jpg", class, i), Answer: "hat", Probability: 0.75,
		}, m)
	}
	return a
}

func writeAtlas(t *testing.T, a *Atlas) string {
	t.Helper()
	var page strings.Builder
	if err := a.WritePage(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

var pageData = regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`)

// TestAtlas checks that the points fill the square, that a sheet holds 1024 thumbnails, and
// that the page allows its one script and loads nothing.
func TestAtlas(t *testing.T) {
	page := writeAtlas(t, makeAtlas(1025))
	var data atlasData
	if err := json.Unmarshal([]byte(pageData.FindStringSubmatch(page)[1]), &data); err != nil {
		t.Fatal(err)
	}
	first, last := data.Points[0], data.Points[1024]
	if first[0] != 0.0 || last[0] != 1.0 || first[1] != 0.5 || last[6] != "hat/</script>1024.jpg" ||
		last[4] != 75.0 || last[8] != 40.0 || first[2] != 0.0 || data.Points[1][2] != 1.0 {
		t.Errorf("%v, %v", first, last)
	}
	digest := sha256.Sum256([]byte(atlasScript))
	for _, text := range []string{"sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'",
		"default-src 'none'", "(512)", "&lt;data&gt;"} {
		if !strings.Contains(html.UnescapeString(page), text) && !strings.Contains(page, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if n := strings.Count(page, `src="data:image/jpeg;base64,`); n != 2 || strings.Count(page, "src=") != n ||
		strings.Count(page, "<script") != 2 {
		t.Errorf("%d sheets, %d scripts", n, strings.Count(page, "<script"))
	}
	for _, foreign := range []string{"http:", "https:", "href=", "@import", "ZgotmplZ"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	alone := makeAtlas(1)
	alone.Points[0].Class, alone.Judged = "", false
	if page := writeAtlas(t, alone); !strings.Contains(page, `"byAnswer":true`) ||
		strings.Contains(page, "only wrong answers") {
		t.Error("a picture without a class is not labelled by its answer")
	}
}

// TestAtlasInBrowser checks that pointer and keys find pictures, that classes can be hidden, and
// that the console stays empty.
func TestAtlasInBrowser(t *testing.T) {
	browser := os.Getenv("GARB_BROWSER")
	if browser == "" {
		t.Skip("set GARB_BROWSER to a Chromium to run this test (see .ci/run)")
	}
	file := filepath.Join(t.TempDir(), "map.html")
	if err := os.WriteFile(file, []byte(writeAtlas(t, makeAtlas(6))), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := openBrowser(t, browser)
	var box []float64
	const bounds = `(() => {
		const b = document.getElementById('map').getBoundingClientRect();
		return [b.left, b.top, b.width, b.height];
	})()`
	err := chromedp.Run(ctx, chromedp.EmulateViewport(1000, 900), chromedp.Navigate("file://"+file),
		chromedp.WaitVisible("#map", chromedp.ByQuery), chromedp.Evaluate(bounds, &box))
	if err != nil {
		t.Fatal(err)
	}
	x, y := box[0]+box[2]/2, box[1]+box[3]/2
	side := min(box[2], box[3]) - 48
	card := func(want ...string) chromedp.Action { return expectCard(t, want...) }
	hidden := chromedp.Poll(`document.getElementById("card").hidden`, nil)
	focus := chromedp.Focus("#map", chromedp.ByQuery)
	click := func(selector string) chromedp.Action { return chromedp.Click(selector, chromedp.ByQuery) }
	for i, step := range []chromedp.Tasks{
		{chromedp.MouseClickXY(x-side/2, y), card("hat", "hat, 75 %", "</script>0.jpg")},
		{focus, chromedp.KeyEvent(kb.ArrowRight), card("shoes", "1.jpg")},
		{click(`.class[value="1"]`), hidden},
		{focus, chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight), card("hat")},
		{chromedp.KeyEvent("+"), chromedp.KeyEvent("+"), card("hat"), chromedp.KeyEvent("0")},
		{chromedp.KeyEvent(kb.Escape), hidden},
		{click(`.class[value="1"]`), click("#wrong")},
		{focus, chromedp.KeyEvent(kb.ArrowRight), card("shoes")},
	} {
		if err := chromedp.Run(ctx, step); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

// openBrowser starts a browser for the rest of the test, which fails if a page reports an
// exception or writes to the console.
func openBrowser(t *testing.T, path string) context.Context {
	timed, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	allocator, end := chromedp.NewExecAllocator(timed, chromedp.ExecPath(path), chromedp.NoFirstRun,
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page: %v", e.ExceptionDetails)
		case *runtime.EventConsoleAPICalled:
			t.Errorf("the console says: %v", e.Args)
		}
	})
	return ctx
}

// expectCard waits for the card and checks that its text contains the words.
func expectCard(t *testing.T, words ...string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var text string
		if err := (chromedp.Tasks{chromedp.WaitVisible("#card", chromedp.ByQuery),
			chromedp.Text("#text", &text, chromedp.ByQuery)}).Do(ctx); err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("the card says %q, not %q", text, w)
			}
		}
		return nil
	})
}
