package serve

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"garb/serve/grpc"
	"garb/serve/request"
)

// TestNewRefuses: what a service needs is checked before it begins.
func TestNewRefuses(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for name, test := range map[string]struct {
		spoil func(c *Config)
		want  string
	}{
		"settings":       {func(c *Config) { c.Engine.Queue = 0 }, "queue"},
		"keys":           {func(c *Config) { c.APIKeyFile = gone }, "keys"},
		"certificate":    {func(c *Config) { c.TLSCert, c.TLSKey = gone, gone }, "certificate"},
		"trace endpoint": {func(c *Config) { c.TraceEndpoint = "ftp://x" }, "traces"},
	} {
		c := Default()
		c.Models.Models = []NamedModel{{Name: "m", Path: "somewhere"}}
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
	s := &Server{}
	s.running.Store(&Config{RequestTimeout: 30 * time.Second})
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
			if !errors.Is(err, request.ErrInvalid) || have != 30*time.Second {
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

func TestCodes(t *testing.T) {
	for status, want := range map[int]connect.Code{
		400: connect.CodeInvalidArgument, 401: connect.CodeUnauthenticated, 403: connect.CodePermissionDenied,
		404: connect.CodeNotFound, 413: connect.CodeResourceExhausted, 429: connect.CodeResourceExhausted,
		499: connect.CodeCanceled, 500: connect.CodeInternal, 502: connect.CodeUnavailable,
		503: connect.CodeUnavailable, 504: connect.CodeDeadlineExceeded,
	} {
		if have := grpc.Code(status); have != want {
			t.Errorf("status %d has the code %v, not %v", status, have, want)
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
	for want, named := range map[string][]NamedModel{"a": nil, "z": {{Name: "z", Path: "p"}},
		"y": {{Name: "y", Path: "p"}, {Name: "x", Path: "p"}}} {
		r := start(t, &fake{}, func(c *Config) { c.Models.Models, c.Models.Folder = named, folder })
		v, release, err := r.backend.Models.Acquire("", "", "")
		if err != nil {
			t.Fatal(err)
		}
		if v.Name != want {
			t.Errorf("the first of %v is %s, not %s", named, v.Name, want)
		}
		release()
	}
}

// TestReadyNamesVersions: an instance says which version of each model answers.
func TestReadyNamesVersions(t *testing.T) {
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "b", "7", "m.safetensors"), []byte("x"))
	h := start(t, &fake{}, func(c *Config) { c.Models.Folder = folder }).Handler()
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
