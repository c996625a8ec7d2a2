// Command screens takes the screenshots that README.md shows: docs/page.png, the page of
// garb serve with drawn pictures, and docs/report.png, the top of a training run's report.
//
//	go run ./docs/_make/screens DATA
//
// DATA is the small clothing data set. It needs bin/garb (make build) and a Chromium, which
// GARB_BROWSER names. The run is kept in runs/screens; remove it to train again.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

const (
	garb    = "bin/garb"
	run     = "runs/screens/clothes"
	largest = 200_000 // bytes of a screenshot
	timeout = 5 * time.Minute
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: screens DATA")
	}
	if err := takeAll(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func takeAll(data string) error {
	ctx, stop := context.WithTimeout(context.Background(), timeout)
	defer stop()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	if path := os.Getenv("GARB_BROWSER"); path != "" {
		options = append(options, chromedp.ExecPath(path))
	}
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	defer end()
	ctx, closeBrowser := chromedp.NewContext(ctx)
	defer closeBrowser()
	if err := takePage(ctx); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	if err := takeReport(ctx, data); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	return nil
}

// takePage starts garb serve, sends two drawings to its page and shows where the network
// looked in the first.
func takePage(ctx context.Context) error {
	service := exec.CommandContext(ctx, garb, "serve", "--addr", "localhost:0", "--quiet")
	service.Stderr = os.Stderr
	out, err := service.StdoutPipe()
	if err != nil {
		return err
	}
	if err = service.Start(); err != nil {
		return err
	}
	defer func() {
		_ = service.Process.Signal(os.Interrupt)
		_ = service.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	_, address, _ := strings.Cut(line, "http")
	address, _, _ = strings.Cut("http"+address, " ")
	var files []string
	for _, name := range []string{"t-shirt", "cat"} {
		path, err := filepath.Abs(filepath.Join("examples", name+".jpg"))
		if err != nil {
			return err
		}
		files = append(files, path)
	}
	return take(ctx, "docs/page.png", 960, `document.querySelector('#results').getBoundingClientRect().bottom + 24`,
		chromedp.Navigate(address), chromedp.WaitVisible("#choose"),
		chromedp.SetUploadFiles("#files", files, chromedp.ByID),
		chromedp.Poll(`document.querySelectorAll('[data-state=done]').length === 2`, nil),
		chromedp.Click(".look", chromedp.ByQuery),
		chromedp.Poll(`document.querySelector('.heat').naturalWidth > 0`, nil))
}

// takeReport trains a head on frozen features, and opens the report.
func takeReport(ctx context.Context, data string) error {
	report, err := filepath.Abs(filepath.Join(run, "report.html"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(report); err != nil {
		training := exec.CommandContext(ctx, garb, "train", "--data", data,
			"--inner", "100", "--dropout", "0.2", "--out", run)
		training.Stdout, training.Stderr = os.Stdout, os.Stderr
		if err := training.Run(); err != nil {
			return err
		}
	}
	return take(ctx, "docs/report.png", 1180, // without the photos of the data set, which are further down
		`document.querySelectorAll('h2')[2].offsetTop - 24`,
		chromedp.Navigate("file://"+report))
}

// take performs the actions in a new tab, and writes the page as a PNG file, from its top to
// where the JavaScript expression bottom says.
func take(ctx context.Context, path string, width int64, bottom string, actions ...chromedp.Action) error {
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	actions = append([]chromedp.Action{
		emulation.SetDeviceMetricsOverride(width, 2000, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: "light"}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}),
	}, actions...)
	var height float64
	var encoded []byte
	actions = append(actions, chromedp.Evaluate(bottom, &height))
	actions = append(actions, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		clip := page.Viewport{Width: float64(width), Height: height, Scale: 1}
		encoded, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&clip).Do(ctx)
		return err
	}))
	if err := chromedp.Run(ctx, actions...); err != nil {
		return err
	}
	screen, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, screen); err != nil {
		return err
	}
	log.Printf("%s: %d × %d pixels, %d bytes", path, screen.Bounds().Dx(), screen.Bounds().Dy(), small.Len())
	if small.Len() > largest {
		return errors.New("the screenshot is too large")
	}
	return os.WriteFile(path, small.Bytes(), 0o644)
}
