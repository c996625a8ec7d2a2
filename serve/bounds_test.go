package serve

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "garb/serve/inferencepb"
)

// TestNewRefuses: what a service needs is checked before it begins.
func TestNewRefuses(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for name, test := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"settings":       {func(c *Config) { c.Queue = 0 }, "queue"},
		"keys":           {func(c *Config) { c.APIKeyFile = gone }, "keys"},
		"certificate":    {func(c *Config) { c.TLSCert, c.TLSKey = gone, gone }, "certificate"},
		"trace endpoint": {func(c *Config) { c.TraceEndpoint = "ftp://x" }, "traces"},
	} {
		c := Default()
		c.Models = []NamedModel{{"m", "somewhere"}}
		test.spoil(&c)
		opened := false
		open := func(string) (Classifier, error) { opened = true; return nil, errors.New("no model") }
		_, err := New(c, open, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), test.want) || opened {
			t.Errorf("%s: %v; a model was opened: %v", name, err, opened)
		}
	}
}

// TestRequestTimeouts: a client may ask for less time than the service allows, in seconds or
// with a unit.
func TestRequestTimeouts(t *testing.T) {
	s := &Server{config: Config{RequestTimeout: 30 * time.Second}}
	for text, want := range map[string]time.Duration{
		"": 30 * time.Second, "0.25": 250 * time.Millisecond, "250ms": 250 * time.Millisecond, "29": 29 * time.Second,
		"30": 30 * time.Second, "31": 30 * time.Second, "2h": 30 * time.Second, "1e300": 30 * time.Second,
		"1ns": 1, "0": 0, "0s": 0, "-1": 0, "NaN": 0, "soon": 0,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if text != "" {
			r.Header.Set("X-Request-Timeout", text)
		}
		have, err := s.timeout(r)
		if refused := want == 0; refused {
			if !errors.Is(err, errBadRequest) || have != 30*time.Second {
				t.Errorf("%q: %v, %v", text, have, err)
			}
		} else if have != want || err != nil {
			t.Errorf("%q: %v, %v; want %v", text, have, err, want)
		}
	}
}

// TestRequestIDs: a client's id comes back if it can be written anywhere, else another.
func TestRequestIDs(t *testing.T) {
	h := start(t, &fake{}, nil).Handler()
	for id, kept := range map[string]bool{
		"a": true, "!~": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "": false,
		"a b": false, "a\x7f": false, "é": false,
	} {
		have := get(h, "/healthz", "X-Request-Id", id).Header().Get("X-Request-Id")
		if have == "" || (have == id) != kept {
			t.Errorf("the id %q comes back as %q", id, have)
		}
	}
}

// TestTraceparents: the W3C's header is taken over if it is whole.
func TestTraceparents(t *testing.T) {
	trace, parent := strings.Repeat("0a", 16), strings.Repeat("b0", 8)
	for header, sound := range map[string]bool{
		"00-" + trace + "-" + parent + "-01":                   true,
		"00-" + trace + "-" + parent + "-01-more":              true,
		"00-" + trace + "-" + parent:                           false,
		"01-" + trace + "-" + parent + "-01":                   false,
		"00-" + trace[1:] + "-" + parent + "-01":               false,
		"00-" + trace + "-" + parent[1:] + "-01":               false,
		"00-" + strings.ToUpper(trace) + "-" + parent + "-01":  false,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": false,
		"00-" + trace + "-" + strings.Repeat("0", 16) + "-01":  false,
		"00-" + strings.Repeat("x", 32) + "-" + parent + "-01": false,
		"": false,
	} {
		have := parseTraceparent(header)
		if (have.trace == trace && have.parent == parent) != sound || !sound && have.trace+have.parent != "" {
			t.Errorf("%q: %+v", header, have)
		}
		if len(have.span) != 16 {
			t.Errorf("%q: our span is %q", header, have.span)
		}
	}
}

// TestTraceEndpoints: an address without a path gets OTLP's.
func TestTraceEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://c.example:4318": "http://c.example:4318/v1/traces", "https://c.example/": "https://c.example/v1/traces",
		"http://c.example/x": "http://c.example/x", "ftp://c.example": "", "http://": "", "c.example": "", "://": "",
	} {
		tracer, err := newTracer(endpoint, slog.New(slog.DiscardHandler))
		if (err == nil) != (want != "") {
			t.Errorf("%s: %v", endpoint, err)
		}
		if err != nil {
			continue
		}
		if tracer.endpoint != want {
			t.Errorf("%s: spans go to %s, not %s", endpoint, tracer.endpoint, want)
		}
		tracer.close()
	}
}

// TestBase64: pictures in JSON come in either alphabet, padded or not, as data URLs or bare.
func TestBase64(t *testing.T) {
	data := []byte{0xfb, 0xff, 0xfe, 0}
	for name, text := range map[string]string{
		"standard":       base64.StdEncoding.EncodeToString(data),
		"standard, bare": base64.RawStdEncoding.EncodeToString(data),
		"address":        base64.URLEncoding.EncodeToString(data),
		"address, bare":  base64.RawURLEncoding.EncodeToString(data),
		"data URL":       "data:image/png;base64," + base64.StdEncoding.EncodeToString(data),
	} {
		if have, err := decodeBase64(text); err != nil || !bytes.Equal(have, data) {
			t.Errorf("%s: %x, %v", name, have, err)
		}
	}
	for _, text := range []string{"data:image/png,abc", "a", "ab*d", "+-"} {
		if _, err := decodeBase64(text); !errors.Is(err, errBadRequest) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRawTensors reads pictures, each after its length, and values, to the last byte.
func TestRawTensors(t *testing.T) {
	e := inputSpec{spec: fakeSpec, pictures: 3}
	element := func(text string) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
	}
	two := slices.Concat(element("one"), element(""))
	values := make([]byte, 4*fakeSpec.ValueCount())
	shape := []int{1, fakeSpec.Height, fakeSpec.Width, 3}
	for name, test := range map[string]struct {
		datatype string
		shape    []int
		data     []byte
		want     error
	}{
		"pictures":               {typeBytes, []int{2}, two, nil},
		"pictures in a column":   {typeBytes, []int{2, 1}, two, nil},
		"pictures in a row":      {typeBytes, []int{1, 2}, two, errBadRequest},
		"no shape":               {typeBytes, nil, two, errBadRequest},
		"three axes":             {typeBytes, []int{2, 1, 1}, two, errBadRequest},
		"no picture":             {typeBytes, []int{0}, nil, errBadRequest},
		"as many as are allowed": {typeBytes, []int{3}, slices.Concat(two, element("x")), nil},
		"one more":               {typeBytes, []int{4}, slices.Concat(two, two), errTooLarge},
		"more than it says":      {typeBytes, []int{1}, two, errBadRequest},
		"fewer than it says":     {typeBytes, []int{3}, two, errBadRequest},
		"cut off":                {typeBytes, []int{1}, element("one")[:6], errBadRequest},
		"a length cut off":       {typeBytes, []int{1}, element("")[:3], errBadRequest},
		"an endless length":      {typeBytes, []int{1}, []byte{255, 255, 255, 255, 0}, errBadRequest},
		"values":                 {typeFP32, shape, values, nil},
		"a value more": {typeFP32, shape, append(values[:len(values):len(values)], 0, 0, 0, 0),
			errBadRequest},
		"a value less":           {typeFP32, shape, values[4:], errBadRequest},
		"values of no picture":   {typeFP32, []int{0, fakeSpec.Height, fakeSpec.Width, 3}, nil, errBadRequest},
		"values without a batch": {typeFP32, shape[1:], values, errBadRequest},
		"values turned":          {typeFP32, []int{1, 3, fakeSpec.Height, fakeSpec.Width}, values, errBadRequest},
		"another type":           {"FP16", shape, values, errBadRequest},
	} {
		b, err := e.decodeRaw(test.datatype, test.shape, test.data)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if name == "pictures" {
			var have []string
			for _, p := range b.pictures {
				have = append(have, string(p.data))
			}
			if !slices.Equal(have, []string{"one", ""}) {
				t.Errorf("pictures %q", have)
			}
		}
		if name == "values" && len(b.values) != fakeSpec.ValueCount() {
			t.Errorf("%d values", len(b.values))
		}
	}
}

// TestCountedFields: a message may have so many fields, those of messages inside it and the
// numbers of shapes among them.
func TestCountedFields(t *testing.T) {
	message := &pb.ModelInferRequest{ModelName: "m", Inputs: []*pb.ModelInferRequest_InferInputTensor{
		{Name: "a", Datatype: "BYTES", Shape: []int64{1, 300}}, {Name: "b"},
	}}
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	// The name; two inputs; three and one fields inside them; three bytes of a shape.
	const fields = 1 + 2 + 3 + 1 + 3
	for left := range fields + 3 {
		have := left
		err := countFields(data, message.ProtoReflect().Descriptor(), &have)
		if (err == nil) != (left >= fields) || err == nil && have != left-fields {
			t.Errorf("of %d fields %d are left, %v", left, have, err)
		}
	}
	left := 100
	for _, cut := range []int{1, len(data) - 1} {
		if countFields(data[:cut], message.ProtoReflect().Descriptor(), &left) == nil {
			t.Errorf("a message cut to %d bytes is counted", cut)
		}
	}
}

// TestMessageLengths: a compressed gRPC message has the length that is written before it.
func TestMessageLengths(t *testing.T) {
	s := start(t, &fake{}, nil)
	compressed := packed(t, gzipped, []byte("message"))
	for more, ok := range map[int]bool{-1: false, 0: true, 1: false} {
		body := append(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(compressed)+more)), compressed...)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Grpc-Encoding", "gzip")
		frame, release, err := s.readMessage(httptest.NewRecorder(), r)
		switch {
		case ok && (err != nil || string(frame) != "\x00\x00\x00\x00\x07message"):
			t.Errorf("frame %q, %v", frame, err)
		case !ok && !errors.Is(err, errBadRequest):
			t.Errorf("%d bytes more: %v", more, err)
		}
		if err == nil {
			release()
		}
		if left := s.bodies.Load(); left != 0 {
			t.Errorf("%d bytes are not given back", left)
		}
	}
}

func TestCodes(t *testing.T) {
	for status, want := range map[int]connect.Code{
		400: connect.CodeInvalidArgument, 401: connect.CodeUnauthenticated, 403: connect.CodePermissionDenied,
		404: connect.CodeNotFound, 413: connect.CodeInvalidArgument, 429: connect.CodeResourceExhausted,
		499: connect.CodeCanceled, 500: connect.CodeInternal, 502: connect.CodeUnavailable,
		503: connect.CodeUnavailable, 504: connect.CodeDeadlineExceeded,
	} {
		if have := grpcCode(status); have != want {
			t.Errorf("status %d has the code %v, not %v", status, have, want)
		}
	}
}

// TestModelFolders: a version is its one model file, or its folder if that is a run's.
func TestModelFolders(t *testing.T) {
	folder := t.TempDir()
	version := func(name string, files ...string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			writeFile(t, filepath.Join(path, f), []byte("x"))
		}
		return path
	}
	for _, test := range []struct {
		path, want string
	}{
		{version("1"), ""},
		{version("2", "model.safetensors"), "2/model.safetensors"},
		{version("3", "model.safetensors", "notes.txt"), "3/model.safetensors"},
		{version("4", "a.safetensors", "b.safetensors"), "4"},
		{version("5", "checkpoints/a_1_0.5.safetensors"), "5"},
		{version("6", "a.safetensors", "checkpoints/a_1_0.5.safetensors"), "6/a.safetensors"},
		{version("7", "notes.txt"), "7"},
	} {
		path, signature, ok := findModel(test.path)
		want := filepath.Join(folder, filepath.FromSlash(test.want))
		if ok != (test.want != "") || ok && (path != want || signature == "") {
			t.Errorf("%s: %q, %v", test.path, path, ok)
		}
	}
	version("-1", "m.safetensors")
	version("0", "m.safetensors")
	version("12", "m.safetensors")
	version("new", "m.safetensors")
	writeFile(t, filepath.Join(folder, "13"), nil)
	var numbers []int
	for _, c := range listCandidates(folder) {
		numbers = append(numbers, c.number)
	}
	if !slices.Equal(numbers, []int{12, 7, 6, 5, 4, 3, 2}) {
		t.Errorf("the versions are %v", numbers)
	}
}

// TestBudget: bodies together may take the budget to the byte, and give it back.
func TestBudget(t *testing.T) {
	s := start(t, &fake{}, func(c *Config) { c.MaxBodyBytes, c.BodyBudgetBytes = 10, 30 })
	if err := s.reserve(30); err != nil {
		t.Fatal(err)
	}
	if err := s.reserve(1); !errors.Is(err, errFull) {
		t.Errorf("one byte more: %v", err)
	}
	if have := s.bodies.Load(); have != 30 {
		t.Errorf("%d bytes are taken", have)
	}
	s.bodies.Add(-30)
	for length, ok := range map[int]bool{0: true, 9: true, 10: true, 11: false} {
		for _, announced := range []int64{int64(length), -1} {
			data, release, err := s.readBounded(strings.NewReader(strings.Repeat("x", length)), announced)
			if (err == nil) != ok || !ok && !errors.Is(err, errTooLarge) {
				t.Errorf("%d bytes, announced as %d: %v", length, announced, err)
			}
			if ok {
				if len(data) != length || s.bodies.Load() != int64(cap(data)) {
					t.Errorf("%d bytes read, %d taken for %d", len(data), s.bodies.Load(), cap(data))
				}
				release()
			}
			if left := s.bodies.Load(); left != 0 {
				t.Errorf("%d bytes, announced as %d: %d are not given back", length, announced, left)
			}
		}
	}
}

// TestPanicsAreAnswered: a handler that fails before it answers makes an error, and one that
// fails afterwards adds nothing to its answer.
func TestPanicsAreAnswered(t *testing.T) {
	s := start(t, &fake{}, nil)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
	}{
		"before": {func(http.ResponseWriter, *http.Request) { panic("x") }, 500, "problem"},
		"after a status": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			panic("x")
		}, 202, ""},
		"after a part": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("part"))
			panic("x")
		}, 200, "part"},
	} {
		w := httptest.NewRecorder()
		s.observe(test.handler).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		body := w.Body.String()
		if test.body == "problem" {
			if w.Code != 500 || !strings.Contains(body, `"kind":"internal"`) || strings.Contains(body, `"x"`) {
				t.Errorf("%s: %d, %s", name, w.Code, body)
			}
		} else if w.Code != test.status || body != test.body {
			t.Errorf("%s: %d, %q", name, w.Code, body)
		}
	}
}

// TestNamesOfInstances: TensorFlow's clients may name the input, but it is one.
func TestNamesOfInstances(t *testing.T) {
	r := start(t, &fake{}, nil)
	picture := `{"b64":"` + base64.StdEncoding.EncodeToString(white()) + `"}`
	for instance, want := range map[string]int{
		picture: 200, `{"x":` + picture + `}`: 200, `{"x":` + picture + `,"y":` + picture + `}`: 400, `{}`: 400,
		`{"x":` + picture + `,"y":` + picture + `,"z":1}`: 400, `{"x":{"y":` + picture + `}}`: 400,
	} {
		answer, text := post(t, r.url+"/v1/models/m:predict", "application/json",
			[]byte(`{"instances":[`+instance+`]}`))
		if answer.StatusCode != want {
			t.Errorf("%s: %d, %s", instance, answer.StatusCode, text)
		}
	}
}

// TestHistograms: the bounds of the histograms are those that dashboards were made for.
func TestHistograms(t *testing.T) {
	r := start(t, &fake{}, nil)
	post(t, r.url+"/v1/classify", "", white())
	bounds := map[string][]string{}
	for line := range strings.Lines(metricsOf(t, r)) {
		name, rest, _ := strings.Cut(line, "_bucket{")
		if _, bound, ok := strings.Cut(rest, `le="`); ok && !strings.Contains(line, `stage="decode"`) &&
			!strings.Contains(line, `stage="queue"`) && !strings.Contains(line, "/metrics") {
			bounds[name] = append(bounds[name], bound[:strings.IndexByte(bound, '"')])
		}
	}
	seconds := strings.Fields("0.001 0.0025 0.005 0.0075 0.01 0.015 0.02 0.03 0.05 0.075 0.1 0.25 0.5 1 2.5 5 10 30 " +
		"+Inf")
	for name, want := range map[string][]string{
		"garb_batch_size": strings.Fields("1 2 4 8 16 32 64 +Inf"), "garb_stage_seconds": seconds,
		"garb_request_seconds": seconds,
	} {
		if !slices.Equal(bounds[name], want) {
			t.Errorf("%s has the bounds %v, not %v", name, bounds[name], want)
		}
	}
}

// TestFirstModel: requests that name no model go to the first of those that were named, or
// else to the first in the alphabet.
func TestFirstModel(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		writeFile(t, filepath.Join(folder, name, "1", "m.safetensors"), []byte("x"))
	}
	for want, named := range map[string][]NamedModel{"a": nil, "z": {{"z", "p"}}, "y": {{"y", "p"}, {"x", "p"}}} {
		r := start(t, &fake{}, func(c *Config) { c.Models, c.ModelsFolder = named, folder })
		v, release, err := r.models.acquire("", 0)
		if err != nil {
			t.Fatal(err)
		}
		if v.name != want {
			t.Errorf("the first of %v is %s, not %s", named, v.name, want)
		}
		release()
	}
}

// TestPlaces: as many pictures have a place as the queue is long, and none once the service
// stops.
func TestPlaces(t *testing.T) {
	s := start(t, &fake{}, func(c *Config) { c.Queue, c.MaxPictures = 3, 3 })
	release, err := s.admit(2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.admit(2); !errors.Is(err, errFull) {
		t.Errorf("one more than there is room for: %v", err)
	}
	other, err := s.admit(1)
	if err != nil {
		t.Errorf("the last place: %v", err)
	}
	if depth := s.depth.Load(); depth != 3 {
		t.Errorf("%d places are taken", depth)
	}
	release()
	other()
	if depth := s.depth.Load(); depth != 0 {
		t.Errorf("%d places are not given back", depth)
	}
	s.stopping.Store(true)
	if release, err := s.admit(1); !errors.Is(err, errStopping) || release != nil {
		t.Errorf("while it stops: %v", err)
	}
	s.stopping.Store(false)
}

// TestReadyNamesVersions: an instance says which version of each model answers.
func TestReadyNamesVersions(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "b", "7", "m.safetensors"), []byte("x"))
	h := start(t, &fake{}, func(c *Config) { c.ModelsFolder = folder }).Handler()
	if body := get(h, "/readyz").Body.String(); !strings.Contains(body, `"models":{"b":7,"m":1}`) {
		t.Error(body)
	}
}

// TestFirstStatusCounts: a handler that sends a second status changes nothing that was sent.
func TestFirstStatusCounts(t *testing.T) {
	s := start(t, &fake{}, nil)
	s.observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(202)
		w.WriteHeader(500)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if text := s.log.String(); !strings.Contains(text, `"status":202`) || strings.Contains(text, `"status":500`) {
		t.Error(text)
	}
}

// TestShapesOfValues: a tensor of values has four axes, no fewer and no more.
func TestShapesOfValues(t *testing.T) {
	r := start(t, &fake{}, nil)
	values := strings.Repeat("0,", fakeSpec.ValueCount()-1) + "0"
	for shape, want := range map[string]int{
		"1,8,8,3": 200, "1,8,8,3,1": 400, "1,8,8,3,1,1": 400, "8,8,3": 400, "1,1,8,8,3": 400,
	} {
		body := `{"inputs":[{"name":"x","datatype":"FP32","shape":[` + shape + `],"data":[` + values + `]}]}`
		answer, text := post(t, r.url+"/v2/models/m/infer", "application/json", []byte(body))
		if answer.StatusCode != want {
			t.Errorf("shape %s: %d, %s", shape, answer.StatusCode, text)
		}
	}
}

// TestVersionsInUseAnswer: a version that another took over from answers until its last user is
// done. (That it does not end too early shows only if it is fast enough.)
func TestVersionsInUseAnswer(t *testing.T) {
	r := start(t, &fake{digest: "old"}, nil)
	old, release, err := r.models.acquire("m", 0)
	if err != nil {
		t.Fatal(err)
	}
	now, err := r.models.load("m", 2, "elsewhere", "")
	if err != nil {
		t.Fatal(err)
	}
	r.models.activate(now)
	select {
	case <-old.ended:
		t.Error("the old version ended while it was in use")
	case <-time.After(50 * time.Millisecond):
	}
	if err := old.infer(&job{ctx: t.Context(), input: make([]float32, fakeSpec.ValueCount())}); err != nil {
		t.Error(err)
	}
	release()
	<-old.ended
}

// TestTracesThatAreNotSent are in the log.
func TestTracesThatAreNotSent(t *testing.T) {
	for name, status := range map[string]int{"taken": 204, "not taken": 300, "not sent": 0} {
		collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
		}))
		if status == 0 {
			collector.Close() // nobody listens
		}
		log := &syncBuffer{}
		tracer, err := newTracer(collector.URL, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		tracer.add(&requestInfo{}, "/", 200, time.Second)
		tracer.close()
		collector.Close()
		if have := log.String(); (have != "") != (status != 204) || status != 204 && !strings.Contains(have, "span") {
			t.Errorf("%s: the log has %q", name, have)
		}
	}
}

// TestValuesAreCut: the first of several values in JSON ends where its brackets and quotes do.
func TestValuesAreCut(t *testing.T) {
	for text, want := range map[string]string{
		`[1],[2]`: `[1]`, `{"a":[1,{}]},2`: `{"a":[1,{}]}`, `"a]",2`: `"a]"`, `"\"",2`: `"\""`, `12,3`: `12`, `1]`: `1`,
	} {
		first, rest := jsonValue(text).cut()
		if string(first) != want || string(rest) != text[len(want):] {
			t.Errorf("%s: %s and %s", text, first, rest)
		}
	}
}
