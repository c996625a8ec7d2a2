package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"garb/model"
	"garb/serve/classify"
	"garb/serve/enginetest"
	"garb/serve/request"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const example = "../examples/t-shirt.jpg"

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fake is the model of the tests.
type fake = enginetest.Model

var fakeSpec = enginetest.Spec

// running is a server under test, at a port of its own.
type running struct {
	*Server
	url  string
	stop func() error // as SIGTERM does
	log  *syncBuffer
}

// syncBuffer is a log that a test can read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start serves a model as "m" until the test ends.
func start(t testing.TB, model Classifier, change func(*Config)) *running {
	t.Helper()
	return startWith(t, func(string) (Classifier, error) { return model, nil }, change)
}

func startWith(t testing.TB, open Opener, change func(*Config)) *running {
	t.Helper()
	c := Default()
	c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
	c.Engine.Workers = 1  // so that a test knows what comes after what
	c.Engine.Decoders = 2 // while a batch is computed, another picture can be decoded
	if change != nil {
		change(&c)
	}
	r := &running{log: &syncBuffer{}}
	s, err := New(c, open, slog.New(slog.NewJSONHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	r.Server, r.url = s, "http://"+l.Addr().String()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.stop() // a test that cares looks at what it returns
		if t.Failed() {
			t.Logf("the service's log:\n%s", r.log)
		}
	})
	return r
}

// post sends a body and returns what came back.
func post(t testing.TB, url, contentType string, body []byte, header ...string) (*http.Response, []byte) {
	t.Helper()
	answer, text, err := try(t.Context(), http.MethodPost, url, contentType, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return answer, text
}

func try(ctx context.Context, method, url, contentType string, body []byte, header ...string) (*http.Response, []byte,
	error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, text, err
}

// white is a picture that the fake calls light.
func white() []byte {
	return []byte("GIF89a\x01\x00\x01\x00\x80\x01\x00\xff\xff\xff\x00\x00\x00," +
		"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
}

// pngOf is a PNG that claims a size and holds nothing.
func pngOf(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, width), height)
	b = append(b, 8, 6, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
	return append(b, "\x00\x00\x00\x02IDAT\x78\x9c\x00\x00\x00\x00"...)
}

// form is a multipart body with each of the pictures as a field named picture.
func form(t testing.TB, pictures ...[]byte) (contentType string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, p := range pictures {
		part, err := w.CreateFormFile("picture", fmt.Sprintf("%d.jpg", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// TestClassify asks the real model in every way that there is.
func TestClassify(t *testing.T) {
	r := startWith(t, func(path string) (Classifier, error) { return model.Open(path, model.Options{}) },
		func(c *Config) {
			c.Models.Models = []NamedModel{{Name: model.Clothing, Path: model.Clothing},
				{Name: "net", Path: model.ImageNet}}
		})
	data := read(t, example)
	shirt := func(text []byte) {
		t.Helper()
		var c classify.Classification
		if err := json.Unmarshal(text, &c); err != nil || c.Class != "t-shirt" || len(c.Predictions) != 3 ||
			c.Model.Name != model.Clothing || !strings.HasPrefix(c.Model.Digest, "sha256:") ||
			c.Milliseconds.Inference <= 0 {
			t.Errorf("%v: %s", err, text)
		}
	}
	for _, kind := range []string{"", "image/jpeg", "application/octet-stream"} {
		_, text := post(t, r.url+"/v1/classify", kind, data)
		shirt(text)
	}
	picture, err := json.Marshal(map[string][]byte{"picture": data})
	if err != nil {
		t.Fatal(err)
	}
	_, text := post(t, r.url+"/v1/classify", "application/json; charset=utf-8", picture)
	shirt(text)
	kind, body := form(t, data)
	_, text = post(t, r.url+"/v1/classify", kind, body)
	shirt(text)

	kind, body = form(t, data, []byte("no picture"), data)
	answer, text := post(t, r.url+"/v1/classify?top=1&explain=1", kind, body)
	var several []struct {
		Picture, Class, Explanation string
		Error                       *classify.FailedMessage
	}
	if err := json.Unmarshal(text, &several); err != nil || answer.StatusCode != http.StatusOK || len(several) != 3 {
		t.Fatalf("%v %s", err, text)
	}
	for i, s := range several {
		switch {
		case s.Picture != fmt.Sprintf("%d.jpg", i):
			t.Errorf("picture %d is named %q", i, s.Picture)
		case i == 1 && (s.Error == nil || s.Error.Kind != "not_a_picture"):
			t.Errorf("%+v", s)
		case i != 1 && (s.Class != "t-shirt" || !strings.HasPrefix(s.Explanation, "data:image/png;base64,iVBOR")):
			t.Errorf("%.200v", s)
		}
	}

	_, text = post(t, r.url+"/v1/classify?model=net&top=1", "", data)
	if !bytes.Contains(text, []byte("n03595614")) {
		t.Errorf("the other model: %s", text)
	}
}

// TestStatuses: what is wrong with a request, and what it is told.
//
//nolint:funlen // it is a table
func TestStatuses(t *testing.T) {
	r := start(t, &fake{}, func(c *Config) {
		c.Bodies.MaxPictures, c.Bodies.MaxBytes, c.Bodies.BudgetBytes, c.Engine.Limits.MaxBytes = 3, 64<<10, 1<<20,
			32<<10
	})
	four, fourBody := form(t, white(), white(), white(), white())
	var fields bytes.Buffer
	w := multipart.NewWriter(&fields)
	for range 10_000 {
		if err := w.WriteField("x", ""); err != nil {
			t.Fatal(err)
		}
	}
	big, bigBody := form(t, make([]byte, 40<<10))
	for _, c := range []struct {
		name, path, contentType string
		body                    []byte
		status                  int
		kind, detail            string
	}{
		{"good", "", "", white(), 200, "", ""},
		{"empty", "", "", nil, 400, "not_a_picture", "empty"},
		{"text", "", "image/jpeg", []byte("hello, this is no picture at all"), 400, "not_a_picture", "JPEG, PNG"},
		{"huge GIF", "", "",
			[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff," +
				"\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02"), 413, "too_large", "65535"},
		{"huge WebP", "", "",
			[]byte("RIFF\x14\x00\x00\x00WEBPVP8L\x08\x00\x00\x00\x2f\xff\xff\xff\x0f\x00\x00\x00"), 413,
			"too_large", "16384"},
		{"bomb", "", "", pngOf(60_000, 60_000), 413, "too_large", "60000"},
		{"cut PNG", "", "", pngOf(100, 100), 422, "corrupt", "copy"},
		{"broken JPEG", "", "", []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), 422, "corrupt", "cut off"},
		{"cut TIFF", "", "image/tiff", []byte("II*\x00\x08\x00\x00\x00"), 422, "corrupt", "cut off"},
		{"JPEG XL", "", "", []byte("\x00\x00\x00\x0cJXL \r\n\x87\n"), 415, "unsupported", "JPEG XL"},
		{"large picture", "", big, bigBody, 413, "too_large", "bytes"},
		{"large body", "", "", make([]byte, 65<<10), 413, "too_large", "body"},
		{"picture as video", "", "video/mp4", white(), 200, "", ""},
		{"picture as text", "", "text/plain; charset=utf-8", white(), 200, "", ""},
		{"picture as JSON", "", "application/json", white(), 200, "", ""},
		{"picture of no type", "", ";;", white(), 200, "", ""},
		{"video", "", "video/mp4", []byte("a video"), 415, "media_type", "video/mp4"},
		{"no type", "", ";;", []byte("text"), 415, "media_type", ";;"},
		{"JSON as text", "", "text/plain", []byte(` {"picture":"!!!"}`), 400, "bad_request", "base64"},
		{"JSON of curl -d", "", "application/x-www-form-urlencoded", []byte(`{"picture":"!!!"}`), 400, "bad_request",
			"base64"},
		{"JSON with more", "", "application/json", []byte(`{"picture":"","size":1}`), 400, "bad_request", "size"},
		{"two JSONs", "", "application/json", []byte(`{"picture":""}{}`), 400, "bad_request", "more follows"},
		{"wrong JSON", "", "application/json", []byte(`{"picture":`), 400, "bad_request", "JSON"},
		{"JSON of nothing", "", "application/json", []byte(`{}`), 400, "bad_request", "picture"},
		{"JSON of both", "", "application/json", []byte(`{"picture":"","url":""}`), 400, "bad_request", "either"},
		{"JSON of another kind", "", "application/json", []byte(`[1,2]`), 400, "bad_request", "JSON"},
		{"wrong base64", "", "application/json", []byte(`{"picture":"!!!"}`), 400, "bad_request", "base64"},
		{"address", "", "application/json", []byte(`{"url":"http://127.0.0.1/x.jpg"}`), 403, "forbidden",
			"does not fetch pictures"},
		{"no boundary", "", "multipart/form-data", white(), 400, "bad_request", "boundary"},
		{"broken form", "", four, fourBody[:len(fourBody)/2], 400, "bad_request", "malformed"},
		{"form of nothing", "", w.FormDataContentType(), []byte("--" + w.Boundary() + "--\r\n"), 400, "bad_request",
			"picture"},
		{"four pictures", "", four, fourBody, 413, "too_large", "3 pictures"},
		{"no model", "?model=nix", "", white(), 404, "no_such_model", "nix"},
		{"no number", "?top=many", "", white(), 400, "bad_request", "many"},
		{"no class", "?top=0", "", white(), 400, "bad_request", "0"},
		{"unknown parameter", "?tpo=1", "", white(), 400, "bad_request", "tpo"},
		{"parameter twice", "?top=1&top=2", "", white(), 400, "bad_request", "repeated"},
		{"semicolon", "?top=1;explain=true", "", white(), 400, "bad_request", "semicolon"},
		{"bad escape", "?top=%zz", "", white(), 400, "bad_request", "%zz"},
		{"empty parameter", "?model=", "", white(), 400, "bad_request", "empty"},
		{"no choice", "?explain=perhaps", "", white(), 400, "bad_request", "perhaps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, text := post(t, r.url+"/v1/classify"+c.path, c.contentType, c.body)
			if answer.StatusCode != c.status {
				t.Fatalf("%s\n%s", answer.Status, text)
			}
			if c.status == 200 {
				return
			}
			var p request.Problem
			if err := json.Unmarshal(text, &p); err != nil || p.Kind != c.kind ||
				!strings.Contains(p.Detail, c.detail) || p.Status != c.status ||
				p.RequestID != answer.Header.Get("X-Request-Id") ||
				answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
	t.Run("10,000 fields", func(t *testing.T) {
		fresh := start(t, &fake{}, nil)
		answer, text := post(t, fresh.url+"/v1/classify", w.FormDataContentType(), fields.Bytes())
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s\n%s", answer.Status, text)
		}
	})
	for path, status := range map[string]int{"/nix": 404, "/v1/classify": 405, "/healthz": 200, "/readyz": 200,
		"/metrics": 200} {
		answer, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != status {
			t.Errorf("GET %s: %s", path, answer.Status)
		}
	}
}

// gate holds a fake model back until it is opened.
func gate() (f *fake, entered chan struct{}, open func()) {
	held, entered := make(chan struct{}), make(chan struct{}, 100)
	first := true
	f = &fake{OnOutputs: func(ctx context.Context, _, _ []float32) error {
		if first { // the warming
			first = false
			return nil
		}
		entered <- struct{}{}
		select {
		case <-held:
		case <-ctx.Done():
		}
		return ctx.Err()
	}}
	return f, entered, sync.OnceFunc(func() { close(held) })
}

// result is what a request in the background came to.
type result struct {
	status int
	err    error
	text   string
	header http.Header
}

func inBackground(ctx context.Context, url string) chan result {
	done := make(chan result, 1)
	go func() {
		answer, text, err := try(ctx, http.MethodPost, url+"/v1/classify", "", white())
		r := result{err: err, text: string(text)}
		if err == nil {
			r.status, r.header = answer.StatusCode, answer.Header
		}
		done <- r
	}()
	return done
}

// waitFor waits until something holds, for at least two minutes: on a busy machine even what is quick
// takes seconds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 24000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// TestBatches: a lone picture is computed at once and alone; those that come meanwhile
// are computed together, as many as may be.
func TestBatches(t *testing.T) {
	f, entered, open := gate()
	r := start(t, f, func(c *Config) { c.Engine.MaxBatch = 4 })
	first := inBackground(t.Context(), r.url)
	<-entered
	var others []chan result
	for range 6 {
		others = append(others, inBackground(t.Context(), r.url))
	}
	v, release, err := r.backend.Models.Acquire("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	waitFor(t, "six wait", func() bool { return v.Waiting() == 6 })
	open()
	for _, done := range append(others, first) {
		if got := <-done; got.status != 200 || !strings.Contains(got.text, `"class":"light"`) {
			t.Errorf("%+v", got)
		}
	}
	if got := fmt.Sprint(f.BatchSizes()); got != "[1 4 2]" {
		t.Errorf("batches of %s, want 1, then 4, then 2", got)
	}
}

// TestFull: when all places are taken the next is refused at once, and told when to come
// again; afterwards there is room.
func TestFull(t *testing.T) {
	f, entered, open := gate()
	r := start(t, f, func(c *Config) { c.Engine.Queue, c.Bodies.MaxPictures = 2, 2 })
	under := []chan result{inBackground(t.Context(), r.url)}
	<-entered
	under = append(under, inBackground(t.Context(), r.url))
	waitFor(t, "two are under way", func() bool { return r.backend.Scheduler.Depth() == 2 })
	// It must not wait: the two others have their answers only after open.
	answer, text := post(t, r.url+"/v1/classify", "", white())
	if answer.StatusCode != 429 || answer.Header.Get("Retry-After") != "1" ||
		!strings.Contains(string(text), `"kind":"full"`) {
		t.Errorf("%s: %s", answer.Status, text)
	}
	open()
	for _, done := range under {
		if got := <-done; got.status != 200 {
			t.Errorf("%+v", got)
		}
	}
	if answer, _ := post(t, r.url+"/v1/classify", "", white()); answer.StatusCode != 200 ||
		r.backend.Scheduler.Depth() != 0 {
		t.Errorf("afterwards: %s, %d under way", answer.Status, r.backend.Scheduler.Depth())
	}
}

// TestLate: what cannot be done in the client's time is given up, and is not begun if
// the time has passed before.
func TestLate(t *testing.T) {
	f, entered, open := gate()
	defer open()
	r := start(t, f, nil)
	first := inBackground(t.Context(), r.url)
	<-entered
	for _, timeout := range []string{"0.05", "50ms"} {
		answer, text := post(t, r.url+"/v1/classify", "", white(), "X-Request-Timeout", timeout)
		if answer.StatusCode != 504 || !strings.Contains(string(text), `"kind":"late"`) {
			t.Errorf("%s: %s", answer.Status, text)
		}
	}
	for _, timeout := range []string{"soon", "-1", "NaN", "0"} {
		if answer, text := post(t, r.url+"/v1/classify", "", white(), "X-Request-Timeout",
			timeout); answer.StatusCode != 400 {
			t.Errorf("%q: %s %s", timeout, answer.Status, text)
		}
	}
	open()
	if got := <-first; got.status != 200 {
		t.Errorf("%+v", got)
	}
	if got := fmt.Sprint(f.BatchSizes()); got != "[1]" {
		t.Errorf("batches of %s: late ones were computed", got)
	}
}

// TestGone: work stops when the one who asked has left.
func TestGone(t *testing.T) {
	stopped := make(chan error, 1)
	f, entered, open := gate()
	defer open()
	inner := f.OnOutputs
	f.OnOutputs = func(ctx context.Context, in, out []float32) error {
		err := inner(ctx, in, out)
		if err != nil {
			stopped <- err
		}
		return err
	}
	r := start(t, f, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := inBackground(ctx, r.url)
	<-entered
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%+v", got)
	}
	select {
	case err := <-stopped:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the work ended with %v", err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("the work went on")
	}
	waitFor(t, "the log says 499", func() bool { return strings.Contains(r.log.String(), `"status":499`) })
}

// TestPanics: a failure that nobody expected costs one answer.
func TestPanics(t *testing.T) {
	for name, spoil := range map[string]func(f *fake, calls *int){
		"in the model": func(f *fake, calls *int) {
			f.OnOutputs = func(context.Context, []float32, []float32) error {
				if *calls++; *calls == 2 { // after the warming
					panic("boom")
				}
				return nil
			}
		},
		"in the handler": func(f *fake, calls *int) {
			f.OnAnswer = func() {
				if *calls++; *calls == 1 {
					panic("boom")
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, calls := &fake{}, 0
			spoil(f, &calls)
			r := start(t, f, nil)
			answer, text := post(t, r.url+"/v1/classify", "", white())
			if answer.StatusCode != 500 || strings.Contains(string(text), "boom") ||
				!strings.Contains(string(text), `"kind":"internal"`) {
				t.Errorf("%s: %s", answer.Status, text)
			}
			if answer, _ := post(t, r.url+"/v1/classify", "", white()); answer.StatusCode != 200 {
				t.Errorf("the next: %s", answer.Status)
			}
			if !strings.Contains(metricsOf(t, r), "\ngarb_panics_total 1\n") ||
				!strings.Contains(r.log.String(), "boom") {
				t.Error("it is neither counted nor logged")
			}
		})
	}
}

func metricsOf(t testing.TB, r *running) string {
	t.Helper()
	answer, err := http.Get(r.url + "/metrics")
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

// fullDisk is a log that cannot be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestLogOnFullDisk: lines are lost and counted, answers are not.
func TestLogOnFullDisk(t *testing.T) {
	c := Default()
	c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
	s, err := New(c, func(string) (Classifier, error) { return &fake{}, nil },
		slog.New(slog.NewJSONHandler(fullDisk{}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/classify", bytes.NewReader(white())))
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), "\ngarb_log_errors_total 3\n") {
		t.Errorf("%s", w.Body)
	}
}

// TestMetricsAndLog: what a request leaves behind.
func TestMetricsAndLog(t *testing.T) {
	r := start(t, &fake{Label: "abc"}, nil)
	answer, _ := post(t, r.url+"/v1/classify", "", white(), "X-Request-Id", "my-id.1", "Traceparent",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if got := answer.Header.Get("X-Request-Id"); got != "my-id.1" {
		t.Errorf("the request's id became %q", got)
	}
	answer, _ = post(t, r.url+"/v1/classify", "", []byte("text"), "X-Request-Id", "with a blank")
	if got := answer.Header.Get("X-Request-Id"); got == "with a blank" || len(got) < 16 {
		t.Errorf("an unsound id became %q", got)
	}
	text := metricsOf(t, r)
	for _, line := range []string{
		`garb_requests_total{method="POST",route="POST /v1/classify",status="200"} 1`,
		`garb_requests_total{method="POST",route="POST /v1/classify",status="400"} 1`,
		`garb_stage_seconds_count{stage="decode"} 1`, `garb_stage_seconds_count{stage="queue"} 1`,
		`garb_stage_seconds_count{stage="inference"} 1`,
		`garb_batch_size_count{model="m"} 2`, // one of them the warming
		`garb_predictions_total{class="light",model="m"} 1`,
		`garb_model_info{digest="sha256:abc",model="m",version="1"} 1`,
		`garb_queue_depth 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(strings.SplitN(r.log.String(), "\n", 2)[0]), &record); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"msg": "request", "request_id": "my-id.1", "method": "POST",
		"path": "/v1/classify", "status": 200.0, "model": "m", "trace_id": "0af7651916cd43dd8448eb211c80319c"} {
		if record[key] != want {
			t.Errorf("the log says %v of %s, want %v", record[key], key, want)
		}
	}
}

// TestReadyAndStop: a service that stops is not ready, takes nothing new, and finishes
// what it has.
func TestReadyAndStop(t *testing.T) {
	f, entered, open := gate()
	r := start(t, f, nil)
	under := inBackground(t.Context(), r.url)
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	waitFor(t, "it stops", r.backend.Scheduler.Stopping)
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != 503 {
		t.Errorf("ready says %d", w.Code)
	}
	w = httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/classify", bytes.NewReader(white())))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a request is told %d", w.Code)
	}
	open()
	if got := <-under; got.status != 200 {
		t.Errorf("what was under way: %+v", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("%v", err)
	}
}

// TestStopIsNotWaitedForForEver: work that outlives the grace time is ended, and said.
func TestStopIsNotWaitedForForEver(t *testing.T) {
	f, entered, open := gate()
	defer open()
	r := start(t, f, func(c *Config) { c.Grace = 50 * time.Millisecond })
	under := inBackground(t.Context(), r.url)
	<-entered
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "grace") {
		t.Errorf("%v", err)
	}
	if got := <-under; got.status == 200 {
		t.Errorf("%+v", got)
	}
}

// TestExplainedClass: the map is that of the most probable class, or of one that is named.
func TestExplainedClass(t *testing.T) {
	f := &fake{}
	r := start(t, f, nil)
	for _, c := range []struct {
		query  string
		status int
		class  int64 // -1: no map
	}{
		{"?explain=true", 200, 1},
		{"?explain=true&class=dark", 200, 0},
		{"?explain=true&class=light", 200, 1},
		{"", 200, -1},
		{"?explain=false", 200, -1},
		{"?explain=true&class=hat", 400, -1},
		{"?class=dark", 400, -1},
	} {
		f.Explained.Store(-1)
		answer, text := post(t, r.url+"/v1/classify"+c.query, "", white())
		if got := f.Explained.Load(); answer.StatusCode != c.status || got != c.class ||
			bytes.Contains(text, []byte(`"explanation":"data:image/png`)) != (c.class >= 0) {
			t.Errorf("%s: %s, class %d, %.80s", c.query, answer.Status, got, text)
		}
	}
}
